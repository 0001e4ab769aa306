"""What a machine has of what training needs, and how to get what is missing."""

from __future__ import annotations

import math
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Literal

from ablation._util import machine
from ablation._util.formatting import memory, plural
from ablation.errors import UserError
from ablation.versions import __version__

OLDEST_TORCH = (2, 7)
"""The first version that has all names that are used; `pyproject.toml` has it too."""
GIB = 2**30
LEAST_MEMORY, WORKER_MEMORY = GIB // 2, GIB // 2
"""Free bytes below which no worker should start, and those that one needs for small images, about."""
LEAST_SPACE, LITTLE_SPACE = GIB // 4, 2 * GIB
LEAST_FILES, FEW_FILES = 128, 1024
LITTLE_SHARED = GIB // 4
INSTALL = "install PyTorch and torchvision together: https://pytorch.org/get-started/locally"
DRIVER = "update the NVIDIA driver, or install a PyTorch that fits it: https://pytorch.org/get-started/locally"


@dataclass(frozen=True)
class Finding:
    """One fact about this machine. A `problem` keeps studies from running, or a GPU from being used; `fix` helps."""

    name: str
    value: str
    status: Literal["ok", "note", "problem"] = "ok"
    fix: str = ""


def examine(results: Path) -> list[Finding]:
    """All findings, in the order in which they are shown; `results` is the folder for runs."""
    found = [*_software(), *_host(), *_space(results)]
    try:
        from ablation.training import device
    except Exception as error:  # a broken installation raises anything: OSError, ImportError, RuntimeError, ...
        return [*found, Finding("PyTorch", f"cannot be imported: {_line(error)}", "problem", INSTALL)]
    return [*found, *_torch(device), *_gpus(device), _compiler(device), _ray()]


def _software() -> Iterator[Finding]:
    yield Finding("ablation-lab", __version__)
    yield Finding("Python", platform.python_version())


def _host() -> Iterator[Finding]:
    yield Finding("processor", machine.processor())
    cores, all_cores = machine.usable_cores(), os.cpu_count() or 1
    quota = machine.cpu_quota()
    limit = f" (a cgroup grants {quota:g})" if math.isfinite(quota) else ""
    yield Finding("cores", f"{cores} of {all_cores} usable{limit}")
    total, free = machine.memory()
    if total:
        value = f"{memory(free / 2**20)} of {memory(total / 2**20)} free"
        if free < LEAST_MEMORY:
            yield Finding("memory", value, "problem", f"free {memory(LEAST_MEMORY / 2**20)}: a worker needs about that")
        elif free < cores * WORKER_MEMORY:
            few = f"fewer workers: --per-device {free // WORKER_MEMORY}"
            yield Finding("memory", f"{value}, little for {plural(cores, 'worker')}", "note", few)
        else:
            yield Finding("memory", value)
    shared = Path("/dev/shm")
    if shared.is_dir():
        size = shutil.disk_usage(shared).total
        value = memory(size / 2**20)
        if size < LITTLE_SHARED:
            yield Finding("shared memory", f"{value}; Ray keeps data sets there", "note", "docker run --shm-size=2g")
        else:
            yield Finding("shared memory", value)


def _space(results: Path) -> Iterator[Finding]:
    name, there = f"{results}/", machine.nearest(results)
    free = machine.free_space(results)
    value = f"{memory(free / 2**20)} free"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding(name, f"{there} cannot be written to", "problem", "--results DIR names another folder")
    elif free < LEAST_SPACE:
        yield Finding(name, value, "problem", "free some space, or use another folder: --results DIR")
    else:
        little = free < LITTLE_SPACE
        fix = "each run keeps two checkpoints of its network" if little else ""
        yield Finding(name, value, "note" if little else "ok", fix)
    yield _temporary_folder()
    files = machine.open_files()
    value = f"{files:,.0f} may be open" if math.isfinite(files) else "no limit"
    status: Literal["ok", "note", "problem"]
    status = "problem" if files < LEAST_FILES else "note" if files < FEW_FILES else "ok"
    yield Finding("files", value, status, "" if status == "ok" else "ulimit -n 4096")


def _temporary_folder() -> Finding:
    from ablation.execution.server import short_folder

    try:
        return Finding("temporary files", short_folder())
    except UserError as error:
        return Finding("temporary files", error.message, "problem", error.hint or "")


def _torch(device: ModuleType) -> Iterator[Finding]:
    versions = device.versions()
    torch, cuda = versions["torch"], versions["cuda"]
    built = f"CUDA {cuda}, cuDNN {versions['cudnn']}" if cuda else "the CPU only"
    if _numbers(torch)[:2] < OLDEST_TORCH:
        oldest = ".".join(map(str, OLDEST_TORCH))
        yield Finding(
            "PyTorch", f"{torch} is older than {oldest}", "problem", f'pip install --upgrade "torch>={oldest}"'
        )
    else:
        yield Finding("PyTorch", f"{torch}, built for {built}")
    yield _torchvision(torch)


def _torchvision(torch: str) -> Finding:
    """A torchvision is built for one version of torch, which its metadata name; with another it fails at import."""
    from importlib import metadata  # slow to import

    try:
        version = metadata.version("torchvision")
        wanted = [each for each in metadata.requires("torchvision") or () if each.startswith("torch==")]
    except metadata.PackageNotFoundError:
        return Finding("torchvision", "is not installed", "problem", INSTALL)
    needed = wanted[0].partition("==")[2] if wanted else ""
    if needed and _numbers(needed) != _numbers(torch):
        return Finding("torchvision", f"{version} is built for PyTorch {needed}, not {torch}", "problem", INSTALL)
    return Finding("torchvision", version)


def _gpus(device: ModuleType) -> Iterator[Finding]:
    """The driver, each GPU with what it is, and whether it trains."""
    shown = machine.nvidia_gpus()
    usable, unusable = device.accelerators()
    if shown:
        yield Finding("NVIDIA driver", shown[0][1])
    for name in usable:
        yield _trial(device, name)
    for reason in unusable:
        yield Finding("GPU", reason, "note" if usable else "problem", "" if usable else DRIVER)
    if usable:
        pipe = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))
        running = (pipe / "control").exists()
        yield Finding("CUDA MPS", "is running" if running else "is not running; several workers on one GPU take turns")
    elif shown and not unusable:
        yield _hidden(device, [model for model, _ in shown])
    elif not unusable:
        yield Finding("GPU", "none; studies are trained on the CPU")


def _hidden(device: ModuleType, models: list[str]) -> Finding:
    """Why torch shows no GPU at all where the driver does."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        value = f"{', '.join(models)}: hidden by CUDA_VISIBLE_DEVICES={shlex.quote(visible)}"
        return Finding("GPU", value, "note", "unset CUDA_VISIBLE_DEVICES to use them")
    if not device.versions()["cuda"]:
        return Finding("GPU", f"{', '.join(models)}: this PyTorch is built for the CPU only", "problem", INSTALL)
    return Finding("GPU", f"{', '.join(models)}: {device.why_unavailable()}", "problem", DRIVER)


def _trial(device: ModuleType, name: str) -> Finding:
    """A GPU, and whether a few steps of a tiny network run on it."""
    import time

    from ablation.worker.warmup import warm_up

    known, capability = device.accelerator(name), device.capability(name)
    facts = [known.model]
    facts += [f"compute capability {capability[0]}.{capability[1]}"] if capability else []
    facts += [memory(known.memory / 2**20)] if known.memory else []
    start = time.monotonic()
    try:
        device.set_up_process(1)
        warm_up(1, name)
    except Exception as error:  # whatever CUDA says is the finding
        return Finding(
            name, f"{', '.join(facts)}: cannot train: {_line(error)}", "problem", "nvidia-smi shows its state"
        )
    return Finding(name, f"{', '.join(facts)}; trains (the first steps took {time.monotonic() - start:.1f} s)")


def _compiler(device: ModuleType) -> Finding:
    """Whether `train.compile` finds a compiler that works."""
    name = "train.compile"
    if device.accelerators()[0] and device.versions()["cuda"] and not find_spec("triton"):
        return Finding(name, "not available on a GPU: Triton is not installed", "note", "pip install triton")
    wanted = os.environ.get("CXX")
    compiler = next(filter(shutil.which, [wanted] if wanted else ["g++", "clang++", "c++"]), None)
    if not compiler:
        return Finding(name, "not available: no C++ compiler", "note", "apt install g++")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "try.cpp"
        source.write_text("#include <cmath>\n#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }\n")
        command = [compiler, "-fopenmp", str(source), "-o", str(source.with_suffix(""))]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        why = next(iter(result.stderr.splitlines()), f"exit code {result.returncode}")
        return Finding(name, f"not available: {compiler} fails: {why}", "note", "apt install g++")
    return Finding(name, f"{compiler} compiles and finds OpenMP")


def _ray() -> Finding:
    if find_spec("ray"):
        from importlib import metadata

        return Finding("Ray", metadata.version("ray"))
    return Finding("Ray", "not installed; only --backend ray needs it")


def _numbers(version: str) -> tuple[int, ...]:
    """`2.14.1+cu130` as (2, 14, 1)."""
    return tuple(map(int, re.findall(r"\d+", version.partition("+")[0])[:3]))


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
