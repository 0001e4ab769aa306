"""Seed variance and test-set noise."""

import math

import numpy as np
import pytest

from ablation.stats.noise import binomial_sd, decompose_seed_variance


def outcomes(recipe: float, seeds: int = 400, examples: int = 2000) -> np.ndarray:
    rng = np.random.default_rng(0)
    chance = np.clip(rng.beta(4, 1, size=examples) + recipe * rng.normal(size=(seeds, 1)), 0, 1)
    return rng.random((seeds, examples)) < chance


def test_binomial_sd_of_a_known_case() -> None:
    assert binomial_sd(0.9, 10_000) == pytest.approx(0.003)
    assert binomial_sd(1.0, 5) == binomial_sd(0.0, 5) == 0
    assert binomial_sd(0.5, 1) == 0.5


def test_coin_flips_alone_leave_nothing_to_the_recipe() -> None:
    result = decompose_seed_variance(outcomes(0.0))
    assert result.total == pytest.approx(result.coin_flips, rel=0.1)
    assert result.recipe < 0.4 * result.total
    assert result.coin_flips < result.test_set


def test_a_recipe_whose_quality_moves_is_told_from_coin_flips() -> None:
    result = decompose_seed_variance(outcomes(0.02))
    accuracies = np.clip(np.random.default_rng(0).beta(4, 1, size=2000) + 0.02, 0, 1).mean()
    assert result.recipe == pytest.approx(0.016, rel=0.25)
    assert 0.7 < result.accuracy < accuracies
    assert result.total**2 == pytest.approx(result.recipe**2 + result.coin_flips**2, rel=1e-9)


def test_identical_predictions_have_no_seed_variance() -> None:
    result = decompose_seed_variance(np.tile([True, False, True, True], (3, 1)))
    assert (result.total, result.coin_flips, result.recipe) == (0, 0, 0)
    assert result.test_set == pytest.approx(math.sqrt(0.75 * 0.25 / 4))


def test_seeds_that_are_all_right_or_all_wrong_are_all_recipe() -> None:
    result = decompose_seed_variance(np.array([[True] * 50, [False] * 50]))
    assert result.recipe == pytest.approx(result.total)
    assert result.coin_flips == 0


def test_the_parts_are_those_of_jordans_formula() -> None:
    """total^2 = recipe^2 + (W - recipe^2) / N, with W the mean over examples of the variance over seeds."""
    correct = np.random.default_rng(1).random((5, 8)) < np.linspace(0.2, 0.9, 5)[:, None]
    result = decompose_seed_variance(correct)
    within = np.mean([np.var(example, ddof=1) for example in correct.T])
    total = np.var([np.mean(run) for run in correct], ddof=1)
    assert (result.n, result.examples, result.accuracy) == (5, 8, pytest.approx(correct.mean()))
    assert result.total == pytest.approx(math.sqrt(total))
    assert result.recipe**2 + (within - result.recipe**2) / 8 == pytest.approx(total)
    assert result.coin_flips == pytest.approx(math.sqrt((within - result.recipe**2) / 8))
    assert result.test_set == pytest.approx(math.sqrt(correct.mean() * (1 - correct.mean()) / 8))


def test_two_seeds_and_two_examples_are_enough() -> None:
    result = decompose_seed_variance([[True, False], [False, True]])
    assert (result.total, result.recipe) == (0, 0)
    assert result.coin_flips == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(1, 10), (10, 1), (4,)])
def test_too_little_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        decompose_seed_variance(np.ones(shape))
    with pytest.raises(ValueError, match="accuracy"):
        binomial_sd(1.2, 5)
    with pytest.raises(ValueError, match="accuracy"):
        binomial_sd(0.5, 0)
