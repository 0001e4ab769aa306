"""What is stored of a run: raw values only, each file with a schema version. Statistics are never stored here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, WrapValidator

from ablation.data.summary import DataSummary
from ablation.errors import UnreadableError
from ablation.registry.metrics import METRICS
from ablation.storage.sealed import RETRAIN, FileStamp, typed
from ablation.versions import SCHEMA_VERSION, TRAINING_VERSION


def _null_is_nan(value: Any, number: Callable[[Any], float]) -> float:
    return math.nan if value is None else number(value)


def impossible(metrics: Mapping[str, float]) -> str:
    """Which metric of an image classifier has a value that it cannot have; empty where all can."""
    for name, value in metrics.items():
        known = METRICS.get(name)
        if known and not known.possible(value):
            return f"metrics: {name} cannot be {value}"
    return ""


def has_diverged(metrics: Mapping[str, float], primary: str) -> bool:
    """Whether a run of a function or a command has diverged: it reported the primary metric, and no finite value."""
    value = metrics.get(primary)
    return value is not None and not math.isfinite(value)


def _with_nulls(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def _time_stamp(text: str) -> str:
    try:
        known = datetime.fromisoformat(text).utcoffset() is not None and datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        known = False
    if not known:
        raise ValueError("input should be a time in ISO 8601 with its offset from UTC")
    return text


Count = Annotated[int, Field(ge=0, le=10**15)]
Number = Annotated[int, Field(ge=1, le=10**15)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
Measured = Annotated[float, WrapValidator(_null_is_nan)]
"""Null stands for what JSON cannot hold: not a number, or infinite. It is read as NaN."""
Loss = Annotated[float, Field(ge=0), WrapValidator(_null_is_nan)]
Metrics = Mapping[str, Measured]
"""Name -> value; null stands for NaN."""
TimeStamp = Annotated[str, AfterValidator(_time_stamp)]
"""ISO 8601 with an offset from UTC."""


@dataclass(frozen=True)
class EpochRow:
    """One line of epochs.jsonl: the state of a run after an epoch, or after `eval_every` steps of a budget in steps.

    `metrics` are by name (`registry.metrics`): shares as fractions of 1, a loss NaN once it diverged; those of the
    training data are running averages over the training batches, with augmentation and dropout on. Times are seconds,
    memory MiB.
    """

    epoch: Number
    step: Count
    lr: Measured
    metrics: Metrics
    seconds: Seconds
    eval_seconds: Seconds
    images_per_second: Measured
    peak_memory_mb: Measured
    stage: Number = 1
    """The stage of the training, from 1."""
    skipped_steps: Count = 0
    """Steps that changed no weight, since the scaled gradients of fp16 were not finite."""
    reported: bool = False
    """Whether a function or a command reported the metrics: whatever their names, they have any value."""

    def to_json(self) -> dict[str, Any]:
        """Plain values; JSON has no NaN or infinity, so these become null."""
        plain = {**_with_nulls(asdict(self)), "metrics": _with_nulls(self.metrics)}
        if not self.reported:
            del plain["reported"]
        return plain


@dataclass(frozen=True)
class Environment:
    """Where a run was trained; `torch` is empty where the run did not use it."""

    ablation: str
    python: str
    torch: str
    platform: str
    processor: str
    device: str
    threads: Number
    cudnn: str = ""
    driver: str = ""
    capability: str = ""
    """cuDNN, NVIDIA's driver and compute capability; empty on a CPU, and in a record from before they were kept."""
    streamed: bool = False
    """Whether the images stayed on the host and were copied to the device block by block."""


@dataclass(frozen=True)
class RunRecord:
    """run.json: one finished run. `diverged` is a result: the loss became NaN or infinite in its last epoch.

    What only an image classifier has is None or empty in the run of a function or a command; there `metrics` are as the
    code reported them.
    """

    status: Literal["finished", "diverged"]
    key: str
    recipe: Mapping[str, Any]
    seed: Annotated[int, Field(ge=0)]
    data_fingerprint: str
    image: tuple[Number, Number, Number] | None
    classes: tuple[str, ...]
    train_images: Number | None
    val_images: Number | None
    parameters: Count | None
    macs: Count | None
    epochs: Count
    selected_epoch: Number | None
    best_epoch: Number | None
    metrics: Metrics
    """Those of the selected epoch; none of an image classifier that diverged."""
    weights_sha256: str | None
    started: TimeStamp
    finished: TimeStamp
    train_seconds: Seconds
    resumed: Count
    environment: Environment
    checks: Mapping[str, str] = field(default_factory=dict)
    """What the run noticed about itself (`train.checks`): code -> what was seen."""
    trainable_parameters: Count | None = None
    """Those that are not frozen in every stage; None in a record from before there was any freezing."""
    host: str = ""
    """The machine's name; empty where unknown, as in records of earlier versions."""
    data_summary: DataSummary | None = None
    """What was read of an image folder; None for other data, and in a record from before it was kept."""
    train_per_class: tuple[int, ...] = ()
    val_per_class: tuple[int, ...] = ()
    """Images of each class, in the order of `classes`; empty in a record from before they were kept."""
    task: Mapping[str, Any] = field(default_factory=dict)
    """What trained it (`Task.key_fields`); empty for the built-in image classifier."""
    files: Mapping[str, FileStamp] = field(default_factory=dict)
    """Name -> what each file of the folder was when the run ended; empty in a record from before they were kept."""
    streams: Mapping[str, int] = field(default_factory=dict)
    """The random streams that had another seed than the run (`plan.with_streams`)."""
    drawn: tuple[str, ...] | None = None
    """The random streams that a function drew from (`tasks.function`); None where that was not recorded."""
    schema_version: int = SCHEMA_VERSION
    training_version: int = TRAINING_VERSION

    def to_json(self) -> dict[str, Any]:
        plain = {**asdict(self), "metrics": _with_nulls(self.metrics)}
        if not self.streams:
            del plain["streams"]
        if self.drawn is None:
            del plain["drawn"]
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any], what: str = "run.json") -> Self:
        """The inverse of `to_json`. Raises UnreadableError for wrong types, and for values outside of their range."""
        record = typed(cls, values, what)
        if not record.task and (fault := impossible(record.metrics)):
            raise UnreadableError(f"{what} cannot be read: {fault}", RETRAIN)
        for name in ("image", "classes", "epochs") if not record.task else ():
            if not getattr(record, name):
                raise UnreadableError(f"{what} cannot be read: {name}: it has none", RETRAIN)
        return record
