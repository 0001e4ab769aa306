"""Metrics beside the primary one: what each variant reaches, and its difference from the baseline."""

from __future__ import annotations

from collections.abc import Iterator

from ablation._util.language import tr, tr_noop
from ablation.report.blocks import Block, Cell, Column, Row, Table, name
from ablation.report.context import Context, Section
from ablation.report.ranking import ranked
from ablation.report.sections.effects import baseline_mark, difference, mean


def _metrics(context: Context) -> Iterator[Block]:
    found = context.analysis.secondary
    if not found:
        return
    rows = []
    of = [{effect.variant: effect for effect in own.effects} for own in found]
    for place, first in enumerate((context.analysis.baseline, *ranked(context.analysis))):
        cells = [Cell(name(first.variant))]
        for own, effects in zip(found, of, strict=True):
            effect = effects[first.variant]
            cells.append(Cell(mean(effect, own.measure)))
            cells.append(Cell(difference(effect, own.measure) if place else baseline_mark()))
        rows.append(Row(tuple(cells), baseline=not place))
    columns = [Column(tr("Variant"))]
    for own in found:
        columns += [Column(own.measure.metric.heading, number=True), Column(tr("Difference"), number=True)]
    yield Table(tr("Table of further metrics"), tuple(columns), tuple(rows), _caption(context), key="metrics")


def _caption(context: Context) -> str:
    what = (
        tr("Metrics on the validation images at the epoch reported") if context.study.of_images else tr("Other metrics")
    )
    return tr(
        "{what}: mean \u00b1 SD over seeds, and the difference from the baseline with its {level:g} % interval, "
        "simultaneous over the variants of one metric. They carry no verdict.",
        what=what,
        level=100 * (1 - context.analysis.alpha),
    )


METRICS = Section("metrics", tr_noop("Further metrics"), 25, _metrics)
