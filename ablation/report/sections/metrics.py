"""Metrics beside the primary one: what each variant reaches, and its difference from the baseline."""

from __future__ import annotations

from collections.abc import Iterator

from ablation.report.blocks import Block, Cell, Column, Row, Table, name
from ablation.report.context import Context, Section
from ablation.report.ranking import ranked
from ablation.report.sections.effects import BASELINE, difference, mean


def _metrics(context: Context) -> Iterator[Block]:
    found, level = context.analysis.secondary, f"{100 * (1 - context.analysis.alpha):g} %"
    if not found:
        return
    rows = []
    of = [{effect.variant: effect for effect in own.effects} for own in found]
    for place, first in enumerate((context.analysis.baseline, *ranked(context.analysis))):
        cells = [Cell(name(first.variant))]
        for own, effects in zip(found, of, strict=True):
            effect = effects[first.variant]
            cells.append(Cell(mean(effect, own.measure)))
            cells.append(Cell(difference(effect, own.measure) if place else BASELINE))
        rows.append(Row(tuple(cells), baseline=not place))
    columns = [Column("Variant")]
    for own in found:
        columns += [Column(own.measure.metric.heading, number=True), Column("Difference", number=True)]
    yield Table("Table of further metrics", tuple(columns), tuple(rows), _caption(level, context), key="metrics")


def _caption(level: str, context: Context) -> str:
    what = "Metrics on the validation images at the epoch reported" if context.study.of_images else "Other metrics"
    return (
        f"{what}: mean \u00b1 SD over seeds, and the difference from "
        f"the baseline with its {level} interval, simultaneous over the variants of one metric. They carry no verdict."
    )


METRICS = Section("metrics", "Further metrics", 25, _metrics)
