"""The record of a run that a function or a command trains: its rows as they are logged, and what it came to."""

from __future__ import annotations

import math
import numbers
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ablation._util.files import writing
from ablation._util.machine import processor
from ablation.errors import UserError
from ablation.planning.job import Job
from ablation.planning.run import Run
from ablation.storage.record import Environment, EpochRow, RunRecord, has_diverged
from ablation.storage.store import RunFolder
from ablation.study.code_files import code_digest
from ablation.study.tasks import TaskRecipe
from ablation.tasks.hooks import Hooks
from ablation.versions import __version__

_WHERE = {
    "function": "log it, or return it: {{{name!r}: value}}",
    "command": "print `{name}: value`, or write it to the file that ABLATE_METRICS names",
}
"""How a task of each kind reports a metric."""
SPACE = 2**16
"""Bytes that must be free where a run goes on."""


class Recorder:
    """Keeps the rows of one run, and writes its record at the end."""

    def __init__(self, job: Job, hooks: Hooks) -> None:
        recipe = job.run.recipe
        assert isinstance(recipe, TaskRecipe)
        self.recipe, self.job, self.hooks = recipe, job, hooks
        self.folder = RunFolder(job.folder)
        self.folder.open({"recipe": recipe.canonical(), "task": recipe.key_fields(), **job.run.identity})
        self.rows: list[EpochRow] = []
        self.planned = 0
        """The rows that the run will have, 0 where it does not say."""
        self.resumed = 0
        self.started = _now()
        self.checks: dict[str, str] = {}
        self.classes: tuple[str, ...] = ()
        self.predicted: int | None = None
        """How many predictions were saved; None where none were."""
        self.drawn: dict[str, None] | None = None
        """The random streams that a function has drawn from, in their order; None where that is not known."""
        self._before = 0.0
        self._began = self._last = time.perf_counter()

    def keep(self, rows: int, resumed: int, started: str) -> None:
        """Go on after the first `rows` rows of an interrupted run."""
        self.folder.keep_epochs(rows)
        self.rows, self.resumed, self.started = self.folder.epochs(), resumed, started
        self._before = sum(row.seconds for row in self.rows)
        self._began = self._last = time.perf_counter()

    def start_over(self) -> None:
        """Forget the rows of an interrupted run that does not go on."""
        self.resumed, self._before, self.started = 0, 0.0, _now()
        self.drop_rows()

    def drop_rows(self) -> None:
        """Forget the rows so far."""
        self.rows = []
        if self.folder.history.exists():
            self.folder.keep_epochs(0)

    def log(self, metrics: Mapping[str, Any], step: int | None = None, seconds: float | None = None) -> None:
        """Add a row. Raises UserError for a value that is no number, StorageError where it cannot be written."""
        now = time.perf_counter()
        row = EpochRow(
            epoch=len(self.rows) + 1,
            step=len(self.rows) + 1 if step is None else int(step),
            lr=math.nan,
            metrics=plain(metrics),
            seconds=max(0.0, now - self._last if seconds is None else seconds),
            eval_seconds=0.0,
            images_per_second=math.nan,
            peak_memory_mb=math.nan,
            reported=True,
        )
        self._last = now
        self.folder.append(row)
        self.rows.append(row)
        self.hooks.on_epoch(row, self.planned)

    def finish(self, result: Mapping[str, Any] | None, environment: Environment) -> RunRecord:
        """Write the record: of what the run returned, else of its last or best row.

        It has the last value of every metric, as it was reported. A run whose primary metric is not finite has
        diverged. Raises UserError where it reported nothing.
        """
        selected, metrics = self._result(result)
        diverged = has_diverged(metrics, self.recipe.primary)
        record = RunRecord(
            status="diverged" if diverged else "finished",
            key=self.job.run.key,
            recipe=self.recipe.canonical(),
            seed=self.job.run.seed,
            data_fingerprint="",
            image=None,
            classes=self.classes,
            train_images=None,
            val_images=self.predicted,
            parameters=None,
            macs=None,
            epochs=len(self.rows),
            selected_epoch=None if diverged else selected,
            best_epoch=None if diverged else self._best(),
            metrics=metrics,
            weights_sha256=None,
            started=self.started,
            finished=_now(),
            train_seconds=self._before + time.perf_counter() - self._began,
            resumed=self.resumed,
            environment=environment,
            checks=self.checks,
            host=platform.node(),
            task=self.recipe.key_fields(),
            streams=self.job.run.streams,
            drawn=None if self.drawn is None else tuple(self.drawn),
        )
        return self.folder.finish(record)

    def _result(self, result: Mapping[str, Any] | None) -> tuple[int | None, Mapping[str, float]]:
        if result is not None:
            metrics = plain(result)
            if metrics:
                return None, metrics
        if not self.rows:
            hint = _WHERE[self.recipe.task.kind].format(name=self.recipe.primary)
            raise UserError("the run reported no metrics", hint)
        chosen = self._best() if self.recipe.task.select == "best" else None
        rows = self.rows[:chosen]
        return chosen or len(rows), {name: value for row in rows for name, value in row.metrics.items()}

    def _best(self) -> int | None:
        """The number of the best row by the primary metric, the first of equals; None where no row has it."""
        sign = 1 if self.recipe.metrics[self.recipe.primary].direction == "higher" else -1
        values = [(sign * row.metrics[self.recipe.primary], -row.epoch) for row in self._with_primary()]
        return -max(values)[1] if values else None

    def _with_primary(self) -> Sequence[EpochRow]:
        return [row for row in self.rows if math.isfinite(row.metrics.get(self.recipe.primary, math.nan))]


def plain(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Metrics as numbers: those of NumPy, PyTorch and JAX too, where they hold a single one. Raises UserError."""
    return {str(name): _number(str(name), value) for name, value in metrics.items()}


def _number(name: str, value: Any) -> float:
    if not isinstance(value, bool | str | bytes):
        if isinstance(value, numbers.Real):
            return float(value)
        item = getattr(value, "item", None)
        if callable(item) and getattr(value, "size", None) is not None:
            try:
                found = item()
            except (ValueError, RuntimeError):  # it holds more than one number
                found = None
            if isinstance(found, numbers.Real) and not isinstance(found, bool):
                return float(found)
    shown = repr(value) if len(repr(value)) < 60 else f"{type(value).__name__}"
    raise UserError(f"the metric {name!r} is {shown}; a metric is one number", "convert it: float(value)")


def environment_of(job: Job) -> Environment:
    """Where a run of this process is trained, and with which torch where the run uses it."""
    torch = sys.modules.get("torch")
    return Environment(
        ablation=__version__,
        python=platform.python_version(),
        torch=str(getattr(torch, "__version__", "")),
        platform=platform.platform(),
        processor=processor(),
        device=job.model or job.device,
        threads=job.threads,
    )


def check_code(run: Run) -> None:
    """Raise UserError where the code files of a run have changed since the study was planned: its key is of others.

    A run without a `code_digest`, which is not stored under its key, is not checked.
    """
    assert run.task is not None
    if run.code_digest and code_digest(run.task, run.codes.values()) != run.code_digest:
        what = "code of the study has changed since the study was planned"
        raise UserError(what, "run the same command again: all runs are then trained with the code as it is now")


def check_space(folder: Path) -> None:
    """Raise StorageError where nothing can be written to a run folder: what failed there has failed of that."""
    path = folder / ".space"
    try:
        with writing(folder):
            path.write_bytes(bytes(SPACE))
    finally:
        path.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
