"""Adds to a stored study what its runs predicted, and the decoded images that they predicted on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ablation.data.fingerprint import cache_folder
from ablation.storage.store import RunFolder
from tests.stored import Stored

DIGITS = tuple("0123456789")
Predict = Callable[[str, int, np.ndarray], np.ndarray]
"""(variant, seed, labels) -> what that run predicts."""


def finished_runs(stored: Stored) -> dict[tuple[str, int], RunFolder]:
    """(variant, seed) -> the folder of each run that finished."""
    found = {}
    for variant in stored.manifest.variants:
        for seed in stored.manifest.seeds:
            folder = stored.store.run(stored.manifest.run_folder(variant.name, seed))
            record = folder.record()
            if record is not None and record.status == "finished":
                found[variant.name, seed] = folder
    return found


def write_predictions(
    stored: Stored, predict: Predict, images: int = 200, classes: Sequence[str] = DIGITS, file: str = "predictions.npz"
) -> None:
    """Let every finished run predict `images` images, which are those at the even places of the data set.

    Class i belongs to every image whose place in the predictions is i modulo the number of classes. The confidence
    falls from image to image.
    """
    label = np.arange(images) % len(classes)
    for (variant, seed), folder in finished_runs(stored).items():
        record = folder.record()
        assert record is not None
        confidence = np.linspace(0.99, 0.3, images, dtype=np.float32)
        np.savez_compressed(
            folder.path / file,
            index=2 * np.arange(images),
            label=label,
            predicted=predict(variant, seed, label).astype(np.int16),
            confidence=confidence,
            true_probability=1 - confidence,
        )
        folder.finish(replace(record, classes=tuple(classes), val_images=images))


def right(variant: str, seed: int, label: np.ndarray) -> np.ndarray:
    """No mistakes."""
    return label


def one_in_ten(variant: str, seed: int, label: np.ndarray) -> np.ndarray:
    """Every tenth of the images of class 3 is taken for the next class; by a variant, every fifth."""
    found = label.copy()
    mine = np.flatnonzero(label == 3)
    found[mine[:: 10 if variant == "baseline" else 5]] += 1
    return found


def write_images(stored: Stored, images: int = 200, shape: tuple[int, int, int] = (8, 8, 1), classes: int = 10) -> Path:
    """Write the decoded images of the baseline's data, every second of which is predicted on; say where they are."""
    record = next(iter(finished_runs(stored).values())).record()
    assert record is not None
    folder = stored.store.data / cache_folder(record.recipe["data"]["name"], record.data_fingerprint, "train")
    folder.mkdir(parents=True)
    stream = np.random.default_rng(0)
    np.save(folder / "images.npy", stream.integers(0, 256, (2 * images, *shape), dtype=np.uint8))
    np.save(folder / "labels.npy", np.repeat(np.arange(images) % classes, 2))
    (folder / "meta.json").write_text(json.dumps({"classes": [str(n) for n in range(classes)]}), encoding="utf-8")
    return folder
