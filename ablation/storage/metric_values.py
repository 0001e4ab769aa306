"""metrics.json: metrics of a finished run that were computed from its stored predictions, after it was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from ablation.storage.record import RunRecord
from ablation.storage.sealed import stamp, typed
from ablation.storage.store import RunFolder, read_json, write_record

_AGAIN = "`ablate run` computes it again"


@dataclass(frozen=True)
class MetricValue:
    """The value of a metric; a custom one has the identity of its `code`, and says what its function declares."""

    value: float
    direction: Literal["higher", "lower"]
    unit: Literal["share", "raw"]
    code: str = ""


@dataclass(frozen=True)
class _Values:
    """The content of the file; `predictions` is the SHA-256 of those that the values are of."""

    predictions: str
    values: Mapping[str, MetricValue]


def read_values(folder: RunFolder, record: RunRecord) -> Mapping[str, MetricValue]:
    """Name -> value; none where they are of other predictions. Raises UnreadableError where the file is damaged."""
    path = folder.path / "metrics.json"
    if not path.exists():
        return {}
    found = typed(_Values, read_json(path, _AGAIN), str(path), _AGAIN)
    return found.values if found.predictions == _predictions(folder, record) else {}


def write_values(folder: RunFolder, record: RunRecord, values: Mapping[str, MetricValue]) -> None:
    """Replace the values of a run. Raises StorageError."""
    write_record(folder.path / "metrics.json", asdict(_Values(_predictions(folder, record), values)))


def _predictions(folder: RunFolder, record: RunRecord) -> str:
    known = record.files.get(folder.predictions.name)
    return known.sha256 if known else stamp(folder.predictions).sha256
