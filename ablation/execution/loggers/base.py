"""What a logger is told: runs, rows, ends. Plain values; nothing here imports a logging library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Literal, Protocol

from ablation.errors import UnreadableError
from ablation.planning.run import Run
from ablation.storage.metric_values import read_values
from ablation.storage.record import EpochRow, RunRecord
from ablation.storage.store import RunFolder

FINAL = "final/"
"""What the names of the metrics of a finished run begin with: those of its selected epoch, which the report uses."""
_OF_EPOCHS = ("lr", "images_per_second")
"""What is logged of an epoch besides its metrics."""


@dataclass(frozen=True)
class RunInfo:
    """One variant under one seed, as a logger names it; `options` are what is trained (dotted path -> value)."""

    study: str
    variant: str
    seed: int
    key: str
    label: str
    options: Mapping[str, object] = field(hash=False)

    @classmethod
    def of(cls, run: Run, study: str) -> RunInfo:
        """That of a planned run; options without a value are left out."""
        options = {path: value for path, value in run.recipe.flat().items() if value is not None}
        return cls(study, run.variant, run.block, run.key, run.label, options)


@dataclass(frozen=True)
class Row:
    """The values after an epoch, from 1, and when it ended (seconds since 1970)."""

    epoch: int
    time: float
    values: Mapping[str, float]

    @classmethod
    def of(cls, row: EpochRow, time: float) -> Row:
        """A stored row; what is not finite is NaN, as it is once stored."""
        extra = {name: value for name in _OF_EPOCHS if math.isfinite(value := getattr(row, name))}
        return cls(row.epoch, time, {**{name: _plain(value) for name, value in row.metrics.items()}, **extra})


@dataclass(frozen=True)
class End:
    """How a run ended, when (seconds since 1970), after how many epochs, and its final metrics by logged names."""

    status: Literal["finished", "diverged"]
    time: float
    epochs: int
    metrics: Mapping[str, float]

    @classmethod
    def of(cls, record: RunRecord, folder: RunFolder) -> End:
        """That of a finished run, with the metrics that were computed from its predictions so far."""
        try:
            computed = {name: own.value for name, own in read_values(folder, record).items()}
        except UnreadableError:  # `ablate run` computes them again after training
            computed = {}
        values = {**record.metrics, **computed}
        metrics = {f"{FINAL}{name}": _plain(value) for name, value in values.items()}
        return cls(record.status, datetime.fromisoformat(record.finished).timestamp(), record.epochs, metrics)


class Logger(Protocol):
    """Where runs are logged. Called from one thread; any exception means that it cannot go on."""

    def open(self, run: RunInfo, rows: Sequence[Row]) -> None:
        """Begin a run or go on with it: afterwards exactly these rows are there, each once."""

    def add(self, run: RunInfo, row: Row) -> None:
        """Add the next row of an open run."""

    def finish(self, run: RunInfo, end: End) -> None:
        """End an open run."""

    def suspend(self, run: RunInfo, why: Literal["failed", "stopped"]) -> None:
        """Close an open run that has not ended; it may be opened again."""

    def missing(self, ended: Sequence[tuple[RunInfo, End]]) -> list[tuple[RunInfo, End]]:
        """Those that are not there to their end, with all their final metrics."""


def stored_rows(rows: Sequence[EpochRow], end: float) -> list[Row]:
    """Rows from disk, the last of which ended at `end`; the others by the seconds that each epoch took."""
    took = [row.seconds + row.eval_seconds for row in rows[1:]]
    before_end = [*reversed(list(accumulate(reversed(took)))), 0.0] if rows else []
    return [Row.of(row, end - seconds) for row, seconds in zip(rows, before_end, strict=True)]


def last_change(path: Path) -> float:
    """When a file was written last (seconds since 1970), infinity where there is none."""
    return path.stat().st_mtime if path.exists() else math.inf


def _plain(value: float) -> float:
    return value if math.isfinite(value) else math.nan
