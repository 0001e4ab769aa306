"""What a worker does outside a run: a call names a function, and the worker answers what that returned.

The parent names the functions, so that torch is imported inside. Each takes the channel of the worker that runs it, for
heartbeats, progress and notices.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from ablation._util.machine import Accelerator
from ablation.data.image_folder import Part
from ablation.errors import UserError
from ablation.planning.job import Job
from ablation.planning.run import Run
from ablation.storage.metric_values import MetricValue
from ablation.study.custom_code import Code
from ablation.worker.channel import Channel

Value = TypeVar("Value")


@dataclass(frozen=True)
class Call(Generic[Value]):
    """Asks for what `function` returns, mostly a `functools.partial` of one of those below.

    `doing` says what it does, for errors; `code` is the custom code that it runs.
    """

    function: Callable[[Channel], Value]
    doing: str
    code: tuple[Code, ...] = ()


@dataclass(frozen=True)
class Returned:
    """What the function of a call returned, or its UserError, or the traceback of any other error."""

    value: Any = None
    error: UserError | str | None = None


class Timing(NamedTuple):
    """Estimated seconds of a run, and the share of its device's memory that all processes had taken at the end.

    `seconds` are those of training and validation; `checkpoints` and `start` come on top of them (`probe.Probed`).
    """

    seconds: float
    memory: float = 0.0
    checkpoints: float = 0.0
    start: float = 0.0


def accelerators(_: Channel) -> tuple[tuple[Accelerator, ...], tuple[str, ...]]:
    """The accelerators that can be used, and why others that the machine has cannot."""
    from ablation.training import device

    usable, unusable = device.accelerators()
    return tuple(map(device.accelerator, usable)), unusable


def prepare(channel: Channel, run: Run, cache: Path, classes: tuple[str, ...] = ()) -> Path:
    """The folder below `cache` with the arrays of a run's data set; of its test part where that must have `classes`."""
    from ablation.data import sources
    from ablation.registry.datasets import BuiltIn, CustomData
    from ablation.worker.custom_data import CustomSource

    data, mark = run.image_recipe.data, run.data_fingerprint
    source: sources.Readable
    if isinstance(data, BuiltIn):
        source = data
    else:
        assert isinstance(data, CustomData)
        assert run.data_code
        source = CustomSource(data, run.data_code, classes)
    part: Part = "test" if classes else "train"
    with channel.watching(data.download_folder()):
        folder = sources.prepare(source, mark, cache, channel.preparing, part, channel.notice)
    if classes:
        sources.check_classes(folder, classes)
    return folder


def try_weights(channel: Channel, run: Run, data: Path) -> None:
    """Raise UserError where a run cannot start from its weights: they cannot be had, or do not fit its network."""
    from ablation.data import sources
    from ablation.planning.weights import hub_folder
    from ablation.training import finetune

    with channel.watching(hub_folder() if run.weights and not run.image_recipe.model.checkpoint else None):
        finetune.try_weights(run, sources.load(data))


def try_function(_: Channel, name: str, code: Code) -> None:
    """Raise UserError where a function cannot be imported, or is none."""
    from ablation.study.import_code import explained, load_attribute
    from ablation.tasks.function import CALLED_WITH, find_packages

    find_packages(Path(code.file).parent)
    with explained(code, name, CALLED_WITH):
        found = load_attribute(code, name)
    if not callable(found):
        raise UserError(f"{name} is {type(found).__name__}, and no function", "define it with def main(options, run):")


def try_devices(_: Channel, precision: str, compile: str, devices: Iterable[str]) -> None:
    """Raise UserError where a device cannot train in a `train.precision`, or reproducibly with a `train.compile`."""
    from ablation.training import device
    from ablation.training import precision as arithmetic

    for name in devices:
        arithmetic.check_training(precision, compile, device.find_device(name))


def weigh(channel: Channel, runs: Iterable[tuple[Run, Path]]) -> tuple[float, ...]:
    """How long runs on prepared data will take relative to each other, in any unit."""
    from ablation.training.costs import costs

    return costs(runs, channel.beat)


def compute_metrics(
    _: Channel, folder: Path, classes: int, names: Sequence[str], codes: Mapping[str, Code]
) -> dict[str, MetricValue]:
    """Metrics of a finished run by name, from its stored predictions (`worker.metrics.compute`)."""
    from ablation.worker.metrics import compute

    return compute(folder, classes, names, codes)


def probe(channel: Channel, job: Job, least: float = 0.0, together: bool = False) -> Timing:
    """How long a run would take on its device, from a few steps, or from all that `least` seconds allow.

    Workers that measure `together` wait for each other after their first steps. Nothing of it is kept. Raises UserError
    with the traceback where the run fails.
    """
    from ablation.training import device
    from ablation.worker import probe
    from ablation.worker.warmup import warm_up_once

    try:
        warm_up_once(job.device, job.threads)
        found = probe.probe(job, least, channel.beat, channel.wait_for_others if together else lambda: None)
        memory = device.memory_taken(device.open_device(job.device))
        return Timing(found.seconds, memory, found.checkpoints, found.start)
    except (Exception, SystemExit) as error:
        what = f"{job.run.label} fails at its first steps:\n{traceback.format_exc()}"
        raise UserError(what, "fix or remove the variant") from error
