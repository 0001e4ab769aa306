"""`make gpu`: without a GPU it says so; where the CPU plays two, every check runs as far as it can."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from .conftest import ROOT

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("the checks are not in a source distribution", allow_module_level=True)

COMMAND = [sys.executable, "-m", "benchmarks.gpu"]
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a GPU that works")
ON_A_CPU = ("machine", "sharing", "resuming", "models", "broken", "streaming")
NEED_A_GPU = (
    "synchronisation", "one GPU each", "visible", "memory", "compiling", "numbers", "recording", "own code", "speed",
    "script",
)  # fmt: skip


def checks(*arguments: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", f'{shell}; exec "$@"', "-", *COMMAND, *arguments] if shell else [*COMMAND, *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=900, check=False
    )


@pytest.mark.slow
@no_gpu
def test_without_a_gpu_nothing_is_checked_and_that_is_said() -> None:
    result = checks()
    assert (result.returncode, result.stdout) == (0, "no CUDA device here: nothing was checked\n"), result.stderr


def program(folder: Path, name: str, text: str) -> str:
    """A PATH on which the program is found first."""
    folder.mkdir()
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@no_gpu
@pytest.mark.slow
def test_a_gpu_that_cannot_be_used_is_no_success(tmp_path: Path) -> None:
    result = checks(PATH=program(tmp_path / "bin", "nvidia-smi", "echo 'NVIDIA A100-SXM4-40GB, 470.57.02'"))
    assert result.returncode == 1
    assert result.stdout.startswith("GPU: NVIDIA A100-SXM4-40GB: ")
    assert result.stdout.endswith("no CUDA device here: nothing was checked\n")


@pytest.mark.slow
def test_every_check_runs_where_the_cpu_plays_two_gpus(tmp_path: Path) -> None:
    """Those that only a GPU can pass run up to what only a GPU has, and say that they were not checked."""
    log = tmp_path / "log"
    path = program(tmp_path / "bin", "nvidia-cuda-mps-control", f'echo "called $@" >> {log}; cat >> {log}')
    result = checks("--dry-run", PATH=path)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    found = [re.fullmatch(r" ?(\d+)  (passed|failed|not checked) +\d+ s  ([^:]+): (.*)", line) for line in lines[:16]]
    assert [match and int(match[1]) for match in found] == [*range(1, 17)], result.stdout
    status = {match[3]: match[2] for match in found if match}
    assert status == dict.fromkeys(ON_A_CPU, "passed") | dict.fromkeys(NEED_A_GPU, "not checked"), result.stdout
    assert lines[16:] == ["6 passed, 10 not checked", "dry run: the CPU played the GPUs, and no GPU was checked"]
    assert log.read_text().split() == ["called", "-d", "called", "quit"]


@pytest.mark.slow
def test_a_check_that_fails_says_why_and_is_the_exit_code() -> None:
    result = checks("--dry-run", "--only", "machine", shell="ulimit -n 100")
    assert result.returncode == 1
    assert " 1  failed " in result.stdout
    assert "1 failed" in result.stdout.splitlines()
