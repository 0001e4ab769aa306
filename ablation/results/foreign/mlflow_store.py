"""MLflow's stores: the SQLite file (`mlflow.db`) and the folder `mlruns`, without MLflow.

Sources: mlflow/store/tracking/dbmodels/models.py (tables experiments, runs, params, metrics, tags) and
mlflow/store/tracking/file_store.py (a folder for each experiment and run; a file for each parameter, tag and metric,
the last with lines `timestamp value step ...`).
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ablation._util.formatting import plural
from ablation.errors import FileError, Problem, UserError
from ablation.results.foreign.event_files import Point, Series, by_step
from ablation.results.foreign.logged import (
    COMMIT,
    Declared,
    LoggedRun,
    LoggedRuns,
    Status,
    canonical,
    chosen,
    database,
    label,
    read_config,
)
from ablation.results.foreign.metric_files import NOT_FINITE, text_of

_STATUS: Mapping[str, Status] = {
    "FINISHED": "finished", "FAILED": "crashed", "KILLED": "interrupted", "RUNNING": "interrupted",
    "SCHEDULED": "interrupted", "3": "finished", "4": "crashed", "5": "interrupted", "1": "interrupted",
    "2": "interrupted",
}  # fmt: skip
"""Names in the SQLite file, numbers in the folder (`RunStatus` of service.proto)."""
_LARGEST = 1.7976931348623157e308
"""How the SQLite file holds infinity."""
_COMMIT = "mlflow.source.git.commit"
"""The tag with the commit of the code, which is compared as a parameter: other code is another experiment."""
_TABLES = ("experiments", "runs", "params", "metrics")


def read_mlflow(path: Path, declared: Declared) -> LoggedRuns:
    """The runs of one experiment in a SQLite file or a folder `mlruns`; a folder that has either of them will do.

    Deleted runs and experiments are left out, as in MLflow's own pages. Raises UserError where there is no store, no
    such experiment, or several to choose from.
    """
    if path.is_dir() and not _experiments(path):
        file, folder = path / "mlflow.db", path / "mlruns"
        if file.is_file() and any(_run_folders(own) for own in _experiments(folder).values()):
            raise UserError(f"{path} has two stores, mlflow.db and mlruns", "name one of them")
        path = file if file.is_file() else folder if folder.is_dir() else path
    return _from_folder(path, declared.experiment) if path.is_dir() else _from_database(path, declared.experiment)


def _from_database(path: Path, experiment: str | None) -> LoggedRuns:
    with database(path, _TABLES, "MLflow") as connection:
        counted = connection.execute(
            "SELECT e.name, SUM(r.lifecycle_stage = 'active'), SUM(r.lifecycle_stage != 'active') FROM runs r "
            "JOIN experiments e ON e.experiment_id = r.experiment_id WHERE e.lifecycle_stage = 'active' GROUP BY e.name"
        ).fetchall()
        names = {str(name): int(active) for name, active, _ in counted if active}
        title = chosen(names, experiment, "experiment", path)
        rows = connection.execute(
            "SELECT r.run_uuid, r.name, r.status FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id "
            "WHERE e.name = ? AND r.lifecycle_stage = 'active' ORDER BY r.start_time, r.run_uuid",
            (title,),
        ).fetchall()
        runs = tuple(_stored_run(connection, str(run), str(name or ""), str(status)) for run, name, status in rows)
    return LoggedRuns(title, runs, _deleted({str(name): int(gone) for name, _, gone in counted}.get(title, 0)))


def _stored_run(connection: sqlite3.Connection, run: str, name: str, status: str) -> LoggedRun:
    own = (run,)
    values = {
        str(k): canonical(v) for k, v in connection.execute("SELECT key, value FROM params WHERE run_uuid = ?", own)
    }
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'tags'").fetchone():
        tags = connection.execute("SELECT value FROM tags WHERE run_uuid = ? AND key = ?", (run, _COMMIT)).fetchall()
        values |= {"git.commit": str(tags[0][0])[:COMMIT]} if tags else {}
    series: Series = {}
    query = "SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY key, step, timestamp, is_nan"
    for key, step, value, is_nan in connection.execute(query, own):
        number = math.nan if is_nan else math.copysign(math.inf, value) if abs(value) >= _LARGEST else float(value)
        series.setdefault(str(key), []).append(Point(int(step), number))
    return LoggedRun(
        label(name, run),
        values,
        {key: by_step(points) for key, points in series.items()},
        _STATUS.get(status, "interrupted"),
    )


def _deleted(count: int) -> tuple[str, ...]:
    return (f"left out: {plural(count, 'deleted run')}",) if count else ()


def _experiments(path: Path) -> dict[str, Path]:
    """Name -> folder of the experiments in a folder `mlruns` that are not deleted."""
    found = {}
    for meta in sorted(path.glob("*/meta.yaml")):
        own = read_config(meta)
        if "experiment_id" in own and "run_id" not in own and own.get("lifecycle_stage", "active") == "active":
            found[str(own.get("name", meta.parent.name))] = meta.parent
    return found


def _from_folder(path: Path, experiment: str | None) -> LoggedRuns:
    folders = _experiments(path)
    if not folders:
        raise UserError(f"{path} is no store of MLflow", "name mlflow.db, or the folder mlruns")
    held = {name: _run_folders(folder) for name, folder in folders.items()}
    names = {name: len(found) for name, own in held.items() if (found := [run for run in own if run.active])}
    title = chosen(names, experiment, "experiment", path)
    active = sorted((run for run in held[title] if run.active), key=lambda run: (run.started, run.folder.name))
    runs = tuple(LoggedRun(label(run.name, run.folder.name), *_files_of(run.folder), run.status) for run in active)
    return LoggedRuns(title, runs, _deleted(len(held[title]) - len(active)))


@dataclass(frozen=True)
class _RunFolder:
    """A run in a folder `mlruns`, as its meta.yaml describes it."""

    folder: Path
    name: str
    status: Status
    active: bool
    started: int


def _run_folders(experiment: Path) -> list[_RunFolder]:
    found = []
    for meta in experiment.glob("*/meta.yaml"):
        own = read_config(meta)
        if "run_id" in own or "run_uuid" in own:
            status = _STATUS.get(str(own.get("status")), "interrupted")
            active = own.get("lifecycle_stage", "active") == "active"
            started = int(own.get("start_time") or 0)
            found.append(_RunFolder(meta.parent, str(own.get("run_name") or ""), status, active, started))
    return found


def _files_of(run: Path) -> tuple[dict[str, str], Series]:
    values = {name: canonical(text_of(path)) for name, path in _named(run / "params")}
    commit = run / "tags" / _COMMIT
    if commit.is_file():
        values["git.commit"] = text_of(commit).strip()[:COMMIT]
    return values, {name: by_step(_points(path)) for name, path in _named(run / "metrics")}


def _named(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name -> file; a name with a slash is a file in a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def _points(path: Path) -> list[Point]:
    lines = text_of(path).split("\n")
    found = []
    for number, line in enumerate(lines, start=1):
        cells = line.split()
        if not cells:
            continue
        try:
            stamp, value, step = int(cells[0]), cells[1], int(cells[2]) if len(cells) > 2 else 0
            known = NOT_FINITE.get(value.lower())
            found.append((step, stamp, float(value) if known is None else known))
        except (ValueError, IndexError):
            if number == len(lines):
                break
            problem = Problem(number, 1, "this is not `timestamp value step`", "is it a metric of MLflow?")
            raise FileError(str(path), [problem], lines) from None
    return [Point(step, value) for step, _, value in sorted(found, key=lambda own: own[:2])]
