"""Optimism of selection."""

import math

import numpy as np
import pytest
from scipy import integrate, special

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


def test_the_winner_of_unequal_candidates_agrees_with_adaptive_integration() -> None:
    """The noise of candidate i where it wins: its density there, times the chance that all others lie below."""
    means, noise = [0.0, 0.4, 0.5, -1.0], 0.6

    def won(score: float) -> float:
        z = (score - np.array(means)) / noise
        below = special.ndtr(z)
        return sum(z[i] * math.exp(-0.5 * z[i] ** 2) * np.prod(np.delete(below, i)) for i in range(4))

    expected = integrate.quad(won, -6, 6, epsabs=1e-11)[0] / math.sqrt(2 * math.pi)
    assert winner_optimism(means, noise) == pytest.approx(expected, abs=1e-9)
    assert winner_optimism(np.array(means) + 70, noise) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("m", [100, 1000])
def test_the_best_of_many_equals_agrees_with_adaptive_integration(m: int) -> None:
    def largest(z: float) -> float:
        return m * z * math.exp(-0.5 * z * z) * special.ndtr(z) ** (m - 1)

    expected = integrate.quad(largest, -9, 9, points=[2, 3, 4], epsabs=1e-12)[0] / math.sqrt(2 * math.pi)
    assert best_of(m, 2.0) == pytest.approx(2 * expected, abs=1e-9)


def test_a_clear_winner_is_hardly_flattered() -> None:
    assert winner_optimism([0.0, 100.0, 3.0], 1.0) == pytest.approx(0, abs=1e-12)
    assert winner_optimism([0.5, 0.5], 0.0) == 0
    assert winner_optimism([0.0, 1.0], 1e-200) == pytest.approx(0, abs=1e-12)


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


def test_variants_are_shrunk_by_the_share_of_their_spread_that_noise_explains() -> None:
    y = np.random.default_rng(8).normal(size=(5, 3)) + np.array([0.0, 0.5, 1.0, 2.0, 2.5])[:, None]
    result = best_of_variants(y)
    residual = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean()
    noise = math.sqrt((residual**2).sum() / 8 / 3)
    means = y.mean(axis=1)
    keep = math.sqrt(1 - noise**2 / means.var(ddof=1))
    assert (result.candidates, result.noise) == (5, pytest.approx(noise))
    assert result.expected == pytest.approx(winner_optimism(means.mean() + keep * (means - means.mean()), noise))
    assert result.ceiling == pytest.approx(best_of(5, noise))


@pytest.mark.parametrize("unit", [0.01, 100.0])
def test_optimism_has_the_unit_of_the_metric(unit: float) -> None:
    rng = np.random.default_rng(3)
    y, curves = rng.normal(size=(5, 3)) + np.arange(5)[:, None], rng.normal(size=(2, 8))
    for found, scaled in [
        (best_of_variants(y), best_of_variants(unit * y)),
        (best_of_epochs(curves), best_of_epochs(unit * curves)),
    ]:
        for name in ("noise", "expected", "ceiling"):
            assert getattr(scaled, name) == pytest.approx(unit * getattr(found, name))


def test_variants_that_differ_less_than_their_noise_are_taken_for_equals() -> None:
    y = np.array([[0.0, 1.0, -1.0], [1.0, -1.0, 0.0], [-1.0, 0.1, 1.0]])
    result = best_of_variants(y)
    assert result.expected == pytest.approx(result.ceiling)
    assert result.ceiling > 0


def test_two_variants_under_two_seeds_are_enough() -> None:
    result = best_of_variants([[0.0, 1.0], [0.4, 0.9]])
    assert (result.candidates, result.noise) == (2, pytest.approx(math.sqrt(0.0625 / 2)))


def test_the_noise_of_curves_is_the_sd_of_their_jitter_and_a_trend_adds_none() -> None:
    jitter = 0.02 * np.random.default_rng(1).normal(size=(300, 50))
    trend = np.linspace(0.3, 0.8, 300)[:, None] + np.linspace(0, 5, 50)
    noise = best_of_epochs(jitter + trend).noise
    assert noise == pytest.approx(0.02, rel=0.02)
    assert noise == pytest.approx(best_of_epochs(jitter).noise)


def test_the_true_score_of_an_epoch_is_the_mean_of_five_and_of_fewer_at_the_ends() -> None:
    curves = np.random.default_rng(2).normal(size=(3, 9))
    result = best_of_epochs(curves)
    expected = []
    for curve in curves:
        reaches = [min(2, i, 8 - i) for i in range(9)]
        means = [np.mean(curve[i - reach : i + reach + 1]) for i, reach in enumerate(reaches)]
        expected.append(winner_optimism(means, result.noise))
    assert result.expected == pytest.approx(np.mean(expected))
    assert result.ceiling == pytest.approx(best_of(9, result.noise))


def test_five_epochs_are_enough() -> None:
    assert best_of_epochs([[0.1, 0.5, 0.2, 0.4, 0.3]]).candidates == 5


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
