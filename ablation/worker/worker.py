"""A worker process: it prepares data and trains runs, one after another, as the parent asks over a pipe."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch
import torch._dynamo  # noqa: F401  (torch.optim imports it at its first use; here it is loaded once, before workers fork)
from filelock import FileLock, Timeout

from ablation._util.files import writing
from ablation.errors import StorageError, UserError
from ablation.planning.plan import Run
from ablation.storage.record import EpochRow
from ablation.storage.store import RunFolder
from ablation.storage.stored_run import Identity, StoredRun, read_run, set_damage_aside
from ablation.training import device
from ablation.training.loop import train
from ablation.training.progress import Hooks
from ablation.training.task import Task
from ablation.worker.calls import Call, Returned
from ablation.worker.channel import Channel
from ablation.worker.protocol import (
    Alive,
    Broken,
    Busy,
    Done,
    Ending,
    EpochDone,
    Evaluate,
    Event,
    Failed,
    FailureKind,
    Noticed,
    Started,
    Stepped,
    Stop,
    Stopped,
)
from ablation.worker.testing import evaluate_run
from ablation.worker.warmup import warm_up, warm_up_once

LOCK_PATIENCE = 2.0
"""Seconds to wait for a run that another process holds; one that was killed lets go within a moment."""


def set_up(threads: int) -> None:
    """Make this process a worker, and load what torch loads at its first step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    device.set_up_process(threads)
    warm_up(threads)


def serve(pipe: Connection) -> None:
    """Answer requests until the parent closes the pipe or dies."""
    channel = Channel(pipe)
    channel.send(Alive())
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
        case Call():
            return _call(request, channel)
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


def _call(request: Call[Any], channel: Channel) -> Returned:
    try:
        return Returned(request.function(channel))
    except (Exception, SystemExit) as error:
        if reason := device.fault(error):
            channel.send(Broken(reason))
        return Returned(error=error if isinstance(error, UserError) else traceback.format_exc())


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
