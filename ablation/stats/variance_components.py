"""How much of the variance of runs each source of randomness causes: a balanced design, and its analysis of variance.

The value of a run is a function of the independent seeds of its sources, so that its variance is the sum of one
component for each source and one for all their interactions (Hoeffding 1948; Sobol 1993; Searle, Casella and McCulloch
1992, *Variance Components*). The runs of one square are an orthogonal array of strength 2: any two of them share the
seed of one source at most, and then their covariance is the component of that source, whatever the function is. Without
any assumption on the interactions, the expected mean square of a source is therefore `side` times its component plus
the component of the interactions, which is the expected mean square of the rest (Owen 1992, "Orthogonal arrays for
computer experiments, integration and visualization", Statistica Sinica 2).

Varying one source alone around one base seed (Bouthillier et al. 2021, "Accounting for variance in machine learning
benchmarks") measures, at that base only, the component together with all its interactions: sums of these exceed the
variance of runs, and show no interaction apart from a source.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from ablation.stats.arrays import FloatArray, negligible_variance

DRAWS = 10_000
"""Of the pivotal quantities behind an interval; always the same ones, so that the same values give the same digits."""
SQUARE_SIDES = (5, 7, 11)
"""Seeds in a square: primes, for which the array of `square_levels` is orthogonal."""


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the variance: its estimate, and the interval of its size, both squared units of the metric.

    `share` is the part of the total, from 0 to 1. A component whose `low` is 0 cannot be told from none.
    """

    variance: float
    low: float
    high: float
    share: float
    share_low: float
    share_high: float


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    """The components of each source in the order of the design, of their interactions, and of a whole run.

    `df` are the degrees of freedom of each source.
    """

    mean: float
    sources: tuple[Component, ...]
    interactions: Component
    total: Component
    df: int
    level: float


def square_side(sources: int) -> int:
    """Seeds in a square for so many sources: 5, 7 or 11. Raises ValueError for fewer than 2 or more than 11 sources."""
    if not 2 <= sources <= SQUARE_SIDES[-1]:
        raise ValueError(f"a square has 2 to {SQUARE_SIDES[-1]} sources, not {sources}")
    return next(side for side in SQUARE_SIDES if side >= sources)


def square_levels(side: int, sources: int) -> npt.NDArray[np.int64]:
    """Which of the `side` seeds each source has in the runs of a square: an array (side, side, sources).

    Row 0 has the same seed for all sources. In every row each source has each seed once, and for a prime `side` any two
    runs agree in one source at most (Bose and Bush 1952). Raises ValueError for more sources than seeds.
    """
    if sources > side:
        raise ValueError(f"a square of {side} seeds has at most {side} sources, not {sources}")
    shift, place, source = np.ogrid[:side, :side, :sources]
    levels: npt.NDArray[np.int64] = (place + shift * source) % side
    return levels


def variance_components(values: npt.ArrayLike, sources: int, level: float = 0.95) -> VarianceComponents:
    """Components of `values`, shape (squares, side, side), each square in the order of `square_levels`.

    Point estimates are those of restricted maximum likelihood: components that would be negative are 0, and their sums
    of squares are pooled with the interactions (Thompson 1962, "The problem of negative estimates of variance
    components", Annals of Mathematical Statistics 33). Intervals are generalized confidence intervals (Weerahandi 1993,
    Journal of the American Statistical Association 88), that of the total is one of Graybill and Wang; both assume
    normal effects, those of interactions independent for each combination of seeds.

    Raises ValueError for another shape, for values that are not finite, and for a level outside (0, 1).
    """
    _check(level)
    y = np.asarray(values, dtype=np.float64)
    if y.ndim != 3 or y.shape[0] < 1 or y.shape[1] != y.shape[2] or not 2 <= sources <= y.shape[1]:
        raise ValueError(f"values must have shape (squares, side, side) for 2 to side sources, not {y.shape}")
    if not np.isfinite(y).all():
        raise ValueError("every run needs a finite value")
    squares, side, _ = y.shape
    df = np.array([squares * (side - 1)] * sources + [squares * (side - 1) * (side + 1 - sources)])
    sums = _sums_of_squares(y, sources)
    estimates = _estimates(sums, df, side)
    sizes, shares = (_ends(drawn, level) for drawn in _pivotal(sums, float(estimates[-1]), df, side))
    total = float(estimates.sum())
    some = 1.0 if total else 0.0
    parts = [
        Component(float(own), *size, float(own) / total if total else 0.0, *share)
        for own, size, share in zip(estimates, sizes, shares, strict=True)
    ]
    whole = Component(total, *_interval_of_total(sums, df, side, level), some, some, some)
    return VarianceComponents(float(y.mean()), tuple(parts[:-1]), parts[-1], whole, int(df[0]), level)


def _sums_of_squares(y: FloatArray, sources: int) -> FloatArray:
    """Sums of squares within squares: between the seeds of each source, and last what is left for the interactions.

    What rounding alone can leave counts as none.
    """
    side = y.shape[1]
    levels = square_levels(side, sources)
    centred = y - y.mean(axis=(1, 2), keepdims=True)
    left, sums = centred.copy(), np.empty(sources + 1)
    for source in range(sources):
        seed = levels[..., source]
        means = np.stack([centred[:, seed == number].mean(axis=1) for number in range(side)], axis=1)
        effect = means[:, seed]
        sums[source] = np.sum(effect**2)
        left -= effect
    sums[-1] = np.sum(left**2)
    return np.where(sums > y.size * negligible_variance(y), sums, 0.0)


def _estimates(sums: FloatArray, df: npt.NDArray[np.int64], side: int) -> FloatArray:
    """The components of the sources and, last, of the interactions; none is negative."""
    own, pooled, pooled_df = sums[:-1], float(sums[-1]), int(df[-1])
    none = np.zeros(len(own), dtype=np.bool_)
    for source in np.argsort(own, kind="stable"):
        if own[source] / df[source] >= pooled / pooled_df:
            break
        none[source] = True
        pooled, pooled_df = pooled + float(own[source]), pooled_df + int(df[source])
    error = pooled / pooled_df
    return np.append(np.where(none, 0.0, (own / df[:-1] - error) / side), error)


def _pivotal(sums: FloatArray, error: float, df: npt.NDArray[np.int64], side: int) -> tuple[FloatArray, FloatArray]:
    """Draws of the components and of their shares of the total; the interactions are the last row.

    A sum of squares over its expected mean square is a chi-square variable, so that the sum over draws of that variable
    stands for the unknown mean square. No expected mean square is below that of the interactions, estimated as `error`:
    a source whose own happens to be lower is taken to have this one. Otherwise its interval could be as short as one
    likes, though nothing is known of it (Cowan et al. 2011, "Power-constrained limits", arXiv:1105.3166).
    """
    chi = _chi_squares(tuple(df.tolist()))
    rest = sums[-1:, None] / chi[-1:]
    own = np.maximum(sums[:-1], error * df[:-1])[:, None] / chi[:-1]
    components = np.vstack([np.maximum(own - rest, 0.0) / side, rest])
    total = _weights(len(own), side) @ (sums[:, None] / chi)
    shares = np.divide(components, total, out=np.zeros_like(components), where=total > 0)
    return components, np.minimum(shares, 1.0)


def _weights(sources: int, side: int) -> FloatArray:
    """What the mean squares are multiplied by in the total; none is negative."""
    return np.append(np.full(sources, 1 / side), 1 - sources / side)


def _interval_of_total(sums: FloatArray, df: npt.NDArray[np.int64], side: int, level: float) -> tuple[float, float]:
    """The interval of Graybill and Wang (1980, Journal of the American Statistical Association 75) for a sum of mean
    squares with positive weights."""
    parts = _weights(len(sums) - 1, side) * sums / df
    factors = np.array([sd_factors(int(own), level) for own in df]) ** 2
    below, above = (np.sqrt(np.sum(((factors[:, end] - 1) * parts) ** 2)) for end in (0, 1))
    return float(parts.sum() - below), float(parts.sum() + above)


def _ends(drawn: FloatArray, level: float) -> list[tuple[float, float]]:
    """The interval of each row of draws."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return list(zip(low.tolist(), high.tolist(), strict=True))


@lru_cache(maxsize=32)
def _chi_squares(df: tuple[int, ...]) -> FloatArray:
    """Draws of independent chi-square variables, shape (len(df), DRAWS).

    They are a Latin hypercube sample (McKay et al. 1979): each variable has exactly its own quantiles.
    """
    rng, tails = np.random.default_rng(1962), (np.arange(DRAWS) + 0.5) / DRAWS
    return np.stack([special.chdtri(own, rng.permutation(tails)) for own in df])


def sd_factors(df: int, level: float = 0.95) -> tuple[float, float]:
    """The ends of the chi-square interval of a standard deviation with `df` degrees of freedom, over its estimate.

    Raises ValueError for fewer than one degree of freedom, and for a level outside (0, 1).
    """
    _check(level)
    if df < 1:
        raise ValueError(f"an interval needs at least one degree of freedom, not {df}")
    upper, lower = special.chdtri(df, (1 - level) / 2), special.chdtri(df, (1 + level) / 2)
    return math.sqrt(df / upper), math.sqrt(df / lower)


def _check(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be between 0 and 1, not {level}")
