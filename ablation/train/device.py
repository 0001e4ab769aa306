"""All that depends on the hardware: devices, threads, the allocator, determinism, memory. CUDA is named only here."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch._dynamo
import torch._inductor.config
from torch import Tensor, nn

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 2**31 - 1
_MOST_COMPILED = 256
"""Forms in which one network class is compiled: architectures, sizes of batches, frozen parts."""


def set_up_process(threads: int) -> None:
    """Make this process a worker: its threads, deterministic kernels, and an allocator that keeps its buffers."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # Deterministic mode writes NaN into each new tensor before an operation fills it; that would show bugs, at a price.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Tell glibc not to hand large buffers back to the system after every step; elsewhere there is nothing to do."""
    libc = _glibc()
    if libc:
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_M_TRIM_THRESHOLD, _LARGE)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None)


def accelerators() -> list[str]:
    """The CUDA devices that this process can see, as torch names them, or those of the device table."""
    return list(_table()) or [f"cuda:{index}" for index in range(torch.cuda.device_count())]


def _table() -> dict[str, str]:
    """What stands in for which device: for tests, ABLATION_DEVICES=cuda:0=cpu,cuda:1=cpu makes two GPUs of the CPU."""
    entries = [entry for entry in os.environ.get("ABLATION_DEVICES", "").split(",") if entry]
    return dict(entry.split("=", 1) for entry in entries)


def open_device(name: str) -> torch.device:
    """The device `name` (`cpu`, `cuda:0`), made the current one."""
    device = torch.device(_table().get(name, name))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compiled(network: nn.Module, mode: str) -> Callable[[Tensor], Tensor]:
    """The network compiled by torch.compile for shapes that do not change; `reduce-overhead` adds CUDA graphs.

    It needs a C++ compiler on a CPU, and Triton on CUDA. Where torch would quietly leave a network as it is, it raises.
    """
    torch._dynamo.config.recompile_limit = _MOST_COMPILED
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    torch._inductor.config.compile_threads = 1  # no processes that could outlive this one
    return torch.compile(network, mode=mode, dynamic=False)


class MemoryMeter:
    """Peak memory of a run in MiB: what torch allocated on CUDA; on a CPU the growth of the process since the start."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._base = 0.0
        self._resettable = True
        if device.type == "cpu":
            libc = _glibc()
            if libc:
                libc.malloc_trim(0)
            self._base = _resident_mb("VmRSS")

    def reset(self) -> None:
        """Start a new peak."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif sys.platform.startswith("linux"):
            try:
                Path("/proc/self/clear_refs").write_text("5")
            except OSError:  # some containers forbid it: then there is no peak to tell
                self._resettable = False

    def peak(self) -> float:
        """The peak since the last `reset`; NaN where the system does not tell."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        growth = _resident_mb("VmHWM") - self._base
        return growth if self._resettable else float("nan")


def _resident_mb(field: str) -> float:
    """A memory figure of this process; NaN where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return float("nan")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def memory_taken(device: torch.device) -> float:
    """The share of the device's memory that is taken, by whomever; on a CPU of the host's (0 where it is unknown)."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return 1 - free / total
    info = Path("/proc/meminfo")
    if not info.exists():
        return 0.0
    sizes = {line.partition(":")[0]: float(line.split()[1]) for line in info.read_text().splitlines()}
    return 1 - sizes["MemAvailable"] / sizes["MemTotal"]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that a device, or the host, has no memory left."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # torch's allocator on the CPU


def forget() -> None:
    """Give what the last run left in caches back to its accelerator, for the other workers there."""
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


def describe(device: torch.device) -> tuple[str, str]:
    """(name of the device, name of the host's processor)."""
    processor = _processor()
    return (torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"), processor


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
