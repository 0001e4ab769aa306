"""What runs were estimated to take, and what they took: estimate.json and spent/ beside the study.json of a study."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ablation._util.files import writing
from ablation._util.hashing import canonical_json, sha256
from ablation.errors import UserError
from ablation.planning.run import Run
from ablation.storage.record import Count, Number, RunRecord, Seconds, TimeStamp
from ablation.storage.sealed import typed
from ablation.storage.store import Store, read_json, write_record
from ablation.study.schema import AnyRecipe, Recipe

Method = Literal["steps", "runs"]
"""How runs were timed: by a few steps of each variant, or by finished runs."""
_AGAIN = "delete it: `ablate plan --hours` writes a new one"
_DELETE = "delete it: estimates then no longer learn from it"


@dataclass(frozen=True)
class RunTime:
    """The estimated seconds of a run: `fixed` ones whatever its length, and `seconds` for all its epochs or steps.

    `recipe` is a digest of what is trained but for its `length`, in epochs or steps; that of a function or a command,
    whose runs are timed as a whole, is 1.
    """

    recipe: str
    length: Number
    seconds: Seconds
    fixed: Seconds = 0.0

    def of(self, length: int) -> float:
        """The seconds of a run of another length."""
        return self.fixed + self.seconds * length / self.length


@dataclass(frozen=True)
class Setting:
    """Where and how runs were timed or trained: what estimates have to share to learn from each other."""

    host: str
    device: str
    workers: Number
    threads: Number
    method: Method


@dataclass(frozen=True)
class Estimate:
    """What a run of each variant would take in a setting, and what a command takes before the first of them starts."""

    time: TimeStamp
    setting: Setting
    setup: Seconds
    variants: Mapping[str, RunTime]

    def seconds_of(self, run: Run) -> float | None:
        """The estimated seconds of a run; None for one of a variant, or with other options, that was not timed."""
        timed, (recipe, length) = self.variants.get(run.variant), timed_as(run.recipe)
        return timed.of(length) if timed and timed.recipe == recipe else None

    def seconds_until_end(self, run: Run, record: RunRecord) -> float | None:
        """The estimated seconds of a finished run for the epochs that it had, as it may have ended before its budget.

        None where that is not known, and for a run that was resumed or trained in another setting.
        """
        elsewhere = record.host != self.setting.host or record.environment.device != self.setting.device
        timed, (recipe, length) = self.variants.get(run.variant), timed_as(run.recipe)
        if timed is None or timed.recipe != recipe or elsewhere or record.resumed:
            return None
        if isinstance(run.recipe, Recipe) and run.recipe.train.epochs:
            length = record.epochs
        elif record.status == "diverged" or (isinstance(run.recipe, Recipe) and run.recipe.train.patience):
            return None
        return timed.of(length)


@dataclass(frozen=True)
class Spent:
    """What the finished runs of one `ablate run` were estimated to take, added up, and what they took, in seconds.

    `setup` is what passed before the first of them started, and `elapsed` what had when the last one ended.
    """

    time: TimeStamp
    setting: Setting
    runs: Count
    predicted: Seconds
    spent: Seconds
    setup: Seconds
    elapsed: Seconds

    @property
    def ratio(self) -> float:
        """How many times as long as estimated the runs took."""
        return self.spent / self.predicted


def timed_as(recipe: AnyRecipe) -> tuple[str, int]:
    """A digest of all of a recipe but its length, and its length, as `RunTime` has them."""
    own = recipe.canonical()
    if not isinstance(recipe, Recipe):
        return _digest({"task": recipe.key_fields(), "values": own}), 1
    unit = "epochs" if recipe.train.epochs else "steps"
    train = {key: value for key, value in own["train"].items() if key not in ("epochs", "steps")}
    return _digest({**own, "train": train, "unit": unit}), recipe.train.epochs or recipe.train.steps or 1


def _digest(value: object) -> str:
    return sha256(canonical_json(value).encode())[:16]


def estimate_file(store: Store, folder: str) -> Path:
    """Where the last estimate of the study in `folder` is kept."""
    return store.study_file(folder).with_name("estimate.json")


def write_estimate(store: Store, folder: str, estimate: Estimate) -> None:
    """Keep an estimate in the place of an earlier one. Raises StorageError."""
    _write(estimate_file(store, folder), estimate)


def read_estimate(store: Store, folder: str) -> Estimate | None:
    """The last estimate of a study; None where there is none. Raises UserError where it cannot be read."""
    path = estimate_file(store, folder)
    return typed(Estimate, read_json(path, _AGAIN), str(path), _AGAIN) if path.exists() else None


def new_spent_file(store: Store, folder: str) -> Path:
    """Where an `ablate run` of the study in `folder` that begins now keeps what its runs take."""
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    return store.study_file(folder).parent / "spent" / f"{now}-{os.getpid()}.json"


def write_spent(path: Path, spent: Spent) -> None:
    """Keep what runs took so far. Raises StorageError."""
    _write(path, spent)


def read_spent(store: Store) -> tuple[list[Spent], list[UserError]]:
    """What the runs of all studies of a results folder took, a command each, the earliest first; what cannot be read.

    Commands without a run that was estimated left nothing.
    """
    found: list[Spent] = []
    faults: list[UserError] = []
    for path in sorted((store.root / "studies").glob("*/spent/*.json"), key=lambda path: path.name):
        try:
            found.append(typed(Spent, read_json(path, _DELETE), str(path), _DELETE))
        except UserError as error:
            faults.append(error)
    return [spent for spent in found if spent.predicted > 0 and spent.spent > 0], faults


def _write(path: Path, value: Estimate | Spent) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, asdict(value))
