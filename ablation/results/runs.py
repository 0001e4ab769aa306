"""Run records -> tidy tables: `runs`, a row for each (variant, seed), and `epochs`, a row for each of its epochs."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
import pandas as pd

from ablation.errors import UnreadableError
from ablation.registry import metric_names
from ablation.registry.metrics import METRICS, OF_EPOCHS, Metric, known
from ablation.storage.audit_file import Audit, read_audit
from ablation.storage.manifest import Manifest
from ablation.storage.metric_values import read_values
from ablation.storage.record import EpochRow, RunRecord
from ablation.storage.store import Failure, Store
from ablation.storage.stored_run import StoredRun, read_run
from ablation.storage.test_set_log import Outcome, read_log
from ablation.study.tasks import RESERVED_METRICS, MetricOptions, check_units

RUN_COLUMNS = (
    "variant",
    "seed",
    "status",
    "epochs",
    "selected_epoch",
    "val_accuracy",
    "val_loss",
    "train_accuracy",
    "train_loss",
    "test_accuracy",
    "test_loss",
    "best_epoch",
    "parameters",
    "trainable_parameters",
    "macs",
    "train_images",
    "val_images",
    "train_seconds",
    "images_per_second",
    "peak_memory_mb",
    "resumed",
    "device",
    "threads",
    "weights_sha256",
    "folder",
)
Column = np.ndarray[tuple[Any, ...], np.dtype[Any]]
EPOCH_COLUMNS = (
    "variant",
    "seed",
    *(own for name in EpochRow.__dataclass_fields__ for own in (OF_EPOCHS if name == "metrics" else (name,))),
)
_FROM_RECORD = (
    "status",
    "selected_epoch",
    "best_epoch",
    "parameters",
    "trainable_parameters",
    "macs",
    "train_images",
    "val_images",
    "train_seconds",
    "resumed",
    "weights_sha256",
)
_OF_A_RUN = ("parameters", "trainable_parameters", "macs", "train_images", "val_images")
"""Reserved names under which the code of a function or a command may say what its run has."""
TIMINGS = (
    "seconds",
    "eval_seconds",
    "train_seconds",
    "images_per_second",
    "peak_memory_mb",
    "resumed",
)
"""Columns that may differ between two trainings of the same run; every other column is the same to the bit."""


@dataclass(frozen=True)
class Results:
    """What a study has measured so far.

    `runs.status` is finished, diverged, crashed (the program failed), damaged (its files cannot be trusted),
    interrupted (some epochs are there) or missing. Metrics of a run are those of its selected epoch, NaN where there is
    none. Accuracies are fractions of 1. Those on the test part are NaN until the study has evaluated the run on it;
    `test_evaluations` says when it did (`storage.test_set_log`), and `tested` for which run folders this can be relied
    on. `failures` say why runs crashed or are damaged, `notices` what else is wrong with the stored files.
    """

    manifest: Manifest
    runs: pd.DataFrame
    epochs: pd.DataFrame
    records: dict[tuple[str, int], RunRecord]
    failures: dict[tuple[str, int], Failure]
    test_evaluations: tuple[Mapping[str, Any], ...] = ()
    tested: frozenset[str] = frozenset()
    notices: tuple[str, ...] = ()
    metrics: Mapping[str, Metric] = field(default_factory=lambda: METRICS)
    """Column -> what is known of the metric in it."""
    audit: Audit | None = None
    """What an audit saw of the code that the study was run with; None where there was none."""
    findings: tuple[tuple[str, str | None, str], ...] = ()
    """What the import of results from elsewhere found: the code of a warning, its variant, what it says."""

    def metric(self, column: str) -> Metric:
        """The metric in a column; of one that is not known, what its name says."""
        return self.metrics.get(column) or metric_names.guess(column)

    @property
    def complete(self) -> bool:
        return bool(self.runs["status"].isin(["finished", "diverged"]).all())


def load_results(store: Store, manifest: Manifest) -> Results:
    """Read every run of a study; those that are not there yet, or are damaged, are in the table as such."""
    rows: list[dict[str, object]] = []
    epochs: list[Mapping[str, Column]] = []
    records: dict[tuple[str, int], RunRecord] = {}
    failures: dict[tuple[str, int], Failure] = {}
    file = _study_file(store, manifest)
    metrics, notices = dict(METRICS) | {name: own.metric(name) for name, own in manifest.declared.items()}, list[str]()
    for variant, seed, name, identity in manifest.runs():
        run = read_run(store.run(name), identity)
        if run.record:
            records[variant.name, seed] = run.record
            check_units(run.record.metrics, manifest.declared, file)
        elif run.failure or run.reason:
            failures[variant.name, seed] = run.failure or Failure(run.reason, "", 0)
        computed = {} if manifest.task else _computed(run, manifest.metrics, metrics, notices)
        rows.append({"variant": variant.name, "seed": seed, **_run_row(run, manifest.declared), **computed})
        if run.epochs:
            epochs.append(_epoch_columns(variant.name, seed, run.epochs, manifest.declared))
    log = read_log(store, manifest, {manifest.run_folder(*run): record for run, record in records.items()})
    for row in rows:
        row |= _test_metrics(log.outcomes.get(str(row["folder"])))
    audit = _audit(store, manifest, notices)
    return Results(
        manifest,
        pd.DataFrame(rows, columns=list(dict.fromkeys((*RUN_COLUMNS, *manifest.metrics)))),
        _epoch_table(epochs),
        records,
        failures,
        log.evaluations,
        frozenset(log.outcomes),
        (*log.notices, *notices),
        metrics,
        audit,
    )


def _study_file(store: Store, manifest: Manifest) -> str:
    """The path of the study file, relative to the working folder; empty where it was not recorded."""
    return os.path.relpath(store.root.resolve() / manifest.file) if manifest.file else ""


def _audit(store: Store, manifest: Manifest, notices: list[str]) -> Audit | None:
    try:
        return read_audit(store, manifest)
    except UnreadableError as error:
        notices.append(error.message)
        return None


def _computed(
    run: StoredRun, names: Sequence[str], metrics: dict[str, Metric], notices: list[str]
) -> Mapping[str, float]:
    """Metrics of a run that were computed from its predictions; what custom ones declare is added to `metrics`."""
    if not names or run.record is None or run.record.status != "finished":
        return {}
    try:
        found = read_values(run.folder, run.record)
    except UnreadableError as error:
        notices.append(error.message)
        return {}
    own = {name: found[name] for name in names if name in found}
    metrics |= {name: known(name, value.direction, value.unit) for name, value in own.items()}
    return {name: value.value for name, value in own.items()}


def _epoch_columns(
    variant: str, seed: int, history: Sequence[EpochRow], declared: Mapping[str, MetricOptions]
) -> dict[str, Column]:
    """The rows of one run as arrays, which take a tenth of the memory."""
    names = np.array([variant] * len(history), dtype=object)  # np.full would make a string for each row
    run = {"variant": names, "seed": np.full(len(history), seed)}
    metrics = [_read(row.metrics, declared) if declared else row.metrics for row in history]
    logged = dict.fromkeys(name for own in metrics for name in own if name not in RESERVED_METRICS)

    def values(name: str) -> Column:
        stored = [getattr(row, name) for row in history] if name in EpochRow.__dataclass_fields__ else None
        if name in logged and name != "seconds":  # which is always the time of the epoch
            return np.array(
                [own.get(name, other) for own, other in zip(metrics, stored or repeat(math.nan), strict=False)]
            )
        return np.full(len(history), math.nan) if stored is None else np.array(stored)

    return run | {name: values(name) for name in dict.fromkeys((*EPOCH_COLUMNS[2:], *logged))}


def _read(metrics: Mapping[str, float], declared: Mapping[str, MetricOptions]) -> Mapping[str, float]:
    """Metrics as they are analysed: those that were logged in per cent as fractions of 1."""
    own = {name: value for name, value in metrics.items() if name not in RESERVED_METRICS}  # `epoch` of a Trainer
    return {name: declared[name].read(value) if name in declared else value for name, value in own.items()}


def _epoch_table(runs: Sequence[Mapping[str, Column]]) -> pd.DataFrame:
    empty = np.zeros(0, dtype=object)
    if not runs:
        return pd.DataFrame(dict.fromkeys(EPOCH_COLUMNS, empty))
    names = dict.fromkeys(name for run in runs for name in run)
    missing = {name: [run.get(name, np.full(len(run["epoch"]), math.nan)) for run in runs] for name in names}
    return pd.DataFrame({name: np.concatenate(columns) for name, columns in missing.items()})


def _test_metrics(outcome: Outcome | None) -> dict[str, object]:
    return {"test_accuracy": outcome.accuracy, "test_loss": outcome.loss} if outcome else {}


def _run_row(run: StoredRun, declared: Mapping[str, MetricOptions]) -> dict[str, object]:
    record, history = run.record, run.epochs
    row: dict[str, object] = {"folder": run.folder.path.name, "epochs": len(history), "status": run.state}
    if record is None:
        return row
    known = {key: getattr(record, key) for key in _FROM_RECORD}
    row |= {key: value for key, value in known.items() if value is not None} if record.task else known
    row |= {"device": record.environment.device, "threads": record.environment.threads}
    if history:
        row["peak_memory_mb"] = max(epoch.peak_memory_mb for epoch in history)
        seconds = sum(epoch.seconds for epoch in history)
        row["images_per_second"] = sum(e.images_per_second * e.seconds for e in history) / seconds if seconds else None
    reported = {name: record.metrics.get(name, math.nan) for name in _OF_A_RUN if row.get(name) is None}
    row |= {name: value for name, value in reported.items() if math.isfinite(value) and value >= 0}
    return {**row, **_read(record.metrics, declared)}
