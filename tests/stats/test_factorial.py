"""Effects and Shapley values of a factorial."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from ablation.stats import factorial_effects, interactions, pooled_error, shapley_values
from ablation.stats.factorial import effect_weights, shapley_weights
from ablation.stats.paired import sidak, sidak_level

ALPHA = 0.05
REPLICATES = 2000
MONTE_CARLO = 2.0 * math.sqrt(ALPHA * (1 - ALPHA) / REPLICATES)


def states(m: int) -> np.ndarray:
    """Which components are on in each row, shape (2^m, m)."""
    return (np.arange(2**m)[:, None] >> np.arange(m)) & 1


def noisy(worth: np.ndarray, seeds: int = 5, seed: int = 0, sd: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return worth[:, None] + rng.normal(size=seeds) + sd * rng.normal(size=(len(worth), seeds))


def test_the_weights_of_two_components_are_those_of_the_textbook() -> None:
    np.testing.assert_allclose(effect_weights(2), [[-0.5, 0.5, -0.5, 0.5], [-0.5, -0.5, 0.5, 0.5], [1, -1, -1, 1]])


@pytest.mark.parametrize("m", [1, 2, 3, 5])
def test_effects_are_orthogonal_differences(m: int) -> None:
    weights = effect_weights(m)
    np.testing.assert_allclose(weights.sum(axis=1), 0, atol=1e-12)
    products = weights @ weights.T
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-12)


def test_an_effect_is_a_difference_averaged_over_the_other_components() -> None:
    y, on = noisy(np.random.default_rng(1).normal(size=8)), states(3).astype(bool)
    mean = y.mean(axis=1)
    effects = [own.estimate for own in factorial_effects(y, 0.01, 28)]

    def at(*wanted: bool | None) -> float:
        return float(mean[[all(w in (None, s) for w, s in zip(wanted, row, strict=True)) for row in on]].mean())

    def pair(third: bool | None) -> float:
        return at(True, True, third) - at(True, False, third) - at(False, True, third) + at(False, False, third)

    assert effects[0b001 - 1] == pytest.approx(at(True, None, None) - at(False, None, None))
    assert effects[0b100 - 1] == pytest.approx(at(None, None, True) - at(None, None, False))
    assert effects[0b011 - 1] == pytest.approx(pair(None))
    assert effects[0b111 - 1] == pytest.approx(pair(True) - pair(False))


def test_of_two_components_the_interaction_is_that_of_two_changes() -> None:
    y = noisy(np.array([0.0, 1.0, 2.0, 4.0]))
    (own,) = interactions([y], 0.02, 12)
    *_, effect = factorial_effects(y, 0.02, 12)
    assert (effect.estimate, effect.t, effect.p_alone) == (own.estimate, own.t, own.p_alone)


def test_p_values_and_intervals_are_those_of_sidak_for_one_family_and_agree() -> None:
    y = noisy(np.array([0.0, 0.05, 0.1, 0.5]))
    found = factorial_effects(y, 0.02, 12)
    bar = stats.t.isf((1 - 0.95 ** (1 / 3)) / 2, 12)
    for own, row in zip(found, effect_weights(2), strict=True):
        variance = max(0.02 * float(row @ row), float((row @ y).var(ddof=1)))
        assert own.high - own.low == pytest.approx(2 * bar * math.sqrt(variance / 5))
        assert own.p == pytest.approx(1 - (1 - 2 * stats.t.sf(abs(own.t), 12)) ** 3)
        assert (own.p <= 0.05) == (not own.low <= 0 <= own.high)


def test_sidaks_adjustment_has_its_limits() -> None:
    assert sidak_level(0.05, 3) == pytest.approx(0.016952427508441503)
    assert sidak_level(0.05, 1) == pytest.approx(0.05)
    assert sidak(1.0, 5) == 1.0
    assert sidak(0.0, 5) == 0.0
    assert sidak(1e-20, 5) == pytest.approx(5e-20, rel=1e-12)
    assert math.isnan(sidak(math.nan, 5))


GAMES = {
    "one left glove and two right ones": ([0, 0, 0, 1, 0, 1, 0, 1], [2 / 3, 1 / 6, 1 / 6]),
    "the majority of three": ([0, 0, 0, 1, 0, 1, 1, 1], [1 / 3, 1 / 3, 1 / 3]),
    "additive": ([0, 2, -1, 1, 4, 6, 3, 5], [2, -1, 4]),
    "all three are needed": ([0, 0, 0, 0, 0, 0, 0, 6], [2, 2, 2]),
    "the third adds nothing": ([0, 2, 1, 7, 0, 2, 1, 7], [4, 3, 0]),
    "weights 3, 2, 2, 1 and a quota of 5": (
        [sum(w for j, w in enumerate((3, 2, 2, 1)) if cell >> j & 1) >= 5 for cell in range(16)],
        [5 / 12, 1 / 4, 1 / 4, 1 / 12],
    ),
}


@pytest.mark.parametrize("name", GAMES)
def test_known_games_have_their_shapley_values(name: str) -> None:
    worth, expected = (np.array(own, dtype=float) for own in GAMES[name])
    np.testing.assert_allclose(shapley_weights(len(expected)) @ worth, expected, atol=1e-12)


def test_values_are_the_mean_over_all_orders() -> None:
    worth = np.random.default_rng(0).normal(size=16)
    values = np.zeros(4)
    orders = list(itertools.permutations(range(4)))
    for order in orders:
        cell = 0
        for component in order:
            values[component] += worth[cell | 1 << component] - worth[cell]
            cell |= 1 << component
    np.testing.assert_allclose(shapley_weights(4) @ worth, values / len(orders))


def test_values_add_up_to_the_total_and_shares_to_one() -> None:
    y = noisy(states(3) @ np.array([2.0, -1.0, 0.0]))
    found = shapley_values(y, 0.01, 28)
    assert found.shares is not None
    assert sum(own.estimate for own in found.values) == pytest.approx(found.total.estimate)
    assert sum(own.value for own in found.shares) == pytest.approx(1.0)
    assert found.total.estimate == pytest.approx(float((y[-1] - y[0]).mean()))
    for own, effect in zip(found.values, (2.0, -1.0, 0.0), strict=True):
        assert own.low <= effect <= own.high
    for share, effect in zip(found.shares, (2.0, -1.0, 0.0), strict=True):
        assert share.low <= effect / 1.0 <= share.high


def test_of_two_components_the_value_is_the_main_effect() -> None:
    y = noisy(np.array([0.0, 1.0, 2.0, 9.0]))
    effects, values = factorial_effects(y, 0.01, 12)[:2], shapley_values(y, 0.01, 12).values
    assert [own.estimate for own in values] == pytest.approx([own.estimate for own in effects])


@pytest.mark.parametrize(("mse", "sd"), [(0.2, 0.1), (0.001, 0.5)])
def test_the_interval_of_a_share_has_every_ratio_that_is_not_rejected(mse: float, sd: float) -> None:
    """The ends are where the guarded t test of `value - share total` is just at its critical value."""
    y = noisy(states(2) @ np.array([4.0, 3.0]), seeds=6, sd=sd)
    found = shapley_values(y, mse, 15)
    assert found.shares is not None
    bar = stats.t.isf(sidak_level(0.05, 5) / 2, 15)
    ends = np.array([-1.0, 0.0, 0.0, 1.0])
    for share, row in zip(found.shares, shapley_weights(2), strict=True):
        for theta, inside in ((share.low, None), (share.high, None), (share.value, True), (share.low - 0.1, False)):
            w = row - theta * ends
            error = math.sqrt(max(mse * float(w @ w), float((w @ y).var(ddof=1))) / 6)
            size = abs(float((w @ y).mean())) / error
            assert size == pytest.approx(bar, rel=1e-6) if inside is None else (size < bar) == inside


def test_without_a_clear_total_there_are_no_shares() -> None:
    y = noisy(states(2) @ np.array([1.0, -1.0]))
    found = shapley_values(y, 0.01, 12)
    assert found.total.low < 0 < found.total.high
    assert found.shares is None
    assert found.values[0].low > 0


def test_a_negative_total_has_shares_too() -> None:
    found = shapley_values(noisy(states(2) @ np.array([-3.0, -1.0])), 0.01, 12)
    assert found.shares is not None
    for share, expected in zip(found.shares, (0.75, 0.25), strict=True):
        assert share.low < expected < share.high


def test_a_seed_that_lacks_a_combination_is_left_out() -> None:
    y = np.random.default_rng(2).normal(size=(4, 5))
    y[3, 0] = np.nan
    assert factorial_effects(y, 1.0, 12) == factorial_effects(y[:, 1:], 1.0, 12)
    assert shapley_values(y, 1.0, 12) == shapley_values(y[:, 1:], 1.0, 12)


def test_two_seeds_need_four_degrees_of_freedom() -> None:
    y = np.random.default_rng(3).normal(size=(4, 2))
    assert all(math.isnan(own.p) for own in factorial_effects(y, 1.0, 3))
    assert shapley_values(y, 1.0, 3).shares is None
    assert not any(math.isnan(own.p) for own in factorial_effects(y, 1.0, 4))


@pytest.mark.parametrize("cells", [1, 3, 6, 2**9])
def test_anything_but_a_full_factorial_is_refused(cells: int) -> None:
    with pytest.raises(ValueError, match="factorial"):
        factorial_effects(np.ones((cells, 3)), 1.0, 6)
    with pytest.raises(ValueError, match="factorial"):
        shapley_values(np.ones((cells, 3)), 1.0, 6)


@pytest.mark.parametrize(("mse", "df"), [(1.0, 0), (math.nan, 4), (-1.0, 4)])
def test_without_a_pooled_error_nothing_is_tested(mse: float, df: int) -> None:
    with pytest.raises(ValueError, match="pooled error"):
        factorial_effects(np.ones((4, 3)), mse, df)


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n", "spread"), [(2, 3, 1), (3, 2, 1), (3, 5, 1), (4, 3, 1), (3, 5, 3), (2, 10, 3)])
def test_intervals_of_effects_and_values_cover_together(m: int, n: int, spread: float) -> None:
    """Interactions of every order, half of the variance common to a seed, the last combination of another spread.

    A study in which the screen finds that spread makes no statement, and so no false one.
    """
    rng = np.random.default_rng([m, n, round(spread)])
    worth = rng.normal(size=2**m)
    worth[-1] += 12.0
    effects, values = effect_weights(m) @ worth, shapley_weights(m) @ worth
    total = worth[-1] - worth[0]
    scale = np.ones((2**m, 1))
    scale[-1] = spread
    missed, lost, shared, used = 0, 0, 0, 0
    for _ in range(REPLICATES):
        y = worth[:, None] + rng.normal(size=n) + scale * rng.normal(size=(2**m, n))
        pool = pooled_error(y)
        if not all(pool.kept):  # an outlying spread: no analysis is made
            continue
        used += 1
        own = factorial_effects(y, pool.mse, pool.df, ALPHA)
        missed += not all(one.low <= truth <= one.high for one, truth in zip(own, effects, strict=True))
        game = shapley_values(y, pool.mse, pool.df, ALPHA)
        truths = [*zip((*game.values, game.total), (*values, total), strict=True)]
        truths += [*zip(game.shares, values / total, strict=True)] if game.shares else []
        shared += game.shares is not None
        lost += not all(one.low <= truth <= one.high for one, truth in truths)
    print(f"{m=} {n=} {spread=} {used=}: effects {missed / used:.4f}, values {lost / used:.4f}")
    assert missed / REPLICATES <= ALPHA + MONTE_CARLO
    assert lost / REPLICATES <= ALPHA + MONTE_CARLO
    assert shared > 0.9 * used > 0


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n"), [(2, 3), (2, 10), (3, 3), (4, 2), (5, 3)])
def test_without_any_effect_the_family_wise_error_is_alpha(m: int, n: int) -> None:
    rng = np.random.default_rng([m, n])
    wrong = 0
    for _ in range(REPLICATES):
        y = rng.normal(size=n) + rng.normal(size=(2**m, n))
        pool = pooled_error(y)
        wrong += any(own.p <= ALPHA for own in factorial_effects(y, pool.mse, pool.df, ALPHA))
    assert wrong / REPLICATES <= ALPHA + MONTE_CARLO
    print(f"{m=} {n=}: {wrong / REPLICATES:.4f}")
