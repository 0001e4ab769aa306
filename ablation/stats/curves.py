"""Data curve: error = a f^-b + c over the fraction f of the training data, with honest intervals.

The power law with a floor is that of Hestness et al. 2017 ("Deep learning scaling is predictable, empirically",
arXiv:1712.00409) and Rosenfeld et al. 2020 (ICLR). Seeds are blocks here too: runs of one seed share a split and an
initialisation, and their errors are correlated over the fractions. The covariance is therefore that of the seeds'
linearised estimates (a cluster sandwich), with t on n - 1 degrees of freedom: exact for any correlation and any change
of spread along the curve as far as the curve is linear in its parameters.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize

from ablation.stats.arrays import FloatArray, as_table, check_alpha
from ablation.stats.paired import t_critical

MIN_FRACTIONS = 4
MIN_SEEDS = 3
MAX_EXTRAPOLATION = 2.0
_MIN_EXPONENT = 1e-6
"""Stands for 0, where a and c are one parameter."""
_MAX_EXPONENT = 5.0
_EXPONENTS = 60
"""Exponents tried before the best of them is refined."""
_BOUND_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its interval [low, high], in the unit of the value."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """The fitted curve error = a f^-b + c.

    a and c are in units of the error, b has none. deviations, shape (3, n), are those of the seeds' linearised
    estimates of (a, b, c) from their mean, divided by sqrt(n (n - 1)): deviations @ deviations.T is the covariance,
    too ill-conditioned to predict from where a and c are nearly one parameter. n is the number of seeds, df the degrees
    of freedom of t, [smallest, largest] the fractions observed. on_bound names the parameters that sit on a bound of
    the fit: the data do not determine those, and the intervals, which take all to be free, are rough.
    """

    a: Interval
    b: Interval
    c: Interval
    deviations: tuple[tuple[float, ...], ...]
    n: int
    df: int
    alpha: float
    smallest: float
    largest: float
    on_bound: tuple[str, ...]

    @property
    def floor_on_bound(self) -> bool:
        """Whether c sits on 0 (no floor shown) or on the smallest mean error (no slope shown)."""
        return "c" in self.on_bound

    def predict(self, fraction: float) -> Interval:
        """Expected error at a fraction, with a pointwise interval at level 1 - alpha.

        Raises ValueError below the smallest fraction observed or beyond twice the largest.
        """
        if not self.smallest <= fraction <= MAX_EXTRAPOLATION * self.largest:
            raise ValueError(
                f"the curve holds from {self.smallest:g} to {MAX_EXTRAPOLATION * self.largest:g}, not at {fraction:g}"
            )
        parameters = self.a.value, self.b.value, self.c.value
        at = np.array([fraction])
        gradient = _jacobian(at, *parameters)[0]
        half = t_critical(self.alpha, self.df) * float(np.linalg.norm(gradient @ np.array(self.deviations)))
        value = float(_curve(at, *parameters)[0])
        return Interval(value, value - half, value + half)


def fit_power_law(fractions: npt.ArrayLike, error: npt.ArrayLike, alpha: float = 0.05) -> PowerLaw:
    """Least-squares fit of error = a f^-b + c with a >= 0, 0 <= b <= 5 and 0 <= c <= the smallest mean error.

    fractions has shape (F,), positive and distinct; error, not negative and in any unit, shape (F, seeds), NaN for a
    missing run: only seeds complete over the fractions count. Raises ValueError with fewer than 4 fractions, fewer than
    3 such seeds, or values out of range.
    """
    check_alpha(alpha)
    f, y = _checked(fractions, error)
    n = y.shape[1]
    mean = y.mean(axis=1)
    parameters = _least_squares(f, mean)
    deviations = _seed_deviations(_jacobian(f, *parameters), y)
    half = t_critical(alpha, n - 1) * np.linalg.norm(deviations, axis=1)
    a, b, c = (Interval(p, p - h, p + h) for p, h in zip(parameters, half.tolist(), strict=True))
    rows = tuple(tuple(row) for row in deviations.tolist())
    on_bound = _on_bound(parameters, float(mean.min()))
    return PowerLaw(a, b, c, rows, n, n - 1, alpha, float(f.min()), float(f.max()), on_bound)


def _checked(fractions: npt.ArrayLike, error: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    f = np.asarray(fractions, dtype=np.float64)
    y = as_table(error, "error")
    if f.shape != y.shape[:1] or np.any(~(f > 0)) or len(np.unique(f)) != len(f):
        raise ValueError("fractions must be positive, distinct and as many as the rows of error")
    y = y[:, np.isfinite(y).all(axis=0)]
    if len(f) < MIN_FRACTIONS or y.shape[1] < MIN_SEEDS:
        raise ValueError(
            f"a curve needs {MIN_FRACTIONS} fractions and {MIN_SEEDS} complete seeds, not {len(f)} and {y.shape[1]}"
        )
    if np.any(y < 0) or not y.mean(axis=1).min() > 0:
        raise ValueError("errors must not be negative, nor zero throughout a fraction")
    return f, y


def _curve(f: FloatArray, a: float, b: float, c: float) -> FloatArray:
    return np.asarray(a * f**-b + c)


def _jacobian(f: FloatArray, a: float, b: float, c: float) -> FloatArray:
    """Derivatives by a, b and c, shape (F, 3)."""
    power = f**-b
    return np.stack([power, -a * np.log(f) * power, np.ones_like(f)], axis=1)


def _least_squares(f: FloatArray, mean: FloatArray) -> tuple[float, float, float]:
    """Bounded fit to the seed means, which has the minimum of the fit to all runs.

    a and c are linear given b, so that only b is searched (Golub and Pereyra 1973, SIAM J. Numerical Analysis 10).
    """

    def loss(b: float) -> float:
        return float(np.sum((mean - _curve(f, *_given_exponent(f, mean, b))) ** 2))

    grid = np.geomspace(_MIN_EXPONENT, _MAX_EXPONENT, _EXPONENTS)
    best = int(np.argmin([loss(b) for b in grid.tolist()]))
    around = grid[max(best - 1, 0) : best + 2]
    found = optimize.minimize_scalar(loss, bounds=(around[0], around[-1]), method="bounded", options={"xatol": 1e-12})
    return _given_exponent(f, mean, float(found.x))


def _given_exponent(f: FloatArray, mean: FloatArray, b: float) -> tuple[float, float, float]:
    """The best a and c for an exponent. With c up to the smallest mean, a is never negative."""
    basis = f**-b
    spread = basis - basis.mean()
    c = float(np.clip(mean.mean() - basis.mean() * (spread @ mean) / (spread @ spread), 0.0, mean.min()))
    return float(basis @ (mean - c) / (basis @ basis)), b, c


def _on_bound(parameters: tuple[float, float, float], top: float) -> tuple[str, ...]:
    """Names of the parameters within a thousandth of a bound, relative to the smallest mean error or the range of b."""
    a, b, c = parameters
    gaps = {"a": a / top, "b": min(b, _MAX_EXPONENT - b) / _MAX_EXPONENT, "c": min(c, top - c) / top}
    return tuple(name for name, gap in gaps.items() if gap <= _BOUND_TOLERANCE)


def _seed_deviations(jacobian: FloatArray, y: FloatArray) -> FloatArray:
    """Deviations of the seeds' linearised estimates, shape (3, n), whose products are the covariance of their mean.

    y has shape (F, n). The curve is common to all seeds, so that only their deviations from their mean count.
    """
    n = y.shape[1]
    return np.asarray(np.linalg.pinv(jacobian) @ (y - y.mean(axis=1, keepdims=True)) / math.sqrt(n * (n - 1)))
