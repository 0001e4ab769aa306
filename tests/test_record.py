"""The types and ranges of what is stored of a run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ablation.errors import UnreadableError
from ablation.registry.metrics import OF_EPOCHS
from ablation.storage.record import EpochRow, RunRecord
from ablation.storage.store import RunFolder
from tests.stored import metrics

from .stored import write_study

ROW = EpochRow(1, 10, 0.1, metrics(0.5, 0.8, 0.5, 0.75), 1.5, 0.2, 1000.0, 50.0)


def read(folder: Path, **values: Any) -> EpochRow:
    own = {name: values.pop(name) for name in OF_EPOCHS if name in values}
    content = ROW.to_json() | values | {"metrics": ROW.metrics | own}
    folder.joinpath("epochs.jsonl").write_text(json.dumps(content) + "\n")
    return RunFolder(folder).epochs()[0]


GOOD = [
    ("epoch", 1), ("epoch", 10**15), ("step", 0), ("step", 10**15), ("train_loss", 0), ("val_loss", 0.0),
    ("train_accuracy", 0), ("val_accuracy", 1), ("seconds", 0), ("eval_seconds", 0), ("lr", -1.0), ("stage", 1),
    ("images_per_second", -2.0), ("peak_memory_mb", 0),
]  # fmt: skip
BAD = [
    ("epoch", 0), ("epoch", 10**15 + 1), ("epoch", 1.0), ("epoch", True), ("epoch", None), ("step", -1),
    ("step", 10**15 + 1), ("train_loss", -0.1), ("val_loss", -0.1), ("train_accuracy", 1.1), ("val_accuracy", -0.1),
    ("seconds", -0.1), ("eval_seconds", -1), ("seconds", None), ("stage", 0), ("lr", "1"), ("val_accuracy", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_values_in_their_range(name: str, value: Any, tmp_path: Path) -> None:
    row = read(tmp_path, **{name: value})
    assert {**vars(row), **row.metrics}[name] == value


@pytest.mark.parametrize(("name", "value"), BAD)
def test_values_outside_of_their_range(name: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=f"line 1 of .*epochs.jsonl cannot be read: .*{name}"):
        read(tmp_path, **{name: value})


@pytest.mark.parametrize("name", ["lr", "train_loss", "val_loss", "images_per_second", "peak_memory_mb"])
def test_null_is_not_a_number(name: str, tmp_path: Path) -> None:
    row = read(tmp_path, **{name: None})
    assert math.isnan({**vars(row), **row.metrics}[name])


def test_the_stage_is_the_first_where_a_row_does_not_say_it(tmp_path: Path) -> None:
    values = ROW.to_json()
    del values["stage"]
    tmp_path.joinpath("epochs.jsonl").write_text(json.dumps(values) + "\n")
    assert RunFolder(tmp_path).epochs() == [ROW]


def test_what_is_not_finite_is_stored_as_null() -> None:
    row = EpochRow(1, 10, 0.1, metrics(math.inf, 0.8, math.nan, 0.75), 1.5, 0.2, -math.inf, 50.0)
    values = row.to_json()
    assert {name for name, value in (values | values["metrics"]).items() if value is None} == {
        "train_loss", "val_loss", "images_per_second",
    }  # fmt: skip
    assert row.to_json()["lr"] == 0.1


RECORD = [
    ("started", "2026-01-01T00:00:00+00:00", True), ("started", "2026-01-01T00:00:00Z", True),
    ("started", "2026-01-01T00:00:00", False), ("finished", "today", False), ("seed", 0, True), ("seed", -1, False),
    ("finished", "0001-01-01T00:00:00+14:00", False), ("train_images", 1, True), ("train_images", 0, False),
    ("val_images", 0, False), ("parameters", 0, True), ("parameters", -1, False), ("macs", 10**15, True),
    ("resumed", 0, True), ("resumed", -1, False), ("classes", [], False), ("classes", ["a"], True),
    ("epochs", 0, False),
    ("trainable_parameters", None, True), ("trainable_parameters", 0, True), ("selected_epoch", 0, False),
    ("train_seconds", 0, True), ("train_seconds", -1, False), ("image", [1, 0, 3], False), ("status", "ok", False),
    ("files", {"x": {"bytes": 0, "sha256": ""}}, True), ("files", {"x": {"bytes": -1, "sha256": ""}}, False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "good"), RECORD)
def test_a_record(name: str, value: Any, good: bool, tmp_path: Path) -> None:
    stored = write_study(tmp_path, [], [0])
    record = stored.store.run(stored.manifest.run_folder("baseline", 0)).record()
    assert record is not None
    values = json.loads(json.dumps(record.to_json())) | {name: value}
    if good:
        assert json.loads(json.dumps(RunRecord.from_json(values).to_json())) == values
        return
    with pytest.raises(UnreadableError, match=rf"run.json cannot be read: {name}"):
        RunRecord.from_json(values)
