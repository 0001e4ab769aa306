"""Which devices a study runs on, and how many workers each of them gets."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Collection, Sequence

from ablation._util.formatting import plural
from ablation._util.machine import Accelerator, usable_cores
from ablation.errors import UserError
from ablation.worker.calls import Timing

MOST_MEMORY = 0.8
"""Share of a GPU's memory that its workers may take; cuDNN takes other algorithms where it finds no workspace."""
FIRST_SHARING, MOST_SHARING = 4, 8
"""Workers on one GPU: in the first trial, and at most."""
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


def find_sharing(measure: Callable[[int], Sequence[Timing | None]], most: int, runs: float) -> int:
    """How many workers share a device, `most` at the most, so that `runs` on each device end soonest.

    `measure` says how long the longest run takes when so many workers try it together. The first trial has several,
    since starting them takes most of its time. Then twice as many are tried, or half as many; fewer are kept where they
    get nearly as much done. Nothing is tried that takes longer than it could save.
    """
    first = count = min(FIRST_SHARING, most)
    found, cost = _timed(measure, count)
    while count > 1 and not _fit(found):
        count //= 2
        found, cost = _timed(measure, count)
    while first <= count <= most // 2 and worth_trying(found, runs, cost):
        more, cost = _timed(measure, 2 * count)
        if not more_pays(found, more):
            break
        count, found = 2 * count, more
    while 1 < count <= first and worth_trying(found, runs, cost):
        fewer, cost = _timed(measure, count // 2)
        if more_pays(fewer, found):
            break
        count, found = count // 2, fewer
    return count


def more_pays(fewer: Sequence[Timing | None], more: Sequence[Timing | None]) -> bool:
    """Whether more workers on one device have memory, and get a tenth more done in all than fewer of them."""
    return _fit(more) and _speed(more) > LEAST_GAIN * _speed(fewer)


def worth_trying(found: Sequence[Timing | None], runs: float, cost: float) -> bool:
    """Whether another number of workers could save the `cost` of trying it, in seconds.

    `found` is what the present workers say, and `runs` how many each device still has to train. At most twice as much
    gets done.
    """
    return runs / _speed(found) / 2 > cost


def _timed(measure: Callable[[int], Sequence[Timing | None]], count: int) -> tuple[Sequence[Timing | None], float]:
    """What so many workers say, and the seconds that it took."""
    start = time.monotonic()
    return measure(count), time.monotonic() - start


def _fit(found: Sequence[Timing | None]) -> bool:
    """Whether no worker failed, and a fifth of the device's memory is left free."""
    return all(answer is not None and answer.memory <= MOST_MEMORY for answer in found)


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
