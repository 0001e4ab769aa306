"""What the components of a factorial design do, alone and together: effects and Shapley values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

import ablation.stats as stats
from ablation._util.language import shortened, tr
from ablation.analysis.compare import Run, Table, table
from ablation.analysis.measure import Measure
from ablation.analysis.types import Effect, Factorial, FactorialEffect, ShapleyValue
from ablation.stats import Comparison, Contrast, Reason
from ablation.stats.blocked import MIN_DF_TWO_SEEDS
from ablation.storage.manifest import Manifest

_LEAST = 2
"""Components from which on there is something to say beyond the comparison of variants."""


def factorial(
    manifest: Manifest,
    effects: Mapping[str, Effect],
    values: Mapping[Run, float],
    found: Comparison | None,
    measure: Measure,
) -> Factorial | None:
    """The factorial of a study; None unless its design is one of two components or more.

    Only seeds that have every combination count, and a combination that is unstable leaves nothing to be tested: no
    value is imputed.
    """
    components = tuple(manifest.components)
    if "factorial" not in manifest.design or len(components) < _LEAST:
        return None
    designed = [own for own in manifest.variants if own.components]
    named = {frozenset(name for name, on in own.components.items() if on): own.name for own in designed}
    sets = [frozenset(name for j, name in enumerate(components) if row >> j & 1) for row in range(2 ** len(components))]
    cells = tuple((named[on], tuple(name for name in components if name in on)) for on in sets if on in named)
    known = Factorial(components, cells)
    if len(cells) < len(sets):
        lacking = tr(
            "only {number} of the {combinations} combinations are possible, since components need one another",
            number=len(cells),
            combinations=len(sets),
        )
        return replace(known, reason=lacking)
    y = table([name for name, _ in cells], manifest.seeds, values)
    complete = np.isfinite(y).all(axis=0)
    known = replace(known, seeds=tuple(np.array(manifest.seeds)[complete].tolist()))
    reason = _reason(known, effects, found)
    return replace(known, reason=reason) if reason or not found else _tested(known, y[:, complete], found, measure)


def _reason(known: Factorial, effects: Mapping[str, Effect], found: Comparison | None) -> str:
    """Why nothing can be tested; empty where it can."""
    unstable = [name for name, _ in known.cells if _unstable(effects[name], found)]
    if unstable:
        return tr("unstable: {variants}", variants=shortened(unstable))
    if found is None or len(known.seeds) < 2:
        return tr("fewer than two seeds have a result for every combination")
    if not found.pool.df or (len(known.seeds) == 2 and found.pool.df < MIN_DF_TWO_SEEDS):
        return tr(Reason.FEW_DF)
    return ""


def _unstable(own: Effect, found: Comparison | None) -> bool:
    """Whether runs of a combination failed, or its spread over seeds is an outlier; the baseline has no verdict."""
    if own.kind == "baseline":
        return own.failed > 0 or (found is not None and found.baseline_screened)
    return own.verdict == "unstable"


def _tested(known: Factorial, y: Table, found: Comparison, measure: Measure) -> Factorial:
    """The factorial with its effects and Shapley values; `y` has a column for each complete seed."""
    pool, alpha, farthest = found.pool, found.alpha, measure.farthest
    contrasts = stats.factorial_effects(y, pool.mse, pool.df, alpha)
    if any(math.isnan(own.p) for own in contrasts):
        return replace(known, reason=tr(Reason.NO_VARIATION))
    shapley = stats.shapley_values(y, pool.mse, pool.df, alpha)
    numbers = range(len(known.components))
    sets = [members for size in numbers for members in combinations(numbers, size + 1)]
    shares: Sequence[stats.Interval | None] = shapley.shares or [None] * len(numbers)
    values = zip(known.components, shapley.values, shares, strict=True)
    return replace(
        known,
        effects=tuple(_effect(known.components, members, contrasts, alpha, farthest) for members in sets),
        values=tuple(ShapleyValue(name, *_ends(own, farthest), _triple(share)) for name, own, share in values),
        total=_ends(shapley.total, farthest),
    )


def _effect(
    components: Sequence[str], members: Sequence[int], contrasts: Sequence[Contrast], alpha: float, farthest: float
) -> FactorialEffect:
    own = contrasts[sum(1 << j for j in members) - 1]
    ends = _ends(own, farthest * 2 ** (len(members) - 1))
    return FactorialEffect(tuple(components[j] for j in members), *ends, own.p, own.p <= alpha)


def _ends(own: Contrast, farthest: float) -> tuple[float, float, float]:
    """A contrast with its interval, which is cut at the largest value that the contrast can have."""
    return own.estimate, max(own.low, -farthest), min(own.high, farthest)


def _triple(own: stats.Interval | None) -> tuple[float, float, float] | None:
    return (own.value, own.low, own.high) if own else None
