"""Shapley shares of the components in a full factorial.

The share of a component is its marginal contribution averaged over all orders of adding the components (Shapley
1953, "A value for n-person games"). It is linear in the cell means, hence a contrast on the pooled error, and the
shares add up to the difference between everything on and everything off.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ablation.stats.arrays import FloatArray, as_table
from ablation.stats.contrasts import Contrast, contrast_family

MAX_COMPONENTS = 12


@dataclass(frozen=True, slots=True)
class ShapleyShares:
    """shares[j] is the contrast of component j; total, no part of their family, that of all on against all off."""

    shares: tuple[Contrast, ...]
    total: Contrast


def shapley_shares(y: npt.ArrayLike, mse: float, df: int, alpha: float = 0.05) -> ShapleyShares:
    """Shapley shares with simultaneous intervals at level 1 - alpha, in units of the metric.

    y has shape (2^m, seeds): row r holds the runs in which component j is on if bit j of r is set, so that row 0 has
    none and the last row all. Seeds that lack a cell are left out. mse and df are those of the pooled error. Raises
    ValueError when the rows are no full factorial of 1 to 12 components, or as `contrast_family`.
    """
    table = as_table(y)
    m = len(table).bit_length() - 1
    if len(table) != 2**m or not 1 <= m <= MAX_COMPONENTS:
        raise ValueError(f"a full factorial of up to {MAX_COMPONENTS} components has 2^m rows, not {len(table)}")
    ends = np.zeros(len(table))
    ends[-1], ends[0] = 1.0, -1.0
    shares = contrast_family([(w, table) for w in shapley_weights(m)], mse, df, alpha)
    return ShapleyShares(shares, contrast_family([(ends, table)], mse, df, alpha)[0])


def shapley_weights(m: int) -> FloatArray:
    """Weights of the cells for each share, shape (m, 2^m): |S|! (m - |S| - 1)! / m!, negative without the component."""
    cells = np.arange(2**m)
    on = (cells[None, :] >> np.arange(m)[:, None]) & 1
    others = on.sum(axis=0) - on
    by_size = np.array([1.0 / (m * math.comb(m - 1, size)) for size in range(m)])
    return np.asarray(by_size[others] * (2 * on - 1))
