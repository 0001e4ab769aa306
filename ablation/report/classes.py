"""The section on classes: accuracy of each class, its change against the baseline, and which are confused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ablation._util import formatting
from ablation._util.formatting import count, percent, plural
from ablation.analysis import Analysis
from ablation.analysis.classes import (
    Array,
    ClassCounts,
    Labelled,
    change,
    count_classes,
    extremes,
    frequent_confusions,
)
from ablation.analysis.measure import successful
from ablation.results.predictions import PARTS, Part, read_predictions
from ablation.results.runs import Results
from ablation.storage.record import RunRecord
from ablation.storage.store import Store

MOST_COLUMNS = 20
"""With more classes than this a table has no room for each: those that gain and lose most are named instead."""
_EXTREMES = 10
_MOST_LISTS = 12
_MOST_CONFUSIONS = 20
_LEAST_SCALE = 0.05
"""Changes are shaded up to at least this one, so that noise of a point stays pale."""
_MOST_CLASSES = 1000
"""A confusion matrix of more classes would fill the memory for a list of twenty lines."""


@dataclass(frozen=True)
class Shade:
    """A figure on a shaded ground: `tint` from -1 to 1, its sign choosing the colour."""

    text: str
    tint: float

    @property
    def share(self) -> str:
        """The strength of the shade, for a style sheet."""
        return f"{100 * abs(self.tint):.0f}%"


@dataclass(frozen=True)
class ClassRow:
    """A variant with a figure for each class: its accuracy for the baseline, else the change against that."""

    variant: str
    cells: tuple[Shade, ...]


@dataclass(frozen=True)
class ExtremeRow:
    """A variant with the (class, figure) that lie highest and lowest, for data of many classes."""

    variant: str
    high: tuple[tuple[str, str], ...]
    low: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ConfusionTable:
    """Which classes a variant takes for which: a matrix `rows` (class, cells), or a `listing` of the most frequent.

    A line of the listing is (true class, predicted class, count, share of the true class).
    """

    variant: str
    what: str
    rows: tuple[tuple[str, tuple[Shade, ...]], ...]
    listing: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True)
class ClassView:
    """The section for one part of the data set."""

    part: Part
    names: tuple[str, ...]
    rows: tuple[ClassRow, ...]
    extremes: tuple[ExtremeRow, ...]
    caption: str
    confusions: tuple[ConfusionTable, ...]
    confusion_caption: str
    counts: Mapping[str, ClassCounts]


def class_views(store: Store, results: Results, analysis: Analysis) -> tuple[ClassView, ...]:
    """A view of the validation part, and one of the test part once it was opened, where runs have predictions."""
    first = next((record for record in results.records.values() if record.status == "finished"), None)
    base = _baseline_record(results) or first
    if base is None:
        return ()
    confused = _confused(analysis) if len(base.classes) <= _MOST_CLASSES else ()
    found = []
    for part in PARTS:
        counts = count_classes(_labelled(store, results, part, base.classes), len(base.classes), confused)
        if counts:
            found.append(_view(part, base.classes, counts, confused, analysis))
    return tuple(found)


def _baseline_record(results: Results) -> RunRecord | None:
    name = results.manifest.baseline.name
    return next((r for (v, _), r in results.records.items() if v == name and r.status == "finished"), None)


def _labelled(store: Store, results: Results, part: Part, classes: tuple[str, ...]) -> Iterator[Labelled]:
    """The predictions of every successful run on the same classes, read one run at a time."""
    kept = set(successful(results))
    for (variant, seed), record in results.records.items():
        name = results.manifest.run_folder(variant, seed)
        if (variant, seed) in kept and record.classes == classes and (part != "test" or name in results.tested):
            folder = store.run(name)
            arrays = read_predictions(folder, part, "label", "predicted")
            if arrays is not None:
                yield Labelled(variant, seed, *(array.astype(np.int64) for array in arrays))


def _confused(analysis: Analysis) -> tuple[str, ...]:
    """The baseline, and the variants with the highest and the lowest mean accuracy."""
    known = {effect.variant: effect.mean for effect in analysis.variants if effect.mean is not None}
    ends = [pick(known, key=lambda name: known[name]) for pick in (max, min)] if known else []
    return tuple(dict.fromkeys((analysis.baseline.variant, *ends)))


def _view(
    part: Part,
    names: tuple[str, ...],
    counts: Mapping[str, ClassCounts],
    confused: Sequence[str],
    analysis: Analysis,
) -> ClassView:
    wide = len(names) <= MOST_COLUMNS
    base = counts.get(analysis.baseline.variant)
    changes = _changes(counts, base, analysis)
    tables = [_confusion(counts[name], names, what) for name, what in _kinds(confused, analysis) if name in counts]
    return ClassView(
        part=part,
        names=names,
        rows=tuple(_heat(base, changes)) if wide else (),
        extremes=() if wide else tuple(_extremes(base, changes, names)),
        caption=_caption(part, counts, analysis, wide, len(changes)),
        confusions=tuple(table for table in tables if table.rows or table.listing),
        confusion_caption=_confusion_caption(part, wide),
        counts=counts,
    )


def _changes(counts: Mapping[str, ClassCounts], base: ClassCounts | None, analysis: Analysis) -> dict[str, Array]:
    """Variant -> change of each class, in the order of the study; variants without a seed of the baseline left out."""
    if base is None:
        return {}
    own = {e.variant: change(counts[e.variant], base) for e in analysis.variants if e.variant in counts}
    return {name: values for name, values in own.items() if values is not None}


def _heat(base: ClassCounts | None, changes: Mapping[str, Array]) -> Iterator[ClassRow]:
    if base is not None:
        yield ClassRow(base.variant, tuple(Shade(_percent(value), 0.0) for value in base.accuracy))
    every = np.abs(np.concatenate([np.zeros(1), *changes.values()]))
    scale = max(float(np.nanquantile(every, 0.95)), _LEAST_SCALE)
    for variant, values in changes.items():
        yield ClassRow(variant, tuple(Shade(_points(value), _tint(value, scale)) for value in values))


def _tint(value: float, scale: float) -> float:
    return 0.0 if math.isnan(value) else max(-1.0, min(1.0, value / scale))


def _percent(value: float) -> str:
    return percent(None if math.isnan(value) else value, 0)


def _points(value: float) -> str:
    """A change in points: with a decimal, since a mean over seeds is finer than one image."""
    return formatting.points(None if math.isnan(value) else value, 1)


def _extremes(base: ClassCounts | None, changes: Mapping[str, Array], names: tuple[str, ...]) -> Iterator[ExtremeRow]:
    if base is not None:
        order = [int(i) for i in np.argsort(np.nan_to_num(base.accuracy, nan=-1.0), kind="stable")]
        seen = [i for i in order if not math.isnan(base.accuracy[i])]
        pairs = [(names[i], _percent(base.accuracy[i])) for i in seen]
        yield ExtremeRow(base.variant, tuple(pairs[::-1][:_EXTREMES]), tuple(pairs[:_EXTREMES]))
    size = {name: float(np.nanmean(np.abs(values))) for name, values in changes.items()}
    kept = set(sorted(size, key=lambda name: -size[name])[:_MOST_LISTS])
    for variant, values in changes.items():
        if variant in kept:
            high, low = extremes(values, _EXTREMES)
            both = (tuple((names[i], _points(values[i])) for i in side) for side in (high, low))
            yield ExtremeRow(variant, *both)


def _caption(part: Part, counts: Mapping[str, ClassCounts], analysis: Analysis, wide: bool, compared: int) -> str:
    base = counts.get(analysis.baseline.variant) or next(iter(counts.values()))
    typical = float(np.median(base.images))
    seeds = plural(len(base.seeds), "seed")
    text = (
        f"Accuracy of each class on the {part} images, mean over seeds (baseline: {seeds}): for the baseline in per "
        "cent, for each variant the difference from it in percentage points, over the seeds that both finished."
    )
    if typical:
        text += f" A class has about {plural(round(typical), 'image')} in a seed, so that one image is "
        text += f"{100 / typical:.{1 if typical < 1000 else 2}f} points; differences of a few images say little."
    if wide:
        return text + " Blue is above the baseline, orange below; the darker, the farther."
    text += (
        f" Of the many classes, those with the {_EXTREMES} highest and lowest figures are named; classes.csv has all."
    )
    if compared > _MOST_LISTS:
        text += f" Shown: the {_MOST_LISTS} of {compared} variants whose classes move most."
    return text


def _kinds(confused: Sequence[str], analysis: Analysis) -> Iterator[tuple[str, str]]:
    """The variants whose confusions are shown, and why."""
    ends = ("highest", "lowest") if len(confused) > 2 else ("",)
    for name, end in zip(confused, ("", *ends), strict=False):
        if name == analysis.baseline.variant:
            yield name, "baseline"
        else:
            yield name, f"the {end} mean accuracy of the variants" if end else "the variant"


def _confusion(counts: ClassCounts, names: tuple[str, ...], what: str) -> ConfusionTable:
    matrix = counts.confusion
    if matrix is None:
        return ConfusionTable(counts.variant, what, (), ())
    if len(names) <= MOST_COLUMNS:
        return ConfusionTable(counts.variant, what, tuple(_matrix(matrix, names)), ())
    found = frequent_confusions(matrix, _MOST_CONFUSIONS)
    listing = tuple((names[c.true], names[c.predicted], count(c.count), f"{100 * c.share:.0f}") for c in found)
    return ConfusionTable(counts.variant, what, (), listing)


def _matrix(
    matrix: np.ndarray[tuple[int, ...], np.dtype[np.int64]], names: tuple[str, ...]
) -> Iterator[tuple[str, tuple[Shade, ...]]]:
    """Rows of counts: the right ones shaded by their share of the row, the wrong ones by theirs of the largest."""
    totals = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shares = matrix / totals
    right = np.eye(len(names), dtype=bool)
    largest = max(float(shares[~right].max(initial=0.0)), 1e-9)
    tints = np.where(right, shares, -shares / largest)
    for place, name in enumerate(names):
        row = zip(matrix[place], tints[place], strict=True)
        yield name, tuple(Shade(count(int(number)), float(tint)) for number, tint in row)


def _confusion_caption(part: Part, wide: bool) -> str:
    counts = f"Counts of {part} images, pooled over the finished seeds"
    if not wide:
        return (
            f"{counts}: the {_MOST_CONFUSIONS} mistakes made most often, with their share of all images of the true "
            "class."
        )
    return (
        f"{counts}. Rows: true class, columns: predicted class. Right ones are shaded blue by their share of the row, "
        "mistakes orange by theirs relative to the largest such share in the table."
    )
