"""The looks of a sequential study: what its runs so far decide, and its results without the runs that no look needs."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

import ablation.analysis.compare as compare
import ablation.stats as stats
from ablation.analysis.classification.chance import at_chance
from ablation.analysis.compare import Run
from ablation.analysis.look_types import Sequential, VariantLooks
from ablation.analysis.measure import measured, primary_measure, same_weights
from ablation.analysis.types import Design, Effect
from ablation.results.runs import Results
from ablation.stats import Decision, Reason, SeedTable, SequentialDesign, SequentialResult
from ablation.storage.manifest import Manifest


@dataclass(frozen=True)
class Followed:
    """A sequential study as far as it is: what its runs decide, and `results` without those that no look needs.

    `needed` has the (variant, seed) of every run that the complete looks and the next one need.
    """

    results: Results
    found: SequentialResult
    needed: frozenset[Run]

    @property
    def family(self) -> int:
        """The number of variants of the study."""
        return len(self.found.required) - 1

    def judged(self, values: Mapping[Run, float]) -> dict[Run, float]:
        """The values on which the decisions rest: those of the complete looks; all before the first is complete."""
        looks, manifest = self.found.looks, self.results.manifest
        if not looks:
            return {run: value for run, value in values.items() if run in self.needed}
        last = [looks[-1].seeds, *(_seeds_at(self.found.last_look(i)) for i in range(self.family))]
        seeds = {own.name: manifest.seeds[:n] for own, n in zip(manifest.variants, last, strict=True)}
        return {run: value for run, value in values.items() if run[1] in seeds[run[0]]}


def design_of(manifest: Manifest) -> SequentialDesign | None:
    """The looks of a study and its rules; None where the number of seeds is fixed."""
    own, settings = manifest.sequential, manifest.analysis
    if own is None:
        return None
    return SequentialDesign(own.looks, float(settings["alpha"]), own.spending, own.futility, settings["margin"])


def follow(results: Results) -> Followed | None:
    """Judge a sequential study at every look that its results complete; None for a study of a fixed number of seeds.

    The same results give the same decisions, also those that were made on them before with fewer runs.
    """
    design = design_of(results.manifest)
    if design is None:
        return None
    found = stats.replay(_table(results, design), design)
    needed = _needed(results.manifest, found)
    return Followed(_restricted(results, found, needed), found, needed)


def required(results: Results) -> Results:
    """The results without the runs that no look of a sequential study needs, and without the seeds of later looks."""
    followed = follow(results)
    return followed.results if followed else results


def _table(results: Results, design: SequentialDesign) -> SeedTable:
    """What is known of every run of the study."""
    manifest, values = results.manifest, measured(results, primary_measure(results))
    rows = {variant.name: row for row, variant in enumerate(manifest.variants)}
    columns = {seed: column for column, seed in enumerate(manifest.seeds)}
    y = np.full((len(rows), design.looks[-1]), math.nan)
    ended, failed, identical = (np.zeros(y.shape, dtype=np.bool_) for _ in range(3))
    lost = at_chance(results)
    for variant, seed, status in results.runs[["variant", "seed", "status"]].itertuples(index=False):
        run = (str(variant), int(seed))
        place = rows[run[0]], columns[run[1]]
        y[place] = values.get(run, math.nan)
        failed[place] = status == "diverged" or run in lost
        ended[place] = run in values or failed[place] or _given_up(results, run, status)
        identical[place] = run in values and same_weights(results, run[0], (run[1],))
    controls = tuple(variant.kind == "control" for variant in manifest.variants[1:])
    return SeedTable(y, ended, failed, identical & ~np.array([[True], *([own] for own in controls)]), controls)


def _given_up(results: Results, run: Run, status: str) -> bool:
    """Whether a run without a value is not waited for: it crashed too often, or its code reports none."""
    if status == "finished":  # a metric of an image classifier is still to be computed
        return bool(results.manifest.task)
    return status == "crashed" and results.failures[run].given_up


def _needed(manifest: Manifest, found: SequentialResult) -> frozenset[Run]:
    names = [variant.name for variant in manifest.variants]
    places = np.argwhere(found.required[:, : len(manifest.seeds)]).tolist()
    return frozenset((names[row], manifest.seeds[column]) for row, column in places)


def _restricted(results: Results, found: SequentialResult, needed: frozenset[Run]) -> Results:
    seeds = results.manifest.seeds[: int(found.required.any(axis=0).sum())]
    return replace(
        results,
        manifest=replace(results.manifest, seeds=seeds),
        runs=_only(results.runs, needed),
        epochs=_only(results.epochs, needed),
        records={run: record for run, record in results.records.items() if run in needed},
        failures={run: failure for run, failure in results.failures.items() if run in needed},
    )


def _only(table: pd.DataFrame, runs: Collection[Run]) -> pd.DataFrame:
    kept = [run in runs for run in table[["variant", "seed"]].itertuples(index=False, name=None)]
    return table[np.array(kept, dtype=np.bool_)].reset_index(drop=True)


def _seeds_at(look: stats.Look | None) -> int:
    return look.seeds if look else 0


def with_claims(effects: Sequence[Effect], followed: Followed, farthest: float) -> tuple[Effect, ...]:
    """The effects, the baseline first, each with its interval and p-value at its last look, adjusted for all looks."""
    claimed = []
    for i, own in enumerate(effects[1:]):
        tested = followed.found.effect(i)
        if tested is None and not own.identical:
            own = replace(own, reason=str(Reason.NO_LOOK))
        elif tested is not None and not own.identical:
            own = compare.claim(own, tested, followed.found.design.alpha, farthest)
        claimed.append(own)
    return (effects[0], *claimed)


def design(followed: Followed, networks: bool) -> Design:
    """How the family was compared at the last complete look, and what the last look of the study can detect."""
    found = followed.found
    plan, last = found.design, found.looks[-1].comparison if found.looks else None
    made = compare.design(last, plan.looks[-1], followed.family, networks)
    detectable = stats.smallest_detectable_effect(plan.looks[-1], followed.family, plan.shares[-1], compare.POWER)
    return replace(
        made,
        detectable_sds=detectable,
        detectable=detectable * made.residual_sd if made.residual_sd else None,
    )


def describe_looks(followed: Followed) -> Sequential:
    """The looks of the study, and how far each variant came."""
    found, manifest = followed.found, followed.results.manifest
    plan = found.design
    return Sequential(
        looks=plan.looks,
        levels=plan.shares,
        spending=plan.spending,
        futility=plan.futility,
        done=len(found.looks),
        next_look=found.next_look,
        variants={variant.name: _variant(found, i, followed.family) for i, variant in enumerate(manifest.variants[1:])},
    )


def _variant(found: SequentialResult, i: int, family: int) -> VariantLooks:
    look, decision, own = found.last_look(i), found.decision(i), found.effect(i)
    ends = own is not None and own.estimable and i not in found.go_on and decision is not Decision.UNSTABLE
    return VariantLooks(
        look=look.number if look else 0,
        seeds=_seeds_at(look),
        decision=None if decision is None else str(decision),
        goes_on=i in found.go_on,
        adjusted=stats.bias_adjusted(own, found.design, family) if ends and own else None,
        path=found.path(i),
    )
