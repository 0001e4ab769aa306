"""Accuracy held against its ceiling: variants with so few errors that there is nothing left to gain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ablation._util.language import tr
from ablation.analysis.types import Effect, StudyWarning
from ablation.analysis.warnings.catalogue import warn
from ablation.registry.metrics import METRICS, SELECTION
from ablation.results.runs import Results

_FEW_ERRORS = 5
_NEAR_CEILING = (METRICS[SELECTION].ceiling or 1.0) - 0.005


def ceilings(results: Results, effects: Sequence[Effect]) -> Iterator[StudyWarning]:
    """Variants whose validation accuracy leaves nothing to gain."""
    images = results.runs.groupby("variant")["val_images"].max()
    for own in effects:
        seen = [run.accuracy for run in own.runs if run.accuracy is not None]
        if not seen:
            continue
        accuracy = sum(seen) / len(seen)
        number = float(images.get(own.variant, np.nan))
        if not number > 0:
            continue  # the number of errors is unknown
        errors = (1 - accuracy) * number
        if accuracy >= _NEAR_CEILING or errors < _FEW_ERRORS:
            message = tr(
                "{variant} reaches {accuracy:.1f} % validation accuracy: {errors:.1f} errors a run on average",
                variant=own.variant,
                accuracy=100 * accuracy,
                errors=errors,
            )
            yield warn("at_ceiling", own.variant, message)
