"""Predictions that a function saves, in the form that the analysis reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np

from ablation.errors import UserError

Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]
_FORM = "targets are class numbers (n,), outputs probabilities (n, classes) or class numbers (n,)"


def prediction_arrays(
    targets: Any, outputs: Any, ids: Any, classes: Sequence[str] | None
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """The arrays that are stored, and the names of the classes. Raises UserError where shapes or values do not fit."""
    label, found = _whole(targets, "targets"), _plain(outputs)
    probabilities = found if found.ndim == 2 else None
    predicted = found.argmax(axis=1) if probabilities is not None else _whole(outputs, "outputs")
    if label.ndim != 1 or predicted.shape != label.shape or not len(label):
        raise UserError(f"targets are {label.shape} and outputs {found.shape}", _FORM)
    count = found.shape[1] if probabilities is not None else int(max(label.max(), predicted.max())) + 1
    names = tuple(map(str, classes)) if classes is not None else tuple(map(str, range(count)))
    if label.min() < 0 or predicted.min() < 0 or max(label.max(), predicted.max()) >= len(names) or count > len(names):
        raise UserError(f"there are classes beyond the {len(names)} that are named", "name all classes: classes=[...]")
    index = np.arange(len(label)) if ids is None else _whole(ids, "ids")
    if index.shape != label.shape:
        raise UserError(f"ids are {index.shape} and targets {label.shape}", "give one number for each example")
    rows = np.arange(len(label))
    missing = np.full(len(label), np.nan, dtype=np.float32)
    arrays = {
        "index": index,
        "label": label,
        "predicted": predicted,
        "confidence": probabilities[rows, predicted].astype(np.float32) if probabilities is not None else missing,
        "true_probability": probabilities[rows, label].astype(np.float32) if probabilities is not None else missing,
    }
    order = np.argsort(index, kind="stable")
    return {name: own[order] for name, own in arrays.items()}, names


def save_arrays(file: IO[bytes], arrays: Mapping[str, Array]) -> None:
    """Write the arrays as `predictions.npz` has them."""
    np.savez_compressed(file, allow_pickle=False, **arrays)


def _plain(values: Any) -> Array:
    """An array of NumPy, PyTorch (on any device) or JAX, or a list."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values)


def _whole(values: Any, what: str) -> Array:
    found = _plain(values)
    if found.dtype.kind not in "iu":
        raise UserError(f"{what} are {found.dtype}, and no whole numbers", _FORM)
    return found.astype(np.int64)
