"""An import on disk: the tables of runs and of epochs, and what a report has to say of how they were made."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from ablation._util.files import replace_text, write_json
from ablation._util.strict_json import parse
from ablation.errors import UnreadableError, UserError
from ablation.results.csv_files import disarmed
from ablation.results.foreign.event_files import Point, Series
from ablation.results.foreign.logged import Declared, LoggedRun
from ablation.results.foreign.matching import Matched
from ablation.results.tables import COUNTS, LARGEST

RECORD = "import.json"
MOST_ROWS = 1000
"""Rows of one run in the table of epochs; of more, evenly spaced ones and the last are written."""
_TAKEN = frozenset(("variant", "seed", "status", "run", "folder", "device", "weights_sha256", "at_chance"))
_INDEX = frozenset(("epoch", "step", "global_step"))
_FASTER = 2
"""A metric that is logged up to more than this many times the last step of the primary one counts other steps."""


@dataclass(frozen=True)
class Source:
    """Where runs were read: the tool and its file or folder, the experiment, and the command that reads them again."""

    tool: str
    path: Path
    experiment: str
    command: str

    def identity(self, folder: Path) -> dict[str, str]:
        """As import.json keeps it, with the path as seen from there."""
        place = Path(os.path.relpath(self.path.resolve(), folder.resolve())).as_posix()
        return {"tool": self.tool, "path": place, "experiment": self.experiment}


@dataclass(frozen=True)
class Tables:
    """The files of an import."""

    runs: Path
    epochs: Path | None
    metric: str
    """The column of the primary metric."""
    notes: tuple[str, ...]


def write_tables(matched: Matched, declared: Declared, source: Source, folder: Path) -> Tables:
    """Write `runs.csv`, `epochs.csv` where metrics have a history, and `import.json` into a folder.

    Raises UserError where the folder holds something else.
    """
    _check_folder(folder, source)
    names = _metrics(matched, declared.metric)
    runs, notes = _runs_rows(matched, names), list(matched.notes)
    epochs = list(_epoch_rows(matched, names, notes))
    folder.mkdir(parents=True, exist_ok=True)
    text = _csv(runs)
    record = source.identity(folder) | {
        "command": source.command,
        "runs_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "variants": {name: dict(zip(declared.vary, own, strict=True)) for name, own in matched.variants.items()},
        "findings": [list(astuple(finding)) for finding in matched.findings],
        "notes": notes,
    }
    replace_text(folder / "runs.csv", text)
    if len(epochs) > 1:
        replace_text(folder / "epochs.csv", _csv(epochs))
    else:
        (folder / "epochs.csv").unlink(missing_ok=True)
    write_json(folder / RECORD, record)
    written = folder / "epochs.csv" if len(epochs) > 1 else None
    return Tables(folder / "runs.csv", written, names[declared.metric], tuple(notes))


def findings_of(runs: Path) -> tuple[tuple[str, str | None, str], ...]:
    """What an import found out about a table of runs: (code of the warning, variant, message).

    Nothing where the table was not written by an import, or was changed since. Raises UnreadableError for a damaged
    import.json.
    """
    path = runs.parent / RECORD
    if not path.is_file() or not runs.is_file():
        return ()
    hint = "run the import again"
    record = parse(path.read_bytes(), str(path), hint)
    if record.get("runs_sha256") != hashlib.sha256(runs.read_bytes()).hexdigest():
        return ()
    try:
        return tuple((str(c), None if v is None else str(v), str(m)) for c, v, m in record["findings"])
    except (KeyError, TypeError, ValueError):
        raise UnreadableError(f"{path} cannot be read: it has no list of findings", hint) from None


def _check_folder(folder: Path, source: Source) -> None:
    hint = "write this import elsewhere: --out FOLDER"
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file", hint)
    path = folder / RECORD
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"{folder} is not empty, and holds no import", hint)
        return
    held = parse(path.read_bytes(), str(path), "remove the folder, or write this import elsewhere: --out FOLDER")
    own = source.identity(folder)
    if {key: held.get(key) for key in own} != own:
        what = f"{held.get('tool')} {held.get('path')}, experiment {held.get('experiment')}"
        raise UserError(f"{folder} holds another import: {what}", hint)


def _metrics(matched: Matched, primary: str) -> dict[str, str]:
    """Metric -> its column in the tables, the primary one first. What the tools measure of the machine is left out."""
    every = dict.fromkeys([primary, *(name for run in matched.runs.values() for name in run.series)])
    names = [name for name in every if name == primary or not (name in _INDEX or name.startswith(("system/", "_")))]
    return {name: f"{name}_logged" if _is_taken(name, matched.runs.values()) else name for name in names}


def _is_taken(name: str, runs: Iterable[LoggedRun]) -> bool:
    """Whether tables give a column of that name another meaning than the logged values have."""
    if name in _TAKEN or name in _INDEX:
        return True
    values = [points[-1].value for run in runs if (points := run.series.get(name))]
    return name in COUNTS and any(not math.isfinite(value) or value < 0 or value != int(value) for value in values)


def _runs_rows(matched: Matched, names: Mapping[str, str]) -> list[list[str]]:
    """A row for each run; the values are the last ones that were logged, of finished runs only."""
    primary = next(iter(names))
    rows = [["variant", "seed", *names.values(), "status", "run"]]
    for (variant, seed), run in matched.runs.items():
        done = run.status == "finished"
        cells = [_cell(points[-1].value) if done and (points := run.series.get(name)) else "" for name in names]
        status = "" if done and primary not in run.series else _status(run, primary)
        rows.append([variant, str(seed), *cells, status, run.name])
    return rows


def _status(run: LoggedRun, primary: str) -> str:
    return "diverged" if run.status == "finished" and not _finite(run.series[primary][-1].value) else run.status


def _finite(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= LARGEST


def _cell(value: float) -> str:
    return repr(value) if _finite(value) else "nan" if math.isnan(value) else repr(math.copysign(math.inf, value))


def _epoch_rows(matched: Matched, names: Mapping[str, str], notes: list[str]) -> Iterator[list[str]]:
    """A row for each time that a run logged the primary metric: a number from 1, its step, the values up to there."""
    primary = next(iter(names))
    if all(len(run.series.get(primary, ())) < 2 for run in matched.runs.values()):
        return
    faster = [name for name in names if _counts_other_steps(name, primary, matched.runs.values())]
    if faster:
        notes.append(f"without a curve, as their steps are not those of {primary}: {', '.join(faster)}")
    shown = {name: column for name, column in names.items() if name not in faster}
    yield ["variant", "seed", "epoch", "step", *shown.values()]
    longest = 0
    for (variant, seed), run in matched.runs.items():
        points = run.series.get(primary, ())
        longest = max(longest, len(points))
        for place in _spaced(len(points)):
            earlier = points[place - 1].step if place else None
            step = points[place].step
            cells = [_between(run.series, name, earlier, step) for name in shown]
            yield [variant, str(seed), str(place + 1), str(step), *cells]
    if longest > MOST_ROWS:
        notes.append(f"epochs.csv has at most {MOST_ROWS:,} of up to {longest:,} values of {primary} of each run")


def _counts_other_steps(name: str, primary: str, runs: Iterable[LoggedRun]) -> bool:
    return any(
        run.series[name][-1].step > _FASTER * max(run.series[primary][-1].step, 1)
        for run in runs
        if run.series.get(name) and len(run.series[name]) > 1 and run.series.get(primary)
    )


def _spaced(count: int) -> Sequence[int]:
    if count <= MOST_ROWS:
        return range(count)
    stride = -(-count // (MOST_ROWS - 1))
    return [*range(0, count - 1, stride), count - 1]


def _between(series: Series, name: str, earlier: int | None, step: int) -> str:
    """The last value of a metric after one step and up to another; empty where there is none."""
    points: Sequence[Point] = series.get(name, ())
    place = bisect_right(points, step, key=lambda point: point.step)
    if not place or (earlier is not None and points[place - 1].step <= earlier):
        return ""
    return _cell(points[place - 1].value)


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    for number, row in enumerate(rows):
        texts = (cell if number and _is_number(cell) else disarmed(cell) for cell in row)
        writer.writerow(texts)
    return file.getvalue()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
