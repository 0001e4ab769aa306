"""Which devices a study runs on, and how many workers each of them gets."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ablation.errors import UserError
from ablation.protocol import Probed
from ablation.words import plural

MOST_MEMORY = 0.9
LEAST_GAIN = 1.1


def check_threads(threads: int) -> None:
    """Raise UserError where a worker would have more threads than this machine has cores: each would only wait."""
    cores = os.cpu_count() or 1
    if threads > cores:
        raise UserError(f"--threads {threads}: this machine has {plural(cores, 'core')}", f"use at most {cores}")


def choose_devices(request: str, accelerators: Sequence[str], unusable: Sequence[str] = ()) -> list[str]:
    """The devices that `--device` asks for: `auto`, `cpu`, `cuda` (all), or some (`cuda:0,2`).

    `accelerators` are those that can be used on this machine, `unusable` says why others cannot. Raises UserError for
    a device that is not among them.
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
        available = ", ".join(accelerators)
        hint = f"this machine has {available}" if available else "use --device cpu"
        hint = "; ".join([hint, *unusable])
        what = f"this machine has no {', '.join(missing)}" if missing else "this machine has no CUDA device"
        raise UserError(f"--device {request}: {what}", hint)
    return wanted


def default_sharing(devices: Sequence[str], threads: int) -> int:
    """Workers for each device where nothing better is known: one for each core of the CPU, one for a GPU."""
    return max(1, available_cores() // threads) if list(devices) == ["cpu"] else 1


def list_places(devices: Sequence[str], per_device: int) -> list[str]:
    """The device of each worker: `per_device` for every device, in turn."""
    return list(devices) * per_device


def more_pays(before: Sequence[Probed | None] | None, found: Sequence[Probed | None]) -> bool:
    """Whether so many workers on one device get more done than fewer of them did `before`.

    They are to be a tenth faster in all, and to leave a tenth of the device's memory free.
    """
    if any(answer is None or answer.seconds is None or answer.memory > MOST_MEMORY for answer in found):
        return False
    return before is None or _speed(found) > LEAST_GAIN * _speed(before)


def _speed(answers: Sequence[Probed | None]) -> float:
    """Runs per second."""
    return sum(1 / answer.seconds for answer in answers if answer and answer.seconds)


def available_cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
