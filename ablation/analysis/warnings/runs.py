"""Warnings about single variants: missing, diverged and idle runs, chance, too short a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from ablation._util.formatting import plural
from ablation.analysis.classification.networks import Predicted, Run
from ablation.analysis.measure import same_weights
from ablation.analysis.types import Effect, StudyWarning
from ablation.analysis.warnings.catalogue import warn
from ablation.registry import metric_names
from ablation.results.runs import Results

_STILL_FALLING = 0.01


def states(effects: Sequence[Effect], trained_here: bool) -> Iterator[StudyWarning]:
    """Missing, diverged and idle runs."""
    for own in effects:
        planned, first = len(own.runs), own is effects[0]
        lacking = [run for run in own.runs if run.status in ("missing", "interrupted", "crashed", "damaged")]
        if lacking:
            which = "; ".join(f"seed {run.seed} {_why(run.status, trained_here)}" for run in lacking[:6])
            more = f" and {len(lacking) - 6} more" if len(lacking) > 6 else ""
            message = f"{own.variant} lacks {len(lacking)} of {plural(planned, 'seed')}: {which}{more}"
            yield warn("baseline_missing_runs" if first else "missing_runs", own.variant, message)
        if own.diverged:
            seeds = ", ".join(str(run.seed) for run in own.runs if run.status == "diverged")
            yield warn("diverged", own.variant, f"{own.variant}: {own.diverged}/{planned} diverged (seed {seeds})")
        if own.at_chance:
            seeds = ", ".join(str(run.seed) for run in own.runs if run.chance)
            message = f"{own.variant}: {own.at_chance}/{planned} at chance (seed {seeds}): no better than guessing"
            yield warn("at_chance", own.variant, message)


def _why(status: str, trained_here: bool) -> str:
    missing = "has not started" if trained_here else "has no value"
    states = {"missing": missing, "interrupted": "was interrupted", "damaged": "has damaged files"}
    return states.get(status, status)


def undertrained(results: Results, effects: Sequence[Effect]) -> Iterator[StudyWarning]:
    """Variants most of whose runs were best in their last epoch while the validation loss still fell."""
    done = results.runs[results.runs["status"] == "finished"].set_index(["variant", "seed"])["best_epoch"]
    histories = {run: rows for run, rows in results.epochs.groupby(["variant", "seed"])}  # noqa: C416
    rising: dict[str, list[bool]] = {}
    for run, best in done.items():
        if run in histories:
            rising.setdefault(str(run[0]), []).append(_rises(histories[run], best))
    for own in effects:
        found = rising.get(own.variant, [])
        if found and 2 * sum(found) > len(found):
            message = f"{own.variant}: in {sum(found)} of {plural(len(found), 'run')} the last epoch was the best"
            yield warn("undertrained", own.variant, message + " and the validation loss was still falling")


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
        what = ""
        if same_weights(results, own.variant, seeds):
            what = "the same weights"
        elif all(_same_predictions(predictions, a, b) for a, b in pairs):
            what = "the same prediction for every validation image"
        elif results.manifest.task and all(_same_metrics(results, a, b) for a, b in pairs):
            what = "the same value of every metric, times aside,"
        if what:
            where = f"in all {len(seeds)} seeds" if len(seeds) > 1 else f"under seed {seeds[0]}"
            yield warn("no_effect", own.variant, f"{own.variant} has {what} as the baseline {where}")


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
