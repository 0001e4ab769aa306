"""What a design can detect."""

import math
import time

import numpy as np
import pytest
from scipy import stats

from ablation.stats.blocked import own_factor
from ablation.stats.contrasts import interactions
from ablation.stats.dunnett import critical_value
from ablation.stats.pooling import block_mse
from ablation.stats.power import (
    claims,
    detection_power,
    seeds_for,
    seeds_to_halve,
    smallest_detectable_contrast,
    smallest_detectable_effect,
)


@pytest.mark.parametrize(("n", "expected"), [(2, 15.5), (3, 5.1), (5, 2.9), (10, 1.8)])
def test_smallest_effects_of_eight_variants_are_those_of_the_protocol(n: int, expected: float) -> None:
    assert smallest_detectable_effect(n, 8) == pytest.approx(expected, abs=0.08)


@pytest.mark.parametrize(("n", "expected"), [(2, 0.115), (3, 0.637), (5, 0.991)])
def test_power_for_three_sigma_is_that_of_the_protocol(n: int, expected: float) -> None:
    """Three SDs of a run are 3 sqrt(2) residual SDs where half the variance is common to the runs of a seed."""
    assert detection_power(3 * 2**0.5, n, 8) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("n", [3, 6])
def test_one_variant_has_the_power_of_the_paired_t_test(n: int) -> None:
    bar = stats.t.isf(0.025, n - 1)
    shift = 2.0 * math.sqrt(n / 2)
    expected = stats.nct.sf(bar, n - 1, shift) + stats.nct.sf(bar, n - 1, -shift)
    assert detection_power(2.0, n, 1) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("n", "k"), [(2, 5), (3, 8), (4, 2), (8, 3)])
def test_power_agrees_with_simulated_residuals(n: int, k: int) -> None:
    """The half-widths come from whole tables of residuals here, not from their decomposition."""
    effect, studies, df = smallest_detectable_effect(n, k), 40_000, k * (n - 1)
    y = np.random.default_rng(n).normal(size=(studies, k + 1, n))
    residual = y - y.mean(axis=2, keepdims=True) - y.mean(axis=1, keepdims=True) + y.mean(axis=(1, 2), keepdims=True)
    squares = (residual**2).sum(axis=2)
    own = np.maximum(squares[:, 0], squares[:, 1]) * ((k + 1) / k) ** 2 / (n - 1)
    d = y[:, 1] - y[:, 0]
    error = np.sqrt(np.maximum(2 * squares.sum(axis=1) / df, d.var(axis=1, ddof=1)) / n)
    own_bar = stats.t.isf(0.05 / own_factor(n, k) / 2, n - 1)
    half = np.maximum(critical_value(0.05, k, df) * error, own_bar * np.sqrt(own / n))
    found = np.abs(d.mean(axis=1) + effect) > half
    assert found.mean() == pytest.approx(0.8, abs=0.009)  # over four standard errors


def test_power_counts_an_effect_of_either_sign_once() -> None:
    """Without an effect, one variant alone is detected alpha of the time."""
    assert detection_power(0.0, 5, 1) == pytest.approx(0.05, abs=1e-9)
    assert detection_power(0.0, 5, 1, 0.2) == pytest.approx(0.2, abs=1e-9)


def test_without_an_effect_power_is_under_alpha_over_one_family() -> None:
    assert 0 < detection_power(0.0, 3, 8) < detection_power(0.0, 10, 8) < 0.05 / 8


def test_power_grows_with_effect_and_seeds_and_ignores_the_sign() -> None:
    by_effect = [detection_power(x, 3, 8) for x in np.linspace(0, 8, 20)]
    by_seeds = [detection_power(2.0, n, 8) for n in range(2, 20)]
    assert np.all(np.diff(by_effect) > 0)
    assert np.all(np.diff(by_seeds) > 0)
    assert detection_power(-2.0, 4, 6) == detection_power(2.0, 4, 6)


def test_the_smallest_effect_has_exactly_the_power_asked_for() -> None:
    for n, k, alpha, target in [(2, 4, 0.05, 0.8), (3, 1, 0.01, 0.9), (7, 40, 0.05, 0.5)]:
        effect = smallest_detectable_effect(n, k, alpha, target)
        assert detection_power(effect, n, k, alpha) == pytest.approx(target, abs=1e-8)


@pytest.mark.parametrize(("n", "k", "possible"), [(1, 8, False), (2, 3, False), (2, 4, True), (3, 1, True)])
def test_designs_without_a_claim_detect_nothing(n: int, k: int, possible: bool) -> None:
    assert claims(n, k) is possible
    assert math.isfinite(smallest_detectable_effect(n, k)) is possible
    assert (detection_power(1e3, n, k) > 0.99) is possible


def test_seeds_to_halve_is_the_first_number_that_does() -> None:
    for n, k in [(2, 8), (3, 8), (3, 1), (10, 12)]:
        more = seeds_to_halve(n, k)
        half = smallest_detectable_effect(n, k) / 2
        assert smallest_detectable_effect(more, k) <= half < smallest_detectable_effect(more - 1, k)


def test_seeds_for_an_effect_is_the_first_number_that_detects_it() -> None:
    assert seeds_for(2.6, 8) == 6
    assert seeds_for(100.0, 8) == 2
    assert seeds_for(100.0, 1) == 3
    assert type(seeds_for(2.6, 8)) is int


def test_a_hundred_thousand_seeds_are_the_most() -> None:
    effect = smallest_detectable_effect(100_000, 8)
    assert seeds_for(effect, 8) == 100_000
    with pytest.raises(ValueError, match="practical"):
        seeds_for(effect * (1 - 1e-9), 8)


def test_the_level_is_five_per_cent_and_the_power_eighty_unless_asked_otherwise() -> None:
    assert detection_power(2.0, 4, 3) == detection_power(2.0, 4, 3, 0.05)
    assert smallest_detectable_effect(4, 3) == smallest_detectable_effect(4, 3, 0.05, 0.8)
    assert seeds_for(1.0, 3) == seeds_for(1.0, 3, 0.05, 0.8) != seeds_for(1.0, 3, 0.075, 0.8)
    assert seeds_to_halve(5, 3) == seeds_to_halve(5, 3, 0.05, 0.8) != seeds_to_halve(5, 3, 0.075, 0.8)


def test_planning_is_quick_and_gives_the_same_bits() -> None:
    critical_value.cache_clear()
    began = time.process_time()
    first = smallest_detectable_effect(3, 9), seeds_to_halve(3, 9)
    assert time.process_time() - began < 2.0
    critical_value.cache_clear()
    assert first == (smallest_detectable_effect(3, 9), seeds_to_halve(3, 9))


def test_the_least_design_is_asked_for_and_gives_no_power() -> None:
    assert detection_power(9.0, 1, 1) == 0
    assert smallest_detectable_effect(1, 1) == math.inf


def test_a_target_between_alpha_and_one_is_possible_at_its_ends() -> None:
    assert smallest_detectable_effect(5, 3, 0.05, 0.051) > 0
    assert smallest_detectable_effect(5, 3, 0.05, 0.9999) > smallest_detectable_effect(5, 3)
    for target in (0.05, 1.0, math.nan):
        with pytest.raises(ValueError, match="target"):
            smallest_detectable_effect(5, 3, 0.05, target)


@pytest.mark.parametrize("n", [3, 8])
def test_a_contrast_of_two_variants_is_their_comparison(n: int) -> None:
    assert smallest_detectable_contrast(n, 1, 2.0) == pytest.approx(smallest_detectable_effect(n, 1), rel=1e-9)


def test_a_contrast_needs_more_where_its_weights_are_larger_or_its_level_lower() -> None:
    effect = smallest_detectable_contrast(5, 6, 4.0)
    assert smallest_detectable_contrast(5, 6, 1.0) == pytest.approx(effect / 2)
    assert smallest_detectable_contrast(5, 6, 4.0, alpha=0.01) > effect
    assert smallest_detectable_contrast(2, 3, 4.0) == math.inf
    for size, target in ((0.0, 0.8), (4.0, 0.05)):
        with pytest.raises(ValueError, match="target"):
            smallest_detectable_contrast(5, 6, size, target=target)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "k"), [(3, 3), (5, 6)])
def test_the_smallest_interaction_is_detected_four_times_in_five(n: int, k: int) -> None:
    rng, found, studies = np.random.default_rng([n, k]), 0, 5000
    effect = smallest_detectable_contrast(n, k, 4.0)
    for _ in range(studies):
        y = rng.normal(size=n) + rng.normal(size=(k + 1, n))
        y[3] += effect
        mse, df = block_mse(y)
        found += interactions([y[:4]], mse, df)[0].p <= 0.05
    assert found / studies == pytest.approx(0.8, abs=0.02)


def test_impossible_questions_are_refused() -> None:
    with pytest.raises(ValueError, match="variant"):
        detection_power(1.0, 3, 0)
    with pytest.raises(ValueError, match="seed"):
        smallest_detectable_effect(0, 3)
    with pytest.raises(ValueError, match="target"):
        smallest_detectable_effect(3, 3, target=0.01)
    with pytest.raises(ValueError, match="alpha"):
        detection_power(1.0, 3, 3, alpha=0)
    with pytest.raises(ValueError, match="no claim"):
        seeds_to_halve(1, 8)
    for effect in (0.0, -1.0, 1e-6, math.nan):
        with pytest.raises(ValueError, match="practical"):
            seeds_for(effect, 8)
