"""`ablate run` on a machine with four GPUs, which the CPU plays (the device table): where runs go, and what breaks."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ablation.cli.main import main
from ablation.execution import devices

from .conftest import TINY, Ablate
from .test_faults import OWN_STUDY
from .test_run import start, wait_for

FOUR = ",".join(f"cuda:{number}=cpu:GPU {number}" for number in range(4))
"""Four models, so that the record of a run says which of the four trained it."""
ALIKE = ",".join(f"cuda:{number}=cpu:H100" for number in range(4))
CUSTOM = OWN_STUDY.replace("study: own", "study: custom").replace("[0]", "[0, 1, 2, 3, 4, 5, 6, 7]")
NET = """\
import os, signal, threading, time
from pathlib import Path
import torch
from torch import nn

HERE = Path({folder!r})
BROKEN = []

def once(name):
    "Whether no process has called this before."
    try:
        (HERE / name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

def raise_out_of_memory():
    raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")

class Net(nn.Module):
    def __init__(self, classes, in_channels):
        super().__init__()
        self.output = nn.Linear(64 * in_channels, classes)
    def forward(self, x):
        with (HERE / "pids").open("a") as file:
            file.write(f"{{os.getpid()}}\\n")
        if self.training:
            {fault}
        return self.output(x.flatten(1))
"""


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATION_DEVICES", FOUR)


@pytest.fixture
def alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATION_DEVICES", ALIKE)


def custom(folder: Path, fault: str) -> None:
    """A study of a custom model that does `fault` in each training step."""
    (folder / "custom.yaml").write_text(CUSTOM, encoding="utf-8")
    (folder / "mine.py").write_text(NET.format(folder=str(folder), fault=fault), encoding="utf-8")


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("results/runs/*/run.json")]


def models(folder: Path) -> set[str]:
    """The models of the devices that trained the finished runs."""
    return {record["environment"]["device"] for record in records(folder)}


def digests(folder: Path) -> dict[str, str]:
    return {record["key"]: record["weights_sha256"] for record in records(folder)}


def pids(folder: Path) -> set[int]:
    """The processes in which the custom model has computed anything."""
    return {int(line) for line in (folder / "pids").read_text().split()}


# Where runs go


@pytest.mark.slow
@pytest.mark.usefixtures("four")
def test_runs_go_to_all_gpus_that_were_asked_for_and_no_other(
    ablate: Ablate, tmp_path: Path, study_file: Callable[..., Path]
) -> None:
    study_file()
    result = ablate("run", "tiny.yaml", "--device", "cuda:0,1,3", "--per-device", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert models(tmp_path) == {"GPU 0", "GPU 1", "GPU 3"}


@pytest.mark.slow
@pytest.mark.usefixtures("four", "fresh_workers")
def test_after_the_probe_for_the_number_of_workers_runs_go_to_all_gpus(
    tmp_path: Path,
    study_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The workers that try a run together do so on the first GPU, and must not all stay there."""
    monkeypatch.setattr(devices, "available_cores", lambda: 16)
    monkeypatch.setattr(devices, "LEAST_GAIN", 0.0)  # on a CPU, more workers gain nothing
    monkeypatch.setattr(devices, "worth_trying", lambda *_: True)
    monkeypatch.chdir(tmp_path)
    study_file(TINY.replace("[0, 1]", "[0, 1, 2, 3]"))
    assert main(["run", "tiny.yaml", "--device", "cuda"]) == 0
    assert models(tmp_path) == {"GPU 0", "GPU 1", "GPU 2", "GPU 3"}
    found = re.search(r"^training (\d+) workers on cuda:0, cuda:1, cuda:2, cuda:3$", capsys.readouterr().out, re.M)
    assert found
    assert int(found[1]) >= 8


@pytest.mark.parametrize(
    ("gpus", "threads", "runs", "most"),
    [(1, 1, 100, 8), (4, 1, 100, 4), (4, 2, 100, 2), (4, 1, 4, 1), (4, 1, 9, 3), (32, 1, 100, 1)],
    ids=["the limit", "cores for each GPU", "threads", "one run each", "few runs", "more GPUs than cores"],
)
def test_a_gpu_has_no_more_workers_than_cores_and_runs_for_them(
    gpus: int, threads: int, runs: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "available_cores", lambda: 16)
    assert devices.most_sharing(gpus, threads, runs) == most


@pytest.mark.slow
@pytest.mark.usefixtures("alike")
def test_the_bits_do_not_depend_on_how_many_workers_share_a_gpu(
    ablate: Ablate, tmp_path: Path, study_file: Callable[..., Path]
) -> None:
    study_file()
    found = []
    for share in ("1", "3"):
        result = ablate(
            "run", "tiny.yaml", "--device", "cuda:2", "--per-device", share, "--results", f"{share}/results"
        )
        assert result.returncode == 0, result.stdout + result.stderr
        found.append(digests(tmp_path / share))
    assert found[0] == found[1]
    assert len(set(found[0].values())) == 6


# GPUs of several models


MIXED = "cuda:0=cpu:T4,cuda:1=cpu:H100,cuda:2=cpu:H100,cuda:3=cpu:T4,cuda:4=cpu:H100"


@pytest.mark.slow
def test_auto_takes_gpus_of_one_model_and_says_which_others_are_there(
    ablate: Ablate, tmp_path: Path, study_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABLATION_DEVICES", MIXED)
    study_file()
    result = ablate("run", "tiny.yaml", "--per-device", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert models(tmp_path) == {"H100"}
    assert (
        "not used: cuda:0 (T4), cuda:3 (T4): GPUs of two models give different bits, and this study uses cuda:1, "
        "cuda:2, cuda:4 (H100); --device cuda:0,3 uses them instead\n"
    ) in result.stdout


@pytest.mark.slow
def test_auto_goes_on_with_the_model_that_the_study_was_begun_on(
    ablate: Ablate, tmp_path: Path, study_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABLATION_DEVICES", MIXED)
    study_file()
    assert ablate("run", "tiny.yaml", "--only", "baseline", "--device", "cuda:3", "--per-device", "1").returncode == 0
    result = ablate("run", "tiny.yaml", "--per-device", "1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert models(tmp_path) == {"T4"}
    monkeypatch.setenv("ABLATION_DEVICES", "cuda:0=cpu:H100")
    study_file(TINY.replace("[0, 1]", "[0, 1, 2]"))
    result = ablate("run", "tiny.yaml", "--per-device", "1")
    assert "the finished runs were trained on T4, the others will be on H100" in result.stdout


@pytest.mark.slow
def test_a_run_that_goes_on_with_another_gpu_says_so_and_so_does_the_report(
    ablate: Ablate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    custom(tmp_path, "if 'T4' in os.environ['ABLATION_DEVICES']: time.sleep(0.1)")
    study = CUSTOM.replace("[0, 1, 2, 3, 4, 5, 6, 7]", "[0]").replace("epochs: 2", "epochs: 6")
    (tmp_path / "custom.yaml").write_text(study, encoding="utf-8")
    monkeypatch.setenv("ABLATION_DEVICES", "cuda:0=cpu:T4")
    process = start(tmp_path, "custom.yaml")
    wait_for(lambda: any(path.stat().st_size for path in tmp_path.glob("results/runs/*/epochs.jsonl")))
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 1
    monkeypatch.setenv("ABLATION_DEVICES", "cuda:0=cpu:H100")
    result = ablate("run", "custom.yaml")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "epochs were trained on T4, 1 thread, PyTorch" in result.stdout
    assert "; then on H100, 1 thread, PyTorch" in result.stdout
    (record,) = records(tmp_path)
    assert record["environment"]["device"] == "H100"
    assert ablate("report").returncode == 0
    text = (tmp_path / "reports" / "custom" / "report.md").read_text(encoding="utf-8")
    assert "Runs were continued on other hardware or software" in text
    assert "then on H100" in text


# What breaks


@pytest.mark.slow
@pytest.mark.usefixtures("four")
def test_a_worker_that_cuda_has_broken_is_replaced_and_its_gpu_is_used_again(ablate: Ablate, tmp_path: Path) -> None:
    """After an error that CUDA keeps, each later call in the process fails, whatever it is."""
    fault = """\
if BROKEN or once("broken"):
                BROKEN.append(1)
                (HERE / "broken").write_text(str(os.getpid()))
                raise RuntimeError("CUDA error: device-side assert triggered\\nCUDA kernel errors might be")"""
    custom(tmp_path, fault)
    result = ablate("run", "custom.yaml", "--device", "cuda:1,2", "--per-device", "1")
    assert result.returncode == 2, result.stdout + result.stderr
    assert "7 runs trained, 1 failed" in result.stdout
    assert "device-side assert triggered" in result.stdout
    assert models(tmp_path) == {"GPU 1", "GPU 2"}
    broken = int((tmp_path / "broken").read_text())
    assert broken in pids(tmp_path)
    assert len(pids(tmp_path)) >= 3  # two workers, and the one that took the place of the broken one
    again = ablate("run", "custom.yaml", "--device", "cuda:1", "--per-device", "1")
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("four")
def test_a_run_without_memory_is_tried_again_alone_on_its_gpu(ablate: Ablate, tmp_path: Path) -> None:
    """Each step says when it computes: none of another run is between the first and the last of the second try."""
    fault = """\
if once("full"):
                (HERE / "seed").write_text(str(torch.initial_seed()))
                raise_out_of_memory()
            with (HERE / "steps").open("a") as file:
                file.write(f"{os.getpid()} {time.monotonic()}\\n")"""
    custom(tmp_path, fault)
    result = ablate("run", "custom.yaml", "--device", "cuda:3", "--per-device", "3")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("CUDA out of memory") == 1
    assert "8 runs trained" in result.stdout
    assert models(tmp_path) == {"GPU 3"}
    steps = [line.split() for line in (tmp_path / "steps").read_text().splitlines()]
    assert len({pid for pid, _ in steps}) > 1  # the others shared the GPU
    order = [pid for pid, _ in sorted(steps, key=lambda step: float(step[1]))]
    of_one_run = 2 * 5  # epochs, and batches of 32 of 160 images
    assert len(set(order[-of_one_run:])) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("four")
def test_a_worker_that_will_not_end_is_killed_at_the_end(ablate: Ablate, tmp_path: Path) -> None:
    """It ignores SIGTERM, and a thread of it sleeps for ten minutes, for which Python would wait."""
    fault = """\
if once(f"stuck {os.getpid()}"):
                threading.Thread(target=time.sleep, args=(600,)).start()"""
    custom(tmp_path, fault)
    with (tmp_path / "mine.py").open("a") as file:
        file.write("\nif threading.current_thread() is threading.main_thread():\n")
        file.write("    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n")
    start = time.monotonic()
    result = ablate("run", "custom.yaml", "--device", "cuda", "--per-device", "1", timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr
    assert time.monotonic() - start < 45
    assert list(gone(pids(tmp_path))) == []


def gone(processes: set[int]) -> Iterator[int]:
    """Those of the processes that are still there."""
    for pid in processes:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        yield pid
