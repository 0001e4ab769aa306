"""Files that are whole at every moment, and run folders that say how far they are."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from ablation.errors import StorageError, UserError
from ablation.record import SCHEMA_VERSION, EpochRow
from ablation.store import Failure, RunFolder, read_json, replace, write_json


def row(epoch: int, loss: float = 0.5) -> EpochRow:
    return EpochRow(epoch, epoch * 10, 0.1, loss, 0.8, loss, 0.75, 1.5, 0.2, 1000.0, 50.0)


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"old": 1})

    def fail(file) -> None:  # type: ignore[no-untyped-def]
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(StorageError, match=r"file.json cannot be written: disk full"):
        replace(path, fail)
    assert json.loads(path.read_text()) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


def test_epochs_come_back_as_they_were(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    rows = [row(1), row(2, 1 / 3)]
    for r in rows:
        folder.append(r)
    assert folder.epochs() == rows


def test_a_diverged_epoch_is_stored_as_null_and_read_as_nan(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append(row(1, math.inf))
    assert json.loads((tmp_path / "epochs.jsonl").read_text())["train_loss"] is None
    assert math.isnan(folder.epochs()[0].train_loss)


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append(row(1))
    whole = (tmp_path / "epochs.jsonl").read_bytes()
    (tmp_path / "epochs.jsonl").write_bytes(whole + whole[: len(whole) // 2])
    assert folder.epochs() == [row(1)]
    folder.keep_epochs(1)
    assert (tmp_path / "epochs.jsonl").read_bytes() == whole


def test_rows_after_the_checkpoint_are_forgotten(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for epoch in (1, 2, 3):
        folder.append(row(epoch))
    folder.keep_epochs(2)
    assert [r.epoch for r in folder.epochs()] == [1, 2]


@pytest.mark.parametrize(
    ("version", "hint"), [(SCHEMA_VERSION + 1, "update ablation-lab"), (0, "train again"), (None, "train")]
)
def test_another_schema_version_is_refused_with_advice(version: int | None, hint: str, tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"schema_version": version})
    with pytest.raises(UserError) as caught:
        read_json(tmp_path / "run.json")
    assert hint in str(caught.value)


def test_a_failure_is_noted_and_told(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert folder.failure() is None
    folder.fail("ValueError: no", "Traceback ...")
    folder.fail("ValueError: no", "Traceback ...")
    assert folder.failure() == Failure("ValueError: no", "Traceback ...", attempts=2)
    assert not folder.finished
