"""Losses, metrics and learning rate over the epochs as arrays for each variant, and the limits of their axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ablation.analysis.charts import IMAGE_CHARTS, LOSS, RATE, Chart
from ablation.analysis.classification.chance import at_chance
from ablation.analysis.learning import unit_of_budget
from ablation.results.runs import Results

Array = np.ndarray[tuple[Any, ...], np.dtype[np.float64]]
_FARTHEST = 4.0
"""A variant whose loss is more than this many times that of the median variant may leave the axis."""
_STATE, _SELECTED, _OF_BASELINE = "\0state", "\0selected", "\0baseline"
"""Columns beside those of the study, whatever these are called."""
MOST_STRAYS = 8
"""Runs without a result that a panel draws as lines of their own."""


class Limits(NamedTuple):
    """Limits of the y axis, and whether some values lie outside."""

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
    panels = [values for c in curves if len(values := drawn_values(chart, c))]
    if not panels:
        return Limits(0.0, 1.0, False)
    tops = [float(np.quantile(values, 0.97)) for values in panels]
    usual = max([top for top in tops if top <= _FARTHEST * float(np.median(tops))] or tops)
    highest, lowest = (float(pick([pick(values) for values in panels])) for pick in (max, min))
    cut, low = highest > 2 * usual > 0, min(0.0, 1.05 * lowest)
    top = 1.05 * (1.3 * usual if cut else highest)
    return Limits(low, max(top, 0.0) or (0.0 if low else 1.0), cut)


def drawn_values(chart: Chart, curves: Curves) -> Array:
    """The finite values that a panel draws of the runs with a value; of the others where there are no such runs."""
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


def rate_groups(curves: Sequence[Curves], chart: Chart = RATE) -> list[tuple[Curves, tuple[str, ...]]]:
    """The distinct learning rate curves, each with the variants that share it; variants without one are left out."""
    groups: dict[tuple[bytes, bytes], tuple[Curves, list[str]]] = {}
    for own in curves:
        if np.isfinite(own.mean[chart.line]).any():
            key = (own.x.tobytes(), own.mean[chart.line].tobytes())
            groups.setdefault(key, (own, []))[1].append(own.variant)
    return [(own, tuple(names)) for own, names in groups.values()]
