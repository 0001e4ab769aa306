"""Runs on this machine: a pool of reused worker processes, each with one run at a time."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import wait
from typing import Any

from ablation._util.formatting import duration
from ablation._util.machine import Accelerator, has_nvidia_driver
from ablation._util.process_tree import descendants, kill_all
from ablation.errors import UserError
from ablation.execution.devices import (
    check_threads,
    choose_devices,
    default_sharing,
    find_sharing,
    list_places,
    most_sharing,
    of_one_model,
)
from ablation.execution.processes import Worker, memory_hint
from ablation.execution.server import worker_context
from ablation.planning.job import Job
from ablation.study.custom_code import Code
from ablation.worker import calls
from ablation.worker.calls import Call, Returned, Timing, Value
from ablation.worker.protocol import Ending, Event, Failed, FailureKind, Go, Preparing, Stop, Warm

MOST_DEATHS = 3
"""Of workers in a row before any run has begun."""
PROBE_SECONDS = 2.0
"""That each of several workers measures for once all have warmed up, so that they do so at the same time."""
PATIENCE = 0.2
"""Seconds after which the pool looks up from its pipes."""


@dataclass(frozen=True)
class TaskCode:
    """What the code of a function or a command needs of its workers: whether it imports torch."""

    torch: bool


class LocalPool:
    """Workers on this machine, one at each of `places`. A context manager: leaving it ends them.

    `per_device` of them share a device; None: one for each core of the CPU, and on a GPU as many as `autotune_workers`
    finds. One that reports nothing for `hang_after` seconds of a request or a run is ended. `unusable` says which
    devices of the machine are left out, and why; `auto` takes GPUs of one model only, that which runs were `trained_on`
    where it can. `code` says what functions and commands need; None for image classifiers.
    """

    def __init__(
        self,
        device: str,
        per_device: int | None,
        threads: int,
        hang_after: float = math.inf,
        trained_on: Collection[str] = (),
        code: TaskCode | None = None,
    ) -> None:
        check_threads(threads)
        self._code = code
        self._context = worker_context(torch=code is None or code.torch)
        self.threads = threads
        self._hang_after = None if math.isinf(hang_after) else hang_after
        self._queue: deque[Job] = deque()
        self._stopping = False
        self._workers = {0: self._start("cpu")}
        try:
            accelerators, self.unusable = self._accelerators()
            self._devices = choose_devices(device, [each.device for each in accelerators], self.unusable)
            if device == "auto":
                self._devices, others = of_one_model(self._devices, accelerators, trained_on)
                self.unusable += (others,) if others else ()
            self._models = {each.device: each.model for each in accelerators}
            self.models = tuple(dict.fromkeys(self._models.get(each, each) for each in self._devices))
            self._open = per_device is None and self._devices != ["cpu"] and code is None
            self.places = list_places(self._devices, per_device or default_sharing(self._devices, threads))
        except BaseException:
            self.close()
            raise
        self._workers[0].device = self.places[0]

    def _start(self, device: str) -> Worker:
        return Worker.start(self._context, device, self.threads, self._hang_after, images=self._code is None)

    def _accelerators(self) -> tuple[tuple[Accelerator, ...], tuple[str, ...]]:
        """The accelerators that can be used; torch is not imported to find none for functions and commands."""
        if self._code and not self._code.torch and not has_nvidia_driver():
            return (), ()
        return self.call(Call(calls.accelerators, "it started"))

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers immediately."""
        for worker in self._workers.values():
            worker.kill()
        for worker in self._workers.values():
            worker.end()
        self._workers = {}

    @property
    def local_devices(self) -> tuple[str, ...]:
        """The devices of this machine that runs go to."""
        return tuple(dict.fromkeys(self.places))

    def call(self, request: Call[Value], progress: Callable[[Preparing], None] = lambda _: None) -> Value:
        """What a function returns in the first worker. Raises UserError where that or the worker fails."""
        answer = self._ask(request, progress)
        assert isinstance(answer, Returned)
        if isinstance(answer.error, str):
            raise UserError(f"a worker failed while {request.doing}:\n{answer.error}")
        if answer.error:
            raise answer.error
        value: Value = answer.value
        return value

    def autotune_workers(self, longest: Job, runs: int) -> None:
        """Find how many workers share a GPU, from a few steps of the longest of `runs` (`devices.find_sharing`).

        Where there are no more runs than GPUs, or no core for a second worker on each, nothing is measured.
        """
        most = most_sharing(len(self._devices), self.threads, runs)
        if not self._open or most == 1:
            return
        per_device = find_sharing(partial(self._probe_together, longest), most, runs / len(self._devices))
        self._open = False
        self.places = list_places(self._devices, per_device)
        self._move_workers()

    def time_runs(self, jobs: Sequence[Job]) -> list[Timing]:
        """How long each of `jobs` would take, from a few of its steps while other workers take steps of others.

        There are no more of them than `places`. One that fails beside others is tried alone. Raises UserError where it
        fails then too.
        """
        jobs = [replace(job, device=device) for job, device in zip(jobs, self.places, strict=False)]
        found = self._try_together(jobs)
        return [
            timing or self.call(Call(partial(calls.probe, job=job), f"{job.run.label} was tried"))
            for job, timing in zip(jobs, found, strict=True)
        ]

    def submit(self, job: Job) -> None:
        """Queue a run; the device that its job names is replaced by that of the worker that takes it."""
        self._queue.append(job)

    def stop(self) -> None:
        """Start no further run, and end those under way after their epoch. Safe to call from a signal handler."""
        self._stopping = True

    def kill(self) -> None:
        """End the runs under way immediately, which then fail as lost. Safe to call from another thread."""
        self._stopping = True
        for worker in list(self._workers.values()):
            if worker.job:
                started = descendants(worker.process.pid or 0)  # afterwards nothing shows whose they were
                worker.process.kill()
                kill_all(started)

    def events(self) -> Iterator[Event]:
        """What happens to the submitted runs, until each has ended, or been left in the queue by `stop`."""
        told_to_stop = False
        while True:
            if self._stopping and not told_to_stop:
                told_to_stop = True
                self._queue.clear()
                self._tell_to_stop()
            self._assign()
            busy = {worker.pipe: place for place, worker in self._workers.items() if worker.job}
            if not busy:
                return
            for pipe in wait(list(busy), PATIENCE):
                if event := self._event(busy[pipe]):  # type: ignore[index]
                    yield event
            yield from [self._replace(place, "lost") for place in list(self._workers) if self._workers[place].died]
            yield from [self._replace(place, "hung") for place in list(self._workers) if self._workers[place].hangs]

    def _ask(self, request: Call[Any], progress: Callable[[Preparing], None]) -> object:
        """The first worker's answer to a call; it may die, but not always.

        Raises UserError where it cannot start, dies too often, or says nothing for too long.
        """
        for _ in range(MOST_DEATHS):
            worker = self._workers[0]
            try:
                worker.pipe.send(request)
                return worker.answer(progress)
            except TimeoutError:
                self._renew(0)
                what = f"a worker reported no progress for {duration(self._hang_after)} while {request.doing}"
                raise UserError(what, "more time: --hang-after MINUTES, or never") from None
            except (EOFError, OSError):
                cause = self._renew(0)
            except BaseException:  # also Ctrl-C: nothing of what it was doing goes on
                worker.end()
                raise
        what = f"{MOST_DEATHS} worker processes died ({cause}) while {request.doing}"
        raise UserError(what, _remedy(cause, request.code))

    def _probe_together(self, job: Job, count: int) -> list[Timing | None]:
        """What each of `count` workers says of the run when all try it on the first device; None of one that failed.

        Further workers end, since they keep memory.
        """
        for place in [place for place in self._workers if place >= count]:
            self._workers.pop(place).end()
        return self._try_together([replace(job, device=self._devices[0])] * count)

    def _try_together(self, jobs: Sequence[Job]) -> list[Timing | None]:
        """What each of as many workers says of its own run, one of `jobs`, when all try theirs at the same time."""
        for place, job in enumerate(jobs):
            if place not in self._workers or self._workers[place].device != job.device:
                if place in self._workers:
                    self._workers[place].end()
                self._workers[place] = self._start(job.device)
            trial = partial(calls.probe, job=job, least=PROBE_SECONDS, together=True)
            self._workers[place].send(Call(trial, f"{job.run.label} was tried"))
        workers = [self._workers[place] for place in range(len(jobs))]
        answers = [_answer_or_none(worker) for worker in workers]
        for worker, answer in zip(workers, answers, strict=True):
            if isinstance(answer, Warm):
                worker.send(Go())
        found: list[Timing | None] = []
        for place, answer in enumerate(answers):
            last = _answer_or_none(workers[place]) if isinstance(answer, Warm) else answer
            found.append(last.value if isinstance(last, Returned) else None)
            if last is None or workers[place].broken:
                self._renew(place)
        return found

    def _move_workers(self) -> None:
        """Give each worker a place on its own device, and end those for which there is none."""
        left = list(self._workers.values())
        self._workers = {}
        for place, device in enumerate(self.places):
            if worker := next((each for each in left if each.device == device), None):
                left.remove(worker)
                self._workers[place] = worker
        for worker in left:
            worker.end()

    def _renew(self, place: int) -> str:
        """A fresh worker in the place of one that is dead, silent or broken; what the old one died of."""
        cause = self._workers[place].end()
        self._workers[place] = self._start(self._workers[place].device)
        return cause

    def _assign(self) -> None:
        """Give queued runs to idle workers, starting workers where places are still free.

        A run that must be alone waits until no other is left, and has its device to itself.
        """
        for place, device in enumerate(self.places):
            if self._stopping or not self._queue:
                return
            if place in self._workers and self._workers[place].job:
                continue
            job = next((job for job in self._queue if not job.alone), None)
            if job is None:
                if any(worker.job and worker.device == device for worker in self._workers.values()):
                    continue
                job = self._queue[0]
                self._leave_alone(place, device)
            self._queue.remove(job)
            self._give(place, replace(job, device=device, model=self._models.get(device, "")))

    def _give(self, place: int, job: Job) -> None:
        if place not in self._workers:
            self._workers[place] = self._start(self.places[place])
        worker = self._workers[place]
        worker.job, worker.heard = job, time.monotonic()
        worker.send(job)

    def _leave_alone(self, place: int, device: str) -> None:
        """End the idle workers of a device, which keep memory, but for that of `place`."""
        for other in [other for other, worker in self._workers.items() if worker.device == device and other != place]:
            self._workers.pop(other).end()

    def _event(self, place: int) -> Event | None:
        """What a worker says of its run; None where it only says something of itself."""
        worker = self._workers[place]
        try:
            message = worker.receive()
        except UserError as error:
            return self._replace(place, "lost", error.message)
        except (EOFError, OSError):
            return self._replace(place, "lost")
        if isinstance(message, Ending):
            worker.job = None
            if worker.broken:
                self._renew(place)
        event: Event | None = message  # type: ignore[assignment]
        return event

    def _replace(self, place: int, kind: FailureKind, message: str = "") -> Failed:
        """A fresh worker in the place of a dead or hanging one, whose run has failed."""
        job = self._workers[place].job
        assert job is not None
        cause = self._renew(place)
        if kind == "hung":
            message = f"the worker reported no progress for {duration(self._hang_after)} and was ended (--hang-after)"
        sign = ", often a sign that memory ran out" if cause == "signal 9" else ""
        return Failed(job.run, message or f"the worker process died ({cause}){sign}", "", kind)

    def _tell_to_stop(self) -> None:
        for worker in self._workers.values():
            if worker.job:
                worker.send(Stop())


def _answer_or_none(worker: Worker) -> object:
    """What a worker answers to a call; None where it died or hung."""
    try:
        return worker.answer(lambda _: None)
    except (EOFError, OSError):
        return None


def _remedy(cause: str, code: tuple[Code, ...]) -> str:
    """What to do where workers that ran custom code, or none, died of `cause`."""
    if code and cause.startswith("exit code"):
        return f"does {' or '.join(each.file for each in code)} end the process (os._exit)?"
    return memory_hint()
