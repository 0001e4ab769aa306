"""What a week may bring, injected for real: what is lost, and what the user reads. docs/faults.md is made of these."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablation.storage.store import Store

from .conftest import ABLATE, TINY, Ablate
from .test_run import results, same, start, wait_for, workers_of

pytestmark = pytest.mark.slow

LONG = TINY.replace("epochs: 3", "epochs: 25")
OWN = """\
import os, time
from pathlib import Path
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes, in_channels):
        super().__init__()
        self.output = nn.Linear(64 * in_channels, classes)
    def forward(self, x):
        if self.training and not os.environ.get("SOUND"):
            {fault}
        return self.output(x.flatten(1))
"""
ONCE = "if not Path('{flag}').exists(): Path('{flag}').touch(); {fault}"
OWN_STUDY = """\
study: own
baseline:
  data: {name: digits, validation: 0.2, limit: 200}
  model: {name: "mine:Net"}
  optimizer: {name: sgd, lr: 0.05}
  train: {epochs: 2, batch_size: 32}
seeds: [0]
"""
OUT_OF_MEMORY = "torch.empty(2**60, dtype=torch.uint8)"


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the long study ran undisturbed."""
    folder = tmp_path_factory.mktemp("quiet")
    (folder / "tiny.yaml").write_text(LONG, encoding="utf-8")
    subprocess.run([*ABLATE, "run", "tiny.yaml"], cwd=folder, check=True, capture_output=True, timeout=120)
    return folder


@pytest.fixture
def long(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(LONG, encoding="utf-8")
    return tmp_path


def own(folder: Path, fault: str) -> None:
    """A study of a network of the user's own, which does `fault` at its first training step."""
    (folder / "own.yaml").write_text(OWN_STUDY, encoding="utf-8")
    (folder / "mine.py").write_text(OWN.format(fault=fault), encoding="utf-8")


def under_way(folder: Path, epochs: int = 2, runs: int = 1) -> None:
    """Wait until some runs have saved so many epochs."""

    def saved() -> bool:
        rows = [path.read_bytes().count(b"\n") for path in folder.glob("results/runs/*/epochs.jsonl")]
        return sum(count >= epochs for count in rows) >= runs

    wait_for(saved)


def ended(process: subprocess.Popen[str]) -> str:
    output = process.communicate(timeout=120)[0]
    assert "Traceback" not in output, output
    return output


def go_on(folder: Path, quiet: Path) -> None:
    """The same command again ends with the results of the undisturbed run."""
    again = subprocess.run([*ABLATE, "run", "tiny.yaml"], cwd=folder, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stdout + again.stderr
    same(results(quiet, "tiny"), results(folder, "tiny"))


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "hang-up"])
def test_a_signal_ends_the_epochs_under_way_and_saves_them(number: signal.Signals, long: Path, quiet: Path) -> None:
    process = start(long, "tiny.yaml")
    under_way(long)
    os.killpg(process.pid, number)
    output = ended(process)
    assert process.returncode == 1
    assert "the same command resumes from here" in output
    go_on(long, quiet)


def test_under_nohup_a_hang_up_is_ignored(long: Path, quiet: Path) -> None:
    with (long / "log").open("w") as log:
        process = subprocess.Popen(["nohup", *ABLATE, "run", "tiny.yaml"], cwd=long, stdout=log, stderr=log)
        under_way(long)
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=120) == 0
    assert "6 runs trained" in (long / "log").read_text(encoding="utf-8")
    same(results(quiet, "tiny"), results(long, "tiny"))


def test_ctrl_c_twice_leaves_at_once(long: Path, quiet: Path) -> None:
    process = start(long, "tiny.yaml", "--set", "train.epochs=100000")
    under_way(long)
    for worker in workers_of(process.pid):
        os.kill(worker, signal.SIGSTOP)  # the epochs under way never end
    process.send_signal(signal.SIGINT)
    wait_for(lambda: "stopping after" in (process.stdout.readline() if process.stdout else ""))
    process.send_signal(signal.SIGINT)
    assert "stopped immediately; the same command resumes each run from its last complete epoch" in ended(process)
    assert process.returncode == 1


# Workers


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_worker_that_dies_costs_its_epoch_under_way(number: signal.Signals, long: Path, quiet: Path) -> None:
    process = start(long, "tiny.yaml")
    under_way(long)
    os.kill(workers_of(process.pid)[0], number)
    ended(process)
    assert process.returncode == 0
    same(results(quiet, "tiny"), results(long, "tiny"))


def test_a_worker_that_leaves_is_replaced(ablate: Ablate, tmp_path: Path) -> None:
    own(tmp_path, ONCE.format(flag=tmp_path / "flag", fault="os._exit(3)"))
    result = ablate("run", "own.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "the worker process died (exit code 3)" in result.stdout


def test_a_worker_that_hangs_is_ended_and_its_run_goes_on(long: Path, quiet: Path) -> None:
    process = start(long, "tiny.yaml", "--hang-after", "0.05")
    under_way(long)
    os.kill(workers_of(process.pid)[0], signal.SIGSTOP)
    output = ended(process)
    assert process.returncode == 0, output
    assert "the worker reported no progress for 3.0 s and was ended (--hang-after)" in output
    same(results(quiet, "tiny"), results(long, "tiny"))


def test_status_tells_a_run_under_way_from_an_interrupted_one(long: Path, ablate: Ablate) -> None:
    process = start(long, "tiny.yaml", "--per-device", "1")
    under_way(long)
    (worker,) = workers_of(process.pid)
    os.kill(worker, signal.SIGSTOP)  # it stays in the run that it trains
    status = ablate("status").stdout
    os.kill(worker, signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    ended(process)
    assert "1 running, 5 not started" in status
    assert "1 interrupted, 5 not started" in ablate("status").stdout


def test_without_memory_a_run_is_tried_once_more_alone(ablate: Ablate, tmp_path: Path) -> None:
    own(tmp_path, ONCE.format(flag=tmp_path / "flag", fault=OUT_OF_MEMORY))
    result = ablate("run", "own.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "can't allocate memory" in result.stdout


def test_a_run_that_never_has_memory_is_marked_and_shown_with_its_traceback(ablate: Ablate, tmp_path: Path) -> None:
    own(tmp_path, OUT_OF_MEMORY)
    result = ablate("run", "own.yaml")
    assert result.returncode == 2
    assert result.stdout.count("can't allocate memory") == 3  # twice as it happened, once in the end
    status = ablate("status").stdout
    assert "1 crashed" in status
    assert "mine.py" in status
    assert ablate("report").returncode == 0
    assert "mine.py" in (tmp_path / "reports" / "own" / "report.html").read_text()
    assert "mine.py" in (tmp_path / "reports" / "own" / "report.md").read_text()


def test_a_run_that_fails_three_times_waits_until_it_is_asked_for(ablate: Ablate, tmp_path: Path) -> None:
    own(tmp_path, "raise ValueError('no such layer')")
    for _ in range(3):
        result = ablate("run", "own.yaml")
        assert result.returncode == 2
        assert "ValueError: no such layer" in result.stdout
    resting = ablate("run", "own.yaml")
    assert resting.returncode == 2
    assert "1 run has failed 3 times and is left out" in resting.stdout
    assert "--retry failed" in resting.stdout
    assert "ValueError" in ablate("run", "own.yaml", "--retry", "failed").stdout


# The results folder


@pytest.fixture
def small_disk(long: Path) -> Iterator[Callable[[str], None]]:
    """results/ on a file system of its own, which can be remounted with other options."""
    place = long / "results"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("may not mount a file system here")

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)

    yield remount
    subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path) -> None:
    """Take all the free space of a file system, whatever else is written to it meanwhile."""
    filler = (place / "filler").open("wb", buffering=0)
    with filler, Path("/dev/zero").open("rb") as zeros, pytest.raises(OSError, match="No space left"):
        shutil.copyfileobj(zeros, filler)


def test_a_full_disk_is_said_and_costs_the_epochs_under_way(
    long: Path, quiet: Path, small_disk: Callable[[str], None]
) -> None:
    process = start(long, "tiny.yaml")
    under_way(long)
    fill(long / "results")
    output = ended(process)
    assert process.returncode == 1
    assert "cannot be written: No space left on device" in output
    (long / "results" / "filler").unlink()
    go_on(long, quiet)


def test_a_read_only_file_system_is_said(long: Path, quiet: Path, small_disk: Callable[[str], None]) -> None:
    small_disk("ro")
    result = subprocess.run([*ABLATE, "run", "tiny.yaml"], cwd=long, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "cannot be written: Read-only file system" in result.stderr
    assert "Traceback" not in result.stderr
    small_disk("rw")
    go_on(long, quiet)


def test_a_folder_that_becomes_read_only_is_said(long: Path, quiet: Path) -> None:
    process = start(long, "tiny.yaml")
    under_way(long)
    folders = [str(path) for path in (long / "results" / "runs").iterdir()]
    if subprocess.run(["chattr", "+i", *folders], capture_output=True).returncode:
        process.kill()
        process.communicate()
        pytest.skip("this file system has no immutable folders, and whoever runs this may write to read-only ones")
    output = ended(process)
    subprocess.run(["chattr", "-i", *folders], check=True)
    assert process.returncode == 1
    assert "cannot be written: Operation not permitted" in output
    go_on(long, quiet)


def test_a_results_folder_that_vanished_is_said(long: Path, quiet: Path) -> None:
    process = start(long, "tiny.yaml")
    under_way(long)
    (long / "results").rename(long / "elsewhere")
    output = ended(process)
    assert process.returncode == 1
    assert "cannot be written: No such file or directory" in output
    shutil.rmtree(long / "results", ignore_errors=True)
    (long / "elsewhere").rename(long / "results")
    go_on(long, quiet)


# Files that are cut off or garbled


def empty(content: bytes) -> bytes:
    return b""


def cut_off(content: bytes) -> bytes:
    return content[: len(content) // 2]


def garbled(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 64]) + content[middle + 64 :]


DAMAGES = (empty, cut_off, garbled)


def test_damaged_files_of_finished_runs_are_set_aside_and_the_runs_trained_again(
    trained: Path, ablate: Ablate, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    cases = [(name, damage) for name in ("run.json", "epochs.jsonl") for damage in DAMAGES]
    folders = sorted((tmp_path / "results" / "runs").iterdir())
    assert len(folders) >= len(cases)
    damaged = {}
    for folder, (name, damage) in zip(folders, cases, strict=False):
        (folder / name).write_bytes(damage((folder / name).read_bytes()))
        damaged[folder / f"{name}.unreadable"] = (folder / name).read_bytes()
    assert f"{len(cases)} damaged" in ablate("status").stdout
    assert ablate("report").returncode == 0
    result = ablate("run", "tiny.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("set aside, the run is trained again") == len(cases), result.stdout
    assert {path: path.read_bytes() for path in damaged} == damaged
    same(results(trained, "tiny"), results(tmp_path, "tiny"))


@pytest.mark.parametrize(
    "damages",
    [
        pytest.param({"last.pt": garbled, "epochs.jsonl": cut_off}, id="last, epochs"),
        pytest.param({"last.pt": empty, "best.pt": garbled}, id="last, best"),
    ],
)
def test_damaged_files_of_interrupted_runs_are_set_aside_and_the_runs_start_again(
    damages: dict[str, Callable[[bytes], bytes]], interrupted: Path, quiet: Path, long: Path
) -> None:
    """One file of each of two runs that were under way."""
    shutil.copytree(interrupted, long, dirs_exist_ok=True)
    under_way = [path.parent for path in (long / "results").rglob("last.pt") if not path.with_name("run.json").exists()]
    damaged = {}
    for folder, (name, damage) in zip(under_way, damages.items(), strict=False):
        content = damage((folder / name).read_bytes())
        (folder / name).unlink()  # the other checkpoint may be the same file
        (folder / name).write_bytes(content)
        damaged[folder / f"{name}.unreadable"] = content
    result = subprocess.run([*ABLATE, "run", "tiny.yaml"], cwd=long, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("set aside, the run") == 2, result.stdout
    assert len(damaged) == 2
    assert {path: path.read_bytes() for path in damaged} == damaged
    same(results(quiet, "tiny"), results(long, "tiny"))


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "tiny.yaml").write_text(LONG, encoding="utf-8")
    process = start(folder, "tiny.yaml", "--per-device", "2")
    under_way(folder, runs=2)
    process.send_signal(signal.SIGINT)
    ended(process)
    return folder


def test_a_garbled_study_json_is_set_aside_and_written_anew(trained: Path, ablate: Ablate, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "results" / "studies" / "tiny" / "study.json"
    path.write_text("{")
    assert ablate("status").returncode == 1
    assert ablate("run", "tiny.yaml").returncode == 0
    assert ablate("status").returncode == 0
    assert path.with_name("study.json.unreadable").read_text() == "{"


# Time, versions, data


def test_a_clock_that_was_set_back_changes_nothing(interrupted: Path, quiet: Path, long: Path) -> None:
    """All that was written so far comes from the future."""
    shutil.copytree(interrupted, long, dirs_exist_ok=True)
    for path in (long / "results").rglob("*"):
        os.utime(path, (4e9, 4e9))
    go_on(long, quiet)


@pytest.mark.parametrize(("version", "advice"), [(99, "update ablation-lab"), (0, "the version that wrote it")])
def test_files_of_another_version_are_left_as_they_are(
    version: int, advice: str, trained: Path, ablate: Ablate, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    path = next((tmp_path / "results" / "runs").glob("*/run.json"))
    values = json.loads(path.read_text()) | {"schema_version": version}
    path.write_text(json.dumps(values))
    for command in (["run", "tiny.yaml"], ["status"], ["report"]):
        result = ablate(*command)
        assert result.returncode == 1
        assert advice in result.stderr
    assert json.loads(path.read_text()) == values


def test_images_that_changed_under_a_study_are_refused(ablate: Ablate, tmp_path: Path) -> None:
    stream = np.random.default_rng(0)
    for number in range(20):
        path = tmp_path / "photos" / "train" / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(stream.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    study = TINY.replace("{name: digits, validation: 0.2, limit: 200}", "{name: image_folder, path: photos, size: 8}")
    (tmp_path / "tiny.yaml").write_text(study.replace("batch_size: 32", "batch_size: 8"), encoding="utf-8")
    assert ablate("run", "tiny.yaml", "--seeds", "0").returncode == 0
    shutil.copy(tmp_path / "photos" / "train" / "cat" / "1.png", tmp_path / "photos" / "train" / "dog" / "new.png")
    before = sorted((tmp_path / "results" / "runs").iterdir())
    refused = ablate("run", "tiny.yaml", "--seeds", "0")
    assert refused.returncode == 1
    assert "the images of tiny have changed since 3 runs started" in refused.stderr
    assert sorted((tmp_path / "results" / "runs").iterdir()) == before
    assert ablate("run", "tiny.yaml", "--seeds", "0", "--new-data").returncode == 0
    assert len(list(Store(tmp_path / "results").root.glob("runs/*/run.json"))) == 6
