"""Two-sided Dunnett distribution with correlation 1/2, by deterministic quadrature.

k treatments are compared with one control, all with equal numbers of observations. The statistic is
max |t_i|, t_i = (Z_i - Z_0) / (sqrt(2) S), with Z independent standard normal and df S^2 chi-squared on df
degrees of freedom (Dunnett 1955, "A multiple comparison procedure for comparing several treatments with a
control", JASA 50). Both integrals, over Z_0 and over log S, have smooth integrands that vanish at both ends,
for which the trapezoidal rule converges exponentially (Trefethen and Weideman 2014, SIAM Review 56).
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import interpolate, optimize, special

from ablation.stats.arrays import FloatArray, check_alpha

_NORMAL_STEP = 0.125
_NORMAL_END = 37.0
_TABLE_END = 50.0
"""Beyond this |Z_i - Z_0| the tail probability is under 1e-270; up to it, |Z_0| stays below _NORMAL_END."""
_TABLE_SIZE = 2501


@lru_cache(maxsize=256)
def critical_value(alpha: float, k: int, df: float) -> float:
    """The c for which max |t_i| exceeds c with probability alpha.

    alpha in (0, 1), k >= 1 comparisons, df > 0 (inf for a known variance). Raises ValueError outside these.
    """
    check_alpha(alpha)
    high = 2.0
    while _scalar_p(high, k, df) > alpha:
        high *= 2.0
    return float(optimize.brentq(lambda t: math.log(_scalar_p(t, k, df) / alpha), 0.0, high))


def p_value(t: npt.ArrayLike, k: int, df: float) -> FloatArray:
    """Probability that max |t_i| is at least |t|, for each t: the single-step adjusted p-value.

    t of any shape (sign ignored, NaN stays NaN), k >= 1 comparisons, df > 0 (inf for a known variance); returns the
    shape of t. Relative accuracy about 1e-11 up to 5,000 comparisons. Raises ValueError for k < 1 or df not positive.
    """
    if k < 1 or not df > 0:
        raise ValueError(f"Dunnett's distribution needs k >= 1 and df > 0, not k={k}, df={df}")
    size = np.abs(np.asarray(t, dtype=np.float64))
    p = np.where(np.isnan(size), np.nan, 0.0)
    alive = _marginal_tail(size, df) > 0
    p[alive] = np.minimum(_tail(size[alive], k, df), 1.0)
    p[size == 0] = 1.0
    return p


def log_chi_nodes(df: float, shift: float) -> tuple[FloatArray, FloatArray]:
    """Nodes s and weights of S = sqrt(chi-squared / df): sum(weights * g(s)) is the mean of g(S).

    The trapezoidal rule in log s, whose density is proportional to exp(-df/2 (s^2 - 1 - 2 log s)). It is wide enough
    for any g that is not far larger at small s than exp(-shift) allows: shift moves the lower end left, for integrands
    whose mass is in the lower tail of S.
    """
    width = 1.0 / math.sqrt(2.0 * df)
    step = min(0.12, 0.5 * width)
    x = np.arange(-shift - 9.0 * width - 36.0 / df, 9.0 * width, step)
    density = np.exp(-df / 2.0 * (np.expm1(2.0 * x) - 2.0 * x))
    return np.exp(x), density / density.sum()


def _scalar_p(t: float, k: int, df: float) -> float:
    return float(p_value(t, k, df))


def _marginal_tail(size: FloatArray, df: float) -> FloatArray:
    tail = special.ndtr(-size) if math.isinf(df) else special.stdtr(df, -size)
    return np.asarray(tail, dtype=np.float64)


def _tail(size: FloatArray, k: int, df: float) -> FloatArray:
    """P(max |t_i| >= size), size of shape (m,), all finite."""
    if math.isinf(df):
        return _known_variance_tail(math.sqrt(2.0) * size, k)
    shift = math.log(math.hypot(1.0, float(size.max(initial=0.0)) / math.sqrt(df)))
    s, weight = log_chi_nodes(df, shift)
    return np.asarray(_known_variance_tail(math.sqrt(2.0) * np.multiply.outer(size, s), k) @ weight)


def _known_variance_tail(distance: FloatArray, k: int) -> FloatArray:
    """P(max_i |Z_i - Z_0| >= distance), read off a spline of its logarithm."""
    inside = np.minimum(distance, _TABLE_END)
    return np.asarray(np.where(distance > _TABLE_END, 0.0, np.exp(_log_tail_spline(k)(inside))))


@lru_cache(maxsize=64)
def _log_tail_spline(k: int) -> interpolate.BSpline:
    """Quintic spline of log P(max_i |Z_i - Z_0| >= distance) on [0, 50]."""
    distance = np.linspace(0.0, _TABLE_END, _TABLE_SIZE)
    return interpolate.make_interp_spline(distance, np.log(_integrate_control(distance, k)), k=5)


def _integrate_control(distance: FloatArray, k: int) -> FloatArray:
    """The integral over z = Z_0 of phi(z) [1 - (1 - q)^k], q = P(|Z_i - z| >= distance); even in z."""
    z = np.arange(0.0, _NORMAL_END, _NORMAL_STEP)
    density = _NORMAL_STEP * np.exp(-0.5 * z**2) * math.sqrt(2.0 / math.pi)
    density[0] *= 0.5
    miss = special.ndtr(z - distance[:, None]) + special.ndtr(-z - distance[:, None])
    with np.errstate(divide="ignore"):  # miss is exactly 1 at distance 0: log 0, and the power is 0, as it should be
        any_miss = -np.expm1(k * np.log1p(-miss))
    return np.asarray(any_miss @ density)
