"""Which devices a study runs on, and how many workers each of them gets."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ablation.errors import UserError


def choose_devices(request: str, accelerators: Sequence[str]) -> list[str]:
    """The devices that `--device` asks for: `auto`, `cpu`, `cuda` (all), or some (`cuda:0,2`).

    `accelerators` are those of this machine. Raises UserError for one that it does not have.
    """
    if request == "auto":
        return list(accelerators) or ["cpu"]
    if request == "cpu":
        return ["cpu"]
    kind, _, numbers = request.partition(":")
    wanted = [f"{kind}:{number.strip()}" for number in numbers.split(",")] if numbers else list(accelerators)
    if kind != "cuda" or "cuda:" in wanted:
        raise UserError(f"unknown device {request!r}", "use auto, cpu, cuda, or cuda:0,2")
    missing = [name for name in wanted if name not in accelerators]
    if missing or not wanted:
        here = ", ".join(accelerators) or "no CUDA device"
        raise UserError(
            f"--device {request}: {', '.join(missing) or 'no CUDA device'} is not here", f"this machine has {here}"
        )
    return wanted


def list_places(devices: Sequence[str], workers: int | None, threads: int) -> list[str]:
    """The device of each worker: `workers` for every device; by default one for a GPU, one for each core of the CPU."""
    default = max(1, available_cores() // threads) if list(devices) == ["cpu"] else 1
    return [device for _ in range(workers or default) for device in devices]


def available_cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
