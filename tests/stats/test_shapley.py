"""Shapley shares."""

import itertools

import numpy as np
import pytest
from scipy import stats

from ablation.stats.shapley import shapley_shares, shapley_weights


def test_the_glove_game_has_its_textbook_shares() -> None:
    """One left glove, two right ones; a pair is worth 1: shares 2/3, 1/6, 1/6."""
    worth = np.array([float(bool(cell & 1) and bool(cell & 6)) for cell in range(8)])
    np.testing.assert_allclose(shapley_weights(3) @ worth, [2 / 3, 1 / 6, 1 / 6])


def test_shares_are_the_mean_over_all_orders() -> None:
    worth = np.random.default_rng(0).normal(size=16)
    shares = np.zeros(4)
    orders = list(itertools.permutations(range(4)))
    for order in orders:
        cell = 0
        for component in order:
            shares[component] += worth[cell | 1 << component] - worth[cell]
            cell |= 1 << component
    np.testing.assert_allclose(shapley_weights(4) @ worth, shares / len(orders))


def test_shares_add_up_and_additive_components_get_their_effect() -> None:
    rng = np.random.default_rng(1)
    effects = np.array([2.0, -1.0, 0.0])
    on = (np.arange(8)[:, None] >> np.arange(3)) & 1
    y = 90 + (on @ effects)[:, None] + rng.normal(size=5) + 0.05 * rng.normal(size=(8, 5))
    result = shapley_shares(y, mse=0.0025, df=28)
    assert sum(c.estimate for c in result.shares) == pytest.approx(result.total.estimate)
    for share, effect in zip(result.shares, effects, strict=True):
        assert share.low <= effect <= share.high
    assert [share.p < 0.01 for share in result.shares] == [True, True, False]


def test_one_component_has_the_whole_difference() -> None:
    result = shapley_shares([[1.0, 1.1, 0.9], [2.0, 2.2, 2.1]], 0.01, 4)
    assert result.shares == (result.total,)
    assert result.total.estimate == pytest.approx(1.1)


def test_a_seed_that_lacks_a_cell_is_left_out() -> None:
    y = np.random.default_rng(2).normal(size=(4, 5))
    y[3, 0] = np.nan
    assert shapley_shares(y, 1.0, 12) == shapley_shares(y[:, 1:], 1.0, 12)


def test_twelve_components_are_taken() -> None:
    on = (np.arange(2**12)[:, None] >> np.arange(12)) & 1
    result = shapley_shares((on @ np.arange(12.0))[:, None] + np.array([0.0, 1.0, 5.0]), 1.0, 6)
    np.testing.assert_allclose([share.estimate for share in result.shares], np.arange(12), atol=1e-9)


def test_the_intervals_of_the_shares_are_one_family_and_that_of_the_total_is_another() -> None:
    y = np.random.default_rng(3).normal(size=(4, 6))
    result, strict = shapley_shares(y, 4.0, 20), shapley_shares(y, 4.0, 20, alpha=0.025)
    widths = [c.high - c.low for c in (*result.shares, result.total)]
    error = [np.sqrt(4.0 * 4 * 0.25 / 6)] * 2 + [np.sqrt(4.0 * 2 / 6)]
    bars = [stats.t.isf(alpha / 2, 20) for alpha in (0.025, 0.025, 0.05)]
    np.testing.assert_allclose(widths, [2 * bar * e for bar, e in zip(bars, error, strict=True)])
    assert result == shapley_shares(y, 4.0, 20, 0.05)
    assert strict.total.high - strict.total.low == pytest.approx(2 * bars[0] * error[2])


@pytest.mark.parametrize("cells", [1, 3, 6, 2**13])
def test_anything_but_a_full_factorial_is_refused(cells: int) -> None:
    with pytest.raises(ValueError, match="factorial"):
        shapley_shares(np.ones((cells, 3)), 1.0, 6)
