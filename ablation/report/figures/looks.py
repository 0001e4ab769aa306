"""The path of the estimate of each variant over the looks of a sequential study, with the boundaries of detection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

import ablation.report.figures.style as style
from ablation._util.language import tr
from ablation.analysis import Analysis, Effect
from ablation.analysis.look_types import Sequential, VariantLooks
from ablation.report.figures.forest import signed

PANEL = (400, 230)
_COLOURS = {"better": style.MARK, "worse": style.WORSE, "unstable": style.WARN}


def _limit(analysis: Analysis, own: VariantLooks) -> float:
    """The end of the axis of differences of a variant, in the unit shown.

    Every estimate is on it, and the last interval and boundary; boundaries of the first looks may be far beyond, and so
    may the margin.
    """
    last = own.path[-1]
    sizes = [abs(point.difference) for point in own.path] + [abs(last.low), abs(last.high), last.boundary]
    most = 3.0 * max(sizes)
    sizes += [size for size in (analysis.margin or 0.0, *(point.boundary for point in own.path)) if size <= most]
    return 1.15 * analysis.measure.scale * max(sizes) or 1.0


@style.styled
def look_panel(analysis: Analysis, own: Sequential, effect: Effect) -> Figure:
    """One variant."""
    figure = style.canvas(*PANEL)
    draw_looks(style.axes(figure, 58, 40, 14, 12), analysis, own, effect)
    return figure


@style.styled
def look_grid(analysis: Analysis, own: Sequential, effects: Sequence[Effect], columns: int = 2) -> Figure:
    """Several variants in one figure, each under its name."""
    columns = min(columns, len(effects))
    rows = -(-len(effects) // columns)
    width, height = PANEL
    figure = style.canvas(width * columns, (height + 18) * rows)
    for index, effect in enumerate(effects):
        row, column = divmod(index, columns)
        right, above = (columns - 1 - column) * width + 14, row * (height + 18) + 26
        axes = style.axes(figure, column * width + 58, (rows - 1 - row) * (height + 18) + 40, right, above)
        draw_looks(axes, analysis, own, effect)
        axes.set_title(style.label(effect.variant, 40), loc="left")
    return figure


def draw_looks(axes: Axes, analysis: Analysis, own: Sequential, effect: Effect) -> None:
    """The difference at each look as a line with dots, the boundaries dashed, the last interval as a bar.

    The variant was tested at a look. The axis of seeds has every look that was planned; the margin is dotted.
    """
    path, scale = own.variants[effect.variant].path, analysis.measure.scale
    limit = _limit(analysis, own.variants[effect.variant])
    colour = _COLOURS.get(effect.verdict or "", style.MUTED)
    seeds = [point.seeds for point in path]
    axes.axhline(0, color=style.INK, linewidth=1, zorder=1)
    if analysis.margin is not None:
        for side in (-1, 1):
            margin = side * scale * analysis.margin
            axes.axhline(margin, color=style.BASELINE, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
    bounds = scale * np.array([point.boundary for point in path])
    for side in (-1, 1):
        axes.plot(seeds, side * bounds, "_--", color=style.BASELINE, linewidth=1.1, markersize=11, zorder=2)
    axes.plot(seeds, [scale * point.difference for point in path], "o-", color=colour, markersize=5, zorder=4)
    ends = [scale * path[-1].low, scale * path[-1].high]
    axes.plot([seeds[-1]] * 2, ends, color=colour, linewidth=1.6, zorder=3)
    axes.set(xlim=(0, own.looks[-1] * 1.04), ylim=(-limit, limit), xlabel=tr("seeds"), ylabel=_axis(analysis))
    axes.xaxis.set_major_locator(FixedLocator([float(look) for look in own.looks]))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: signed(y)))
    axes.grid(axis="y")


def _axis(analysis: Analysis) -> str:
    return tr("difference, points") if analysis.measure.share else tr("difference")
