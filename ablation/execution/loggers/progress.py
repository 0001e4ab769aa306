"""A `Progress` that also feeds loggers: what is shown of a study is logged too."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from ablation.errors import UserError
from ablation.execution.loggers.base import Logger
from ablation.execution.loggers.feed import LoggerThread, RunLogger
from ablation.execution.progress import Progress, Tone
from ablation.planning.run import Run
from ablation.storage.record import RunRecord
from ablation.storage.store import Store
from ablation.study.schema import LogTarget, Study
from ablation.worker.protocol import Done, EpochDone, Event, Failed, Preparing, Stopped

PATIENCE = 2.0
"""Seconds after which the wait for a logger is announced."""


def _tensorboard(store: Store) -> Logger:
    from ablation.execution.loggers.tensorboard import TensorBoardLogger

    return TensorBoardLogger(store.logs / "tensorboard")


def _mlflow(store: Store) -> Logger:
    from ablation.execution.loggers.mlflow import MLflowLogger

    return MLflowLogger(store.logs)


_CONNECT: Mapping[LogTarget, Callable[[Store], Logger]] = {"tensorboard": _tensorboard, "mlflow": _mlflow}


def check_libraries(names: Sequence[LogTarget]) -> None:
    """Raise UserError where the library of a logger is not installed; nothing is imported."""
    for name in names:
        needed: tuple[str, ...] = (name,)
        if name == "mlflow" and not os.environ.get("MLFLOW_TRACKING_URI"):
            needed += ("sqlalchemy", "alembic")  # of its SQLite store, which mlflow-skinny comes without
        for package in needed:
            if importlib.util.find_spec(package) is None:
                raise UserError(
                    f"logging to {name} needs {package}, which is not installed",
                    f"pip install 'ablation-lab[{name}]', or run with --log none",
                )


@contextmanager
def log_to(names: Sequence[LogTarget], study: Study, store: Store, progress: Progress) -> Iterator[LoggedProgress]:
    """`progress`, with runs logged to `names` within the block; leaving it waits until all is written.

    Raises UserError where a library is missing.
    """
    names = tuple(dict.fromkeys(names))
    check_libraries(names)
    logged = LoggedProgress(
        progress, [LoggerThread(name, partial(_CONNECT[name], store), store, study.name) for name in names]
    )
    wait = True
    try:
        yield logged
    except KeyboardInterrupt:  # stop immediately: the next command logs what is missing
        wait = False
        raise
    finally:
        if wait:
            logged.close()


class LoggedProgress:
    """Shows what happens, and tells the feeds what of it is to be logged."""

    def __init__(self, progress: Progress, feeds: Sequence[LoggerThread]) -> None:
        self._shown = progress
        self._feeds = feeds
        self._warned: set[str] = set()
        self._runs: Sequence[Run] = ()
        self._records: dict[str, RunRecord] = {}

    def say(self, text: str, tone: Tone = "plain", label: str = "") -> None:
        """Show a line."""
        self._shown.say(text, tone, label)

    def preparing(self, event: Preparing) -> None:
        """Show that data are being decoded."""
        self._shown.preparing(event)

    def training(self, study: str, runs: Sequence[Run], finished: int, workers: int) -> AbstractContextManager[object]:
        """Show the training within the block."""
        return self._shown.training(study, runs, finished, workers)

    def stopping(self) -> None:
        """Show that the user asked to stop."""
        self._shown.stopping()

    def event(self, event: Event) -> None:
        """Show it, and log epochs and ends."""
        self._shown.event(event)
        self._warn()
        job = _job(event, time.time())
        if job:
            for feed in self._feeds:
                feed.put(job)
        if isinstance(event, Done):
            self._records[event.run.key] = event.record

    def finished(self, runs: Sequence[Run], records: Mapping[str, RunRecord]) -> None:
        """Log those of the study's `runs` that were finished before, by their keys."""
        self._runs, self._records = runs, dict(records)
        self._export()

    def close(self) -> None:
        """Log what is not there yet, wait until it is written, and say which loggers failed."""
        self._export()
        for feed in self._feeds:
            if not feed.close(PATIENCE):
                self.say(f"waiting for {feed.name} to take what is left", "dim")
                feed.close()
        self._warn()
        for feed in self._feeds:
            if feed.error:
                self.say(f"not everything was logged to {feed.name}: the same command logs what is missing", "warning")

    def _export(self) -> None:
        ended = [(run, self._records[run.key]) for run in self._runs if run.key in self._records]
        for feed in self._feeds if ended else ():
            feed.put(lambda logger: logger.export(ended))

    def _warn(self) -> None:
        """Say once that a logger has failed."""
        for feed in self._feeds:
            if feed.error and feed.name not in self._warned:
                self._warned.add(feed.name)
                self.say(f"logging to {feed.name} failed and is off from here: {feed.error}", "warning")


def _job(event: Event, now: float) -> Callable[[RunLogger], None] | None:
    """What an event, seen at `now`, means for a logger."""
    match event:
        case EpochDone(run, row):
            return lambda logger: logger.epoch(run, row, now)
        case Done(run, record):
            return lambda logger: logger.ended(run, record)
        case Failed(run):
            return lambda logger: logger.interrupted(run, "failed")
        case Stopped(run):
            return lambda logger: logger.interrupted(run, "stopped")
        case _:
            return None
