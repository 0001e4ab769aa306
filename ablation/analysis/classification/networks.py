"""Two trained networks on the same images: which of them each gets right, and McNemar's test of the difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import ablation.stats as stats
from ablation.analysis.types import Effect

Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]
Run = tuple[str, int]


@dataclass(frozen=True)
class Predicted:
    """What a run predicted of its validation images: which ones they are, their labels, and the predicted classes."""

    index: Array
    label: Array
    predicted: Array

    def same_images(self, other: Predicted) -> bool:
        return np.array_equal(self.index, other.index) and np.array_equal(self.label, other.label)

    @property
    def correct(self) -> Array:
        return np.asarray(self.predicted == self.label)


def with_networks(effects: Sequence[Effect], predictions: Mapping[Run, Predicted]) -> tuple[Effect, ...]:
    """The effects of a study of one seed with McNemar's p, adjusted by Holm, where both predictions are there."""
    p = []
    for own in effects:
        seeds = sorted(own.differences)
        first = predictions.get((effects[0].variant, seeds[0])) if seeds else None
        second = predictions.get((own.variant, seeds[0])) if seeds else None
        known = first is not None and second is not None and first.same_images(second)
        p.append(stats.mcnemar(first.correct, second.correct).p if known and first and second else math.nan)
    adjusted = stats.holm(p).tolist()
    return tuple(
        replace(own, networks_p=q if math.isfinite(q) else None) for own, q in zip(effects, adjusted, strict=True)
    )
