"""Paired comparisons and adjustments for many of them: t, Holm, Benjamini-Hochberg, McNemar, sign flips."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from ablation.stats.arrays import FloatArray, as_table, check_alpha, negligible_variance

_EXACT_FLIP_SEEDS = 14
_SAMPLED_FLIPS = 20_000
_MOST_SIGNS = 100_000_000
"""Signs that are drawn in all; beyond 5,000 seeds there are fewer patterns, 1,000 at least."""
_FLIP_BATCH = 2_000_000
"""Entries of the (flips x variants) and (flips x seeds) tables that are held together."""


@dataclass(frozen=True, slots=True)
class PairedT:
    """Paired t-test of one variant: n seeds, mean difference, its interval, t and the unadjusted two-sided p.

    Everything but n and difference is NaN where the test cannot be made: under two seeds, or no variation.
    """

    n: int
    difference: float
    low: float
    high: float
    t: float
    p: float


@dataclass(frozen=True, slots=True)
class McNemar:
    """Exact McNemar test: examples only the first, and only the second classifier got right; two-sided p."""

    only_first: int
    only_second: int
    p: float


def paired_t(difference: npt.ArrayLike, alpha: float = 0.05) -> PairedT:
    """Two-sided paired t-test on per-seed differences, shape (seeds,); non-finite ones are left out.

    The interval has level 1 - alpha. Differences that do not vary give no test (NaN), not an infinite t: with coarse
    metrics equal differences are common and say nothing about the error. Student 1908, Biometrika 6. Raises
    ValueError for an alpha outside (0, 1).
    """
    check_alpha(alpha)
    d = np.asarray(difference, dtype=np.float64)
    d = d[np.isfinite(d)]
    n = len(d)
    mean = float(d.mean()) if n else float("nan")
    variance = float(d.var(ddof=1)) if n > 1 else 0.0
    if variance <= negligible_variance(d):
        return PairedT(n, mean, *[float("nan")] * 4)
    error = math.sqrt(variance) / math.sqrt(n)
    half = t_critical(alpha, n - 1) * error
    return PairedT(n, mean, mean - half, mean + half, mean / error, t_p_value(mean / error, n - 1))


def t_p_value(t: float, df: float) -> float:
    """Two-sided p-value of Student's t."""
    return 2.0 * float(special.stdtr(df, -abs(t)))


def t_critical(alpha: float, df: float) -> float:
    """Two-sided critical value of Student's t."""
    return -float(special.stdtrit(df, alpha / 2.0))


def holm(p: npt.ArrayLike) -> FloatArray:
    """Holm's step-down adjusted p-values, shape of p; NaN entries are no part of the family and stay NaN.

    Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.
    """
    values, order, adjusted = _family(p)
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def sidak(p: float, family: int) -> float:
    """The p-value adjusted for a family of so many two-sided tests; NaN stays NaN.

    For t statistics with one error estimate it holds whatever their correlation: Sidak 1967, "Rectangular confidence
    regions for the means of multivariate normal distributions", JASA 62.
    """
    return 1.0 if p >= 1.0 else -math.expm1(family * math.log1p(-p))


def sidak_level(alpha: float, family: int) -> float:
    """The level of each of so many tests whose family has level alpha."""
    return -math.expm1(math.log1p(-alpha) / family)


def benjamini_hochberg(p: npt.ArrayLike) -> FloatArray:
    """False-discovery-rate adjusted p-values, shape of p; NaN entries are no part of the family and stay NaN.

    Benjamini and Hochberg 1995, "Controlling the false discovery rate", JRSS B 57.
    """
    values, order, adjusted = _family(p)
    steps = values[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum.accumulate(steps[::-1])[::-1]
    return adjusted


def _family(p: npt.ArrayLike) -> tuple[FloatArray, npt.NDArray[np.intp], FloatArray]:
    """The p-values, the order of the finite ones from smallest up, and an array of NaN for the answer."""
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or np.any((values < 0) | (values > 1)):
        raise ValueError("p-values must form one axis and be between 0 and 1")
    order = np.argsort(values, kind="stable")[: int(np.sum(~np.isnan(values)))]
    return values, order, np.full(len(values), np.nan)


def mcnemar(correct_first: npt.ArrayLike, correct_second: npt.ArrayLike) -> McNemar:
    """Exact McNemar test of two classifiers on the same examples.

    Both arrays hold, per example, whether the prediction was correct; shape (examples,). It speaks of these two
    trained networks only, never of the recipes. Raises ValueError for different shapes.
    """
    first, second = np.asarray(correct_first, dtype=np.bool_), np.asarray(correct_second, dtype=np.bool_)
    if first.shape != second.shape:
        raise ValueError(f"both classifiers need the same examples, not {first.shape} and {second.shape}")
    return mcnemar_counts(int(np.sum(first & ~second)), int(np.sum(second & ~first)))


def mcnemar_counts(only_first: int, only_second: int) -> McNemar:
    """Exact McNemar test from the two discordant counts: a sign test (McNemar 1947, Psychometrika 12).

    Raises ValueError for a negative count.
    """
    if min(only_first, only_second) < 0:
        raise ValueError("counts cannot be negative")
    smaller, total = min(only_first, only_second), only_first + only_second
    p = min(1.0, 2.0 * float(special.bdtr(smaller, total, 0.5)))
    return McNemar(only_first, only_second, p)


def sign_flip_max_t(difference: npt.ArrayLike) -> FloatArray:
    """Adjusted two-sided p-values of the sign-flip max-T permutation test, one for each variant.

    difference has shape (variants, seeds). Under the null the differences of a seed are as likely with their signs
    turned; all variants of a seed turn together, which keeps their correlation, and the largest |t| over the variants
    is the reference (Westfall and Young 1993, "Resampling-Based Multiple Testing", single step). All sign patterns up
    to 14 seeds, beyond that 20,000 from a fixed generator (fewer beyond 5,000 seeds), the observed one among them
    (Phipson and Smyth 2010). A variant with a missing seed gets NaN and is left out. The smallest p that n seeds can
    reach is 2 / 2^n.
    """
    table = as_table(difference, "difference")
    complete = np.isfinite(table).all(axis=1)
    p = np.full(len(table), np.nan)
    if complete.any():
        p[complete] = _flip_p_values(table[complete])
    return p


def _flip_p_values(d: FloatArray) -> FloatArray:
    """|sum d| / sqrt(sum d^2) orders sign patterns as |t| does, without a division by a flipped SD."""
    length = np.sqrt(np.sum(d**2, axis=1))
    unit = np.divide(d, length[:, None], out=np.zeros_like(d), where=length[:, None] > 0)
    observed = np.abs(unit.sum(axis=1))
    largest = np.concatenate([np.abs(signs @ unit.T).max(axis=1) for signs in _sign_patterns(d.shape[1], len(d))])
    return np.asarray(np.mean(largest[:, None] >= observed - 1e-12, axis=0))


def _sign_patterns(n: int, variants: int) -> Iterator[FloatArray]:
    """Sign patterns of n seeds in batches, shape (patterns, n), the first of them all positive.

    Turning all signs leaves |t| as it is, so that of the exact ones the first sign is fixed.
    """
    batch = math.ceil(_FLIP_BATCH / max(n, variants))
    if n <= _EXACT_FLIP_SEEDS:
        every = np.array([(1.0, *rest) for rest in itertools.product((1.0, -1.0), repeat=n - 1)])
        yield from (every[i : i + batch] for i in range(0, len(every), batch))
        return
    generator = np.random.default_rng(0)
    flips = min(_SAMPLED_FLIPS, max(1000, _MOST_SIGNS // n))
    for start in range(0, flips, batch):
        signs = generator.choice((1.0, -1.0), size=(min(batch, flips - start), n))
        if start == 0:
            signs[0] = 1.0
        yield signs
