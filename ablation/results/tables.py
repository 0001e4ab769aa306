"""Results from elsewhere: a tidy table of runs -> Results, so that other people's training code gets the same analysis.

The table is a CSV file with the columns `variant` and `seed` and one column for each metric, a row for each run. An
empty cell is a run that is missing, `nan` or `inf` one that diverged. A second table may hold a row for each epoch.
docs/results-from-elsewhere.md has the rules.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from ablation.errors import Problem, UserError
from ablation.registry import metric_names
from ablation.registry.catalog import suggestion
from ablation.registry.metric_names import Unit
from ablation.registry.metrics import Direction, Metric
from ablation.results.csv_files import Numbers, TextTable, number_hint, numbers, read_table
from ablation.results.runs import EPOCH_COLUMNS, RUN_COLUMNS, Results
from ablation.storage.manifest import Manifest, StoredVariant

KEYS = ("variant", "seed")
STATES = ("finished", "diverged", "crashed", "interrupted", "missing")
LARGEST = 1e100
"""Values beyond this would overflow when they are squared and summed."""
MOST_RUNS = 1_000_000
LONGEST_NAME = 200
COUNTS = (
    "epochs",
    "selected_epoch",
    "best_epoch",
    "parameters",
    "trainable_parameters",
    "macs",
    "train_images",
    "val_images",
    "resumed",
    "threads",
)
"""Columns that the report reads as whole numbers, in tables of its own as in those from elsewhere."""
_ABOUT_RUNS = (*COUNTS, "at_chance", "train_seconds", "images_per_second", "peak_memory_mb")
"""Columns of our own runs.csv that say something of a run, but are not what it was trained for."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(?:\.0*)?")


@dataclass(frozen=True)
class _Scale:
    """What a column of a metric is in, and what its numbers are divided by to be stored."""

    unit: Literal["share", "raw"]
    divisor: float = 1.0


_RAW, _SHARE, _PERCENT = _Scale("raw"), _Scale("share"), _Scale("share", 100.0)


def read_results(
    runs: Path,
    baseline: str,
    *,
    epochs: Path | None = None,
    metric: str | None = None,
    direction: Direction | None = None,
    unit: Unit | None = None,
    title: str = "",
    alpha: float = 0.05,
    command: str = "",
) -> Results:
    """The results in a table of runs, compared with the variant `baseline`.

    `metric` is the primary one (default: the first column of numbers that is one). `direction` says which way is
    better, `unit` how its values are written; where they are not given, its name has to say so. `command` is what
    writes the report again. Shares are stored as fractions of 1. Raises FileError with every fault of a table,
    UserError for an unknown baseline or metric, and where direction or unit cannot be known.
    """
    table = read_table(runs, KEYS)
    problems: list[Problem] = []
    keys = _keys(table, problems)
    chosen, columns = _columns(table, metric, problems)
    _refuse(table, problems)
    variants = list(dict.fromkeys(keys["variant"]))
    if baseline not in variants:
        raise UserError(f"{runs} has no variant {baseline!r}", suggestion(baseline, variants))
    variants.sort(key=lambda name: name != baseline)
    better = direction or _direction_of(chosen, runs)
    scales = {name: _lenient(name, column.values) for name, column in columns.items()}
    scales[chosen] = _scale_of(table, chosen, columns[chosen], unit, problems)
    _refuse(table, problems)
    seeds = tuple(sorted(set(keys["seed"])))
    if len(variants) * len(seeds) > MOST_RUNS:
        what = f"{runs}: {len(variants):,} variants and {len(seeds):,} different seeds"
        raise UserError(what, "give the variants the seeds of the baseline: only runs of the same seed are compared")
    frame = _runs_table(table, keys, columns, scales, chosen, (variants, seeds))
    history = _epochs_table(epochs, keys, (chosen, scales[chosen])) if epochs else (_no_epochs(), {})
    metrics = {name: _metric(name, scale) for name, scale in (*history[1].items(), *scales.items())}
    analysis = {"metric": chosen, "metric_stated": True, "direction": better}
    manifest = _manifest(title or runs.stem, variants, seeds, analysis | {"margin": None, "alpha": alpha}, command)
    return Results(manifest, frame, history[0], {}, {}, metrics=metrics)


def _refuse(table: TextTable, problems: Sequence[Problem]) -> None:
    if problems:
        raise table.error(problems)


def _keys(table: TextTable, problems: list[Problem], keys: Sequence[str] = KEYS) -> dict[str, list[Any]]:
    """The columns that say which run, and in a table of epochs which epoch, a row is of."""
    found: dict[str, list[Any]] = {"variant": table.columns["variant"]}
    for row, name in enumerate(found["variant"]):
        wrong = _wrong_name(name)
        if wrong:
            problems.append(table.problem(row, "variant", wrong))
    for key in keys[1:]:
        found[key] = cells = []
        for row, cell in enumerate(table.columns[key]):
            whole = _WHOLE.fullmatch(cell)
            cells.append(int(float(cell)) if whole and "." in cell else int(cell) if whole else 0)
            if not whole:
                problems.append(table.problem(row, key, f"{key} is {_short(cell)}; it must be a whole number"))
    if not problems:
        problems.extend(_duplicates(table, found))
    return found


def _wrong_name(name: str) -> str | None:
    if not name:
        return "variant is ''; it must be the name of a variant"
    if len(name.splitlines()) > 1:
        return f"the name {_short(name)} has a line break"
    return f"a name of {len(name):,} characters; at most {LONGEST_NAME}" if len(name) > LONGEST_NAME else None


def _short(cell: str) -> str:
    return repr(cell if len(cell) <= 60 else f"{cell[:57]}...")


def _duplicates(table: TextTable, keys: Mapping[str, Sequence[Any]]) -> Iterable[Problem]:
    seen: dict[tuple[Any, ...], int] = {}
    for row, key in enumerate(zip(*keys.values(), strict=True)):
        first = seen.setdefault(key, row)
        if first != row:
            what = ", ".join(f"{name} {value}" for name, value in zip(keys, key, strict=True))
            hint = f"keep one of them; the first is in line {table.lines[first]}"
            yield table.problem(row, "variant", f"a second row of {what}", hint)


def _columns(table: TextTable, metric: str | None, problems: list[Problem]) -> tuple[str, dict[str, Numbers]]:
    """The primary metric, and every column of numbers; text is left out."""
    found = _numeric(table, KEYS, metric, problems)
    names = [name for name in table.columns if name not in KEYS]
    if metric is not None and metric not in names:
        raise UserError(f"{table.path} has no column {metric!r}", suggestion(metric, names))
    if not found:
        raise UserError(f"no column of {table.path} holds numbers", f"it has: {', '.join(names)}")
    first = next((name for name in found if name not in _ABOUT_RUNS), next(iter(found)))
    chosen = metric or first
    if not found[chosen].found and not problems:
        problems.append(
            table.problem(None, chosen, f"the column {chosen!r} has no value", "write a number for each run")
        )
    return chosen, found


def _numeric(table: TextTable, keys: Sequence[str], wanted: str | None, problems: list[Problem]) -> dict[str, Numbers]:
    """The columns that hold numbers, most of their cells at least; what else is in these is a fault."""
    found = {}
    for name in table.columns:
        column = numbers(table, name) if name not in keys else None
        if column is None or (name != wanted and 2 * column.meant <= column.found + len(column.unread)):
            continue
        found[name] = column
        for row in column.unread:
            cell = table.columns[name][row]
            what = f"{name} is {_short(cell)}; it must be a number, or empty where it is missing"
            problems.append(table.problem(row, name, what, number_hint(table, cell)))
        for row in column.pointed:
            what = f"{name} has decimal commas, and a decimal point here"
            problems.append(table.problem(row, name, what, "write all numbers in the same way"))
        problems += _out_of_bounds(table, name, column)
    return found


def _out_of_bounds(table: TextTable, name: str, column: Numbers) -> Iterable[Problem]:
    for row, value in enumerate(column.values):
        if value is None or not math.isfinite(value):
            if value is not None and not _NOT_FINITE_CELL.search(table.columns[name][row]):
                yield table.problem(row, name, f"{name} is beyond what a computer counts to", "use a larger unit")
        elif abs(value) > LARGEST:
            yield table.problem(row, name, f"{name} is {value:g}; at most {LARGEST:g}", "use a larger unit")
        elif name in COUNTS and (value < 0 or value != round(value)):
            what = f"{name} is {value:g}; the report reads this column as a count"
            yield table.problem(row, name, what, "write a whole number, or rename the column")


_NOT_FINITE_CELL = re.compile(r"nan|inf", re.IGNORECASE)


def _direction_of(name: str, path: Path) -> Direction:
    known = metric_names.guess(name).direction
    if known is None:
        what = f"{path}: whether more or less of {name!r} is better is not clear from its name"
        raise UserError(what, "add --direction higher or --direction lower")
    return known


def _scale_of(table: TextTable, name: str, column: Numbers, unit: Unit | None, problems: list[Problem]) -> _Scale:
    """The unit of the primary metric: as stated, as its per cent signs say, or as its name and all values agree."""
    signed = [row for row, sign in enumerate(column.per_cent) if sign]
    plain = [row for row, value in enumerate(column.values) if value is not None and math.isfinite(value)]
    bare = [row for row in plain if not column.per_cent[row]]
    if signed and bare:
        few, what = (signed, "has a per cent sign") if len(signed) <= len(bare) else (bare, "has no per cent sign")
        problems += [
            table.problem(
                row,
                name,
                f"{name} {what} here, but not elsewhere" if few is signed else f"{name} {what} here",
                "write all values in the same way",
            )
            for row in few
        ]
        return _RAW
    if signed and unit == "share":
        raise UserError(f"{table.path}: the cells of {name!r} have per cent signs", "leave out --unit share")
    stated = unit or ("percent" if signed else None)
    if stated is None and not metric_names.guess(name).share:
        return _RAW
    values = [column.values[row] or 0.0 for row in plain]
    if stated is None:
        return _agreed(table, name, plain, values, problems)
    scale = {"percent": _PERCENT, "share": _SHARE, "raw": _RAW}[stated]
    if scale is not _RAW:
        top = scale.divisor
        for row, value in zip(plain, values, strict=True):
            if not 0 <= value <= top:
                kind = "percentage" if top > 1 else "fraction"
                what = f"{name} is {value:g}; as a {kind} it must be between 0 and {top:g}"
                problems.append(table.problem(row, name, what, "correct it, or leave values as they are by --unit raw"))
    return scale


def _agreed(
    table: TextTable, name: str, rows: Sequence[int], values: Sequence[float], problems: list[Problem]
) -> _Scale:
    """The unit of a share whose values all are fractions, or all percentages; anything else is a fault."""
    outside = [(row, value) for row, value in zip(rows, values, strict=True) if not 0 <= value <= 100]
    for row, value in outside:
        what = f"{name} is {value:g}; it must be between 0 and 1, or between 0 and 100 in per cent"
        problems.append(table.problem(row, name, what, "correct it, or leave values as they are by --unit raw"))
    small = [(row, value) for row, value in zip(rows, values, strict=True) if 0 < value <= 1]
    large = [(row, value) for row, value in zip(rows, values, strict=True) if 1 < value <= 100]
    if small and large and not outside:
        few, most = (small, "percentages") if len(small) < len(large) else (large, "fractions of 1")
        hint = "correct it; or say what all values are by --unit percent, or --unit raw to leave them as they are"
        for row, value in few:
            problems.append(table.problem(row, name, f"{name} is {value:.10g} among {most}", hint))
    return _PERCENT if large else _SHARE


def _lenient(name: str, values: Iterable[float | None]) -> _Scale:
    """The unit of a column that no claim rests on: one that is not clear stays as it is."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not metric_names.guess(name).share or not known or min(known) < 0 or max(known) > 100:
        return _RAW
    return _PERCENT if max(known) > 1 else _SHARE


def _metric(name: str, scale: _Scale) -> Metric:
    return replace(metric_names.guess(name), unit=scale.unit)


def _scaled(column: Numbers, scale: _Scale) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The values as they are stored; NaN for what is missing or not finite."""
    values = np.array([math.nan if value is None else value for value in column.values], dtype=np.float64)
    values[~np.isfinite(values)] = math.nan
    return values / scale.divisor


def _runs_table(
    table: TextTable,
    keys: Mapping[str, Sequence[Any]],
    columns: Mapping[str, Numbers],
    scales: Mapping[str, _Scale],
    chosen: str,
    design: tuple[Sequence[str], Sequence[int]],
) -> pd.DataFrame:
    """A row for every variant and seed, with its status: as the table has it, else as the primary metric shows it."""
    stated = [cell.lower() for cell in table.columns.get("status", ())]
    known = set(stated) <= {*STATES, ""}
    status = [
        _status(value, stated[row] if stated and known else "") for row, value in enumerate(columns[chosen].values)
    ]
    data = {name: _scaled(column, scales[name]) for name, column in columns.items()}
    index = pd.MultiIndex.from_arrays([list(keys["variant"]), list(keys["seed"])], names=list(KEYS))
    frame = pd.DataFrame(data | {"status": np.array(status, dtype=object)}, index=index)
    frame = frame.reindex(pd.MultiIndex.from_product(design, names=list(KEYS))).reset_index()
    frame["status"], frame["folder"] = frame["status"].fillna("missing"), ""
    lacking = [name for name in RUN_COLUMNS if name not in frame]
    return pd.concat([frame, pd.DataFrame(math.nan, index=frame.index, columns=lacking)], axis=1)


def _status(value: float | None, stated: str) -> str:
    if stated and stated != "finished":
        return stated
    return "missing" if value is None else "finished" if math.isfinite(value) else "diverged"


def _no_epochs() -> pd.DataFrame:
    return pd.DataFrame(columns=list(EPOCH_COLUMNS))


def _epochs_table(
    path: Path, runs: Mapping[str, Sequence[Any]], primary: tuple[str, _Scale]
) -> tuple[pd.DataFrame, dict[str, _Scale]]:
    """The rows of a table of epochs, checked against the runs, and what its columns are in."""
    names = (*KEYS, "epoch")
    table = read_table(path, names)
    problems: list[Problem] = []
    keys = _keys(table, problems, names)
    columns = _numeric(table, names, None, problems)
    known = set(zip(runs["variant"], runs["seed"], strict=True))
    if not problems:
        strange = dict.fromkeys(run for run in zip(keys["variant"], keys["seed"], strict=True) if run not in known)
        first = {run: row for row, run in reversed(list(enumerate(zip(keys["variant"], keys["seed"], strict=True))))}
        for variant, seed in strange:
            what = f"variant {variant!r}, seed {seed}, is not in the table of runs"
            problems.append(table.problem(first[variant, seed], "variant", what, "add it there, or leave it out here"))
    _refuse(table, problems)
    scales = {name: _lenient(name, column.values) for name, column in columns.items()}
    if primary[0] in scales:
        scales[primary[0]] = primary[1]
    frame = pd.DataFrame(dict(keys) | {name: _scaled(column, scales[name]) for name, column in columns.items()})
    lacking = [name for name in EPOCH_COLUMNS if name not in frame]
    frame = pd.concat([frame, pd.DataFrame(math.nan, index=frame.index, columns=lacking)], axis=1)
    return frame.sort_values("epoch", kind="stable", ignore_index=True), scales


def _manifest(
    name: str, names: Sequence[str], seeds: tuple[int, ...], analysis: Mapping[str, Any], command: str
) -> Manifest:
    """What the report needs to know of a study that was not run here: its variants have no recipe."""
    variants = [StoredVariant(variant, "vary" if index else "baseline", {}, {}) for index, variant in enumerate(names)]
    return Manifest(
        name=name,
        title=name,
        question="",
        variants=tuple(variants),
        seeds=seeds,
        folders={},
        source="",
        overrides=(),
        smoke=False,
        command=command,
        analysis=analysis,
    )
