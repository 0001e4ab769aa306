"""Results -> Analysis: what was measured of each variant, and what can be claimed of its difference."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

import ablation.analysis.compare as compare
import ablation.analysis.contrasts as contrasts
import ablation.analysis.factorial as factorial
import ablation.analysis.sequential as sequential
import ablation.analysis.verdicts as verdicts
import ablation.analysis.warnings as warnings
from ablation._util import formatting
from ablation._util.formatting import option
from ablation._util.language import tr, trn
from ablation.analysis.changes import describe_change, look_up
from ablation.analysis.classification.chance import at_chance
from ablation.analysis.classification.networks import Predicted, Run, with_networks
from ablation.analysis.heldout import test_set
from ablation.analysis.measure import Measure, measure_of, measured, primary_measure, same_weights
from ablation.analysis.sequential import Followed
from ablation.analysis.types import Analysis, Effect, Facts, ProblemRun, Secondary, SeedResult, Setup, Sweep
from ablation.analysis.warnings.fairness import with_confounds
from ablation.results.runs import Results
from ablation.stats import Comparison
from ablation.storage.manifest import Manifest, StoredVariant

Row = Mapping[Any, Any]
_READ = (
    "variant",
    "seed",
    "status",
    "epochs",
    "selected_epoch",
    "val_accuracy",
    "parameters",
    "macs",
    "train_images",
    "train_seconds",
    "images_per_second",
    "peak_memory_mb",
)
"""The columns of the table of runs that an effect is made of."""


def describe(results: Results, predictions: Mapping[Run, Predicted] | None = None) -> Analysis:
    """Say what a study has measured so far, and what can be claimed from it.

    `predictions` on the validation images, by (variant, seed), are needed only for the words on a single seed and to
    see changes without any effect.
    """
    followed = sequential.follow(results)
    results = followed.results if followed else results
    manifest, options = results.manifest, results.manifest.analysis
    known: Mapping[Run, Predicted] = {} if predictions is None else predictions
    measure, alpha, networks = primary_measure(results), float(options["alpha"]), len(results.manifest.seeds) == 1
    values = _judged(measured(results, measure), followed)
    effects, y, found = _with_claims(results, measure, values, followed)
    effects = with_networks(effects, known) if networks else effects
    effects = verdicts.with_verdicts(effects, measure, alpha, options["margin"], networks)
    effects = with_confounds(results, effects)
    by_name, sweeps, facts = {own.variant: own for own in effects}, _sweeps(manifest), _facts(results)
    design = (
        sequential.design(followed, networks)
        if followed
        else compare.design(found, len(manifest.seeds), len(y) - 1, networks)
    )
    looks = _looks(followed)
    tested = (sweeps, by_name, manifest.seeds, values)
    return Analysis(
        measure=measure,
        alpha=alpha,
        margin=options["margin"],
        headline=verdicts.headline(effects, measure, design, alpha, facts.open > 0 and bool(manifest.baseline.recipe)),
        effects=effects,
        design=design,
        selection=contrasts.selection(results, y, found, measure),
        interactions=contrasts.interactions(manifest, by_name, values, found, looks) if found else (),
        trends=contrasts.trends(*tested, found, looks) if found else (),
        data_curve=contrasts.data_curve(*tested, measure, alpha / looks),
        warnings=warnings.find_warnings(results, effects, measure, y, found, known),
        looks=manifest.looks,
        test=test_set(results),
        facts=facts,
        setup=_setup(results),
        sweeps=sweeps,
        problem_runs=_problem_runs(results),
        secondary=_secondary(results, followed),
        factorial=factorial.factorial(manifest, by_name, values, found, measure),
        follow_up=manifest.follow_up,
        sequential=sequential.describe_looks(followed) if followed else None,
    )


def _looks(followed: Followed | None) -> int:
    """At how many looks a study may be judged by its design."""
    return len(followed.found.design.looks) if followed else 1


def _judged(values: dict[Run, float], followed: Followed | None) -> dict[Run, float]:
    """The values on which the claims rest; those of a look that is not complete are left out."""
    return followed.judged(values) if followed else values


def _with_claims(
    results: Results, measure: Measure, values: Mapping[Run, float], followed: Followed | None
) -> tuple[tuple[Effect, ...], compare.Table, Comparison | None]:
    """Every variant with what can be claimed of it, the table of values that were compared, and their comparison."""
    effects = _effects(results, measure, values)
    compared = [own.variant for own in effects if not own.identical]
    y = compare.table(compared, results.manifest.seeds, values)
    found = compare.compare(y, float(results.manifest.analysis["alpha"]), _looks(followed))
    if followed and measure.column == results.manifest.analysis["metric"]:
        return sequential.with_claims(effects, followed, measure.farthest), y, found
    return compare.with_claims(effects, found, measure.farthest), y, found


def _secondary(results: Results, followed: Followed | None) -> tuple[Secondary, ...]:
    """The metrics of the study beside the primary one, as far as any run has a value."""
    names = [name for name in results.manifest.metrics if name != results.manifest.analysis["metric"]]
    measures = [measure_of(results.metric(name), results) for name in names]
    found = ((measure, _judged(measured(results, measure), followed)) for measure in measures)
    return tuple(Secondary(own, _with_claims(results, own, values, followed)[0]) for own, values in found if values)


def _effects(results: Results, measure: Measure, values: Mapping[Run, float]) -> list[Effect]:
    """Every variant as it was measured, without a claim."""
    manifest = results.manifest
    runs: dict[str, list[Row]] = {variant.name: [] for variant in manifest.variants}
    for row in results.runs[list(_READ)].to_dict("records"):
        runs[str(row["variant"])].append(row)
    paces = _epoch_seconds(results)
    lost: dict[str, set[int]] = {}
    for name, seed in at_chance(results):
        lost.setdefault(name, set()).add(seed)
    own_values: dict[str, dict[int, float]] = {variant.name: {} for variant in manifest.variants}
    for (name, seed), value in values.items():
        own_values[name][seed] = value
    reference = own_values[manifest.baseline.name]
    effects = []
    for variant in manifest.variants:
        chance = frozenset(lost.get(variant.name, ()))
        own = own_values[variant.name]
        shared = [seed for seed in own if seed in reference]
        same = variant.kind not in ("baseline", "control") and same_weights(results, variant.name, shared)
        effects.append(_effect(variant, manifest.baseline, runs[variant.name], own, reference, chance, paces, same))
    return effects


def _epoch_seconds(results: Results) -> dict[str, float]:
    """Mean seconds of a training epoch, validation left out, for each variant with finished runs."""
    done = results.runs.loc[results.runs["status"] == "finished", ["variant", "seed"]]
    rows = results.epochs.merge(done, on=["variant", "seed"])
    means = rows.groupby("variant")["seconds"].mean()
    return {str(name): float(mean) for name, mean in means.items() if pd.notna(mean)}


def _effect(
    variant: StoredVariant,
    baseline: StoredVariant,
    runs: Sequence[Row],
    values: Mapping[int, float],
    reference: Mapping[int, float],
    chance: frozenset[int],
    paces: Mapping[str, float],
    identical: bool,
) -> Effect:
    differences = {} if variant is baseline else {s: a - reference[s] for s, a in values.items() if s in reference}
    status = Counter(row["status"] for row in runs)
    finished = [row for row in runs if row["status"] == "finished"]
    return Effect(
        variant=variant.name,
        kind=variant.kind,
        change=describe_change(variant, baseline),
        runs=tuple(_seed_result(row, values, differences, chance) for row in runs),
        n=len(values),
        diverged=status["diverged"],
        crashed=status["crashed"],
        unfinished=status["interrupted"] + status["missing"] + status["damaged"],
        mean=statistics.fmean(values.values()) if values else None,
        sd=statistics.stdev(values.values()) if len(values) > 1 else None,
        difference=statistics.fmean(differences.values()) if differences else None,
        pairs=len(differences),
        parameters=_whole(runs, "parameters"),
        macs=_whole(runs, "macs"),
        train_images=_whole(runs, "train_images"),
        train_seconds=_mean(finished, "train_seconds"),
        epoch_seconds=paces.get(variant.name),
        images_per_second=_mean(finished, "images_per_second"),
        peak_memory_mb=_mean(finished, "peak_memory_mb"),
        at_chance=len(chance),
        exploratory=variant.exploratory,
        identical=identical,
    )


def _seed_result(
    row: Mapping[Any, Any], values: Mapping[int, float], differences: Mapping[int, float], chance: frozenset[int]
) -> SeedResult:
    seed, status = int(row["seed"]), str(row["status"])
    selected, accuracy = row["selected_epoch"], row["val_accuracy"]
    return SeedResult(
        seed=seed,
        status=status,
        accuracy=None if status != "finished" or pd.isna(accuracy) else float(accuracy),
        value=values.get(seed),
        difference=differences.get(seed),
        epochs=0 if pd.isna(row["epochs"]) else int(row["epochs"]),
        selected_epoch=None if pd.isna(selected) else int(selected),
        chance=seed in chance,
    )


def _mean(runs: Sequence[Row], column: str) -> float | None:
    known = [float(row[column]) for row in runs if not pd.isna(row[column])]
    return statistics.fmean(known) if known else None


def _whole(runs: Sequence[Row], column: str) -> int | None:
    return next((int(row[column]) for row in runs if not pd.isna(row[column])), None)


def _facts(results: Results) -> Facts:
    status = Counter(results.runs["status"])
    return Facts(
        variants=len(results.manifest.variants) - 1,
        seeds=results.manifest.seeds,
        runs=len(results.runs),
        finished=status["finished"],
        diverged=status["diverged"],
        crashed=status["crashed"],
        interrupted=status["interrupted"],
        missing=status["missing"],
        devices=tuple(sorted({record.environment.device for record in results.records.values()})),
        seconds=sum(record.train_seconds for record in results.records.values()),
        test_evaluations=len(results.test_evaluations),
        added_seeds=results.manifest.added_seeds,
        damaged=status["damaged"],
    )


def _problem_runs(results: Results) -> tuple[ProblemRun, ...]:
    rows = results.runs[~results.runs["status"].isin(["finished"])]
    return tuple(_problem_run(row, results) for row in rows.to_dict("records"))


def _problem_run(row: Mapping[Any, Any], results: Results) -> ProblemRun:
    run, epoch = (str(row["variant"]), int(row["seed"])), 0 if pd.isna(row["epochs"]) else int(row["epochs"])
    failure, status = results.failures.get(run), str(row["status"])
    reason = _reason(status, epoch, results) or (failure.message if failure else "")
    details = failure.details if failure and status == "crashed" else ""
    return ProblemRun(*run, status, epoch, reason, str(row["folder"]), details)


def _reason(status: str, epoch: int, results: Results) -> str:
    """Why a run has no result as planned; empty where only its failure says it."""
    elsewhere = not results.manifest.baseline.recipe
    if status == "missing":
        return tr("no value in the table") if elsewhere else tr("not started yet")
    if status in ("crashed", "interrupted") and elsewhere:
        return tr("as the table says")
    if status == "interrupted":
        return tr("stopped after epoch {epoch}", epoch=epoch)
    return _divergence(epoch, results) if status == "diverged" else ""


def _divergence(epoch: int, results: Results) -> str:
    """What was not finite in a run that diverged."""
    if results.manifest.task:
        metric = results.metric(results.manifest.analysis["metric"]).label
        return tr("{metric} is not a finite number", metric=metric)
    if epoch:
        return tr("the loss became infinite or not a number in epoch {epoch}", epoch=epoch)
    return tr("not a finite number")


def _sweeps(manifest: Manifest) -> tuple[Sweep, ...]:
    """The numeric options that are varied alone, at three levels or more with that of the baseline."""
    levels: dict[str, list[tuple[float, str]]] = {}
    for variant in manifest.variants[1:]:
        if len(variant.changes) == 1 and variant.kind == "vary":
            path = next(iter(variant.changes))
            level = look_up(variant.recipe, path)
            if _is_number(level) and _is_number(look_up(manifest.baseline.recipe, path)):
                levels.setdefault(path, []).append((float(level), variant.name))
    own = {path: (float(look_up(manifest.baseline.recipe, path)), manifest.baseline.name) for path in levels}
    found = []
    for path, others in levels.items():
        distinct = dict([*reversed(others), own[path]])  # smoke options may give several variants the same level
        if len(distinct) >= 3:
            found.append(Sweep(path, option(path), tuple(sorted(distinct.items()))))
    return tuple(found)


def _is_number(level: object) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool)


def _setup(results: Results) -> Setup:
    manifest = results.manifest
    recipe = manifest.baseline.recipe
    like = next((r for r in results.records.values() if r.recipe.get("data") == recipe.get("data")), None)
    records = list(results.records.values())
    environments = Counter(record.environment for record in records)
    return Setup(
        recipe=tuple((path, formatting.value(value)) for path, value in _options(manifest)),
        budget=_budget(manifest.train_of(manifest.baseline)),
        select=_select(manifest),
        image=like.image if like else None,
        classes=like.classes if like else (),
        train_images=like.train_images if like else None,
        val_images=like.val_images if like else None,
        fingerprints=tuple(dict.fromkeys(record.data_fingerprint for record in records if record.data_fingerprint)),
        environments=tuple(sorted(environments.items(), key=lambda item: (-item[1], repr(item[0])))),
        started=min((record.started for record in records), default=None),
        finished=max((record.finished for record in records), default=None),
        data_summary=like.data_summary if like else None,
    )


def _options(manifest: Manifest) -> Iterator[tuple[str, Any]]:
    """The options of the baseline by their paths: two levels deep for image classifiers, else all."""
    if manifest.task:
        yield from manifest.baseline.options.items()
        return
    for part, own in manifest.baseline.recipe.items():
        yield from ((f"{part}.{key}", value) for key, value in own.items())


def _budget(train: Mapping[str, Any]) -> str:
    if not train:
        return ""
    if train.get("epochs") is not None:
        return trn("{n:,} epoch", "{n:,} epochs", int(train["epochs"]))
    return trn("{n:,} step", "{n:,} steps", int(train["steps"]))


def _select(manifest: Manifest) -> str:
    """best or last: which epoch each run reports; mixed where the variants differ in it, empty where unknown."""
    found = (manifest.train_of(variant).get("select") for variant in manifest.variants)
    choices = {str(select) for select in found if select is not None}
    return "" if not choices else choices.pop() if len(choices) == 1 else "mixed"
