"""What execution reports while it works. The terminal, notebooks and tests each show it in their own way."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ablation._util.sanitize import clean
from ablation.execution.phrases import duration, percent
from ablation.planning.run import Run
from ablation.registry.metrics import SELECTION
from ablation.storage.record import RunRecord
from ablation.study.tasks import TaskRecipe
from ablation.worker.protocol import (
    Busy,
    Done,
    EpochDone,
    Evaluated,
    Event,
    Failed,
    Noticed,
    Preparing,
    Started,
    Stopped,
)

Tone = Literal["plain", "title", "good", "warning", "error", "dim", "notice"]
"""A notice is not part of the result: it goes to standard error."""
MOST_SHOWN = 4
"""Metrics of a logged row in one line."""
QUIET_SECONDS = 30.0
"""A run in progress prints a line at most this often."""
PREPARING_SECONDS = 2.0


class Progress(Protocol):
    """Follows the execution of a study. Its methods are called from one thread and must return soon."""

    def say(self, text: str, tone: Tone = "plain", label: str = "") -> None:
        """Show a line; `label` is its first word, to which the tone applies."""

    def preparing(self, event: Preparing) -> None:
        """Data are being decoded."""

    def training(self, study: str, runs: Sequence[Run], finished: int, workers: int) -> AbstractContextManager[object]:
        """`runs` are trained or evaluated within the block; `finished` others were before."""

    def event(self, event: Event) -> None:
        """Something happened to a run."""

    def stopping(self) -> None:
        """The user asked to stop."""


@dataclass
class LineProgress:
    """Prints a line for each event: in scripts, in notebooks, and in logs."""

    total: int = 0
    finished: int = 0
    _since: dict[str, float] = field(default_factory=dict)
    _printed: float = -math.inf
    """When a line on the current epoch of some run, or on data, was printed."""

    def say(self, text: str, tone: Tone = "plain", label: str = "") -> None:
        """Print a line."""
        if tone == "notice":
            print(clean(f"notice: {text}"), file=sys.stderr)
        else:
            print(clean(f"{label}{text}"))

    def preparing(self, event: Preparing) -> None:
        """Print notices, and the progress of decoding from time to time."""
        if event.notice:
            self.say(event.notice, "dim", "data     ")
        elif time.monotonic() - self._printed > PREPARING_SECONDS:
            self._printed = time.monotonic()
            self.say(f"{event.what}: {event.done:,} of {event.total:,} images", "dim")

    def training(self, study: str, runs: Sequence[Run], finished: int, workers: int) -> AbstractContextManager[object]:
        """Count from the runs that are finished to all of them."""
        self.total, self.finished = len(runs) + finished, finished
        return nullcontext()

    def stopping(self) -> None:
        """Say what stopping means."""
        self.say(
            "stopping after the current epochs; finished work is kept (Ctrl-C again to stop immediately)", "warning"
        )

    def event(self, event: Event) -> None:
        """Print a line where the event deserves one."""
        run = event.run
        match event:
            case Started():
                self._since[run.key] = self._printed = time.monotonic()
            case EpochDone():
                self._epoch_done(event)
            case Done():
                self._end(event)
            case Evaluated():
                self.finished += 1
            case Failed(message=message):
                self.say(f"{run.label}: {message}", "error", "failed   ")
            case Noticed(message=message):
                self.say(f"{run.label}: {message}", "warning", "notice   ")
            case Stopped(resumes=resumes):
                what = "saved; the same command resumes it" if resumes else "the same command starts it again"
                self.say(f"{run.label}: {what}", "warning", "stopped  ")
            case Busy():
                self.say(f"{run.label}: another process is training it", "dim", "waiting  ")
            case _:
                pass

    def _epoch_done(self, event: EpochDone) -> None:
        if time.monotonic() - self._printed > QUIET_SECONDS:
            self._printed = time.monotonic()
            self.say(f"{'':9}{event.run.label}: {_row(event)}")

    def _end(self, event: Done) -> None:
        self.finished += 1
        count = f"{self.finished:>{len(str(self.total))}}/{self.total}  "
        took = duration(time.monotonic() - self._since.pop(event.run.key, time.monotonic()))
        self.say(f"{event.run.label}: {_result(event.run, event.record)}, {took}", "good", count)


def _row(event: EpochDone) -> str:
    """An epoch in words; the first metrics of a row that a function or a command has logged."""
    row = event.row
    of = f"/{event.epochs}" if event.epochs else ""
    if event.run.task:
        shown = ", ".join(f"{name} {value:.4g}" for name, value in list(row.metrics.items())[:MOST_SHOWN])
        return f"row {row.epoch}{of}, {shown}"
    return (
        f"epoch {row.epoch}{of}, loss {row.metrics['train_loss']:.3f}, "
        f"validation {percent(row.metrics[SELECTION])}, {row.images_per_second:,.0f} images/s"
    )


def _result(run: Run, record: RunRecord) -> str:
    if record.status == "diverged":
        return f"diverged in epoch {record.epochs}" if record.epochs else "diverged"
    if isinstance(run.recipe, TaskRecipe):
        name = run.recipe.primary
        return f"{name} {record.metrics[name]:.4g}" if name in record.metrics else f"no {name}"
    return f"validation {percent(record.metrics[SELECTION])} (epoch {record.selected_epoch} of {record.epochs})"
