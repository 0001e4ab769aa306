"""Records of schema version 1, read as those of today: there a run had no metrics, and an epoch had fixed ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ablation.registry.metrics import OF_EPOCHS
from ablation.storage.record import EpochRow


def epoch(line: bytes) -> bytes:
    """A line of epochs.jsonl with its metrics in a mapping; any other line stays as it is."""
    if b'"metrics"' in line:
        return line
    with suppress(ValueError, RecursionError):
        values = json.loads(line)
        if isinstance(values, dict):
            values["metrics"] = {name: values.pop(name) for name in OF_EPOCHS if name in values}
            return json.dumps(values).encode()
    return line


def record(values: Mapping[str, Any], epoch: Callable[[int], EpochRow]) -> Mapping[str, Any]:
    """The content of a run.json with the metrics of its selected epoch, which `epoch` reads by its number."""
    selected = values.get("selected_epoch")
    if values["schema_version"] > 1:
        return values
    known = epoch(selected).to_json()["metrics"] if isinstance(selected, int) and selected > 0 else {}
    return {**values, "metrics": known, "schema_version": 2}
