"""The promises of the protocol, simulated through the functions that users call."""

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest

from ablation.stats import Effect, compare, fit_power_law, interactions, pooled_error, smallest_detectable_effect

pytestmark = pytest.mark.slow

ALPHA = 0.05
REPLICATES = 1250
CURVES = 2500
MONTE_CARLO = 2.0 * math.sqrt(ALPHA * (1 - ALPHA) / REPLICATES)
OF_MANY = 1.5 * MONTE_CARLO
"""Of the largest of two dozen cells."""


def studies(
    n: int,
    k: int,
    effect: float = 0.0,
    rho: float = 0.5,
    sd: dict[int, float] | None = None,
    replicates: int = REPLICATES,
) -> Iterator[np.ndarray]:
    """Studies of runs with SD 1, rho of the variance common to a seed; the first variant has the effect."""
    rng = np.random.default_rng([n, k, round(1000 * effect), replicates])
    scale = np.ones((k + 1, 1))
    for row, value in (sd or {}).items():
        scale[row] = value
    for _ in range(replicates):
        y = math.sqrt(rho) * rng.normal(size=n) + scale * math.sqrt(1 - rho) * rng.normal(size=(k + 1, n))
        y[1] += effect
        yield y


def rate(effects: Iterable[tuple[Effect, ...]], event: Callable[[tuple[Effect, ...]], bool]) -> float:
    return float(np.mean([event(row) for row in effects]))


def effects_of(tables: Iterator[np.ndarray]) -> Iterator[tuple[Effect, ...]]:
    return (compare(y, ALPHA, checks=False).effects for y in tables)


def any_detected(effects: tuple[Effect, ...]) -> bool:
    return any(effect.detected(ALPHA) for effect in effects)


def all_cover(effects: tuple[Effect, ...], first: float) -> bool:
    return all(e.low <= (first if i == 0 else 0.0) <= e.high for i, e in enumerate(effects) if e.estimable)


@pytest.mark.parametrize("k", [5, 8, 12])
@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_family_wise_error_and_coverage_hold_under_the_null(n: int, k: int) -> None:
    rows = list(effects_of(studies(n, k)))
    assert rate(rows, any_detected) <= ALPHA + MONTE_CARLO
    assert rate(rows, lambda row: all_cover(row, 0.0)) >= 0.945


@pytest.mark.parametrize(
    ("n", "expected", "replicates"),
    [(2, 0.115, REPLICATES), (3, 0.637, 10_000), (5, 0.991, REPLICATES), (10, 1.0, REPLICATES)],
)
def test_power_for_three_sigma_is_that_of_the_protocol_and_intervals_cover(
    n: int, expected: float, replicates: int
) -> None:
    """The replicates make the tolerance of .02 at least four standard errors wide."""
    rows = list(effects_of(studies(n, 8, 3.0, replicates=replicates)))
    assert rate(rows, lambda row: row[0].detected(ALPHA)) == pytest.approx(expected, abs=0.02)
    assert rate(rows, lambda row: all_cover(row, 3.0)) >= 0.945


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_the_smallest_detectable_effect_is_detected_four_times_in_five(n: int) -> None:
    effect = smallest_detectable_effect(n, 8)
    found = rate(effects_of(studies(n, 8, effect, rho=0.0, replicates=5000)), lambda row: row[0].detected(ALPHA))
    assert found == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("lost", [1, 4, 7])
def test_missing_runs_do_not_raise_the_family_wise_error(lost: int) -> None:
    def with_gaps() -> Iterator[np.ndarray]:
        for y in studies(5, 8):
            y[-lost:, 0] = np.nan
            yield y

    assert rate(effects_of(with_gaps()), any_detected) <= ALPHA + MONTE_CARLO


@pytest.mark.parametrize("row", [0, 4])
def test_ten_seeds_hold_the_error_with_one_row_of_five_times_the_spread(row: int) -> None:
    assert rate(effects_of(studies(10, 8, sd={row: 5.0})), any_detected) <= ALPHA + MONTE_CARLO


@pytest.mark.parametrize("spread", [3.0, 5.0])
@pytest.mark.parametrize("rows", [(0,), (4,)])
@pytest.mark.parametrize(("n", "k"), [(2, 8), (3, 2), (3, 8), (3, 20), (5, 8)])
def test_few_seeds_hold_the_error_with_a_baseline_or_a_variant_of_far_larger_spread(
    n: int, k: int, rows: tuple[int, ...], spread: float
) -> None:
    sd = {min(row, k): spread for row in rows}
    assert rate(effects_of(studies(n, k, sd=sd)), any_detected) <= ALPHA + OF_MANY


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_half_of_the_variants_may_have_three_times_the_spread(n: int) -> None:
    sd = dict.fromkeys(range(1, 5), 3.0)
    assert rate(effects_of(studies(n, 8, sd=sd)), any_detected) <= ALPHA + OF_MANY


@pytest.mark.parametrize("n", [2, 3, 5])
def test_interactions_hold_their_family_wise_error(n: int) -> None:
    def errs(y: np.ndarray) -> bool:
        pool = pooled_error(y)
        family = interactions([y[[0, 1, 2, 3]], y[[0, 4, 5, 6]]], pool.mse, pool.df, ALPHA)
        return any(contrast.p <= ALPHA for contrast in family)

    assert np.mean([errs(y) for y in studies(n, 6)]) <= ALPHA + MONTE_CARLO


@pytest.mark.parametrize("seeds", [3, 5])
def test_curve_intervals_cover_with_errors_that_share_their_seed(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    f = np.array([0.01, 0.1, 0.5, 0.8, 1.0])
    mean, truth = 0.08 * f**-0.5 + 0.05, (0.5, 0.05, 0.13, 0.08 * 2**-0.5 + 0.05)
    covered = []
    for _ in range(CURVES):
        y = mean[:, None] + 0.003 * (rng.normal(size=seeds) + rng.normal(size=(5, seeds)))
        fit = fit_power_law(f, y, ALPHA)
        intervals = fit.b, fit.c, fit.predict(1.0), fit.predict(2.0)
        covered.append([i.low <= value <= i.high for i, value in zip(intervals, truth, strict=True)])
    assert np.all(np.mean(covered, axis=0) >= 0.95 - 3.0 * math.sqrt(0.05 * 0.95 / CURVES))
