"""Runs on this machine: a pool of reused worker processes, each with one run at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path

from ablation.errors import UserError
from ablation.protocol import (
    Busy,
    Done,
    Evaluated,
    Event,
    Failed,
    FailureKind,
    Hello,
    Prepare,
    Prepared,
    Preparing,
    Probe,
    Probed,
    Stop,
    Stopped,
    Task,
    Tried,
    TryWeights,
    Weigh,
    Weighed,
)
from ablation.runner.places import choose_devices, default_sharing, list_places, more_pays
from ablation.runner.processes import Worker, worker_context

Request = Prepare | TryWeights | Weigh | Probe
MOST_DEATHS = 3
"""Of workers in a row before any run has begun."""
MOST_SHARING = 8
"""Workers on one GPU."""
PROBE_SECONDS = 2.0
"""That each of several workers tries a run for, so that they all do so at the same time."""
PATIENCE = 0.2
"""Seconds after which the pool looks up from its pipes."""


class LocalPool:
    """Workers on this machine, one at each of `places`. A context manager: leaving it ends them.

    `per_device` of them share a device; None: one for each core of the CPU, and on a GPU as many as `settle` finds.
    One that says nothing for `hang_after` seconds of a run is replaced.
    """

    def __init__(self, device: str, per_device: int | None, threads: int, hang_after: float | None = None) -> None:
        self._context = worker_context()
        self._threads = threads
        self._hang_after = hang_after
        self._queue: deque[Task] = deque()
        self._stopping = False
        self._workers = {0: Worker.start(self._context, "cpu", threads)}
        try:
            hello = self._ask(None, lambda _: None)
            assert isinstance(hello, Hello)
            self._devices = choose_devices(device, hello.accelerators)
            self._open = per_device is None and self._devices != ["cpu"]
            self.places = list_places(self._devices, per_device or default_sharing(self._devices, threads))
        except BaseException:
            self.close()
            raise
        self._workers[0].device = self.places[0]

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers at once."""
        for worker in self._workers.values():
            worker.process.kill()
        for worker in self._workers.values():
            worker.end()
        self._workers = {}

    def prepare(self, request: Prepare, progress: Callable[[Preparing], None]) -> Path:
        """Have a data set decoded and return its folder. Raises UserError where it cannot be had."""
        answer = self._ask(request, progress)
        assert isinstance(answer, Prepared)
        if answer.folder is None:
            raise answer.error or UserError("the data could not be prepared")
        return answer.folder

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

    def probe(self, task: Task) -> float:
        """Estimated seconds of a run. Raises UserError where it cannot even be tried."""
        answer = self._ask(Probe(replace(task, device=self.places[0])), lambda _: None)
        assert isinstance(answer, Probed)
        if answer.seconds is None:
            raise UserError(
                f"{task.run.label} fails at its first steps:\n{answer.details}", "mend or leave out the variant"
            )
        return answer.seconds

    def settle(self, longest: Task) -> None:
        """Find how many workers share a GPU, from a few steps of the longest run by 1, 2, 4, ... of them at once."""
        count, before = 1, None
        while self._open and count <= MOST_SHARING:
            found = self._probe_together(longest, count)
            if not more_pays(before, found):
                break
            before, count = found, 2 * count
        if self._open and before:
            self.places = list_places(self._devices, len(before))
            self._open = False
        for place in [place for place in self._workers if place >= len(self.places)]:
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
        """The first worker's answer to a request (its first words where there is none); it may die, but not always."""
        for _ in range(MOST_DEATHS):
            worker = self._workers[0]
            try:
                if request:
                    worker.pipe.send(request)
                while isinstance(answer := worker.pipe.recv(), Preparing) or (request and isinstance(answer, Hello)):
                    if isinstance(answer, Preparing):
                        progress(answer)
                return answer
            except (EOFError, OSError):
                cause = worker.end()
                self._workers[0] = Worker.start(self._context, worker.device, self._threads)
        hint = "is there enough memory? `dmesg` tells if the system ended it"
        raise UserError(f"{MOST_DEATHS} worker processes died ({cause}) before any run began", hint)

    def _probe_together(self, task: Task, count: int) -> list[Probed | None]:
        """What each of `count` workers says of the run when all try it on the first device; None of one that died."""
        device = self._devices[0]
        for place in range(count):
            if place not in self._workers or self._workers[place].device != device:
                if place in self._workers:
                    self._workers[place].end()
                self._workers[place] = Worker.start(self._context, device, self._threads)
            with suppress(OSError):
                self._workers[place].pipe.send(Probe(replace(task, device=device), PROBE_SECONDS))
        found: list[Probed | None] = []
        for place in range(count):
            try:
                while isinstance(answer := self._workers[place].pipe.recv(), Hello):
                    pass
                assert isinstance(answer, Probed)
                found.append(answer)
            except (EOFError, OSError):
                self._workers[place].end()
                self._workers[place] = Worker.start(self._context, device, self._threads)
                found.append(None)
        return found

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
            self._workers[place] = Worker.start(self._context, self.places[place], self._threads)
        worker = self._workers[place]
        worker.task, worker.heard = task, time.monotonic()
        with suppress(OSError):  # a worker that died while idle is found by the read that follows
            worker.pipe.send(task)

    def _leave_alone(self, place: int, device: str) -> None:
        """End the idle workers of a device, which keep memory, but for that of `place`."""
        for other in [other for other, worker in self._workers.items() if worker.device == device and other != place]:
            self._workers.pop(other).end()

    def _event(self, place: int) -> Event | None:
        worker = self._workers[place]
        worker.heard = time.monotonic()
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            return self._replace(place, "lost")
        if isinstance(message, Hello):
            return None
        if isinstance(message, Done | Failed | Stopped | Busy | Evaluated):
            worker.task = None
        event: Event = message
        return event

    def _hanging(self) -> list[int]:
        limit = self._hang_after
        now = time.monotonic()
        return [p for p, worker in self._workers.items() if limit and worker.task and now - worker.heard > limit]

    def _replace(self, place: int, kind: FailureKind) -> Failed:
        """A fresh worker in the place of a dead or hanging one, whose run has failed."""
        worker = self._workers[place]
        task = worker.task
        assert task is not None
        cause = worker.end()
        self._workers[place] = Worker.start(self._context, worker.device, self._threads)
        message = f"the worker process died ({cause})"
        if kind == "hung":
            message = f"the worker said nothing for {self._hang_after:.0f} s and was ended (--hang-after)"
        return Failed(task.run, message, "", kind)

    def _tell_to_stop(self) -> None:
        for worker in self._workers.values():
            if worker.task:
                with suppress(OSError):
                    worker.pipe.send(Stop())
