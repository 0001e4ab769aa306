"""The warnings of a study, in the order of the report: what threatens every claim first, then variant by variant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import ablation.analysis.warnings.conduct as conduct
import ablation.analysis.warnings.fairness as fairness
import ablation.analysis.warnings.runs as runs
from ablation._util.language import tr
from ablation.analysis.classification.ceiling import ceilings
from ablation.analysis.classification.networks import Predicted, Run
from ablation.analysis.compare import Table
from ablation.analysis.measure import Measure
from ablation.analysis.types import Effect, StudyWarning
from ablation.analysis.warnings.catalogue import CATALOGUE, ELSEWHERE, OTHER_CODE, Entry, entry
from ablation.results.runs import Results
from ablation.stats import Comparison

__all__ = ["CATALOGUE", "Entry", "entry", "find_warnings"]


def find_warnings(
    results: Results,
    effects: Sequence[Effect],
    measure: Measure,
    y: Table,
    found: Comparison | None,
    predictions: Mapping[Run, Predicted],
) -> tuple[StudyWarning, ...]:
    """Everything that the results and the manifest show to be amiss, by kind in the order of the catalogue."""
    every = [*_study(results, effects, measure, y, found), *_variants(results, effects, predictions)]
    manifest = results.manifest
    hints = {} if manifest.of_images else OTHER_CODE if manifest.task else ELSEWHERE
    every = [replace(own, hint=tr(hints[own.code])) if own.code in hints else own for own in every]
    order = {code: place for place, code in enumerate(CATALOGUE)}
    return tuple(sorted(every, key=lambda own: order.get(own.code, len(order))))


def _study(
    results: Results, effects: Sequence[Effect], measure: Measure, y: Table, found: Comparison | None
) -> Iterator[StudyWarning]:
    yield from conduct.seeds(results.manifest)
    yield from conduct.added_seeds(results.manifest)
    yield from conduct.dropped(results.manifest)
    yield from conduct.environments(results)
    yield from conduct.data(results)
    yield from conduct.test_set(results)
    yield from conduct.stored_files(results)
    yield from conduct.audit(results)
    yield from conduct.self_checks(results)
    yield from conduct.metric_sources(results)
    yield from conduct.imported(results)
    if found is not None:
        yield from fairness.spread(effects, y, found, measure)


def _variants(
    results: Results, effects: Sequence[Effect], predictions: Mapping[Run, Predicted]
) -> Iterator[StudyWarning]:
    yield from runs.states(effects, bool(results.manifest.baseline.recipe))
    yield from ceilings(results, effects)
    yield from runs.undertrained(results, effects)
    yield from runs.without_effect(results, effects, predictions)
    yield from fairness.unequal(effects)
    yield from fairness.undeclared(results.manifest)
    yield from conduct.exploratory(effects)
    yield from conduct.control(effects)
