"""What is stored of a run: raw values only, each file with a schema version. Statistics are never stored here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from ablation.data_summary import DataSummary
from ablation.errors import UnreadableError

SCHEMA_VERSION = 1
TRAINING_VERSION = 3
"""Raised whenever the same configuration and seed would train to other weights; it is part of each run's hash."""


_TUPLES = ("image", "classes", "train_per_class", "val_per_class")


@dataclass(frozen=True)
class EpochRow:
    """One line of epochs.jsonl: the state of a run after an epoch, or after `eval_every` steps of a budget in steps.

    Losses are mean cross-entropies in nats (NaN once diverged), accuracies fractions of 1, times seconds, memory MiB.
    Training loss and accuracy are those of the training batches as they were met, augmented and with dropout.
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float
    eval_seconds: float
    images_per_second: float
    peak_memory_mb: float
    stage: int = 1
    """The stage of the training, from 1."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; JSON has no NaN or infinity, so these become null."""
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises KeyError for a missing field; an old row without a stage has one."""
        row = {"stage": 1, **row}
        values: list[Any] = [math.nan if row[name] is None else row[name] for name in cls.__dataclass_fields__]
        return cls(*values)


@dataclass(frozen=True)
class Environment:
    """Where a run was trained."""

    ablation: str
    python: str
    torch: str
    platform: str
    processor: str
    device: str
    threads: int


@dataclass(frozen=True)
class RunRecord:
    """run.json: one finished run. `diverged` is a result: the loss became NaN or infinite in its last epoch."""

    status: Literal["finished", "diverged"]
    key: str
    recipe: Mapping[str, Mapping[str, Any]]
    seed: int
    data_fingerprint: str
    image: tuple[int, int, int]
    classes: tuple[str, ...]
    train_images: int
    val_images: int
    parameters: int
    macs: int
    epochs: int
    selected_epoch: int | None
    best_epoch: int | None
    weights_sha256: str | None
    started: str
    finished: str
    train_seconds: float
    resumed: int
    environment: Environment
    checks: Mapping[str, str] = field(default_factory=dict)
    """What the run noticed about itself (`train.checks`): code -> what was seen."""
    trainable_parameters: int | None = None
    """Those that are not frozen in every stage; None in a record from before there was any freezing."""
    host: str = ""
    """The machine's name; empty where unknown, as in records of earlier versions."""
    data_summary: DataSummary | None = None
    """What was read of an image folder; None for other data, and in a record from before it was kept."""
    train_per_class: tuple[int, ...] = ()
    val_per_class: tuple[int, ...] = ()
    """Images of each class, in the order of `classes`; empty in a record from before they were kept."""
    schema_version: int = SCHEMA_VERSION
    training_version: int = TRAINING_VERSION

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises UnreadableError for a record of another shape."""
        try:
            values = {"trainable_parameters": None, "host": "", "data_summary": None, **values}
            values = {"train_per_class": (), "val_per_class": (), **values}
            own = {f.name: values[f.name] for f in fields(cls)}
            own["environment"] = Environment(**values["environment"])
            own["data_summary"] = DataSummary.from_json(values["data_summary"]) if values["data_summary"] else None
            return cls(**own | {name: tuple(values[name]) for name in _TUPLES})
        except (KeyError, TypeError, ValueError) as error:
            what = f"the run.json of {values.get('key')!r} is of another shape ({error})"
            raise UnreadableError(what, "`ablate run` sets it aside and trains the run again") from None
