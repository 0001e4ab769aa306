"""What a design can detect: power of the guarded blocked Dunnett comparison, by quadrature.

With A ~ chi-squared on n-1 df the variant's own variation and B ~ chi-squared on (k-1)(n-1) df the rest of the pooled
one, both in squared residual SDs, the guarded squared error is max((A + B) / df, A / (n-1)) with df = k (n-1). Its two
factors T = A + B ~ chi-squared(df) and A / T ~ Beta((n-1)/2, (k-1)(n-1)/2) are independent of one another and of the
mean difference, so that power is a double integral. Screening, which drops a group in about one null study of a
hundred, is left out of account.
"""

import bisect
import math

import numpy as np
from scipy import optimize, special

import ablation.stats.dunnett as dunnett
from ablation.stats.arrays import FloatArray, check_alpha
from ablation.stats.blocked import MIN_DF_TWO_SEEDS
from ablation.stats.paired import t_critical

_BETA_NODES = 48
_MOST_SEEDS = 100_000


def detection_power(effect: float, n: int, k: int, alpha: float = 0.05) -> float:
    """Probability of detecting one variant that differs by effect residual SDs, either sign being counted.

    The residual SD is that of the variant x seed error of single runs. n seeds, k variants in the family, simultaneous
    level alpha. 0 for a design that makes no claim. Raises ValueError for n < 1, k < 1 or alpha outside (0, 1).
    """
    _check(n, k, alpha)
    if not claims(n, k):
        return 0.0
    return _power(effect * math.sqrt(n / 2.0), n, k, dunnett.critical_value(alpha, k, k * (n - 1)))


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
    shift = _shift(n, k, dunnett.critical_value(alpha, k, k * (n - 1)), target)
    return shift / math.sqrt(n / 2.0)


def smallest_detectable_contrast(n: int, k: int, size: float, alpha: float = 0.05, target: float = 0.8) -> float:
    """The contrast of k + 1 variants, in residual SDs, that a test at level alpha detects with probability target.

    n seeds; size is the sum of the squared weights, 4 for the interaction of two changes. inf for a design that makes
    no claim. Raises ValueError as `smallest_detectable_effect`, and for a size that is not positive.
    """
    _check(n, k, alpha)
    if not alpha < target < 1 or not size > 0:
        raise ValueError(f"target must be between alpha and 1 and size positive, not {target} and {size}")
    return _shift(n, k, t_critical(alpha, k * (n - 1)), target) * math.sqrt(size / n) if claims(n, k) else math.inf


def _shift(n: int, k: int, critical: float, target: float) -> float:
    """The difference, in its standard errors, that is beyond the critical value with probability target."""
    high = 4.0
    while _power(high, n, k, critical) < target:
        high *= 2.0
    return float(optimize.brentq(lambda x: _power(x, n, k, critical) - target, 0.0, high))


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


def _power(shift: float, n: int, k: int, critical: float) -> float:
    """P(|N(shift, 1)| > critical sqrt(factor T/df)), averaged over the guard's factor and over T."""
    scale, weight = dunnett.log_chi_nodes(k * (n - 1), 0.0)
    factor, probability = _guard_factors(n, k)
    bar = critical * np.multiply.outer(np.sqrt(factor), scale)
    beyond = special.ndtr(shift - bar) + special.ndtr(-shift - bar)
    return float(probability @ beyond @ weight)


def _guard_factors(n: int, k: int) -> tuple[FloatArray, FloatArray]:
    """Values and probabilities of max(1, k A / T): an atom at 1, and quadrature nodes above it."""
    if k == 1:
        return np.ones(1), np.ones(1)
    a, b = (n - 1) / 2.0, (k - 1) * (n - 1) / 2.0
    at_one = float(special.betainc(a, b, 1.0 / k))
    node, weight = special.roots_legendre(_BETA_NODES)
    upper = 0.5 * (1.0 - at_one) * weight
    share = special.betaincinv(a, b, at_one + (1.0 - at_one) * 0.5 * (node + 1.0))
    return np.append(1.0, k * share), np.append(at_one, upper)
