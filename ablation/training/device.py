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

import numpy as np
import torch
from torch import Tensor, nn

from ablation._util.machine import Accelerator, processor

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 2**31 - 1
MOST_MEMORY = 0.8
"""Share of a GPU's memory above which cuDNN may find none for its workspace and take another algorithm."""
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
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms would load the compiler, for seconds
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


def versions() -> dict[str, str]:
    """Torch, and the CUDA and cuDNN that it was built with; empty where it was built without."""
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]  # 91900 for 9.19.0
    return {
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda or "",
        "cudnn": cudnn_version(cudnn) if cudnn else "",
    }


def capability(name: str) -> tuple[int, int] | None:
    """The compute capability of a CUDA device; None where the device table has another in its place."""
    return None if name in _table() else torch.cuda.get_device_capability(name)


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
        return (), (f"{count} CUDA devices are visible, but {why_unavailable()}",)
    faults = {index: _fault_of_device(index) for index in range(count)}
    usable = tuple(f"cuda:{index}" for index, fault in faults.items() if not fault)
    return usable, tuple(f"cuda:{index} {fault}" for index, fault in faults.items() if fault)


def why_unavailable() -> str:
    """What CUDA says where torch finds no device that it can use."""
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


def accelerator(name: str) -> Accelerator:
    """What is known of a CUDA device that can be used."""
    if name in _table():
        return Accelerator(name, _models()[name], 0)
    properties = torch.cuda.get_device_properties(name)
    return Accelerator(name, properties.name, properties.total_memory)


def _table() -> dict[str, str]:
    """What stands in for which device: for tests, ABLATION_DEVICES=cuda:0=cpu,cuda:1=cpu makes two GPUs of the CPU."""
    return {name: real for name, (real, _, _) in _entries()}


def _models() -> dict[str, str]:
    """The models of the devices of the table: `T4` of cuda:0=cpu:T4, and `cpu` of cuda:0=cpu."""
    return {name: model or real for name, (real, _, model) in _entries()}


def _entries() -> Iterator[tuple[str, tuple[str, str, str]]]:
    for entry in filter(None, os.environ.get("ABLATION_DEVICES", "").split(",")):
        name, _, value = entry.partition("=")
        yield name, value.partition(":")


def find_device(name: str) -> torch.device:
    """The device `name` (`cpu`, `cuda:0`), or what the table has in its place."""
    return torch.device(_table().get(name, name))


def open_device(name: str) -> torch.device:
    """The device `name` (`cpu`, `cuda:0`), made the current one."""
    device = find_device(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def has_fused_optimizers(device: torch.device) -> bool:
    """Whether optimizers update all weights in one kernel there. On a CPU that would change the weights' last bits."""
    return device.type == "cuda"


def can_record(device: torch.device, optimizer: torch.optim.Optimizer) -> bool:
    """Whether the kernels of a step can be recorded there: those of fused optimizers read the learning rate as data.

    With CUDA_LAUNCH_BLOCKING each launch waits for its kernel, which a recording forbids.
    """
    fused = all(group.get("fused") for group in optimizer.param_groups)
    return has_fused_optimizers(device) and fused and os.environ.get("CUDA_LAUNCH_BLOCKING", "0") == "0"


def record(work: Callable[[], None]) -> Callable[[], None]:
    """Record the kernels that `work` launches as a CUDA graph, without running them: what replays all of them.

    The tensors that `work` reads and writes must stay where they are; those that it makes belong to the graph.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may go on
        work()
    return graph.replay


def learning_rate(rate: float, device: torch.device) -> float:
    """A learning rate as the optimizers there get it: as float32 where a recorded step reads it from memory."""
    return float(np.float32(rate)) if has_fused_optimizers(device) else rate


def place(network: nn.Module, device: torch.device) -> None:
    """Move a network to a device in the memory layout in which it is fastest there."""
    memory_format = layout(network, device.type)
    network.to(device, memory_format=memory_format)  # type: ignore[call-overload]
    if memory_format == torch.contiguous_format:
        network.register_forward_pre_hook(_plain)


def layout(network: nn.Module, kind: str) -> torch.memory_format:
    """Channels last, unless CUDA's kernels for a normalisation would bring every map back to the plain layout."""
    plain = any(isinstance(module, nn.GroupNorm | nn.InstanceNorm2d) for module in network.modules())
    return torch.contiguous_format if plain and kind == "cuda" else torch.channels_last


def _plain(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(each.contiguous() for each in inputs)


def compiles_deterministically() -> bool:
    """Whether this torch can compile for CUDA without choosing kernels by how fast they are just now."""
    import torch._inductor.config

    return hasattr(torch._inductor.config, "deterministic")


def compiled(network: nn.Module, mode: str) -> Callable[[Tensor], Tensor]:
    """The network compiled by torch.compile for shapes that do not change; `reduce-overhead` adds CUDA graphs.

    It needs a C++ compiler on a CPU, and Triton on CUDA. Where torch would quietly leave a network as it is, it raises.
    """
    import torch._dynamo
    import torch._inductor.config

    torch._dynamo.config.recompile_limit = _MOST_COMPILED
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    if compiles_deterministically():  # on CUDA always: `check_training` has seen to it
        torch._inductor.config.deterministic = True  # no choice by time
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

    def leave_out_others(self, network: nn.Module) -> None:
        """Do not count what CUDA has allocated besides `network`: compiled networks of earlier runs."""
        if self.device.type == "cuda":
            size = sum(value.nbytes for value in (*network.parameters(), *network.buffers()))
            self._base = (torch.cuda.memory_allocated(self.device) - size) / 2**20

    def reset(self) -> None:
        """Start a new peak."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        elif sys.platform.startswith("linux"):
            try:
                Path("/proc/self/clear_refs").write_text("5")
            except OSError:  # some containers forbid it: then there is no peak to report
                self._resettable = False

    def peak(self) -> float:
        """The peak since the last `reset`; NaN where the system does not report it."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20 - self._base
        growth = _resident_mb("VmHWM") - self._base
        return growth if self._resettable else float("nan")


def _resident_mb(field: str) -> float:
    """A memory figure of this process; NaN where the system does not report it."""
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


def nearly_full(device: torch.device) -> str:
    """What to say of a CUDA device whose memory is so full that results may not repeat to the bit; empty elsewhere.

    Where cuDNN finds no memory for its workspace, it quietly takes another algorithm, with other rounding errors.
    """
    taken = memory_taken(device) if device.type == "cuda" else 0.0
    if taken <= MOST_MEMORY:
        return ""
    return f"the memory of its GPU was {taken:.0%} full; above {MOST_MEMORY:.0%} cuDNN may take other algorithms"


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


def describe(name: str) -> tuple[str, str]:
    """(model of the device `name`, which is `cpu` for a CPU; model of the host's processor)."""
    return ("cpu" if name == "cpu" else accelerator(name).model), processor()


def recorded(device: torch.device) -> dict[str, str]:
    """cuDNN, driver and compute capability of a CUDA device, by the names that a record has for them; else empty."""
    if device.type != "cuda":
        return {}
    cudnn, module = torch.backends.cudnn.version(), Path("/proc/driver/nvidia/version")  # type: ignore[no-untyped-call]
    return {
        "cudnn": cudnn_version(cudnn) if cudnn else "",
        "driver": driver_version(module.read_text()) if module.exists() else "",
        "capability": dotted(torch.cuda.get_device_capability(device)),
    }


def cudnn_version(number: int) -> str:
    """cuDNN's number as its release: 91002 is 9.10.2, and 8907, from before version 9, is 8.9.7."""
    major = 10_000 if number >= 90_000 else 1000
    return dotted((number // major, number % major // 100, number % 100))


def driver_version(text: str) -> str:
    """The release in what NVIDIA's kernel module says of itself; empty where there is none."""
    found = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return found[1] if found else ""


def dotted(numbers: tuple[int, ...]) -> str:
    """A version or capability as it is written: 8.0."""
    return ".".join(map(str, numbers))
