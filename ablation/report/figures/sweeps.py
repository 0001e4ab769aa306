"""A metric against the values of one numeric option, or of the fraction of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullLocator

import ablation.report.figures.style as style
from ablation._util import formatting
from ablation._util.language import tr, tr_noop
from ablation.analysis import Analysis, Effect, Measure, Sweep

PANEL = (400, 260)
_DECADE = 10.0
"""Positive values that span more than this ratio are shown on a logarithmic axis."""


@dataclass(frozen=True)
class Metric:
    """What a sweep shows: the value of an effect, with those of its seeds where they are known.

    The primary metric is named by the measure of the study, others by themselves: in English, shown through `tr`.
    """

    key: str
    name: str = ""
    axis: str = ""
    scale: float = 1.0


METRICS: Mapping[str, Metric] = {
    "epoch_seconds": Metric("epoch_seconds", tr_noop("seconds per epoch"), tr_noop("seconds per epoch")),
    "peak_memory_mb": Metric("peak_memory_mb", tr_noop("peak memory"), tr_noop("peak memory, MiB")),
}
_PRIMARY = "mean"


def primary(measure: Measure) -> Metric:
    """The primary metric of a study, an accuracy in per cent."""
    return Metric(_PRIMARY, scale=measure.scale)


def metric_name(metric: Metric, measure: Measure) -> str:
    """The metric in words."""
    return tr(metric.name) if metric.name else measure.name


def metric_axis(metric: Metric, measure: Measure) -> str:
    """The metric with its unit."""
    if metric.axis:
        return tr(metric.axis)
    return tr("{metric}, %", metric=measure.name) if measure.share else measure.name


def _mean(effect: Effect, metric: Metric) -> float | None:
    found: float | None = getattr(effect, metric.key)
    return None if found is None else metric.scale * found


def _seeds(effect: Effect, metric: Metric) -> list[float]:
    return [metric.scale * run.value for run in effect.runs if run.value is not None] if metric.key == _PRIMARY else []


@style.styled
def sweep_panel(analysis: Analysis, sweep: Sweep, metric: Metric) -> Figure:
    """One metric against one option."""
    figure = style.canvas(*PANEL)
    draw_sweep(style.axes(figure, 52, 42, 14, 12), analysis, sweep, metric)
    return figure


@style.styled
def sweep_grid(analysis: Analysis, panels: Sequence[tuple[Sweep, Metric]], columns: int = 2) -> Figure:
    """Several panels in one figure."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    width, height = PANEL
    figure = style.canvas(width * columns, height * rows)
    for index, (sweep, metric) in enumerate(panels):
        row, column = divmod(index, columns)
        right, above = (columns - 1 - column) * width + 14, row * height + 12
        axes = style.axes(figure, column * width + 52, (rows - 1 - row) * height + 42, right, above)
        draw_sweep(axes, analysis, sweep, metric)
    return figure


def draw_sweep(axes: Axes, analysis: Analysis, sweep: Sweep, metric: Metric) -> None:
    """Seeds as dots, means joined by a line, the baseline's level ringed and its mean as a horizontal line.

    On a logarithmic axis a level of zero is one step to the left of the smallest other level, labelled 0.
    """
    values = [value for value, _ in sweep.levels]
    places = _scale(axes, values, sweep)
    base = _mean(analysis.baseline, metric)
    if base is not None:
        axes.axhline(base, color=style.BASELINE, linewidth=1, zorder=1)
    means: list[tuple[float, float]] = []
    for place, (_, variant) in zip(places, sweep.levels, strict=True):
        effect = analysis.effect(variant)
        dots = _seeds(effect, metric)
        axes.scatter([place] * len(dots), dots, s=18, facecolor="none", edgecolor=style.MARK, linewidth=1, zorder=3)
        mean = _mean(effect, metric)
        if mean is not None:
            means.append((place, mean))
        elif effect.failed:
            axes.plot([place], [0.03], "x", color=style.WARN, transform=axes.get_xaxis_transform(), clip_on=False)
    _means(axes, means, places[values.index(_own_level(sweep, analysis))], values[0] == 0)
    if metric.key == _PRIMARY and sweep.path == "data.fraction":
        _fitted(axes, analysis)
    axes.set(xlabel=formatting.option(sweep.path), ylabel=metric_axis(metric, analysis.measure))
    axes.grid(axis="y")
    axes.margins(y=0.12)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: style.number(y)))
    if metric.key != _PRIMARY and means:
        axes.set_ylim(0, 1.12 * max(mean for _, mean in means))


def _fitted(axes: Axes, analysis: Analysis) -> None:
    """The power law through the errors, over the fractions that it was fitted to."""
    law, measure = analysis.data_curve, analysis.measure
    if law is None:
        return
    x = np.geomspace(law.fractions[0], law.fractions[-1], 60)
    error = law.a[0] * x ** -law.b[0] + law.c[0]
    y = measure.scale * (1 - error if measure.share else error)
    axes.plot(x, y, color=style.MUTED, linewidth=1.1, linestyle=(0, (4, 2)), zorder=1.5)


def _own_level(sweep: Sweep, analysis: Analysis) -> float:
    return next(value for value, variant in sweep.levels if variant == analysis.baseline.variant)


def _means(axes: Axes, means: Sequence[tuple[float, float]], own: float, broken: bool) -> None:
    """The line of means; dashed from a zero on a logarithmic axis, since no scale leads there."""
    log_axis = axes.get_xscale() == "log"
    solid = means[1:] if broken and log_axis else means
    if broken and log_axis and len(means) > 1:
        axes.plot(*zip(*means[:2], strict=True), color=style.MARK, linewidth=1.2, linestyle=(0, (1, 2)), zorder=2)
    if solid:
        axes.plot(*zip(*solid, strict=True), color=style.MARK, linewidth=1.4, zorder=2)
    for place, mean in means:
        grey = place == own
        axes.plot([place], [mean], "o", color=style.BASELINE if grey else style.MARK, markersize=6.5, zorder=4)


def _scale(axes: Axes, values: Sequence[float], sweep: Sweep) -> list[float]:
    """Set up the x axis and return where each level is on it."""
    positive = [value for value in values if value > 0]
    wide = len(positive) > 1 and min(values) >= 0 and max(positive) / min(positive) > _DECADE
    log_axis = wide or (sweep.path == "data.fraction" and len(positive) == len(values))
    places = list(values)
    if log_axis:
        axes.set_xscale("log")
        places = [value or _zero(positive) for value in values]
    axes.xaxis.set_minor_locator(NullLocator())
    shown = _apart(np.log10(places) if log_axis else np.array(places))
    axes.xaxis.set_major_locator(FixedLocator([places[i] for i in shown]))
    axes.xaxis.set_major_formatter(FixedFormatter([formatting.value(float(values[i])) for i in shown]))
    return places


def _zero(positive: Sequence[float]) -> float:
    """Where zero is on a logarithmic axis: a fifth of its length below the smallest level."""
    return float(min(positive) * (min(positive) / max(positive)) ** 0.25)


def _apart(places: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[int]:
    """Which levels can carry a label without touching the one before."""
    room = 0.12 * float(places[-1] - places[0])
    shown = [0]
    for index in range(1, len(places)):
        if places[index] - places[shown[-1]] >= room:
            shown.append(index)
    return shown
