"""Trackio: its SQLite files, one for each project, without Trackio.

Source: trackio/sqlite_storage.py (tables `metrics` and `configs`, whose rows hold JSON).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ablation._util.nested import leaves
from ablation.errors import UserError
from ablation.results.foreign.logged import Declared, LoggedRun, LoggedRuns, chosen, columns, database, parameters
from ablation.results.foreign.metric_files import series_of


def read_trackio(path: Path, declared: Declared) -> LoggedRuns:
    """The runs of a project: its SQLite file, or a folder of such files of which the experiment names one."""
    if path.is_dir():
        files = {file.stem: file for file in sorted(path.glob("*.db"))}
        counts = {name: _count(file) for name, file in files.items()}
        path = files[
            chosen({name: count for name, count in counts.items() if count}, declared.experiment, "project", path)
        ]
    with database(path, ("metrics",), "Trackio") as connection:
        key = "run_id" if "run_id" in columns(connection, "metrics") else "run_name"
        logged: dict[str, list[dict[str, Any]]] = {}
        names: dict[str, str] = {}
        for run, name, step, metrics in connection.execute(
            f"SELECT COALESCE({key}, run_name), run_name, step, metrics FROM metrics ORDER BY timestamp, id"
        ):
            names[str(run)] = str(name)
            logged.setdefault(str(run), []).append({"step": step} | dict(leaves(_object(path, metrics))))
        held: dict[str, dict[str, Any]] = {}
        if columns(connection, "configs"):
            own = key if key in columns(connection, "configs") else "run_name"
            for run, config in connection.execute(f"SELECT COALESCE({own}, run_name), config FROM configs ORDER BY id"):
                held[str(run)] = _object(path, config)
    runs = tuple(_run(run, names[run], rows, held) for run, rows in logged.items())
    note = "Trackio does not say whether a run ended early: runs count as finished if they logged the metric"
    return LoggedRuns(path.stem, runs, (note,))


def _run(run: str, name: str, rows: list[dict[str, Any]], held: dict[str, dict[str, Any]]) -> LoggedRun:
    config = held.get(run, held.get(name, {}))
    public = {key: value for key, value in config.items() if not key.startswith("_")}
    return LoggedRun(name, parameters(public), series_of(rows))


def _count(path: Path) -> int:
    with database(path, ("metrics",), "Trackio") as connection:
        return int(connection.execute("SELECT COUNT(DISTINCT run_name) FROM metrics").fetchone()[0])


def _object(path: Path, text: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} holds a row that is not JSON: {error}", "is it a file of Trackio?") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a row that is no JSON object", "is it a file of Trackio?")
    return value
