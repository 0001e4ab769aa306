"""`ablate doctor`: what it says of this machine, of what is missing, and how to fix it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from ablation._util import machine
from ablation.cli.doctor_findings import OLDEST_TORCH
from ablation.cli.main import main

from .conftest import ABLATE, ROOT, Ablate

ROWS = ("ablation-lab", "Python", "processor", "cores", "memory", "results/", "temporary files", "files", "PyTorch",
        "torchvision", "train.compile", "Ray")  # fmt: skip
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a GPU that works")


def test_a_machine_that_has_all_is_described_in_plain_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "all that training needs is here"
    assert not any("\x1b" in line for line in lines)
    names = [line[9:25].strip() for line in lines[:-1]]
    assert set(ROWS) <= set(names)
    assert str(torch.__version__) in lines[names.index("PyTorch")]
    assert f"{machine.usable_cores()} of " in lines[names.index("cores")]
    assert list(tmp_path.iterdir()) == []


def findings(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, dict[str, str]]:
    """What `ablate doctor --json` finds, by name."""
    assert main(["doctor", "--json", *arguments]) == code
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] == (code == 0)
    return {each["name"]: each for each in told["findings"]}


def test_a_results_folder_that_cannot_be_made_is_a_problem_with_its_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    found = findings(capsys, "--results", str(tmp_path / "file" / "results"), code=1)
    (problem,) = [each for each in found.values() if each["status"] == "problem"]
    assert problem["value"] == f"{tmp_path / 'file'} cannot be written to"
    assert problem["fix"] == "--results DIR names another folder"


def test_without_a_compiler_only_train_compile_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    found = findings(capsys)["train.compile"]
    assert (found["value"], found["status"]) == ("not available: no C++ compiler", "note")
    monkeypatch.setenv("CXX", "false")
    assert findings(capsys)["train.compile"]["value"] == "not available: false fails: exit code 1"


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that shows a GPU."""
    command = tmp_path / "bin" / "nvidia-smi"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\necho 'NVIDIA A100-SXM4-40GB, 470.57.02'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=":")


@no_gpu
@pytest.mark.usefixtures("nvidia_smi")
def test_a_gpu_that_torch_does_not_see_is_a_problem_with_its_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = findings(capsys, code=1)
    assert found["NVIDIA driver"]["value"] == "470.57.02"
    assert found["GPU"]["value"].startswith("NVIDIA A100-SXM4-40GB: ")
    assert "https://pytorch.org/get-started/locally" in found["GPU"]["fix"]


@no_gpu
@pytest.mark.usefixtures("nvidia_smi")
def test_gpus_that_the_environment_hides_are_no_problem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = findings(capsys)["GPU"]
    assert found["value"] == "NVIDIA A100-SXM4-40GB: hidden by CUDA_VISIBLE_DEVICES=''"
    assert found["fix"] == "unset CUDA_VISIBLE_DEVICES to use them"


@pytest.mark.slow
def test_each_gpu_is_tried_with_a_few_steps(ablate: Ablate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATION_DEVICES", "cuda:0=cpu:A100,cuda:1=no-such-device:T4")
    result = ablate("doctor", "--json")
    assert result.returncode == 1, result.stdout + result.stderr
    found = {each["name"]: each for each in json.loads(result.stdout)["findings"]}
    assert found["cuda:0"]["value"].startswith("A100; trains (the first steps took ")
    assert found["cuda:1"]["value"].startswith("T4: cannot train: RuntimeError: ")
    assert found["CUDA MPS"]["status"] == "ok"


@pytest.mark.slow
def test_a_torch_that_cannot_be_imported_is_a_problem_with_its_fix(
    ablate: Ablate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "torch.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    result = ablate("doctor")
    assert result.returncode == 1
    assert "PyTorch          cannot be imported: OSError: libcudart.so.13: cannot open" in result.stdout
    assert "fix: install PyTorch and torchvision together" in result.stdout
    assert result.stdout.endswith("1 problem found\n")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits open files")
def test_too_few_open_files_are_a_problem_with_its_fix(tmp_path: Path) -> None:
    command = ["bash", "-c", f"ulimit -n 100 && exec {' '.join(ABLATE)} doctor"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert "100 may be open\n" in result.stdout
    assert "fix: ulimit -n 4096\n" in result.stdout


def test_the_oldest_torch_is_the_one_that_is_declared() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"torch>={'.'.join(map(str, OLDEST_TORCH))}" in declared


# Containers


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of cgroups in which this process is in `/job`."""
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    (tmp_path / "own").write_text("0::/job\n")
    (tmp_path / "cgroup" / "job").mkdir(parents=True)
    return tmp_path / "cgroup"


@pytest.mark.parametrize(
    ("above", "own", "cores"),
    [("max 100000", "max 100000", 64), ("max 100000", "150000 100000", 2), ("400000 100000", "max 100000", 4)],
    ids=["no limit", "its own", "of the group above"],
)
def test_cores_are_those_that_the_cgroups_grant(above: str, own: str, cores: int, cgroups: Path) -> None:
    (cgroups / "cpu.max").write_text(above)
    (cgroups / "job" / "cpu.max").write_text(own)
    assert machine.usable_cores() == cores


def test_cores_are_those_that_cgroups_of_version_1_grant(cgroups: Path, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("4:cpu,cpuacct:/of the host/abc\n3:memory:/\n1:name=systemd:/\n")
    folder = cgroups / "cpu,cpuacct"
    folder.mkdir()
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    (folder / "cpu.cfs_quota_us").write_text("-1\n")
    assert machine.cpu_quota() == math.inf
    (folder / "cpu.cfs_quota_us").write_text("300000\n")
    assert machine.usable_cores() == 3


def test_memory_is_what_the_cgroup_leaves(cgroups: Path) -> None:
    total, _ = machine.memory()
    (cgroups / "job" / "memory.max").write_text("max")
    assert machine.memory()[0] == total
    (cgroups / "job" / "memory.max").write_text(str(2**27))
    (cgroups / "job" / "memory.current").write_text(str(2**26))
    assert machine.memory() == (2**27, 2**26)
