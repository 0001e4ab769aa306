"""All that depends on the hardware: devices, threads, the allocator, determinism, memory. CUDA is named only here."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch._dynamo
import torch._inductor.config
from torch import Tensor, nn

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 2**31 - 1
_MOST_COMPILED = 256
"""Forms in which one network class is compiled: architectures, sizes of batches, frozen parts."""


@dataclass(frozen=True)
class BlockSize:
    """Bytes of uint8 images that go through each operation of the loader together.

    - `block`: of one block, from which the batches are cut.
    - `ahead`: that are augmented before their turn, block after block.

    Augmentation draws its random numbers block by block: another `block` gives other results on that kind of device.
    """

    block: int
    ahead: int


CPU_BLOCK = BlockSize(2**18, 2**22)
"""A block that caches hold; several are augmented ahead: each step of a network displaces them from there."""
CUDA_BLOCK = BlockSize(2**23, 2**23)
"""About 20 batches of CIFAR-10: each operation on a block is a launch, which costs the same whatever its size."""

_NO_MEMORY = (
    "can't allocate memory",  # torch's allocator on the CPU
    "out of memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "unable to find an engine",  # cuDNN, where no algorithm fits into what is left
)
_OF_CUDA = ("cuda error", "cublas_status_", "cudnn_status_", "cudnn error", "cusolver error", "cufft error")


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


def accelerators() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the CUDA devices that this process can use, as torch names them; why it cannot use each of the others).

    The device table stands in for both.
    """
    if names := tuple(_table()):
        return names, ()
    count = torch.cuda.device_count()
    if not count:
        return (), ()
    if not torch.cuda.is_available():
        return (), (f"{count} CUDA devices are visible, but {_why_unavailable()}",)
    faults = {index: _fault_of_device(index) for index in range(count)}
    usable = tuple(f"cuda:{index}" for index, fault in faults.items() if not fault)
    return usable, tuple(f"cuda:{index} {fault}" for index, fault in faults.items() if fault)


def _why_unavailable() -> str:
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return " ".join(str(error).split())[:300]
    return "torch reports that CUDA is not available"


def _fault_of_device(index: int) -> str:
    """Why this torch has no kernels for a device; empty where it has.

    Machine code of one major version runs on its later minor ones; PTX (`compute_*`) is compiled for any later device.
    """
    try:
        name, (major, minor) = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)
    except RuntimeError as error:
        return f"cannot be used: {' '.join(str(error).split())[:300]}"
    built = torch.cuda.get_arch_list()
    for kind, number in (architecture.split("_", 1) for architecture in built):
        own_major, own_minor = divmod(int(re.sub(r"\D", "", number)), 10)
        if kind == "compute" and (own_major, own_minor) <= (major, minor):
            return ""
        if kind == "sm" and own_major == major and own_minor <= minor:
            return ""
    return f"({name}) has compute capability {major}.{minor}, for which this torch is not built ({', '.join(built)})"


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


def block_size(device: torch.device) -> BlockSize:
    """How many bytes of images the loader takes at a time."""
    return CUDA_BLOCK if device.type == "cuda" else CPU_BLOCK


def free_memory(device: torch.device) -> float:
    """Bytes that are free on a device; infinite on a CPU, where images are mapped into memory and not copied.

    For tests, ABLATION_FREE_BYTES gives any device so many.
    """
    if given := os.environ.get("ABLATION_FREE_BYTES"):
        return float(given)
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf


def host_buffer(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Uninitialised memory of the host from which the device copies by itself: page-locked for CUDA."""
    return torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")


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
    """Whether an exception, or one that it was raised from, says that a device or the host has no memory left."""
    return any(
        isinstance(each, MemoryError | torch.cuda.OutOfMemoryError)
        or (isinstance(each, RuntimeError) and any(text in str(each).lower() for text in _NO_MEMORY))
        for each in _causes(error)
    )


def fault(error: BaseException) -> str:
    """What has broken this process for CUDA; empty where an exception leaves it usable.

    After an illegal access or a failed assertion in a kernel every later call fails, whatever it is asked. What is out
    of memory is not broken.
    """
    if is_out_of_memory(error):
        return ""
    for each in _causes(error):
        text = str(each)
        if isinstance(each, RuntimeError) and any(word in text.lower() for word in _OF_CUDA):
            return text.partition("\n")[0]
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def release_cached_memory() -> None:
    """Give what the last run left in caches back to its accelerator, for the other workers there.

    Raises RuntimeError where the process is broken for its device.
    """
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
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
