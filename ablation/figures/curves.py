"""Loss, accuracy and learning rate over the epochs, a small panel for each variant with the baseline behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

import ablation.figures.style as style
from ablation import words
from ablation.analysis.measure import at_chance
from ablation.results import Results

Array = np.ndarray[tuple[Any, ...], np.dtype[np.float64]]
Quantity = Literal["loss", "accuracy", "lr"]
COLUMNS: Mapping[Quantity, tuple[str, ...]] = {
    "loss": ("train_loss", "val_loss"),
    "accuracy": ("train_accuracy", "val_accuracy"),
    "lr": ("lr",),
}
_MEASURED = tuple(column for columns in COLUMNS.values() for column in columns)
_AXIS_LABELS: Mapping[Quantity, str] = {"loss": "loss", "accuracy": "accuracy, %", "lr": "learning rate"}
_FARTHEST = 4.0
"""A variant whose loss is more than this many times that of the median variant may leave the axis."""
MOST_STRAYS = 8
"""Runs without a result that a panel draws as lines of their own."""
PANEL = (300, 190)


class Limits(NamedTuple):
    """Limits of the y axis, and whether some values lie above it."""

    low: float
    high: float
    cut: bool


@dataclass(frozen=True)
class Curves:
    """One variant over its epochs: mean, lowest and highest over its successful runs for each measured column.

    `x` is the epoch, or the step for a budget in steps, as far as all successful runs went; `strays` are the runs
    without a value, one table of epochs each; `selected` are the (x, validation accuracy) that the runs report.
    """

    variant: str
    x: Array
    mean: Mapping[str, Array]
    low: Mapping[str, Array]
    high: Mapping[str, Array]
    strays: tuple[tuple[str, Array, Mapping[str, Array]], ...]
    selected: Array


def study_curves(results: Results) -> dict[str, Curves]:
    """Aggregate the epochs of every variant; its keys stand in the order of the study."""
    unit = "step" if results.manifest.baseline.recipe.get("train", {}).get("steps") is not None else "epoch"
    runs = results.runs.assign(selected_epoch=pd.to_numeric(results.runs["selected_epoch"]))
    lost = at_chance(results)
    keys = zip(runs["variant"], runs["seed"], runs["status"], strict=True)
    runs["status"] = ["at chance" if (str(v), int(seed)) in lost else status for v, seed, status in keys]
    rows = results.epochs.merge(runs[["variant", "seed", "status", "selected_epoch"]], on=["variant", "seed"])
    groups = {str(name): table for name, table in rows.groupby("variant", sort=False)}
    return {arm.name: _curves(arm.name, groups.get(arm.name, rows.iloc[:0]), unit) for arm in results.manifest.arms}


def _curves(variant: str, rows: pd.DataFrame, unit: str) -> Curves:
    done = rows[rows["status"] == "finished"]
    reached = done.groupby("seed")["epoch"].max().min() if len(done) else 0
    table = done[done["epoch"] <= reached].groupby("epoch")
    mean = table[[*_MEASURED, "step"]].mean()
    low, high = table[list(_MEASURED)].min(), table[list(_MEASURED)].max()
    x = mean["step"] if unit == "step" else mean.index
    chosen = done[done["epoch"] == done["selected_epoch"]]
    return Curves(
        variant,
        np.asarray(x, dtype=float),
        _columns(mean),
        _columns(low),
        _columns(high),
        _strays(rows, unit),
        chosen[[unit, "val_accuracy"]].to_numpy(dtype=float),
    )


def _columns(table: pd.DataFrame) -> dict[str, Array]:
    return {column: table[column].to_numpy(dtype=float) for column in _MEASURED}


def _strays(rows: pd.DataFrame, unit: str) -> tuple[tuple[str, Array, Mapping[str, Array]], ...]:
    others = rows[rows["status"] != "finished"].groupby("seed")
    tables = [table for _, table in others][:MOST_STRAYS]
    return tuple((str(t["status"].iloc[0]), t[unit].to_numpy(dtype=float), _columns(t)) for t in tables)


def loss_limits(curves: Sequence[Curves]) -> Limits:
    """Limits that all loss panels share: from zero to where all but the highest few of the values lie.

    Variants whose loss is far above that of most others, like one with a much too high learning rate, do not set the
    axis: they would flatten all others.
    """
    panels = [values for c in curves if len(values := _losses(c))]
    if not panels:
        return Limits(0.0, 1.0, False)
    tops = [float(np.quantile(values, 0.97)) for values in panels]
    usual = max(top for top in tops if top <= _FARTHEST * float(np.median(tops)))
    highest = max(float(values.max()) for values in panels)
    cut = highest > 2 * usual > 0
    return Limits(0.0, 1.05 * (1.3 * usual if cut else highest) or 1.0, cut)


def _losses(curves: Curves) -> Array:
    """The finite losses that a panel draws of the runs with a value; of the others where there are no such runs."""
    own = [curves.mean["train_loss"], curves.low["val_loss"], curves.high["val_loss"]]
    if not len(curves.x):
        own = [table[column] for _, _, table in curves.strays for column in COLUMNS["loss"]]
    values = np.concatenate(own) if own else np.zeros(0)
    return np.asarray(values[np.isfinite(values)])


def accuracy_limits(curves: Sequence[Curves]) -> Limits:
    """Limits that all accuracy panels share, in per cent: from the ten below the lowest value up to 100."""
    arrays = [values for c in curves for values in (c.mean["train_accuracy"], c.low["val_accuracy"])]
    arrays += [table["val_accuracy"] for c in curves for _, _, table in c.strays]
    lowest = 100 * float(np.nanmin(np.concatenate([*arrays, np.ones(1)])))
    return Limits(max(min(10 * float(np.floor((lowest - 2) / 10)), 90.0), -2.0), 102.0, False)


class CurvePanels:
    """Panels of one variant each, for a page that arranges them itself.

    All are drawn on the same axes, one after the other, since making axes takes longer than filling them.
    """

    def __init__(self, quantity: Quantity, baseline: Curves, unit: str, limits: Limits | None = None) -> None:
        self._quantity, self._baseline, self._limits = quantity, baseline, limits
        with style.applied():
            self._figure = style.canvas(*PANEL)
            self._axes = style.axes(self._figure, 46, 36, 8, 8)
            _label(self._axes, quantity, unit)

    def draw(self, own: Curves) -> Figure:
        """The panel of a variant, good until the next one is drawn."""
        with style.applied():
            for artist in (*self._axes.lines, *self._axes.collections):
                artist.remove()
            self._axes.relim()
            _fill(self._axes, self._quantity, own, self._baseline, self._limits)
        return self._figure


@style.styled
def curve_grid(
    quantity: Quantity,
    panels: Sequence[tuple[str, Curves]],
    baseline: Curves,
    unit: str,
    limits: Limits | None = None,
    columns: int = 3,
) -> Figure:
    """Several (title, variant) in one figure, for a page that shows one picture."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    width, height = PANEL[0], PANEL[1] + 24
    figure = style.canvas(width * columns, height * rows)
    for index, (title, own) in enumerate(panels):
        row, column = divmod(index, columns)
        left, below = column * width + 46, (rows - 1 - row) * height + 36
        axes = style.axes(figure, left, below, (columns - 1 - column) * width + 12, row * height + 28)
        axes.set_title(style.label(title, 38), loc="left", y=1.0)
        _label(axes, quantity, unit)
        _fill(axes, quantity, own, baseline, limits)
    return figure


def _fill(axes: Axes, quantity: Quantity, own: Curves, baseline: Curves, limits: Limits | None) -> None:
    draw_curves(axes, quantity, own, baseline)
    if limits is not None:
        axes.set_ylim(limits.low, limits.high)
        if quantity == "loss" and limits.cut:
            _name_highest(axes, own, limits.high)
    elif quantity == "lr":
        axes.set_ylim(0, 1.08 * max([*own.high["lr"], *baseline.high["lr"], 1e-12]))


def _name_highest(axes: Axes, own: Curves, top: float) -> None:
    """Say how far a variant goes above the axis."""
    values = _losses(own)
    if len(values) and values.max() > top:
        text = f"up to {words.value(float(f'{values.max():.3g}'))}, off scale"
        place: dict[str, Any] = {"xycoords": "axes fraction", "va": "top", "ha": "right"}
        axes.annotate(text, (0.98, 0.97), color=style.WARN, fontsize=style.SMALL, **place)


def _label(axes: Axes, quantity: Quantity, unit: str) -> None:
    axes.grid(axis="y")
    axes.set_xlabel(unit)
    axes.set_ylabel(_AXIS_LABELS[quantity])
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: words.count(x) if x >= 10_000 else f"{x:.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: words.value(float(f"{y:.6g}"))))


def draw_curves(axes: Axes, quantity: Quantity, own: Curves, baseline: Curves) -> None:
    """Draw a variant over the baseline: training dashed, validation solid, a band over the range of the seeds."""
    scale = 100.0 if quantity == "accuracy" else 1.0
    columns = COLUMNS[quantity]
    if baseline is not own:
        for column in columns:
            _line(axes, baseline.x, scale * baseline.mean[column], column, color=style.BASELINE, linewidth=1.1)
    shown = columns[-1]
    if len(own.x):
        low, high = scale * own.low[shown], scale * own.high[shown]
        axes.fill_between(own.x, low, high, color=style.MARK, alpha=style.BAND, linewidth=0)
    for column in columns:
        _line(axes, own.x, scale * own.mean[column], column, color=style.MARK, linewidth=1.6)
    for status, x, table in own.strays if quantity != "lr" else ():
        _stray(axes, status, x, scale * table[shown])
    if quantity == "accuracy" and len(own.selected):
        axes.scatter(own.selected[:, 0], scale * own.selected[:, 1], s=14, color=style.MARK, linewidth=0, zorder=4)


def _line(axes: Axes, x: Array, y: Array, column: str, color: str, linewidth: float) -> None:
    dashed = column.startswith("train_")
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


def rate_groups(curves: Sequence[Curves]) -> list[tuple[Curves, tuple[str, ...]]]:
    """The distinct learning rate curves, each with the variants that share it; variants without one are left out."""
    groups: dict[tuple[bytes, bytes], tuple[Curves, list[str]]] = {}
    for own in curves:
        if len(own.x):
            key = (own.x.tobytes(), own.mean["lr"].tobytes())
            groups.setdefault(key, (own, []))[1].append(own.variant)
    return [(own, tuple(names)) for own, names in groups.values()]
