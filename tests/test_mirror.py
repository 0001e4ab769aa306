"""A run folder at two places: what is sent, in which order it is written, and what may be lost on the way."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ablation.mirror import FILES, Mirror, contents, write
from ablation.store import Failure, RunFolder


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
