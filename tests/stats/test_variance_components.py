"""Which source of randomness causes how much of the variance: the design, its estimates, and what they promise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import optimize

from ablation.stats import Component, sd_factors, square_levels, square_side, variance_components

SIDE = 5


def planted(rng: np.random.Generator, own: Sequence[float], rest: float, squares: int = 1) -> np.ndarray:
    """Runs whose sources have these components, and their interactions the component `rest`."""
    levels = square_levels(SIDE, len(own))
    y = math.sqrt(rest) * rng.normal(size=(squares, SIDE, SIDE))
    for source, component in enumerate(own):
        effects = math.sqrt(component) * rng.normal(size=(squares, SIDE))
        y += effects[:, levels[..., source]]
    return y


@pytest.mark.parametrize(("side", "sources"), [(5, 2), (5, 5), (7, 6), (7, 7), (11, 11)])
def test_any_two_runs_of_a_square_have_the_seed_of_one_source_in_common_at_most(side: int, sources: int) -> None:
    levels = square_levels(side, sources)
    runs = levels.reshape(-1, sources)
    common = (runs[:, None] == runs[None]).sum(axis=2)
    assert common[~np.eye(len(runs), dtype=bool)].max() == 1
    assert (np.sort(levels, axis=1) == np.arange(side)[None, :, None]).all()  # each row has each seed once
    assert (levels[0] == np.arange(side)[:, None]).all()  # runs in which one seed drives all sources


def test_the_side_of_a_square_is_a_prime_that_has_room_for_the_sources() -> None:
    assert [square_side(sources) for sources in (2, 5, 6, 7, 8, 11)] == [5, 5, 7, 7, 11, 11]
    for sources in (1, 12):
        with pytest.raises(ValueError, match="sources"):
            square_side(sources)
    with pytest.raises(ValueError, match="at most 5 sources"):
        square_levels(5, 6)


def test_without_interactions_each_component_is_the_sample_variance_of_the_effects_of_its_seeds() -> None:
    rng = np.random.default_rng(0)
    effects = rng.normal(size=(3, SIDE)) * [[1.0], [3.0], [0.2]]
    levels = square_levels(SIDE, 3)
    y = 7 + sum(effects[source][levels[..., source]] for source in range(3))
    found = variance_components([y], 3)
    assert [own.variance for own in found.sources] == pytest.approx(effects.var(axis=1, ddof=1))
    assert found.interactions.variance == 0.0  # not what rounding leaves
    assert found.total.variance == pytest.approx(effects.var(axis=1, ddof=1).sum())
    assert found.mean == pytest.approx(7 + effects.mean(axis=1).sum())


def test_without_interactions_the_interval_of_a_component_is_the_exact_one_of_a_sample_variance() -> None:
    found = variance_components(planted(np.random.default_rng(9), (1.0, 4.0), 0.0, squares=2), 2)
    exact = np.square(sd_factors(8))
    for own in found.sources:
        assert [own.low, own.high] == pytest.approx(own.variance * exact, rel=1e-3)


def test_a_source_without_effect_has_no_component_and_an_interval_from_zero() -> None:
    y = planted(np.random.default_rng(1), (9.0, 0.0, 0.0), 0.0)
    found = variance_components(y, 3)
    big, *others = found.sources
    assert (big.share, big.share_low, big.share_high) == pytest.approx((1.0, 1.0, 1.0))
    assert all((own.variance, own.low, own.high) == (0.0, 0.0, 0.0) for own in others)


def test_a_source_that_varies_less_than_the_rest_by_chance_is_not_claimed_to_have_no_component() -> None:
    y = planted(np.random.default_rng(10), (0.0, 0.0, 0.0), 1.0)
    levels = square_levels(SIDE, 3)[..., 1]
    for number in range(SIDE):
        y[:, levels == number] -= y[:, levels == number].mean(axis=1, keepdims=True)
    first, flat, _ = variance_components(y, 3).sources
    assert (flat.variance, flat.low) == (0.0, 0.0)
    assert 0.1 < flat.high < first.high + 1.0


def test_equal_runs_have_no_variance_whatever_rounding_leaves() -> None:
    y = np.full((1, SIDE, SIDE), 0.3)
    y[0, 2, 1] = 0.1 + 0.2
    found = variance_components(y, 2)
    assert (found.total.variance, found.total.high, found.total.share) == (0.0, 0.0, 0.0)


def reml(y: np.ndarray, sources: int) -> np.ndarray:
    """The components that maximise the restricted likelihood of one square, found numerically."""
    runs = square_levels(SIDE, sources).reshape(-1, sources)
    same = [(runs[:, None, source] == runs[None, :, source]).astype(float) for source in range(sources)]
    values, ones = y.ravel(), np.ones((y.size, 1))

    def loss(roots: np.ndarray) -> float:
        parts = [root**2 * own for root, own in zip(roots, same, strict=False)]
        covariance = roots[-1] ** 2 * np.eye(y.size) + sum(parts)
        inverse = np.linalg.inv(covariance)
        information = float((ones.T @ inverse @ ones).item())
        left = values - float((ones.T @ inverse @ values).item()) / information
        return float(np.linalg.slogdet(covariance)[1] + math.log(information) + left @ inverse @ left)

    starts = ([1.0] * (sources + 1), [0.1] * sources + [1.0])
    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 20_000, "maxfev": 20_000}
    fits = [optimize.minimize(loss, start, method="Nelder-Mead", options=options) for start in starts]
    return np.square(min(fits, key=lambda fit: fit.fun).x)


@pytest.mark.parametrize(("seed", "own", "rest"), [(2, (4.0, 1.0), 1.0), (3, (2.0, 0.0), 1.0), (4, (0.0, 0.0), 1.0)])
def test_the_estimates_are_those_of_restricted_maximum_likelihood(seed: int, own: Sequence[float], rest: float) -> None:
    y = planted(np.random.default_rng(seed), own, rest)
    found = variance_components(y, len(own))
    estimates = [*(source.variance for source in found.sources), found.interactions.variance]
    assert estimates == pytest.approx(reml(y, len(own)), rel=2e-3, abs=2e-3)


def test_shares_are_of_the_total_and_do_not_depend_on_the_unit() -> None:
    y = planted(np.random.default_rng(5), (1.0, 2.0, 0.5, 0.0, 1.0), 2.0, squares=2)
    found, scaled = variance_components(y, 5), variance_components(1e-4 * y + 3, 5)
    parts, same = (*found.sources, found.interactions), (*scaled.sources, scaled.interactions)
    assert sum(own.share for own in parts) == pytest.approx(1.0)
    assert sum(own.variance for own in parts) == pytest.approx(found.total.variance)
    assert [own.share for own in same] == pytest.approx([own.share for own in parts], rel=1e-6)
    assert [own.high for own in same] == pytest.approx([1e-8 * own.high for own in parts], rel=1e-6)
    assert all(0 <= own.share_low <= own.share_high <= 1 and own.low <= own.high for own in parts)


def test_the_same_values_give_the_same_digits() -> None:
    y = planted(np.random.default_rng(6), (1.0, 1.0), 1.0)
    assert variance_components(y, 2) == variance_components(y.copy(), 2)


def test_the_interval_of_a_standard_deviation_is_that_of_the_chi_square_distribution() -> None:
    assert sd_factors(4) == pytest.approx((0.59913, 2.87355), abs=1e-5)  # tables: 11.1433 and 0.484419


@pytest.mark.parametrize("values", [[[1.0, 2.0]], np.zeros((1, 5, 4)), np.zeros((0, 5, 5)), [1.0]])
def test_other_shapes_are_refused(values: object) -> None:
    with pytest.raises(ValueError, match="shape"):
        variance_components(values, 2)  # type: ignore[arg-type]


def test_missing_values_and_impossible_levels_are_refused() -> None:
    y = planted(np.random.default_rng(7), (1.0, 1.0), 1.0)
    with pytest.raises(ValueError, match="level"):
        variance_components(y, 2, level=1.0)
    with pytest.raises(ValueError, match="degree of freedom"):
        sd_factors(0)
    y[0, 1, 2] = np.nan
    with pytest.raises(ValueError, match="finite"):
        variance_components(y, 2)


def covers(own: Component, true: float, share: float) -> tuple[bool, bool]:
    return own.low <= true <= own.high, own.share_low <= share <= own.share_high


def coverage(own: Sequence[float], rest: float, squares: int, replicates: int) -> tuple[np.ndarray, np.ndarray, float]:
    """How often the intervals of the components and of their shares hold the truth, and those of the total.

    The parts are in the order of the sources, with the interactions last.
    """
    rng = np.random.default_rng([len(own), squares, replicates])
    truth, total = (*own, rest), sum(own) + rest
    hits, whole = np.zeros((len(truth), 2)), 0
    for _ in range(replicates):
        found = variance_components(planted(rng, own, rest, squares), len(own))
        parts = (*found.sources, found.interactions)
        hits += [covers(part, true, true / total) for part, true in zip(parts, truth, strict=True)]
        whole += found.total.low <= total <= found.total.high
    return hits[:, 0] / replicates, hits[:, 1] / replicates, whole / replicates


TRUTHS = [
    pytest.param((4.0, 1.0, 1.0, 1.0, 1.0), 1.0, id="one large source"),
    pytest.param((0.0, 0.0, 0.0, 0.0, 0.0), 1.0, id="interactions alone"),
    pytest.param((3.0, 0.0, 0.0, 0.0), 2.0, id="one source and interactions"),
    pytest.param((1.0, 1.0), 6.0, id="mostly interactions"),
]


def test_the_intervals_of_planted_components_hold_the_truth() -> None:
    sizes, shares, total = coverage((4.0, 1.0, 1.0, 1.0, 1.0), 1.0, 1, 200)
    assert sizes.min() > 0.9
    assert shares.min() > 0.9
    assert total > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("squares", [1, 4])
@pytest.mark.parametrize(("own", "rest"), TRUTHS)
def test_the_intervals_hold_the_truth_in_19_of_20_studies(own: Sequence[float], rest: float, squares: int) -> None:
    replicates = 1000
    least = 0.95 - 3 * math.sqrt(0.95 * 0.05 / replicates)
    sizes, shares, total = coverage(own, rest, squares, replicates)
    assert sizes.min() > least
    assert shares.min() > least
    assert total > least


def one_at_a_time(rng: np.random.Generator, own: Sequence[float], rest: float) -> np.ndarray:
    """Sample variances where one source at a time varies around a base seed, over five seeds each.

    Interactions are new for every combination of seeds: the base run is common to all sources.
    """
    base_noise = math.sqrt(rest) * rng.normal()
    found = []
    for component in own:
        effects = math.sqrt(component) * rng.normal(size=SIDE)
        noise = np.append(base_noise, math.sqrt(rest) * rng.normal(size=SIDE - 1))
        found.append((effects + noise).var(ddof=1))
    return np.array(found)


@pytest.mark.slow
def test_one_source_at_a_time_counts_interactions_with_every_source_and_a_square_does_not() -> None:
    own, rest, rng = (1.0, 0.0, 0.0, 0.0, 0.0), 1.0, np.random.default_rng(8)
    alone = np.mean([one_at_a_time(rng, own, rest) for _ in range(3000)], axis=0)
    assert alone == pytest.approx([2.0, 1.0, 1.0, 1.0, 1.0], abs=0.1)  # sums to three times the total
    parts = []
    for _ in range(1000):
        found = variance_components(planted(rng, own, rest), 5)
        parts.append([*(source.variance for source in found.sources), found.total.variance])
    mean = np.mean(parts, axis=0)
    assert mean[-1] == pytest.approx(2.0, abs=0.15)
    assert mean[0] > 5 * mean[1:-1].max()
