"""What the networks that validation chose reach on the test set: description only, no verdicts."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

import numpy as np

from ablation.analysis.measure import successful
from ablation.analysis.types import HeldOut, TestSet
from ablation.results.runs import Results

_COLUMN = "test_accuracy"


def test_set(results: Results) -> TestSet | None:
    """The test accuracy of every variant over its successful runs; None before the test set was evaluated."""
    if not results.test_evaluations:
        return None
    known = results.runs.loc[results.runs[_COLUMN].notna(), ["variant", "seed", _COLUMN]].itertuples(index=False)
    values = {(str(variant), int(seed)): float(value) for variant, seed, value in known}
    values = {run: values[run] for run in successful(results) if run in values}
    own: dict[str, dict[int, float]] = {variant.name: {} for variant in results.manifest.variants}
    for (variant, seed), value in values.items():
        own[variant][seed] = value
    base = results.manifest.baseline.name
    rows = tuple(_row(variant, found, {} if variant == base else own[base]) for variant, found in own.items())
    times = tuple(sorted(str(evaluation["time"]) for evaluation in results.test_evaluations))
    return TestSet(int(results.test_evaluations[-1]["images"]), times, rows)


def _row(variant: str, found: Mapping[int, float], reference: Mapping[int, float]) -> HeldOut:
    values = list(found.values())
    differences = [value - reference[seed] for seed, value in found.items() if seed in reference]
    return HeldOut(
        variant=variant,
        n=len(values),
        mean=statistics.fmean(values) if values else None,
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        difference=statistics.fmean(differences) if differences else None,
        pairs=len(differences),
    )
