"""Writes a study into a results folder as a run of it would have left it, without training anything."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ablation.planning.plan import make_plan, source_key
from ablation.planning.run import Run
from ablation.registry.metrics import OF_EPOCHS
from ablation.storage.manifest import Manifest, Sequential, make_manifest
from ablation.storage.record import Environment, EpochRow, RunRecord
from ablation.storage.store import RunFolder, Store, write_record
from ablation.study.schema import Recipe, Study, Variant

Fate = Literal["finished", "diverged", "crashed", "interrupted", "missing"]
FINGERPRINT = "5f0c" * 16
BEGAN = datetime(2026, 3, 1, 9, tzinfo=UTC)
BASELINE: dict[str, dict[str, Any]] = {
    "data": {"name": "digits", "validation": 0.2},
    "model": {"name": "lenet5", "dropout": 0.2},
    "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4},
    "schedule": {"name": "cosine"},
    "train": {"epochs": 6, "batch_size": 64},
}


@dataclass(frozen=True)
class StoredVariant:
    """A variant to store: its changes (path -> value), the accuracy that it ends at, and how much seeds vary."""

    name: str
    changes: Mapping[str, Any]
    accuracy: float = 0.9
    noise: float = 0.01
    kind: Literal["vary", "combine", "control"] = "vary"


@dataclass(frozen=True)
class Stored:
    """A study on disk."""

    store: Store
    manifest: Manifest


ARMS = (
    StoredVariant("dropout=0", {"model.dropout": 0.0}, 0.88),
    StoredVariant("dropout=0.5", {"model.dropout": 0.5}, 0.93),
    StoredVariant("norm=batch", {"model.norm": "batch"}, 0.95),
    StoredVariant("constant", {"schedule": {"name": "constant"}}, 0.90),
)


def write_study(
    root: Path,
    variants: Sequence[StoredVariant] = ARMS,
    seeds: Sequence[int] = (0, 1, 2),
    *,
    fates: Mapping[tuple[str, int], Fate] | None = None,
    everywhere: Fate = "finished",
    baseline: Mapping[str, Mapping[str, Any]] = BASELINE,
    accuracy: float = 0.9,
    noise: float = 0.01,
    name: str = "dropout study",
    title: str = "What does dropout do?",
    question: str = "Which single change moves validation accuracy?",
    source: str = "study: dropout study\nseeds: [0, 1, 2]\n",
    overrides: Sequence[str] = (),
    smoke: bool = False,
    val_images: int = 360,
    environment: Environment | None = None,
    exact: Mapping[str, Sequence[float]] | None = None,
    analysis: Mapping[str, Any] | None = None,
    sequential: Sequential | None = None,
) -> Stored:
    """Store a study whose baseline ends at `accuracy`; `fates` says which (variant, seed) did not finish, and how.

    `exact` gives variants the very accuracies that their seeds report; `analysis` is that section of the study file,
    and `sequential` has its looks.
    """
    first = Recipe.model_validate(baseline)
    declared = [Variant("baseline", {}, first, "baseline")]
    declared += [
        Variant(
            variant.name,
            variant.changes,
            changed(baseline, variant.changes),
            variant.kind,
            seed_offset=_offset(variant),
        )
        for variant in variants
    ]
    study = Study(name, title, question, tuple(declared), tuple(seeds), source, tuple(overrides), smoke)
    plan = make_plan(study, {source_key(variant.recipe.data): FINGERPRINT for variant in declared})
    store = Store(root)
    manifest = make_manifest(plan, "ablate run studies/dropout.yaml")
    manifest = replace(manifest, analysis={**manifest.analysis, **(analysis or {})}, sequential=sequential)
    goals = {variant.name: (variant.accuracy, variant.noise) for variant in variants} | {"baseline": (accuracy, noise)}
    for run in plan.runs:
        fate = (fates or {}).get((run.variant, run.seed), everywhere)
        own = (exact or {}).get(run.variant)
        target = None if own is None else own[list(seeds).index(run.block)]
        _write_run(
            store.run(run.folder), run, fate, *goals[run.variant], val_images, environment or ENVIRONMENT, target
        )
    store.study_file(manifest.folder).parent.mkdir(parents=True)
    write_record(store.study_file(manifest.folder), manifest.to_json())
    return Stored(store, manifest)


def amend(stored: Stored, variant: str, seed: int | None = None, **fields: Any) -> None:
    """Change fields of the record of one run, or of all runs, of a variant; `environment` may be a mapping of some."""
    for folder in _folders(stored, variant, seed):
        record = folder.record()
        assert record is not None
        own = dict(fields)
        if isinstance(own.get("environment"), Mapping):
            own["environment"] = replace(record.environment, **own["environment"])
        folder.finish(replace(record, **own))


def amend_epochs(stored: Stored, variant: str, change: Callable[[EpochRow, int], EpochRow]) -> None:
    """Change every epoch of every run of a variant; `change` gets the row and the number of epochs."""
    for folder in _folders(stored, variant, None):
        rows = folder.epochs()
        changed_rows = [change(row, len(rows)) for row in rows]
        lines = [json.dumps(row.to_json(), allow_nan=False) + "\n" for row in changed_rows]
        (folder.path / "epochs.jsonl").write_text("".join(lines), encoding="utf-8")
        seal(folder)


def seal(folder: RunFolder) -> None:
    """Let the record of a finished run vouch for the files as they are now."""
    record = folder.record()
    assert record is not None
    metrics = folder.epoch(record.selected_epoch).metrics if record.selected_epoch else {}
    folder.finish(replace(record, metrics=metrics))


def metrics(*values: float) -> dict[str, float]:
    """The metrics of an epoch: training loss and accuracy, validation loss and accuracy."""
    return dict(zip(OF_EPOCHS, values, strict=True))


def with_metrics(row: EpochRow, **values: float) -> EpochRow:
    """An epoch with some metrics set."""
    return replace(row, metrics={**row.metrics, **values})


def write_predictions(stored: Stored, variant: str, predicted: Sequence[int], seed: int | None = None) -> None:
    """What the runs of a variant predict of as many images, all of them of class 0."""
    for folder in _folders(stored, variant, seed):
        arrays = {"index": np.arange(len(predicted)), "label": np.zeros(len(predicted), dtype=np.int64)}
        with open(folder.predictions, "wb") as file:
            np.savez_compressed(file, predicted=np.array(predicted), **arrays)
        seal(folder)


def explore(stored: Stored, variant: str) -> Stored:
    """The study with a variant marked as added after results were seen."""
    variants = tuple(replace(own, exploratory=own.name == variant) for own in stored.manifest.variants)
    return Stored(stored.store, replace(stored.manifest, variants=variants))


def _offset(variant: StoredVariant) -> int:
    return 1000 if variant.kind == "control" else 0


def _folders(stored: Stored, variant: str, seed: int | None) -> Iterator[RunFolder]:
    for own in stored.manifest.seeds if seed is None else (seed,):
        yield stored.store.run(stored.manifest.run_folder(variant, own))


def changed(baseline: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Any]) -> Recipe:
    """The baseline with some options set; a path without a dot replaces the whole part."""
    recipe: dict[str, Any] = copy.deepcopy({part: dict(own) for part, own in baseline.items()})
    for path, value in changes.items():
        section, _, key = path.partition(".")
        if key:
            recipe[section][key] = value
        else:
            recipe[section] = value
    return Recipe.model_validate(recipe)


ENVIRONMENT = Environment(
    ablation="0.1.0",
    python="3.11.7",
    torch="2.9.1",
    platform="Linux-6.1-x86_64",
    processor="Intel Xeon, 2 cores",
    device="cpu",
    threads=1,
)


def _write_run(
    folder: RunFolder,
    run: Run,
    fate: Fate,
    accuracy: float,
    noise: float,
    val_images: int,
    environment: Environment,
    exact: float | None,
) -> None:
    if fate == "missing":
        return
    recipe = run.recipe.canonical()
    folder.open({"key": run.key, "recipe": recipe, "seed": run.seed, "data_fingerprint": run.data_fingerprint})
    rows = _history(run, recipe, accuracy, noise, val_images)
    if exact is not None:
        last = len(rows)
        rows = [with_metrics(row, val_accuracy=exact * (1 - 0.02 * (last - row.epoch))) for row in rows]
    if fate != "finished":
        rows = rows[: max(1, len(rows) // 2)]
    if fate == "diverged":
        lost = {"train_loss": math.nan, "val_loss": math.nan, "train_accuracy": 0.1, "val_accuracy": 0.1}
        rows[-1] = with_metrics(rows[-1], **lost)
    lines = [json.dumps(row.to_json(), allow_nan=False) + "\n" for row in rows]
    (folder.path / "epochs.jsonl").write_text("".join(lines), encoding="utf-8")
    if fate == "crashed":
        folder.fail("RuntimeError: out of memory while allocating 2 GiB", "Traceback ...")
    if fate in ("finished", "diverged"):
        folder.finish(_record(run, recipe, rows, fate, val_images, environment))


def _history(run: Run, recipe: Mapping[str, Any], accuracy: float, noise: float, val_images: int) -> list[EpochRow]:
    chance = random.Random(f"{run.variant}|{run.seed}")
    shared = random.Random(run.seed).gauss(0, noise / 2)
    goal = accuracy + shared + chance.gauss(0, noise / 2)
    train = recipe["train"]
    every = train["eval_every"] or 100
    epochs = train["epochs"] or train["steps"] // every
    fraction = float(recipe["data"]["fraction"])
    return [_epoch(n, epochs, goal, chance, recipe, val_images, every, fraction) for n in range(1, epochs + 1)]


def _epoch(
    n: int,
    epochs: int,
    goal: float,
    chance: random.Random,
    recipe: Mapping[str, Any],
    val_images: int,
    every: int,
    fraction: float,
) -> EpochRow:
    risen = 1 - math.exp(-4 * n / epochs)
    hits = round((0.1 + (goal - 0.1) * risen + chance.gauss(0, 0.004)) * val_images)
    accuracy = min(max(hits, 0), val_images) / val_images
    lr = float(recipe["optimizer"]["lr"])
    if recipe["schedule"]["name"] == "cosine":
        lr *= (1 + math.cos(math.pi * (n - 1) / epochs)) / 2
    if recipe["schedule"]["name"] == "step":
        lr *= recipe["schedule"]["gamma"] ** ((n - 1) // recipe["schedule"]["step_size"])
    seconds = 2.0 * fraction * chance.uniform(0.95, 1.05)
    return EpochRow(
        epoch=n,
        step=n * every,
        lr=lr,
        metrics=metrics(
            2.3 * math.exp(-4.5 * n / epochs) + 0.02 + abs(chance.gauss(0, 0.01)),
            min(0.1 + 0.88 * risen + chance.gauss(0, 0.003), 1.0),
            2.3 * math.exp(-8 * n / epochs) + 1.6 * (1 - goal) + abs(chance.gauss(0, 0.002)) + 0.1 * n / epochs,
            accuracy,
        ),
        seconds=seconds,
        eval_seconds=0.2,
        images_per_second=1437 * fraction / seconds,
        peak_memory_mb=412.0 + 60 * fraction,
    )


def _record(
    run: Run, recipe: dict[str, Any], rows: Sequence[EpochRow], fate: Fate, val_images: int, environment: Environment
) -> RunRecord:
    best = max(rows, key=lambda row: (row.metrics["val_accuracy"], -row.epoch)).epoch if fate == "finished" else None
    last = rows[-1].epoch if fate == "finished" else None
    batch_norm = 1200 if recipe["model"]["norm"] == "batch" else 0
    selected = last if recipe["train"]["select"] == "last" else best
    return RunRecord(
        status="finished" if fate == "finished" else "diverged",
        key=run.key,
        recipe=recipe,
        seed=run.seed,
        data_fingerprint=run.data_fingerprint,
        image=(1, 8, 8),
        classes=tuple("0123456789"),
        train_images=round(1437 * float(recipe["data"]["fraction"])),
        val_images=val_images,
        parameters=61_706 + batch_norm,
        macs=416_520,
        epochs=len(rows),
        selected_epoch=selected,
        best_epoch=best,
        metrics=rows[selected - 1].metrics if selected else {},
        weights_sha256=hashlib.sha256(run.key.encode()).hexdigest() if best else None,
        started=(BEGAN + timedelta(minutes=run.seed)).isoformat(),
        finished=(BEGAN + timedelta(hours=1, minutes=run.seed, seconds=30)).isoformat(),
        train_seconds=sum(row.seconds + row.eval_seconds for row in rows),
        resumed=0,
        environment=environment,
    )
