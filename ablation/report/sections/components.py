"""The components of a factorial: what each does on average, which of them interact, and how they share the total."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

import ablation._util.counted as counted
import ablation.report.components as components
import ablation.report.drawing as drawing
import ablation.report.figures as figures
import ablation.report.figures.style as style
import ablation.report.intervals as intervals
from ablation._util.formatting import ABSENT
from ablation._util.language import clauses, sentences, tr, tr_noop
from ablation.analysis import Analysis, Factorial, FactorialEffect, Measure
from ablation.report.blocks import Block, Cell, Column, Figure, Panel, Paragraph, Row, Span, Table, Text, name
from ablation.report.context import Context, Section


def _components(context: Context) -> Iterator[Block]:
    analysis, found = context.analysis, context.analysis.factorial
    if not found or not analysis.facts.done:
        return
    yield Paragraph(sentences([*components.sentences(analysis)]))
    if not found.effects:
        return
    yield _figure(analysis, found)
    yield _main_effects(analysis, found)
    yield _interactions(analysis, found)


def _shown(found: Factorial) -> list[FactorialEffect]:
    """Main effects and interactions of two, and those of more that are detected."""
    return [own for own in found.effects if len(own.components) <= 2 or own.detected]


def _figure(analysis: Analysis, found: Factorial) -> Figure:
    """The effects with their intervals, and the interaction that is largest."""
    measure, shown = analysis.measure, _shown(found)
    pair = max(found.of(2), key=lambda own: (own.detected, abs(own.estimate)))
    first, second = pair.components
    drawn = (
        (tr("Effects"), _in_words(shown, measure), partial(figures.component_effects, shown, measure)),
        (
            components.joined(pair),
            _means_in_words(found, pair, measure),
            partial(figures.interaction, _by_state(analysis, found, pair), (first, second), measure),
        ),
    )
    panels, pictures = [], []
    for number, (title, text, draw) in enumerate(drawn, 1):
        panels.append(Panel(title, "", drawing.inline_svg(draw(), f"components-{number}", title, text)))
        pictures.append(drawing.picture(f"figures/components-{number}.png", text, style.drawable(draw)))
    caption = tr(
        "Effects of the components on {metric}: lines are {intervals}. {pair}: dots are seeds, lines join their means, "
        "each over the combinations of the other components.",
        metric=measure.name,
        intervals=_family(analysis, len(found.effects)),
        pair=components.joined(pair),
    )
    return Figure("components", tr("Effects of the components"), caption, tuple(pictures), tuple(panels))


def _family(analysis: Analysis, size: int) -> str:
    return tr("simultaneous {level:g} % intervals, family of {size}", level=100 * (1 - analysis.alpha), size=size)


def _in_words(effects: Sequence[FactorialEffect], measure: Measure) -> str:
    """The rows of the plot of effects for a reader who does not see it."""
    rows = [
        tr(
            "{components}: {difference} (interval {low} to {high})",
            components=components.joined(own),
            difference=measure.difference(own.estimate) + measure.unit,
            low=measure.difference(own.low),
            high=measure.difference(own.high),
        )
        for own in effects
    ]
    return clauses(rows)


def _means_in_words(found: Factorial, pair: FactorialEffect, measure: Measure) -> str:
    without, beside = components.without_and_with(found, pair)
    return tr(
        "Effect of {first}: {without} with {second} off, {beside} with it on.",
        first=pair.components[0],
        second=pair.components[1],
        without=measure.difference(without) + measure.unit,
        beside=measure.difference(beside) + measure.unit,
    )


def _by_state(analysis: Analysis, found: Factorial, pair: FactorialEffect) -> npt.NDArray[np.float64]:
    """The metric by the states of two components, shape (2, 2, seeds): means over the other components."""
    runs = {own.variant: own.runs for own in analysis.effects}
    values = {name: {run.seed: run.value for run in own if run.value is not None} for name, own in runs.items()}
    first, second = pair.components
    means = [
        [
            np.mean(
                [
                    [values[variant][seed] for seed in found.seeds]
                    for variant, on in found.cells
                    if (first in on, second in on) == (one, other)
                ],
                axis=0,
            )
            for other in (False, True)
        ]
        for one in (False, True)
    ]
    return np.array(means, dtype=np.float64)


def _sized(estimate: float, low: float, high: float, measure: Measure) -> Text:
    return measure.difference(estimate), " ", Span(measure.interval(low, high), css="interval")


def _main_effects(analysis: Analysis, found: Factorial) -> Table:
    """What each component does on average, and what it adds over all orders of switching them on."""
    measure = analysis.measure
    heads = (tr("Main effect"), Span("p", "italic"), tr("Shapley value"), tr("Share"))
    columns = (Column(tr("Component")), *(Column(head, number=True) for head in heads))
    rows = tuple(
        Row(
            (
                Cell(name(own.component)),
                Cell(_sized(main.estimate, main.low, main.high, measure)),
                Cell(intervals.short_p(main.p)),
                Cell(_sized(own.estimate, own.low, own.high, measure)),
                Cell(components.share(own.share) if own.share else ABSENT),
            )
        )
        for main, own in zip(found.of(1), found.values, strict=True)
    )
    effects, values = (_family(analysis, size) for size in (len(found.effects), 2 * len(found.components) + 1))
    parts = [
        tr(
            "Main effect: {metric} with the component on, minus off, averaged over the others ({seeds}; {effects}).",
            metric=measure.name,
            seeds=counted.seeds(len(found.seeds)),
            effects=effects,
        ),
        tr(
            "Shapley value: what the component adds, averaged over all orders of switching the components on; the "
            "values add up to the difference between everything and nothing on, of which each has its share "
            "({values}).",
            values=values,
        ),
    ]
    if len(found.components) == 2:
        parts.append(tr("Of two components, the Shapley value is the main effect."))
    return Table(tr("Table of components"), columns, rows, sentences(parts), key="components", css="small")


def _interactions(analysis: Analysis, found: Factorial) -> Table:
    measure = analysis.measure
    heads = (tr("First without second"), tr("First with second"), tr("Interaction"), Span("p", "italic"))
    columns = (Column(tr("Components")), *(Column(head, number=True) for head in heads), Column(tr("Verdict")))

    def row(own: FactorialEffect) -> Row:
        pair = len(own.components) == 2
        alone = components.without_and_with(found, own) if pair else (None, None)
        cells = (
            Cell(name(components.joined(own))),
            *(Cell(measure.difference(value)) for value in alone),
            Cell(_sized(own.estimate, own.low, own.high, measure)),
            Cell(intervals.short_p(own.p)),
            Cell(components.verdict(own, measure)),
        )
        return Row(cells)

    rows = tuple(row(own) for own in _shown(found) if len(own.components) > 1)
    caption = tr(
        "Interaction: by how much the effect of the first component on {metric} is larger with the second on than with "
        "it off, averaged over the other components ({family}, the main effects among them).",
        metric=measure.name,
        family=_family(analysis, len(found.effects)),
    )
    return Table(tr("Table of interactions"), columns, rows, caption, key="interactions", css="small")


COMPONENTS = Section("components", tr_noop("Components"), 22, _components)
