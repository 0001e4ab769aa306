"""Stored predictions: whole arrays of numbers, or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ablation.results.predictions import predictions_file, read_predictions
from ablation.storage.store import RunFolder

ARRAYS = {"index": np.arange(4), "label": np.arange(4) % 2, "confidence": np.ones(4, dtype=np.float32)}


def test_each_part_has_its_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for part, name in (("validation", "predictions.npz"), ("test", "test.npz")):
        assert predictions_file(folder, part) == tmp_path / name  # type: ignore[arg-type]
        assert read_predictions(folder, part, "index") is None  # type: ignore[arg-type]
        np.savez(tmp_path / name, **ARRAYS)  # type: ignore[arg-type]
        found = read_predictions(folder, part, "confidence", "index")  # type: ignore[arg-type]
        assert found is not None
        assert [array.tolist() for array in found] == [[1.0] * 4, [0, 1, 2, 3]]


@pytest.mark.parametrize(
    "changed",
    [
        {"label": np.arange(3)}, {"label": np.zeros((4, 1))}, {"label": np.array(["a"] * 4)},
        {"label": np.ones(4, dtype=bool)}, {"label": np.array([None] * 4)},
        {"index": np.zeros((2, 2)), "label": np.zeros((2, 2)), "confidence": np.zeros((2, 2))},
    ],
    ids=["shorter", "a column", "text", "truth values", "objects", "tables"],
)  # fmt: skip
def test_arrays_of_another_kind_are_none(changed: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "predictions.npz", **(ARRAYS | changed))  # type: ignore[arg-type]
    assert read_predictions(RunFolder(tmp_path), "validation", "index", "label", "confidence") is None


def test_an_array_that_is_missing_is_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "predictions.npz", **ARRAYS)  # type: ignore[arg-type]
    assert read_predictions(RunFolder(tmp_path), "validation", "index", "true_probability") is None


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float64])
def test_numbers_of_every_size_are_read(kind: type, tmp_path: Path) -> None:
    np.savez(tmp_path / "predictions.npz", index=np.arange(4, dtype=kind))
    found = read_predictions(RunFolder(tmp_path), "validation", "index")
    assert found is not None
    assert found[0].dtype == kind
