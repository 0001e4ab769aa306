"""Warnings about single variants: missing, diverged and idle runs, chance, too short a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

import ablation._util.counted as counted
from ablation._util.language import clauses, commas, tr, tr_noop
from ablation.analysis.classification.networks import Predicted, Run
from ablation.analysis.measure import same_weights
from ablation.analysis.types import Effect, SeedResult, StudyWarning
from ablation.analysis.warnings.catalogue import warn
from ablation.registry import metric_names
from ablation.results.runs import Results

_STILL_FALLING = 0.01
_MOST_NAMED = 6


def states(effects: Sequence[Effect], trained_here: bool) -> Iterator[StudyWarning]:
    """Missing, diverged and idle runs."""
    for own in effects:
        name, planned = own.variant, len(own.runs)
        lacking = [run for run in own.runs if run.status in ("missing", "interrupted", "crashed", "damaged")]
        if lacking:
            code = "baseline_missing_runs" if own is effects[0] else "missing_runs"
            yield warn(code, name, _lacking(name, planned, lacking, trained_here))
        if own.diverged:
            seeds = commas([str(run.seed) for run in own.runs if run.status == "diverged"])
            values = {"variant": name, "n": own.diverged, "runs": own.ended, "seeds": seeds}
            yield warn("diverged", name, tr("{variant}: {n}/{runs} diverged (seed {seeds})", **values))
        if own.at_chance:
            seeds = commas([str(run.seed) for run in own.runs if run.chance])
            values = {"variant": name, "n": own.at_chance, "runs": own.ended, "seeds": seeds}
            message = tr("{variant}: {n}/{runs} at chance (seed {seeds}): no better than guessing", **values)
            yield warn("at_chance", name, message)


def _lacking(variant: str, planned: int, lacking: Sequence[SeedResult], trained_here: bool) -> str:
    """Which seeds a variant lacks, and why."""
    runs = clauses([_why(run, trained_here) for run in lacking[:_MOST_NAMED]])
    more = len(lacking) - _MOST_NAMED
    return tr(
        "{variant} lacks {n} of {seeds}: {runs}",
        variant=variant,
        n=len(lacking),
        seeds=counted.seeds(planned),
        runs=tr("{items} and {n} more", items=runs, n=more) if more > 0 else runs,
    )


def _why(run: SeedResult, trained_here: bool) -> str:
    match run.status:
        case "missing" if trained_here:
            return tr("seed {seed} has not started", seed=run.seed)
        case "missing":
            return tr("seed {seed} has no value", seed=run.seed)
        case "interrupted":
            return tr("seed {seed} was interrupted", seed=run.seed)
        case "damaged":
            return tr("seed {seed} has damaged files", seed=run.seed)
    return tr("seed {seed} crashed", seed=run.seed)


def undertrained(results: Results, effects: Sequence[Effect]) -> Iterator[StudyWarning]:
    """Variants most of whose runs were best in their last epoch while the validation loss still fell."""
    done = results.runs.loc[results.runs["status"] == "finished", ["variant", "seed", "best_epoch"]]
    places = results.epochs.groupby(["variant", "seed"]).indices
    losses = results.epochs[["epoch", "val_loss"]]
    rising: dict[str, list[bool]] = {}
    for variant, seed, best in done.itertuples(index=False, name=None):
        if (variant, seed) in places:
            rising.setdefault(str(variant), []).append(_rises(losses.iloc[places[variant, seed]], best))
    for own in effects:
        found = rising.get(own.variant, [])
        if found and 2 * sum(found) > len(found):
            message = tr(
                "{variant}: in {n} of {runs} the last epoch was the best and the validation loss was still falling",
                variant=own.variant,
                n=sum(found),
                runs=counted.runs(len(found)),
            )
            yield warn("undertrained", own.variant, message)


def _rises(history: pd.DataFrame, best: object) -> bool:
    """Whether the last epoch is the best and its loss the lowest, by 1 % or more below that a tenth of the run ago."""
    rows = history.sort_values("epoch")
    loss = rows["val_loss"].to_numpy(dtype=np.float64)
    if len(loss) < 3 or best != rows["epoch"].iloc[-1] or not np.isfinite(loss[-1]):
        return False
    before = loss[-1 - max(1, len(loss) // 10)]
    return bool(loss[-1] == np.nanmin(loss) and loss[-1] < (1 - _STILL_FALLING) * before)


def without_effect(
    results: Results, effects: Sequence[Effect], predictions: Mapping[Run, Predicted]
) -> Iterator[StudyWarning]:
    """Variants that trained to the same weights, or predict the same classes, as the baseline under every seed."""
    base = effects[0].variant
    for own in effects[1:]:
        seeds = sorted(own.differences)
        pairs = [((own.variant, seed), (base, seed)) for seed in seeds]
        if not pairs or own.kind == "control" or _shared(results, own.variant, base, seeds):
            continue
        message = ""
        if same_weights(results, own.variant, seeds):
            message = tr_noop("{variant} has the same weights as the baseline {where}")
        elif all(_same_predictions(predictions, a, b) for a, b in pairs):
            message = tr_noop("{variant} has the same prediction for every validation image as the baseline {where}")
        elif results.manifest.task and all(_same_metrics(results, a, b) for a, b in pairs):
            message = tr_noop("{variant} has the same value of every metric, times aside, as the baseline {where}")
        if message:
            several = len(seeds) > 1
            where = tr("in all {n} seeds", n=len(seeds)) if several else tr("under seed {seed}", seed=seeds[0])
            yield warn("no_effect", own.variant, tr(message, variant=own.variant, where=where))


def _shared(results: Results, variant: str, base: str, seeds: Sequence[int]) -> bool:
    """Whether its runs are those of the baseline, as under options that `--smoke` overrides in both."""
    folder = results.manifest.run_folder
    return results.manifest.smoke and all(folder(variant, seed) == folder(base, seed) for seed in seeds)


def _same_metrics(results: Results, first: Run, second: Run) -> bool:
    """Whether two runs of a function or a command reported the same numbers; how long they took is left out."""
    a, b = results.records.get(first), results.records.get(second)
    if a is None or b is None or not a.metrics:
        return False
    names = [name for name in {*a.metrics, *b.metrics} if not metric_names.of_machine(name)]
    return bool(names) and all(a.metrics.get(name) == b.metrics.get(name) for name in names)


def _same_predictions(predictions: Mapping[Run, Predicted], first: Run, second: Run) -> bool:
    a, b = predictions.get(first), predictions.get(second)
    return a is not None and b is not None and a.same_images(b) and np.array_equal(a.predicted, b.predicted)
