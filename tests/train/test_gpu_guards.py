"""What a CPU can show of the code for GPUs: where state goes, what is counted as memory, who waits for whom."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from ablation.execution.local import LocalPool
from ablation.execution.study import plan_study, prepare_part
from ablation.planning.job import Job
from ablation.registry.optimizers import Adam, AdamW
from ablation.study.load import load_study
from ablation.study.schema import Study
from ablation.tasks.hooks import Hooks
from ablation.training import checkpoint, device
from ablation.training.loop import train
from ablation.worker import warmup
from ablation.worker.probe import STEPS
from ablation.worker.protocol import Done
from ablation.worker.worker import until_end

GPU = torch.device("cuda:0")
MIB = 2**20
STUDY = """\
study: guards
baseline:
  data: {name: synthetic, shape: [3, 8, 8], classes: 2, samples: 60, validation: 0.2}
  model: MODEL
  optimizer: {name: sgd, lr: 0.05}
  train: {epochs: 2, batch_size: 16}
seeds: [0]
"""


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Study]:
    def make(model: str = "{name: lenet5, hidden: [8]}") -> Study:
        path = tmp_path / "study.yaml"
        path.write_text(STUDY.replace("MODEL", model), encoding="utf-8")
        return load_study(path)

    return make


# Where state goes


@pytest.mark.parametrize("section", [Adam(name="adam", lr=0.1), AdamW(name="adamw", lr=0.1)], ids=["adam", "adamw"])
def test_a_resumed_adam_has_its_step_counters_on_the_cpu(section: Adam | AdamW, tmp_path: Path) -> None:
    """There a new optimizer has them; on a GPU each step would wait for each of them. `meta` plays the GPU."""
    weights = nn.Parameter(torch.ones(3))
    weights.grad = torch.ones(3)
    first = section.build([weights])
    first.step()
    checkpoint.save(tmp_path / "last.pt", {"optimizer": checkpoint.snapshot(first.state_dict())})
    saved = checkpoint.load(tmp_path / "last.pt")
    assert saved
    elsewhere = nn.Parameter(torch.ones(3, device="meta"))
    resumed = section.build([elsewhere])
    resumed.load_state_dict(saved["optimizer"])
    state = resumed.state[elsewhere]
    assert state["exp_avg"].device.type == "meta"
    assert state["step"].device.type == "cpu"
    assert state["step"] == 1


UNTOUCHED = """
import torch

def touched(*_, **__):
    raise AssertionError("CUDA was touched")

torch.cuda._lazy_init = torch._C._cuda_getDeviceCount = torch.cuda.device_count = touched
import ablation.execution.preload_torch as server
assert not server.failure, server.failure
"""


def test_the_server_that_forks_workers_does_not_touch_cuda() -> None:
    """A process that was forked after CUDA had been initialised could not use it."""
    result = subprocess.run([sys.executable, "-c", UNTOUCHED], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


# Memory


def test_the_peak_of_a_run_leaves_out_compiled_networks_of_other_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Linear(512, 512, bias=False)  # 1 MiB
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 300 * MIB)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: 500 * MIB)
    meter = device.MemoryMeter(GPU)
    assert meter.peak() == 500
    meter.leave_out_others(network)
    assert meter.peak() == 201


@pytest.mark.parametrize(("free", "said"), [(15, "85% full"), (21, ""), (20, "")])
def test_a_gpu_is_nearly_full_above_four_fifths(free: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 100))
    text = device.nearly_full(GPU)
    assert said in text
    assert bool(text) == bool(said)
    assert device.nearly_full(torch.device("cpu")) == ""


def test_a_run_on_a_nearly_full_gpu_says_so_once_and_keeps_it(
    study: Callable[..., Study], jobs: Callable[..., list[Job]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "nearly_full", lambda _: "the memory of its GPU was 85% full")
    notices: list[str] = []
    (job,) = jobs(study())
    record = train(job, Hooks(lambda *_: None, lambda *_: None, lambda: False, notices.append))
    assert record
    assert record.checks["memory_nearly_full"] == "the memory of its GPU was 85% full"
    assert len(notices) == 1
    assert "--per-device" in notices[0]


# Time


def test_a_worker_warms_up_at_its_first_run_on_a_gpu_and_at_no_other(
    study: Callable[..., Study], jobs: Callable[..., list[Job]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABLATION_DEVICES", "cuda:0=cpu,cuda:1=cpu")
    warmed: list[str] = []
    real = warmup.warm_up

    def warm_up(threads: int, name: str = "cpu") -> None:
        warmed.append(name)
        real(threads, name)

    monkeypatch.setattr(warmup, "warm_up", warm_up)
    warmup.warm_up_once.cache_clear()
    hooks = Hooks(lambda *_: None, lambda *_: None, lambda: False)
    for number, name in enumerate(["cpu", "cuda:0", "cuda:0", "cuda:1"]):
        (job,) = jobs(study(), f"runs {number}")
        on = Job(job.run, job.folder, job.data, name, 1)
        assert isinstance(until_end(on, lambda _: None, hooks), Done)
    assert warmed == ["cuda:0", "cuda:1"]


SLOW_START = """\
import os, time
from pathlib import Path
from torch import nn

HERE = Path({folder!r})
SEEN = []

class Net(nn.Module):
    def __init__(self, classes, in_channels):
        super().__init__()
        self.output = nn.Linear(64 * in_channels, classes)
    def forward(self, x):
        if self.training:
            if not SEEN and (HERE / "steps").exists():
                time.sleep(1.5)  # the second worker makes its CUDA context
            SEEN.append(1)
            with (HERE / "steps").open("a") as file:
                file.write(f"{{os.getpid()}}\\n")
            time.sleep(0.01)
        return self.output(x.flatten(1))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_workers")
def test_workers_that_try_a_run_together_measure_once_all_are_warm(
    study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABLATION_DEVICES", "cuda:0=cpu")
    (tmp_path / "mine.py").write_text(SLOW_START.format(folder=str(tmp_path)), encoding="utf-8")
    run = plan_study(study('{name: "mine:Net"}')).runs[0]
    with LocalPool("cuda", None, 1, hang_after=60) as pool:
        data = prepare_part(pool, run, tmp_path / "data")
        found = pool._probe_together(Job(run, tmp_path / "run", data, "cuda:0", 1), 2)
    assert all(answer and answer.seconds for answer in found)
    steps = (tmp_path / "steps").read_text().split()
    first, second = dict.fromkeys(steps)
    warm = [place for place, process in enumerate(steps) if process == second][STEPS - 1]
    assert steps[:warm].count(first) == STEPS  # it waited
    assert steps.count(first) > 2 * STEPS
    assert steps.count(second) > 2 * STEPS
