"""Metrics beside the primary one: what each variant reaches, and its difference from the baseline."""

from __future__ import annotations

from collections.abc import Iterator

from ablation.report.blocks import Block, Cell, Column, Row, Table, name
from ablation.report.context import Context, Section
from ablation.report.sections.effects import BASELINE, difference, mean


def _metrics(context: Context) -> Iterator[Block]:
    found, level = context.analysis.secondary, f"{100 * (1 - context.analysis.alpha):g} %"
    if not found:
        return
    rows = []
    for place, first in enumerate(found[0].effects):
        cells = [Cell(name(first.variant))]
        for own in found:
            effect = own.effects[place]
            cells.append(Cell(mean(effect, own.measure)))
            cells.append(Cell(difference(effect, own.measure) if place else BASELINE))
        rows.append(Row(tuple(cells), baseline=not place))
    columns = [Column("Variant")]
    for own in found:
        columns += [Column(own.measure.metric.heading, number=True), Column("Difference", number=True)]
    yield Table("Table of further metrics", tuple(columns), tuple(rows), _caption(level), key="metrics")


def _caption(level: str) -> str:
    return (
        "Further metrics on the validation images, at the epoch that each run reports: mean \u00b1 SD over seeds, and "
        f"the difference from the baseline with its {level} interval, simultaneous over the variants of one metric. "
        "Verdicts are given for the primary metric only."
    )


METRICS = Section("metrics", "Further metrics", 25, _metrics)
