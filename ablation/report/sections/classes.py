"""The section on classes: accuracy of each class, its change against the baseline, and which are confused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

import ablation._util.counted as counted
from ablation._util import formatting
from ablation._util.formatting import ABSENT, count, percent
from ablation._util.language import current, sentences, tr, tr_noop
from ablation.analysis import Analysis
from ablation.analysis.classification.classes import Array, ClassCounts, change, extremes, frequent_confusions
from ablation.report.blocks import Block, Cell, Column, Details, Heading, Row, Span, Table, join, name, tr_text
from ablation.report.context import Classes, Context, Section
from ablation.results.predictions import Part

MOST_COLUMNS = 20
"""With more classes than this a table has no room for each: those that gain and lose most are named instead."""
_EXTREMES = 10
_MOST_LISTS = 12
_MOST_CONFUSIONS = 20
_LEAST_SCALE = 0.05
"""Changes are shaded up to at least this one, so that noise of a point stays pale."""
_IMAGES: Mapping[Part, str] = {"validation": tr_noop("validation images"), "test": tr_noop("test images")}
_Kind = Literal["baseline", "highest", "lowest", "variant"]
_KINDS: Mapping[_Kind, str] = {
    "baseline": "{variant}",
    "highest": tr_noop("{variant}, the highest mean accuracy of the variants"),
    "lowest": tr_noop("{variant}, the lowest mean accuracy of the variants"),
    "variant": tr_noop("{variant}, the variant"),
}


def _classes(context: Context) -> Iterator[Block]:
    several = len(context.classes) > 1
    for own in context.classes:
        if several:
            yield Heading(tr("On the {images}", images=tr(_IMAGES[own.part])))
        yield _accuracy(own, context.analysis)
        yield from _confusions(own, context.analysis, 4 if several else 3)


def _accuracy(own: Classes, analysis: Analysis) -> Table:
    """Classes as columns where there is room; else those with the highest and the lowest figures."""
    wide = len(own.names) <= MOST_COLUMNS
    base = own.counts.get(analysis.baseline.variant)
    changes = _changes(own.counts, base, analysis)
    columns = _columns(tr("Variant"), own.names) if wide else _ends()
    rows = _heat(base, changes) if wide else _extremes(base, changes, own.names)
    caption = _caption(own.part, own.counts, analysis, wide, len(changes))
    label, key = tr("Table of classes, {images}", images=tr(_IMAGES[own.part])), f"classes-{own.part}"
    return Table(label, columns, tuple(rows), caption, key, "heat" if wide else "extremes")


def _ends() -> tuple[Column, ...]:
    return Column(tr("Variant")), Column(tr("Highest")), Column(tr("Lowest"))


def _columns(first: str, names: tuple[str, ...]) -> tuple[Column, ...]:
    return (Column(first), *(Column(name(own), number=True, upright=True) for own in names))


def _confusions(own: Classes, analysis: Analysis, level: Literal[3, 4]) -> Iterator[Block]:
    """The confusions of the baseline, and folded away those of the variants at both ends."""
    tables = [
        (tr_text(_KINDS[kind], variant=name(variant)), table)
        for variant, kind in _kinds(own.confused, analysis)
        if variant in own.counts and (table := _confusion(own.counts[variant], own)) is not None
    ]
    for place, (which, table) in enumerate(tables):
        if place:
            yield Details(tr_text("Confusions of {which}", which=which), (table,))
        else:
            yield Heading(tr_text("Which classes are confused: {which}", which=which), level)
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
    return Cell(join(parts, current().comma) if parts else ABSENT)


def _caption(part: Part, counts: Mapping[str, ClassCounts], analysis: Analysis, wide: bool, compared: int) -> str:
    base = counts.get(analysis.baseline.variant) or next(iter(counts.values()))
    typical = float(np.median(base.images))
    images, seeds = tr(_IMAGES[part]), counted.seeds(len(base.seeds))
    said = [
        tr(
            "Accuracy of each class on the {images}, mean over {seeds}: baseline in %, variants as the paired "
            "difference in points.",
            images=images,
            seeds=seeds,
        )
    ]
    if typical:
        said.append(tr("One image is {size} points.", size=format(100 / typical, ".1f" if typical < 1000 else ".2f")))
    if wide:
        return sentences([*said, tr("Blue: above the baseline, orange: below.")])
    said.append(tr("The {n} highest and lowest are named; classes.csv has all.", n=_EXTREMES))
    if compared > _MOST_LISTS:
        said.append(tr("Shown: the {n} of {total} variants that change most.", n=_MOST_LISTS, total=compared))
    return sentences(said)


def _kinds(confused: Sequence[str], analysis: Analysis) -> Iterator[tuple[str, _Kind]]:
    """The variants whose confusions are shown, and why."""
    ends: tuple[_Kind, ...] = ("highest", "lowest") if len(confused) > 2 else ("variant",)
    for variant, end in zip(confused, ("variant", *ends), strict=False):
        yield variant, "baseline" if variant == analysis.baseline.variant else end


def _confusion(counts: ClassCounts, own: Classes) -> Table | None:
    """A matrix where there is room for it, else the most frequent confusions; None where there are none."""
    matrix, names = counts.confusion, own.names
    if matrix is None:
        return None
    label = tr("Confusions of {variant}, {images}", variant=counts.variant, images=tr(_IMAGES[own.part]))
    first = counts.variant == next(iter(variant for variant in own.confused if variant in own.counts))
    wide = len(names) <= MOST_COLUMNS
    caption = _confusion_caption(own.part, wide) if first else ""
    if wide:
        rows = tuple(_matrix(matrix, names))
        return Table(label, _columns(tr("True class"), names), rows, caption, css="heat confusion")
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
    numbers = (Column(tr("Images"), number=True), Column(tr("Of the class,\u00a0%"), number=True))
    columns = (Column(tr("True class")), Column(tr("Taken for")), *numbers)
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
    images = tr(_IMAGES[part])
    if wide:
        return tr(
            "Counts of {images}, pooled over the finished seeds. Rows: true class; columns: predicted class. Blue: "
            "right, by share of the row; orange: mistakes, relative to the largest share in the table.",
            images=images,
        )
    return tr(
        "Counts of {images}, pooled over the finished seeds: the {n} most frequent mistakes, with their share of the "
        "true class.",
        images=images,
        n=_MOST_CONFUSIONS,
    )


CLASSES = Section("classes", tr_noop("Accuracy by class"), 80, _classes, appendix=True)
