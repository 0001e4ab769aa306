"""The effects of the components of a factorial with their intervals, and how two components act together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

import ablation.report.figures.style as style
from ablation._util import formatting
from ablation._util.language import tr
from ablation.analysis import FactorialEffect, Measure
from ablation.report.figures.forest import signed

_WIDTH, _ROW, _LONGEST = 420, 24, 22
_PANEL = (400, 260)


@style.styled
def component_effects(effects: Sequence[FactorialEffect], measure: Measure) -> Figure:
    """Draw the effects from top to bottom: row i is at y = i, with a line for its interval and a thick one at it."""
    figure = style.canvas(_WIDTH, _ROW * len(effects) + 58)
    axes = style.axes(figure, 158, 46, 56, 12)
    ends = [measure.scale * end for own in effects for end in (own.low, own.high, 0.0)]
    margin = 0.06 * ((max(ends) - min(ends)) or 1.0)
    axes.set(xlim=(min(ends) - margin, max(ends) + margin), ylim=(len(effects) - 0.4, -0.6), yticks=[])
    axes.axvline(0, color=style.INK, linewidth=1, zorder=1)
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    for y, own in enumerate(effects):
        colour = _colour(own, measure)
        low, value, high = (measure.scale * x for x in (own.low, own.estimate, own.high))
        axes.axhline(y, color=style.GRID, linewidth=0.8, zorder=0.5)
        axes.plot([low, high], [y, y], color=colour, linewidth=1.6, solid_capstyle="butt", zorder=2)
        axes.plot([value, value], [y - 0.3, y + 0.3], color=colour, linewidth=3.2, solid_capstyle="butt", zorder=2.5)
        style.row_name(axes, y, style.label(" \u00d7 ".join(own.components), _LONGEST))
        axes.annotate(measure.difference(own.estimate), (1, y), xytext=(8, 0), color=style.INK, **place)
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: signed(x)))
    axes.set_xlabel(tr("effect, percentage points") if measure.share else tr("effect"))
    return figure


def _colour(own: FactorialEffect, measure: Measure) -> str:
    if not own.detected:
        return style.MUTED
    return style.MARK if own.estimate * measure.sign > 0 else style.WORSE


@style.styled
def interaction(values: npt.NDArray[np.float64], names: tuple[str, str], measure: Measure) -> Figure:
    """Draw the metric with the first component off (grey) and on, against the second one.

    values has shape (2, 2, seeds): off and on of the first, off and on of the second. Dots are seeds.
    """
    figure = style.canvas(*_PANEL)
    axes = style.axes(figure, 52, 42, 110, 12)
    first, second = (style.label(name, 12) for name in names)
    for own, colour, text in zip(
        measure.scale * values,
        (style.BASELINE, style.MARK),
        (tr("{component} off", component=first), tr("{component} on", component=first)),
        strict=True,
    ):
        for x, seeds in enumerate(own):
            axes.scatter([x] * len(seeds), seeds, s=18, facecolor="none", edgecolor=colour, linewidth=1, zorder=3)
        means = own.mean(axis=1)
        axes.plot([0, 1], means, "o-", color=colour, linewidth=1.6, markersize=6.5, zorder=4)
        axes.annotate(text, (1, means[1]), xytext=(12, 0), textcoords="offset points", va="center", color=style.INK)
    texts = (tr("{component} off", component=second), tr("{component} on", component=second))
    axes.set(xlim=(-0.25, 1.1), xticks=[0, 1], xticklabels=texts)
    axes.set_ylabel(tr("{metric}, %", metric=measure.name) if measure.share else measure.name)
    axes.grid(axis="y")
    axes.margins(y=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: formatting.value(float(f"{y:.6g}"))))
    return figure
