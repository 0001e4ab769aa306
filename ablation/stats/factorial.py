"""Effects and Shapley values of the components of a full factorial, each a contrast of its combinations within a seed.

A table of combinations has shape (2^m, seeds): row r has component j on where bit j of r is set, so that row 0 has none
on and the last row all. Seeds that lack a combination are left out; no value is imputed. Standard errors are those of
`contrasts`: the pooled variant x seed error, guarded by the contrast's own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ablation.stats.arrays import FloatArray, check_alpha, complete_seeds
from ablation.stats.contrasts import Contrast, contrast
from ablation.stats.curves import Interval
from ablation.stats.paired import sidak, sidak_level, t_critical

MOST_COMPONENTS = 8


@dataclass(frozen=True, slots=True)
class ShapleyValues:
    """values[j] is the Shapley value of component j, total the difference between all on and all off; one family.

    The values add up to the total. shares are those of the total, of which each is a fraction; None where the interval
    of the total holds 0, since a share of nothing is not defined.
    """

    values: tuple[Contrast, ...]
    total: Contrast
    shares: tuple[Interval, ...] | None


def factorial_effects(y: npt.ArrayLike, mse: float, df: int, alpha: float = 0.05) -> tuple[Contrast, ...]:
    """All 2^m - 1 effects of the m components, in units of the metric, as one family at level alpha.

    y is a table of combinations; entry s - 1 is the effect of the components whose bits are in s: of one, on minus off
    (main effect); of two, by how much the effect of one is larger with the other on; and so on, each averaged over the
    other components. mse and df are those of the pooled error. Intervals and p-values are Sidak's (1967, JASA 62),
    which hold for any correlation of t statistics with one error estimate. Raises ValueError for a table that is no
    full factorial of 1 to 8 components, fewer than two complete seeds, or mse or df not positive.
    """
    table, m = _combinations(y)
    return _family(effect_weights(m), table, mse, df, alpha, 2**m - 1)


def shapley_values(y: npt.ArrayLike, mse: float, df: int, alpha: float = 0.05) -> ShapleyValues:
    """Shapley values of the components, the total, and their shares of it: one family of 2 m + 1 at level alpha.

    The value of a component is what it adds, averaged over all orders of switching the components on (Shapley 1953, "A
    value for n-person games"): linear in the combinations, hence a contrast. Arguments and errors are those of
    `factorial_effects`. Shares have Fieller's intervals (1954, JRSS B 16), guarded as the contrasts are.
    """
    table, m = _combinations(y)
    ends = np.zeros(len(table))
    ends[-1], ends[0] = 1.0, -1.0
    weights = shapley_weights(m)
    *values, total = _family([*weights, ends], table, mse, df, alpha, 2 * m + 1)
    bar = t_critical(sidak_level(alpha, 2 * m + 1), df)
    clear = total.low > 0 or total.high < 0
    shares = tuple(_share(w, ends, table, mse, bar) for w in weights) if clear else None
    return ShapleyValues(tuple(values), total, shares)


def effect_weights(m: int) -> FloatArray:
    """Weights of the combinations for each effect, shape (2^m - 1, 2^m): orthogonal, with equal sizes in a row."""
    cells = np.arange(2**m)
    on = (cells[None, :] >> np.arange(m)[:, None]) & 1
    rows = []
    for members in cells[1:]:
        own = [j for j in range(m) if members >> j & 1]
        rows.append(np.prod(2 * on[own] - 1, axis=0) / 2.0 ** (m - len(own)))
    return np.stack(rows)


def shapley_weights(m: int) -> FloatArray:
    """Weights of the combinations for each value, shape (m, 2^m): |S|! (m - |S| - 1)! / m!, negative without it."""
    cells = np.arange(2**m)
    on = (cells[None, :] >> np.arange(m)[:, None]) & 1
    others = on.sum(axis=0) - on
    by_size = np.array([1.0 / (m * math.comb(m - 1, size)) for size in range(m)])
    return np.asarray(by_size[others] * (2 * on - 1))


def _combinations(y: npt.ArrayLike) -> tuple[FloatArray, int]:
    """The complete seeds of a full factorial, and its number of components."""
    table = complete_seeds(y, "a factorial")
    m = len(table).bit_length() - 1
    if len(table) != 2**m or not 1 <= m <= MOST_COMPONENTS:
        raise ValueError(f"a full factorial of up to {MOST_COMPONENTS} components has 2^m rows, not {len(table)}")
    return table, m


def _family(
    weights: Sequence[FloatArray] | FloatArray, table: FloatArray, mse: float, df: int, alpha: float, size: int
) -> tuple[Contrast, ...]:
    """The contrasts with intervals and p-values for a family of that size."""
    check_alpha(alpha)
    if df < 1 or not mse >= 0:
        raise ValueError(f"contrasts need a pooled error, not mse={mse}, df={df}")
    level = sidak_level(alpha, size)
    alone = (contrast(w, table, mse, df, level) for w in weights)
    return tuple(replace(own, p=sidak(own.p_alone, size)) for own in alone)


def _share(part: FloatArray, whole: FloatArray, table: FloatArray, mse: float, bar: float) -> Interval:
    """The ratio of two contrasts with its interval: every theta for which part - theta whole is within bar errors of 0.

    The squared error is the larger of the pooled and the own one, so that this is the union of two intervals about the
    ratio, both bounded where the whole is more than bar errors from 0.
    """
    seeds = np.stack([part @ table, whole @ table])
    mean = seeds.mean(axis=1)
    both = np.stack([part, whole])
    ends = [_fieller(mean, bar**2 / seeds.shape[1] * v) for v in (mse * both @ both.T, np.cov(seeds))]
    low, high = (float(pick(own)) for pick, own in zip((min, max), zip(*ends, strict=True), strict=True))
    return Interval(float(mean[0] / mean[1]), low, high)


def _fieller(mean: FloatArray, margin: FloatArray) -> tuple[float, float]:
    """The theta with (a - theta b)^2 <= v_aa - 2 theta v_ab + theta^2 v_bb, for b^2 > v_bb."""
    square = float(mean[1] ** 2 - margin[1, 1])
    middle = float(mean[0] * mean[1] - margin[0, 1])
    rest = float(mean[0] ** 2 - margin[0, 0])
    half = math.sqrt(max(0.0, middle**2 - square * rest))
    return (middle - half) / square, (middle + half) / square
