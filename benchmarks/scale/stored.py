"""Large studies without training: their files, and what a run of them would have left on disk."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np

from tests.stored import BASELINE, Stored, StoredVariant, seal, write_study

VAL_IMAGES = 1000


def changed_variants(number: int) -> list[StoredVariant]:
    """Sweeps of four numeric options, their effects spread over ten points of accuracy."""
    found = []
    for place in range(number):
        kind, step = place % 4, place // 4 + 1
        path, value = (
            ("model.dropout", 0.2 + step / 2000),
            ("optimizer.lr", 0.05 + step / 1000),
            ("optimizer.weight_decay", 5e-4 + step / 1e5),
            ("data.fraction", 1 - step / 2000),
        )[kind]
        found.append(StoredVariant(f"{path}={value}", {path: value}, 0.85 + 0.1 * (place % 37) / 37))
    return found


def write_file(path: Path, variants: int, seeds: int, epochs: int = 10) -> Path:
    """The study file of `variants` x `seeds` runs. JSON is YAML too."""
    vary: dict[str, list[object]] = {}
    for variant in changed_variants(variants - 1):
        for option, value in variant.changes.items():
            vary.setdefault(option, []).append(value)
    baseline = _baseline(epochs)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"study": "large", "baseline": baseline, "seeds": seeds, "vary": vary}), encoding="utf-8"
    )
    return path


def write(root: Path, variants: int, seeds: int, epochs: int) -> None:
    """Store `variants` x `seeds` finished runs with their epochs and predictions in the results folder `root`."""
    baseline = _baseline(epochs)
    stored = write_study(
        root, changed_variants(variants - 1), range(seeds), baseline=baseline, val_images=VAL_IMAGES, name="large"
    )
    _write_predictions(stored)


def _baseline(epochs: int) -> dict[str, dict[str, object]]:
    baseline = copy.deepcopy(BASELINE)
    baseline["train"]["epochs"] = epochs
    return baseline


def _write_predictions(stored: Stored) -> None:
    """Ten classes, nine images in ten right, confidences as they come."""
    stream = np.random.default_rng(0)
    label = np.arange(VAL_IMAGES) % 10
    for variant in stored.manifest.variants:
        for seed in stored.manifest.seeds:
            wrong = stream.random(VAL_IMAGES) < 0.1
            confidence = stream.random(VAL_IMAGES, dtype=np.float32)
            folder = stored.store.run(stored.manifest.run_folder(variant.name, seed))
            np.savez_compressed(
                folder.predictions,
                index=np.arange(VAL_IMAGES),
                label=label,
                predicted=np.where(wrong, stream.integers(0, 10, VAL_IMAGES), label).astype(np.int16),
                confidence=confidence,
                true_probability=np.where(wrong, 1 - confidence, confidence),
            )
            seal(folder)
