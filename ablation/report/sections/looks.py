"""The section on the looks of a sequential study: the path of each estimate, and what it is without its bias."""

from __future__ import annotations

from collections.abc import Iterator

import ablation.report.figure_blocks as figure_blocks
import ablation.report.looks as looks
from ablation._util.formatting import ABSENT
from ablation._util.language import current, tr, tr_noop
from ablation.analysis import Analysis, Effect
from ablation.analysis.look_types import Sequential
from ablation.report.blocks import Block, Cell, Column, Paragraph, Row, Span, Table, cite, join, name, tr_text
from ablation.report.context import Context, Section
from ablation.report.ranking import ranked


def _looks(context: Context) -> Iterator[Block]:
    analysis, own = context.analysis, context.analysis.sequential
    if own is None:
        return
    text = [looks.progress(analysis, own)]
    if not any(variant.path for variant in own.variants.values()):
        yield Paragraph(text[0])
        return
    bias = tr_text(
        "A difference that ended a variant's training early is too large on average, since chance helped it over the "
        "boundary: the adjusted difference is the true one under which such studies measure this one on average "
        "(Whitehead 1986{whitehead}).",
        whitehead=cite("whitehead1986"),
    )
    yield Paragraph(join([*text, bias], current().space))
    effects = ranked(analysis)
    if figure := figure_blocks.looks(effects, analysis):
        yield figure
    columns = (
        Column(tr("Variant")),
        Column(tr("Decision")),
        Column(Span("n", "italic"), number=True),
        Column(tr("Difference"), number=True),
        Column(tr("Interval"), number=True),
        Column(tr("Adjusted"), number=True),
    )
    rows = tuple(_row(effect, analysis, own) for effect in effects)
    yield Table(tr("Table of looks"), columns, rows, looks.table_caption(analysis), key="looks", css="small")


def _row(effect: Effect, analysis: Analysis, own: Sequential) -> Row:
    measure = analysis.measure
    cells = (
        Cell(name(effect.variant)),
        Cell(looks.stopped(effect, analysis) or ABSENT),
        Cell(str(effect.pairs)),
        Cell(measure.difference(effect.difference)),
        Cell(measure.interval(effect.low, effect.high) or ABSENT),
        Cell(measure.difference(own.variants[effect.variant].adjusted)),
    )
    return Row(cells)


LOOKS = Section("looks", tr_noop("Looks"), 22, _looks)
