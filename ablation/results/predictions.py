"""What each run predicted on the validation part, and on the test set once it was evaluated, as arrays."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ablation.storage.store import RunFolder

Part = Literal["validation", "test"]
PARTS: tuple[Part, ...] = ("validation", "test")
Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]


def predictions_file(folder: RunFolder, part: Part) -> Path:
    """Where a run keeps what it predicted on one part of the data set."""
    return folder.predictions if part == "validation" else folder.path / "test.npz"


def read_predictions(folder: RunFolder, part: Part, *names: str) -> tuple[Array, ...] | None:
    """Some of the arrays index, label, predicted, confidence and true_probability, each (images,), in that order.

    None where the file is not there or cannot be read: a report goes on without that run. Where the run's record has
    digests, such a run counts as damaged before it comes to that (`stored_run`).
    """
    arrays = _read(predictions_file(folder, part), names)
    if arrays is None:
        return None
    whole = all(array.shape == arrays[0].shape and array.ndim == 1 and array.dtype.kind in "iuf" for array in arrays)
    return arrays if whole else None


def read_probabilities(folder: RunFolder) -> Array | None:
    """What a run gave each class, (images, classes) float16, on the validation part; None where it stored none."""
    arrays = _read(folder.predictions, ("probabilities",))
    return arrays[0] if arrays and arrays[0].ndim == 2 and arrays[0].dtype.kind == "f" else None


def _read(path: Path, names: Sequence[str]) -> tuple[Array, ...] | None:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            return tuple(stored[name] for name in names)
    except (OSError, EOFError, KeyError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None  # NotImplementedError, of an unknown compression, is a RuntimeError
