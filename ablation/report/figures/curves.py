"""Losses, metrics and learning rate over the epochs, a small panel for each variant with the baseline behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

import ablation.report.figures.style as style
from ablation._util.formatting import count, value
from ablation._util.language import tr
from ablation.analysis.charts import IMAGE_CHARTS, LOSS, RATE, Chart
from ablation.analysis.classification.chance import at_chance
from ablation.analysis.learning import unit_of_budget
from ablation.results.runs import Results

Array = np.ndarray[tuple[Any, ...], np.dtype[np.float64]]
_FARTHEST = 4.0
"""A variant whose loss is more than this many times that of the median variant may leave the axis."""
_STATE, _SELECTED, _OF_BASELINE = "\0state", "\0selected", "\0baseline"
"""Columns beside those of the study, whatever these are called."""
_READINGS = 100
"""Places of a curve at which the page can show its values: more would make it large."""
MOST_STRAYS = 8
"""Runs without a result that a panel draws as lines of their own."""
PANELS = {"difference": (215, 140)}
PANEL = (300, 190)
"""Pixels of a panel; those of the difference, which have no second line, are smaller."""


class Limits(NamedTuple):
    """Limits of the y axis, and whether some values lie above it."""

    low: float
    high: float
    cut: bool


@dataclass(frozen=True)
class Curves:
    """One variant over its epochs: mean, lowest and highest over its successful runs for each measured column.

    `x` is the epoch, or the step for a budget in steps, as far as all successful runs went; `strays` are the runs
    without a value, one table of epochs each; `selected` are the (x, value) that the runs report, for each column.
    """

    variant: str
    x: Array
    mean: Mapping[str, Array]
    low: Mapping[str, Array]
    high: Mapping[str, Array]
    strays: tuple[tuple[str, Array, Mapping[str, Array]], ...]
    selected: Mapping[str, Array]

    def shows(self, chart: Chart) -> bool:
        """Whether there is a finite value to draw."""
        tables = [self.mean, *(table for _, _, table in self.strays)]
        return any(np.isfinite(table[column]).any() for table in tables for column in chart.columns)


def difference_curves(results: Results, chart: Chart) -> dict[str, Curves]:
    """The curves of every variant minus the baseline, epoch by epoch, over the seeds with a value in both.

    The baseline has none.
    """
    column = chart.line
    rows = _with_states(results, [column])
    rows = rows[rows[_STATE] == "finished"]
    base = rows.loc[rows["variant"] == results.manifest.baseline.name, ["seed", "epoch", "step", column]]
    joined = rows.merge(base, on=["seed", "epoch"], suffixes=("", _OF_BASELINE))
    same = joined["step"] == joined[f"step{_OF_BASELINE}"] if unit_of_budget(results) == "step" else True
    joined = joined.assign(**{column: joined[column] - joined[f"{column}{_OF_BASELINE}"]})
    joined = joined[np.isfinite(joined[column]) & same]
    reached = joined.groupby(["variant", "epoch"])["seed"].transform("nunique")
    joined = joined[reached == joined.groupby("variant")["seed"].transform("nunique")]
    grouped = joined.groupby(["variant", "epoch"])
    table = pd.DataFrame({"low": grouped[column].min(), "mean": grouped[column].mean(), "high": grouped[column].max()})
    table["step"] = grouped["step"].mean()
    found = {}
    for variant in results.manifest.variants[1:]:
        own = table.loc[[variant.name]] if variant.name in table.index else table.iloc[:0]
        x = own["step"] if unit_of_budget(results) == "step" else own.index.get_level_values("epoch")
        mean, low, high = ({column: own[part].to_numpy(dtype=float)} for part in ("mean", "low", "high"))
        none = {column: np.zeros((0, 2))}
        found[variant.name] = Curves(variant.name, np.asarray(x, dtype=float), mean, low, high, (), none)
    return found


def study_curves(results: Results, charts: Sequence[Chart] = IMAGE_CHARTS) -> dict[str, Curves]:
    """Aggregate the epochs of every variant; its keys are in the order of the study."""
    unit = unit_of_budget(results)
    columns = list(dict.fromkeys(column for chart in charts for column in chart.columns))
    rows = _with_states(results, columns)
    done = rows[rows[_STATE] == "finished"]
    reached = done.groupby(["variant", "seed"])["epoch"].max().groupby("variant").min()
    table = done[done["epoch"] <= done["variant"].map(reached)].groupby(["variant", "epoch"])
    mean = table[[*columns, "step"]].mean()
    parts = _Parts(mean, table[columns].min(), table[columns].max(), done[done["epoch"] == done[_SELECTED]])
    others = {str(name): own for name, own in rows[rows[_STATE] != "finished"].groupby("variant", sort=False)}
    places = mean.groupby("variant", sort=False).indices
    chosen = parts.chosen.groupby("variant", sort=False).indices
    none = np.zeros(0, dtype=np.intp)
    return {
        variant.name: _curves(
            variant.name,
            parts,
            places.get(variant.name, none),
            chosen.get(variant.name, none),
            others.get(variant.name),
            columns,
            unit,
        )
        for variant in results.manifest.variants
    }


def _with_states(results: Results, columns: Sequence[str]) -> pd.DataFrame:
    """The epochs with what became of their run, and the epoch that it reports."""
    runs, lost = results.runs[["variant", "seed"]].copy(), at_chance(results)
    keys = zip(runs["variant"], runs["seed"], results.runs["status"], strict=True)
    runs[_STATE] = ["at chance" if (str(v), int(seed)) in lost else status for v, seed, status in keys]
    runs[_SELECTED] = pd.to_numeric(results.runs["selected_epoch"])
    epochs = results.epochs[["variant", "seed", "epoch", "step", *columns]]
    return epochs.merge(runs, on=["variant", "seed"]).astype(dict.fromkeys([*columns, "step", "epoch"], float))


class _Parts(NamedTuple):
    """Mean, lowest and highest of all variants over their epochs, and the rows of the epochs that runs report."""

    mean: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    chosen: pd.DataFrame


def _curves(
    variant: str,
    parts: _Parts,
    places: Any,
    chosen: Any,
    others: pd.DataFrame | None,
    columns: Sequence[str],
    unit: str,
) -> Curves:
    mean = parts.mean.iloc[places]
    x = mean["step"] if unit == "step" else mean.index.get_level_values("epoch")
    rows = parts.chosen.iloc[chosen]
    return Curves(
        variant,
        np.asarray(x, dtype=float),
        _columns(mean, columns),
        _columns(parts.low.iloc[places], columns),
        _columns(parts.high.iloc[places], columns),
        () if others is None else _strays(others, columns, unit),
        {column: rows[[unit, column]].dropna().to_numpy(dtype=float) for column in columns},
    )


def _columns(table: pd.DataFrame, columns: Sequence[str]) -> dict[str, Array]:
    return {column: table[column].to_numpy(dtype=float) for column in columns}


def _strays(rows: pd.DataFrame, columns: Sequence[str], unit: str) -> tuple[tuple[str, Array, dict[str, Array]], ...]:
    tables = [table for _, table in rows.groupby("seed")][:MOST_STRAYS]
    return tuple((str(t[_STATE].iloc[0]), t[unit].to_numpy(dtype=float), _columns(t, columns)) for t in tables)


def limits(chart: Chart, curves: Sequence[Curves]) -> Limits | None:
    """Limits of the y axis that all panels of a chart share; None where each panel has its own."""
    makers = {
        "loss": loss_limits,
        "share": share_limits,
        "rate": None,
        "difference": difference_limits,
        "other": data_limits,
    }
    make = makers[chart.kind]
    return make(curves, chart) if make else None


def _values(chart: Chart, curves: Curves, strays: bool) -> Array:
    """The finite values that a panel draws: lines and ends of the band, and the runs without a value."""
    arrays = [curves.low[chart.line], curves.high[chart.line]]
    arrays += [curves.mean[chart.dashed]] if chart.dashed else []
    arrays += [table[column] for _, _, table in curves.strays for column in chart.columns] if strays else []
    values = np.concatenate(arrays)
    return chart.scale * values[np.isfinite(values)]


def loss_limits(curves: Sequence[Curves], chart: Chart = LOSS) -> Limits:
    """Limits that all loss panels share: from zero to where all but the highest few of the values lie.

    Variants whose loss is far above that of most others, like one with a much too high learning rate, do not set the
    axis: they would flatten all others. Losses below zero are all shown.
    """
    panels = [values for c in curves if len(values := _losses(chart, c))]
    if not panels:
        return Limits(0.0, 1.0, False)
    tops = [float(np.quantile(values, 0.97)) for values in panels]
    usual = max([top for top in tops if top <= _FARTHEST * float(np.median(tops))] or tops)
    highest, lowest = (float(pick([pick(values) for values in panels])) for pick in (max, min))
    cut, low = highest > 2 * usual > 0, min(0.0, 1.05 * lowest)
    top = 1.05 * (1.3 * usual if cut else highest)
    return Limits(low, max(top, 0.0) or (0.0 if low else 1.0), cut)


def _losses(chart: Chart, curves: Curves) -> Array:
    """The finite losses that a panel draws of the runs with a value; of the others where there are no such runs."""
    return _values(chart, curves, strays=not len(curves.x))


def log_limits(chart: Chart, curves: Sequence[Curves], limits: Limits) -> Limits | None:
    """The same limits for a logarithmic axis; None where no value is above zero, or some are below it."""
    values = np.concatenate([np.zeros(0), *(_values(chart, c, False) for c in curves)])
    if limits.low < 0 or not (values > 0).any():
        return None
    lowest = float(values[values > 0].min())
    return Limits(0.8 * min(lowest, limits.high / 10), 1.1 * limits.high, limits.cut)


def share_limits(curves: Sequence[Curves], chart: Chart) -> Limits:
    """Limits that all panels share, in per cent: from the ten below the lowest value to just above the highest."""
    values = np.concatenate([np.zeros(0), *(_values(chart, c, True) for c in curves)])
    lowest, highest = (float(values.min()), float(values.max())) if len(values) else (0.0, 100.0)
    low = max(10 * float(np.floor((lowest - 2) / 10)), -2.0)
    return Limits(low, min(highest + 0.04 * (highest - low) + 0.5, 102.0), False)


def difference_limits(curves: Sequence[Curves], chart: Chart) -> Limits:
    """Limits that hold zero and most variants after their first quarter; what is far away leaves the axis."""
    panels = [values for c in curves if len(values := _values(chart, c, False))]
    if not panels:
        return Limits(-1.0, 1.0, False)
    late = [
        chart.scale * np.concatenate([each[chart.line][len(c.x) // 4 :] for each in (c.low, c.high)]) for c in curves
    ]
    reach = [float(np.quantile(np.abs(values), 0.95)) for values in late if len(values)]
    usual = max(own for own in reach if own <= _FARTHEST * (float(np.median(reach)) or max(reach)))
    every = np.concatenate([np.zeros(1), *panels])
    low, high = max(float(every.min()), -1.3 * usual), min(float(every.max()), 1.3 * usual)
    margin = 0.06 * (high - low) or 1.0
    return Limits(low - margin, high + margin, bool(every.min() < low or every.max() > high))


def data_limits(curves: Sequence[Curves], chart: Chart) -> Limits:
    """All values, with a margin."""
    values = np.concatenate([np.zeros(0), *(_values(chart, c, True) for c in curves)])
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return Limits(low - margin, high + margin, False)


class CurvePanels:
    """Panels of one variant each, for a page that arranges them itself.

    All are drawn on the same axes, one after the other, since making axes takes longer than filling them.
    """

    def __init__(
        self, chart: Chart, baseline: Curves, unit: str, limits: Limits | None = None, *, log: bool = False
    ) -> None:
        self._chart, self._baseline, self._limits = chart, baseline, limits
        with style.applied():
            self._figure = style.canvas(*PANELS.get(chart.kind, PANEL))
            self._axes = style.axes(self._figure, 46, 36, 8, 8)
            _label(self._axes, chart, unit)
            if log:
                self._axes.set_yscale("log", nonpositive="clip")
                self._axes.yaxis.set_major_locator(LogLocator(numticks=6))
                self._axes.yaxis.set_minor_locator(NullLocator())
                self._axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: value(float(f"{y:.6g}"))))

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
        box, width = self._axes.get_position(), self._figure.get_size_inches()[0] / style.PIXEL
        low, high = self._axes.get_xlim()
        dx = (high - low) / (box.width * width)
        rows = [[_digits(self._chart.scale * y, 4) for y in values.tolist()] for values in columns]
        x0 = low - box.x0 * width * dx
        return json.dumps([_digits(x0, 6), _digits(dx, 6), own.x[places].tolist(), *rows], separators=(",", ":"))

    def draw(self, own: Curves) -> Figure:
        """The panel of a variant, good until the next one is drawn."""
        with style.applied():
            for artist in (*self._axes.lines, *self._axes.collections):
                artist.remove()
            self._axes.relim()
            _fill(self._axes, self._chart, own, self._baseline, self._limits)
        return self._figure


@style.styled
def curve_grid(
    chart: Chart,
    panels: Sequence[tuple[str, Curves]],
    baseline: Curves,
    unit: str,
    limits: Limits | None = None,
    columns: int = 3,
) -> Figure:
    """Several (title, variant) in one figure, for a page that shows one picture."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    width, height = PANELS.get(chart.kind, PANEL)
    height += 24
    figure = style.canvas(width * columns, height * rows)
    for index, (title, own) in enumerate(panels):
        row, column = divmod(index, columns)
        left, below = column * width + 46, (rows - 1 - row) * height + 36
        axes = style.axes(figure, left, below, (columns - 1 - column) * width + 12, row * height + 28)
        axes.set_title(style.label(title, 38), loc="left", y=1.0)
        _label(axes, chart, unit)
        _fill(axes, chart, own, baseline, limits)
    return figure


def _digits(number: float, digits: int) -> float | None:
    return float(f"{number:.{digits}g}") if np.isfinite(number) else None


def _fill(axes: Axes, chart: Chart, own: Curves, baseline: Curves, limits: Limits | None) -> None:
    draw_curves(axes, chart, own, baseline)
    if limits is not None:
        axes.set_ylim(limits.low, limits.high)
        if chart.kind == "loss" and limits.cut:
            _name_highest(axes, chart, own, limits.high)
    elif chart.kind == "rate":
        axes.set_ylim(0, 1.08 * np.nanmax([*own.high[chart.line], *baseline.high[chart.line], 1e-12]))


def _name_highest(axes: Axes, chart: Chart, own: Curves, top: float) -> None:
    """Say how far a variant goes above the axis."""
    values = _losses(chart, own)
    if len(values) and values.max() > top:
        text = tr("up to {value}, off scale", value=value(float(f"{values.max():.3g}")))
        place: dict[str, Any] = {"xycoords": "axes fraction", "va": "top", "ha": "right"}
        axes.annotate(text, (0.98, 0.97), color=style.WARN, fontsize=style.SMALL, **place)


def _label(axes: Axes, chart: Chart, unit: str) -> None:
    axes.grid(axis="y")
    axes.set_xlabel(tr("epoch") if unit == "epoch" else tr("step"))
    axes.set_ylabel(style.label(tr(chart.axis), 34))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: count(x) if x >= 10_000 else f"{x:.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: value(float(f"{y:.6g}"))))


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


def rate_groups(curves: Sequence[Curves], chart: Chart = RATE) -> list[tuple[Curves, tuple[str, ...]]]:
    """The distinct learning rate curves, each with the variants that share it; variants without one are left out."""
    groups: dict[tuple[bytes, bytes], tuple[Curves, list[str]]] = {}
    for own in curves:
        if np.isfinite(own.mean[chart.line]).any():
            key = (own.x.tobytes(), own.mean[chart.line].tobytes())
            groups.setdefault(key, (own, []))[1].append(own.variant)
    return [(own, tuple(names)) for own, names in groups.values()]
