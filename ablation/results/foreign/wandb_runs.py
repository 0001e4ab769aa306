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
from pathlib import Path
from typing import Any

import ablation.results.foreign.wire as wire
from ablation._util.sanitize import read_file
from ablation.errors import UserError
from ablation.results.foreign.csv_runs import read_csv
from ablation.results.foreign.logged import Declared, LoggedRun, LoggedRuns, Status, chosen, parameters, read_config
from ablation.results.foreign.metric_files import flat, series_of

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
    read = [_run(folder) for folder in folders]
    names: dict[str, int] = {}
    for project, _ in read:
        names[project] = names.get(project, 0) + 1
    title = chosen(names, declared.experiment, "project", path)
    return LoggedRuns(title, tuple(run for project, run in read if project == title))


def _folders(path: Path) -> list[Path]:
    """The run folders, the earliest first: their names begin with the time. `latest-run` is a link to one of them."""
    if path.is_file():
        return [path.parent]
    places = [path, path / "wandb"]
    found = [own for place in places for own in place.glob("*run-*") if own.is_dir() and not own.is_symlink()]
    own = [path] if list(path.glob("run-*.wandb")) or (path / "files" / "config.yaml").is_file() else []
    return sorted(own or found, key=lambda folder: folder.name.partition("run-")[2])


def _run(folder: Path) -> tuple[str, LoggedRun]:
    """The project of a run, and the run: from its log, or else from `config.yaml` and `wandb-summary.json`."""
    log = next(iter(sorted(folder.glob("run-*.wandb"))), None)
    if log is not None:
        return _logged(log)
    config, summary = (folder / "files" / name for name in ("config.yaml", "wandb-summary.json"))
    if not summary.is_file() or not config.is_file():
        raise UserError(f"{folder} has neither a log (run-*.wandb) nor config.yaml and wandb-summary.json", _EXPORT)
    held = {name: own["value"] for name, own in read_config(config).items() if isinstance(own, dict) and "value" in own}
    metrics = series_of([_visible(read_config(summary))])
    return folder.parent.name, LoggedRun(folder.name, parameters(_public(held)), metrics)


def _public(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if not name.startswith("_wandb")}


def _visible(row: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics of a row and its step, without what wandb adds of its own (`_runtime`, `_timestamp`)."""
    return {name: value for name, value in flat(row) if not name.startswith("_") or name == "_step"}


def _logged(path: Path) -> tuple[str, LoggedRun]:
    """`Record`: history = 2, summary = 3, config = 5, run = 17, exit = 18."""
    config: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    project, name, status, commit = "", path.stem.removeprefix("run-"), "interrupted", ""
    for offset, record in _records(path):
        try:
            for number, _, value in wire.fields(record):
                if not isinstance(value, bytes):
                    continue
                if number == 2:
                    rows.append(_history(value))
                elif number == 3:
                    summary |= _items(value, 1)
                elif number == 5:
                    config |= _items(value, 1)
                elif number == 17:
                    project, commit = wire.text(value, 3) or project, _commit(value) or commit
                    for own in wire.parts(value, 4):
                        config |= _items(own, 1)
                elif number == 18:
                    status = "crashed" if wire.whole(value, 1) else "finished"
        except (wire.WireError, ValueError) as error:
            raise _damaged(path, offset, str(error)) from None
    values = parameters(_nested(_public(config))) | ({"git.commit": commit} if commit else {})
    series = series_of([_visible(row) for row in rows])
    once = series_of([_visible(_nested(summary))])
    series |= {metric: points for metric, points in once.items() if metric not in series}
    return project or path.parent.parent.name, LoggedRun(name, values, series, _STATUS[status])


_STATUS: Mapping[str, Status] = {"finished": "finished", "crashed": "crashed", "interrupted": "interrupted"}


def _commit(run: bytes) -> str:
    """`RunRecord`: git = 21 {commit = 2}."""
    return wire.text(b"".join(wire.parts(run, 21)), 2)


def _history(message: bytes) -> dict[str, Any]:
    """`HistoryRecord`: item = 1, step = 2 {num = 1}."""
    row = _items(message, 1)
    steps = wire.parts(message, 2)
    return _nested(row | ({"_step": wire.whole(steps[-1], 1)} if steps and "_step" not in row else {}))


def _items(message: bytes, number: int) -> dict[str, Any]:
    """Items of history, summary or configuration: key = 1, nested_key = 2, value_json = 16."""
    found = {}
    for item in wire.parts(message, number):
        nested = [own.decode("utf-8", "replace") for own in wire.parts(item, 2)]
        key = ".".join(nested) or wire.text(item, 1)
        found[key] = json.loads(wire.text(item, 16) or "null")
    return found


def _nested(items: Mapping[str, Any]) -> dict[str, Any]:
    return dict(flat(items))


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
