"""A worker process: it prepares data and trains runs, one after another, as the parent asks over a pipe."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch
import torch._dynamo  # noqa: F401  (torch.optim imports it at its first use; here it is loaded once, before workers fork)
from filelock import FileLock, Timeout

from ablation.errors import StorageError, UserError
from ablation.plan import Run
from ablation.protocol import (
    Busy,
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
    Task,
    Tried,
    TryWeights,
    Weigh,
    Weighed,
)
from ablation.record import EpochRow
from ablation.store import RunFolder, writing
from ablation.stored_run import Identity, StoredRun, read_run, set_damage_aside
from ablation.train import device, finetune, sources
from ablation.train.costs import costs
from ablation.train.loop import train
from ablation.train.probe import probe
from ablation.train.progress import Hooks
from ablation.train.testing import evaluate_run
from ablation.train.warmup import warm_up

LOCK_PATIENCE = 2.0
"""Seconds to wait for a run that another process holds; one that was killed lets go within a moment."""


def serve(pipe: Connection, threads: int) -> None:
    """Answer requests until the parent closes the pipe or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    device.set_up_process(threads)
    warm_up(threads)
    pipe.send(Hello(tuple(device.accelerators())))
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        if isinstance(request, Prepare):
            pipe.send(_prepare(request, pipe))
        elif isinstance(request, TryWeights):
            pipe.send(_try_weights(request))
        elif isinstance(request, Weigh):
            pipe.send(_weigh(request))
        elif isinstance(request, Probe):
            pipe.send(_probe(request))
        elif isinstance(request, Evaluate):
            pipe.send(_evaluate(request))
        elif isinstance(request, Task):
            pipe.send(_train(request, pipe))


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _prepare(request: Prepare, pipe: Connection) -> Prepared:
    def progress(what: str, done: int, total: int) -> None:
        pipe.send(Preparing(what, done, total))

    try:
        folder = sources.prepare(request.data, request.fingerprint, request.cache, progress, request.part)
        if request.classes:
            sources.check_classes(folder, request.classes)
        return Prepared(folder)
    except UserError as error:
        return Prepared(None, error)


def _probe(request: Probe) -> Probed:
    try:
        seconds = probe(request.task, request.least)
        return Probed(seconds, memory=device.memory_taken(device.open_device(request.task.device)))
    except Exception:
        return Probed(None, traceback.format_exc())


def _try_weights(request: TryWeights) -> Tried:
    try:
        finetune.try_weights(request.run, sources.load(request.data))
    except UserError as error:
        return Tried(error)
    return Tried()


def _weigh(request: Weigh) -> Weighed:
    try:
        return Weighed(costs(request.runs))
    except UserError as error:
        return Weighed((), error)


def _evaluate(task: Evaluate) -> Ending:
    try:
        return evaluate_run(task)
    except Exception as error:
        return failure(task.run, error)


def _train(task: Task, pipe: Connection) -> Ending:
    """Train one run under its lock, so that two commands never train it at once."""
    try:
        with writing(task.folder):
            task.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(task.folder / "lock", timeout=LOCK_PATIENCE):
            return until_end(task, pipe.send, _hooks(task, pipe))
    except Timeout:
        return Busy(task.run)
    except Exception as error:
        return failure(task.run, error)
    finally:
        device.forget()


def until_end(task: Task, tell: Callable[[Event], None], hooks: Hooks) -> Ending:
    """Train a run that is not finished yet, and say how it ended."""
    run, stored = task.run, read_run(RunFolder(task.folder), Identity.of(task.run))
    if stored.record is None:
        if notice := set_damage_aside(stored):
            hooks.on_notice(notice)
        tell(Started(run, task.device))
        record = train(task, hooks)
        if record is None:
            return Stopped(run)
        stored = StoredRun(stored.folder, record.status, record)
    assert stored.record is not None
    return Done(run, stored.record, stored.selected)


def failure(run: Run, error: Exception) -> Failed:
    """What an error under way tells of a run."""
    if isinstance(error, StorageError):
        return Failed(run, error.message, "", "storage")
    kind: FailureKind = "memory" if device.is_out_of_memory(error) else "error"
    return Failed(run, f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)), kind)


def _hooks(task: Task, pipe: Connection) -> Hooks:
    stopping = False

    def on_epoch(row: EpochRow, epochs: int) -> None:
        pipe.send(EpochDone(task.run, row, epochs))

    def on_step(epoch: int, step: int, steps: int, speed: float) -> None:
        pipe.send(Stepped(task.run, epoch, step, steps, speed))

    def should_stop() -> bool:
        nonlocal stopping
        while pipe.poll():
            stopping = isinstance(pipe.recv(), Stop) or stopping
        return stopping

    def on_notice(message: str) -> None:
        pipe.send(Noticed(task.run, message))

    return Hooks(on_epoch, on_step, should_stop, on_notice)
