"""Results from elsewhere: a tidy table of runs -> Results, so that other people's training code gets the same analysis.

The table is a CSV file with the columns `variant` and `seed` and one column for each metric, a row for each run. An
empty cell is a run that is missing, `nan` or `inf` one that diverged. A second table may hold a row for each epoch.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ablation.errors import FileError, Problem, UserError
from ablation.manifest import Arm, Manifest
from ablation.registry import nearest, suggestion
from ablation.results import EPOCH_COLUMNS, RUN_COLUMNS, Results

KEYS = ("variant", "seed")


def read_results(
    runs: Path, baseline: str, *, epochs: Path | None = None, metric: str | None = None, alpha: float = 0.05
) -> Results:
    """The results in a table of runs, compared with the variant `baseline`.

    `metric` is the primary one (default: the first column that is neither variant nor seed). Columns named after a loss
    or an error are better lower. Accuracies above 1 are read as per cent. Raises FileError with every fault of a table,
    UserError for an unknown baseline or metric.
    """
    rows, metrics = _read(runs, KEYS)
    if metric is not None and metric not in metrics:
        raise UserError(f"{runs} has no column {metric!r}", suggestion(metric, metrics))
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    if baseline not in variants:
        raise UserError(f"{runs} has no variant {baseline!r}", suggestion(baseline, variants))
    variants.sort(key=lambda name: name != baseline)
    seeds = tuple(sorted({row["seed"] for row in rows}))
    chosen = metric or metrics[0]
    lower = any(word in chosen.lower() for word in ("loss", "error"))
    table = _runs_table(rows, variants, seeds, chosen)
    manifest = _manifest(runs, variants, seeds, chosen, "lower" if lower else "higher", alpha)
    history = _epochs_table(epochs, variants, seeds) if epochs else pd.DataFrame(columns=list(EPOCH_COLUMNS))
    return Results(manifest, _as_fractions(table), _as_fractions(history), {}, {})


def _read(path: Path, keys: tuple[str, ...]) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of a table with their values as numbers, and the names of its metric columns."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        nearby = [str(other) for other in sorted(path.parent.glob("*.csv"))]
        close = nearest(str(path), nearby)
        hint = f"did you mean {close}?" if close else "write a CSV file with the columns variant, seed and a metric"
        raise UserError(f"no table at {path}", hint) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start})", "save it as CSV in UTF-8") from None
    lines = text.splitlines()
    reader = csv.DictReader(lines)
    header = [name.strip() for name in reader.fieldnames or ()]
    _check_header(path, header, keys, lines)
    reader.fieldnames = header
    problems: list[Problem] = []
    rows = [_row(record, reader.line_num, keys, problems) for record in reader]
    if not rows:
        problems.append(Problem(1, 1, "the table has no rows", "write a row for each run"))
    problems += _duplicates(rows, keys)
    if problems:
        raise FileError(str(path), problems, lines)
    return rows, [name for name in header if name not in keys]


def _check_header(path: Path, header: list[str], keys: tuple[str, ...], lines: list[str]) -> None:
    problems = []
    for key in keys:
        if key not in header:
            close = nearest(key, header)
            hint = f"rename {close!r} to {key!r}" if close else f"the columns are: {', '.join(header) or 'none'}"
            problems.append(Problem(1, 1, f"the table has no column {key!r}", hint))
    twice = sorted({name for name in header if header.count(name) > 1})
    problems += [Problem(1, 1, f"the column {name!r} stands twice", "rename one of them") for name in twice]
    if not problems and set(header) <= set(keys):
        problems.append(Problem(1, 1, "the table has no metric", "add a column such as val_accuracy"))
    if problems:
        raise FileError(str(path), problems, lines)


def _row(record: Mapping[Any, Any], line: int, keys: tuple[str, ...], problems: list[Problem]) -> dict[str, Any]:
    """One row with numbers for text; `line` and every fault noted."""
    row: dict[str, Any] = {"line": line}
    if None in record or None in record.values():
        problems.append(Problem(line, 1, "this row has not as many cells as the header", "quote cells with commas"))
        return row
    for name, text in record.items():
        try:
            row[name] = _value(name, text.strip(), keys)
        except ValueError as error:
            problems.append(Problem(line, 1, f"{name} is {text.strip()!r}; it must be {error}"))
    return row


def _value(name: str, cell: str, keys: tuple[str, ...]) -> str | int | float:
    """What a cell holds: "" for an empty one. Raises ValueError that says what it should hold."""
    if name == "variant":
        if cell:
            return cell
        raise ValueError("the name of a variant")
    if name in keys:
        if cell.removeprefix("-").isdigit():
            return int(cell)
        raise ValueError("a whole number")
    try:
        return float(cell.removesuffix("%")) if cell else ""
    except ValueError:
        raise ValueError("a number, or empty where it is missing") from None


def _duplicates(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> Iterable[Problem]:
    seen: dict[tuple[Any, ...], int] = {}
    for row in rows:
        key = tuple(row.get(name) for name in keys)
        if key in seen and None not in key:
            what = ", ".join(f"{name} {value}" for name, value in zip(keys, key, strict=True))
            hint = f"keep one of them; the first stands in line {seen[key]}"
            yield Problem(row["line"], 1, f"{what} stands twice", hint)
        seen.setdefault(key, row["line"])


def _runs_table(rows: list[dict[str, Any]], variants: list[str], seeds: tuple[int, ...], metric: str) -> pd.DataFrame:
    """A row for every variant and seed, with its status told from the primary metric."""
    known = {(row["variant"], row["seed"]): row for row in rows}
    table = []
    for variant in variants:
        for seed in seeds:
            row = known.get((variant, seed), {})
            value = row.get(metric, "")
            missing, diverged = value == "", isinstance(value, float) and not math.isfinite(value)
            status = "missing" if missing else "diverged" if diverged else "finished"
            metrics = {k: v if isinstance(v, float) and math.isfinite(v) else math.nan for k, v in row.items()}
            table.append(metrics | {"variant": variant, "seed": seed, "status": status, "folder": ""})
    frame = pd.DataFrame(table).drop(columns=["line"], errors="ignore")
    missing_columns = [name for name in RUN_COLUMNS if name not in frame]
    return frame.assign(**dict.fromkeys(missing_columns, math.nan))


def _epochs_table(path: Path, variants: list[str], seeds: tuple[int, ...]) -> pd.DataFrame:
    """The rows of a table of epochs, checked against the runs."""
    rows, _ = _read(path, (*KEYS, "epoch"))
    problems = [
        Problem(row["line"], 1, f"{row['variant']!r}, seed {row['seed']}, is not in the table of runs", "add it there")
        for row in rows
        if row["variant"] not in variants or row["seed"] not in seeds
    ]
    if problems:
        raise FileError(str(path), problems, path.read_text(encoding="utf-8-sig").splitlines())
    frame = pd.DataFrame(rows).drop(columns=["line"]).replace("", math.nan)
    return frame.assign(**dict.fromkeys([name for name in EPOCH_COLUMNS if name not in frame], math.nan))


def _as_fractions(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracies as fractions of 1, where they are given in per cent."""
    for name in table.columns:
        if "acc" in str(name).lower() and pd.to_numeric(table[name], errors="coerce").max() > 1:
            table[name] = table[name] / 100
    return table


def _manifest(
    path: Path, variants: list[str], seeds: tuple[int, ...], metric: str, direction: str, alpha: float
) -> Manifest:
    """What the report needs to know of a study that was not run here: its arms have no recipe."""
    arms = [Arm(name, "vary" if index else "baseline", {}, {}) for index, name in enumerate(variants)]
    return Manifest(
        name=path.stem,
        title=path.stem,
        question="",
        arms=tuple(arms),
        seeds=seeds,
        folders={},
        source="",
        overrides=(),
        smoke=False,
        command=f"ablate report --from {path} --baseline {variants[0]}",
        analysis={"metric": metric, "metric_stated": True, "direction": direction, "margin": None, "alpha": alpha},
    )
