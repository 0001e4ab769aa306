"""Readers of the metrics that training code writes for itself, one for each format.

Each takes a path and returns `Series`: metric -> its (step, value) points in the order of steps. Raises UserError for
a file that cannot be read, with the line or the byte. A metric that became NaN or infinite keeps that value. What is
cut off at the end of a file, as of a run that was killed, is left out; anything else that is damaged is an error.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablation._util.formatting import plural
from ablation._util.nested import leaves
from ablation._util.sanitize import read_file
from ablation.errors import FileError, Problem, UserError
from ablation.results.foreign.event_files import Point, Series, by_step, event_files, read_events

__all__ = [
    "MetricFile", "Point", "Series", "find_metrics", "json_lines", "lightning_csv", "printed", "tensorboard",
    "trainer_state",
]  # fmt: skip

_MOST_BYTES = 2**30
_INDEX = ("step", "global_step", "_step", "iteration", "epoch")
"""Keys that say where a row is, the finest first. The first of them that a row has is its step; others are metrics."""
NOT_FINITE = {"nan": math.nan, "infinity": math.inf, "-infinity": -math.inf, "inf": math.inf, "-inf": -math.inf}
"""How numbers that JSON does not have are written as text."""


def json_lines(path: Path) -> Series:
    """One JSON object a line: its numbers are metrics, `step` or else `epoch` is the step, or the number of the row.

    Objects inside are flattened: `{"val": {"loss": 1}}` has the metric `val.loss`. Text, lists, true, false and null
    are no metrics. The format is that of jsonlines.org; NaN and Infinity are read as Python writes them.
    """
    rows = []
    lines = text_of(path).split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                break
            column = error.colno if isinstance(error, json.JSONDecodeError) else 1
            raise _at(path, lines, number, column, f"this is not JSON: {error}", "write one object a line") from None
        if not isinstance(row, dict):
            raise _at(path, lines, number, 1, "this is not a JSON object", 'write {"step": 1, "loss": 0.5}')
        rows.append(dict(leaves(row)))
    return series_of(rows)


def trainer_state(path: Path) -> Series:
    """`trainer_state.json` of the Hugging Face `Trainer`: `log_history` is a list of objects with `step` and `epoch`.

    Source: `TrainerState` in transformers/trainer_callback.py. `path` is the file or a folder of checkpoints; of
    several, the one with the last step counts, as each holds the whole history.
    """
    files = sorted(path.glob("**/trainer_state.json")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"no trainer_state.json in {path}", "name the output_dir of the Trainer")
    states = [_trainer_rows(file) for file in files]
    return series_of(max(states, key=lambda rows: max((row.get("step") or 0 for row in rows), default=0)))


def _trainer_rows(path: Path) -> list[dict[str, Any]]:
    try:
        history = json.loads(text_of(path))["log_history"]
        return [dict(leaves(row)) for row in history]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        what = "it has no log_history" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{path} is no state of a Trainer: {what}", "write it again by Trainer.save_state()") from None


def lightning_csv(path: Path) -> Series:
    """`metrics.csv` of Lightning's CSVLogger: a column for each metric, `step` and `epoch`; empty where not logged.

    Source: lightning/fabric/loggers/csv_logs.py. Any CSV file with a header is read in the same way; text is skipped.
    """
    text = text_of(path)
    lines = text.split("\n")
    reader = csv.reader(io.StringIO(text, newline=""))
    rows: list[dict[str, Any]] = []
    try:
        header = next(reader, [])
        if not any(header):
            raise UserError(f"{path} is empty", "the first row names the columns")
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                if reader.line_num >= len(lines):
                    break
                what = f"{plural(len(cells), 'cell')} in this row, {len(header)} in the header"
                raise _at(path, lines, reader.line_num, 1, what, "write a cell for each column")
            rows.append({name: _cell(cell) for name, cell in zip(header, cells, strict=True)})
    except csv.Error as error:
        raise _at(path, lines, reader.line_num, 1, f"this is not CSV: {error}", None) from None
    return series_of(rows)


def _cell(cell: str) -> object:
    try:
        return float(cell)
    except ValueError:
        return None


def tensorboard(path: Path) -> Series:
    """The scalars in a TensorBoard event file, or in those of one folder; see `event_files` for the format."""
    if path.is_dir() and not event_files(path):
        raise UserError(f"no event files in {path}", "name the log_dir of the SummaryWriter")
    return read_events(path).series


_PART = r"(?:train(?:ing)?|val(?:id(?:ation)?)?|test|dev|eval) "
_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?|nan|inf(?:inity)?)"
_SIGN = r"(?:\s?=\s*|\s?:\s+|:(?=[+-]?(?:[0-9]*\.|nan|inf)))"
"""A colon needs white space after it, or a number with a point: `cuda:0` is no metric."""
_PAIR = re.compile(rf"(?<![\w./-])((?:{_PART})?[A-Za-z_][\w./@-]*){_SIGN}({_NUMBER})(?![\w.:-])", re.IGNORECASE)
_STEP = re.compile(r"\b(?:global_?step|step|iter(?:ation)?)\W{1,3}([0-9]+)", re.IGNORECASE)
_EPOCH = re.compile(r"\bepoch\W{1,3}([0-9]+)", re.IGNORECASE)


def printed(text: str, names: Iterable[str] = ()) -> Series:
    """`key: value` and `key=value` in the lines of standard output, anywhere in a line.

    For the metrics in `names` also `name value`, in lines without such a pair of that name. A key is one word, or two
    where the first is a part of the data: `Val accuracy: 0.9` is `Val_accuracy`. The step is the one that the line or
    the last one before it names (`step 100`, `Epoch 3/10`), else each metric counts for itself, from 1. `key: value`
    lines are Guild AI's convention for scalars in the output.
    """
    found: Series = {}
    index: int | None = None
    expected = {name: re.compile(rf"(?<![\w./-]){re.escape(name)}\s+({_NUMBER})(?![\w.:-])") for name in names}
    for line in re.split(r"[\r\n]+", text):
        named = _STEP.search(line) or _EPOCH.search(line)
        index = int(named[1]) if named else index
        pairs = [(key.replace(" ", "_"), value) for key, value in _PAIR.findall(line) if key.lower() not in _INDEX]
        known = {key for key, _ in pairs}
        for name, pattern in expected.items():
            pairs += [(name, value) for value in pattern.findall(line) if name not in known]
        for key, value in pairs:
            points = found.setdefault(key, [])
            points.append(Point(index if index is not None else len(points) + 1, float(value)))
    return {name: by_step(points) for name, points in found.items()}


@dataclass(frozen=True)
class MetricFile:
    """The metrics of a run, and where they were found."""

    kind: str
    """`json lines`, `trainer_state.json`, `metrics.csv` or `TensorBoard`."""
    path: Path
    series: Series


def find_metrics(folder: Path) -> MetricFile | None:
    """The first of `metric_files`; None where there is none."""
    return next(metric_files(folder), None)


def metric_files(folder: Path, without: str = "") -> Iterator[MetricFile]:
    """The metric files in the folder of a run or below it, one of each kind, in the order of `MetricFile`.

    Those of the kind `without` are left out.

    Of several files of a kind, the last written one counts. Each is read when its turn comes: what is damaged and
    never reached is no error.
    """
    for kind, pattern, read in (own for own in _KINDS if own[0] != without):
        files = [path for path in folder.glob(pattern) if path.is_file()]
        if kind == "TensorBoard":
            files = list(dict.fromkeys(path.parent for path in files))
        if files:
            latest = max(files, key=lambda path: (path.stat().st_mtime_ns, str(path)))
            yield MetricFile(kind, latest, read(latest))


_KINDS: tuple[tuple[str, str, Callable[[Path], Series]], ...] = (
    ("json lines", "**/*.jsonl", json_lines),
    ("trainer_state.json", "**/trainer_state.json", trainer_state),
    ("metrics.csv", "**/metrics.csv", lightning_csv),
    ("TensorBoard", "**/events.out.tfevents.*", tensorboard),
)


def number(value: object) -> float | None:
    """A logged value as a number; None where it is none. True and false are none."""
    if isinstance(value, str):
        return NOT_FINITE.get(value.strip().lower())
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def series_of(rows: Iterable[Mapping[str, Any]]) -> Series:
    """Rows of named values -> series. A row without a step gets its number, from 1."""
    found: Series = {}
    for place, row in enumerate(rows, start=1):
        step, metrics = numbers_of(row)
        for name, value in metrics.items():
            found.setdefault(name, []).append(Point(place if step is None else step, value))
    return {name: by_step(points) for name, points in found.items()}


def numbers_of(row: Mapping[str, Any]) -> tuple[int | None, dict[str, float]]:
    """The step of a row, None where it names none, and its numbers."""
    key = next((name for name in _INDEX if _whole(row.get(name)) is not None), None)
    found = {name: own for name, value in row.items() if name != key and (own := number(value)) is not None}
    return None if key is None else _whole(row[key]), found


def _whole(value: object) -> int | None:
    own = number(value)
    return int(own) if own is not None and math.isfinite(own) and own == int(own) else None


def text_of(path: Path) -> str:
    """A text file. Raises UserError where it is too large, or not in UTF-8."""
    try:
        return read_file(path, _MOST_BYTES).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start})", "is it the right file?") from None


def _at(path: Path, lines: list[str], line: int, column: int, message: str, hint: str | None) -> FileError:
    return FileError(str(path), [Problem(line, column, message, hint)], lines)
