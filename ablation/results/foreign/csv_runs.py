"""A table with a row for each run and its parameters as columns, as trackers and spreadsheets export it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ablation.errors import UserError
from ablation.registry import metric_names
from ablation.results.csv_files import Numbers, TextTable, numbers, read_table
from ablation.results.foreign.event_files import Point
from ablation.results.foreign.logged import Declared, LoggedRun, LoggedRuns, Status, canonical

_STATUS: Mapping[str, Status] = {
    "finished": "finished", "completed": "finished", "complete": "finished", "done": "finished", "": "finished",
    "success": "finished", "diverged": "diverged", "crashed": "crashed", "failed": "crashed", "error": "crashed",
    "killed": "interrupted", "running": "interrupted", "interrupted": "interrupted", "stopped": "interrupted",
    "preempted": "interrupted", "pending": "interrupted", "queued": "interrupted", "missing": "interrupted",
    "damaged": "interrupted",
}  # fmt: skip
_ABOUT_RUNS = frozenset(
    (
        "name", "id", "run", "run_id", "notes", "user", "tags", "created", "runtime", "sweep", "state", "status",
        "group", "job_type", "jobtype", "created_at", "updated_at", "end_time", "start_time", "duration", "hostname",
        "host", "github", "description",
    )
)  # fmt: skip
"""Columns about a run that are neither a parameter nor a metric, in lower case."""


def read_csv(path: Path, declared: Declared) -> LoggedRuns:
    """The rows of a table as runs.

    A column of numbers is a metric if its name says so, or if it has fractions and hardly any value twice; any other
    column is a parameter, and so are those that are declared to be. Columns about runs (`_ABOUT_RUNS`) are left out.
    Raises FileError with what is wrong with the table, UserError where an experiment is named, which no table has.
    """
    if declared.experiment is not None:
        raise UserError("--experiment is for a store with several experiments", "leave it out, or filter the table")
    keys = (*declared.vary, declared.seed)
    table = read_table(path, keys)
    wanted = {*keys, declared.metric}
    found = {
        name: numbers(table, name)
        for name in table.columns
        if name in wanted or not (name.lower() in _ABOUT_RUNS or name.startswith("_"))
    }
    metrics = tuple(name for name, own in found.items() if name not in keys and _is_metric(name, own, declared))
    columns = _Columns(
        table,
        found,
        metrics,
        next((name for name in table.columns if name.lower() in ("name", "id", "run_id", "run")), None),
        next((name for name in table.columns if name.lower() in ("state", "status") and name not in wanted), None),
    )
    runs = tuple(_run(columns, row) for row in range(len(table.lines)))
    other = [name for name in found if name not in metrics]
    note = f"columns read as metrics: {', '.join(metrics) or 'none'}; as parameters: {', '.join(other)}"
    return LoggedRuns(path.stem, runs, (note,))


@dataclass(frozen=True)
class _Columns:
    """A table, its columns of numbers, those of them that are metrics, and its columns of names and states."""

    table: TextTable
    numbers: Mapping[str, Numbers]
    metrics: tuple[str, ...]
    name: str | None
    state: str | None


def _is_metric(name: str, column: Numbers, declared: Declared) -> bool:
    values = [value for value in column.values if value is not None]
    if name == declared.metric:
        return True
    if column.unread or not values:
        return False
    if metric_names.guess(name).direction is not None:
        return True
    fractions = any(math.isfinite(value) and value != round(value) for value in values)
    return fractions and len(values) > 3 and len(set(values)) > 0.8 * len(values)


def _run(columns: _Columns, row: int) -> LoggedRun:
    table = columns.table
    label = table.columns[columns.name][row] if columns.name else ""
    status = table.columns[columns.state][row].lower() if columns.state else ""
    if status not in _STATUS:
        hint = f"write one of: {', '.join(own for own in _STATUS if own)}"
        raise table.error([table.problem(row, str(columns.state), f"{columns.state} is {status!r}", hint)])
    parameters: dict[str, str] = {}
    series = {}
    for name, column in columns.numbers.items():
        value = column.values[row]
        if name not in columns.metrics:
            parameters[name] = canonical(table.columns[name][row] if value is None else value)
        elif value is not None:
            series[name] = [Point(0, value)]
    return LoggedRun(label or f"line {table.lines[row]}", parameters, series, _STATUS[status])
