"""A `Progress` that also stores what runs take beside what was estimated for them: the next estimate learns from it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from ablation._util.hashing import slug
from ablation.errors import StorageError, UserError
from ablation.execution.options import WorkerOptions
from ablation.execution.progress import Progress, Tone
from ablation.planning.run import Run
from ablation.storage.record import RunRecord
from ablation.storage.spent import Estimate, Spent, new_spent_file, read_estimate, write_spent
from ablation.storage.store import Store
from ablation.study.schema import Study
from ablation.worker.protocol import Done, Ending, Event, Preparing, Started


def note_spent(progress: Progress, study: Study, store: Store, workers: WorkerOptions) -> Progress:
    """`progress`, which also stores what the runs of one command take, where these were estimated for this machine."""
    if study.smoke or workers.backend != "local" or workers.in_process:
        return progress
    try:
        estimate = read_estimate(store, slug(study.name))
    except UserError as error:
        progress.say(f"what runs take is not compared with an estimate: {error.message}", "warning")
        return progress
    return SpentProgress(progress, estimate, new_spent_file(store, slug(study.name))) if estimate else progress


@dataclass
class SpentProgress:
    """Shows what happens, and stores what the runs that finish take: after each of them, since commands are killed."""

    shown: Progress
    estimate: Estimate
    path: Path
    began: float = field(default_factory=lambda: time.monotonic())
    _under_way: dict[str, float] = field(default_factory=dict)
    """The runs that have started, by their keys, and when they did."""
    _workers: int = 1
    """The most runs that were under way at once."""
    _setup: float | None = None
    _runs: int = 0
    _predicted: float = 0.0
    _spent: float = 0.0
    _failed: bool = False

    def say(self, text: str, tone: Tone = "plain", label: str = "") -> None:
        """Show a line."""
        self.shown.say(text, tone, label)

    def preparing(self, event: Preparing) -> None:
        """Show that data are being decoded."""
        self.shown.preparing(event)

    def training(self, study: str, runs: Sequence[Run], finished: int, workers: int) -> AbstractContextManager[object]:
        """Show the training within the block."""
        return self.shown.training(study, runs, finished, workers)

    def stopping(self) -> None:
        """Show that the user asked to stop."""
        self.shown.stopping()

    def event(self, event: Event) -> None:
        """Show it, and time the run from its start to its end."""
        now = time.monotonic()
        self.shown.event(event)
        if isinstance(event, Started):
            self._under_way[event.run.key] = now
            self._workers = max(self._workers, len(self._under_way))
            self._setup = now - self.began if self._setup is None else self._setup
        if isinstance(event, Ending):
            since = self._under_way.pop(event.run.key, None)
            if isinstance(event, Done) and since is not None:
                self._done(event.run, event.record, now - since)

    def _done(self, run: Run, record: RunRecord, seconds: float) -> None:
        """Add a finished run to what is stored; one that was not estimated is left out."""
        predicted = self.estimate.seconds_until_end(run, record)
        if predicted is None or self._failed:
            return
        self._runs, self._predicted, self._spent = self._runs + 1, self._predicted + predicted, self._spent + seconds
        setting = replace(self.estimate.setting, workers=self._workers, threads=record.environment.threads)
        now, elapsed = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic() - self.began
        spent = Spent(now, setting, self._runs, self._predicted, self._spent, self._setup or 0.0, elapsed)
        try:
            write_spent(self.path, spent)
        except StorageError as error:  # no reason to stop: a run that cannot be written says so itself
            self._failed = True
            self.say(f"what runs take is no longer compared with the estimate: {error.message}", "warning")
