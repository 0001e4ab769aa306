"""Where the time of a run goes, in one worker: the parts of the engine are timed from outside while it trains."""

from __future__ import annotations

import functools
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from ablation.planning.job import Job
from ablation.registry.models.layers import Network
from ablation.storage.store import RunFolder
from ablation.training import augment, data, device, loop, placement, targets
from ablation.worker.warmup import warm_up
from benchmarks.rows import Part, Row, row
from benchmarks.work import DIGITS, LENET, Work, shortened

FORWARD, BACKWARD, UPDATE = "forward and loss", "backward", "update (optimiser)"
GATHER, AUGMENT, NORMALISE = "data: gathering", "data: augmentation", "data: normalisation"
METRICS, EVALUATION = "training accuracy", "evaluation"
SAVING, SET_UP, REST = "checkpoints and records", "set-up and self-checks", "all the rest"
BARE = (FORWARD, BACKWARD, UPDATE)
OUTSIDE = (EVALUATION, SAVING, SET_UP)

PLACES: tuple[tuple[Any, str, str], ...] = (
    (Network, "forward", FORWARD),
    (targets.Targets, "loss", FORWARD),
    (torch.Tensor, "backward", BACKWARD),
    (torch.optim.SGD, "step", UPDATE),
    (torch.optim.SGD, "zero_grad", UPDATE),
    (placement, "gather", GATHER),
    (data.View, "normalised", NORMALISE),
    (targets.Targets, "hits", METRICS),
    (loop, "evaluate", EVALUATION),
    (loop.Training, "_keep", SAVING),
    (loop.Training, "_save", SAVING),
    (loop.Training, "_finish", SAVING),
    (RunFolder, "append", SAVING),
    (loop.Training, "__init__", SET_UP),
    (loop.Training, "_resume", SET_UP),
)
"""Owner and name of each function that is timed, and the phase that it belongs to."""
ROUNDS = 5
NOTES = (
    "Shares of the time of one run from its set-up to its record, in one process with one thread, by timers around the"
    " parts of the engine. What runs inside evaluation, checkpoints and set-up counts as these.",
    "*Over the bare loop*: the training passes over their forward, backward and update; a bare loop has nothing else."
    " *All the rest*: drawing the order, learning rates, adding up metrics, progress, and the timers themselves.",
)


class Clock:
    """Adds up the seconds of functions by phase; inside a function that is timed nothing else is."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._running = False

    def timed(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            if self._running:
                return function(*arguments, **options)
            self._running = True
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self.seconds[phase] += time.perf_counter() - start
                self._running = False

        return call


@contextmanager
def _watched(clock: Clock) -> Iterator[None]:
    """Time the engine's parts inside the statement."""
    epoch = augment.Augmenter.epoch

    def timed_epoch(self: augment.Augmenter, number: int) -> Callable[..., Any]:
        return clock.timed(AUGMENT, epoch(self, number))

    with ExitStack() as stack:
        stack.enter_context(patch.object(augment.Augmenter, "epoch", timed_epoch))
        for owner, name, phase in PLACES:
            stack.enter_context(patch.object(owner, name, clock.timed(phase, getattr(owner, name))))
        yield


def phases(work: Work) -> Counter[str]:
    """Seconds of one run of a study by phase."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as name:
        folder, _ = work.prepare(Path(name) / "images")
        job = Job(work.plan().runs[0], Path(name) / "run", folder, "cpu", 1)
        with _watched(clock):
            start = time.perf_counter()
            loop.train(job, loop.Hooks(lambda *_: None, lambda *_: None, lambda: False))
            total = time.perf_counter() - start
    clock.seconds[REST] = total - clock.seconds.total()
    return clock.seconds


def measure(quick: bool) -> Part:
    """A LeNet run and a digits run; `quick` shows only that it works."""
    device.set_up_process(1)
    warm_up(1)
    rows: list[Row] = []
    for work in (LENET, DIGITS):
        small = shortened(work) if quick else replace(work, dropouts=work.dropouts[:2], seeds=(0,))
        found = [phases(small) for _ in range(1 if quick else ROUNDS)]
        rows += _rows(work.name, found)
    return Part("Where the time goes", NOTES, rows)


def _rows(name: str, found: list[Counter[str]]) -> list[Row]:
    names = dict.fromkeys((*BARE, GATHER, AUGMENT, NORMALISE, METRICS, REST, *OUTSIDE))
    rows = [row(f"{name}: {phase}", [100 * each[phase] / each.total() for each in found], "%") for phase in names]
    passes = [each.total() - sum(each[phase] for phase in OUTSIDE) for each in found]
    bare = [sum(each[phase] for phase in BARE) for each in found]
    over = [one / other for one, other in zip(passes, bare, strict=True)]
    whole = row(f"{name}: one run", [each.total() for each in found], "s")
    return [whole, *rows, row(f"{name}: over the bare loop", over, "x")]
