"""Files that are whole at every moment, and run folders that say how far they are."""

from __future__ import annotations

import json
import math
import os
import resource
from pathlib import Path

import pytest

from ablation._util.files import replace, replace_text, set_aside, write_json
from ablation.errors import StorageError, UnreadableError, UserError
from ablation.storage.record import EpochRow
from ablation.storage.store import Failure, RunFolder, Store, is_folder_name, read_json, share, write_record
from ablation.versions import SCHEMA_VERSION
from tests.stored import metrics


def row(epoch: int, loss: float = 0.5) -> EpochRow:
    return EpochRow(epoch, epoch * 10, 0.1, metrics(loss, 0.8, loss, 0.75), 1.5, 0.2, 1000.0, 50.0)


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
    assert json.loads((tmp_path / "epochs.jsonl").read_text())["metrics"]["train_loss"] is None
    assert math.isnan(folder.epochs()[0].metrics["train_loss"])


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


def test_a_durable_write_is_flushed_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_size))
    replace(tmp_path / "x", lambda file: file.write(b"12345"))
    write_json(tmp_path / "x", {})
    write_record(tmp_path / "x", {})
    assert synced == []
    replace(tmp_path / "x", lambda file: file.write(b"12345"), durable=True)
    assert synced == [5]
    write_json(tmp_path / "x", {}, durable=True)
    write_record(tmp_path / "x", {}, durable=True)
    assert synced[1:] == [3, (tmp_path / "x").stat().st_size]


def test_a_folder_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"x cannot be written: No such file") as caught:
        replace_text(tmp_path / "gone" / "x", "a")
    assert caught.value.hint
    assert not (tmp_path / "gone").exists()


def test_a_file_that_cannot_be_created_gives_the_reason_of_the_system(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        with pytest.raises(StorageError) as caught:
            replace(tmp_path / "x", lambda file: None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert caught.value.message == f"{tmp_path / 'x'} cannot be written: Too many open files"


def test_json_is_written_in_plain_letters_and_one_value_a_line(tmp_path: Path) -> None:
    write_json(tmp_path / "x", {"a": ["ü"], "b": 1})
    assert (tmp_path / "x").read_text(encoding="utf-8") == '{\n "a": [\n  "ü"\n ],\n "b": 1\n}\n'
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "x", math.nan)


def test_a_record_has_its_version_and_digest(tmp_path: Path) -> None:
    write_record(tmp_path / "x", {"a": 1})
    found = read_json(tmp_path / "x")
    assert (found["schema_version"], found["a"], len(found["sha256"])) == (SCHEMA_VERSION, 1, 64)
    (tmp_path / "x").write_text(json.dumps(found | {"a": 2}))
    with pytest.raises(UnreadableError, match="its SHA-256 does not match"):
        read_json(tmp_path / "x")


@pytest.mark.parametrize("version", [True, "1", 1.0, None])
def test_what_is_no_version_is_unreadable(version: object, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(json.dumps({"schema_version": version}))
    with pytest.raises(UnreadableError, match="it has no schema version"):
        read_json(tmp_path / "x")


def test_files_that_are_set_aside_are_numbered(tmp_path: Path) -> None:
    names = []
    for content in ("1", "2", "3"):
        (tmp_path / "x.pt").write_text(content)
        names.append(set_aside(tmp_path / "x.pt").name)
    assert names == ["x.pt.unreadable", "x.pt.unreadable-2", "x.pt.unreadable-3"]
    assert [(tmp_path / name).read_text() for name in names] == ["1", "2", "3"]
    assert not (tmp_path / "x.pt").exists()


@pytest.mark.parametrize(
    ("name", "valid"),
    [("a", True), ("a.b", True), ("...", True), ("x" * 255, True), ("é" * 127, True), ("", False), (".", False),
     ("..", False), ("a/b", False), ("a\\b", False), ("a\0", False), ("x" * 256, False), ("é" * 128, False)],
)  # fmt: skip
def test_names_of_folders(name: str, valid: bool, tmp_path: Path) -> None:
    assert is_folder_name(name) is valid
    if valid:
        assert Store(tmp_path).run(name).path == tmp_path / "runs" / name
        return
    with pytest.raises(UserError, match="is not the name of a run folder"):
        Store(tmp_path).run(name)


def test_a_shared_file_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("1")
    second.write_text("2")
    (tmp_path / ".b.link").write_text("left by a crash")
    share(first, second)
    assert second.samefile(first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    third = tmp_path / "c"
    third.write_text("3")

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    share(first, third)
    assert third.read_text() == "3"


def test_a_folder_is_opened_for_one_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "x")
    assert not folder.started
    folder.open({"key": "a", "n": 1})
    assert folder.started
    assert not folder.finished
    before = (folder.path / "config.json").read_bytes()
    folder.open({"key": "a", "n": 2})
    assert (folder.path / "config.json").read_bytes() == before
    folder.open({"key": "b"})
    assert read_json(folder.path / "config.json")["key"] == "b"
    assert (folder.path / "config.json.unreadable").read_bytes() == before
    (folder.path / "config.json").write_text("{")
    folder.open({"key": "b"})
    assert read_json(folder.path / "config.json")["key"] == "b"
    assert (folder.path / "config.json.unreadable-2").read_text() == "{"


def test_one_epoch_is_read_without_the_others(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert (folder.epochs(), folder.epoch_lines()) == ([], [])
    for epoch in (1, 2, 3):
        folder.append(row(epoch))
    lines = folder.history.read_text().splitlines(keepends=True)
    folder.history.write_text(lines[0] + "{}\n" + lines[2])
    assert folder.epoch(1) == row(1)
    assert folder.epoch(3) == row(3)
    with pytest.raises(UnreadableError, match="line 2 of"):
        folder.epochs()
    with pytest.raises(UnreadableError, match="lacks epoch 4"):
        folder.epoch(4)


def test_the_names_of_the_files_of_a_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    found = [folder.last, folder.best, folder.predictions, folder.history, folder.failure_file]
    assert [path.name for path in found] == ["last.pt", "best.pt", "predictions.npz", "epochs.jsonl", "failure.json"]
    assert Store(tmp_path).data == tmp_path / "data"
    assert Store(tmp_path).study_file("s") == tmp_path / "studies" / "s" / "study.json"


def test_a_run_that_starts_over_sets_its_files_aside(tmp_path: Path) -> None:
    for name in ("run.json", "epochs.jsonl", "predictions.npz", "last.pt", "best.pt", "config.json"):
        (tmp_path / name).touch()
    RunFolder(tmp_path).start_over()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "best.pt.unreadable", "config.json", "epochs.jsonl.unreadable", "last.pt.unreadable",
        "predictions.npz.unreadable", "run.json.unreadable",
    ]  # fmt: skip
    RunFolder(tmp_path).start_over()


def test_a_failure_that_cannot_be_read_is_one_that_says_so(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.failure_file.write_text("{")
    found = folder.failure()
    assert found is not None
    assert (found.details, found.attempts) == ("", 1)
    assert str(folder.failure_file) in found.message
    folder.fail("again", "")
    assert folder.failure() == Failure("again", "", 2)


def test_only_folders_with_a_record_are_finished(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.finished(["a"]) == set()
    for name in ("a", "b", "other"):
        store.run(name).path.mkdir(parents=True)
    for name in ("a", "other"):
        (store.run(name).path / "run.json").touch()
    assert store.finished(["a", "b", "c"]) == {"a"}
