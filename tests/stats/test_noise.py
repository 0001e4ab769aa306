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
    assert binomial_sd(1.0, 5) == 0


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


@pytest.mark.parametrize("shape", [(1, 10), (10, 1), (4,)])
def test_too_little_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        decompose_seed_variance(np.ones(shape))
    with pytest.raises(ValueError, match="accuracy"):
        binomial_sd(1.2, 5)
    with pytest.raises(ValueError, match="accuracy"):
        binomial_sd(0.5, 0)
