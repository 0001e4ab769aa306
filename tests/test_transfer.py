"""`ablate export` and `ablate import FILE`: a study on another machine, and what is refused on the way there."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from ablation.cli.main import main
from ablation.errors import UserError
from ablation.execution import transfer
from ablation.execution.transfer import Places, import_study
from ablation.storage import archive as archives
from ablation.storage.archive import open_archive, write_archive
from ablation.storage.sealed import seal
from ablation.storage.store import Store

from .conftest import ABLATE
from .stored import Stored, write_study

TWO = (0, 1)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where `ablate` is started, with a study that was exported."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def stored(here: Path) -> Stored:
    found = write_study(here / "results", seeds=TWO, name="dropout")
    for name in ("best.pt", "last.pt"):
        for run in (here / "results" / "runs").iterdir():
            (run / name).write_bytes(run.name.encode() * 100)
    return found


@pytest.fixture
def archive(stored: Stored, here: Path) -> Path:
    assert main(["export", "dropout"]) == 0
    return here / "dropout.ablation"


def tree(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("lock"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "elsewhere" / "deeper"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
def test_a_study_that_moves_gives_the_same_report_to_the_byte(trained: Path, tmp_path: Path) -> None:
    def ablate(folder: Path, *words: str) -> str:
        environment = {**os.environ, "USER": folder.name, "LOGNAME": folder.name, "HOME": str(folder)}
        done = subprocess.run(
            [*ABLATE, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    first, second = tmp_path / "first", tmp_path / "second" / "place"
    shutil.copytree(trained, first, ignore=shutil.ignore_patterns("reports"))
    second.mkdir(parents=True)
    (first / "reports" / "tiny").mkdir(parents=True)
    (first / "reports" / "tiny" / "discussion.md").write_text("Dropout *hurts* here.\n")
    (first / "reports" / "tiny" / "interpretation.md").write_text("So it seems.\n")
    ablate(first, "report", "tiny")
    assert "Worst mistakes" in (first / "reports" / "tiny" / "report.html").read_text()
    assert "6 runs" in ablate(first, "export", "tiny", "--no-weights", "--out", str(second / "tiny.ablation"))
    said = ablate(second, "import", "tiny.ablation", "--results", "moved")
    assert said.splitlines() == ["tiny: 6 runs imported", "next: ablate report tiny --results moved"]
    assert not (second / "moved" / "data").exists()
    ablate(second, "report", "tiny", "--results", "moved")
    assert tree(second / "reports" / "tiny") == tree(first / "reports" / "tiny")
    again = ablate(second, "export", "tiny", "--no-weights", "--results", "moved", "--out", "again.ablation")
    assert again.startswith("again.ablation: tiny, 6 runs without weights, ")
    assert (second / "again.ablation").read_bytes() == (second / "tiny.ablation").read_bytes()


def test_every_file_of_the_runs_arrives_and_the_same_files_give_the_same_archive(
    stored: Stored, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "results" / "studies" / "dropout" / "estimate.json").write_text("{}")
    assert main(["export"]) == 0
    content = (here / "dropout.ablation").read_bytes()
    for path in (here / "results").rglob("*"):
        os.utime(path, (1, 1))
    assert main(["export", "dropout", "--out", "second"]) == 0
    assert (here / "second").read_bytes() == content
    assert "dropout.ablation: dropout, 10 runs, 51 files, " in capsys.readouterr().out
    there = elsewhere(tmp_path, monkeypatch)
    assert main(["import", str(here / "dropout.ablation")]) == 0
    expected = tree(here / "results")
    del expected["studies/dropout/estimate.json"]  # it is of the other machine
    assert tree(there / "results") == expected


def test_equal_files_are_stored_once(stored: Stored, archive: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        names = content.namelist()
    assert sum(name.endswith("best.pt") for name in names) == 10
    assert not any(name.endswith("last.pt") for name in names)


def test_an_archive_without_weights_has_what_a_report_reads(
    stored: Stored, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = next((here / "results" / "runs").iterdir())
    (run / "embedding.bin").write_bytes(b"written by the code of the study")
    assert main(["export", "--no-weights"]) == 0
    there = elsewhere(tmp_path, monkeypatch)
    assert main(["import", str(here / "dropout.ablation")]) == 0
    kept = {path.name for path in (there / "results" / "runs").rglob("*") if path.is_file()}
    assert kept == {"config.json", "epochs.jsonl", "run.json"}
    monkeypatch.chdir(here)
    assert main(["export", "--out", "with.ablation"]) == 0
    monkeypatch.chdir(there)
    assert main(["import", str(here / "with.ablation")]) == 0  # what was missing is added
    assert (there / "results" / "runs" / run.name / "embedding.bin").is_file()


def test_a_pickle_stays_where_it_is(stored: Stored, here: Path, archive: Path) -> None:
    run = next((here / "results" / "runs").iterdir())
    (run / "state.pickle").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert main(["export", "--out", "again"]) == 0
    with open_archive(here / "again") as content:
        assert not [name for name in content.index.files if "pickle" in name]


@pytest.mark.parametrize("place", [0, 0.2, 0.5, 0.8, "end"])
def test_one_flipped_byte_is_refused_and_nothing_is_written(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: object
) -> None:
    content = bytearray(archive.read_bytes())
    at = len(content) - 1 if place == "end" else int(float(str(place)) * len(content))
    content[at] ^= 1
    there = elsewhere(tmp_path, monkeypatch)
    (there / "bad.ablation").write_bytes(content)
    assert main(["import", "bad.ablation"]) == 1
    assert "bad.ablation" in capsys.readouterr().err
    assert [path.name for path in there.iterdir()] == ["bad.ablation"]


def test_no_byte_of_an_archive_can_change_unnoticed(archive: Path, tmp_path: Path) -> None:
    content = archive.read_bytes()
    chance = random.Random(0)
    for at in chance.sample(range(len(content)), 60):
        bad = tmp_path / "bad"
        bad.write_bytes(content[:at] + bytes([content[at] ^ (1 << chance.randrange(8))]) + content[at + 1 :])
        with pytest.raises(UserError), open_archive(bad):
            pass
    for cut in (1, 100, len(content) // 2, len(content) - 1, len(content)):
        bad.write_bytes(content[: len(content) - cut])
        with pytest.raises(UserError), open_archive(bad):
            pass


def test_what_is_here_already_is_kept_where_it_is_the_same(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = elsewhere(tmp_path, monkeypatch)
    assert main(["import", str(archive)]) == 0
    run = next((there / "results" / "runs").iterdir())
    before = (run / "run.json").stat()
    shutil.rmtree(next(own for own in (there / "results" / "runs").iterdir() if own != run))
    capsys.readouterr()
    assert main(["import", str(archive)]) == 0
    assert "dropout: 1 run imported, 9 runs here already" in capsys.readouterr().out
    assert (run / "run.json").stat().st_ino == before.st_ino


def test_what_is_here_already_and_differs_is_an_error_that_changes_nothing(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = elsewhere(tmp_path, monkeypatch)
    assert main(["import", str(archive)]) == 0
    runs = sorted((there / "results" / "runs").iterdir())
    shutil.rmtree(runs[0])
    text = (runs[1] / "epochs.jsonl").read_text()
    (runs[1] / "epochs.jsonl").write_text(text.replace("1", "2", 1))
    before = tree(there / "results")
    assert main(["import", str(archive)]) == 1
    error = capsys.readouterr().err
    assert f"{runs[1].relative_to(there)}/epochs.jsonl is here already, and is not the one in" in error
    assert "--results DIR" in error
    assert tree(there / "results") == before


def test_a_text_of_the_author_is_never_replaced(
    stored: Stored, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "reports" / "dropout").mkdir(parents=True)
    (here / "reports" / "dropout" / "discussion.md").write_text("mine")
    assert main(["export"]) == 0
    there = elsewhere(tmp_path, monkeypatch)
    (there / "reports" / "dropout").mkdir(parents=True)
    (there / "reports" / "dropout" / "discussion.md").write_text("theirs")
    assert main(["import", str(here / "dropout.ablation")]) == 1
    assert "reports/dropout/discussion.md is here already" in capsys.readouterr().err
    assert not (there / "results").exists()


def test_an_import_that_is_killed_leaves_no_study_and_only_whole_runs(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after each of its moves in turn; the next import takes up what is there, and clears up."""
    there = elsewhere(tmp_path, monkeypatch)
    killed = f"""
import os, sys
from pathlib import Path
from ablation.execution import transfer
from ablation.execution.transfer import Places, import_study
from ablation.storage.store import Store
own, left = transfer._Import._move, [int(sys.argv[1])]
def move(self, source, target):
    if not left[0]:
        os._exit(9)
    left[0] -= 1
    own(self, source, target)
transfer._Import._move = move
import_study(Path({str(archive)!r}), Places(Store(Path("results"))))
"""
    whole = {"best.pt", "config.json", "epochs.jsonl", "last.pt", "run.json"}
    for moves, total in ((0, 0), (4, 4), (6, 10)):
        done = subprocess.run([sys.executable, "-c", killed, str(moves)], cwd=there, check=False)
        assert done.returncode == 9
        assert not (there / "results" / "studies" / "dropout").exists()
        runs = [*(there / "results" / "runs").iterdir()] if moves else []
        assert len(runs) == total
        assert all({path.name for path in run.iterdir()} == whole for run in runs)
    assert main(["import", str(archive)]) == 0
    assert main(["status", "dropout"]) == 0
    assert not [path for path in (there / "results").iterdir() if path.name.startswith(transfer.STAGING)]


def test_two_imports_at_a_time_do_not_meet(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "other"
    root.mkdir()
    with FileLock(root / "import.lock"):
        assert main(["import", str(archive), "--results", str(root)]) == 1
    assert "another command is importing into" in capsys.readouterr().err


def test_a_study_in_training_is_neither_exported_nor_imported_over(
    archive: Path, stored: Stored, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = next((here / "results" / "runs").iterdir())
    with FileLock(run / "lock"):
        assert main(["export"]) == 1
        assert "1 run of 'dropout' is being trained" in capsys.readouterr().err
        assert main(["import", str(archive)]) == 1
    assert main(["export"]) == 0


def test_an_import_needs_room(archive: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(transfer, "free_space", lambda _: 10)
    with pytest.raises(UserError, match="bytes, and 10 are free"):
        import_study(archive, Places(Store(tmp_path / "r")))
    assert not (tmp_path / "r").exists()


def crafted(folder: Path, archive: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """An archive with a right digest, whose files were changed by whoever made it."""
    files: dict[str, bytes] = {}
    with zipfile.ZipFile(archive) as content, open_archive(archive) as own:
        places = archives._places(own.index)
        for name, known in own.index.files.items():
            files[name] = content.read(places[known.sha256])
    change(files)
    bad = folder / "crafted.ablation"
    write_archive(bad, "dropout", files, complete=True)
    return bad


@pytest.mark.parametrize(
    "name",
    [
        "../outside.txt", "results/../../outside.txt", "/etc/outside", "results/runs/other-s0-1/run.json",
        "results/studies/other/study.json", "results/verdicts.jsonl", "working/.bashrc", "report/report.html",
        "C:/outside", "results\\outside", "results/runs//x", "unknown/x",
    ],
)  # fmt: skip
def test_a_file_that_does_not_belong_to_the_study_is_refused(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    bad = crafted(tmp_path, archive, lambda files: files.update({name: b"x"}))
    there = elsewhere(tmp_path, monkeypatch)
    assert main(["import", str(bad)]) == 1
    assert "crafted.ablation" in capsys.readouterr().err
    assert [*there.iterdir()] == []


def test_a_pickle_in_an_archive_is_refused(archive: Path, tmp_path: Path, stored: Stored) -> None:
    run = stored.manifest.run_folder("baseline", 0)
    name = f"results/runs/{run}/state.pickle"
    bad = crafted(tmp_path, archive, lambda files: files.update({name: b"x"}))
    with pytest.raises(UserError, match="not of its study"):
        import_study(bad, Places(Store(tmp_path / "r")))


def redigested(folder: Path, build: Callable[[zipfile.ZipFile], None]) -> Path:
    """A ZIP archive of any content with the comment that ours have."""
    path = folder / "made.ablation"
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"0" * archives._COMMENT
        build(archive)
    with path.open("rb+") as file:
        comment = archives._comment(path)
        file.seek(-len(comment), 2)
        file.write(comment)
    return path


def index(**files: bytes) -> bytes:
    stamps = {name: {"bytes": len(own), "sha256": hashlib.sha256(own).hexdigest()} for name, own in files.items()}
    values = seal({"schema_version": 1, "study": "x", "complete": True, "files": stamps})
    return json.dumps(values).encode()


def link(archive: zipfile.ZipFile) -> None:
    archive.writestr("index.json", index(link=b"/etc"))
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    archive.writestr(info, b"/etc")


def bomb(archive: zipfile.ZipFile) -> None:
    content = bytes(10_000_000)
    archive.writestr("index.json", index(bomb=content))
    info = zipfile.ZipInfo("bomb")
    info.create_system, info.external_attr = 3, 0o100644 << 16
    archive.writestr(info, content, zipfile.ZIP_DEFLATED)


def uninvited(archive: zipfile.ZipFile) -> None:
    archive.writestr("index.json", index())
    archive.writestr("more", b"x")


def no_index(archive: zipfile.ZipFile) -> None:
    archive.writestr("more", b"x")


@pytest.mark.parametrize("build", [link, bomb, uninvited, no_index])
def test_links_compressed_members_and_files_outside_of_the_index_are_refused(
    tmp_path: Path, build: Callable[[zipfile.ZipFile], None]
) -> None:
    path = redigested(tmp_path, build)
    with pytest.raises(UserError), open_archive(path):
        pass


def test_members_that_overlap_cannot_grow_beyond_the_archive(tmp_path: Path) -> None:
    """Many entries of the directory at one stored content, as a bomb without compression has them."""
    content = bytes(1000)
    stamps = {f"f{n}": {"bytes": 1000, "sha256": f"{n:064}"} for n in range(50)}
    text = json.dumps(seal({"schema_version": 1, "study": "x", "complete": True, "files": stamps})).encode()

    def build(archive: zipfile.ZipFile) -> None:
        archive.writestr("index.json", text)
        for n in range(50):
            info = zipfile.ZipInfo(f"f{n}")
            info.create_system, info.external_attr = 3, 0o100644 << 16
            if n == 0:
                archive.writestr(info, content)
                first = archive.filelist[-1]
            else:
                info.header_offset, info.CRC = first.header_offset, first.CRC
                info.file_size = info.compress_size = 1000
                archive.filelist.append(info)
                archive.NameToInfo[info.filename] = info

    path = redigested(tmp_path, build)
    with pytest.raises(UserError, match="larger than it is"), open_archive(path):
        pass


def test_a_logo_travels_where_its_path_leads_to_the_same_place(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from ablation.storage.store import write_record

    stored = write_study(here / "results", seeds=TWO, name="dropout")
    for logo in ("art/logo.png", "/nowhere/logo.png"):
        manifest = replace(stored.manifest, report={"logo": logo})
        write_record(stored.store.study_file("dropout"), manifest.to_json())
        (here / "art").mkdir(exist_ok=True)
        (here / "art" / "logo.png").write_bytes(b"a picture")
        assert main(["export"]) == 0
        assert ("notice" in capsys.readouterr().err) == logo.startswith("/")
        if logo.startswith("art"):
            there = elsewhere(tmp_path, monkeypatch)
            assert main(["import", str(here / "dropout.ablation")]) == 0
            assert (there / "art" / "logo.png").read_bytes() == b"a picture"
            monkeypatch.chdir(here)


def test_what_is_no_archive_is_said_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "nothing.ablation"]) == 1
    assert "there is no file nothing.ablation" in capsys.readouterr().err
    (here / "text").write_text("text")
    assert main(["import", "text"]) == 1
    assert "text is no archive of a study" in capsys.readouterr().err
    assert main(["import", "mlfow", "x"]) == 1
    assert "did you mean 'mlflow'?" in capsys.readouterr().err
    assert main(["import", "mlflow", "x", "--vary", "lr"]) == 1
    assert "--seed, --metric is missing" in capsys.readouterr().err
