"""Whether two trainings are bitwise identical: weights, metrics and predictions, but not times."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from ablation._util.formatting import plural
from ablation.results.runs import TIMINGS
from ablation.storage.record import Environment, EpochRow, RunRecord

_PREDICTIONS = "predictions.npz"
_NOT_A_RESULT = (*TIMINGS, "reported")


@dataclass(frozen=True)
class Trained:
    """A finished run."""

    record: RunRecord
    epochs: Sequence[EpochRow]


def differing_bits(was: Trained, now: Trained) -> Iterator[str]:
    """In what the second of two trainings differs from the first; of the metrics only the first one that does."""
    if was.record.status != now.record.status:
        yield f"{now.record.status} instead of {was.record.status}"
    if was.record.weights_sha256 != now.record.weights_sha256:
        before, after = ((own.record.weights_sha256 or "none")[:12] for own in (was, now))
        yield f"weights: SHA-256 {after} instead of {before}"
    yield from _differing_rows(was.epochs, now.epochs)
    yield from _first("result", _metrics(was.record.metrics), _metrics(now.record.metrics))
    before_file, after_file = (own.record.files.get(_PREDICTIONS) for own in (was, now))
    if before_file and after_file and before_file.sha256 != after_file.sha256:
        yield "predictions: different SHA-256"


def differing_environment(was: Environment, now: Environment) -> Iterator[str]:
    """What of machine and versions is not as it was: such runs need not come to the same bits."""
    before, after = asdict(was), asdict(now)
    for name in before:
        if name != "streamed" and before[name] != after[name]:
            yield f"{name} is {after[name] or 'unknown'}, and was {before[name] or 'unknown'}"


def _differing_rows(was: Sequence[EpochRow], now: Sequence[EpochRow]) -> Iterator[str]:
    """The first value in which the rows differ, or how many there are."""
    for one, other in zip(was, now, strict=False):
        if found := next(_first(f"epoch {one.epoch}", _values(one), _values(other)), ""):
            yield found
            return
    if len(was) != len(now):
        yield f"{plural(len(now), 'epoch')} instead of {len(was):,}"


def _values(row: EpochRow) -> dict[str, object]:
    plain = row.to_json()
    metrics = plain.pop("metrics")
    return {**{name: own for name, own in plain.items() if name not in _NOT_A_RESULT}, **_metrics(metrics)}


def _metrics(values: Mapping[str, float | None]) -> dict[str, object]:
    """Metrics but for times, with None for what is not a number."""
    own = {name: value for name, value in values.items() if name not in _NOT_A_RESULT}
    return {name: None if value is None or not math.isfinite(value) else value for name, value in own.items()}


def _first(where: str, was: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    for name in dict.fromkeys((*was, *now)):
        if was.get(name) != now.get(name):
            yield f"{where}: {name} {now.get(name)} instead of {was.get(name)}"
            return
