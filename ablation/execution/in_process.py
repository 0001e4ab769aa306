"""Runs in this very process, one after another, so that a breakpoint in the user's code works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from ablation._util.files import writing
from ablation.errors import UserError
from ablation.planning.job import Job
from ablation.storage.record import EpochRow
from ablation.tasks.hooks import Hooks
from ablation.worker.calls import Call, Value
from ablation.worker.channel import Channel
from ablation.worker.protocol import Busy, Ending, EpochDone, Event, Noticed, Preparing, Stopped
from ablation.worker.worker import LOCK_PATIENCE, ending_of, until_end


class _LocalChannel(Channel):
    """The channel of a worker that has no parent: what it is told is shown, or left out."""

    def __init__(self, progress: Callable[[Preparing], None]) -> None:
        self._progress = progress

    def send(self, message: object) -> None:
        if isinstance(message, Preparing):
            self._progress(message)

    def beat(self) -> None: ...

    def preparing(self, what: str, done: int, total: int) -> None:
        self._progress(Preparing(what, done, total))

    def notice(self, line: str) -> None:
        self._progress(Preparing("", 0, 0, line))

    def waiting(self) -> bool:
        return False


class InProcess:
    """An executor without worker processes, for functions and commands. Nothing watches over a run: none hangs."""

    unusable: tuple[str, ...] = ()

    def __init__(self, device: str, threads: int) -> None:
        if device not in ("auto", "cpu"):
            raise UserError(f"--device {device}: without workers, runs are trained on the CPU", "leave it out")
        self.threads, self.places, self.models = threads, ["cpu"], ("cpu",)
        self._queue: deque[Job] = deque()
        self._stopping = False

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None: ...

    @property
    def local_devices(self) -> tuple[str, ...]:
        return ("cpu",)

    def call(self, request: Call[Value], progress: Callable[[Preparing], None] = lambda _: None) -> Value:
        """What a function returns."""
        return request.function(_LocalChannel(progress))

    def autotune_workers(self, longest: Job, runs: int) -> None:
        """There are none."""

    def submit(self, job: Job) -> None:
        """Queue a run."""
        self._queue.append(job)

    def stop(self) -> None:
        """Start no further run, and end the one under way. Safe to call from a signal handler."""
        self._stopping = True

    def events(self) -> Iterator[Event]:
        """What happens to the submitted runs; the events of a run come when it has ended."""
        while self._queue and not self._stopping:
            job = self._queue.popleft()
            happened: list[Event] = []
            ending, _ = ending_of(job.run, lambda job=job, happened=happened: self._train(job, happened))  # type: ignore[misc]
            yield from (*happened, ending)
            if isinstance(ending, Stopped):
                self._stopping = True

    def _train(self, job: Job, happened: list[Event]) -> Ending:
        with writing(job.folder):
            Path(job.folder).mkdir(parents=True, exist_ok=True)

        def on_epoch(row: EpochRow, epochs: int) -> None:
            happened.append(EpochDone(job.run, row, epochs))

        hooks = Hooks(
            on_epoch=on_epoch,
            on_step=lambda *_: None,
            should_stop=lambda: self._stopping,
            on_notice=lambda message: happened.append(Noticed(job.run, message)),
        )
        try:
            with FileLock(job.folder / "lock", timeout=LOCK_PATIENCE):
                return until_end(job, happened.append, hooks)
        except Timeout:
            return Busy(job.run)
