"""What each change does: the table of variants with their differences, the test set, and the cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import ablation.report.captions as captions
import ablation.report.claims as claims
import ablation.report.figure_blocks as figure_blocks
import ablation.report.interval_plot as interval_plot
import ablation.report.intervals as intervals
import ablation.report.looks as looks
import ablation.report.progress as progress
from ablation._util import formatting
from ablation._util.formatting import accuracy_digits
from ablation._util.language import clauses, sentences, tr, tr_noop
from ablation.analysis import Analysis, Effect, Measure
from ablation.report.blocks import (
    Block,
    Cell,
    Column,
    Note,
    Paragraph,
    Row,
    SeeAlso,
    Span,
    Table,
    Text,
    join,
    name,
    ref,
    tr_text,
)
from ablation.report.context import Context, Section
from ablation.report.ranking import ranked

_COSTS: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "parameters": (tr_noop("Parameters"), formatting.count),
    "macs": (tr_noop("MACs"), formatting.count),
    "train_seconds": (tr_noop("Training time"), formatting.duration),
    "epoch_seconds": (tr_noop("Seconds per epoch"), formatting.rate),
    "images_per_second": (tr_noop("Images per second"), formatting.rate),
    "peak_memory_mb": (tr_noop("Peak memory"), formatting.memory),
}
"""Attribute of an effect -> heading of its column, and how a value is shown."""
_SIZES = ("parameters", "macs")
"""Shown only where the variants differ in them."""


def baseline_mark() -> Span:
    """What is in the place of the difference of the baseline."""
    return Span(tr("baseline"), css="sd")


def _effects(context: Context) -> Iterator[Block]:
    analysis = context.analysis
    if analysis.variants and not any(effect.pairs for effect in analysis.variants):
        yield Paragraph(
            tr(
                "No difference from the baseline can be shown before a variant and the baseline have finished the same "
                "seed."
            ),
            "none",
        )
    yield variants_table(analysis)
    notes, disagree = beside_the_table(analysis), captions.disagreeing(analysis)
    text: Text = sentences([notes, disagree])
    if disagree and "tests" in context.shown:
        text = tr_text("{text} All p-values: {table}.", text=text, table=ref("table-tests"))
    yield SeeAlso(
        (
            (tr("paths over the looks"), "figure-looks"),
            (tr("components"), "table-components"),
            (tr("sweeps"), "figure-sweeps"),
            (tr("differences during training"), "figure-difference"),
            (tr("p-values"), "" if disagree else "table-tests"),
            (tr("learning curves"), "figure-accuracy"),
            (tr("accuracy by class"), "table-classes-validation"),
            (tr("time and memory"), "table-cost"),
        ),
        text,
    )
    for sentence in claims.interactions(analysis):
        yield Paragraph(sentence)


def beside_the_table(analysis: Analysis) -> str:
    """What else a reader of the table must know."""
    effects = figure_blocks.largest(ranked(analysis))
    on = interval_plot.scale(effects, analysis.measure)
    outside = any(on.beyond(own) for own in effects)
    return captions.beside_the_table(analysis, effects, outside)


def variants_table(analysis: Analysis) -> Table:
    """The table of variants in the order of their effects, each with the plot of its interval."""
    effects = ranked(analysis)
    shown = figure_blocks.largest(effects)
    plotted = {own.variant for own in shown if own.pairs}
    on = interval_plot.scale(shown, analysis.measure) if plotted else None
    columns = (
        Column(tr("Variant")),
        Column(tr("Change"), folded=True),
        Column(analysis.measure.metric.heading, number=True),
        *((Column(tr("Interval"), plot=interval_plot.axis(on), zero=on.zero),) if on else ()),
        Column(tr("Difference"), number=True),
        Column(tr("Verdict")),
        Column(Span("n", "italic"), number=True),
    )

    def row(effect: Effect) -> Row:
        first = effect is analysis.baseline
        drawn = interval_plot.row(effect, on) if on and effect.variant in plotted else None
        plot = (Cell("", plot=drawn),) if on else ()
        cells = (
            Cell(name(effect.variant), tuple(_state(effect, analysis))),
            Cell(effect.change),
            Cell(mean(effect, analysis.measure)),
            *plot,
            Cell(baseline_mark() if first else difference(effect, analysis.measure)),
            Cell("", css="verdict") if first else _verdict(effect, analysis),
            Cell(
                (str(effect.n), Span(f"/{len(effect.runs)}", css="sd"))
                if effect.n < len(effect.runs)
                else str(effect.n)
            ),
        )
        return Row(cells, first)

    caption, pictures = captions.table(analysis), figure_blocks.forest(effects, analysis)
    rows = tuple(map(row, (analysis.baseline, *effects)))
    return Table(tr("Table of variants"), columns, rows, caption, key="variants", css="variants", pictures=pictures)


def _tests(context: Context) -> Iterator[Block]:
    """The p-values of every variant: that of the verdict, and those of the checks; none where nothing was tested."""
    tests: tuple[tuple[str, str, Callable[[Effect], float | None]], ...] = (
        ("McNemar", tr("exact test of two networks, Holm-adjusted"), lambda own: own.networks_p),
        ("p", tr("that of the verdict, adjusted for the family"), lambda own: own.p),
        (tr("paired t"), tr("on the variant's own variance, Holm-adjusted"), lambda own: own.paired_p),
        (tr("sign flips"), tr("max-T test over the signs of the seeds"), lambda own: own.sign_flip_p),
    )
    effects = ranked(context.analysis)
    known = [own for own in tests if any(own[2](effect) is not None for effect in effects)]
    if not known:
        return
    columns = (Column(tr("Variant")), *(Column(test, number=True) for test, _, _ in known))
    rows = tuple(
        Row((Cell(name(own.variant)), *(Cell(intervals.short_p(value(own))) for _, _, value in known)))
        for own in effects
    )
    about = clauses([tr("{test}: {about}", test=test, about=about) for test, about, _ in known])
    caption = tr("p-values. {tests}.", tests=about)
    yield Table(tr("Table of tests"), columns, rows, caption, key="tests", css="small")


def _state(effect: Effect, analysis: Analysis) -> Iterator[Note]:
    """What a reader must know of the runs of a variant, and its warnings with links to them."""
    state = progress.state_of(effect, bool(analysis.setup.recipe))
    if state:
        yield Note(state, "note alert" if effect.failed + effect.crashed else "note")
    marks = claims.marks(analysis, effect.variant)
    if marks:
        yield Note(join((Span(text, css="mark", target=f"warning-{code}") for code, text in marks), " "), "marks")


def mean(effect: Effect, measure: Measure) -> Text:
    """A mean over seeds with its SD."""
    value = measure.value
    return (
        value(effect.mean) if effect.sd is None else (value(effect.mean), Span(f" \u00b1 {value(effect.sd)}", css="sd"))
    )


def difference(effect: Effect, measure: Measure) -> Text:
    """A difference from the baseline with its interval."""
    parts: list[str | Span] = [measure.difference(effect.difference)]
    if effect.pairs and effect.pairs < effect.n:
        parts.append(Span(f" ({effect.pairs})", css="sd"))
    interval = measure.interval(effect.low, effect.high)
    return (*parts, " ", Span(interval, css="interval")) if interval else tuple(parts)


def _verdict(effect: Effect, analysis: Analysis) -> Cell:
    said, more = captions.verdict_cell(effect)
    notes = tuple(Note(text) for text in (more, looks.stopped(effect, analysis), claims.beside(effect)) if text)
    return Cell(said, notes, f"verdict {effect.verdict or ''}".strip())


def _test_set(context: Context) -> Iterator[Block]:
    found = context.analysis.test
    if not found:
        return
    digits = accuracy_digits(found.images)
    rows = []
    for place, own in enumerate(found.rows):
        shown: list[str | Span] = [formatting.percent(own.mean, digits)]
        shown += [Span(f" \u00b1 {formatting.percent(own.sd, digits)}", css="sd")] if own.sd is not None else []
        change = formatting.points(own.difference, digits) if place else baseline_mark()
        cells = (Cell(name(own.variant)), Cell(tuple(shown)), Cell(change), Cell(str(own.n)))
        rows.append(Row(cells, baseline=not place))
    heads = (tr("Test accuracy, %"), tr("Difference"), Span("n", "italic"))
    columns = (Column(tr("Variant")), *(Column(head, number=True) for head in heads))
    caption = captions.held_out(found, context.analysis.measure)
    yield Table(tr("Table of test accuracies"), columns, tuple(rows), caption, key="test")


def _cost(context: Context) -> Iterator[Block]:
    effects = (context.analysis.baseline, *ranked(context.analysis))
    known = [key for key in _COSTS if any(effect.n and getattr(effect, key) for effect in effects)]
    known = [key for key in known if key not in _SIZES or len({getattr(own, key) for own in effects if own.n}) > 1]
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
    columns = (Column(tr("Variant")), *(Column(tr(_COSTS[key][0]), number=True) for key in known))
    caption = captions.cost(context.analysis)
    yield Table(tr("Table of time and memory"), columns, rows, caption, key="cost", css="cost")
    if figure := figure_blocks.cost_sweeps(context.analysis):
        yield figure


EFFECTS = Section("effects", tr_noop("Results"), 20, _effects)
TEST = Section("test", tr_noop("Test set"), 30, _test_set)
TESTS = Section("tests", tr_noop("Tests"), 62, _tests, appendix=True)
COST = Section("cost", tr_noop("Time and memory"), 100, _cost, appendix=True)
