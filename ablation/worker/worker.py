"""A worker process: it prepares data and trains runs, one after another, as the parent asks over a pipe.

Nothing here imports torch: `images` does, where a worker trains image classifiers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from io import TextIOWrapper
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any

from filelock import FileLock, Timeout

from ablation._util.files import writing
from ablation._util.process_tree import descendants, kill_all
from ablation.errors import StorageError, UserError
from ablation.planning.job import Job
from ablation.planning.run import Run
from ablation.storage.record import EpochRow, RunRecord
from ablation.storage.store import RunFolder
from ablation.storage.stored_run import Identity, StoredRun, read_run, set_damage_aside
from ablation.study.tasks import CommandTask, FunctionTask
from ablation.tasks import command, function
from ablation.tasks.hooks import Hooks
from ablation.worker.busy import beating
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

LOCK_PATIENCE = 2.0
"""Seconds to wait for a run that another process holds; one that was killed lets go within a moment."""


def set_up(threads: int, *, images: bool) -> None:
    """Make this process a worker; one that trains `images` loads what torch loads at its first step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if images:
        from ablation.worker import images as classifiers

        classifiers.set_up(threads)
        return
    multiprocessing.set_start_method(None, force=True)  # as in a program of the user's own, not as this process began
    signal.signal(signal.SIGTERM, _take_no_notice)
    os.register_at_fork(after_in_child=_heed_sigterm)
    for stream in (sys.stdout, sys.stderr):  # what a process prints that is killed is not lost
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


def _take_no_notice(*_: object) -> None:
    """A worker ends when the command says so. Programs that it starts do not inherit a handler, as they do SIG_IGN."""


def _heed_sigterm() -> None:
    """Have a process that a function forks end by SIGTERM: a `multiprocessing.Pool` ends its own in that way."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _device() -> ModuleType | None:
    """What knows of the devices of torch; None in a process that has not imported torch."""
    if "torch" not in sys.modules:
        return None
    from ablation.training import device

    return device


def _fault(error: BaseException) -> str:
    """Why this process can do no more on its device; empty where it can."""
    known = _device()
    return str(known.fault(error)) if known else ""


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
            from ablation.worker.testing import evaluate_run

            return _end(request.run, lambda: evaluate_run(request, channel.beat), channel)
        case Job():
            return _end(request.run, lambda: _train(request, channel), channel)
        case _:
            return None


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    kill_all(descendants(os.getpid()))
    os._exit(1)


def _call(request: Call[Any], channel: Channel) -> Returned:
    try:
        return Returned(request.function(channel))
    except (Exception, SystemExit) as error:
        if reason := _fault(error):
            channel.send(Broken(reason))
        return Returned(error=error if isinstance(error, UserError) else traceback.format_exc())


def _train(job: Job, channel: Channel) -> Ending:
    """Train one run under its lock, so that two commands never train it at the same time."""
    with writing(job.folder):
        job.folder.mkdir(parents=True, exist_ok=True)
    try:
        lock, busy = FileLock(job.folder / "lock", timeout=LOCK_PATIENCE), beating(channel.beat)
        with lock, _printing_to_log(job), busy if job.run.task else nullcontext():
            return until_end(job, channel.send, _hooks(job, channel))
    except Timeout:
        return Busy(job.run)


@contextmanager
def _printing_to_log(job: Job) -> Iterator[None]:
    """What a function prints, and what it starts, goes to log.txt in its run folder; the terminal shows the study."""
    if not isinstance(job.run.task, FunctionTask):
        yield
        return
    path, before = job.folder / "log.txt", (os.dup(1), os.dup(2))
    try:
        with writing(path), path.open("ab" if (job.folder / function.STATE).exists() else "wb") as file:
            for own in (1, 2):
                os.dup2(file.fileno(), own)
        yield
        with writing(path):
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        for own, old in zip((1, 2), before, strict=True):
            os.dup2(old, own)
            os.close(old)


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
        ending, reason = failure(run, error), _fault(error)
    try:
        if known := _device():
            known.release_cached_memory()
    except RuntimeError as error:  # the run has ended as it has; what comes next would fail
        reason = reason or _fault(error) or str(error)
    return ending, reason


def until_end(job: Job, report: Callable[[Event], None], hooks: Hooks) -> Ending:
    """Train a run that is not finished yet, and say how it ended."""
    run, stored = job.run, read_run(RunFolder(job.folder), Identity.of(job.run))
    if stored.record is None:
        if notice := set_damage_aside(stored):
            hooks.on_notice(notice)
        report(Started(run, job.device))
        record = _trainer(run)(job, hooks)
        if record is None:
            return Stopped(run, resumes=_resumes(job))
        stored = StoredRun(stored.folder, record.status, record)
    assert stored.record is not None
    return Done(run, stored.record)


def _resumes(job: Job) -> bool:
    """Whether a run that was stopped goes on where it was, and does not start again."""
    match job.run.task:
        case FunctionTask():
            return (job.folder / function.STATE).exists()
        case CommandTask(resume=resume):
            return resume
        case _:
            return True


def _trainer(run: Run) -> Callable[[Job, Hooks], RunRecord | None]:
    """What trains a run to its end, and returns None where it was asked to stop before."""
    if run.task is None:
        from ablation.worker import images

        return images.train
    return function.train if isinstance(run.task, FunctionTask) else command.train


def failure(run: Run, error: BaseException) -> Failed:
    """What an error under way says about a run."""
    if isinstance(error, StorageError):
        return Failed(run, error.message, "", "storage")
    kind: FailureKind = "memory" if _is_out_of_memory(error) else "error"
    of_user = "; ".join(str(error).splitlines()) if isinstance(error, UserError) else ""
    message = of_user or f"{type(error).__name__}: {error}"
    return Failed(run, message, "".join(traceback.format_exception(error)), kind)


def _is_out_of_memory(error: BaseException) -> bool:
    known, cause = _device(), error.__cause__
    if isinstance(error, MemoryError) or isinstance(cause, MemoryError):
        return True
    return known is not None and any(known.is_out_of_memory(each) for each in (error, cause) if each)


def _hooks(job: Job, channel: Channel) -> Hooks:
    stopping = False

    def on_epoch(row: EpochRow, epochs: int) -> None:
        channel.send(EpochDone(job.run, row, epochs))

    def on_step(epoch: int, step: int, steps: int, speed: float) -> None:
        channel.send(Stepped(job.run, epoch, step, steps, speed))

    def should_stop() -> bool:
        nonlocal stopping
        while channel.waiting():
            stopping = isinstance(channel.receive(), Stop) or stopping
        return stopping

    def on_notice(message: str) -> None:
        channel.send(Noticed(job.run, message))

    return Hooks(on_epoch, on_step, should_stop, on_notice, channel.beat)
