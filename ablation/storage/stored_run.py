"""What a run folder holds: a run that can be trusted, or the reason why it cannot. Every command reads runs here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from ablation._util.files import set_aside
from ablation._util.hashing import canonical_json
from ablation.errors import UnreadableError
from ablation.planning.run import Run
from ablation.registry.metrics import METRICS, SELECTION
from ablation.storage.record import EpochRow, RunRecord, has_diverged
from ablation.storage.sealed import stamp
from ablation.storage.store import Failure, RunFolder, Store
from ablation.study.tasks import TaskRecipe

State = Literal["finished", "diverged", "damaged", "crashed", "interrupted", "missing"]
_READ = ("epochs.jsonl", "predictions.npz")
"""The files that figures come from: their digests are checked whenever a run is read."""
_WEIGHTS = ("best.pt", "last.pt")


@dataclass(frozen=True)
class Identity:
    """What a study says that a run is: its key, the seed that it is trained under, its recipe as `canonical_json`."""

    key: str
    seed: int
    recipe: str
    primary: str = ""
    """The primary metric of a study of a function or a command: whether a run has diverged depends on it."""

    @classmethod
    def of(cls, run: Run) -> Identity:
        """That of a planned run."""
        return cls(run.key, run.seed, canonical_json(run.recipe.canonical()), _primary(run))


@dataclass(frozen=True)
class StoredRun:
    """A run on disk. Only one that is finished or diverged has a record, and only one that is damaged a reason."""

    folder: RunFolder
    state: State
    record: RunRecord | None = None
    failure: Failure | None = None
    reason: str = ""
    known_epochs: Sequence[EpochRow] | None = None
    """Its epochs where they were parsed already."""

    @property
    def epochs(self) -> Sequence[EpochRow]:
        """Its whole epochs; none of a damaged run."""
        if self.state == "damaged":
            return ()
        return self.folder.epochs() if self.known_epochs is None else self.known_epochs


def _primary(run: Run) -> str:
    return run.recipe.primary if isinstance(run.recipe, TaskRecipe) else ""


def read_run(folder: RunFolder, identity: Identity, *, every_epoch: bool = True) -> StoredRun:
    """The run in a folder that a study says holds `identity`.

    It is damaged unless its record is that of this very run, its files are those that the run ended with, and all
    values have their types, are in their ranges, and fit together. Without `every_epoch` the epochs are not parsed
    where a digest vouches for them. Weights count as damaged by their size or where they were set aside; whoever loads
    them checks their digest (`check_weights`). Raises UserError for a file of another schema version.
    """
    epochs = None
    try:
        record = folder.record()
        if record is None:
            return _unfinished(folder)
        fault = _wrong_record(record, identity) or _changed_file(folder, record)
        if not fault and (every_epoch or not record.files):
            epochs = folder.epochs()
            fault = inconsistency(record, epochs)
    except UnreadableError as error:
        return StoredRun(folder, "damaged", reason=error.message)
    if fault:
        return StoredRun(folder, "damaged", reason=f"{folder.path}: {fault}")
    if record.task and record.metrics:  # an earlier version stored none of a run that had diverged
        record = replace(record, status="diverged" if has_diverged(record.metrics, identity.primary) else "finished")
    return StoredRun(folder, record.status, record, known_epochs=epochs)


def _unfinished(folder: RunFolder) -> StoredRun:
    epochs, failure = folder.epochs(), folder.failure()
    if [row.epoch for row in epochs] != list(range(1, len(epochs) + 1)):
        return StoredRun(folder, "damaged", reason=f"the epochs in {folder.history} are not numbered from 1")
    state: State = "crashed" if failure else "interrupted" if epochs else "missing"
    return StoredRun(folder, state, failure=failure, known_epochs=epochs)


def _wrong_record(record: RunRecord, identity: Identity) -> str:
    if record.key != identity.key:
        return f"its record is that of another run, {record.key}"
    if record.seed != identity.seed:
        return f"its record is of seed {record.seed}, and the study expects seed {identity.seed}"
    if canonical_json(record.recipe) != identity.recipe:
        return "the recipe in its record is not that of the study"
    if record.status == "finished" and not record.task and SELECTION not in record.metrics:
        return f"its record lacks {SELECTION}"
    return ""


def _changed_file(folder: RunFolder, record: RunRecord) -> str:
    """Which file is not what it was when the run ended.

    Weights that were deleted to make room are no damage: no figure comes from them.
    """
    for name in _READ:
        known, path = record.files.get(name), folder.path / name
        if known and not path.exists():
            return f"{name} is missing"
        if known and stamp(path) != known:
            return f"{name} has changed since the run ended: its SHA-256 does not match"
    for name in _WEIGHTS:
        known, path = record.files.get(name), folder.path / name
        if known and path.exists() and path.stat().st_size != known.bytes:
            return f"{name} has changed since the run ended: it has {path.stat().st_size:,} bytes, not {known.bytes:,}"
        if not path.exists() and any(folder.path.glob(f"{name}.unreadable*")):
            return f"{name} was damaged and set aside"
    return ""


def inconsistency(record: RunRecord, rows: Sequence[EpochRow]) -> str:
    """What of a record and its epochs cannot be true together; empty where all can."""
    if [row.epoch for row in rows] != list(range(1, record.epochs + 1)):
        return f"its epochs are not 1 to {record.epochs}"
    if record.task:
        return "" if record.metrics or record.status == "diverged" else "its record has no metrics"
    if any(second.step < first.step for first, second in pairwise(rows)):
        return "the steps of its epochs decrease"
    if any(SELECTION not in row.metrics for row in rows):
        return f"its epochs lack {SELECTION}"
    lost = [row.epoch for row in rows if not all(map(math.isfinite, row.metrics.values()))]
    if lost != ([record.epochs] if record.status == "diverged" else []):
        return f"it is recorded as {record.status}, with a loss that is not finite in epochs {lost or 'none'}"
    return _wrong_selection(record, rows)


def _wrong_selection(record: RunRecord, rows: Sequence[EpochRow]) -> str:
    if record.status == "diverged":
        return "" if record.selected_epoch is None else "it diverged, and yet an epoch is selected"
    best = max(rows, key=lambda row: (row.metrics[SELECTION], -row.epoch)).epoch
    if record.best_epoch != best:
        what = METRICS[SELECTION].label
        return f"its best epoch is recorded as {record.best_epoch}, and its best {what} is in epoch {best}"
    chosen = record.epochs if record.recipe["train"]["select"] == "last" else best
    if record.selected_epoch != chosen:
        return f"epoch {record.selected_epoch} is recorded as selected, and the rule selects epoch {chosen}"
    same = record.metrics == rows[chosen - 1].metrics
    return "" if same else f"its metrics are not those of epoch {chosen}"


def finished_runs(runs: Sequence[Run], store: Store) -> dict[str, RunRecord]:
    """The records of the runs that are finished on disk and undamaged, by their keys.

    Raises UserError for files of another schema version.
    """
    there = store.finished(run.folder for run in runs)
    distinct = {run.key: run for run in runs if run.folder in there}
    found = ((key, read_run(store.run(run.folder), Identity.of(run))) for key, run in distinct.items())
    return {key: stored.record for key, stored in found if stored.record}


def set_damage_aside(run: StoredRun) -> str:
    """Set the files of a damaged run aside; what to say of it, empty where the run is not damaged."""
    if run.state != "damaged":
        return ""
    run.folder.start_over()
    return f"{run.reason}; set aside, the run is trained again"


def check_weights(folder: RunFolder, record: RunRecord, name: str) -> None:
    """Raise UnreadableError where a file of weights is not the one that the run ended with; it is then set aside."""
    known, path = record.files.get(name), folder.path / name
    if not path.exists():
        hint = f"to evaluate it, delete {folder.path} and run the study again"
        raise UnreadableError(f"{path} is missing", hint)
    if known and stamp(path) != known:
        set_aside(path)
        raise UnreadableError(f"{path} has changed since the run ended; set aside", "run the study again")
