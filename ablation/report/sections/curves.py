"""Sweeps, and the curves of every quantity that was measured over the epochs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import ablation.report.captions as captions
import ablation.report.claims as claims
import ablation.report.drawing as drawing
import ablation.report.figure_blocks as figure_blocks
import ablation.report.figures as figures
from ablation.analysis import Analysis
from ablation.report.blocks import Block, Figure, Heading, Panel, Paragraph
from ablation.report.context import Context, Section
from ablation.report.figures import Chart, Curves, Limits
from ablation.report.ranking import ranked

MOST_PANELS = 36
"""Small multiples of one quantity; of more variants, those with the largest differences are shown."""
MOST_RATES = 12
"""Panels of the learning rate, whose courses differ less than what comes of them."""
_PAGE = 12
Shown = Sequence[tuple[str, str, Curves]]
"""A title, a note and the curves of each panel."""


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
        shown = _most_different(seen, analysis)
        limits = figures.limits(chart, shown)
        caption = captions.difference_curves(analysis)
        caption += " Values beyond the axis are not drawn." if limits and limits.cut else ""
        caption += captions.left_out(len(shown) + 1, len(seen) + 1) if len(shown) < len(seen) else ""
        panels = [(own.variant, "", own) for own in shown]
        yield _Panels(seen[0], figures.unit_of_budget(results), context.digits).figure(chart, caption, panels, limits)


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
            shown = _most_different(seen, analysis)
            limits = figures.limits(chart, shown)
            caption = _caption(chart, shown, limits is not None and limits.cut)
            caption += captions.left_out(len(shown), len(seen)) if len(shown) < len(seen) else ""
            panels = [(own.variant, "", own) for own in shown]
        if panels:
            yield Heading(chart.title)
            yield draw.figure(chart, caption, panels, limits)


def _caption(chart: Chart, shown: Sequence[Curves], cut: bool) -> str:
    if chart == figures.LOSS:
        return captions.loss(cut)
    return captions.accuracy() if chart == figures.ACCURACY else " ".join(_measured(chart, shown, cut))


def _measured(chart: Chart, shown: Sequence[Curves], cut: bool) -> list[str]:
    """What the curves of a table from elsewhere show, and no more than that."""
    lines = f"{chart.line} solid, {chart.dashed} dashed" if chart.dashed else chart.line
    parts = [f"{chart.title} of each variant (blue) and the baseline (grey): {lines}."]
    if any(len(own.x) for own in shown):
        spread = any((own.low[chart.line] < own.high[chart.line]).any() for own in shown)
        band = f"; the band spans the lowest to the highest {chart.line}" if spread else ""
        parts.append(f"Lines are means over the finished seeds{band}.")
    if any(own.strays for own in shown):
        parts.append("Red lines are single runs that diverged (cross) or have no result (dot).")
    if len(shown) > 1:
        parts.append("All panels share one scale.")
    if chart.dots and any(len(own.selected[chart.line]) for own in shown):
        parts.append("Dots: the epoch that each seed reports.")
    if cut:
        parts.append("Values above the scale are not drawn; the panel names the highest.")
    return parts


def _legend(chart: Chart) -> tuple[tuple[str, str], ...]:
    baseline = ("line grey", "baseline")
    if chart.kind == "difference":
        return (("line", "mean difference"), ("band", "range over seeds"))
    if chart.kind == "rate":
        return (("line", "variant"), baseline)
    solid, dashed = ("validation", "training") if chart.ours else (chart.line, chart.dashed)
    second = (("line dashed", dashed),) if dashed else ()
    return (("line", solid), *second, ("band", "range over seeds"), baseline)


def _most_different(seen: Sequence[Curves], analysis: Analysis) -> list[Curves]:
    """The baseline and the variants farthest from it, in the order given; those without a result come first."""
    if len(seen) <= MOST_PANELS:
        return list(seen)

    def distance(own: Curves) -> float:
        effect = analysis.effect(own.variant)
        if own.variant == analysis.baseline.variant or effect.difference is None:
            return -math.inf
        return -abs(effect.difference)

    kept = {own.variant for own in sorted(seen, key=distance)[:MOST_PANELS]}
    return [own for own in seen if own.variant in kept]


def _rates(every: Sequence[Curves], chart: Chart) -> list[tuple[str, str, Curves]]:
    groups = figures.rate_groups(every, chart)
    if len(groups) == 1:
        return [("all variants", "", groups[0][0])]
    return [(_group_title(names), _also(names[1:]), own) for own, names in groups]


def _also(names: Sequence[str], most: int = 12) -> str:
    if not names:
        return ""
    return f"also {', '.join(names[:most])}" + (f" and {len(names) - most} more" if len(names) > most else "")


def _group_title(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


@dataclass(frozen=True)
class _Panels:
    baseline: Curves
    unit: str
    digits: int

    def figure(self, chart: Chart, caption: str, shown: Shown, limits: Limits | None) -> Figure:
        key, title = chart.key, chart.title
        on = [figures.CurvePanels(chart, self.baseline, self.unit, limits)]
        every = [own for _, _, own in shown]
        if chart.kind == "loss" and limits and (log := figures.log_limits(chart, every, limits)):
            on.append(figures.CurvePanels(chart, self.baseline, self.unit, log, log=True))
        panels = [self._panel(on, chart, f"{key}-{number}", *item) for number, item in enumerate(shown, 1)]
        pictures = []
        for number, start in enumerate(range(0, len(shown), _PAGE), 1):
            part = [(name, own) for name, _, own in shown[start : start + _PAGE]]
            draw = partial(figures.curve_grid, chart, part, self.baseline, self.unit, limits)
            alt = f"{title} over the {self.unit}s: {', '.join(name for name, _ in part)}"
            pictures.append(drawing.picture(f"figures/{key}-{number}.png", alt, draw))
        return Figure(key, title, caption, tuple(pictures), tuple(panels), _legend(chart))

    def _panel(
        self, on: Sequence[figures.CurvePanels], chart: Chart, key: str, name: str, note: str, own: Curves
    ) -> Panel:
        text = captions.describe_curve(chart, own, self.digits)
        title = f"{key.rpartition('-')[0]}: {name}"
        svg = drawing.inline_svg(on[0].draw(own), key, title, text)
        if len(on) == 1:
            return Panel(name, note, svg, on[0].area)
        log = drawing.inline_svg(on[1].draw(own), f"{key}-log", title, text)
        return Panel(name, note, svg, on[0].area, log, on[1].area)


SWEEPS = Section("sweeps", "Sweeps", 50, _sweeps)
DIFFERENCES = Section("difference", "Difference during training", 60, _differences)
CURVES = Section("curves", "Learning curves", 65, _curves, appendix=True)
