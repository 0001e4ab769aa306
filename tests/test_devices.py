"""Several devices, with the CPU in the place of each: the code paths are those of GPUs, but for the device itself."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ablation.errors import UserError
from ablation.execution import devices
from ablation.execution.devices import (
    choose_devices,
    default_sharing,
    find_sharing,
    list_places,
    more_pays,
    worth_trying,
)
from ablation.execution.local import LocalPool
from ablation.execution.study import plan_study, prepare_part
from ablation.planning.job import Job
from ablation.storage.store import Store
from ablation.study.load import load_study
from ablation.training import device
from ablation.worker.calls import Timing
from ablation.worker.protocol import Ending, Failed, Started, Stopped
from ablation.worker.worker import ending_of

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
    ("more", "pays"),
    [
        ([Timing(11.0)] * 2, True),
        ([Timing(19.0)] * 2, False),
        ([Timing(11.0), None], False),
        ([Timing(11.0), Timing(11.0, memory=0.85)], False),
    ],
    ids=["faster", "hardly faster", "one failed", "memory nearly full"],
)
def test_more_workers_share_a_device_where_that_gets_more_done(more: list[Timing | None], pays: bool) -> None:
    assert more_pays([Timing(10.0)], more) == pays


@pytest.mark.parametrize(
    ("found", "runs", "cost", "worth"),
    [
        ([Timing(10.0)], 8, 39.0, True),
        ([Timing(10.0)], 8, 41.0, False),
        ([Timing(10.0), Timing(10.0)], 8, 21.0, False),
    ],
    ids=["it could save 40 s", "it costs more", "two workers have half of it left"],
)
def test_more_workers_are_tried_only_where_that_can_pay(
    found: list[Timing | None], runs: int, cost: float, worth: bool
) -> None:
    assert worth_trying(found, runs, cost) == worth


@pytest.mark.parametrize(
    ("seconds", "most", "runs", "tried", "chosen"),
    [
        ({4: 0.01}, 8, 1, [4], 4),
        ({4: 100.0, 8: 100.0}, 8, 100, [4, 8], 8),
        ({4: 100.0, 8: 190.0, 2: 90.0}, 8, 100, [4, 8, 2], 4),
        ({4: 100.0, 8: 190.0, 2: 52.0, 1: 26.0}, 8, 100, [4, 8, 2, 1], 1),
        ({3: 100.0, 1: 90.0}, 3, 100, [3, 1], 3),
        ({4: None, 2: 100.0, 1: 51.0}, 8, 100, [4, 2, 1], 1),
        ({4: None, 2: None, 1: None}, 8, 100, [4, 2, 1], 1),
    ],
    ids=["short", "eight are faster", "four are best", "one is as fast", "three cores", "memory for two", "it fails"],
)
def test_the_number_of_workers_on_a_gpu_is_found_from_few_trials(
    seconds: dict[int, float | None], most: int, runs: int, tried: list[int], chosen: int
) -> None:
    """`seconds`: of a run beside as many others; None: they do not fit into the memory."""
    counts = []

    def measure(count: int) -> list[Timing | None]:
        counts.append(count)
        time.sleep(0.01)
        found = seconds[count]
        return [Timing(found) if found else None] * count

    assert find_sharing(measure, most, runs) == chosen
    assert counts == tried


NO_MEMORY = (
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
)
BREAKING = (
    RuntimeError("CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA`"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
)


@pytest.mark.parametrize("error", NO_MEMORY, ids=str)
def test_every_way_to_say_that_memory_is_full_is_known_and_breaks_no_process(error: Exception) -> None:
    assert device.is_out_of_memory(error)
    assert device.fault(error) == ""


@pytest.mark.parametrize("error", BREAKING, ids=str)
def test_other_errors_of_cuda_break_the_process_however_they_are_wrapped(error: Exception) -> None:
    assert not device.is_out_of_memory(error)
    wrapped = UserError("mine:Net fails at mine.py:5")
    wrapped.__cause__ = error
    assert device.fault(error) == device.fault(wrapped) == str(error).partition("\n")[0]


def test_an_error_of_python_breaks_no_process() -> None:
    assert device.fault(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) == ""


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs, the second of which is older than any that this torch is built for."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_90a", "compute_120"])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: ("RTX 3090", "Quadro K600")[index])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: ((8, 6), (3, 0))[index])


@pytest.mark.usefixtures("cuda")
def test_a_gpu_that_this_torch_is_not_built_for_is_left_out_with_the_reason() -> None:
    usable, unusable = device.accelerators()
    assert usable == ("cuda:0",)
    assert unusable == (
        "cuda:1 (Quadro K600) has compute capability 3.0, for which this torch is not built "
        "(sm_75, sm_80, sm_90a, compute_120)",
    )
    assert choose_devices("auto", usable, unusable) == ["cuda:0"]
    with pytest.raises(
        UserError, match=r"this machine has no cuda:1\nthis machine has cuda:0; cuda:1 \(Quadro K600\) has"
    ):
        choose_devices("cuda:1", usable, unusable)


@pytest.mark.parametrize(("capability", "usable"), [((9, 0), 1), ((8, 0), 1), ((12, 1), 1), ((7, 0), 0), ((10, 0), 0)])
@pytest.mark.usefixtures("cuda")
def test_machine_code_serves_later_minor_versions_and_ptx_any_later_device(
    capability: tuple[int, int], usable: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert len(device.accelerators()[0]) == 2 * usable


@pytest.mark.usefixtures("cuda")
def test_gpus_that_cuda_cannot_use_are_left_out_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    usable, unusable = device.accelerators()
    assert usable == ()
    assert unusable == ("2 CUDA devices are visible, but The NVIDIA driver on your system is too old",)


@pytest.fixture
def broken_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CUDA context that is broken: even to give memory back raises."""

    def empty_cache() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", empty_cache)


@pytest.mark.usefixtures("broken_cache")
def test_what_a_run_died_of_is_kept_where_its_memory_cannot_be_given_back(study_file: Callable[..., Path]) -> None:
    run = plan_study(load_study(study_file())).runs[0]

    def work() -> Ending:
        raise ValueError("the cause")

    ending, reason = ending_of(run, work)
    assert isinstance(ending, Failed)
    assert ending.message == "ValueError: the cause"
    assert "in work" in ending.details
    assert reason == "CUDA error: device-side assert triggered"
    stopped, reason = ending_of(run, lambda: Stopped(run))
    assert isinstance(stopped, Stopped)
    assert reason


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_workers")
def test_a_study_runs_on_the_devices_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Path
) -> None:
    """A pool with the device table: a probe finds how many workers share a device, and runs go to every one of them."""
    monkeypatch.setenv("ABLATION_DEVICES", TABLE)
    monkeypatch.setattr(devices, "available_cores", lambda: 4)
    monkeypatch.setattr(devices, "LEAST_GAIN", 0.0)
    monkeypatch.setattr(devices, "worth_trying", lambda *_: True)
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    store = Store(tmp_path / "results")
    runs = plan_study(load_study(tmp_path / "tiny.yaml")).runs
    with LocalPool("cuda:0,2", None, 1) as pool:
        data = prepare_part(pool, runs[0], store.data.resolve())
        jobs = [Job(run, store.run(run.folder).path.resolve(), data, "cpu", 1) for run in runs]
        assert pool.places == ["cuda:0", "cuda:2"]
        pool.autotune_workers(jobs[0], len(jobs))
        assert pool.places == ["cuda:0", "cuda:2"] * 2
        assert {place: worker.device for place, worker in pool._workers.items()}.items() <= dict(
            enumerate(pool.places)
        ).items()
        for job in jobs:
            pool.submit(job)
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


@pytest.mark.slow
def test_images_that_do_not_fit_on_a_device_give_the_same_results_and_the_report_says_so(
    tmp_path: Path, trained: Path
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    environment = {**os.environ, "ABLATION_DEVICES": TABLE, "ABLATION_FREE_BYTES": "100000"}
    for arguments in (["run", "tiny.yaml", "--device", "cuda", "--per-device", "1"], ["report"]):
        command = [*ABLATE, *arguments]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stdout + result.stderr
    same(results(trained, "tiny"), results(tmp_path, "tiny"))
    (page,) = (tmp_path / "reports").glob("*/report.md")
    assert "images copied from the host block by block" in page.read_text(encoding="utf-8")
