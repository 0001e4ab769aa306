"""Data that are large for a disk or the memory: announced, refused in time, never half written or all in memory."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ablation.data.disk import in_words

from .conftest import Ablate
from .hostile import picture
from .test_run import start, wait_for

STUDY = """\
study: folder
baseline:
  data: {name: image_folder, path: images, size: 224, validation: 0.25, limit: 20}
  model: {name: lenet5, hidden: [8]}
  optimizer: {name: sgd, lr: 0.01}
  train: {epochs: 1, batch_size: 16}
seeds: [0]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[int], Path]:
    """Makes a study of so many small images, which are decoded to 150 kB each, and returns its folder."""

    def make(count: int) -> Path:
        (tmp_path / "folder.yaml").write_text(STUDY)
        for number in range(count):
            place = tmp_path / "images" / "train" / ("cat", "dog")[number % 2] / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(picture(number % 2, number))
        return tmp_path

    return make


def unfinished(place: Path) -> list[Path]:
    return list((place / "results" / "data").glob(".preparing-*/images.npy"))


@pytest.mark.slow
def test_plan_and_run_announce_the_disk_that_images_need(folder: Callable[[int], Path], ablate: Ablate) -> None:
    place, line = folder(24), "preparing 24 images at 224 x 224: 3.6 MB in results/data\n"
    assert line in ablate("plan", "folder.yaml").stdout
    result = ablate("run", "folder.yaml", "--device", "cpu")
    assert result.returncode == 0, result.stdout + result.stderr
    assert line in result.stdout
    assert line not in ablate("plan", "folder.yaml").stdout
    (data,) = (place / "results" / "data").iterdir()
    assert (data / "images.npy").stat().st_size == 24 * 224 * 224 * 3 + 128


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (15_052_800_000, "15.1 GB"),
        (99_960_000, "100 MB"),
    ],
)
def test_a_number_of_bytes_in_words(count: float, text: str) -> None:
    assert in_words(count) == text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """results/ on a file system of 8 MiB."""
    place = tmp_path / "results"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("may not mount a file system here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_disk_that_is_too_small_is_refused_before_anything_is_decoded(
    command: str, folder: Callable[[int], Path], small_disk: Path, ablate: Ablate
) -> None:
    folder(54)  # 8.1 MB of 8.4: no room is left for the runs
    result = ablate(command, "folder.yaml")
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if line]
    assert len(lines) == 2
    needed = "error: preparing 54 images at 224 x 224 needs 8.1 MB in results/data, where 8.4 MB are free"
    assert lines[0] == needed
    assert lines[1].startswith("store results on another disk (--results DIR)")
    assert not list(small_disk.glob("data/*"))


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_preparing_that_is_killed_starts_again_and_leaves_nothing(
    how: signal.Signals, folder: Callable[[int], Path], ablate: Ablate
) -> None:
    place = folder(600)
    process = start(place, "folder.yaml", "--device", "cpu")
    wait_for(lambda: any(path.stat().st_size > 10**6 for path in unfinished(place)))
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert len(unfinished(place)) == (how == signal.SIGKILL)
    result = ablate("run", "folder.yaml", "--device", "cpu")
    assert result.returncode == 0, result.stdout + result.stderr
    (data,) = (place / "results" / "data").iterdir()
    images = np.load(data / "images.npy", mmap_mode="r")
    assert len(images) == 600
    assert images.max(axis=(1, 2, 3)).min() > 0


@pytest.mark.slow
def test_two_commands_decode_the_same_images_once(folder: Callable[[int], Path]) -> None:
    place = folder(600)
    first = start(place, "folder.yaml", "--device", "cpu")
    wait_for(lambda: bool(unfinished(place)))
    second = start(place, "folder.yaml", "--device", "cpu")
    outputs = [process.communicate(timeout=120)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert "preparing 600 images" in outputs[0]
    assert "preparing 600 images" not in outputs[1]
    assert len(list((place / "results" / "data").iterdir())) == 1


IN_MEMORY = """
import json, sys, threading, time
from pathlib import Path
from ablation.study.load import load_study
from ablation.worker.protocol import Evaluate, Job
from ablation.data.arrays import read_arrays
from ablation.data.duplicates import overlap
from ablation.execution.study import plan_study
from ablation.data import sources
from ablation.training import device
from ablation.training.loop import train
from ablation.tasks.hooks import Hooks
from ablation.worker.testing import evaluate_run
from ablation.worker.warmup import warm_up

compared = len(sys.argv) > 2  # by the command itself, which is no worker
if not compared:
    device.set_up_process(1)
    warm_up(1)
peak, step = {}, ["start"]

def private():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) >> 10

def watch():
    while True:
        peak[step[0]] = max(peak.get(step[0], 0), private())
        time.sleep(0.005)

threading.Thread(target=watch, daemon=True).start()
time.sleep(0.1)
folder = Path(sys.argv[1])
(run,) = plan_study(load_study(folder / "study.yaml")).runs
step[0] = "preparing"
parts = ("train", "test")
data, test = (sources.prepare(run.recipe.data, part, folder / "data", lambda *_: None, part) for part in parts)
size = (data / "images.npy").stat().st_size >> 20
step[0] = "comparing"
if compared:
    overlap(read_arrays(data), read_arrays(test))
    print(peak["comparing"] - peak["start"])
    sys.exit()
step[0] = "reading"
(data / "verified.json").unlink()
sources.load(data)
step[0] = "training"
job = Job(run, folder / run.folder, data, "cpu", 1)
assert train(job, Hooks(lambda *_: None, lambda *_: None, lambda: False))
step[0] = "testing"
evaluate_run(Evaluate(run, job.folder, test, "cpu", 1), lambda: None)
step[0] = "end"
start = peak.pop("start")
print(json.dumps({"size": size, **{name: value - start for name, value in peak.items()}}))
"""
LARGE = """\
baseline:
  data: {name: synthetic, shape: [3, 224, 224], samples: 3000, validation: 0.02}
  model: {name: lenet5, width: 0.5, hidden: [8]}
  optimizer: {name: sgd, lr: 0.01}
  train: {steps: 8, eval_every: 4, batch_size: 16}
seeds: [0]
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_step_on_the_way_has_all_images_in_memory(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(LARGE)
    found = {}
    for more in ([], ["compare"]):
        command = [sys.executable, "-c", IN_MEMORY, str(tmp_path), *more]
        result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert result.returncode == 0, result.stderr
        found |= {"comparing": int(result.stdout)} if more else json.loads(result.stdout)
    shutil.rmtree(tmp_path / "data")
    print(found)
    size = found.pop("size")
    assert size == 430
    assert max(found["preparing"], found["reading"], found["training"]) < size / 2, found
    assert max(found.values()) < size, "whole blocks of activations, or of numbers with eight bytes for each pixel"
