"""Sequential studies: the family is judged at looks that are declared beforehand, each variant until it is decided.

Look j, at the first n_j seeds, tests the family at its share alpha_j = A(t_j) - A(t_(j-1)) of alpha, t_j = n_j / n_m,
with all k comparisons of the study at every look, decided ones too. By the union bound the family-wise error is at most
the sum of the shares, which is alpha, whatever is dropped on the way and however the looks depend on each other.
Intervals at 1 - alpha_j are repeated confidence intervals (Jennison and Turnbull 1989, JRSS B 51): together they hold,
at all looks and for all variants, with probability 1 - alpha. What is decided follows from the runs alone: `replay`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from ablation.stats.arrays import BoolArray, FloatArray, as_table, check_alpha
from ablation.stats.blocked import compare
from ablation.stats.effects import Comparison, Effect
from ablation.stats.power import smallest_detectable_effect, typical_half_width

Spending = Literal["obrien_fleming", "pocock"]
Futility = Literal["none", "conditional_power"]
FUTILE = 0.2
"""A variant is stopped for futility where its conditional power is below this."""
POWER = 0.8
"""Of the last look for the difference that conditional power assumes."""
_LEAST = 1e-12
"""Of alpha that is spent at least, times t: A(t) may be too small for a float, and every look needs a share."""


class Decision(StrEnum):
    """Why a variant is trained no further."""

    DETECTED = "detected"
    EQUIVALENT = "equivalent"
    FUTILE = "futile"
    IDENTICAL = "identical"
    UNSTABLE = "unstable"


@dataclass(frozen=True, slots=True)
class SequentialDesign:
    """Looks at the first n seeds each, and the rules by which a variant is decided at one of them.

    alpha is the family-wise error of all looks together. margin is in the unit of the metric: a variant whose interval
    is inside it is equivalent. Raises ValueError for fewer than two looks, for looks that do not grow or begin with
    fewer than two seeds, and for alpha outside (0, 1).
    """

    looks: tuple[int, ...]
    alpha: float = 0.05
    spending: Spending = "obrien_fleming"
    futility: Futility = "none"
    margin: float | None = None

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if len(self.looks) < 2 or self.looks[0] < 2 or any(after <= before for before, after in pairwise(self.looks)):
            raise ValueError(f"looks must be at least two growing numbers of seeds from 2, not {self.looks}")

    @property
    def shares(self) -> tuple[float, ...]:
        """The level of each look; their sum is alpha."""
        return _shares(self)


@lru_cache(maxsize=64)
def _shares(design: SequentialDesign) -> tuple[float, ...]:
    """Lan and DeMets 1983 (Biometrika 70): spending functions of the type of O'Brien and Fleming, and of Pocock."""
    t = np.array(design.looks) / design.looks[-1]
    if design.spending == "pocock":
        spent = design.alpha * np.log1p((math.e - 1.0) * t)
    else:
        spent = 2.0 * special.ndtr(special.ndtri(design.alpha / 2.0) / np.sqrt(t))
    spent = np.maximum(spent, _LEAST * t)
    spent[-1] = design.alpha
    shares: list[float] = np.diff(spent, prepend=0.0).tolist()
    return tuple(shares)


@dataclass(frozen=True, slots=True)
class SeedTable:
    """The runs of a study so far: the baseline in row 0, a column for each seed of the last look, in their order.

    values is NaN where a run has none. ended marks the runs that are not waited for any more, failed those of them that
    diverged or ended at chance, identical those with the very weights of the baseline under that seed. controls says
    which variants (rows 1, 2, ...) are the baseline again.
    """

    values: FloatArray
    ended: BoolArray
    failed: BoolArray
    identical: BoolArray
    controls: tuple[bool, ...]

    @classmethod
    def complete(cls, y: npt.ArrayLike) -> SeedTable:
        """The table of runs that have all finished; y has shape (variants + 1, seeds)."""
        values = as_table(y, "Y", 2)
        none = np.zeros(values.shape, dtype=np.bool_)
        return cls(values, ~none, ~np.isfinite(values), none, (False,) * (len(values) - 1))


@dataclass(frozen=True, slots=True)
class Look:
    """A look at the first `seeds` seeds; variants go by their number, from 0.

    number counts from 1, alpha is the level of this look. effects has those of `variants` that could be compared, with
    p-values and intervals at this look alone; comparison is None where there were none. decided says what was decided.
    """

    number: int
    seeds: int
    alpha: float
    variants: tuple[int, ...]
    effects: Mapping[int, Effect]
    comparison: Comparison | None
    decided: Mapping[int, Decision]


@dataclass(frozen=True, slots=True)
class PathPoint:
    """The difference of a variant at a look with its repeated interval; half of its width is the boundary of 0."""

    seeds: int
    difference: float
    low: float
    high: float

    @property
    def boundary(self) -> float:
        """The size from which a difference was detected at this look."""
        return (self.high - self.low) / 2.0


@dataclass(frozen=True)
class SequentialResult:
    """What the runs so far decide: the complete looks, and the variants that `go_on` to the next one.

    required, shape (variants + 1, seeds), marks the runs that the complete looks and the next one need.
    """

    design: SequentialDesign
    looks: tuple[Look, ...]
    go_on: tuple[int, ...]
    required: BoolArray

    @property
    def next_look(self) -> int | None:
        """The number of seeds of the look that is waited for; None where no more are needed."""
        return self.design.looks[len(self.looks)] if self.go_on else None

    def decision(self, variant: int) -> Decision | None:
        """What was decided on a variant; None where nothing was."""
        return next((look.decided[variant] for look in self.looks if variant in look.decided), None)

    def last_look(self, variant: int) -> Look | None:
        """The last look that a variant was part of; None before the first is complete."""
        return next((look for look in reversed(self.looks) if variant in look.variants), None)

    def effect(self, variant: int) -> Effect | None:
        """The variant at its last look; None where it was not compared there.

        The interval is the repeated one. p-values are adjusted for the looks: divided by the look's part of alpha (a
        weighted Bonferroni adjustment), so that p is at most alpha where the look has detected the difference.
        """
        look = self.last_look(variant)
        found = look.effects.get(variant) if look else None
        if look is None or found is None:
            return None
        factor = self.design.alpha / look.alpha
        reachable = 2.0 ** (1 - found.pairs) <= look.alpha  # the level of this look, by sign flips
        flips = _times(found.sign_flip_p, factor) if reachable else math.nan
        return replace(found, p=_times(found.p, factor), paired_p=_times(found.paired_p, factor), sign_flip_p=flips)

    def path(self, variant: int) -> tuple[PathPoint, ...]:
        """The variant at each complete look that tested it."""
        tested = ((look.seeds, look.effects[variant]) for look in self.looks if variant in look.effects)
        return tuple(PathPoint(n, own.difference, own.low, own.high) for n, own in tested if own.estimable)


def _times(p: float, factor: float) -> float:
    """A p-value times a factor, at most 1; NaN stays."""
    return p if math.isnan(p) else min(1.0, p * factor)


def replay(runs: SeedTable, design: SequentialDesign, checks: bool = True) -> SequentialResult:
    """Judge the family at every look whose runs have ended, and say which runs the next one needs.

    A pure function of the runs: `ablate run` calls it after each look, and it decides the same after any interruption.
    Only runs that a look requires count. A variant is decided when its difference is detected, when its whole interval
    is inside the margin, or for futility; when a run of it has failed, since no further seed makes it stable; and when
    it is identical to the baseline. A control is not decided by margin or futility, and goes on as long as others do.
    Without `checks` the p-values that no decision rests on are left out. Raises ValueError for a table of fewer seeds
    than the last look has.
    """
    if runs.values.shape[1] < design.looks[-1]:
        raise ValueError(f"the last look needs {design.looks[-1]} seeds, the table has {runs.values.shape[1]}")
    go_on: tuple[int, ...] = tuple(range(len(runs.values) - 1))
    required = np.zeros(runs.values.shape, dtype=np.bool_)
    looks: list[Look] = []
    for number, seeds in enumerate(design.looks, start=1):
        if not go_on:
            break
        rows = _rows(go_on)
        required[rows, :seeds] = True
        if not runs.ended[rows, :seeds].all():
            break
        look = _judge(runs, design, number, go_on, checks)
        looks.append(look)
        go_on = _left(go_on, look.decided, runs.controls) if number < len(design.looks) else ()
    return SequentialResult(design, tuple(looks), go_on, required)


def _rows(variants: Sequence[int]) -> list[int]:
    return [0, *(i + 1 for i in variants)]


def _left(go_on: Sequence[int], decided: Collection[int], controls: Sequence[bool]) -> tuple[int, ...]:
    """The variants that need more seeds; controls do only beside others, unless the study has nothing else."""
    left = tuple(i for i in go_on if i not in decided)
    return left if any(not controls[i] for i in left) or all(controls) else ()


def _judge(runs: SeedTable, design: SequentialDesign, number: int, variants: tuple[int, ...], checks: bool) -> Look:
    seeds, alpha = design.looks[number - 1], design.shares[number - 1]
    identical, failed = _identical(runs, seeds), [bool(row.any()) for row in runs.failed[1:, :seeds]]
    decided = {i: Decision.IDENTICAL for i in variants if identical[i]}
    decided |= {i: Decision.UNSTABLE for i in variants if failed[i] and not identical[i]}
    compared = [i for i in variants if decided.get(i) is not Decision.IDENTICAL]
    if not compared:
        return Look(number, seeds, alpha, variants, {}, None, decided)
    family = len(runs.values) - 1
    table = runs.values[_rows(compared), :seeds]
    found = compare(table, alpha, absent=family - len(compared), checks=checks)
    effects = dict(zip(compared, found.effects, strict=True))
    for i, own in effects.items():
        only_detected = runs.controls[i] and not all(runs.controls)
        if i not in decided and (decision := _decision(own, design, number, family, only_detected)):
            decided[i] = decision
    return Look(number, seeds, alpha, variants, effects, found, decided)


def _identical(runs: SeedTable, seeds: int) -> list[bool]:
    """Whether each variant has the weights of the baseline under every seed that both have finished."""
    finite = np.isfinite(runs.values[:, :seeds])
    shared = finite[1:] & finite[0]
    same: list[bool] = (shared.any(axis=1) & (runs.identical[1:, :seeds] | ~shared).all(axis=1)).tolist()
    return same


def _decision(own: Effect, design: SequentialDesign, number: int, family: int, only_detected: bool) -> Decision | None:
    """What a look decides on a variant; nothing where its spread is an outlier, which more seeds may change."""
    if not own.estimable or own.screened:
        return None
    if own.detected(design.shares[number - 1]):
        return Decision.DETECTED
    if only_detected:
        return None
    if design.margin is not None and max(-own.low, own.high) < design.margin:
        return Decision.EQUIVALENT
    return Decision.FUTILE if is_futile(own, design, number, family) else None


def is_futile(own: Effect, design: SequentialDesign, number: int, family: int) -> bool:
    """Whether the last look would hardly detect a difference, nor find it inside the margin.

    The conditional power, of the last look for the difference that it detects in 80 % of studies, is below `FUTILE`
    (Lan, Simon and Halperin 1982, Sequential Analysis 1): about a quarter more studies miss that difference, and no
    error is added. With a margin, an interval as wide as that of the last look must reach beyond it too.
    """
    if design.futility == "none" or not abs(own.t) < futility_bounds(design, family)[number - 1]:
        return False
    if design.margin is None:
        return True
    half = (own.high - own.low) / 2.0 * last_width(design, family)[number - 1]
    return abs(own.difference) + half >= design.margin


@lru_cache(maxsize=64)
def futility_bounds(design: SequentialDesign, family: int) -> tuple[float, ...]:
    """The |t| below which a variant is futile at each look, as far as its margin lets it; 0 at the last one.

    With t the share of the seeds, Z the statistic now and d the drift under the difference that conditional power
    assumes, P(Z_m > c | Z) = Phi((Z sqrt t + d (1 - t) - c) / sqrt(1 - t)).
    """
    critical, n = boundaries(design, family)[-1], design.looks[-1]
    drift = smallest_detectable_effect(n, family, design.shares[-1], POWER) * math.sqrt(n / 2.0)
    t = np.array(design.looks[:-1]) / n
    bounds = (critical - drift * (1.0 - t) + special.ndtri(FUTILE) * np.sqrt(1.0 - t)) / np.sqrt(t)
    return (*np.maximum(bounds, 0.0).tolist(), 0.0)


@lru_cache(maxsize=64)
def boundaries(design: SequentialDesign, family: int) -> tuple[float, ...]:
    """The typical half-width of each look in standard errors, with no run missing and no variant decided."""
    planned = zip(design.looks, design.shares, strict=True)
    return tuple(typical_half_width(n, family, alpha) for n, alpha in planned)


@lru_cache(maxsize=64)
def last_width(design: SequentialDesign, family: int) -> tuple[float, ...]:
    """How wide an interval of the last look is expected to be, relative to that of each look."""
    critical, n = boundaries(design, family), design.looks
    return tuple(critical[-1] / own * math.sqrt(seeds / n[-1]) for own, seeds in zip(critical, n, strict=True))


def at_some_look(y: npt.ArrayLike, alpha: float, looks: int) -> Comparison:
    """Compare as `compare` does, at one of several looks, whatever has chosen it.

    Intervals are at 1 - alpha / looks and p-values times looks, by Bonferroni over the looks. For what the shares of
    alpha are not spent on: the metrics beside the primary one.
    """
    found = compare(y, alpha / looks)
    effects = (
        replace(own, p=_times(own.p, looks), paired_p=_times(own.paired_p, looks), sign_flip_p=math.nan)
        for own in found.effects
    )
    return replace(found, alpha=alpha, effects=tuple(effects))
