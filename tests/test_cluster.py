"""`ablate run --backend ray` from the outside: real clusters on this machine, bound to 127.0.0.1, and real deaths."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from ablation.storage.store import RunFolder
from ablation.worker.remote import LEAD

from .conftest import ABLATE, ROOT, TINY, Ablate
from .processes import LISTENING, descendants, exposed, sockets
from .test_run import alive, results, same, wait_for

needs_ray = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="Ray is not installed")
needs_client = pytest.mark.skipif(not importlib.util.find_spec("grpc"), reason="Ray's client is not installed")
needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks processes up in /proc")

Start = Callable[..., subprocess.Popen[str]]

EIGHT = TINY.replace("epochs: 3", "epochs: 60").replace("[0.0]", "[0.0, 0.2]")
"""Four variants under two seeds: 8 runs of 60 short epochs."""


@dataclass(frozen=True)
class Cluster:
    """Two nodes: the process that holds them, their raylets, and where their workers have temporary folders."""

    address: str
    process: int
    raylets: list[int]
    scratch: Path


@contextmanager
def two_nodes(*arguments: str) -> Iterator[Cluster]:
    """A cluster with a worker on each node. Its folder has a short name, for Ray makes sockets in it."""
    scratch = Path(tempfile.mkdtemp(prefix="ray-"))
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "two_nodes.py"), *arguments],
        env=loopback() | {"TMPDIR": str(scratch)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout
        told = json.loads(process.stdout.readline())
        yield Cluster(told["address"], process.pid, told["raylets"], scratch)
    finally:
        process.communicate(timeout=60)
        shutil.rmtree(scratch, ignore_errors=True)


def loopback() -> dict[str, str]:
    """The environment in which Ray leaves 127.0.0.1 as it is."""
    return os.environ | {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="session")
def start() -> Iterator[Start]:
    """Starts `ablate run` of the eight runs in a process group of its own, as a terminal would."""
    started: list[subprocess.Popen[str]] = []
    scratch = Path(tempfile.mkdtemp(prefix="ray-"))  # a short name, for Ray makes sockets in it

    def call(folder: Path, *arguments: str) -> subprocess.Popen[str]:
        (folder / "tiny.yaml").write_text(EIGHT)
        started.append(
            subprocess.Popen(
                [*ABLATE, "run", "tiny.yaml", *arguments],
                cwd=folder,
                env=loopback() | {"TMPDIR": str(scratch)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
        return started[-1]

    yield call
    for process in started:
        process.kill()
        process.communicate()
    shutil.rmtree(scratch, ignore_errors=True)


def end(process: subprocess.Popen[str], code: int = 0) -> str:
    """What a command printed until its end."""
    output = process.communicate(timeout=300)[0]
    assert process.returncode == code, output
    assert "Traceback" not in output
    return output


def finished(folder: Path) -> int:
    return len(list(folder.glob("results/runs/*/run.json")))


@pytest.fixture(scope="session")
def eight(start: Start, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the eight runs were trained on this machine, without Ray."""
    folder = tmp_path_factory.mktemp("eight")
    end(start(folder))
    return folder


@needs_ray
@needs_proc
@pytest.mark.slow
def test_a_node_that_dies_half_way_costs_its_runs_only_what_had_not_come_back(
    start: Start, eight: Path, tmp_path: Path
) -> None:
    with two_nodes() as cluster:
        process = start(tmp_path, "--backend", "ray", "--address", cluster.address)
        wait_for(lambda: finished(tmp_path) >= 3)
        actors = {
            pid for raylet in cluster.raylets for pid in descendants(raylet) if title(pid).startswith("ray::Remote")
        }
        assert len(actors) == 2
        assert exposed(descendants(cluster.process) | descendants(process.pid)) == []
        wait_for(lambda: under_way(tmp_path) == 2)
        for pid in descendants(cluster.raylets[1]):
            with suppress(ProcessLookupError):  # it has left with the one before it
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)  # what was on its way to the command is there; that the node is gone is found out later
        left = {path.parent.name: epochs(path.parent) for path in cluster.scratch.glob("ablation-*/*/epochs.jsonl")}
        back = {name: epochs(tmp_path / "results" / "runs" / name) for name in left}
        output = end(process)
        left = {name: epochs(path) for name in left for path in cluster.scratch.glob(f"ablation-*/{name}")}
    found = results(tmp_path, "tiny")
    same(results(eight, "tiny"), found)
    assert output.count("was lost") == len(left) == 1, output
    resumed = found.runs.set_index("folder").resumed
    assert resumed.sum() == sum(resumed[name] for name in left) == 1
    again = [left[name] - back[name] for name in left]
    assert all(0 <= count <= 2 * LEAD + 2 for count in again)
    print(f"{len(found.runs)} runs; on the node that died: {len(left)} under way, {again} epochs trained again")


def epochs(folder: Path) -> int:
    return len(RunFolder(folder).epochs())


def title(pid: int) -> str:
    """What a process calls itself."""
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0")


def under_way(folder: Path) -> int:
    """How many runs have some epochs in the store, but far from all."""
    folders = [path.parent for path in folder.glob("results/runs/*/epochs.jsonl")]
    return sum(5 < epochs(path) < 30 and not RunFolder(path).finished for path in folders)


@needs_ray
@needs_proc
@pytest.mark.slow
def test_what_a_cluster_began_this_machine_ends_with_the_same_bits(start: Start, eight: Path, tmp_path: Path) -> None:
    process = start(tmp_path, "--backend", "ray")
    wait_for(lambda: finished(tmp_path) >= 3)
    listening = [found for found in sockets(descendants(process.pid)) if found[1] == LISTENING]
    assert len(listening) >= 4
    assert exposed(descendants(process.pid)) == []
    wait_for(lambda: under_way(tmp_path) > 0)
    os.killpg(process.pid, signal.SIGINT)
    assert "the same command resumes from here" in end(process, code=1)
    assert finished(tmp_path) < 8
    end(start(tmp_path))
    found = results(tmp_path, "tiny")
    same(results(eight, "tiny"), found)
    assert found.runs.resumed.sum() >= 1


@needs_ray
@pytest.mark.slow
def test_what_this_machine_began_a_cluster_ends_with_the_same_bits(start: Start, eight: Path, tmp_path: Path) -> None:
    process = start(tmp_path)
    wait_for(lambda: finished(tmp_path) >= 3 and under_way(tmp_path) > 0)
    os.killpg(process.pid, signal.SIGINT)
    end(process, code=1)
    assert finished(tmp_path) < 8
    end(start(tmp_path, "--backend", "ray"))
    found = results(tmp_path, "tiny")
    same(results(eight, "tiny"), found)
    assert found.runs.resumed.sum() >= 1


@needs_ray
@needs_client
@pytest.mark.slow
def test_a_laptop_runs_a_study_through_the_client_of_a_cluster(start: Start, trained: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with two_nodes(str(port)):
        process = start(tmp_path, "--backend", "ray", "--address", f"ray://127.0.0.1:{port}", "--set", "train.epochs=3")
        end(process)
    mine, other = (
        results(folder, "tiny").runs.set_index(["variant", "seed"]).weights_sha256 for folder in (tmp_path, trained)
    )
    assert len(mine) == 8
    assert dict(mine[mine.index.isin(other.index)]) == dict(other)


@needs_ray
@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("signals", [[signal.SIGKILL], [signal.SIGINT, signal.SIGINT]], ids=["kill -9", "Ctrl-C twice"])
def test_nothing_of_its_ray_outlives_a_command(signals: list[signal.Signals], start: Start, tmp_path: Path) -> None:
    process = start(tmp_path, "--backend", "ray", "--set", "data.limit=600", "--set", "train.batch_size=1")
    wait_for(lambda: any(tmp_path.glob("results/runs/*/epochs.jsonl")))
    below = descendants(process.pid)
    assert any(title(pid).startswith("ray::Remote") for pid in below)
    for number in signals:
        os.killpg(process.pid, number)
        time.sleep(0.4)
    output = process.communicate(timeout=30)[0]
    assert ("stopped immediately" in output) == (len(signals) == 2)
    wait_for(lambda: not any(alive(pid) for pid in below), seconds=90)


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:port"])
def test_a_cluster_that_does_not_answer_is_one_clear_error(address: str, ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    before = time.monotonic()
    result = ablate("run", "tiny.yaml", "--backend", "ray", "--address", address)
    assert result.returncode == 1
    assert f"error: --address {address}: " in result.stderr
    assert "docs/cluster.md" in result.stderr
    assert "Traceback" not in result.stderr
    assert time.monotonic() - before < 15


def test_without_ray_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    script = "import sys; sys.modules['ray'] = None; from ablation.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "run", "tiny.yaml", "--backend", "ray"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Ray, which is not installed" in result.stderr
    assert "pip install 'ablation-lab[ray]'" in result.stderr


def test_an_address_without_the_backend_is_an_error(ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    result = ablate("run", "tiny.yaml", "--address", "auto")
    assert result.returncode == 1
    assert "add --backend ray" in result.stderr


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize(("option", "error"), [("cuda:0", "names devices of one machine"), ("cuda", "has a GPU")])
def test_a_device_that_the_cluster_lacks_is_an_error(
    option: str, error: str, ablate: Ablate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as scratch:
        monkeypatch.setenv("TMPDIR", scratch)
        result = ablate("run", "tiny.yaml", "--backend", "ray", "--device", option)
    assert result.returncode == 1
    assert error in result.stderr
