"""What a study can detect, before it is trained: its smallest detectable effect, and how many seeds halve it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ablation import stats
from ablation._util.formatting import plural
from ablation.registry.metrics import known
from ablation.study.schema import Study

if TYPE_CHECKING:
    import pandas as pd

POWER = 0.8
EFFECTS = (1.0, 2.0, 3.0)
"""Residual SDs for which the expected number of runs is shown."""
MOST_TO_HALVE = 10_000
"""Seeds of a study from which on no practical number of seeds halves its smallest detectable effect."""


@dataclass(frozen=True)
class Precision:
    """What a design can detect with probability `POWER`.

    `smallest` is in residual SDs, the SD of the variant x seed error of single runs; infinite where the design makes no
    claim. `residual_sd` and `df` are those of the runs that are finished already, in the metric's unit; None before.
    """

    seeds: int
    variants: int
    alpha: float
    smallest: float
    seeds_to_halve: int | None
    residual_sd: float | None = None
    df: int = 0

    @property
    def smallest_in_units(self) -> float | None:
        """The smallest detectable effect in the metric's unit, as far as the residual SD is known."""
        return None if self.residual_sd is None else self.smallest * self.residual_sd


def precision(study: Study, so_far: pd.DataFrame | None = None) -> Precision:
    """The precision of a study's design, of a sequential one that of its last look alone.

    `so_far` are its finished runs, a row each, if there are any.
    """
    seeds, variants, alpha = len(study.seeds), len(study.variants) - 1, study.analysis.alpha
    if variants == 0:
        return Precision(seeds, 0, alpha, math.inf, None)
    if study.looks:  # the last look alone, which most of the error is left for
        alpha = sequential_design(study).shares[-1]
    smallest = stats.smallest_detectable_effect(seeds, variants, alpha, POWER)
    small = math.isfinite(smallest) and seeds <= MOST_TO_HALVE
    halving = stats.seeds_to_halve(seeds, variants, alpha, POWER) if small else None
    sd, df = _residual(study, so_far) if so_far is not None else (None, 0)
    return Precision(seeds, variants, alpha, smallest, halving, sd, df)


def _residual(study: Study, runs: pd.DataFrame) -> tuple[float | None, int]:
    """The residual SD of the runs that are finished, and its degrees of freedom."""
    metric = study.analysis.resolved()["metric"]
    if metric not in runs:
        return None, 0
    table = runs.pivot(index="variant", columns="seed", values=metric).astype(float)
    pool = stats.pooled_error(table.reindex([variant.name for variant in study.variants]).to_numpy())
    return (math.sqrt(pool.mse), pool.df) if pool.df and pool.mse > 0 else (None, 0)


def sentences(plan: Precision, metric: str) -> list[str]:
    """The precision of a design in words."""
    if plan.variants == 0:
        return []
    if plan.seeds == 1:
        return ["One seed allows no claim about the recipe: give at least 3 seeds."]
    if not math.isfinite(plan.smallest):
        size = f"{plan.seeds} seeds of {plural(plan.variants, 'variant')}"
        return [f"{size} allow no claim: give at least 3 seeds."]
    level = f"{100 * plan.alpha:.3g} % family-wise error, {plural(plan.variants, 'comparison')}"
    detected = (
        f"{plan.seeds:,} seeds detect a difference of {plan.smallest:.2g} residual SDs in 4 of 5 studies ({level})"
    )
    found = [f"{detected}; {plan.seeds_to_halve:,} seeds would halve that." if plan.seeds_to_halve else f"{detected}."]
    if plan.smallest_in_units is not None and plan.residual_sd is not None:
        sd, smallest = (_in_words(value, metric) for value in (plan.residual_sd, plan.smallest_in_units))
        found.append(
            f"The runs so far have a residual SD of {sd} ({plural(plan.df, 'degree')} of freedom): that is {smallest}."
        )
    else:
        found.append("The residual SD is shown here once two seeds of two variants are finished.")
    return found


def sequential_design(study: Study, residual_sd: float | None = None) -> stats.SequentialDesign:
    """The looks of a study and its rules.

    The margin is in the metric's unit; in residual SDs, which `residual_sd` is, where that is given.
    """
    own = study.analysis
    margin = own.margin / residual_sd if own.margin and residual_sd else own.margin
    return stats.SequentialDesign(study.looks, own.alpha, *own.stopping, margin)


def looks_in_words(study: Study, plan: Precision) -> list[str]:
    """The looks of a sequential study, and how many runs it is expected to need."""
    known = plan.residual_sd is not None or study.analysis.margin is None
    design = sequential_design(study, plan.residual_sd)
    design = design if known else replace(design, margin=None)
    levels = ", ".join(
        f"{seeds} ({100 * level:.2g} %)" for seeds, level in zip(design.looks, design.shares, strict=True)
    )
    looks = f"Looks at {levels} seeds, each with its part of the {100 * design.alpha:g} % family-wise error."
    most = len(study.variants) * len(study.seeds)
    none, *others = (stats.expected_runs(design, plan.variants, effect) for effect in (0.0, *EFFECTS))
    sizes = [f"{runs:.0f} of {size:g} SD{'s' * (size > 1)}" for runs, size in zip(others, EFFECTS, strict=True)]
    expected = f"{none:.0f} if no variant has an effect; if all have one, {', '.join(sizes)} (simulated)"
    unknown = "" if known else " Without the margin, which is in residual SDs once these are known."
    return [looks, f"Runs to expect, of {most:,} at most: {expected}.{unknown}"]


def _in_words(value: float, metric: str) -> str:
    number = f"{100 * value:.2g}"
    if not known(metric).share:
        return f"{value:.2g}"
    return f"{number} point" if number == "1" else f"{number} points"
