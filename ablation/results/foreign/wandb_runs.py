"""Weights & Biases: offline run folders, and the table of runs that its pages export as CSV.

An offline log (`run-ID.wandb`) is a LevelDB log: a header of 7 bytes, then blocks of 32 KiB with records of checksum
(CRC-32 of type and data), length and type; joined, they are `Record` messages. Sources: wandb/sdk/internal/datastore.py
and wandb/proto/wandb_internal.proto.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ablation.results.foreign.wire as wire
from ablation._util.nested import leaves
from ablation._util.sanitize import read_file
from ablation.errors import UserError
from ablation.results.foreign.csv_runs import read_csv
from ablation.results.foreign.logged import (
    COMMIT,
    Declared,
    LoggedRun,
    LoggedRuns,
    Status,
    chosen,
    label,
    parameters,
    read_config,
)
from ablation.results.foreign.metric_files import series_of

_MOST_BYTES = 2**32
_BLOCK, _HEADER = 32768, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_EXPORT = "export the table of runs as CSV on the project's page, or log with WANDB_MODE=offline"


def read_wandb(path: Path, declared: Declared) -> LoggedRuns:
    """The runs of one project: a folder of offline runs (`wandb/`), one of these, or an exported CSV file.

    Raises UserError where there is none of these, or several projects.
    """
    if path.is_file() and path.suffix != ".wandb":
        return read_csv(path, declared)
    if not path.exists():
        raise UserError(f"nothing at {path}", f"name the folder wandb; or {_EXPORT}")
    folders = _folders(path)
    if not folders:
        raise UserError(f"{path} has no runs of Weights & Biases", _EXPORT)
    read = sorted((_run(folder) for folder in folders), key=lambda own: own.started)
    names: dict[str, int] = {}
    for own in read:
        names[own.project] = names.get(own.project, 0) + 1
    title = chosen(names, declared.experiment, "project", path)
    return LoggedRuns(title, tuple(own.run for own in read if own.project == title))


@dataclass(frozen=True)
class _Stored:
    """A run with its project, and when it started: seconds since 1970, or 0 where that is not known."""

    project: str
    started: float
    run: LoggedRun


def _folders(path: Path) -> list[Path]:
    """The run folders, the earliest first: their names begin with the time. `latest-run` is a link to one of them."""
    if path.is_file():
        return [path.parent]
    places = [path, path / "wandb"]
    found = [own for place in places for own in place.glob("*run-*") if own.is_dir() and not own.is_symlink()]
    own = [path] if list(path.glob("run-*.wandb")) or (path / "files" / "config.yaml").is_file() else []
    return sorted(own or found, key=lambda folder: folder.name.partition("run-")[2])


def _run(folder: Path) -> _Stored:
    """A run from its log, or else from its files `config.yaml` and `wandb-summary.json`."""
    log = next(iter(sorted(folder.glob("run-*.wandb"))), None)
    if log is not None:
        return _logged(log)
    config, summary = (folder / "files" / name for name in ("config.yaml", "wandb-summary.json"))
    if not summary.is_file() or not config.is_file():
        raise UserError(f"{folder} has neither a log (run-*.wandb) nor config.yaml and wandb-summary.json", _EXPORT)
    held = {name: own["value"] for name, own in read_config(config).items() if isinstance(own, dict) and "value" in own}
    metrics = series_of([_visible(read_config(summary))])
    return _Stored(folder.parent.name, 0.0, LoggedRun(folder.name, parameters(_public(held)), metrics))


def _public(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if not name.startswith("_wandb")}


def _visible(row: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics of a row and its step, without what wandb adds of its own (`_runtime`, `_timestamp`)."""
    return {name: value for name, value in leaves(row) if not name.startswith("_") or name == "_step"}


@dataclass
class _Log:
    """What the records of a log add up to."""

    config: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    project: str = ""
    name: str = ""
    commit: str = ""
    started: float = 0.0
    status: Status = "interrupted"


def _logged(path: Path) -> _Stored:
    log = _Log()
    for offset, record in _records(path):
        try:
            _add(record, log)
        except (wire.WireError, ValueError) as error:
            raise _damaged(path, offset, str(error)) from None
    values = parameters(_public(dict(leaves(log.config)))) | ({"git.commit": log.commit[:COMMIT]} if log.commit else {})
    series = series_of([_visible(row) for row in log.rows])
    once = series_of([_visible(log.summary)])
    series |= {metric: points for metric, points in once.items() if metric not in series}
    name = label(log.name, path.stem.removeprefix("run-"))
    return _Stored(log.project or path.parent.parent.name, log.started, LoggedRun(name, values, series, log.status))


def _add(record: bytes, log: _Log) -> None:
    """`Record`: history = 2, summary = 3, config = 5, run = 17, exit = 18 {exit_code = 1}."""
    for number, _, value in wire.fields(record):
        if not isinstance(value, bytes):
            continue
        if number == 2:
            log.rows.append(_history(value))
        elif number == 3:
            log.summary |= _items(value, 1)
        elif number == 5:
            log.config |= _items(value, 1)
        elif number == 17:
            _add_run(value, log)
        elif number == 18:
            log.status = "crashed" if wire.whole(value, 1) else "finished"


def _add_run(run: bytes, log: _Log) -> None:
    """`RunRecord`: project = 3, config = 4, display_name = 8, start_time = 17 {seconds = 1, nanos = 2}, git = 21
    {commit = 2}.
    """
    log.project, log.name = wire.text(run, 3) or log.project, wire.text(run, 8) or log.name
    log.commit = wire.text(b"".join(wire.parts(run, 21)), 2) or log.commit
    time = b"".join(wire.parts(run, 17)[-1:])
    log.started = wire.whole(time, 1) + wire.whole(time, 2) / 1e9 if time else log.started
    for config in wire.parts(run, 4):
        log.config |= _items(config, 1)


def _history(message: bytes) -> dict[str, Any]:
    """`HistoryRecord`: item = 1, step = 2 {num = 1}."""
    row = _items(message, 1)
    steps = wire.parts(message, 2)
    return dict(leaves(row | ({"_step": wire.whole(steps[-1], 1)} if steps and "_step" not in row else {})))


def _items(message: bytes, number: int) -> dict[str, Any]:
    """Items of history, summary or configuration: key = 1, nested_key = 2, value_json = 16."""
    found = {}
    for item in wire.parts(message, number):
        nested = [own.decode("utf-8", "replace") for own in wire.parts(item, 2)]
        key = ".".join(nested) or wire.text(item, 1)
        found[key] = json.loads(wire.text(item, 16) or "null")
    return found


def _records(path: Path) -> Iterator[tuple[int, bytes]]:
    """The complete records of a log with their places; what is cut off at the end, as of a killed run, is left out."""
    data = read_file(path, _MOST_BYTES)
    if len(data) >= _HEADER and not data.startswith(b":W&B"):
        raise UserError(f"{path} is no log of Weights & Biases", _EXPORT)
    place, joined, begun = _HEADER, b"", 0
    while place < len(data):
        left = _BLOCK - place % _BLOCK
        if left < _HEADER:
            place += left
            continue
        if place + _HEADER > len(data):
            return
        checksum, size, kind = struct.unpack_from("<IHB", data, place)
        part = data[place + _HEADER : place + _HEADER + size]
        if len(part) < size:
            return
        if kind not in (_FULL, _FIRST, _MIDDLE, _LAST) or zlib.crc32(part, zlib.crc32(bytes([kind]))) != checksum:
            if not any(data[place:]):
                return
            raise _damaged(path, place, "its checksum is wrong")
        if kind in (_FULL, _FIRST):
            joined, begun = b"", place
        joined += part
        if kind in (_FULL, _LAST):
            yield begun, joined
        place += _HEADER + size


def _damaged(path: Path, place: int, why: str) -> UserError:
    hint = f"copy it again from where it was written, or take it out of the folder; or {_EXPORT}"
    return UserError(f"{path}: the record at byte {place:,} is damaged: {why}", hint)
