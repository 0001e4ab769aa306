"""Training dynamics: accuracy at chosen epochs, epochs to a target, fluctuation of the loss, generalization gap."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis.charts import Chart, study_charts
from ablation.analysis.measure import primary_measure, successful
from ablation.results.runs import Results

Array = np.ndarray[tuple[Any, ...], np.dtype[np.float64]]
LONG_AFTER = 1 / 3
"""Training that goes on for more than this share of its epochs after the best one is named in the report."""
_ROUND = tuple(digit * 10**power for power in range(9) for digit in (1, 5))


@dataclass(frozen=True)
class Course:
    """One finished run over its epochs: arrays of one length; accuracies are fractions of 1, losses in nats."""

    seed: int
    epoch: Array
    step: Array
    train_accuracy: Array
    val_accuracy: Array
    val_loss: Array
    selected: int | None
    best: int | None


@dataclass(frozen=True)
class Span:
    """A figure over the seeds that have it: its mean, its range, and how many they are."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Lesson:
    """What the courses of one variant come to, over its `n` finished seeds.

    `at` is the validation accuracy at each milestone; `reached` is the epoch (or step) at which a seed first reaches
    the target, over the seeds that do. `train`, `val` and `gap` (training minus validation accuracy) are of the epoch
    that a run reports. `best` is the best epoch on validation, `after` how many more a run trained, `share` which
    fraction of its epochs these were, `late` how many seeds trained on for more than `LONG_AFTER` of them, and `fall`
    the validation accuracy of the last epoch minus that of the best one.
    """

    variant: str
    n: int
    at: tuple[Span | None, ...]
    reached: Span | None
    fluctuation: Span | None
    train: Span | None
    val: Span | None
    gap: Span | None
    best: Span | None
    after: Span | None
    share: float | None
    fall: Span | None
    late: int


@dataclass(frozen=True)
class Learning:
    """The courses of a study: `milestones` in its `unit` (epoch or step), the `target` accuracy as a fraction of 1.

    `accuracy` and `loss` say which columns were taken for these; None where results from elsewhere have none.
    """

    accuracy: Chart | None
    loss: Chart | None
    unit: str
    milestones: tuple[int, ...]
    target: float | None
    lessons: tuple[Lesson, ...]

    @property
    def ours(self) -> bool:
        """Whether the runs were trained here."""
        return any(chart.ours for chart in (self.accuracy, self.loss) if chart)

    @property
    def baseline(self) -> Lesson:
        return self.lessons[0]


def learning(results: Results) -> Learning | None:
    """What every variant's courses come to; None before a run has finished. Without a baseline there is no target."""
    accuracy, loss = columns_of(results)
    found = courses(results, accuracy, loss) if accuracy or loss else {}
    if not found:
        return None
    manifest = results.manifest
    unit = unit_of_budget(results)
    own = found.get(manifest.baseline.name)
    base = own or next(iter(found.values()))
    longest = max(base, key=lambda course: len(course.epoch))
    chosen = milestones(int(longest.epoch[-1]))
    where = np.searchsorted(longest.epoch, chosen)
    points = tuple(int(x) for x in _axis(longest, unit)[where])
    goal = target(mean_accuracy(own)) if own else None
    lessons = tuple(
        _lesson(variant.name, found.get(variant.name, ()), chosen, goal, unit) for variant in manifest.variants
    )
    return Learning(accuracy, loss, unit, points, goal, lessons)


def unit_of_budget(results: Results) -> str:
    """What the curves are drawn over: `epoch` or `step`.

    Rows that functions and commands log under their own steps, such as every tenth boosting round, are no epochs.
    """
    manifest = results.manifest
    if not manifest.of_images:
        own = results.epochs
        known = bool(own["step"].notna().all())
        return "step" if known and bool((own["step"] != own["epoch"]).any()) else "epoch"
    return "step" if manifest.train_of(manifest.baseline).get("steps") is not None else "epoch"


def columns_of(results: Results) -> tuple[Chart | None, Chart | None]:
    """What stands for the accuracy and the loss: of results from elsewhere, the first share and the first loss.

    Neither may be of the training data alone.
    """
    measure = primary_measure(results)
    charts = [chart for chart in study_charts(results, measure) if results.metric(chart.line).part != "train"]
    rising = (
        c
        for c in charts
        if c.kind == "share"
        and (measure.higher if c.line == measure.column else results.metric(c.line).direction == "higher")
    )
    return next(rising, None), next((chart for chart in charts if chart.kind == "loss"), None)


def courses(results: Results, accuracy: Chart | None, loss: Chart | None) -> dict[str, tuple[Course, ...]]:
    """Variant -> its successful runs, by seed; variants without one are left out. What is not measured is NaN."""
    kept = set(successful(results))
    runs = results.runs[["variant", "seed", "selected_epoch", "best_epoch"]].itertuples(index=False)
    marks = {(str(v), int(s)): (_whole(own), _whole(best)) for v, s, own, best in runs if (str(v), int(s)) in kept}
    epochs = results.epochs
    names, seeds = epochs["variant"].to_numpy(), epochs["seed"].to_numpy(dtype=int)
    sources = {"epoch": "epoch", "step": "step", "val_loss": loss and loss.line}
    sources |= {"val_accuracy": accuracy and accuracy.line, "train_accuracy": accuracy and accuracy.dashed}
    columns = {
        role: epochs[name].to_numpy(dtype=float) if name else np.full(len(epochs), np.nan)
        for role, name in sources.items()
    }
    found: dict[str, list[Course]] = {}
    for places in epochs.groupby(["variant", "seed"], sort=False).indices.values():
        run = str(names[places[0]]), int(seeds[places[0]])
        if run in marks:
            arrays = {column: values[places] for column, values in columns.items()}
            found.setdefault(run[0], []).append(Course(run[1], **arrays, selected=marks[run][0], best=marks[run][1]))
    return {variant: tuple(own) for variant, own in found.items()}


def _whole(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


def milestones(last: int) -> tuple[int, ...]:
    """The thirds of `last` epochs, rounded to a sensible number: 10, 20, 30 of 30; 150, 350, 500 of 500."""
    unit = max(unit for unit in _ROUND if unit <= max(last / 6, 1))
    thirds = (max(1, unit * math.floor(part * last / 3 / unit + 0.5)) for part in (1, 2))
    return tuple(sorted({*thirds, last}))


def mean_accuracy(found: Sequence[Course]) -> Array:
    """Validation accuracy over the epochs that all seeds trained, mean over seeds."""
    reached = min(len(course.val_accuracy) for course in found)
    mean: Array = np.mean([course.val_accuracy[:reached] for course in found], axis=0)
    return mean


def target(accuracy: Array) -> float | None:
    """The highest multiple of 5 % that a curve reaches, of 1 % below 5 and from 95 on; None where it stays lower."""
    top = 100 * float(np.max(accuracy[np.isfinite(accuracy)], initial=0.0)) + 1e-9
    goal = math.floor(top) if top < 5 or top >= 95 else 5 * math.floor(top / 5)
    return goal / 100 if goal else None


def fluctuation(loss: Array) -> float | None:
    """Mean absolute change of a loss from one epoch to the next over the second half; None below three epochs.

    The second half of n epochs are the last n - n // 2; their changes include the one that leads into them.
    """
    if len(loss) < 3:
        return None
    return float(np.mean(np.abs(np.diff(loss))[len(loss) // 2 - 1 :]))


def first_reached(accuracy: Array, goal: float) -> int | None:
    """The place of the first accuracy that is at least `goal`; None where none is."""
    there = np.flatnonzero(accuracy >= goal - 1e-9)
    return int(there[0]) if len(there) else None


def _axis(course: Course, unit: str) -> Array:
    return course.step if unit == "step" else course.epoch


def _lesson(variant: str, found: Sequence[Course], chosen: Sequence[int], goal: float | None, unit: str) -> Lesson:
    reached = [_axis(c, unit)[i] for c in found if goal and (i := first_reached(c.val_accuracy, goal)) is not None]
    ends = [_end(course) for course in found]

    def over(key: str) -> Span | None:
        return _span([end[key] for end in ends if key in end])

    shares = [end["share"] for end in ends if "share" in end]
    return Lesson(
        variant=variant,
        n=len(found),
        at=tuple(_span([v for c in found for v in c.val_accuracy[c.epoch == epoch]]) for epoch in chosen),
        reached=_span(reached),
        fluctuation=_span([s for c in found if (s := fluctuation(c.val_loss)) is not None]),
        train=over("train"),
        val=over("val"),
        gap=over("gap"),
        best=over("best"),
        after=over("after"),
        share=statistics.fmean(shares) if shares else None,
        fall=over("fall"),
        late=sum(share > LONG_AFTER for share in shares),
    )


def _end(course: Course) -> Mapping[str, float]:
    """What one run says of its selected and of its best epoch, as far as these are known."""
    end: dict[str, float] = {}
    chosen = np.flatnonzero(course.epoch == course.selected)
    best = np.flatnonzero(course.epoch == course.best)
    if len(chosen):
        train, val = float(course.train_accuracy[chosen[0]]), float(course.val_accuracy[chosen[0]])
        end |= {"train": train, "val": val, "gap": train - val}
    if len(best):
        place, epochs = int(best[0]), len(course.epoch)
        after = float(course.epoch[-1] - course.epoch[place])
        end |= {"best": float(course.epoch[place]), "after": after, "share": (epochs - 1 - place) / epochs}
        end["fall"] = float(course.val_accuracy[-1] - course.val_accuracy[place])
    return end


def _span(values: Sequence[float]) -> Span | None:
    known = [float(value) for value in values if math.isfinite(value)]
    return Span(statistics.fmean(known), min(known), max(known), len(known)) if known else None
