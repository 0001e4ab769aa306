"""Runs on this machine: a pool of reused worker processes, each with one run at a time.

Workers are forked from a server that has imported torch once, where the system can fork, so that a new one costs
little. This module imports no torch itself.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from ablation.errors import UserError
from ablation.protocol import (
    Busy,
    Done,
    Ending,
    Evaluated,
    Event,
    Failed,
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
from ablation.runner.entry import serve
from ablation.runner.places import choose_devices, list_places

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess

Request = Prepare | TryWeights | Weigh | Probe
MOST_DEATHS = 3
"""Of workers in a row before any run has begun."""
PATIENCE = 0.2
"""Seconds after which the pool looks up from its pipes."""


def _context() -> ForkServerContext | SpawnContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ablation.train.worker"])
    return context


@dataclass
class _Worker:
    process: ForkServerProcess | SpawnProcess
    pipe: Connection
    device: str
    task: Task | None = None


class LocalPool:
    """Workers on this machine. A context manager: leaving it ends them."""

    def __init__(self, device: str, workers: int | None, threads: int) -> None:
        self._context = _context()
        self._threads = threads
        self._queue: deque[Task] = deque()
        self._stopping = False
        self._workers = [self._start("cpu")]
        try:
            hello = self._ask(None, lambda _: None)
            assert isinstance(hello, Hello)
            self.places = list_places(choose_devices(device, hello.accelerators), workers, threads)
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
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers = []

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
        """How long runs will take relative to each other, in the order of the request."""
        answer = self._ask(request, lambda _: None)
        assert isinstance(answer, Weighed)
        return answer.costs

    def probe(self, task: Task) -> float:
        """Estimated seconds of a run. Raises UserError where it cannot even be tried."""
        answer = self._ask(Probe(task), lambda _: None)
        assert isinstance(answer, Probed)
        if answer.seconds is None:
            raise UserError(
                f"{task.run.label} fails at its first steps:\n{answer.details}", "mend or leave out the variant"
            )
        return answer.seconds

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
            busy = {worker.pipe: worker for worker in self._workers if worker.task}
            if not busy:
                return
            for pipe in wait(list(busy), PATIENCE):
                yield self._event(busy[pipe])  # type: ignore[index]

    def _start(self, device: str) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, self._threads), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours, device)

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
                worker.process.join()
                worker.pipe.close()
                self._workers[0] = self._start(worker.device)
        hint = "is there enough memory? `dmesg` tells if the system ended it"
        raise UserError(f"{MOST_DEATHS} worker processes died ({_cause(worker)}) before any run began", hint)

    def _assign(self) -> None:
        """Give queued runs to idle workers, starting workers where places are still free."""
        for index in range(len(self.places)):
            if not self._queue or self._stopping:
                return
            if index == len(self._workers):
                self._workers.append(self._start(self.places[index]))
            worker = self._workers[index]
            if worker.task is None:
                worker.task = replace(self._queue.popleft(), device=worker.device)
                with suppress(OSError):  # a worker that died while idle is found by the read that follows
                    worker.pipe.send(worker.task)

    def _event(self, worker: _Worker) -> Event:
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            return self._replace(worker)
        if isinstance(message, Hello):
            return self._event(worker)
        if isinstance(message, Done | Failed | Stopped | Busy | Evaluated):
            worker.task = None
        event: Event = message
        return event

    def _replace(self, worker: _Worker) -> Ending:
        """A fresh worker in the place of a dead one, whose run has failed."""
        worker.process.join()
        cause = _cause(worker)
        worker.pipe.close()
        task = worker.task
        assert task is not None
        self._workers[self._workers.index(worker)] = self._start(worker.device)
        return Failed(task.run, f"the worker process died ({cause})", "", lost_worker=True)

    def _tell_to_stop(self) -> None:
        for worker in self._workers:
            if worker.task:
                with suppress(OSError):
                    worker.pipe.send(Stop())


def _cause(worker: _Worker) -> str:
    code = worker.process.exitcode
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
