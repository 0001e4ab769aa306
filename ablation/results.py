"""Run records -> tidy tables: `runs`, a row for each (variant, seed), and `epochs`, a row for each of its epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ablation.errors import UnreadableError
from ablation.manifest import Manifest
from ablation.openings import read_openings, read_outcome
from ablation.record import EpochRow, RunRecord
from ablation.store import Failure, RunFolder, Store

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
EPOCH_COLUMNS = ("variant", "seed", *EpochRow.__dataclass_fields__)
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

    `runs.status` is finished, diverged, crashed (the program failed), interrupted (some epochs are there) or missing.
    Metrics of a run are those of its selected epoch, NaN where there is none. Accuracies are fractions of 1. Those on
    the test part are NaN until the study has opened it for that run; `openings` says when it did (`openings.py`).
    """

    manifest: Manifest
    runs: pd.DataFrame
    epochs: pd.DataFrame
    records: dict[tuple[str, int], RunRecord]
    failures: dict[tuple[str, int], Failure]
    openings: tuple[Mapping[str, Any], ...] = ()

    @property
    def complete(self) -> bool:
        return bool(self.runs["status"].isin(["finished", "diverged"]).all())


def load_results(store: Store, manifest: Manifest) -> Results:
    """Read every run of a study; runs that are not there yet stand in the table as such."""
    rows: list[dict[str, object]] = []
    epochs: list[Mapping[str, Column]] = []
    records: dict[tuple[str, int], RunRecord] = {}
    failures: dict[tuple[str, int], Failure] = {}
    openings = tuple(read_openings(store, manifest.folder))
    opened = {name for opening in openings for name in opening["runs"]}
    for arm in manifest.arms:
        for seed in manifest.seeds:
            folder = store.run(manifest.run_folder(arm.name, seed))
            record, history, failure = _read(folder)
            if record:
                records[arm.name, seed] = record
            elif failure:
                failures[arm.name, seed] = failure
            tested = _test_metrics(folder) if folder.path.name in opened else {}
            rows.append({"variant": arm.name, "seed": seed} | _run_row(folder, record, history, failure) | tested)
            if history:
                epochs.append(_epoch_columns(arm.name, seed, history))
    return Results(
        manifest,
        pd.DataFrame(rows, columns=list(RUN_COLUMNS)),
        _epoch_table(epochs),
        records,
        failures,
        openings,
    )


def _read(folder: RunFolder) -> tuple[RunRecord | None, list[EpochRow], Failure | None]:
    """Record and epochs of a run, and why it has no record; files that cannot be trusted count as such a reason."""
    try:
        return folder.record(), folder.epochs(), folder.failure()
    except UnreadableError as error:
        return None, [], Failure(str(error), "", 0)


def _epoch_columns(variant: str, seed: int, history: Sequence[EpochRow]) -> dict[str, Column]:
    """The rows of one run as arrays, which take a tenth of the memory."""
    run = {"variant": np.full(len(history), variant, dtype=object), "seed": np.full(len(history), seed)}
    return run | {name: np.array([getattr(row, name) for row in history]) for name in EpochRow.__dataclass_fields__}


def _epoch_table(runs: Sequence[Mapping[str, Column]]) -> pd.DataFrame:
    empty = np.zeros(0, dtype=object)
    return pd.DataFrame(
        {name: np.concatenate([run[name] for run in runs]) if runs else empty for name in EPOCH_COLUMNS}
    )


def _test_metrics(folder: RunFolder) -> dict[str, object]:
    """What a run showed when the study opened its test set; only then, though another study may have done so before."""
    found = read_outcome(folder) or {}
    return {f"test_{key}": math.nan if found.get(key) is None else found[key] for key in ("accuracy", "loss")}


def _run_row(
    folder: RunFolder, record: RunRecord | None, history: list[EpochRow], failure: Failure | None
) -> dict[str, object]:
    row: dict[str, object] = {"folder": folder.path.name, "epochs": len(history)}
    if record is None:
        return row | {"status": "crashed" if failure else "interrupted" if history else "missing"}
    row |= {key: getattr(record, key) for key in _FROM_RECORD}
    row |= {"device": record.environment.device, "threads": record.environment.threads}
    if history:
        row["peak_memory_mb"] = max(epoch.peak_memory_mb for epoch in history)
        seconds = sum(epoch.seconds for epoch in history)
        row["images_per_second"] = sum(e.images_per_second * e.seconds for e in history) / seconds if seconds else None
    selected = next((epoch for epoch in history if epoch.epoch == record.selected_epoch), None)
    if selected:
        metrics = ("val_accuracy", "val_loss", "train_accuracy", "train_loss")
        row |= {key: getattr(selected, key) for key in metrics}
    return row
