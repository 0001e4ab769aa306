"""A run folder at two places: what is sent, in which order it is written, and what may be lost on the way."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from ablation.storage.store import Failure, RunFolder
from ablation.storage.sync import FILES, Mirror, contents, write


@pytest.fixture
def source(tmp_path: Path) -> RunFolder:
    """A run under way: two epochs, the second the best."""
    folder = RunFolder(tmp_path / "there")
    folder.open({"seed": 0})
    for name in ("epochs.jsonl", "best.pt", "last.pt"):
        (folder.path / name).write_text(f"{name} 2")
    return folder


def test_changes_are_told_once_and_what_a_resumed_run_goes_by_comes_last(source: RunFolder) -> None:
    mirror = Mirror(source)
    assert list(mirror.changes()) == ["config.json", "epochs.jsonl", "best.pt", "last.pt"]
    assert mirror.changes() == {}
    (source.path / "last.pt").write_text("last.pt 3")
    (source.path / "epochs.jsonl").write_text("epochs.jsonl 3")
    assert mirror.changes() == {"epochs.jsonl": b"epochs.jsonl 3", "last.pt": b"last.pt 3"}
    (source.path / "run.json").write_text("{}")
    (source.path / "predictions.npz").write_text("p")
    assert list(mirror.changes()) == ["predictions.npz", "run.json"]


def test_a_copy_holds_what_was_sent_and_nothing_else(source: RunFolder, tmp_path: Path) -> None:
    copy = RunFolder(tmp_path / "here")
    copy.path.mkdir()
    (source.path / "lock").touch()
    (source.path / "last.pt.unreadable").write_text("torn")
    write(copy, Mirror(source).changes())
    write(copy, contents(source))
    names = {path.name for path in copy.path.iterdir()}
    assert names == {"config.json", "epochs.jsonl", "best.pt", "last.pt", "last.pt.unreadable"}
    assert contents(copy) == contents(source)


def test_the_end_is_declared_last_and_forgets_an_earlier_failure(source: RunFolder, tmp_path: Path) -> None:
    copy = RunFolder(tmp_path / "here")
    copy.path.mkdir()
    copy.fail("out of memory", "")
    write(copy, Mirror(source).changes())
    assert copy.failure() == Failure("out of memory", "", attempts=1)
    (source.path / "run.json").write_text(json.dumps({"status": "finished"}))
    write(copy, Mirror(source).changes())
    assert copy.finished
    assert copy.failure() is None
    assert FILES[-1] == "run.json"


def test_checkpoints_of_one_content_are_kept_once(source: RunFolder, tmp_path: Path) -> None:
    shutil.copy(source.last, source.best)
    copy = RunFolder(tmp_path / "here")
    copy.path.mkdir()
    write(copy, Mirror(source).changes())
    assert copy.best.samefile(copy.last)
    write(copy, {"last.pt": b"the next epoch"})
    assert copy.best.read_bytes() == source.best.read_bytes()


def test_a_file_of_the_same_size_and_time_is_sent_again_where_it_is_another_file(source: RunFolder) -> None:
    mirror = Mirror(source)
    mirror.changes()
    before = source.last.stat()
    (source.path / "new").write_text("last.pt 9")
    (source.path / "new").replace(source.last)
    os.utime(source.last, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert mirror.changes() == {"last.pt": b"last.pt 9"}
    source.last.write_text("last.pt 8")
    os.utime(source.last, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert mirror.changes() == {"last.pt": b"last.pt 8"}


def test_files_that_were_set_aside_come_first_in_order(source: RunFolder) -> None:
    for name in ("last.pt.unreadable", "best.pt.unreadable-2", "best.pt.unreadable"):
        (source.path / name).write_text(name)
    assert list(Mirror(source).changes())[:4] == [
        "best.pt.unreadable", "best.pt.unreadable-2", "last.pt.unreadable", "config.json",
    ]  # fmt: skip


def test_only_the_end_is_durable_and_different_checkpoints_stay_two_files(
    source: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    copy = RunFolder(tmp_path / "here")
    copy.path.mkdir()
    write(copy, Mirror(source).changes())
    assert synced == []
    assert not copy.best.samefile(copy.last)
    write(copy, {"run.json": b"{}"})  # there was no failure to forget
    assert len(synced) == 1
