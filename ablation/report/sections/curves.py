"""Sweeps, and the curves of every quantity that was measured over the epochs."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from markupsafe import Markup
from matplotlib.figure import Figure as Drawn

import ablation.report.captions as captions
import ablation.report.claims as claims
import ablation.report.drawing as drawing
import ablation.report.figure_blocks as figure_blocks
import ablation.report.figures as figures
import ablation.report.figures.style as style
from ablation._util.language import commas, current, sentences, tr, tr_noop
from ablation.analysis import Analysis
from ablation.report.blocks import Block, Figure, Heading, Panel, Paragraph
from ablation.report.context import Context, Section
from ablation.report.figures import Chart, Curves, Limits
from ablation.report.ranking import ranked

MOST_PANELS = 36
"""Small multiples of one quantity; of more variants, those with the largest differences are shown."""
MOST_DIFFERENCES = 12
"""Panels of the difference from the baseline: fewer, since they are in the body of the report."""
MOST_RATES = 12
"""Panels of the learning rate, whose courses differ less than what comes of them."""
_PAGE = 12
Shown = Sequence[tuple[tuple[str, ...], Curves]]
"""The variants that a panel stands for, none for all of them, and its curves."""


def _sweeps(context: Context) -> Iterator[Block]:
    figure = figure_blocks.sweeps(context.analysis)
    if figure:
        yield figure
        for sentence in claims.trends(context.analysis):
            yield Paragraph(sentence)


def _differences(context: Context) -> Iterator[Block]:
    """How the difference from the baseline came about; none for a single epoch, or before there is a pair."""
    results, analysis = context.results, context.analysis
    chart = figures.difference_chart(figures.study_charts(results, analysis.measure), analysis.measure)
    if results.epochs.empty or chart is None:
        return
    every = figures.difference_curves(results, chart)
    seen = [every[own.variant] for own in ranked(analysis) if len(every[own.variant].x) > 1]
    if seen:
        shown = _most_different(seen, analysis, MOST_DIFFERENCES)
        limits = figures.limits(chart, shown)
        caption = [captions.difference_curves(analysis)]
        if limits and limits.cut:
            caption.append(tr("Off-scale extremes are labelled."))
        caption += [captions.left_out(len(shown) + 1, len(seen) + 1).strip()] if len(shown) < len(seen) else []
        draw = _Panels(seen[0], figures.unit_of_budget(results), context.digits)
        yield draw.figure(chart, sentences(caption), _each(shown), limits)


def _curves(context: Context) -> Iterator[Block]:
    """A figure for each quantity that was measured over the epochs; none before there is a whole epoch."""
    results, analysis = context.results, context.analysis
    if results.epochs.empty:
        return
    charts = figures.study_charts(results, analysis.measure)
    every = figures.study_curves(results, charts)
    order = [every[own.variant] for own in (analysis.baseline, *ranked(analysis))]
    draw = _Panels(every[analysis.baseline.variant], figures.unit_of_budget(results), context.digits)
    for chart in charts:
        seen = [own for own in order if own.shows(chart)]
        if not seen:
            continue
        if chart.kind == "rate":
            rates = _rates(seen, chart)
            caption = captions.learning_rate(min(len(rates), MOST_RATES), len(rates))
            panels, limits = rates[:MOST_RATES], None
        else:
            shown = _most_different(seen, analysis, MOST_PANELS)
            limits = figures.limits(chart, shown)
            said = [_caption(chart, shown, limits is not None and limits.cut)]
            said += [captions.left_out(len(shown), len(seen)).strip()] if len(shown) < len(seen) else []
            caption, panels = sentences(said), _each(shown)
        if panels:
            yield Heading(tr(chart.title))
            yield draw.figure(chart, caption, panels, limits)


def _caption(chart: Chart, shown: Sequence[Curves], cut: bool) -> str:
    if chart == figures.LOSS:
        return captions.loss(cut)
    return captions.accuracy() if chart == figures.ACCURACY else sentences(_measured(chart, shown, cut))


def _measured(chart: Chart, shown: Sequence[Curves], cut: bool) -> list[str]:
    """What the curves of a table from elsewhere show, and no more than that."""
    parts = [_lines(chart)]
    if any(len(own.x) for own in shown):
        spread = any((own.low[chart.line] < own.high[chart.line]).any() for own in shown)
        parts.append(_means(chart.line) if spread else tr("Lines are means over the finished seeds."))
    if any(own.strays for own in shown):
        parts.append(tr("Red lines are single runs that diverged (cross) or have no result (dot)."))
    if len(shown) > 1:
        parts.append(tr("All panels share one scale."))
    if chart.dots and any(len(own.selected[chart.line]) for own in shown):
        parts.append(tr("Dots: the epoch that each seed reports."))
    if cut:
        parts.append(tr("Values above the scale are not drawn; the panel names the highest."))
    return parts


def _lines(chart: Chart) -> str:
    title, line, dashed = tr(chart.title), chart.line, chart.dashed
    if not dashed:
        return tr("{title} of each variant (blue) and the baseline (grey): {line}.", title=title, line=line)
    return tr(
        "{title} of each variant (blue) and the baseline (grey): {line} solid, {dashed} dashed.",
        title=title,
        line=line,
        dashed=dashed,
    )


def _means(line: str) -> str:
    return tr("Lines are means over the finished seeds; the band spans the lowest to the highest {line}.", line=line)


def _legend(chart: Chart) -> tuple[tuple[str, str], ...]:
    baseline, seeds = ("line grey", tr("baseline")), ("band", tr("range over seeds"))
    if chart.kind == "difference":
        return (("line", tr("mean difference")), seeds)
    if chart.kind == "rate":
        return (("line", tr("variant")), baseline)
    solid, dashed = (tr("validation"), tr("training")) if chart.ours else (chart.line, chart.dashed)
    second = (("line dashed", dashed),) if dashed else ()
    return (("line", solid), *second, seeds, baseline)


def _most_different(seen: Sequence[Curves], analysis: Analysis, most: int) -> list[Curves]:
    """The baseline and the variants farthest from it, in the order given; those without a result come first."""
    if len(seen) <= most:
        return list(seen)

    def distance(own: Curves) -> float:
        effect = analysis.effect(own.variant)
        if own.variant == analysis.baseline.variant or effect.difference is None:
            return -math.inf
        return -abs(effect.difference)

    kept = {own.variant for own in sorted(seen, key=distance)[:most]}
    return [own for own in seen if own.variant in kept]


def _each(shown: Sequence[Curves]) -> Shown:
    return [((own.variant,), own) for own in shown]


def _rates(every: Sequence[Curves], chart: Chart) -> Shown:
    groups = figures.rate_groups(every, chart)
    return [((), groups[0][0])] if len(groups) == 1 else [(names, own) for own, names in groups]


def _title(names: Sequence[str]) -> str:
    if not names:
        return tr("all variants")
    return names[0] if len(names) == 1 else tr("{name} and {n} more", name=names[0], n=len(names) - 1)


def _also(names: Sequence[str], most: int = 12) -> str:
    if not names:
        return ""
    if len(names) > most:
        return tr("also {names} and {n} more", names=commas(names[:most]), n=len(names) - most)
    return tr("also {names}", names=commas(names))


@dataclass(frozen=True)
class _Panels:
    baseline: Curves
    unit: str
    digits: int
    last_grid: dict[object, figures.CurveGrid] = field(default_factory=dict)
    """The grid that was drawn last, by what its axes depend on."""

    def figure(self, chart: Chart, caption: str, shown: Shown, limits: Limits | None) -> Figure:
        key, title = chart.key, tr(chart.title)
        on = [_InlinePanels(figures.CurvePanels(chart, self.baseline, self.unit, limits))]
        every = [own for _, own in shown]
        if chart.kind == "loss" and limits and (log := figures.log_limits(chart, every, limits)):
            on.append(_InlinePanels(figures.CurvePanels(chart, self.baseline, self.unit, log, log=True)))
        with style.applied():
            panels = [self._panel(on, chart, number, *item) for number, item in enumerate(shown, 1)]
        pictures = []
        for number, start in enumerate(range(0, len(shown), _PAGE), 1):
            part = shown[start : start + _PAGE]
            titled = [(_title(names), own) for names, own in part]
            draw = style.drawable(partial(self._grid, chart, titled, limits))
            alt = _over_time(title, self.unit, commas([_title(names) for names, _ in part]))
            pictures.append(drawing.picture(f"figures/{key}-{number}.png", alt, draw))
        return Figure(key, title, caption, tuple(pictures), tuple(panels), _legend(chart))

    def _grid(self, chart: Chart, panels: Sequence[tuple[str, Curves]], limits: Limits | None) -> Drawn:
        """A grid of panels, on the axes of the last grid where these would be the same."""
        titled = [(figures.panel_title(chart, name), own) for name, own in panels]
        lines = 2 if any("\n" in title for title, _ in titled) else 1
        key = (chart.key, len(panels), limits, lines, current().tag)
        if key not in self.last_grid:
            if self.last_grid:
                self.last_grid.clear()
                gc.collect()  # a figure of many axes takes megabytes, in reference cycles
            self.last_grid[key] = figures.CurveGrid(len(panels), chart, self.baseline, self.unit, limits, lines=lines)
        return self.last_grid[key].draw(titled)

    def _panel(
        self, on: Sequence[_InlinePanels], chart: Chart, number: int, names: tuple[str, ...], own: Curves
    ) -> Panel:
        name, key = _title(names), f"{chart.key}-{number}"
        text = captions.describe_curve(chart, own, self.digits)
        title = f"{tr(chart.key)}{current().colon}{name}"
        svg = on[0].svg(own, key, title, text)
        log = on[1].svg(own, f"{key}-log", title, text) if len(on) > 1 else None
        return Panel(name, _also(names[1:]), svg, log, on[0].panels.readings(own))


class _InlinePanels:
    """Panels as inline SVG, drawn one after the other on the same axes."""

    def __init__(self, panels: figures.CurvePanels) -> None:
        self.panels = panels
        self._svg = drawing.SvgPanels(panels.figure)

    def svg(self, own: Curves, name: str, title: str, description: str) -> Markup:
        self.panels.draw(own)
        return self._svg.inline_svg(name, title, description)


def _over_time(title: str, unit: str, names: str) -> str:
    if unit == "epoch":
        return tr("{title} over the epochs: {names}", title=title, names=names)
    return tr("{title} over the steps: {names}", title=title, names=names)


SWEEPS = Section("sweeps", tr_noop("Sweeps"), 50, _sweeps)
DIFFERENCES = Section("difference", tr_noop("Difference during training"), 60, _differences)
CURVES = Section("curves", tr_noop("Learning curves"), 65, _curves, appendix=True)
