"""What a study leaves open, and what it takes to decide it: which variants, and how many fresh seeds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, count, islice
from typing import Any

import ablation.stats as stats
from ablation._util.formatting import plural
from ablation.analysis.compare import POWER
from ablation.analysis.types import Analysis, Effect
from ablation.errors import UserError
from ablation.stats.paired import sidak_level
from ablation.storage.manifest import Manifest, StoredVariant
from ablation.study.follow_up import FollowUp

LEAST_SEEDS = 3
_OPEN = ("not_detected", "no_claim")
_DETECTED = ("better", "worse")
_INTERACTION = 4.0
"""The sum of the squared weights of the interaction of two changes."""
_FACTORIAL_EFFECTS = 3
"""Those of a factorial of two components, which are one family."""


@dataclass(frozen=True)
class Wish:
    """What is asked of a follow-up.

    `detect` is the difference that matters, in the unit of the metric as stored: by default the margin of the study, or
    else the difference that was measured of each variant. `alpha` is by default that of the study.
    """

    detect: float | None = None
    most_seeds: int = 20
    alpha: float | None = None
    interaction: bool = True


@dataclass(frozen=True)
class Pick:
    """A variant of the follow-up and why it is there; `seeds` is 0 where it is only there for the interaction."""

    variant: StoredVariant
    why: str
    seeds: int


@dataclass(frozen=True)
class Pair:
    """Two changes whose interaction is open: `components` of a design, or else the `changes` of their combination.

    `parts` are the variants that have one of the two changes each.
    """

    name: str
    parts: tuple[StoredVariant, StoredVariant]
    size: float
    level: float
    components: tuple[str, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """The follow-up of a study: its variants, the interaction that it tests, its seeds and its share of the error.

    `about` has a line on each variant and on the interaction, `left_out` one on each open question that stays open.
    """

    name: str
    picks: tuple[Pick, ...]
    pair: Pair | None
    pair_seeds: int
    seeds: tuple[int, ...]
    alpha: float
    follow_up: FollowUp
    about: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def bound(self) -> float:
        """Upper bound of the family-wise error of the follow-up and the studies before it."""
        return min(1.0, self.follow_up.spent + self.alpha)


def propose(manifest: Manifest, analysis: Analysis, wish: Wish, others: Sequence[Manifest] = ()) -> Proposal:
    """The study that would decide what is open; `others` are the studies in the same results folder.

    Raises UserError where the results are incomplete, nothing is open, or all that is open needs too many seeds.
    """
    return _Planner(manifest, analysis, wish).proposal(others)


class _Planner:
    """Chooses what is in a follow-up, and how many seeds that needs."""

    def __init__(self, manifest: Manifest, analysis: Analysis, wish: Wish) -> None:
        self.manifest, self.analysis, self.wish = manifest, analysis, wish
        self.alpha = analysis.alpha if wish.alpha is None else wish.alpha
        self.target = analysis.margin if wish.detect is None else wish.detect
        self.sd = _residual_sd(manifest, analysis)
        self.variants = {own.name: own for own in manifest.variants}
        self.left_out: list[str] = []

    def proposal(self, others: Sequence[Manifest]) -> Proposal:
        """What remains once everything that needs too many seeds is left out."""
        open_ = [own for own in self.analysis.variants if self._is_open(own)]
        pair = self._pair() if self.wish.interaction else None
        if not open_ and not pair:
            raise UserError(f"nothing is open in {self.manifest.name}: every variant is decided", self._unstable())
        open_, pair = self._within(open_, pair)
        if not open_ and not pair:
            what = f"what is open in {self.manifest.name} needs more than {self.wish.most_seeds} seeds"
            hint = "allow more with --seeds-max, or say with --detect which difference matters"
            raise UserError(f"{what}: {_first(self.left_out)}", hint)
        size = self._size(open_, pair)
        picks = [*(self._open(own, size) for own in open_), *self._parts(open_, pair)]
        pair_seeds = (self._pair_seeds(pair, size) or 0) if pair else 0
        number = max(pair_seeds, *(own.seeds for own in picks))
        about = [f"{own.variant.name}: {own.why}" for own in picks]
        about += [f"{pair.name}: {self._question(pair, pair_seeds)}"] if pair else []
        used, spent = _used(self.manifest, others), self._spent(others)
        start = max(_seeds(self.manifest, others)) + 1
        seeds = tuple(islice((seed for seed in count(start) if seed not in used), number))
        follow_up = FollowUp(of=self.manifest.name, spent=spent, seeds=tuple(sorted(used)))
        name = _free_name(f"{self.manifest.name}-follow-up", {own.name for own in others})
        own = (name, tuple(picks), pair, pair_seeds, seeds, self.alpha, follow_up, tuple(about))
        return Proposal(*own, (*self.left_out, *self._unstable_lines()))

    def _is_open(self, own: Effect) -> bool:
        """Whether a variant is undecided. Of a factorial only those that switch one component: pairs are effects."""
        if own.verdict not in _OPEN or own.kind == "control" or own.difference is None:
            return False
        components, base = self.variants[own.variant].components, self.manifest.baseline.components
        tested = self.analysis.factorial and self.analysis.factorial.effects and components
        return not tested or sum(components[name] != base[name] for name in base) == 1

    def _within(self, open_: Sequence[Effect], pair: Pair | None) -> tuple[list[Effect], Pair | None]:
        """What can be decided with the seeds allowed; the smallest differences are left out first."""
        kept = sorted(open_, key=lambda own: -abs(own.difference or 0.0))
        most = plural(self.wish.most_seeds, "seed")
        while True:
            size = self._size(kept, pair)
            if pair and self._pair_seeds(pair, size) is None:
                shown = self.analysis.measure.size(pair.size)
                self.left_out.append(f"{pair.name}: an interaction of {shown} needs more than {most}")
                pair = None
            elif kept and self._seeds(self._goal(kept[-1]), size) is None:
                last = kept.pop()
                goal, measured = self.analysis.measure.size(self._goal(last)), " (the measured one)"
                what = f"a difference of {goal}{'' if self.target else measured}"
                self.left_out.append(f"{last.variant}: {what} needs more than {most}")
            else:
                return [own for own in open_ if own in kept], pair

    def _size(self, open_: Sequence[Effect], pair: Pair | None) -> int:
        """The number of variants beside the baseline."""
        names = {own.variant for own in open_} | {own.name for own in (pair.parts if pair else ())}
        return max(1, len(names) + bool(pair))

    def _goal(self, own: Effect) -> float:
        """The difference that is to be found of a variant."""
        return self.target or abs(own.difference or 0.0)

    def _seeds(self, goal: float, size: int) -> int | None:
        """The fewest seeds that find a difference in 4 of 5 studies; None where it takes more than are allowed."""
        detectable = stats.smallest_detectable_effect
        return self._fewest(lambda n: detectable(n, size, self.alpha, POWER) * self.sd <= goal)

    def _pair_seeds(self, pair: Pair, size: int) -> int | None:
        detectable = stats.smallest_detectable_contrast
        return self._fewest(lambda n: detectable(n, size, _INTERACTION, pair.level, POWER) * self.sd <= pair.size)

    def _fewest(self, enough: Callable[[int], bool]) -> int | None:
        numbers = range(LEAST_SEEDS, self.wish.most_seeds + 1)
        place = bisect_left(numbers, True, key=enough)
        return numbers[place] if place < len(numbers) else None

    def _open(self, own: Effect, size: int) -> Pick:
        seeds = self._seeds(self._goal(own), size) or 0
        goal = self.analysis.measure.size(self._goal(own))
        which = goal if self.target else f"{goal}, the measured difference,"
        why = f"{self._measured(own)}, {own.verdict_text.head}; {seeds} seeds find {which} in 4 of 5 studies"
        return Pick(self.variants[own.variant], why, seeds)

    def _parts(self, open_: Sequence[Effect], pair: Pair | None) -> Iterator[Pick]:
        """The variants that are only there because the interaction needs them."""
        names = {own.variant for own in open_}
        for variant in pair.parts if pair else ():
            if variant.name not in names:
                own = self.analysis.effect(variant.name)
                yield Pick(variant, f"{self._measured(own)}, {own.verdict_text.head}; for the interaction", 0)

    def _question(self, pair: Pair, seeds: int) -> str:
        shown = self.analysis.measure.size(pair.size)
        return f"do they interact? {seeds} seeds find an interaction of {shown} in 4 of 5 studies"

    def _measured(self, own: Effect) -> str:
        measure = self.analysis.measure
        interval = measure.interval(own.low, own.high)
        return f"{measure.difference(own.difference)}{f' {interval}' if interval else ''}{measure.unit}"

    def _pair(self) -> Pair | None:
        """The most plausible interaction: of a factorial the largest that is open, else one that was not tried."""
        found = self.analysis.factorial
        return self._of_components() if found and found.effects else self._of_changes()

    def _of_components(self) -> Pair | None:
        found, base = self.analysis.factorial, self.manifest.baseline.components
        open_ = [own for own in found.of(2) if not own.detected] if found else []
        if not open_:
            return None
        own = max(open_, key=lambda own: abs(own.estimate))
        first, second = (self._with_components({**base, name: not base[name]}) for name in own.components)
        size, level = self.target or abs(own.estimate), sidak_level(self.alpha, _FACTORIAL_EFFECTS)
        return Pair(" x ".join(own.components), (first, second), size, level, components=own.components)

    def _with_components(self, wanted: Mapping[str, bool]) -> StoredVariant:
        return next(own for own in self.manifest.variants if dict(own.components) == wanted)

    def _of_changes(self) -> Pair | None:
        """Two changes of options that no variant combines, at least one of them detected: the largest effects interact.

        That interactions are likeliest between large effects is the heredity principle (Hamada and Wu 1992, Journal of
        Quality Technology 24).
        """
        single = [own for own in self.analysis.variants if own.difference and len(self._changes(own)) == 1]
        single = [own for own in single if own.verdict in (*_DETECTED, *_OPEN) and own.kind != "control"]
        pairs = [two for two in combinations(single, 2) if self._plausible(*two)]
        if not pairs:
            return None
        first, second = max(pairs, key=lambda two: self._plausibility(*two))
        size = self.target or min(abs(first.difference or 0.0), abs(second.difference or 0.0))
        changes = {**self._changes(first), **self._changes(second)}
        parts = (self.variants[first.variant], self.variants[second.variant])
        return Pair(f"{first.variant} + {second.variant}", parts, size, self.alpha, changes=changes)

    def _changes(self, own: Effect) -> Mapping[str, Any]:
        return self.variants[own.variant].changes

    def _plausible(self, first: Effect, second: Effect) -> bool:
        (one,), (other,) = self._changes(first), self._changes(second)
        apart = not f"{one}.".startswith(f"{other}.") and not f"{other}.".startswith(f"{one}.")
        detected = first.verdict in _DETECTED or second.verdict in _DETECTED
        return apart and detected and all(set(own.changes) != {one, other} for own in self.manifest.variants)

    def _plausibility(self, first: Effect, second: Effect) -> tuple[int, int, float]:
        sign = self.analysis.measure.sign
        detected = sum(own.verdict in _DETECTED for own in (first, second))
        better = sum(sign * (own.difference or 0.0) > 0 for own in (first, second))
        return detected, better, abs((first.difference or 0.0) * (second.difference or 0.0))

    def _spent(self, others: Sequence[Manifest]) -> float:
        """The bound of the family-wise error of the study, of those before it, and of its other follow-ups."""
        more = (own.looks * float(own.analysis["alpha"]) for own in _siblings(self.manifest, others))
        return min(1.0, round(self.analysis.bound_with_earlier + sum(more), 12))

    def _unstable(self) -> str | None:
        return "; ".join(self._unstable_lines()) or None

    def _unstable_lines(self) -> list[str]:
        unstable = (own for own in self.analysis.variants if own.verdict == "unstable")
        return [f"{own.variant}: {own.verdict_text.head} ({own.verdict_text.note})" for own in unstable]


def _first(lines: Sequence[str], most: int = 3) -> str:
    more = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "; ".join([*lines[:most], *more])


def _residual_sd(manifest: Manifest, analysis: Analysis) -> float:
    """The residual SD. Raises UserError where the results of the study are not complete, or give none."""
    facts = analysis.facts
    if manifest.smoke:
        raise UserError(f"{manifest.name} is a smoke run, which decides nothing", "name the study itself")
    if facts.open:
        what = f"{facts.open:,} of {plural(facts.runs, 'run')} of {manifest.name} have no result yet"
        raise UserError(what, f"finish the study first: {manifest.command}")
    if not analysis.design.residual_sd:
        what = f"the runs of {manifest.name} have no residual SD, from which the seeds could be calculated"
        raise UserError(what, "that takes two seeds or more, whose results are not all the same")
    return analysis.design.residual_sd


def _siblings(manifest: Manifest, others: Sequence[Manifest]) -> list[Manifest]:
    """The follow-ups of a study that were run already."""
    return [own for own in others if own.follow_up and own.follow_up.of == manifest.name and not own.smoke]


def _seeds(manifest: Manifest, others: Sequence[Manifest]) -> set[int]:
    """The seeds of a study, of those before it and of its other follow-ups."""
    before = manifest.follow_up.seeds if manifest.follow_up else ()
    return {*manifest.seeds, *before, *(seed for own in _siblings(manifest, others) for seed in own.seeds)}


def _used(manifest: Manifest, others: Sequence[Manifest]) -> set[int]:
    """The same with the seeds of its controls."""
    return _seeds(manifest, others) | {own.trained_seed(seed) for own in manifest.variants for seed in manifest.seeds}


def _free_name(name: str, taken: set[str]) -> str:
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(own for own in names if own not in taken)
