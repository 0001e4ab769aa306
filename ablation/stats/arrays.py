"""Array types and small reductions shared by the modules of the package."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def as_table(y: npt.ArrayLike, what: str = "Y", min_rows: int = 1) -> FloatArray:
    """A copy of y as floats of shape (rows, seeds), every infinite value made NaN.

    Raises ValueError unless y has two axes, at least min_rows rows and one column.
    """
    table = np.array(y, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < min_rows or table.shape[1] < 1:
        raise ValueError(f"{what} must have shape (rows >= {min_rows}, seeds >= 1), not {table.shape}")
    table[~np.isfinite(table)] = np.nan
    return table


def complete_seeds(y: npt.ArrayLike, what: str = "Y", rows: int = 1) -> FloatArray:
    """The columns of y, shape (rows, seeds), in which no row is missing.

    Raises ValueError when y has fewer than the given rows or fewer than two such columns.
    """
    table = as_table(y, what, rows)
    kept = table[:, np.isfinite(table).all(axis=0)]
    if kept.shape[1] < 2:
        raise ValueError(f"{what} needs at least two seeds on which every row has a value, not {kept.shape[1]}")
    return kept


def negligible_variance(y: npt.ArrayLike) -> float:
    """The variance that rounding alone can leave in values of the size of y; anything up to it counts as zero."""
    largest = np.max(np.abs(np.asarray(y, dtype=np.float64)), initial=0.0, where=np.isfinite(y))
    return float((16.0 * np.finfo(np.float64).eps * largest) ** 2)


def check_alpha(alpha: float) -> None:
    """Raises ValueError unless 0 < alpha < 1."""
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
