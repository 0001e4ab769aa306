"""`ablate verify`: what was tampered with is found, and runs that come out again are told from those that do not."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ablation.cli.main import main
from ablation.report import write_report
from ablation.results.same_bits import Trained, differing_bits, differing_environment
from ablation.storage.store import RunFolder

from .conftest import Ablate
from .stored import Stored, with_metrics, write_study


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    monkeypatch.chdir(tmp_path)
    found = write_study(tmp_path / "results", seeds=(0, 1), name="dropout")
    write_report(found.store, found.manifest, tmp_path / "reports" / "dropout")
    return found


def faults(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("fault: ")]


def test_an_untouched_study_has_no_faults(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "dropout", "--runs", "0"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "dropout: 20 files of 10 finished runs checked",
        "the tables and claims in reports/dropout/ are what the results give",
        "0 faults in stored files",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("run.json", '"val_accuracy": 0.', '"val_accuracy": 0.9'),
        ("epochs.jsonl", '"val_accuracy": 0.', '"val_accuracy": 0.9'),
        ("config.json", '"seed": 0', '"seed": 1'),
    ],
)
def test_a_changed_number_in_a_run_is_found(
    stored: Stored, capsys: pytest.CaptureFixture[str], name: str, old: str, new: str
) -> None:
    path = stored.store.run(stored.manifest.run_folder("baseline", 0)).path / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert main(["verify", "dropout", "--runs", "0"]) == 1
    assert any(path.parent.name in line and "SHA-256 does not match" in line for line in faults(capsys))


@pytest.mark.slow
def test_weights_are_checked_to_the_last_byte_and_stay_where_they_are(
    stored: Stored, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stored.store.run(stored.manifest.run_folder("baseline", 0))
    folder.best.write_bytes(bytes(1000))
    record = folder.record()
    assert record is not None
    folder.finish(record)
    assert main(["verify", "dropout", "--runs", "0"]) == 0
    folder.best.write_bytes(bytes(999) + b"\1")
    capsys.readouterr()
    assert main(["verify", "dropout", "--runs", "0"]) == 1
    assert faults(capsys) == [
        f"fault: {folder.best.relative_to(Path.cwd())} has changed since the run ended: its SHA-256 does not match"
    ]
    folder.best.unlink()  # to make room
    assert main(["verify", "dropout", "--runs", "0"]) == 0


@pytest.mark.slow
def test_a_changed_study_is_an_error(stored: Stored, capsys: pytest.CaptureFixture[str]) -> None:
    path = stored.store.study_file("dropout")
    path.write_text(path.read_text().replace('"alpha": 0.05', '"alpha": 0.1'))
    assert main(["verify", "dropout", "--runs", "0"]) == 1
    assert "study.json has changed since it was written" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("table", ["runs.csv", "epochs.csv"])
def test_a_changed_number_in_a_table_of_the_report_is_found(
    stored: Stored, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    path = Path("reports/dropout") / table
    lines = path.read_text().splitlines(keepends=True)
    cells, names = lines[2].split(","), lines[0].split(",")
    place = names.index("val_accuracy")
    value, cells[place] = cells[place], "0.999"
    path.write_text("".join([*lines[:2], ",".join(cells), *lines[3:]]))
    assert main(["verify", "dropout", "--runs", "0"]) == 1
    assert faults(capsys) == [
        f"fault: {path} is not what the results give now: line 3, val_accuracy: 0.999 instead of {value}; "
        "`ablate report` writes it again"
    ]


@pytest.mark.slow
def test_a_changed_claim_is_found_and_another_language_is_none(
    stored: Stored, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("reports/dropout/analysis.json")
    assert main(["report", "dropout", "--lang", "zh"]) == 0
    assert main(["verify", "dropout", "--runs", "0"]) == 0
    values = json.loads(path.read_text())
    values["margin"] = 0.5
    path.write_text(json.dumps(values))
    capsys.readouterr()
    assert main(["verify", "dropout", "--runs", "0"]) == 1
    assert faults(capsys) == [
        f"fault: {path} is not what the results give now: margin; `ablate report` writes it again"
    ]


def trained_run(stored: Stored) -> Trained:
    folder = stored.store.run(stored.manifest.run_folder("baseline", 0))
    record = folder.record()
    assert record is not None
    return Trained(record, folder.epochs())


@pytest.mark.slow
def test_times_are_no_difference_and_everything_else_is(stored: Stored) -> None:
    was = trained_run(stored)
    slower = [replace(row, seconds=9.0, images_per_second=1.0, peak_memory_mb=7.0) for row in was.epochs]
    assert list(differing_bits(was, Trained(replace(was.record, train_seconds=99.0), slower))) == []
    rows = [with_metrics(row, val_loss=0.5) if row.epoch > 2 else row for row in was.epochs]
    (seen,) = differing_bits(was, Trained(was.record, rows))
    assert seen.startswith("epoch 3: val_loss 0.5 instead of ")
    (seen,) = differing_bits(was, Trained(was.record, was.epochs[:-1]))
    assert seen == "5 epochs instead of 6"
    (seen,) = differing_bits(was, Trained(replace(was.record, weights_sha256="ab" * 32), was.epochs))
    assert seen.startswith("weights: SHA-256 abababababab instead of ")


@pytest.mark.slow
def test_what_may_change_the_bits_is_named(stored: Stored) -> None:
    was = trained_run(stored).record.environment
    assert list(differing_environment(was, replace(was, streamed=True))) == []
    now = replace(was, torch="3.0", threads=4)
    assert list(differing_environment(was, now)) == ["torch is 3.0, and was 2.9.1", "threads is 4, and was 1"]


FUNCTION = """\
study: own
task: {function: "train:main"}
metrics: {val_loss: {direction: lower}}
baseline: {lr: 0.1}
seeds: [0, 1]
vary: {lr: [0.2]}
"""
CODE = """\
def main(options, run):
    for epoch in range(3):
        run.log(val_loss=options["lr"] * run.seed + EXTRA)
"""


def findings(output: str) -> list[str]:
    """The lines of a command without those of training, whose order and times are those of two workers."""
    return [line for line in output.splitlines() if not re.match(r"\d+/\d+ ", line)]


@pytest.mark.slow
def test_runs_of_a_function_come_out_again_or_do_not(ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(FUNCTION)
    (tmp_path / "train.py").write_text(CODE.replace("EXTRA", "0"))
    assert ablate("run", "own.yaml").returncode == 0
    done = ablate("verify", "own", "--runs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("equal          ") == 2
    assert "the metrics of 3 epochs, to the bit" in done.stdout
    assert "2 runs trained again: 2 equal, 0 different, 0 not comparable, 0 failed" in done.stdout
    assert findings(ablate("verify", "own", "--runs", "2").stdout) == findings(done.stdout)
    (tmp_path / "train.py").write_text(CODE.replace("EXTRA", "1"))
    changed = ablate("verify", "own", "--runs", "1")
    assert changed.returncode == 0
    assert "not comparable train" not in changed.stdout
    assert "data, code or options are not here as they were" in changed.stdout


@pytest.mark.slow
def test_a_function_that_is_not_reproducible_is_found(ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(FUNCTION)
    (tmp_path / "train.py").write_text("import os\n" + CODE.replace("EXTRA", "os.urandom(1)[0]"))
    assert ablate("run", "own.yaml").returncode == 0
    done = ablate("verify", "own", "--runs", "4")
    assert done.returncode == 1
    assert "different      " in done.stdout
    assert "epoch 1: val_loss " in done.stdout


@pytest.mark.slow
def test_weights_that_were_replaced_with_their_digests_are_found_by_training(
    trained: Path, tmp_path: Path, ablate: Ablate
) -> None:
    shutil.copytree(trained / "results", tmp_path / "results")
    assert ablate("verify", "tiny", "--runs", "2", "--device", "cpu").returncode == 0
    for path in (tmp_path / "results" / "runs").iterdir():
        folder = RunFolder(path)
        record = folder.record()
        assert record is not None
        folder.finish(replace(record, weights_sha256="ab" * 32))  # by someone who knows how records are sealed
    assert ablate("verify", "tiny", "--runs", "0").returncode == 0
    done = ablate("verify", "tiny", "--runs", "1", "--device", "cpu")
    assert done.returncode == 1
    assert "instead of abababababab" in done.stdout
