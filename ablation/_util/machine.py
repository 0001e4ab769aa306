"""What this machine, and the container or job around this process, allows it: cores, memory, space, open files."""

from __future__ import annotations

import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_UNLIMITED = 2**60
"""Bytes; version 1 of cgroups writes a number above this one where there is no limit."""


def usable_cores() -> int:
    """The cores that this process may keep busy: those of its affinity, and no more than its cgroups grant.

    A container with `--cpus 2` on a machine with 64 cores may run on any of them, but on two at a time.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, cpu_quota())))


def cpu_quota() -> float:
    """The cores that the cgroups of this process grant; infinite where they set no limit."""
    quotas = [math.inf]
    for folder in _cgroup_folders("cpu"):
        words = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        if len(words) == 2 and words[0].isdecimal():  # no limit is `max`, or -1
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas)


def memory() -> tuple[int, int]:
    """(bytes of memory that this process may take, bytes of it that are free); 0 where the system does not say."""
    info = Path("/proc/meminfo")
    if not info.exists():
        return 0, 0
    sizes = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in info.read_text().splitlines()}
    total, free = sizes["MemTotal"], sizes["MemAvailable"]
    for folder in _cgroup_folders("memory"):
        limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current", folder / "memory.usage_in_bytes")
        if limit is not None and limit < _UNLIMITED:
            total, free = min(total, limit), min(free, max(0, limit - (used or 0)))
    return total, free


def free_space(folder: Path) -> int:
    """Bytes that are free where `folder` is, or would be made."""
    return shutil.disk_usage(nearest(folder)).free


def nearest(folder: Path) -> Path:
    """`folder`, or the nearest one above it that exists."""
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def processor() -> str:
    """The model of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def open_files() -> float:
    """How many files this process may have open."""
    if sys.platform == "win32":
        return math.inf
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return math.inf if soft == resource.RLIM_INFINITY else soft


def nvidia_gpus() -> list[tuple[str, str]]:
    """(model, version of the driver) of each GPU that the NVIDIA driver shows, whatever torch makes of it."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):  # there is no driver, or it does not answer
        return []
    rows = (line.rpartition(",") for line in result.stdout.splitlines() if "," in line)
    return [(model.strip(), driver.strip()) for model, _, driver in rows]


def has_nvidia_driver() -> bool:
    """Whether this machine seems to have an NVIDIA GPU: its driver is loaded, or there is no telling."""
    return not sys.platform.startswith("linux") or Path("/proc/driver/nvidia").exists()


def _cgroup_folders(controller: str) -> Iterator[Path]:
    """The folders of this process's cgroups that may limit `controller`, its own and those above it.

    /proc/self/cgroup has lines `0::/path` (version 2) and `4:cpu,cpuacct:/path` (version 1). In a container the path
    may be that of the host, and only the root of the mounted tree is there.
    """
    for line in _OWN_CGROUPS.read_text().splitlines() if _OWN_CGROUPS.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = _CGROUPS / controllers if controllers else _CGROUPS
        own = root / path.lstrip("/")
        yield from (each for each in (own, *own.parents) if each.is_relative_to(root) and each.is_dir())


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _number(*paths: Path) -> int | None:
    """The first number that one of the files holds; None where none does."""
    words = [word for path in paths for word in _words(path) if word.isdecimal()]
    return int(words[0]) if words else None


@dataclass(frozen=True)
class Accelerator:
    """A CUDA device as torch names it (`cuda:0`), its model (`NVIDIA A100-SXM4-40GB`), and its memory in bytes."""

    device: str
    model: str
    memory: int
