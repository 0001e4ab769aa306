"""Which runs share one error estimate: the complete block, Cochran's C screening and the pooled MSE."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from ablation.stats.arrays import BoolArray, FloatArray, as_table, negligible_variance

SCREEN_ALPHA = 0.01


@dataclass(frozen=True, slots=True)
class PooledError:
    """The variant x seed mean square of the groups that passed the screen.

    mse is in squared units of the metric, df its degrees of freedom (0, with mse NaN, when there is nothing to pool).
    seeds marks the columns of the complete block, complete the rows that have a run for each of them, and kept those
    of them that passed the screen and were pooled. own is the variance by which each of these departs from the others
    (`spreads`), NaN for a row that was not pooled.
    """

    mse: float
    df: int
    own: tuple[float, ...]
    seeds: tuple[bool, ...]
    complete: tuple[bool, ...]
    kept: tuple[bool, ...]

    @property
    def n(self) -> int:
        """Seeds in the complete block."""
        return sum(self.seeds)

    @property
    def screened(self) -> tuple[bool, ...]:
        """Marks the complete rows that did not pass the screen; none under a single seed, where nothing is screened."""
        return tuple(self.n > 1 and row and not kept for row, kept in zip(self.complete, self.kept, strict=True))


@lru_cache(maxsize=1024)
def cochran_critical_value(groups: int, n: int, alpha: float = SCREEN_ALPHA) -> float:
    """Upper critical value of Cochran's C, the largest of `groups` variances of n values each over their sum.

    Cochran 1941, "The distribution of the largest of a set of estimated variances", Annals of Eugenics 11, in the
    form of 't Lam 2010, "Scrutiny of variance results for outliers", Analytica Chimica Acta 659.
    """
    upper = special.fdtri(n - 1, (groups - 1) * (n - 1), 1.0 - alpha / groups)
    return float(1.0 / (1.0 + (groups - 1) / upper))


def screen(y: FloatArray, alpha: float = SCREEN_ALPHA) -> BoolArray:
    """Marks the rows of complete y, shape (groups, n >= 2), whose variance over seeds is no outlier.

    As long as three groups or more are in, the largest variance is dropped where it exceeds Cochran's critical value.
    What rounding alone can leave counts as no variance.
    """
    variance = y.var(axis=1, ddof=1)
    variance[variance <= negligible_variance(y)] = 0.0
    kept = np.ones(len(y), dtype=np.bool_)
    groups = len(y)
    while groups >= 3:
        rows = np.flatnonzero(kept)
        largest = rows[np.argmax(variance[rows])]
        total = float(variance[kept].sum())
        if variance[largest] <= total * cochran_critical_value(groups, y.shape[1], alpha):
            break
        kept[largest] = False
        groups -= 1
    return kept


def block_mse(y: FloatArray) -> tuple[float, int]:
    """Mean square of the double-centred residuals of complete y, shape (groups, n), and its (groups-1)(n-1) df.

    NaN and 0 with fewer than two groups or two values in each.
    """
    if min(y.shape) < 2:
        return float("nan"), 0
    df = (y.shape[0] - 1) * (y.shape[1] - 1)
    return float(np.sum(_residuals(y) ** 2) / df), df


def spreads(y: FloatArray) -> FloatArray:
    """The variance over seeds by which each row departs from the mean of all others, shape (groups,).

    For complete y, shape (groups, n). It is about that of the row's own error where that is the largest, and NaN with
    fewer than two groups or two values in each.
    """
    groups, n = y.shape
    if min(y.shape) < 2:
        return np.full(groups, np.nan)
    return np.asarray(np.sum(_residuals(y) ** 2, axis=1) / (n - 1) * (groups / (groups - 1)) ** 2)


def _residuals(y: FloatArray) -> FloatArray:
    """What is left of y without the means of its rows and columns."""
    return np.asarray(y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean())


def pooled_error(y: npt.ArrayLike) -> PooledError:
    """Screened and pooled variant x seed error of y, shape (variants, seeds), the baseline in row 0.

    Missing (non-finite) runs are allowed: the pool is the complete block of `complete_block`. Raises ValueError for an
    array of another shape.
    """
    table = as_table(y)
    rows, seeds = complete_block(np.isfinite(table))
    kept = np.zeros(len(table), dtype=np.bool_)
    if seeds.sum() >= 2:
        kept[rows] = screen(table[np.ix_(rows, seeds)])
    block = table[np.ix_(kept, seeds)]
    mse, df = block_mse(block)
    own = np.full(len(table), np.nan)
    own[kept] = spreads(block)
    return PooledError(mse, df, tuple(own.tolist()), tuple(seeds.tolist()), tuple(rows.tolist()), tuple(kept.tolist()))


def complete_block(present: BoolArray) -> tuple[BoolArray, BoolArray]:
    """The block of variants x seeds without a gap that leaves the most residual degrees of freedom.

    present has shape (variants, seeds). The seeds of the block are those that some variant shares with the baseline
    (row 0), its rows are all the variants that have every one of them. Ties go to more seeds, then to the earlier
    seeds. Returns masks over variants and over seeds, both all False when the baseline shares no seed with anyone.
    """
    if present.all():
        return np.ones_like(present[:, 0]), np.ones_like(present[0])
    shared = present & present[0]
    blocks = ((shared[:, seeds].all(axis=1), seeds) for seeds in np.unique(shared, axis=0)[::-1] if seeds.any())

    def size(block: tuple[BoolArray, BoolArray]) -> tuple[int, int]:
        rows, seeds = (int(mask.sum()) for mask in block)
        return (rows - 1) * (seeds - 1), seeds

    return max(blocks, key=size, default=(np.zeros_like(present[:, 0]), np.zeros_like(present[0])))
