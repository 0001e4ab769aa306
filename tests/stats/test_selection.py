"""Optimism of selection."""

import math

import numpy as np
import pytest

from ablation.stats.selection import best_of, best_of_epochs, best_of_variants, winner_optimism


@pytest.mark.parametrize(("m", "expected"), [(1, 0.0), (2, 0.5641896), (3, 0.8462844), (10, 1.5387527)])
def test_the_best_of_equals_is_the_tabled_normal_order_statistic(m: int, expected: float) -> None:
    assert best_of(m, 1.0) == pytest.approx(expected, abs=1e-7)
    assert best_of(m, 0.3) == pytest.approx(0.3 * expected, abs=1e-7)


def test_two_candidates_have_their_closed_form() -> None:
    gap, noise = 0.7, 0.5
    width = noise * math.sqrt(2)
    expected = width * math.exp(-0.5 * (gap / width) ** 2) / math.sqrt(2 * math.pi)
    assert winner_optimism([1.0, 1.0 + gap], noise) == pytest.approx(expected, abs=1e-10)


def test_a_clear_winner_is_hardly_flattered() -> None:
    assert winner_optimism([0.0, 100.0, 3.0], 1.0) == pytest.approx(0, abs=1e-12)
    assert winner_optimism([0.5, 0.5], 0.0) == 0


@pytest.mark.parametrize("spread", [0.0, 0.6, 2.0])
def test_the_estimate_for_variants_is_right_on_average(spread: float) -> None:
    rng = np.random.default_rng(0)
    claimed, actual = [], []
    for _ in range(400):
        truth = spread * rng.normal(size=8)
        y = truth[:, None] + rng.normal(size=(8, 3)) + 5 * rng.normal(size=3)
        result = best_of_variants(y)
        error = y.mean(axis=1) - y.mean() - (truth - truth.mean())
        claimed.append(result.expected)
        actual.append(error[y.mean(axis=1).argmax()])
        assert result.expected <= result.ceiling + 1e-12
    assert np.mean(claimed) == pytest.approx(np.mean(actual), abs=0.09)


def test_the_best_epoch_of_a_flat_noisy_curve_is_flattered_and_of_a_smooth_one_is_not() -> None:
    noisy = 0.9 + 0.01 * np.random.default_rng(0).normal(size=(20, 60))
    actual = np.mean(noisy.max(axis=1)) - 0.9
    result = best_of_epochs(noisy)
    assert result.candidates == 60
    assert result.noise == pytest.approx(0.01, rel=0.1)
    assert 0.7 * actual < result.expected < 1.1 * actual
    assert result.expected <= result.ceiling
    smooth = 0.9 * (1 - np.exp(-np.arange(60) / 15))[None]
    assert best_of_epochs(smooth).expected < 0.003


def test_a_straight_curve_has_no_noise() -> None:
    assert best_of_epochs([np.arange(8.0)]).expected == pytest.approx(0, abs=1e-12)


def test_constant_scores_have_no_optimism() -> None:
    assert best_of_variants(np.ones((4, 3))).expected == 0


def test_a_seed_with_a_gap_is_left_out() -> None:
    y = np.random.default_rng(1).normal(size=(4, 5))
    y[2, 1] = np.nan
    assert best_of_variants(y) == best_of_variants(np.delete(y, 1, axis=1))


def test_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="selection"):
        best_of_variants([[1.0, 2.0]])
    with pytest.raises(ValueError, match="two seeds"):
        best_of_variants([[1.0], [2.0]])
    with pytest.raises(ValueError, match="epochs"):
        best_of_epochs(np.ones((2, 4)))
    with pytest.raises(ValueError, match="gaps"):
        best_of_epochs([[1.0, 2.0, np.nan, 2.0, 1.0]])
    for means, noise in (([], 1.0), ([1.0], -1.0), ([1.0], math.nan)):
        with pytest.raises(ValueError, match="winner"):
            winner_optimism(means, noise)
