"""What each change does: the question, the differences with their table, the test set, and the cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import ablation.report.captions as captions
import ablation.report.claims as claims
import ablation.report.figure_blocks as figure_blocks
import ablation.report.intervals as intervals
from ablation._util import formatting
from ablation._util.formatting import accuracy_digits
from ablation.analysis import Analysis, Effect
from ablation.report.blocks import Block, Cell, Column, Note, Paragraph, Row, Span, Table, Text, join, name
from ablation.report.context import Context, Section

_BASELINE = Span("baseline", css="sd")
_COSTS: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "train_seconds": ("Training time", formatting.duration),
    "epoch_seconds": ("Seconds per epoch", formatting.rate),
    "images_per_second": ("Images per second", formatting.rate),
    "peak_memory_mb": ("Peak memory", formatting.memory),
}
"""Attribute of an effect -> heading of its column, and how a value is shown."""


def _question(context: Context) -> Iterator[Block]:
    if context.study.question:
        yield Paragraph(context.study.question, "question")


def _effects(context: Context) -> Iterator[Block]:
    analysis = context.analysis
    figure = figure_blocks.forest(analysis)
    if figure:
        yield figure
    elif analysis.variants:
        yield Paragraph(
            "No difference from the baseline can be shown before a variant and the baseline have finished the same "
            "seed.",
            "none",
        )
    yield variants_table(analysis)
    for sentence in claims.interactions(analysis):
        yield Paragraph(sentence)


def variants_table(analysis: Analysis) -> Table:
    """The table of variants; columns that nothing is known of are left out of results from elsewhere."""
    ours, effects = bool(analysis.setup.recipe), analysis.effects
    tests = {
        "p": ours or any(effect.p is not None for effect in analysis.variants),
        "t": ours or any(effect.paired_p is not None for effect in analysis.variants),
    }
    sizes = {
        "Parameters": any(effect.parameters for effect in effects),
        "MACs": any(effect.macs for effect in effects),
    }
    p, t, n = (Span(letter, "italic") for letter in "ptn")
    columns = (
        Column("Variant"),
        Column("Change", folded=True),
        Column(analysis.measure.heading, number=True),
        Column("Difference", number=True),
        Column("Verdict"),
        *((Column(p, number=True),) if tests["p"] else ()),
        *((Column(("Paired\u00a0", t), number=True),) if tests["t"] else ()),
        Column(n, number=True),
        *(Column(size, number=True) for size, known in sizes.items() if known),
    )

    def row(effect: Effect) -> Row:
        first = effect is analysis.baseline
        size = {"Parameters": effect.parameters, "MACs": effect.macs}
        cells = (
            Cell(name(effect.variant), tuple(_state(effect, analysis))),
            Cell(effect.change),
            Cell(_mean(effect, analysis)),
            Cell(_BASELINE if first else _difference(effect, analysis)),
            _verdict(effect),
            *((Cell("" if first else intervals.p_cell(effect)),) if tests["p"] else ()),
            *((Cell("" if first else intervals.short_p(effect.paired_p)),) if tests["t"] else ()),
            Cell(
                (str(effect.n), Span(f"/{len(effect.runs)}", css="sd"))
                if effect.n < len(effect.runs)
                else str(effect.n)
            ),
            *(Cell(formatting.count(size[key])) for key, known in sizes.items() if known),
        )
        return Row(cells, first)

    return Table(
        "Table of variants", columns, tuple(map(row, effects)), captions.table(analysis), key="variants", css="variants"
    )


def _state(effect: Effect, analysis: Analysis) -> Iterator[Note]:
    """What a reader must know of the runs of a variant, and its warnings with links to them."""
    state = captions.state_of(effect, bool(analysis.setup.recipe))
    if state:
        yield Note(state, "note alert" if effect.failed + effect.crashed else "note")
    marks = claims.marks(analysis, effect.variant)
    if marks:
        yield Note(join((Span(text, css="mark", target=f"warning-{code}") for code, text in marks), " "), "marks")


def _mean(effect: Effect, analysis: Analysis) -> Text:
    value = analysis.measure.value
    return (
        value(effect.mean) if effect.sd is None else (value(effect.mean), Span(f" \u00b1 {value(effect.sd)}", css="sd"))
    )


def _difference(effect: Effect, analysis: Analysis) -> Text:
    parts: list[str | Span] = [analysis.measure.difference(effect.difference)]
    if effect.pairs and effect.pairs < effect.n:
        parts.append(Span(f" ({effect.pairs})", css="sd"))
    interval = analysis.measure.interval(effect.low, effect.high)
    return (*parts, " ", Span(interval, css="interval")) if interval else tuple(parts)


def _verdict(effect: Effect) -> Cell:
    beside = claims.beside(effect)
    notes = (Note(beside),) if beside else ()
    return Cell(captions.verdict_cell(effect), notes, f"verdict {effect.verdict or ''}".strip())


def _test_set(context: Context) -> Iterator[Block]:
    found = context.analysis.test
    if not found:
        return
    digits = accuracy_digits(found.images)
    rows = []
    for place, own in enumerate(found.rows):
        mean: list[str | Span] = [formatting.percent(own.mean, digits)]
        mean += [Span(f" \u00b1 {formatting.percent(own.sd, digits)}", css="sd")] if own.sd is not None else []
        difference = formatting.points(own.difference, digits) if place else _BASELINE
        cells = (Cell(name(own.variant)), Cell(tuple(mean)), Cell(difference), Cell(str(own.n)))
        rows.append(Row(cells, baseline=not place))
    heads = ("Test accuracy, %", "Difference", Span("n", "italic"))
    columns = (Column("Variant"), *(Column(head, number=True) for head in heads))
    caption = captions.held_out(found, context.analysis.measure)
    yield Table("Table of test accuracies", columns, tuple(rows), caption, key="test")


def _cost(context: Context) -> Iterator[Block]:
    effects = context.analysis.effects
    known = [key for key in _COSTS if any(effect.n and getattr(effect, key) for effect in effects)]
    if not known:
        return
    largest = {key: max(getattr(effect, key) or 0.0 for effect in effects) for key in known}

    def cell(effect: Effect, key: str) -> Cell:
        value = getattr(effect, key)
        return Cell(_COSTS[key][1](value), css="bar", share=(value or 0.0) / largest[key])

    rows = tuple(
        Row((Cell(name(effect.variant)), *(cell(effect, key) for key in known)), baseline=not place)
        for place, effect in enumerate(effects)
    )
    columns = (Column("Variant"), *(Column(_COSTS[key][0], number=True) for key in known))
    caption = captions.cost(context.analysis)
    yield Table("Table of time and memory", columns, rows, caption, key="cost", css="cost")


QUESTION = Section("question", "Question", 10, _question)
EFFECTS = Section("effects", "What each change does", 20, _effects)
TEST = Section("test", "Test set", 30, _test_set)
COST = Section("cost", "Time and memory", 100, _cost)
