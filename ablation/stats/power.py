"""What a design can detect: power of the guarded blocked Dunnett comparison, where all rows have the same spread.

The half-width of an interval depends on three parts of the residuals, in squared residual SDs, with m = n - 1 and
g = k + 1 rows: A ~ chi-squared on m df is that of the difference of the two rows compared, B ~ chi-squared on m df that
of their sum, and C ~ chi-squared on (g-3) m df the rest. Then MSE = (A + B + C) / (k m), the differences have the
variance 2 A / m, and the larger spread of the two rows is g^2 / (k^2 m) [(A + B')/2 + sqrt(A B') |cos|] with
B' = (1 - 2/g) B and the cosine of a random angle in m dimensions. The mean difference is independent of all of them, so
power is the mean of a normal probability over the half-width, taken over a rank-1 lattice of 4,096 points: the same
digits every time, and right to about .0005. Screening, which drops a group in about one null study of a hundred, is
left out of account.
"""

import bisect
import math
from functools import lru_cache

import numpy as np
from scipy import optimize, special

import ablation.stats.dunnett as dunnett
from ablation.stats.arrays import FloatArray, check_alpha
from ablation.stats.blocked import MIN_DF_TWO_SEEDS, own_factor
from ablation.stats.paired import t_critical

_LATTICE, _KOROBOV = 4096, 1571
_MOST_SEEDS = 100_000
_HalfWidths = tuple[FloatArray, FloatArray]
"""Half-widths and their weights, which add up to 1."""


def detection_power(effect: float, n: int, k: int, alpha: float = 0.05) -> float:
    """Probability of detecting one variant that differs by effect residual SDs, either sign being counted.

    The residual SD is that of the variant x seed error of single runs. n seeds, k variants in the family, simultaneous
    level alpha. 0 for a design that makes no claim. Raises ValueError for n < 1, k < 1 or alpha outside (0, 1).
    """
    _check(n, k, alpha)
    if not claims(n, k):
        return 0.0
    return _power(effect * math.sqrt(n / 2.0), _half_widths(n, k, alpha))


def claims(n: int, k: int) -> bool:
    """Whether n seeds and k variants, none missing, allow any claim."""
    return n > 2 or (n == 2 and k >= MIN_DF_TWO_SEEDS)


def smallest_detectable_effect(n: int, k: int, alpha: float = 0.05, target: float = 0.8) -> float:
    """The effect, in residual SDs, that is detected with probability target; inf for a design that makes no claim.

    n seeds, k variants in the family, simultaneous level alpha. Raises ValueError for n < 1, k < 1, alpha outside
    (0, 1) or target outside (alpha, 1).
    """
    _check(n, k, alpha)
    if not alpha < target < 1:
        raise ValueError(f"target must be between alpha and 1, not {target}")
    if not claims(n, k):
        return math.inf
    return _shift(_half_widths(n, k, alpha), target) / math.sqrt(n / 2.0)


def smallest_detectable_contrast(n: int, k: int, size: float, alpha: float = 0.05, target: float = 0.8) -> float:
    """The contrast of k + 1 variants, in residual SDs, that a test at level alpha detects with probability target.

    n seeds; size is the sum of the squared weights, 4 for the interaction of two changes. inf for a design that makes
    no claim. Raises ValueError as `smallest_detectable_effect`, and for a size that is not positive.
    """
    _check(n, k, alpha)
    if not alpha < target < 1 or not size > 0:
        raise ValueError(f"target must be between alpha and 1 and size positive, not {target} and {size}")
    return _shift(_contrast_half_widths(n, k, alpha), target) * math.sqrt(size / n) if claims(n, k) else math.inf


def _shift(widths: _HalfWidths, target: float) -> float:
    """The difference, in its standard errors, that is beyond the half-width with probability target."""
    high = 4.0
    while _power(high, widths) < target:
        high *= 2.0
    return float(optimize.brentq(lambda x: _power(x, widths) - target, 0.0, high))


def typical_half_width(n: int, k: int, alpha: float = 0.05) -> float:
    """The difference that is detected in half of the studies, in its standard errors: that of a typical half-width.

    n >= 2 seeds, k variants in the family, simultaneous level alpha. Raises ValueError for alpha outside (0, 1).
    """
    _check(n, k, alpha)
    return _shift(_half_widths(n, k, alpha), 0.5)


def seeds_for(effect: float, k: int, alpha: float = 0.05, target: float = 0.8) -> int:
    """The fewest seeds that detect an effect, in residual SDs, with probability target in a family of k variants.

    Raises ValueError for an effect that is not positive or needs more than 100,000 seeds.
    """
    numbers = range(2, _MOST_SEEDS + 1)
    fewest = bisect.bisect_left(numbers, True, key=lambda n: smallest_detectable_effect(n, k, alpha, target) <= effect)
    if fewest == len(numbers):
        raise ValueError(f"no practical number of seeds detects an effect of {effect} residual SDs")
    return numbers[fewest]


def seeds_to_halve(n: int, k: int, alpha: float = 0.05, target: float = 0.8) -> int:
    """The fewest seeds whose smallest detectable effect is at most half that of n seeds.

    Raises ValueError where n seeds detect nothing at all.
    """
    effect = smallest_detectable_effect(n, k, alpha, target)
    if math.isinf(effect):
        raise ValueError(f"{n} seeds of {k} variants make no claim, so there is no effect to halve")
    return seeds_for(effect / 2.0, k, alpha, target)


def _check(n: int, k: int, alpha: float) -> None:
    check_alpha(alpha)
    if n < 1 or k < 1:
        raise ValueError(f"a design needs at least one seed and one variant, not n={n}, k={k}")


def _power(shift: float, widths: _HalfWidths) -> float:
    """P(|N(shift, 1)| > half-width)."""
    bar, weight = widths
    return float((special.ndtr(shift - bar) + special.ndtr(-shift - bar)) @ weight)


@lru_cache(maxsize=64)
def _half_widths(n: int, k: int, alpha: float) -> _HalfWidths:
    """Half-widths of the interval of a comparison, in standard errors of the mean difference, and their weights."""
    bar, weight = _first_guard(dunnett.critical_value(alpha, k, k * (n - 1)), n, k)
    if k == 1:  # the second guard is the test itself
        return bar, weight
    own_critical = t_critical(alpha / own_factor(n, k), n - 1)
    return np.maximum(bar, own_critical * np.sqrt(_squares(n, k)[0] / 2.0)), weight


def _contrast_half_widths(n: int, k: int, alpha: float) -> _HalfWidths:
    """The same of a contrast, whose error has the first guard alone."""
    return _first_guard(t_critical(alpha, k * (n - 1)), n, k)


def _first_guard(critical: float, n: int, k: int) -> _HalfWidths:
    """Half-widths from the pooled error or, where that is larger, the own error of the differences."""
    if k == 1:
        scale, weight = dunnett.log_chi_nodes(n - 1, 0.0)
        return critical * scale, weight
    _, pooled, differences = _squares(n, k)
    return critical * np.sqrt(np.maximum(pooled, differences)), np.full(_LATTICE, 1.0 / _LATTICE)


@lru_cache(maxsize=64)
def _squares(n: int, k: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The larger spread of two rows, the pooled mean square, and half the variance of the differences, on the lattice.

    In squared residual SDs, each of shape (4096,); k is at least 2. The last is also the variance of any other contrast
    over the sum of its squared weights.
    """
    m, rows = n - 1, k + 1
    generator = np.array([_KOROBOV**power % _LATTICE for power in range(4)])
    a, b, rest, angle = ((np.arange(_LATTICE)[:, None] * generator + 0.5) / _LATTICE % 1.0).T
    a, b = (2.0 * special.gammaincinv(m / 2.0, part) for part in (a, b))
    c = 2.0 * special.gammaincinv((rows - 3) * m / 2.0, rest) if rows > 3 else np.zeros(_LATTICE)
    cosine = np.sqrt(special.betaincinv(0.5, (m - 1) / 2.0, angle)) if m > 1 else np.ones(_LATTICE)
    shared = (1.0 - 2.0 / rows) * b
    own = (rows / k) ** 2 / m * ((a + shared) / 2.0 + np.sqrt(a * shared) * cosine)
    return own, (a + b + c) / (k * m), a / m
