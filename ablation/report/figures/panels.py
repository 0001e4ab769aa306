"""The curves of a variant as a small panel with the baseline behind it, alone or several in a grid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

import ablation.report.figures.style as style
from ablation._util.formatting import count
from ablation._util.language import tr
from ablation.analysis.charts import Chart
from ablation.report.figures.curves import Array, Curves, Limits, drawn_values

PANELS = {"difference": (215, 140)}
PANEL = (300, 190)
"""Pixels of a panel; those of the difference, which have no second line, are smaller."""
_READINGS = 100
"""Places of a curve at which the page can show its values: more would make it large."""


class CurvePanels:
    """Panels of one variant each, for a page that arranges them itself.

    All are drawn on the same axes, one after the other, since making axes takes longer than filling them.
    """

    def __init__(
        self, chart: Chart, baseline: Curves, unit: str, limits: Limits | None = None, *, log: bool = False
    ) -> None:
        self._chart, self._baseline, self._limits = chart, baseline, limits
        with style.applied():
            self.figure = style.canvas(*PANELS.get(chart.kind, PANEL))
            self._axes = style.axes(self.figure, 46, 36, 8, 8)
            _label(self._axes, chart, unit)
            if log:
                self._axes.set_yscale("log", nonpositive="clip")
                self._axes.yaxis.set_major_locator(LogLocator(numticks=6))
                self._axes.yaxis.set_minor_locator(NullLocator())
                self._axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: style.number(y)))

    def readings(self, own: Curves) -> str:
        """What the script of a page shows where it is pointed at the panel that was drawn last, as JSON.

        `[x0, dx, xs, values, ...]`: a place x pixels from the left of the drawing is x0 + x dx on the axis; then at
        most 100 places, and for each line of the legend its values there, null where it has none. Empty for a variant
        without a curve.
        """
        if not len(own.x):
            return ""
        places = np.unique(np.linspace(0, len(own.x) - 1, min(len(own.x), _READINGS)).round().astype(int))
        drawn = [self._chart.line, *([self._chart.dashed] if self._chart.dashed else [])]
        columns = [own.mean[column][places] for column in drawn]
        if self._chart.kind != "difference":
            known = dict(zip(self._baseline.x.tolist(), self._baseline.mean[self._chart.line].tolist(), strict=True))
            columns.append(np.array([known.get(x, np.nan) for x in own.x[places].tolist()]))
        box, width = self._axes.get_position(), self.figure.get_size_inches()[0] / style.PIXEL
        low, high = self._axes.get_xlim()
        dx = (high - low) / (box.width * width)
        rows = [[_digits(self._chart.scale * y, 4) for y in values.tolist()] for values in columns]
        x0 = low - box.x0 * width * dx
        return json.dumps([_digits(x0, 6), _digits(dx, 6), own.x[places].tolist(), *rows], separators=(",", ":"))

    def draw(self, own: Curves) -> Figure:
        """The panel of a variant, good until the next one is drawn."""
        with style.applied():
            _draw(self._axes, self._chart, own, self._baseline, self._limits)
        return self.figure


class CurveGrid:
    """A fixed number of panels with titles of so many `lines` in one figure, for a page that shows one picture.

    Its axes are reused from one drawing to the next, as in `CurvePanels`.
    """

    def __init__(
        self,
        panels: int,
        chart: Chart,
        baseline: Curves,
        unit: str,
        limits: Limits | None = None,
        columns: int = 3,
        lines: int = 1,
    ) -> None:
        self._chart, self._baseline, self._limits = chart, baseline, limits
        columns = min(columns, panels)
        rows = -(-panels // columns)
        width, height = PANELS.get(chart.kind, PANEL)
        height += 24
        self._axes = []
        with style.applied():
            self._figure = style.canvas(width * columns, height * rows)
            for row, column in (divmod(place, columns) for place in range(panels)):
                left, below = column * width + 46, (rows - 1 - row) * height + 36
                right, top = (columns - 1 - column) * width + 12, row * height + 14 + 14 * lines
                axes = style.axes(self._figure, left, below, right, top)
                _label(axes, chart, unit)
                self._axes.append(axes)

    def draw(self, panels: Sequence[tuple[str, Curves]]) -> Figure:
        """A (title, variant) for each panel, titles as `panel_title` makes them; good until the next ones are drawn."""
        with style.applied():
            for axes, (title, own) in zip(self._axes, panels, strict=True):
                axes.set_title(title, loc="left", y=1.0)
                _draw(axes, self._chart, own, self._baseline, self._limits)
        return self._figure


def panel_title(chart: Chart, name: str) -> str:
    """The name of a variant above its panel, on two lines where one does not hold it."""
    width, _ = PANELS.get(chart.kind, PANEL)
    return style.two_lines(name, (width - 60) // 7)


def _digits(number: float, digits: int) -> float | None:
    return float(f"{number:.{digits}g}") if np.isfinite(number) else None


def _draw(axes: Axes, chart: Chart, own: Curves, baseline: Curves, limits: Limits | None) -> None:
    """Draw a variant in place of what the axes showed before."""
    for artist in (*axes.lines, *axes.collections, *axes.texts):
        artist.remove()
    axes.relim()
    draw_curves(axes, chart, own, baseline)
    if limits is not None:
        axes.set_ylim(limits.low, limits.high)
        if limits.cut:
            _name_farthest(axes, chart, own, limits)
    elif chart.kind == "rate":
        axes.set_ylim(0, 1.08 * np.nanmax([*own.high[chart.line], *baseline.high[chart.line], 1e-12]))


def _name_farthest(axes: Axes, chart: Chart, own: Curves, limits: Limits) -> None:
    """Say how far a variant goes beyond the axis; at the top, which curves below the axis leave free."""
    values = drawn_values(chart, own)
    if not len(values):
        return
    texts = []
    if values.max() > limits.high:
        texts.append(tr("up to {value}, off scale", value=style.number(values.max(), 3)))
    if values.min() < limits.low:
        texts.append(tr("down to {value}, off scale", value=style.number(values.min(), 3)))
    if texts:
        place: dict[str, Any] = {"xycoords": "axes fraction", "ha": "right", "va": "top"}
        axes.annotate("\n".join(texts), (0.98, 0.97), color=style.WARN, fontsize=style.SMALL, **place)


def _label(axes: Axes, chart: Chart, unit: str) -> None:
    axes.grid(axis="y")
    axes.set_xlabel(tr("epoch") if unit == "epoch" else tr("step"))
    axes.set_ylabel(style.label(tr(chart.axis), 34))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: count(x) if x >= 10_000 else f"{x:.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: style.number(y)))


def draw_curves(axes: Axes, chart: Chart, own: Curves, baseline: Curves) -> None:
    """Draw a variant over the baseline: training dashed, the rest solid, a band over the range of the seeds."""
    scale, shown = chart.scale, chart.line
    if chart.kind == "difference":
        axes.axhline(0, color=style.INK, linewidth=0.9)
    elif baseline is not own:
        for column in chart.columns:
            _line(axes, baseline.x, scale * baseline.mean[column], column == chart.dashed, style.BASELINE, 1.1)
    if len(own.x):
        low, high = scale * own.low[shown], scale * own.high[shown]
        axes.fill_between(own.x, low, high, color=style.MARK, alpha=style.BAND, linewidth=0)
    for column in chart.columns:
        _line(axes, own.x, scale * own.mean[column], column == chart.dashed, style.MARK, 1.6)
    for status, x, table in own.strays if chart.kind != "rate" else ():
        _stray(axes, status, x, scale * table[shown])
    dots = own.selected[shown]
    if chart.dots and len(dots):
        axes.scatter(dots[:, 0], scale * dots[:, 1], s=14, color=style.MARK, linewidth=0, zorder=4)


def _line(axes: Axes, x: Array, y: Array, dashed: bool, color: str, linewidth: float) -> None:
    marker = "o" if len(x) == 1 else None
    axes.plot(
        x, y, color=color, linewidth=linewidth, linestyle=(0, (4, 2)) if dashed else "-", marker=marker, markersize=3
    )


def _stray(axes: Axes, status: str, x: Array, y: Array) -> None:
    """A run without a result: a thin line to its last finite value, with a cross where it diverged."""
    known = np.isfinite(y)
    if not known.any():
        return
    axes.plot(x[known], y[known], color=style.WARN, linewidth=1)
    mark: dict[str, Any] = {
        "marker": "x" if status == "diverged" else "o",
        "markersize": 5 if status == "diverged" else 3,
    }
    axes.plot(x[known][-1:], y[known][-1:], color=style.WARN, linestyle="none", **mark)
