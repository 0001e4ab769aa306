"""The comparison of every variant with the baseline: what `stats` says of each, put beside what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import ablation.stats as stats
from ablation.analysis.types import Design, Effect
from ablation.stats import Comparison

Table = np.ndarray[tuple[Any, ...], np.dtype[np.float64]]
Run = tuple[str, int]
POWER = 0.8


def table(variants: Sequence[str], seeds: Sequence[int], values: Mapping[Run, float]) -> Table:
    """The metric, shape (variants, seeds); NaN where a run has no value."""
    rows = [[values.get((variant, seed), math.nan) for seed in seeds] for variant in variants]
    return np.array(rows, dtype=np.float64).reshape(len(variants), len(seeds))


def compare(y: Table, alpha: float, looks: int = 1) -> Comparison | None:
    """`stats.compare`, or None for a study without variants; at one of several looks `stats.at_some_look`."""
    if len(y) < 2:
        return None
    return stats.compare(y, alpha) if looks == 1 else stats.at_some_look(y, alpha, looks)


def design(found: Comparison | None, seeds: int, comparisons: int, networks: bool) -> Design:
    """How the comparison was made, and the smallest effects that it can detect."""
    if found is None:
        return Design(seeds, comparisons, 0, 0, 0, None, None, None, None, False, networks)
    pool, k = found.pool, found.k
    residual = _known(math.sqrt(pool.mse))  # NaN without degrees of freedom
    planned = stats.smallest_detectable_effect(seeds, comparisons, found.alpha, POWER)
    reached = stats.smallest_detectable_effect(pool.n, k, found.alpha, POWER) if k else math.inf
    return Design(
        seeds=seeds,
        comparisons=comparisons,
        n=pool.n,
        k=k,
        df=pool.df,
        critical_value=_known(found.critical_value),
        residual_sd=residual,
        detectable_sds=_known(planned),
        detectable=_known(reached * residual) if residual else None,
        baseline_screened=found.baseline_screened,
        networks=networks,
    )


def with_claims(effects: Sequence[Effect], found: Comparison | None, farthest: float) -> tuple[Effect, ...]:
    """The effects, the baseline first, with intervals and p-values; those identical to the baseline are not tested.

    No interval leaves [-farthest, farthest], the range of a difference of the metric.
    """
    if found is None:
        return tuple(effects)
    tested = iter(found.effects)
    claimed = [own if own.identical else claim(own, next(tested), found.alpha, farthest) for own in effects[1:]]
    return (effects[0], *claimed)


def claim(own: Effect, tested: stats.Effect, alpha: float, farthest: float) -> Effect:
    """An effect with what was tested of it."""
    flips = _known(tested.sign_flip_p)
    low, high = max(tested.low, -farthest), min(tested.high, farthest)  # NaN stays: it is the first argument
    return replace(
        own,
        difference=_known(tested.difference),
        pairs=tested.pairs,
        low=_known(low),
        high=_known(high),
        clipped=tested.low < low or tested.high > high,
        p=_known(tested.p),
        method=str(tested.method) if tested.estimable else None,
        reason=str(tested.reason) if tested.reason else None,
        paired_p=_known(tested.paired_p),
        sign_flip_p=flips,
        flips_agree=None if flips is None else (flips <= alpha) == tested.detected(alpha),
        screened=tested.screened,
        incomplete=tested.incomplete,
    )


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
