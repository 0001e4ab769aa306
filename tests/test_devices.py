"""Several devices, with the CPU in the place of each: the code paths are those of GPUs, but for the device itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch

from ablation.errors import UserError
from ablation.load import load_study
from ablation.protocol import Prepare, Probed, Started, Task
from ablation.runner.local import LocalPool
from ablation.runner.places import choose_devices, default_sharing, list_places, more_pays
from ablation.runner.study import plan_study
from ablation.store import Store
from ablation.train import device

from .conftest import ABLATE, TINY
from .test_run import results, same

TABLE = "cuda:0=cpu,cuda:1=cpu,cuda:2=cpu"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("auto", ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda", ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda:0,2", ["cuda:0", "cuda:2"]),
        ("cpu", ["cpu"]),
    ],
)
def test_a_request_chooses_among_the_devices_that_are_there(asked: str, found: list[str]) -> None:
    assert choose_devices(asked, ["cuda:0", "cuda:1", "cuda:2"]) == found


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="this machine has no cuda:3"):
        choose_devices("cuda:0,3", ["cuda:0"])
    with pytest.raises(UserError, match=r"^--device cuda: this machine has no CUDA device\nuse --device cpu$"):
        choose_devices("cuda", [])


def test_workers_are_spread_over_the_devices_in_turn() -> None:
    assert list_places(["cuda:0", "cuda:1"], 2) == ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]
    assert default_sharing(["cuda:0"], 1) == 1


@pytest.mark.parametrize(
    ("before", "found", "pays"),
    [
        (None, [Probed(10.0)], True),
        ([Probed(10.0)], [Probed(11.0)] * 2, True),
        ([Probed(10.0)], [Probed(19.0)] * 2, False),
        ([Probed(10.0)], [Probed(11.0), None], False),
        ([Probed(10.0)], [Probed(11.0), Probed(None, "out of memory")], False),
        ([Probed(10.0)], [Probed(11.0), Probed(11.0, memory=0.95)], False),
    ],
    ids=["one works", "faster", "hardly faster", "one died", "one failed", "memory nearly full"],
)
def test_more_workers_share_a_device_while_that_gets_more_done(
    before: list[Probed | None] | None, found: list[Probed | None], pays: bool
) -> None:
    assert more_pays(before, found) == pays


def test_the_error_class_of_a_gpu_without_memory_is_known() -> None:
    assert device.is_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory"))
    assert not device.is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))


def test_a_study_runs_on_the_devices_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Path
) -> None:
    """A pool with the device table: a probe finds how many workers share a device, and runs go to every one of them."""
    monkeypatch.setenv("ABLATION_DEVICES", TABLE)
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    store = Store(tmp_path / "results")
    runs = plan_study(load_study(tmp_path / "tiny.yaml")).runs
    with LocalPool("cuda:0,2", None, 1) as pool:
        data = pool.prepare(Prepare(runs[0].recipe.data, runs[0].data_fingerprint, store.data.resolve()), print)
        tasks = [Task(run, store.run(run.folder).path.resolve(), data, "cpu", 1) for run in runs]
        assert pool.places == ["cuda:0", "cuda:2"]
        pool.settle(tasks[0])
        assert pool.places in (["cuda:0", "cuda:2"] * count for count in (1, 2, 4, 8))
        for task in tasks:
            pool.submit(task)
        used = {event.device for event in pool.events() if isinstance(event, Started)}
    assert used == {"cuda:0", "cuda:2"}
    found = {path.name: store.run(path.name).record() for path in (store.root / "runs").iterdir()}
    theirs = {name: Store(trained / "results").run(name).record() for name in found}
    assert {n: r.weights_sha256 for n, r in found.items() if r} == {n: r.weights_sha256 for n, r in theirs.items() if r}


@pytest.mark.slow
def test_the_command_uses_all_devices_of_the_table(tmp_path: Path, trained: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    command = [*ABLATE, "run", "tiny.yaml", "--device", "cuda", "--per-device", "2"]
    environment = {**os.environ, "ABLATION_DEVICES": TABLE}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    same(results(trained, "tiny"), results(tmp_path, "tiny"))
