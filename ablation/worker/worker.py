"""A worker process: it prepares data and trains runs, one after another, as the parent asks over a pipe."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # noqa: F401  (torch.optim imports it at its first use; here it is loaded once, before workers fork)
from filelock import FileLock, Timeout

from ablation._util.files import writing
from ablation.data import sources
from ablation.errors import StorageError, UserError
from ablation.planning.plan import Run
from ablation.planning.weights import hub_folder
from ablation.registry.datasets import BuiltIn, CustomData
from ablation.storage.record import EpochRow
from ablation.storage.store import RunFolder
from ablation.storage.stored_run import Identity, StoredRun, read_run, set_damage_aside
from ablation.training import device, finetune, precision
from ablation.training.costs import costs
from ablation.training.loop import train
from ablation.training.progress import Hooks
from ablation.training.task import Task
from ablation.worker.metrics import compute
from ablation.worker.probe import probe
from ablation.worker.protocol import (
    Alive,
    Broken,
    Busy,
    Computed,
    ComputeMetrics,
    Done,
    Ending,
    EpochDone,
    Evaluate,
    Event,
    Failed,
    FailureKind,
    Hello,
    Noticed,
    Prepare,
    Prepared,
    Preparing,
    Probe,
    Probed,
    Started,
    Stepped,
    Stop,
    Stopped,
    Tried,
    TryDevices,
    TryWeights,
    Warm,
    Weigh,
    Weighed,
)
from ablation.worker.testing import evaluate_run
from ablation.worker.warmup import warm_up, warm_up_once

LOCK_PATIENCE = 2.0
"""Seconds to wait for a run that another process holds; one that was killed lets go within a moment."""
BEAT_SECONDS = 0.25
"""Between two heartbeats."""
WATCH_SECONDS = 1.0
"""Between two looks at how far a download is."""


class Channel:
    """The pipe to the parent; heartbeats may be sent from any thread."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._said = time.monotonic()

    def send(self, message: object) -> None:
        with self._lock:
            self._pipe.send(message)
            self._said = time.monotonic()

    def beat(self) -> None:
        """Say that the work goes on, unless something was said a moment ago."""
        if time.monotonic() - self._said > BEAT_SECONDS:
            self.send(Alive())

    def receive(self) -> Any:
        return self._pipe.recv()

    def waiting(self) -> bool:
        """Whether the parent has said something."""
        return self._pipe.poll()


def set_up(threads: int) -> None:
    """Make this process a worker, and load what torch loads at its first step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    device.set_up_process(threads)
    warm_up(threads)


def serve(pipe: Connection) -> None:
    """Answer requests until the parent closes the pipe or dies."""
    channel = Channel(pipe)
    usable, unusable = device.accelerators()
    channel.send(Hello(tuple(map(device.accelerator, usable)), unusable))
    while True:
        try:
            request = channel.receive()
        except EOFError:
            return
        answer = _answer(request, channel)
        if answer is not None:
            channel.send(answer)


def _answer(request: object, channel: Channel) -> object:
    match request:
        case Prepare():
            return _prepare(request, channel)
        case TryWeights():
            return _try_weights(request, channel)
        case TryDevices():
            return _try_devices(request)
        case ComputeMetrics():
            return _compute(request)
        case Weigh():
            return _weigh(request, channel)
        case Probe():
            return _probe(request, channel)
        case Evaluate():
            return _end(request.run, lambda: evaluate_run(request, channel.beat), channel)
        case Task():
            return _end(request.run, lambda: _train(request, channel), channel)
        case _:
            return None


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _prepare(request: Prepare, channel: Channel) -> Prepared:
    last = -math.inf

    def progress(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > BEAT_SECONDS:
            last = time.monotonic()
            channel.send(Preparing(what, done, total))

    def notice(line: str) -> None:
        channel.send(Preparing("", 0, 0, line))

    try:
        with _watching(request.data.download_folder(), channel):
            folder = sources.prepare(
                _source(request), request.fingerprint, request.cache, progress, request.part, notice
            )
        if request.classes:
            sources.check_classes(folder, request.classes)
        return Prepared(folder)
    except UserError as error:
        return Prepared(None, error)


def _source(request: Prepare) -> sources.Readable:
    if isinstance(request.data, BuiltIn):
        return request.data
    assert isinstance(request.data, CustomData)
    assert request.code is not None
    from ablation.worker.custom_data import CustomSource

    return CustomSource(request.data, request.code, request.classes)


def _probe(request: Probe, channel: Channel) -> Probed:
    def warm() -> None:
        if request.together:
            channel.send(Warm())
            channel.receive()  # Go, once the others are warm too

    try:
        seconds = probe(request.task, request.least, channel.beat, warm)
        return Probed(seconds, memory=device.memory_taken(device.open_device(request.task.device)))
    except (Exception, SystemExit) as error:
        if reason := device.fault(error):
            channel.send(Broken(reason))
        return Probed(None, traceback.format_exc())


def _try_weights(request: TryWeights, channel: Channel) -> Tried:
    run = request.run
    try:
        with _watching(hub_folder() if run.weights and not run.recipe.model.checkpoint else None, channel):
            finetune.try_weights(run, sources.load(request.data))
    except UserError as error:
        return Tried(error)
    return Tried()


def _try_devices(request: TryDevices) -> Tried:
    try:
        for name in request.devices:
            precision.check_training(request.precision, request.compile, device.find_device(name))
    except UserError as error:
        return Tried(error)
    return Tried()


def _weigh(request: Weigh, channel: Channel) -> Weighed:
    try:
        return Weighed(costs(request.runs, channel.beat))
    except UserError as error:
        return Weighed((), error)


def _compute(request: ComputeMetrics) -> Computed:
    try:
        return Computed(compute(request.folder, request.classes, request.names, request.codes))
    except UserError as error:
        return Computed({}, error)


@contextmanager
def _watching(folder: Path | None, channel: Channel) -> Iterator[None]:
    """Send heartbeats for as long as the files in `folder` grow: a slow download is no hanging one."""
    if folder is None:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        before = _size(folder)
        while not ended.wait(WATCH_SECONDS):
            now = _size(folder)
            if now != before:
                before = now
                channel.beat()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _size(folder: Path) -> int:
    """Bytes of the files in a folder; -1 where it is not there, or changes while it is looked at."""
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except OSError:
        return -1


def _train(task: Task, channel: Channel) -> Ending:
    """Train one run under its lock, so that two commands never train it at the same time."""
    with writing(task.folder):
        task.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(task.folder / "lock", timeout=LOCK_PATIENCE):
            return until_end(task, channel.send, _hooks(task, channel))
    except Timeout:
        return Busy(task.run)


def _end(run: Run, work: Callable[[], Ending], channel: Channel) -> Ending:
    ending, reason = ending_of(run, work)
    if reason:
        channel.send(Broken(reason))
    return ending


def ending_of(run: Run, work: Callable[[], Ending]) -> tuple[Ending, str]:
    """How the work at a run ended, and why this process can do no other; empty where it can."""
    reason = ""
    try:
        ending = work()
    except (Exception, SystemExit) as error:
        ending, reason = failure(run, error), device.fault(error)
    try:
        device.release_cached_memory()
    except RuntimeError as error:  # the run has ended as it has; what comes next would fail
        reason = reason or device.fault(error) or str(error)
    return ending, reason


def until_end(task: Task, report: Callable[[Event], None], hooks: Hooks) -> Ending:
    """Train a run that is not finished yet, and say how it ended."""
    run, stored = task.run, read_run(RunFolder(task.folder), Identity.of(task.run))
    if stored.record is None:
        if notice := set_damage_aside(stored):
            hooks.on_notice(notice)
        report(Started(run, task.device))
        warm_up_once(task.device, task.threads)
        record = train(task, hooks)
        if record is None:
            return Stopped(run)
        stored = StoredRun(stored.folder, record.status, record)
    assert stored.record is not None
    return Done(run, stored.record)


def failure(run: Run, error: BaseException) -> Failed:
    """What an error under way says about a run."""
    if isinstance(error, StorageError):
        return Failed(run, error.message, "", "storage")
    kind: FailureKind = "memory" if device.is_out_of_memory(error) else "error"
    of_user = "; ".join(str(error).splitlines()) if isinstance(error, UserError) else ""
    message = of_user or f"{type(error).__name__}: {error}"
    return Failed(run, message, "".join(traceback.format_exception(error)), kind)


def _hooks(task: Task, channel: Channel) -> Hooks:
    stopping = False

    def on_epoch(row: EpochRow, epochs: int) -> None:
        channel.send(EpochDone(task.run, row, epochs))

    def on_step(epoch: int, step: int, steps: int, speed: float) -> None:
        channel.send(Stepped(task.run, epoch, step, steps, speed))

    def should_stop() -> bool:
        nonlocal stopping
        while channel.waiting():
            stopping = isinstance(channel.receive(), Stop) or stopping
        return stopping

    def on_notice(message: str) -> None:
        channel.send(Noticed(task.run, message))

    return Hooks(on_epoch, on_step, should_stop, on_notice)
