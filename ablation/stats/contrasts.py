"""Contrasts on the pooled variant x seed error: interactions, trends over a numeric sweep, Page's trend test.

A contrast is taken within each seed, c_s = sum_i w_i Y[i, s]. Its squared standard error over n seeds is
max(MSE sum w^2, var c) / n: the pooled error, guarded by the contrast's own as in the comparison with the baseline.
The t statistic is referred to the pooled degrees of freedom, as in the analysis of randomised blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ablation.stats.arrays import FloatArray, check_alpha, complete_seeds, negligible_variance
from ablation.stats.blocked import MIN_DF_TWO_SEEDS
from ablation.stats.paired import holm, t_critical, t_p_value


@dataclass(frozen=True, slots=True)
class Contrast:
    """One contrast over n seeds; NaN where it has no test (two seeds with under four df, or no variation).

    estimate, low and high are in the units of the metric (of its coefficient for a trend); the interval is
    simultaneous over the family (Bonferroni), p is Holm's over the family and p_alone is that of this test by itself.
    """

    n: int
    estimate: float
    low: float
    high: float
    t: float
    p_alone: float
    p: float


@dataclass(frozen=True, slots=True)
class PageTrend:
    """Page's L over n seeds; one-sided p for a rise and for a fall with the level, and the two-sided p."""

    n: int
    statistic: float
    p_rise: float
    p_fall: float
    p: float


@dataclass(frozen=True, slots=True)
class Trend:
    """Linear and quadratic coefficients over a sweep, per unit of the level and of its square.

    linear is the slope of the least-squares line, quadratic the curvature beside it (None with two levels). page is
    Page's rank test beside them, no part of their family (None with two levels).
    """

    linear: Contrast
    quadratic: Contrast | None
    page: PageTrend | None


def contrast_family(
    items: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]], mse: float, df: int, alpha: float = 0.05
) -> tuple[Contrast, ...]:
    """Test contrasts, each a pair (weights (rows,), Y (rows, seeds)), as one family at level alpha.

    mse and df are those of the pooled error. Seeds that lack a row of a contrast are left out of that contrast.
    Raises ValueError for a contrast with fewer than two complete seeds, unmatched shapes, or mse or df not positive.
    """
    check_alpha(alpha)
    if df < 1 or not mse >= 0:
        raise ValueError(f"contrasts need a pooled error, not mse={mse}, df={df}")
    level = alpha / max(1, len(items))
    alone = [contrast(weights, y, mse, df, level) for weights, y in items]
    adjusted = holm([c.p_alone for c in alone]).tolist()
    return tuple(
        Contrast(c.n, c.estimate, c.low, c.high, c.t, c.p_alone, p) for c, p in zip(alone, adjusted, strict=True)
    )


def contrast(weights: npt.ArrayLike, y: npt.ArrayLike, mse: float, df: int, level: float) -> Contrast:
    """One contrast with its interval at 1 - level; its p is left to the family that it belongs to."""
    w = np.asarray(weights, dtype=np.float64)
    table = complete_seeds(y, "a contrast", len(w))
    if w.shape != table.shape[:1]:
        raise ValueError(f"a contrast needs one weight a row, not {w.shape} for {table.shape}")
    per_seed = w @ table
    n, estimate, size = len(per_seed), float(per_seed.mean()), float(w @ w)
    variance = max(size * mse, float(per_seed.var(ddof=1)))
    if variance <= size * negligible_variance(table) or (n == 2 and df < MIN_DF_TWO_SEEDS):
        return Contrast(n, estimate, *[math.nan] * 5)
    error = math.sqrt(variance) / math.sqrt(n)
    half, t = t_critical(level, df) * error, estimate / error
    return Contrast(n, estimate, estimate - half, estimate + half, t, t_p_value(t, df), math.nan)


def interactions(cells: Sequence[npt.ArrayLike], mse: float, df: int, alpha: float = 0.05) -> tuple[Contrast, ...]:
    """Interactions AB - A - B + base, one family.

    Each of cells has shape (4, seeds), rows base, A, B, AB. A contrast that is not detectable is never evidence that A
    and B add up. Raises ValueError as `contrast_family`.
    """
    return contrast_family([((1.0, -1.0, -1.0, 1.0), y) for y in cells], mse, df, alpha)


def trends(
    sweeps: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]], mse: float, df: int, alpha: float = 0.05
) -> tuple[Trend, ...]:
    """Linear and quadratic trends of all sweeps, one family; each sweep is a pair (levels (L,), Y (L, seeds)).

    Levels are distinct numbers in any order and with any spacing, the baseline's among them. Raises ValueError for
    fewer than two levels, repeated ones, or as `contrast_family`.
    """
    weights = [orthogonal_weights(levels) for levels, _ in sweeps]
    items = [(w, y) for rows, (_, y) in zip(weights, sweeps, strict=True) for w in rows]
    tested = iter(contrast_family(items, mse, df, alpha))
    result = []
    for rows, (levels, y) in zip(weights, sweeps, strict=True):
        linear = next(tested)
        curved = len(rows) > 1
        result.append(Trend(linear, next(tested) if curved else None, page_trend(levels, y) if curved else None))
    return tuple(result)


def orthogonal_weights(levels: npt.ArrayLike) -> FloatArray:
    """Weights of the linear and, from three levels, the quadratic coefficient; shape (1 or 2, L).

    Levels that differ by no more than rounding errors of their range count as one, since no curve fits through them.
    Orthogonal polynomials for arbitrary spacing (Robson 1959, Biometrics 15), scaled so that the weights applied to
    u + v x + w x^2 give the slope of its least-squares line and w. Raises ValueError for fewer than two levels,
    repeated or non-finite ones.
    """
    x = np.asarray(levels, dtype=np.float64)
    if x.ndim != 1 or len(x) < 2 or len(np.unique(x)) != len(x) or not np.isfinite(x).all():
        raise ValueError(f"a trend needs two or more distinct finite levels, not {x.tolist()}")
    span = float(np.ptp(x))
    linear = (x - x.mean()) / span
    rows = [linear / (linear @ linear) / span]
    if len(np.unique(linear.round(12))) > 2:
        square = linear**2 - np.mean(linear**2)
        square -= (square @ linear) / (linear @ linear) * linear
        rows.append(square / (square @ square) / span**2)
    return np.stack(rows)


def page_trend(levels: npt.ArrayLike, y: npt.ArrayLike) -> PageTrend:
    """Page's test that the metric rises (or falls) with the level, from ranks within each seed.

    levels has shape (L >= 3,), y (L, seeds); seeds with a gap are left out. p_rise and p_fall are exact where scipy
    can make them so (few levels and seeds, no ties), p is twice the smaller. Page 1963, "Ordered hypotheses for
    multiple treatments", JASA 58. Raises ValueError for fewer than three levels or two complete seeds.
    """
    x = np.asarray(levels, dtype=np.float64)
    table = complete_seeds(y, "Page's test", 3)
    if x.shape != table.shape[:1]:
        raise ValueError(f"Page's test needs one level a row, not {x.shape} for {table.shape}")
    from scipy import stats  # takes as long to load as all else of scipy here, and few studies have a sweep

    ordered = table[np.argsort(x, kind="stable")].T
    rise, fall = stats.page_trend_test(ordered), stats.page_trend_test(ordered[:, ::-1])
    p_rise, p_fall = float(rise.pvalue), float(fall.pvalue)
    return PageTrend(len(ordered), float(rise.statistic), p_rise, p_fall, min(1.0, 2.0 * min(p_rise, p_fall)))
