"""A thread for each logger, so that a slow disk or server never holds up training, and its errors never end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from textwrap import shorten
from threading import Thread
from typing import TYPE_CHECKING, Literal

from ablation._util.sanitize import one_line
from ablation.execution.loggers.base import End, Logger, Row, RunInfo, last_change, stored_rows
from ablation.planning.run import Run
from ablation.storage.record import EpochRow, RunRecord
from ablation.storage.store import Store

if TYPE_CHECKING:
    from queue import SimpleQueue

MOST_CHARACTERS = 200
"""Of an error of a library: some say all that they know."""


@dataclass
class RunLogger:
    """What one logger was told of a study. The stored epochs decide what it should hold."""

    logger: Logger
    store: Store
    study: str
    _last: dict[str, int] = field(default_factory=dict)
    """Key of an open run -> its last row."""

    def epoch(self, run: Run, row: EpochRow, time: float) -> None:
        """An epoch has ended at `time`.

        The first one that is seen of a run, and one that was trained again, bring the logger up to what is stored.
        """
        if self._last.get(run.key) == row.epoch - 1:
            self.logger.add(self._name(run), Row.of(row, time))
            self._last[run.key] = row.epoch
        else:
            stored = [own for own in self.store.run(run.folder).epochs() if own.epoch <= row.epoch]
            self._open(run, stored, time)

    def ended(self, run: Run, record: RunRecord) -> None:
        """A run that was followed is finished; one that another command has trained is left to `export`."""
        if run.key in self._last:
            self._finish(run, self._name(run), End.of(record, self.store.run(run.folder)))

    def interrupted(self, run: Run, why: Literal["failed", "stopped"]) -> None:
        """A run came to no end."""
        if self._last.pop(run.key, None) is not None:
            self.logger.suspend(self._name(run), why)

    def export(self, ended: Sequence[tuple[Run, RunRecord]]) -> None:
        """Log finished runs that are not there yet, or lack their end or a final metric."""
        runs = {self._name(run): run for run, _ in ended}
        ends = [(self._name(run), End.of(record, self.store.run(run.folder))) for run, record in ended]
        for named, end in self.logger.missing(ends):
            self._finish(runs[named], named, end)

    def _open(self, run: Run, rows: Sequence[EpochRow], end: float) -> None:
        self.logger.open(self._name(run), stored_rows(rows, end))
        self._last[run.key] = rows[-1].epoch if rows else 0

    def _finish(self, run: Run, named: RunInfo, end: End) -> None:
        if self._last.pop(run.key, None) != end.epochs:
            folder = self.store.run(run.folder)
            self.logger.open(named, stored_rows(folder.epochs(), min(end.time, last_change(folder.history))))
        self.logger.finish(named, end)

    def _name(self, run: Run) -> RunInfo:
        return RunInfo.of(run, self.study)


class LoggerThread:
    """Jobs for one logger, done in their order. After the first error it does nothing more, and `error` says why."""

    def __init__(self, name: str, connect: Callable[[], Logger], store: Store, study: str) -> None:
        self.name = name
        self.error = ""
        from queue import SimpleQueue

        self._jobs: SimpleQueue[Callable[[RunLogger], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, args=(connect, store, study), name=f"log to {name}", daemon=True)
        self._thread.start()

    def put(self, job: Callable[[RunLogger], None]) -> None:
        """Queue a job; returns immediately."""
        if not self.error:
            self._jobs.put(job)

    def close(self, patience: float | None = None) -> bool:
        """Wait until all jobs are done, `patience` seconds at most; whether they are."""
        self._jobs.put(None)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _work(self, connect: Callable[[], Logger], store: Store, study: str) -> None:
        try:
            logger = RunLogger(connect(), store, study)
            while job := self._jobs.get():
                job(logger)
        except Exception as error:  # whatever a library raises: training goes on, and the user is told
            self.error = shorten(one_line(f"{type(error).__name__}: {error}"), MOST_CHARACTERS, placeholder=" ...")
