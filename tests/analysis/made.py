"""Parts of an analysis, made in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ablation.analysis.compare import Run
from ablation.analysis.measure import Measure
from ablation.analysis.types import Effect, SeedResult
from ablation.registry.metric_names import guess
from ablation.registry.metrics import METRICS
from ablation.results.runs import EPOCH_COLUMNS, RUN_COLUMNS, Results
from ablation.storage.manifest import Manifest, StoredVariant
from ablation.storage.record import Environment, RunRecord


def measure(column: str, higher: bool, digits: int, share: bool) -> Measure:
    known = METRICS.get(column) or guess(column)
    return Measure(replace(known, direction="higher" if higher else "lower", unit="share" if share else "raw"), digits)


ACCURACY = measure("val_accuracy", higher=True, digits=1, share=True)
LOSS = measure("val_loss", higher=False, digits=3, share=False)


def effect(variant: str, differences: Mapping[int, float | None] | None = None, **fields: Any) -> Effect:
    """A variant that differs by so much under each seed; None for a seed without a pair."""
    runs = tuple(SeedResult(s, "finished", 0.9, 0.9, d, 6, 6) for s, d in (differences or {}).items())
    unknown = ("mean", "sd", "difference", "parameters", "macs", "train_images", "train_seconds", "epoch_seconds")
    own: dict[str, Any] = dict.fromkeys((*unknown, "images_per_second", "peak_memory_mb"))
    counts = dict.fromkeys(("n", "diverged", "crashed", "unfinished", "pairs"), 0)
    return Effect(**own | counts | {"variant": variant, "kind": "vary", "change": "", "runs": runs} | fields)


def manifest(variants: Sequence[StoredVariant], seeds: Sequence[int] = (0, 1, 2), **fields: Any) -> Manifest:
    own: dict[str, Any] = {"name": "made", "title": "", "question": "", "folders": {}, "source": "", "command": ""}
    analysis = {"metric": "val_accuracy", "direction": "higher", "margin": None, "alpha": 0.05}
    own |= {"overrides": (), "smoke": False, "analysis": analysis}
    return Manifest(**own | {"variants": tuple(variants), "seeds": tuple(seeds)} | fields)


def variant(name: str, kind: str = "vary", **changes: Any) -> StoredVariant:
    """A variant; a change `model__dropout` is that of model.dropout."""
    return StoredVariant(name, kind, {path.replace("__", "."): value for path, value in changes.items()}, {})


def values(rows: Mapping[str, Sequence[float] | np.ndarray]) -> dict[Run, float]:
    """(variant, seed) -> value, without the missing ones."""
    return {(name, seed): float(v) for name, row in rows.items() for seed, v in enumerate(row) if np.isfinite(v)}


def record(**fields: Any) -> RunRecord:
    """A finished run of one hour on ten classes; an environment is given by the fields that differ."""
    environment = {"ablation": "1", "python": "3.12", "torch": "2.9", "platform": "Linux", "processor": "one"}
    environment |= {"device": "cpu", "threads": 1} | fields.pop("environment", {})
    own: dict[str, Any] = {
        **{"status": "finished", "key": "", "recipe": {"data": {"name": "digits"}}, "seed": 0, "image": (1, 8, 8)},
        **{"data_fingerprint": "f" * 64, "classes": tuple("0123456789"), "train_images": 100, "val_images": 360},
        **{"parameters": 1000, "macs": 2000, "epochs": 6, "selected_epoch": 6, "best_epoch": 6, "resumed": 0},
        **{"started": "2026-03-01T09:00:00+00:00", "finished": "2026-03-01T10:00:00+00:00", "train_seconds": 10.0},
        **{"metrics": {}, "weights_sha256": None, "environment": Environment(**environment)},
    }
    return RunRecord(**own | fields)


def run(variant: str, seed: int, accuracy: float | None = None, status: str = "finished", **columns: Any) -> Any:
    """A row of the table of runs, without what is unknown."""
    own = {"variant": variant, "seed": seed, "status": status, "val_accuracy": accuracy, "folder": f"{variant}-{seed}"}
    return own | columns


def history(variant: str, seed: int, **columns: Sequence[float]) -> pd.DataFrame:
    """The epochs of a run, from 1."""
    epochs = range(1, len(next(iter(columns.values()))) + 1)
    rows = pd.DataFrame({"variant": variant, "seed": seed, "epoch": epochs} | columns)
    return rows.reindex(columns=list(dict.fromkeys((*EPOCH_COLUMNS, *columns))))


def results(
    study: Manifest,
    runs: Sequence[Mapping[str, Any]],
    epochs: Sequence[pd.DataFrame] = (),
    records: Mapping[Run, RunRecord] | None = None,
    **fields: Any,
) -> Results:
    columns = dict.fromkeys((*RUN_COLUMNS, *(name for row in runs for name in row)))
    rows = pd.concat(epochs, ignore_index=True) if epochs else pd.DataFrame(columns=list(EPOCH_COLUMNS))
    own = {"failures": {}} | fields
    return Results(study, pd.DataFrame(list(runs), columns=list(columns)), rows, dict(records or {}), **own)
