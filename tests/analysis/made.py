"""Parts of an analysis, made in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ablation.analysis.compare import Run
from ablation.analysis.measure import Measure
from ablation.analysis.types import Effect, SeedResult
from ablation.manifest import Arm, Manifest

ACCURACY = Measure("val_accuracy", True, 1, accuracy=True)
LOSS = Measure("val_loss", False, 3, accuracy=False)


def effect(variant: str, differences: Mapping[int, float | None] | None = None, **fields: Any) -> Effect:
    """A variant that differs by so much under each seed; None for a seed without a pair."""
    runs = tuple(SeedResult(s, "finished", 0.9, 0.9, d, 6, 6) for s, d in (differences or {}).items())
    unknown = ("mean", "sd", "difference", "parameters", "macs", "train_images", "train_seconds", "epoch_seconds")
    own: dict[str, Any] = dict.fromkeys((*unknown, "images_per_second", "peak_memory_mb"))
    counts = dict.fromkeys(("n", "diverged", "crashed", "unfinished", "pairs"), 0)
    return Effect(**own | counts | {"variant": variant, "kind": "vary", "change": "", "runs": runs} | fields)


def manifest(arms: Sequence[Arm], seeds: Sequence[int] = (0, 1, 2), **fields: Any) -> Manifest:
    own: dict[str, Any] = {"name": "made", "title": "", "question": "", "folders": {}, "source": "", "command": ""}
    analysis = {"metric": "val_accuracy", "direction": "higher", "margin": None, "alpha": 0.05}
    own |= {"overrides": (), "smoke": False, "analysis": analysis}
    return Manifest(**own | {"arms": tuple(arms), "seeds": tuple(seeds)} | fields)


def arm(name: str, kind: str = "vary", **changes: Any) -> Arm:
    """A variant; a change `model__dropout` is that of model.dropout."""
    return Arm(name, kind, {path.replace("__", "."): value for path, value in changes.items()}, {})


def values(rows: Mapping[str, Sequence[float] | np.ndarray]) -> dict[Run, float]:
    """(variant, seed) -> value, without the missing ones."""
    return {(name, seed): float(v) for name, row in rows.items() for seed, v in enumerate(row) if np.isfinite(v)}
