"""`ablate plan --hours`: which studies fit into a time, and what each of them can detect."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

import ablation.stats as stats
from ablation.errors import UserError
from ablation.execution.probing import Learned, seconds_of, wall_of
from ablation.execution.study import without
from ablation.planning.alternatives import plan_again, shortened, with_seeds
from ablation.planning.choices import CLEAR_SEEDS, Choice, Goal, Kind, recommended
from ablation.planning.detectable import POWER, precision
from ablation.planning.plan import Plan
from ablation.planning.run import Run
from ablation.registry.metrics import Metric, known
from ablation.results.runs import load_results
from ablation.storage.manifest import make_manifest
from ablation.storage.spent import Estimate
from ablation.storage.store import Store
from ablation.storage.stored_run import finished_runs
from ablation.study.schema import Study

STEPS = (2, 3, 5, 8, 12, 20, 30, 50, 100)
"""Numbers of seeds that are proposed, besides the most that fit and those of the study."""
SHOWN_STEPS = 3
LOOKED_AT = 20
"""Seeds among which finished runs are looked for, to know how much they vary."""
MOST_SEEDS = STEPS[-1]
MOST_RUNS = 20_000
"""Of a choice; a study of more of its own is a choice nevertheless."""
MORE = 1.25
"""By how many times as many seeds half of the variants are to allow, to be proposed besides."""
FEWER = (2, 4)
"""What epochs are divided by."""
ALIKE = 1.15
"""Variants take about as long where the slowest takes at most so many times as long as the fastest."""


@dataclass(frozen=True)
class Noise:
    """The primary metric, and the residual SD of single runs in the unit stored.

    `df` are its degrees of freedom, 0 where the user gave it; `seeds` is under how many seeds runs are finished.
    """

    metric: Metric
    sd: float | None = None
    df: int = 0
    seeds: int = 0

    def given(self, sd: float | None) -> Noise:
        """With another residual SD, in the unit shown, if there is one."""
        return self if sd is None else replace(self, sd=sd / self.metric.scale, df=0)

    def in_sds(self, size: float | None) -> float | None:
        """A difference in the unit shown, in residual SDs; None without one, or while the SD is not known.

        Raises UserError for one that is none.
        """
        if size is not None and self.metric.share and size > self.metric.scale:
            raise UserError(f"--detect {size:g}: two shares differ by 100 points at most", "give it in points, as 0.5")
        return None if size is None or self.sd is None else size / self.metric.scale / self.sd


@dataclass(frozen=True)
class Budget:
    """What can be run in a time: the choices, the recommended one first; None where nothing that fits allows a claim.

    `least` are the choices that allow a claim in the least time, of all variants and of the fastest. `needed` is the
    whole study with the seeds that the effect asked for takes, None where that is out of reach. `alike` says that no
    variant takes much longer than others. `problems` say why the study is none with fewer epochs.
    """

    limit: float
    choices: tuple[Choice, ...]
    recommended: Choice | None
    least: tuple[Choice, ...]
    needed: Choice | None
    alike: bool
    problems: tuple[str, ...]


def find_noise(plan: Plan, store: Store) -> Noise:
    """What the finished runs say of the noise, under whatever seeds they were trained."""
    name = plan.study.analysis.resolved()["metric"]
    declared = plan.study.declared
    metric = declared[name].metric(name) if name in declared else known(name)
    wide = plan_again(plan, with_seeds(plan.study, max(len(plan.study.seeds), LOOKED_AT)))
    finished = finished_runs(wide.runs, store)
    seeds = tuple(dict.fromkeys(run.block for run in wide.runs if run.key in finished))
    if not seeds:
        return Noise(metric)
    seen = plan_again(plan, replace(plan.study, seeds=seeds))
    results = load_results(store, make_manifest(seen, ""))
    found = precision(seen.study, results.runs)
    return Noise(results.metric(name), found.residual_sd, found.df, len(seeds))


def propose(plan: Plan, store: Store, estimate: Estimate, learned: Learned, goal: Goal) -> Budget:
    """The choices that there are within a time, for a study whose variants have been timed."""
    given = _Given(plan, store, estimate, learned, goal)
    whole = _Alternatives(given, plan.study)
    choices, problems = whole.by_seeds(), []
    if whole.most_fitting() < whole.most:
        choices += whole.without_slowest()
        for divisor in FEWER:
            try:
                shorter = shortened(plan.study, divisor)
            except UserError as error:
                problems.append(error.message)
                continue
            choices += _Alternatives(given, *shorter).longest() if shorter else []
    best = recommended(choices)
    ordered = sorted(choices, key=lambda choice: choice is not best)
    least = (whole.choice(CLEAR_SEEDS), whole.choice(CLEAR_SEEDS, whole.slowest[:-1]))
    needed = whole.needed(len(whole.slowest))
    asked = whole.choice(needed) if needed else None
    return Budget(goal.limit, tuple(ordered), best, least, asked, whole.alike, tuple(problems))


@dataclass(frozen=True)
class _Given:
    """What all choices have in common."""

    plan: Plan
    store: Store
    estimate: Estimate
    learned: Learned
    goal: Goal


class _Alternatives:
    """The choices of a study, whose baseline has another `length` than in its file where that is given.

    Those with n seeds are its first n, or more, `most` at most. Variants are left out from the slowest on.
    """

    def __init__(self, given: _Given, study: Study, length: int | None = None) -> None:
        most = max(len(study.seeds), CLEAR_SEEDS, min(MOST_SEEDS, MOST_RUNS // len(study.variants)))
        self.given, self.length, self.most, self.own = given, length, most, len(study.seeds)
        self.study = with_seeds(study, most)
        self.runs = plan_again(given.plan, self.study).runs
        self.finished = finished_runs(self.runs, given.store)
        self.seconds = seconds_of(self.runs, given.estimate)

    @cached_property
    def slowest(self) -> tuple[str, ...]:
        """The variants but the baseline, the slowest first; of equally fast ones the last of the file."""
        seconds = self._by_variant()
        place = {name: number for number, name in enumerate(seconds)}
        return tuple(sorted(seconds, key=lambda name: (-seconds[name], -place[name])))

    @property
    def alike(self) -> bool:
        """Whether all variants take about as long."""
        seconds = self._by_variant().values()
        return max(seconds) <= ALIKE * min(seconds)

    def _by_variant(self) -> dict[str, float]:
        first = {run.variant: self.seconds[run.key] for run in self.runs if run.block == self.study.seeds[0]}
        return {variant.name: first[variant.name] for variant in self.study.variants[1:]}

    def left(self, seeds: int, left_out: Sequence[str] = ()) -> list[Run]:
        """The runs that are not finished."""
        blocks, names = set(self.study.seeds[:seeds]), set(left_out)
        return without([run for run in self.runs if run.block in blocks and run.variant not in names], self.finished)

    def choice(self, seeds: int, left_out: Sequence[str] = ()) -> Choice:
        """The first so many seeds of all variants but those left out."""
        kind: Kind = "fewer variants" if left_out else "fewer epochs" if self.length else "whole"
        names = tuple(variant.name for variant in self.study.variants if variant.name not in left_out)
        omitted = tuple(variant.name for variant in self.study.variants if variant.name in left_out)
        smallest = _smallest(seeds, len(names) - 1, self.study.analysis.alpha)
        runs, times, own = self.left(seeds, left_out), self._range(seeds, left_out), self.study.seeds[:seeds]
        return Choice(kind, own, names, omitted, self.length, len(runs), *times, smallest, self.given.goal)

    def _range(self, seeds: int, left_out: Sequence[str]) -> tuple[float, float, float]:
        """The seconds that it takes: the estimate, and its range."""
        runs, learned = self.left(seeds, left_out), self.given.learned
        if not runs:
            return 0.0, 0.0, 0.0
        wall, setup = wall_of(runs, self.seconds, self.given.estimate), learned.setup
        factor, low, high = learned.correction
        return setup + factor * wall, setup + low * wall, setup + high * wall

    def fits(self, seeds: int, left_out: Sequence[str] = ()) -> bool:
        """Whether it fits, also by the upper end of the range."""
        return self._range(seeds, left_out)[-1] <= self.given.goal.limit

    def most_fitting(self, left_out: Sequence[str] = ()) -> int:
        """The most seeds that fit; 1 where two do not."""
        numbers = range(2, self.most + 1)
        return 1 + bisect.bisect_left(numbers, True, key=lambda seeds: not self.fits(seeds, left_out))

    def needed(self, variants: int) -> int | None:
        """The fewest seeds that detect the effect asked for in a family of so many variants; None where too many."""
        effect, alpha = self.given.goal.effect, self.study.analysis.alpha
        if effect is None:
            return None
        numbers = range(2, self.most + 1)
        fewest = 2 + bisect.bisect_left(numbers, True, key=lambda seeds: _smallest(seeds, variants, alpha) <= effect)
        return fewest if fewest <= self.most else None

    def by_seeds(self) -> list[Choice]:
        """The study as it is under more and fewer seeds, up to the first step that does not fit."""
        most = self.most_fitting()
        done = sum(1 for _ in itertools.takewhile(lambda seeds: not self.left(seeds), range(1, self.most + 1)))
        below, above = [n for n in STEPS if n <= most], [n for n in STEPS if n > most]
        wanted = {*below[-SHOWN_STEPS:], *above[:1], most, self.own, self.needed(len(self.slowest))}
        return [self.choice(n) for n in sorted(n for n in wanted if n and max(2, done) <= n <= self.most)]

    def without_slowest(self) -> list[Choice]:
        """As few variants left out as allow a step more of seeds, or the effect asked for; and half of them."""
        family, most = len(self.slowest), self.most_fitting()
        enough = self.needed(family)
        step = next((n for n in STEPS if n > max(most, CLEAR_SEEDS - 1)), most + 1)
        out_of_reach = self.given.goal.effect is not None and (enough is None or enough > most)

        def seeds_without(count: int) -> int | None:
            return self.needed(family - count) if out_of_reach else min(step, self.most)

        def enough_time(count: int) -> bool:
            seeds = seeds_without(count)
            return seeds is not None and self.fits(seeds, self.slowest[:count])

        found = []
        fewest = 1 + bisect.bisect_left(range(1, family), True, key=enough_time)
        seeds = seeds_without(fewest) if fewest < family else None
        if seeds:
            found.append(self.choice(seeds, self.slowest[:fewest]))
        half = family // 2
        seeds = self.most_fitting(self.slowest[:half]) if half else 1
        if seeds >= max([CLEAR_SEEDS, *(MORE * len(choice.seeds) for choice in found)]):
            found.append(self.choice(seeds, self.slowest[:half]))
        return found

    def longest(self) -> list[Choice]:
        """The study with the most seeds that fit, or with those that the effect asked for takes; none below two."""
        most, needed = self.most_fitting(), self.needed(len(self.slowest))
        seeds = min(most, needed or most)
        return [self.choice(seeds)] if seeds > 1 else []


@cache
def _smallest(seeds: int, variants: int, alpha: float) -> float:
    return stats.smallest_detectable_effect(seeds, variants, alpha, POWER)
