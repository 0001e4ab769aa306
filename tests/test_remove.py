"""`ablate rm` and `ablate du`: what takes room, and how it is freed without taking anything from another study."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from ablation.cli.main import main
from ablation.storage.store import Store

from .stored import Stored, StoredVariant, write_study

SHARED = StoredVariant("dropout=0", {"model.dropout": 0.0})


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    """Two studies of two seeds: 4 runs are of both, 2 of each alone; one run belongs to none."""
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "results", (SHARED, StoredVariant("wide", {"model.width": 2.0})), (0, 1), name="other")
    write_study(tmp_path / "results", (StoredVariant("thin", {"model.width": 0.5}),), (5,), name="gone")
    store = Store(tmp_path / "results")
    store.study_file("gone").unlink()
    store.study_file("gone").parent.rmdir()
    batch = StoredVariant("norm=batch", {"model.norm": "batch"})
    return write_study(tmp_path / "results", (SHARED, batch), (0, 1), name="dropout")


def runs() -> set[str]:
    return {path.name for path in Path("results/runs").iterdir()}


def tree() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path("results").rglob("*") if path.is_file()}


def test_nothing_is_removed_without_yes(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree()
    assert main(["rm", "dropout", "--orphans"]) == 0
    out = capsys.readouterr().out
    assert "study dropout\n" in out
    assert "4 runs kept, which another study uses" in out
    assert "1 study, 4 runs; nothing was removed yet, --yes removes it" in out
    assert tree() == before


def test_a_study_goes_without_the_runs_of_another_one(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    alone = {stored.manifest.run_folder("norm=batch", seed) for seed in (0, 1)}
    before = runs()
    assert main(["rm", "dropout", "--yes"]) == 0
    assert runs() == before - alone
    assert not stored.store.study_file("dropout").parent.exists()
    assert main(["status", "other"]) == 0
    assert "6 finished" in capsys.readouterr().out
    assert {path.name for path in Path("results").iterdir()} == {"runs", "studies"}


def test_two_studies_go_with_the_runs_that_they_share(stored: Stored) -> None:
    assert main(["rm", "dropout", "other", "--yes"]) == 0
    assert len(runs()) == 2  # those of no study
    assert main(["rm", "--orphans", "--yes"]) == 0
    assert runs() == set()


def test_a_run_that_two_studies_use_is_not_removed(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree()
    assert main(["rm", "dropout:dropout=0:1", "--yes"]) == 1
    assert "is used by dropout, other" in capsys.readouterr().err
    assert tree() == before


def test_a_run_that_is_named_goes_and_its_study_lacks_it(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rm", "dropout:norm=batch:1", "--yes"]) == 0
    assert stored.manifest.run_folder("norm=batch", 1) not in runs()
    capsys.readouterr()
    assert main(["status", "dropout"]) == 0
    assert "5 finished, 1 not started" in capsys.readouterr().out


def test_nothing_goes_while_the_study_is_being_trained(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    before = runs()
    lock = stored.store.run(stored.manifest.run_folder("baseline", 0)).path / "lock"
    with FileLock(lock):
        for words in (["dropout"], ["dropout:norm=batch:1"]):
            assert main(["rm", *words, "--yes"]) == 1
            assert "1 run of it is being trained" in capsys.readouterr().err
    assert runs() == before


def test_nothing_goes_where_it_is_not_known_what_a_study_uses(
    stored: Stored, capsys: pytest.CaptureFixture[str]
) -> None:
    stored.store.study_file("other").write_text("{")
    before = tree()
    assert main(["rm", "--orphans", "--yes"]) == 1
    assert "which runs that study uses is not known" in capsys.readouterr().err
    assert tree() == before


def test_a_removal_that_is_killed_leaves_no_half_run(stored: Stored) -> None:
    """Killed within the deletion; every run that is still there is whole, and the next removal clears up."""
    killed = """
import os, shutil
from ablation.cli.main import main
shutil.rmtree = lambda path: os._exit(9)
main(["rm", "dropout", "--yes"])
"""
    assert subprocess.run([sys.executable, "-c", killed], check=False).returncode == 9
    assert not stored.store.study_file("dropout").exists()
    for name in runs():
        assert {path.name for path in (Path("results/runs") / name).iterdir()} == {
            "config.json", "epochs.jsonl", "run.json",
        }  # fmt: skip
    assert main(["rm", "--orphans", "--yes"]) == 0
    assert {path.name for path in Path("results").iterdir()} == {"runs", "studies"}


def test_what_is_lost_with_a_study_is_said_before(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    stored.store.study_file("dropout").with_name("openings.jsonl").touch()
    assert main(["rm", "dropout"]) == 0
    assert "the record of its evaluations on the test set" in capsys.readouterr().err
    assert main(["rm"]) == 1
    assert "nothing is named" in capsys.readouterr().err


def test_disk_use_counts_every_file_once(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    folder = stored.store.run(stored.manifest.run_folder("norm=batch", 0)).path
    (folder / "last.pt").write_bytes(bytes(5000))
    os.link(folder / "last.pt", folder / "best.pt")
    (folder / "predictions.npz").write_bytes(bytes(700))
    cache = Path("results/data/digits")
    cache.mkdir(parents=True)
    (cache / "images.npy").write_bytes(bytes(300))
    assert main(["du", "--json"]) == 0
    usage = json.loads(capsys.readouterr().out)
    rooms = {own["study"]: own for own in usage["studies"]}
    assert rooms["dropout"]["room"]["kinds"]["weights"] == 5000
    assert rooms["dropout"]["room"]["kinds"]["predictions"] == 700
    assert (rooms["dropout"]["runs"], rooms["other"]["runs"], usage["orphans"]["runs"]) == (6, 6, 2)
    assert usage["caches"] == 300
    own = {path.stat().st_ino: path.stat().st_size for path in Path("results").rglob("*") if path.is_file()}
    assert usage["total"] == sum(own.values())
    alone = [stored.manifest.run_folder("norm=batch", seed) for seed in (0, 1)]
    sizes = {p.stat().st_ino: p.stat().st_size for name in alone for p in Path("results/runs", name).iterdir()}
    assert rooms["dropout"]["own"] == sum(sizes.values())
    assert main(["du"]) == 0
    out = capsys.readouterr().out
    assert "no study uses 2 runs" in out
    assert "(no study)" in out
