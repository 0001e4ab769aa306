"""Which devices a study runs on, and how many workers each of them gets."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Sequence

from ablation._util.formatting import plural
from ablation._util.machine import Accelerator, usable_cores
from ablation.errors import UserError
from ablation.worker.calls import Timing

MOST_MEMORY = 0.8
"""Share of a GPU's memory that its workers may take; cuDNN takes other algorithms where it finds no workspace."""
MOST_SHARING = 8
"""Workers on one GPU."""
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


def of_one_model(
    devices: Sequence[str], accelerators: Sequence[Accelerator], trained_on: Collection[str] = ()
) -> tuple[list[str], str]:
    """Those of `devices` that are of one model, and a sentence on the others, empty where there are none.

    GPUs of two models give different bits. The model is one that finished runs were `trained_on`, or else that with the
    most memory in all.
    """
    groups: dict[str, list[Accelerator]] = {}
    for each in accelerators:
        if each.device in devices:
            groups.setdefault(each.model, []).append(each)
    if len(groups) < 2:
        return list(devices), ""

    def rank(model: str) -> tuple[bool, int, int]:
        return model in trained_on, sum(each.memory for each in groups[model]), len(groups[model])

    best = max(groups, key=rank)
    chosen = [each.device for each in groups[best]]
    others = [f"{each.device} ({each.model})" for each in accelerators if each.device in devices and each.model != best]
    them = "it" if len(others) == 1 else "them"
    numbers = ",".join(device.partition(":")[2] for device in devices if device not in chosen)
    return chosen, (
        f"{', '.join(others)}: GPUs of two models give different bits, and this study uses {', '.join(chosen)} "
        f"({best}); --device cuda:{numbers} uses {them} instead"
    )


def default_sharing(devices: Sequence[str], threads: int) -> int:
    """Workers for each device where nothing better is known: one for each core of the CPU, one for a GPU."""
    return max(1, available_cores() // threads) if list(devices) == ["cpu"] else 1


def list_places(devices: Sequence[str], per_device: int) -> list[str]:
    """The device of each worker: `per_device` for every device, in turn."""
    return list(devices) * per_device


def more_pays(before: Sequence[Timing | None] | None, found: Sequence[Timing | None]) -> bool:
    """Whether so many workers on one device get more done than fewer of them did `before`.

    They are to be a tenth faster in all, and to leave a fifth of the device's memory free.
    """
    if any(answer is None or answer.memory > MOST_MEMORY for answer in found):
        return False
    return before is None or _speed(found) > LEAST_GAIN * _speed(before)


def worth_trying(found: Sequence[Timing | None], runs: float, cost: float) -> bool:
    """Whether twice as many workers on a device could save the `cost` of trying that, in seconds.

    `found` is what the present workers say, and `runs` how many each device still has to train. Twice as many workers
    get at most twice as much done.
    """
    return runs / _speed(found) / 2 > cost


def _speed(answers: Sequence[Timing | None]) -> float:
    """Runs per second."""
    return sum(1 / answer.seconds for answer in answers if answer)


def most_sharing(devices: int, threads: int, runs: int) -> int:
    """How many workers may share one of the GPUs: each has the cores of its threads, and none is without a run."""
    cores = available_cores() // (threads * devices)
    return max(1, min(MOST_SHARING, cores, math.ceil(runs / devices)))


def available_cores() -> int:
    """The cores that this process may use."""
    return usable_cores()
