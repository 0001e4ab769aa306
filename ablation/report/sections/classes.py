"""The section on classes: accuracy of each class, its change against the baseline, and which are confused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from ablation._util import formatting
from ablation._util.formatting import ABSENT, count, percent, plural
from ablation.analysis import Analysis
from ablation.analysis.classification.classes import Array, ClassCounts, change, extremes, frequent_confusions
from ablation.report.blocks import Block, Cell, Column, Details, Heading, Row, Span, Table, join, name
from ablation.report.context import Classes, Context, Section
from ablation.results.predictions import Part

MOST_COLUMNS = 20
"""With more classes than this a table has no room for each: those that gain and lose most are named instead."""
_EXTREMES = 10
_MOST_LISTS = 12
_MOST_CONFUSIONS = 20
_LEAST_SCALE = 0.05
"""Changes are shaded up to at least this one, so that noise of a point stays pale."""


def _classes(context: Context) -> Iterator[Block]:
    several = len(context.classes) > 1
    for own in context.classes:
        if several:
            yield Heading(f"On the {own.part} images")
        yield _accuracy(own, context.analysis)
        yield from _confusions(own, context.analysis, 4 if several else 3)


def _accuracy(own: Classes, analysis: Analysis) -> Table:
    """Classes as columns where there is room; else those with the highest and the lowest figures."""
    wide = len(own.names) <= MOST_COLUMNS
    base = own.counts.get(analysis.baseline.variant)
    changes = _changes(own.counts, base, analysis)
    columns = _columns("Variant", own.names) if wide else tuple(map(Column, ("Variant", "Highest", "Lowest")))
    rows = _heat(base, changes) if wide else _extremes(base, changes, own.names)
    caption = _caption(own.part, own.counts, analysis, wide, len(changes))
    label, key = f"Table of classes, {own.part} images", f"classes-{own.part}"
    return Table(label, columns, tuple(rows), caption, key, "heat" if wide else "extremes")


def _columns(first: str, names: tuple[str, ...]) -> tuple[Column, ...]:
    return (Column(first), *(Column(name(own), number=True, upright=True) for own in names))


def _confusions(own: Classes, analysis: Analysis, level: Literal[3, 4]) -> Iterator[Block]:
    """The confusions of the baseline, and folded away those of the variants at both ends."""
    tables = [
        (variant, what, table)
        for variant, what in _kinds(own.confused, analysis)
        if variant in own.counts and (table := _confusion(own.counts[variant], own)) is not None
    ]
    for place, (variant, what, table) in enumerate(tables):
        which = (name(variant), f", {what}" if what != "baseline" else "")
        if place:
            yield Details(("Confusions of ", *which), (table,))
        else:
            yield Heading(("Which classes are confused: ", *which), level)
            yield table


def _changes(counts: Mapping[str, ClassCounts], base: ClassCounts | None, analysis: Analysis) -> dict[str, Array]:
    """Variant -> change of each class, in the order of the study; variants without a seed of the baseline left out."""
    if base is None:
        return {}
    own = {e.variant: change(counts[e.variant], base) for e in analysis.variants if e.variant in counts}
    return {name: values for name, values in own.items() if values is not None}


def _heat(base: ClassCounts | None, changes: Mapping[str, Array]) -> Iterator[Row]:
    if base is not None:
        yield Row((Cell(name(base.variant)), *(Cell(_percent(value)) for value in base.accuracy)), baseline=True)
    every = np.abs(np.concatenate([np.zeros(1), *changes.values()]))
    scale = max(float(np.nanquantile(every, 0.95)), _LEAST_SCALE)
    for variant, values in changes.items():
        yield Row((Cell(name(variant)), *(Cell(_points(value), tint=_tint(value, scale)) for value in values)))


def _tint(value: float, scale: float) -> float:
    return 0.0 if math.isnan(value) else max(-1.0, min(1.0, value / scale))


def _percent(value: float) -> str:
    return percent(None if math.isnan(value) else value, 0)


def _points(value: float) -> str:
    """A change in points: with a decimal, since a mean over seeds is finer than one image."""
    return formatting.points(None if math.isnan(value) else value, 1)


def _extremes(base: ClassCounts | None, changes: Mapping[str, Array], names: tuple[str, ...]) -> Iterator[Row]:
    if base is not None:
        order = [int(i) for i in np.argsort(np.nan_to_num(base.accuracy, nan=-1.0), kind="stable")]
        seen = [i for i in order if not math.isnan(base.accuracy[i])]
        pairs = [(names[i], _percent(base.accuracy[i])) for i in seen]
        yield Row((Cell(name(base.variant)), _side(pairs[::-1][:_EXTREMES]), _side(pairs[:_EXTREMES])), baseline=True)
    size = {name: float(np.nanmean(np.abs(values))) for name, values in changes.items()}
    kept = set(sorted(size, key=lambda name: -size[name])[:_MOST_LISTS])
    for variant, values in changes.items():
        if variant in kept:
            high, low = extremes(values, _EXTREMES)
            yield Row(
                (Cell(name(variant)), *(_side([(names[i], _points(values[i])) for i in side]) for side in (high, low)))
            )


def _side(pairs: Sequence[tuple[str, str]]) -> Cell:
    parts = [(name(own), " ", Span(figure, "strong")) for own, figure in pairs]
    return Cell(join(parts, ", ") if parts else ABSENT)


def _caption(part: Part, counts: Mapping[str, ClassCounts], analysis: Analysis, wide: bool, compared: int) -> str:
    base = counts.get(analysis.baseline.variant) or next(iter(counts.values()))
    typical = float(np.median(base.images))
    over = f"on the {part} images, mean over {plural(len(base.seeds), 'seed')}"
    text = f"Accuracy of each class {over}: baseline in %, variants as the paired difference in points."
    if typical:
        text += f" One image is {100 / typical:.{1 if typical < 1000 else 2}f} points."
    if wide:
        return text + " Blue: above the baseline, orange: below."
    text += f" The {_EXTREMES} highest and lowest are named; classes.csv has all."
    if compared > _MOST_LISTS:
        text += f" Shown: the {_MOST_LISTS} of {compared} variants that change most."
    return text


def _kinds(confused: Sequence[str], analysis: Analysis) -> Iterator[tuple[str, str]]:
    """The variants whose confusions are shown, and why."""
    ends = ("highest", "lowest") if len(confused) > 2 else ("",)
    for variant, end in zip(confused, ("", *ends), strict=False):
        if variant == analysis.baseline.variant:
            yield variant, "baseline"
        else:
            yield variant, f"the {end} mean accuracy of the variants" if end else "the variant"


def _confusion(counts: ClassCounts, own: Classes) -> Table | None:
    """A matrix where there is room for it, else the most frequent confusions; None where there are none."""
    matrix, names = counts.confusion, own.names
    if matrix is None:
        return None
    label = f"Confusions of {counts.variant}, {own.part} images"
    first = counts.variant == next(iter(variant for variant in own.confused if variant in own.counts))
    wide = len(names) <= MOST_COLUMNS
    caption = _confusion_caption(own.part, wide) if first else ""
    if wide:
        rows = tuple(_matrix(matrix, names))
        return Table(label, _columns("True class", names), rows, caption, css="heat confusion")
    found = frequent_confusions(matrix, _MOST_CONFUSIONS)
    rows = tuple(
        Row(
            (
                Cell(name(names[c.true])),
                Cell(name(names[c.predicted])),
                Cell(count(c.count)),
                Cell(f"{100 * c.share:.0f}"),
            )
        )
        for c in found
    )
    numbers = (Column("Images", number=True), Column("Of the class,\u00a0%", number=True))
    columns = (Column("True class"), Column("Taken for"), *numbers)
    return Table(label, columns, rows, caption, css="confusions") if rows else None


def _matrix(matrix: np.ndarray[tuple[int, ...], np.dtype[np.int64]], names: tuple[str, ...]) -> Iterator[Row]:
    """Rows of counts: the right ones shaded by their share of the row, the wrong ones by theirs of the largest."""
    totals = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    shares = matrix / totals
    right = np.eye(len(names), dtype=bool)
    largest = max(float(shares[~right].max(initial=0.0)), 1e-9)
    tints = np.where(right, shares, -shares / largest)
    for own, numbers, row in zip(names, matrix, tints, strict=True):
        cells = (Cell(count(int(n)), tint=float(tint)) for n, tint in zip(numbers, row, strict=True))
        yield Row((Cell(name(own)), *cells))


def _confusion_caption(part: Part, wide: bool) -> str:
    counts = f"Counts of {part} images, pooled over the finished seeds"
    if not wide:
        return f"{counts}: the {_MOST_CONFUSIONS} most frequent mistakes, with their share of the true class."
    return (
        f"{counts}. Rows: true class; columns: predicted class. Blue: right, by share of the row; orange: mistakes, "
        "relative to the largest share in the table."
    )


CLASSES = Section("classes", "Accuracy by class", 80, _classes, appendix=True)
