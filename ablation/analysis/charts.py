"""Which curves a study has: what is drawn over the epochs, and from which columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from ablation._util.language import tr_noop
from ablation.analysis.measure import Measure
from ablation.registry.metrics import Metric, Part, in_words
from ablation.results.runs import Results

MOST_CHARTS = 6
_NOT_DRAWN = frozenset((
    "variant", "seed", "epoch", "step", "seconds", "eval_seconds", "images_per_second", "peak_memory_mb", "stage",
    "skipped_steps", "reported",
))  # fmt: skip
_RATES = frozenset((("lr",), ("learning", "rate")))


@dataclass(frozen=True)
class Chart:
    """One quantity over the epochs, with an axis of its own.

    `key` names its files; it, the title and the axis are in English, and shown through `tr`.
    `line` is the column that is drawn solid and with a band over the seeds, `dashed` its partner on the training data,
    None where there is none. A `share` is stored as a fraction of 1 and drawn in per cent; `dots` marks the epochs that
    runs report.
    """

    key: str
    title: str
    axis: str
    line: str
    dashed: str | None = None
    kind: Literal["loss", "share", "rate", "difference", "other"] = "other"
    dots: bool = False
    scale: float = 1.0
    """What stored values are multiplied by to be drawn: 100 for shares and their differences."""
    ours: bool = False
    """Whether it is of a study that was run here, so that it is known how the values were measured."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.line,) if self.dashed is None else (self.dashed, self.line)


LOSS = Chart(tr_noop("loss"), tr_noop("Loss"), tr_noop("loss"), "val_loss", "train_loss", "loss", ours=True)
ACCURACY = Chart(
    tr_noop("accuracy"), tr_noop("Accuracy"), tr_noop("accuracy, %"), "val_accuracy", "train_accuracy", "share",
    dots=True, scale=100.0, ours=True,
)  # fmt: skip
RATE = Chart(tr_noop("learning-rate"), tr_noop("Learning rate"), tr_noop("learning rate"), "lr", kind="rate", ours=True)
IMAGE_CHARTS = (ACCURACY, LOSS, RATE)


def difference_chart(charts: Sequence[Chart], measure: Measure) -> Chart | None:
    """The chart of the primary metric's difference from the baseline; None where it has no curve."""
    own = next((chart for chart in charts if chart.line == measure.column), None)
    if own is None:
        return None
    axis = tr_noop("difference, points") if own.kind == "share" else tr_noop("difference")
    title = tr_noop("Difference from the baseline")
    return Chart(tr_noop("difference"), title, axis, own.line, kind="difference", scale=own.scale)


def study_charts(results: Results, measure: Measure) -> tuple[Chart, ...]:
    """The charts of a study; of a table from elsewhere those that the names of its columns show, measured or not.

    These are the primary metric, losses, accuracies and other shares, what was measured on training and validation
    data, and the learning rate; the first columns where there is none of these. Where the study declares metrics, these
    and the losses are drawn. Columns without a finite value are left out.
    """
    if results.manifest.of_images:
        return IMAGE_CHARTS
    epochs = results.epochs
    named = [str(name) for name in epochs.columns if name not in _NOT_DRAWN and _measured(epochs, str(name))]
    declared = results.manifest.declared
    groups: dict[tuple[str, ...], dict[Part, Metric]] = {}
    for metric in sorted(map(results.metric, named), key=lambda metric: metric.name not in declared):
        groups.setdefault(metric.words, {}).setdefault(metric.part, metric)
    found = {stem: own for stem, own in groups.items() if stem not in _RATES}
    rates = [metric.name for stem, own in groups.items() if stem in _RATES for metric in own.values()]
    wanted = [stem for stem, own in found.items() if _worth_drawing(own, measure.column, declared)] or list(found)
    wanted.sort(key=lambda stem: not _holds(found[stem], measure.column))
    charts = [_chart(n, found[stem], measure, declared) for n, stem in enumerate(wanted[:MOST_CHARTS], 1)]
    return (*charts, *(replace(RATE, line=name, ours=False) for name in rates[:1]))


def _measured(epochs: pd.DataFrame, name: str) -> bool:
    return bool(np.isfinite(epochs[name].to_numpy(dtype=float)).any())


def _holds(own: Mapping[Part, Metric], name: str) -> bool:
    return any(metric.name == name for metric in own.values())


def _worth_drawing(own: Mapping[Part, Metric], primary: str, declared: Collection[str]) -> bool:
    first, *others = own.values()
    if declared:
        return any(metric.name in declared or metric.minimized for metric in own.values())
    return bool(others) or first.name == primary or first.minimized or (first.share and first.direction == "higher")


def _chart(number: int, own: Mapping[Part, Metric], measure: Measure, declared: Collection[str]) -> Chart:
    """The chart of columns that differ only in the part of the data; without another, training is drawn solid."""
    order: Iterable[Part] = ("val", "", "test", "train")
    line = next((metric for metric in own.values() if metric.name == measure.column), None)
    primary = line is not None
    line = line or next(own[part] for part in order if part in own)
    others = [own[part] for part in ("train", "") if part in own and (part or line.part)]
    plain = next((metric for metric in others if metric.name in declared), others[0] if others else None)
    dashed = plain.name if plain and plain != line else None
    share = (measure.metric if primary else line).share
    kind: Literal["loss", "share", "other"] = "share" if share else "loss" if line.minimized else "other"
    title = in_words(line.words)
    key = title if title in ("loss", "accuracy") else f"curve-{number}"
    axis = f"{title}, %" if kind == "share" else title
    return Chart(key, title[:1].upper() + title[1:], axis, line.name, dashed, kind, primary, 100.0 if share else 1.0)
