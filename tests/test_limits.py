"""Limits of the machine, requests that hang and processes that break: one clear error, or work that goes on."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablation.errors import UserError
from ablation.execution.local import LocalPool
from ablation.execution.study import plan_study, prepare_part
from ablation.planning.job import Job
from ablation.planning.run import Run
from ablation.study.load import load_study
from ablation.worker import calls
from ablation.worker.calls import Call
from ablation.worker.channel import Channel
from ablation.worker.protocol import Alive

from .conftest import ABLATE, TINY, Ablate

ONE_WORKER = ("--device", "cpu", "--per-device", "1")
TINIEST = TINY.replace("epochs: 3", "epochs: 1").replace("[0, 1]", "[0]").split("vary:")[0]
LENET = "{name: lenet5, norm: batch, dropout: 0.1, hidden: [16]}"
OWN = TINIEST.replace(LENET, '{name: "mine:Net"}')
NET = """\
import os
import time
from torch import nn
{at_import}

class Net(nn.Module):
    def __init__(self, classes, in_channels):
        super().__init__()
        {at_build}
        self.output = nn.LazyLinear(classes)

    def forward(self, x):
        {at_forward}
        return self.output(x.flatten(1))
"""
SLEEP = "if os.environ.get('SLEEP'): time.sleep(600)"


def own(folder: Path, *, at_import: str = "", at_build: str = "pass", at_forward: str = "pass") -> None:
    """A study of a custom model that does something at its import, when it is built, or at each forward pass."""
    code = NET.format(at_import=at_import, at_build=at_build, at_forward=at_forward)
    (folder / "mine.py").write_text(code, encoding="utf-8")
    (folder / "tiny.yaml").write_text(OWN, encoding="utf-8")


def one_error(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """The command ended in one error of a few lines that holds the `parts`."""
    assert result.returncode == 1, result.stdout + result.stderr
    assert result.stderr.count("error: ") == 1
    assert len(result.stderr.splitlines()) <= 3, result.stderr
    for part in parts:
        assert part in result.stderr


# Limits of the machine


def test_more_threads_than_cores_are_one_error(ablate: Ablate, study_file: Callable[..., Path]) -> None:
    study_file()
    cores = os.cpu_count()
    one_error(ablate("run", "tiny.yaml", "--threads", "100000"), f"--threads 100000: this machine has {cores} core")


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_a_limit_of_the_address_space_is_one_error(tmp_path: Path, study_file: Callable[..., Path]) -> None:
    study_file(TINIEST)
    command = f"ulimit -v 1000000 && exec {' '.join(ABLATE)} run tiny.yaml"
    result = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    one_error(result, "a worker cannot start: ", "ulimit -v", "976 MiB")


@pytest.mark.parametrize(
    "where",
    [pytest.param("/".join(["x" * 80] * 2), id="too long for a socket"), pytest.param("", id="missing")],
)
@pytest.mark.slow
def test_a_study_runs_whatever_tmpdir_is(
    where: str, ablate: Ablate, tmp_path: Path, study_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    study_file(TINIEST)
    folder = tmp_path / where if where else tmp_path / "missing"
    if where:
        folder.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(folder))
    result = ablate("run", "tiny.yaml", *ONE_WORKER)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr


@pytest.mark.skipif(not shutil.which("unshare"), reason="takes away the home folder")
def test_without_a_home_folder_the_error_names_torch_home(tmp_path: Path, study_file: Callable[..., Path]) -> None:
    study_file(
        TINIEST.replace("lenet5, norm: batch, dropout: 0.1, hidden: [16]", '"torchvision:resnet18", weights: DEFAULT')
    )
    nobody = ["unshare", "--user", "--map-user=54321"]
    if subprocess.run([*nobody, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody become another user")
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME", "TORCH_HOME")}
    result = subprocess.run(
        [*nobody, *ABLATE, "run", "tiny.yaml"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    one_error(result, "this user has none", "TORCH_HOME")


# What hangs


@pytest.mark.slow
def test_a_custom_model_that_sleeps_at_import_is_ended(ablate: Ablate, tmp_path: Path) -> None:
    own(tmp_path, at_import="time.sleep(600)")
    result = ablate("run", "tiny.yaml", *ONE_WORKER, "--hang-after", "0.02", timeout=60)
    one_error(result, "reported no progress for 1.2 s while the network mine:Net was built", "--hang-after MINUTES")


@pytest.mark.slow
def test_a_custom_model_that_sleeps_is_ended_in_plan_and_in_test(
    ablate: Ablate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(tmp_path, at_import=SLEEP)
    assert ablate("run", "tiny.yaml", *ONE_WORKER).returncode == 0
    monkeypatch.setenv("SLEEP", "1")
    tested = ablate("test", "tiny", *ONE_WORKER, "--hang-after", "0.05", timeout=60)
    assert tested.returncode == 2
    assert "reported no progress for 3.0 s and was ended (--hang-after)" in tested.stdout
    assert not list(tmp_path.glob("results/**/test.json"))
    planned = ablate("plan", "tiny.yaml", "--probe", "--seeds", "1", "--device", "cpu", "--hang-after", "0.05")
    one_error(planned, "reported no progress for 3.0 s while the network mine:Net was built")


@pytest.fixture
def pool() -> Iterator[LocalPool]:
    with LocalPool("cpu", 1, 1, hang_after=0.5) as made:
        yield made


def requests(run: Run, data: Path) -> dict[str, Callable[[Channel], object]]:
    """Everything that a worker is asked outside a run, by what it does then."""
    job = Job(run, data.parent / "run", data, "cpu", 1)
    return {
        "the data set digits was prepared": partial(calls.prepare, run=run, cache=data.parent),
        "the devices were checked": partial(calls.try_devices, precision="float32", compile="none", devices=["cpu"]),
        "the network lenet5 was built": partial(calls.try_weights, run=run, data=data),
        "the runs were ordered by their size": partial(calls.weigh, runs=[(run, data)]),
        "baseline · seed 0 was tried": partial(calls.probe, job=job),
    }


@pytest.mark.slow
def test_a_stopped_worker_is_ended_whatever_it_was_asked(
    pool: LocalPool, tmp_path: Path, study_file: Callable[..., Path]
) -> None:
    run = plan_study(load_study(study_file(TINIEST))).runs[0]
    data = prepare_part(pool, run, tmp_path / "data")
    for what, function in requests(run, data).items():
        worker = pool._workers[0]
        worker.hang_after = 60  # what it needs is loaded by the first call, which may take a while
        pool.call(Call(function, what))
        worker.hang_after = 0.5
        process = worker.process
        assert process.pid
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(UserError, match=rf"no progress for 0.5 s while {re.escape(what)}") as told:
            pool.call(Call(function, what))
        assert told.value.hint == "more time: --hang-after MINUTES, or never"
        assert not process.is_alive()


def test_an_error_of_a_call_is_one_error_with_its_traceback_and_the_worker_goes_on(pool: LocalPool) -> None:
    worker = pool._workers[0].process.pid
    with pytest.raises(UserError, match=r"^a worker failed while it was asked:\nTraceback") as error:
        pool.call(Call(float, "it was asked"))  # type: ignore[arg-type]
    assert "TypeError: float() argument must be a string or a real number, not 'Channel'" in error.value.message
    with pytest.raises(UserError, match=r"^train.precision: tf32 needs a GPU") as refused:
        pool.call(Call(partial(calls.try_devices, precision="tf32", compile="none", devices=["cpu"]), "tried"))
    assert "Traceback" not in refused.value.message
    assert pool.call(Call(type, "it was asked")).__name__ == "Channel"
    assert pool._workers[0].process.pid == worker


@pytest.mark.slow
def test_data_that_are_prepared_slowly_are_waited_for(ablate: Ablate, tmp_path: Path) -> None:
    """Decoding takes several times the limit, and none of the images takes nearly as long as that."""
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    for number in range(240):
        folder = tmp_path / "photos" / "train" / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").symlink_to(tmp_path / "large.png")
    text = TINIEST.replace(
        "name: digits, validation: 0.2, limit: 200", "name: image_folder, path: photos, size: 16, validation: 0.2"
    )
    (tmp_path / "tiny.yaml").write_text(text, encoding="utf-8")
    result = ablate("run", "tiny.yaml", *ONE_WORKER, "--hang-after", "0.04")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("grows", [True, False])
def test_a_download_is_alive_for_as_long_as_its_file_grows(grows: bool, tmp_path: Path) -> None:
    ours, theirs = multiprocessing.Pipe()
    with Channel(theirs).watching(tmp_path), (tmp_path / "weights.pth.partial").open("wb") as file:
        for _ in range(12):
            time.sleep(0.25)
            file.write(b"x" if grows else b"")
            file.flush()
    assert ours.poll() == grows
    assert not grows or isinstance(ours.recv(), Alive)


# What breaks


POISON = """\
    if self.training and os.environ.get("POISON") and not POISONED and not Path("flag").exists():
            Path("flag").touch()
            POISONED.append(1)
        if POISONED:
            raise RuntimeError("CUDA error: an illegal memory access was encountered\\nmore about it")"""


@pytest.mark.slow
def test_a_process_that_cuda_has_broken_trains_no_other_run(
    ablate: Ablate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an illegal access, every later call in the process fails."""
    own(tmp_path, at_import="from pathlib import Path\nPOISONED = []", at_forward=POISON.strip())
    monkeypatch.setenv("POISON", "1")
    result = ablate("run", "tiny.yaml", *ONE_WORKER, "--seeds", "0-2")
    assert result.returncode == 2, result.stdout + result.stderr
    assert "2 runs trained, 1 failed" in result.stdout
    assert len(list(tmp_path.glob("results/runs/*/run.json"))) == 2
    (failure,) = tmp_path.glob("results/runs/*/failure.json")
    assert "illegal memory access" in failure.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_custom_model_that_calls_sys_exit_is_named_with_its_line(ablate: Ablate, tmp_path: Path) -> None:
    own(tmp_path, at_import="import sys\nsys.exit('usage: mine.py DATA')")
    result = ablate("run", "tiny.yaml", *ONE_WORKER)
    assert result.returncode == 1
    assert "error: mine:Net fails at mine.py:5: SystemExit: usage: mine.py DATA" in result.stderr
    assert "memory" not in result.stderr


@pytest.mark.slow
def test_a_custom_model_that_ends_the_process_is_named(ablate: Ablate, tmp_path: Path) -> None:
    own(tmp_path, at_build="os._exit(3)")
    result = ablate("run", "tiny.yaml", *ONE_WORKER)
    one_error(
        result, "(exit code 3) while the network mine:Net was built", f"does {tmp_path / 'mine.py'} end the process"
    )


@pytest.mark.slow
def test_a_custom_model_that_calls_sys_exit_in_training_fails_as_any_other(
    ablate: Ablate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own(tmp_path, at_forward="if self.training and x.shape[0] > 2: raise SystemExit(4)")
    result = ablate("run", "tiny.yaml", *ONE_WORKER)
    assert result.returncode == 2
    assert "SystemExit: 4" in result.stdout


STUCK = """
import os, signal, sys
from multiprocessing import forkserver
from ablation.execution import processes
from ablation.execution.server import worker_context

processes.END_SECONDS = 0.5
worker = processes.Worker.start(worker_context(), "cpu", 1)
server = forkserver._forkserver._forkserver_pid
os.kill(server, signal.SIGSTOP)
print(server, worker.end(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="stops the fork server")
def test_a_process_that_cannot_be_ended_is_left_behind(tmp_path: Path) -> None:
    """Nobody learns that a process has ended while the server that started it is stopped, as nobody does while a driver
    holds it; neither the pool nor the end of the command waits for it."""
    command = [sys.executable, "-c", STUCK]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        server, _, said = process.stdout.readline().strip().partition(" ")
        try:
            assert said == "it cannot be ended: the system or a driver holds it"
            assert process.wait(timeout=20) == 0
        finally:
            os.kill(int(server), signal.SIGCONT)
