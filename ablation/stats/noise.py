"""What the noise of an accuracy is made of: the seed of the training run, and the finite test set."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class SeedVariance:
    """SDs of the accuracy, as fractions, of one variant's n runs on one test set of a number of examples.

    total: over the runs, as observed. coin_flips: the part of it that remains when every example is flipped by the
    seed independently of the others; it vanishes with a larger test set. recipe: the rest, the SD over seeds of the
    accuracy on unlimited data (0 when coin flips explain everything). test_set: the binomial SD of one accuracy over
    test sets of this size; all runs share it, so it is no part of total.
    """

    n: int
    examples: int
    accuracy: float
    total: float
    coin_flips: float
    recipe: float
    test_set: float


def decompose_seed_variance(correct: npt.ArrayLike) -> SeedVariance:
    """Split the variance over seeds of one variant's accuracy.

    correct has shape (n >= 2 seeds, examples >= 2): whether each prediction was correct. With W the mean over examples
    of the unbiased variance over seeds, and N examples, total^2 = recipe^2 + (W - recipe^2) / N in expectation
    (Jordan 2024, "On the variance of neural network training with respect to test sets and distributions", ICLR).
    Raises ValueError for another shape.
    """
    table = np.asarray(correct, dtype=np.bool_).astype(np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(f"correct must have shape (seeds >= 2, examples >= 2), not {table.shape}")
    n, examples = table.shape
    accuracy = float(table.mean())
    total = float(table.mean(axis=1).var(ddof=1))
    within = float(table.var(axis=0, ddof=1).mean())
    recipe = max(0.0, (total - within / examples) / (1.0 - 1.0 / examples))
    parts = total, (within - min(recipe, within)) / examples, recipe
    total_sd, flips_sd, recipe_sd = (math.sqrt(part) for part in parts)
    return SeedVariance(n, examples, accuracy, total_sd, flips_sd, recipe_sd, binomial_sd(accuracy, examples))


def binomial_sd(accuracy: float, examples: int) -> float:
    """SD of an accuracy, as a fraction, over test sets of so many examples.

    Bouthillier et al. 2021, "Accounting for variance in machine learning benchmarks", MLSys. Raises ValueError for an
    accuracy outside [0, 1] or no examples.
    """
    if not 0.0 <= accuracy <= 1.0 or examples < 1:
        raise ValueError(f"an accuracy in [0, 1] on at least one example is needed, not {accuracy} on {examples}")
    return math.sqrt(accuracy * (1.0 - accuracy) / examples)
