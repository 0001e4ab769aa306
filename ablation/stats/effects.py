"""What a comparison of variants with a baseline returns."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from ablation._util.language import tr_noop
from ablation.stats.pooling import PooledError


class Method(StrEnum):
    """How a p-value and its interval were made."""

    DUNNETT = tr_noop("blocked Dunnett")
    BONFERRONI = tr_noop("paired t, Bonferroni")
    HOLM = tr_noop("paired t, Holm")
    NONE = tr_noop("none")


class Reason(StrEnum):
    """Why a variant has no test."""

    NO_RUNS = tr_noop("no seed has a run of both the variant and the baseline")
    ONE_SEED = tr_noop("a single common seed")
    FEW_SEEDS = tr_noop("an incomplete variant with fewer than three common seeds")
    FEW_DF = tr_noop("two seeds and fewer than four residual degrees of freedom")
    NO_VARIATION = tr_noop("the runs do not vary between seeds")
    NO_LOOK = tr_noop("the first look is not complete yet")


@dataclass(frozen=True, slots=True)
class Group:
    """Finite runs of one row: their number n, mean and sample SD (NaN where undefined), in units of the metric."""

    n: int
    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class Effect:
    """One variant against the baseline, in units of the metric; NaN where not estimable.

    n, mean and sd describe the variant's own finite runs; `pairs` is the number of seeds that the difference, variant
    minus baseline, rests on. [low, high] is simultaneous over the family at level 1 - alpha, p is adjusted for it.
    With method HOLM the interval is Bonferroni's: it may still cover 0 where the stepwise p is below alpha.
    screened: its variance over seeds is an outlier (unstable). incomplete: it lacks runs that the pool has.
    paired_p: Holm-adjusted paired t on its own variance (from 3 seeds). sign_flip_p: adjusted sign-flip max-T p (from
    10 seeds of the pool).
    """

    n: int
    mean: float
    sd: float
    pairs: int
    difference: float
    low: float
    high: float
    t: float
    p: float
    method: Method
    reason: Reason | None
    screened: bool
    incomplete: bool
    paired_p: float
    sign_flip_p: float

    @property
    def estimable(self) -> bool:
        """Whether there is a test and an interval."""
        return self.method is not Method.NONE

    def detected(self, alpha: float) -> bool:
        """Whether the adjusted p is at most alpha; False where not estimable."""
        return self.p <= alpha


@dataclass(frozen=True, slots=True)
class Comparison:
    """All variants against the baseline: one family at level alpha.

    effects are in the order of rows 1, 2, ... of Y. k is the number of comparisons of the Dunnett distribution used,
    critical_value its quantile (NaN when it was not used).
    """

    alpha: float
    baseline: Group
    effects: tuple[Effect, ...]
    pool: PooledError
    k: int
    critical_value: float
    baseline_screened: bool


def describe(values: npt.ArrayLike) -> Group:
    """Number, mean and sample SD of the finite ones among values, shape (seeds,)."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    n, nan = len(finite), math.nan
    if n == 0:
        return Group(0, nan, nan)
    mean = float(finite.sum()) / n
    deviations = finite - mean
    return Group(n, mean, math.sqrt(float((deviations * deviations).sum()) / (n - 1)) if n > 1 else nan)
