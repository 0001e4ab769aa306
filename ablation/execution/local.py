"""Runs on this machine: a pool of reused worker processes, each with one run at a time."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path

from ablation._util.formatting import duration
from ablation.data.arrays import remove_unfinished
from ablation.errors import UserError
from ablation.execution.devices import (
    check_threads,
    choose_devices,
    default_sharing,
    list_places,
    more_pays,
    most_sharing,
    of_one_model,
)
from ablation.execution.processes import Worker, memory_hint, worker_context
from ablation.storage.metric_values import MetricValue
from ablation.study.custom_code import Code
from ablation.training.task import Task
from ablation.worker.protocol import (
    Alive,
    Broken,
    Busy,
    CannotStart,
    Computed,
    ComputeMetrics,
    Done,
    Evaluated,
    Event,
    Failed,
    FailureKind,
    Go,
    Hello,
    Prepare,
    Prepared,
    Preparing,
    Probe,
    Probed,
    Stop,
    Stopped,
    Tried,
    TryDevices,
    TryWeights,
    Warm,
    Weigh,
    Weighed,
)

Request = Prepare | TryDevices | TryWeights | Weigh | Probe | ComputeMetrics
MOST_DEATHS = 3
"""Of workers in a row before any run has begun."""
PROBE_SECONDS = 2.0
"""That each of several workers measures for once all have warmed up, so that they do so at the same time."""
START_SECONDS = 60.0
"""In which a worker must have started, however short `hang_after` is."""
PATIENCE = 0.2
"""Seconds after which the pool looks up from its pipes."""


class LocalPool:
    """Workers on this machine, one at each of `places`. A context manager: leaving it ends them.

    `per_device` of them share a device; None: one for each core of the CPU, and on a GPU as many as `autotune_workers`
    finds. One that reports nothing for `hang_after` seconds of a request or a run is ended. `unusable` says which
    devices of the machine are left out, and why; `auto` takes GPUs of one model only, that which runs were `trained_on`
    where it can.
    """

    def __init__(
        self,
        device: str,
        per_device: int | None,
        threads: int,
        hang_after: float = math.inf,
        trained_on: Collection[str] = (),
    ) -> None:
        check_threads(threads)
        self._context = worker_context()
        self._threads = threads
        self._hang_after = None if math.isinf(hang_after) else hang_after
        self._queue: deque[Task] = deque()
        self._stopping = False
        self._workers = {0: self._start("cpu")}
        try:
            hello = self._ask(None, lambda _: None)
            assert isinstance(hello, Hello)
            self.unusable = hello.unusable
            self._devices = choose_devices(device, [each.device for each in hello.accelerators], hello.unusable)
            if device == "auto":
                self._devices, others = of_one_model(self._devices, hello.accelerators, trained_on)
                self.unusable += (others,) if others else ()
            models = {each.device: each.model for each in hello.accelerators}
            self.models = tuple(dict.fromkeys(models.get(each, each) for each in self._devices))
            self._open = per_device is None and self._devices != ["cpu"]
            self.places = list_places(self._devices, per_device or default_sharing(self._devices, threads))
        except BaseException:
            self.close()
            raise
        self._workers[0].device = self.places[0]

    def _start(self, device: str) -> Worker:
        return Worker.start(self._context, device, self._threads)

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers immediately."""
        for worker in self._workers.values():
            worker.process.kill()
        for worker in self._workers.values():
            worker.end()
        self._workers = {}

    def prepare(self, request: Prepare, progress: Callable[[Preparing], None]) -> Path:
        """Have a data set decoded and return its folder. Raises UserError where it cannot be had."""
        try:
            answer = self._ask(request, progress)
        except BaseException:  # also Ctrl-C: the worker is ended, and what it has half written may fill a disk
            self._workers[0].end()
            remove_unfinished(request.cache)
            raise
        assert isinstance(answer, Prepared)
        if answer.folder is None:
            raise answer.error or UserError("the data could not be prepared")
        return answer.folder

    def try_devices(self, precision: str, compile: str) -> None:
        """Raise UserError where a device cannot train in a `train.precision` or with a `train.compile`."""
        self.try_on(TryDevices(precision, compile, tuple(dict.fromkeys(self.places))))

    def try_on(self, request: TryDevices) -> None:
        """Raise UserError where the request is refused."""
        answer = self._ask(request, lambda _: None)
        assert isinstance(answer, Tried)
        if answer.error:
            raise answer.error

    def try_weights(self, request: TryWeights, progress: Callable[[Preparing], None]) -> None:
        """Raise UserError where a run cannot start from the weights that it names."""
        answer = self._ask(request, progress)
        assert isinstance(answer, Tried)
        if answer.error:
            raise answer.error

    def weigh(self, request: Weigh) -> tuple[float, ...]:
        """How long runs will take relative to each other, in the order of the request. Raises UserError."""
        answer = self._ask(request, lambda _: None)
        assert isinstance(answer, Weighed)
        if answer.error:
            raise answer.error
        return answer.costs

    def compute_metrics(self, request: ComputeMetrics) -> Mapping[str, MetricValue]:
        """Metrics of a finished run by name. Raises UserError."""
        answer = self._ask(request, lambda _: None)
        assert isinstance(answer, Computed)
        if answer.error:
            raise answer.error
        return answer.values

    def probe(self, task: Task) -> float:
        """Estimated seconds of a run. Raises UserError where it cannot even be tried."""
        answer = self._ask(Probe(replace(task, device=self.places[0])), lambda _: None)
        assert isinstance(answer, Probed)
        if answer.seconds is None:
            raise UserError(
                f"{task.run.label} fails at its first steps:\n{answer.details}", "fix or remove the variant"
            )
        return answer.seconds

    def autotune_workers(self, longest: Task, runs: int) -> None:
        """Find how many workers share a GPU, from a few steps of the longest of `runs` by 1, 2, 4, ... workers.

        Where there are no more runs than GPUs, or no core for a second worker on each, nothing is measured.
        """
        count, before, most = 1, None, most_sharing(len(self._devices), self._threads, runs)
        while self._open and count <= most > 1:
            found = self._probe_together(longest, count)
            if not more_pays(before, found):
                break
            before, count = found, 2 * count
        if self._open and before:
            self.places = list_places(self._devices, len(before))
            self._open = False
        for place in list(self._workers):  # those that tried it together all did so on the first device
            if place >= len(self.places) or self._workers[place].device != self.places[place]:
                self._workers.pop(place).end()

    def submit(self, task: Task) -> None:
        """Queue a run; the device that its task names is replaced by that of the worker that takes it."""
        self._queue.append(task)

    def stop(self) -> None:
        """Start no further run, and end those under way after their epoch. Safe to call from a signal handler."""
        self._stopping = True

    def events(self) -> Iterator[Event]:
        """What happens to the submitted runs, until each has ended, or been left in the queue by `stop`."""
        told_to_stop = False
        while True:
            if self._stopping and not told_to_stop:
                told_to_stop = True
                self._queue.clear()
                self._tell_to_stop()
            self._assign()
            busy = {worker.pipe: place for place, worker in self._workers.items() if worker.task}
            if not busy:
                return
            for pipe in wait(list(busy), PATIENCE):
                if event := self._event(busy[pipe]):  # type: ignore[index]
                    yield event
            yield from [self._replace(place, "hung") for place in self._hanging()]

    def _ask(self, request: Request | None, progress: Callable[[Preparing], None]) -> object:
        """The first worker's answer to a request (its first words where there is none); it may die, but not always.

        Raises UserError where it cannot start, dies too often, or says nothing for too long.
        """
        for _ in range(MOST_DEATHS):
            try:
                if request:
                    self._workers[0].pipe.send(request)
                return self._answer(0, request, progress)
            except TimeoutError:
                self._workers[0].end()
                self._workers[0] = self._start(self._workers[0].device)
                what = f"a worker reported no progress for {duration(self._hang_after)} while {_doing(request)}"
                raise UserError(what, "more time: --hang-after MINUTES, or never") from None
            except (EOFError, OSError):
                cause = self._workers[0].end()
                self._workers[0] = self._start(self._workers[0].device)
        what = f"{MOST_DEATHS} worker processes died ({cause}) while {_doing(request)}"
        raise UserError(what, _remedy(cause, request))

    def _answer(self, place: int, request: Request | None, progress: Callable[[Preparing], None]) -> object:
        """What a worker answers to a request, with its heartbeats left out.

        Raises TimeoutError where it hangs, EOFError or another OSError where it dies, UserError where it says
        that it cannot start.
        """
        worker = self._workers[place]
        while True:
            if not worker.pipe.poll(self._patience(worker)):
                raise TimeoutError
            message = worker.pipe.recv()
            worker.ready = True
            match message:
                case CannotStart(details):
                    worker.end()
                    raise UserError(f"a worker cannot start: {details.strip().splitlines()[-1]}", memory_hint())
                case Preparing() as event:
                    progress(event)
                case Broken():
                    worker.broken = True
                case Hello() if request is None:
                    return message
                case Hello() | Alive():
                    pass
                case _:
                    return message

    def _probe_together(self, task: Task, count: int) -> list[Probed | None]:
        """What each of `count` workers says of the run when all try it on the first device; None of one that failed."""
        device = self._devices[0]
        request = Probe(replace(task, device=device), PROBE_SECONDS, together=True)
        for place in range(count):
            if place not in self._workers or self._workers[place].device != device:
                if place in self._workers:
                    self._workers[place].end()
                self._workers[place] = self._start(device)
            with suppress(OSError):
                self._workers[place].pipe.send(request)
        answers = [self._answer_or_none(place, request) for place in range(count)]
        for place, answer in enumerate(answers):
            if isinstance(answer, Warm):
                with suppress(OSError):
                    self._workers[place].pipe.send(Go())
        found: list[Probed | None] = []
        for place, answer in enumerate(answers):
            last = self._answer_or_none(place, request) if isinstance(answer, Warm) else answer
            assert last is None or isinstance(last, Probed)
            found.append(last)
            if last is None or self._workers[place].broken:
                self._renew(place)
        return found

    def _answer_or_none(self, place: int, request: Request) -> object:
        """What a worker answers to a request; None where it died or hung."""
        try:
            return self._answer(place, request, lambda _: None)
        except (EOFError, OSError):
            return None

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
            if place in self._workers and self._workers[place].task:
                continue
            task = next((task for task in self._queue if not task.alone), None)
            if task is None:
                if any(worker.task and worker.device == device for worker in self._workers.values()):
                    continue
                task = self._queue[0]
                self._leave_alone(place, device)
            self._queue.remove(task)
            self._give(place, replace(task, device=device))

    def _give(self, place: int, task: Task) -> None:
        if place not in self._workers:
            self._workers[place] = self._start(self.places[place])
        worker = self._workers[place]
        worker.task, worker.heard = task, time.monotonic()
        with suppress(OSError):  # a worker that died while idle is found by the read that follows
            worker.pipe.send(task)

    def _leave_alone(self, place: int, device: str) -> None:
        """End the idle workers of a device, which keep memory, but for that of `place`."""
        for other in [other for other, worker in self._workers.items() if worker.device == device and other != place]:
            self._workers.pop(other).end()

    def _event(self, place: int) -> Event | None:
        """What a worker says of its run; None where it only says something of itself."""
        worker = self._workers[place]
        worker.heard = time.monotonic()
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            return self._replace(place, "lost")
        worker.ready = True
        match message:
            case CannotStart(details):
                return self._replace(place, "lost", f"the worker cannot start: {details.strip().splitlines()[-1]}")
            case Hello() | Alive():
                return None
            case Broken():
                worker.broken = True
                return None
            case Done() | Failed() | Stopped() | Busy() | Evaluated():
                worker.task = None
                if worker.broken:
                    self._renew(place)
        event: Event = message
        return event

    def _hanging(self) -> list[int]:
        now = time.monotonic()
        busy = {place: worker for place, worker in self._workers.items() if worker.task}
        return [place for place, worker in busy.items() if now - worker.heard > (self._patience(worker) or math.inf)]

    def _patience(self, worker: Worker) -> float | None:
        """Seconds in which a worker must say something; loading torch may take longer than any step of a run."""
        return self._hang_after if worker.ready or not self._hang_after else max(self._hang_after, START_SECONDS)

    def _replace(self, place: int, kind: FailureKind, message: str = "") -> Failed:
        """A fresh worker in the place of a dead or hanging one, whose run has failed."""
        task = self._workers[place].task
        assert task is not None
        cause = self._renew(place)
        if kind == "hung":
            message = f"the worker reported no progress for {duration(self._hang_after)} and was ended (--hang-after)"
        return Failed(task.run, message or f"the worker process died ({cause})", "", kind)

    def _tell_to_stop(self) -> None:
        for worker in self._workers.values():
            if worker.task:
                with suppress(OSError):
                    worker.pipe.send(Stop())


def _doing(request: Request | None) -> str:
    """What a worker does that was asked `request`."""
    match request:
        case Prepare(data):
            return f"the data set {data.name} was prepared"
        case TryDevices():
            return "the devices were checked"
        case TryWeights(run):
            return f"the network {run.recipe.model.name} was built"
        case Weigh():
            return "the runs were ordered by their size"
        case ComputeMetrics():
            return "metrics were computed"
        case Probe(task):
            return f"{task.run.label} was tried"
        case None:
            return "it started"


def _remedy(cause: str, request: Request | None) -> str:
    """What to do where workers died of `cause`."""
    codes: list[Code] = []
    if isinstance(request, TryWeights):
        codes = list(request.run.codes.values())
    elif isinstance(request, Prepare) and request.code:
        codes = [request.code]
    elif isinstance(request, ComputeMetrics):
        codes = list(request.codes.values())
    if codes and cause.startswith("exit code"):
        return f"does {' or '.join(code.file for code in codes)} end the process (os._exit)?"
    return memory_hint()
