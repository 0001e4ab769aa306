"""Results -> Analysis: what was measured of each variant, and its difference from the baseline, without any verdict."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ablation import words
from ablation.analysis.changes import describe_change, look_up
from ablation.analysis.types import Analysis, Effect, Facts, SeedResult, Setup, Sweep, Trouble
from ablation.manifest import Arm, Manifest
from ablation.results import Results

METRIC = "val_accuracy"


def describe(results: Results) -> Analysis:
    """Describe what a study has measured so far, without any verdict."""
    manifest = results.manifest
    runs = {str(name): table for name, table in results.runs.groupby("variant", sort=False)}
    reference = _accuracies(runs[manifest.baseline.name])
    paces = _epoch_seconds(results)
    effects = [_effect(arm, manifest.baseline, runs[arm.name], reference, paces) for arm in manifest.arms]
    return Analysis(
        metric=METRIC,
        effects=tuple(effects),
        facts=_facts(results),
        setup=_setup(results),
        sweeps=_sweeps(manifest),
        troubles=_troubles(results),
    )


def _accuracies(runs: pd.DataFrame) -> dict[int, float]:
    done = runs[runs["status"] == "finished"]
    return {int(seed): float(metric) for seed, metric in zip(done["seed"], done[METRIC], strict=True)}


def _epoch_seconds(results: Results) -> dict[str, float]:
    """Mean seconds of a training epoch, validation left out, for each variant with finished runs."""
    done = results.runs.loc[results.runs["status"] == "finished", ["variant", "seed"]]
    rows = results.epochs.merge(done, on=["variant", "seed"])
    return {str(name): float(mean) for name, mean in rows.groupby("variant")["seconds"].mean().items()}


def _effect(
    arm: Arm, baseline: Arm, runs: pd.DataFrame, reference: Mapping[int, float], paces: Mapping[str, float]
) -> Effect:
    accuracies = _accuracies(runs)
    differences = {} if arm is baseline else {s: a - reference[s] for s, a in accuracies.items() if s in reference}
    status = Counter(runs["status"])
    finished = runs[runs["status"] == "finished"]
    metrics = list(accuracies.values())
    return Effect(
        variant=arm.name,
        kind=arm.kind,
        change=describe_change(arm, baseline),
        runs=tuple(_seed_result(row, accuracies, differences) for row in runs.to_dict("records")),
        n=len(metrics),
        diverged=status["diverged"],
        crashed=status["crashed"],
        unfinished=status["interrupted"] + status["missing"],
        mean=statistics.fmean(metrics) if metrics else None,
        sd=statistics.stdev(metrics) if len(metrics) > 1 else None,
        difference=statistics.fmean(differences.values()) if differences else None,
        pairs=len(differences),
        parameters=_whole(runs["parameters"]),
        macs=_whole(runs["macs"]),
        train_images=_whole(runs["train_images"]),
        train_seconds=_mean(finished["train_seconds"]),
        epoch_seconds=paces.get(arm.name),
        images_per_second=_mean(finished["images_per_second"]),
        peak_memory_mb=_mean(finished["peak_memory_mb"]),
    )


def _seed_result(
    row: Mapping[Any, Any], accuracies: Mapping[int, float], differences: Mapping[int, float]
) -> SeedResult:
    seed = int(row["seed"])
    selected = row["selected_epoch"]
    return SeedResult(
        seed=seed,
        status=str(row["status"]),
        accuracy=accuracies.get(seed),
        difference=differences.get(seed),
        epochs=int(row["epochs"]),
        selected_epoch=None if pd.isna(selected) else int(selected),
    )


def _mean(column: pd.Series[Any]) -> float | None:
    known = [float(x) for x in column.dropna()]
    return statistics.fmean(known) if known else None


def _whole(column: pd.Series[Any]) -> int | None:
    known = column.dropna()
    return int(known.iloc[0]) if len(known) else None


def _facts(results: Results) -> Facts:
    status = Counter(results.runs["status"])
    return Facts(
        variants=len(results.manifest.arms) - 1,
        seeds=results.manifest.seeds,
        runs=len(results.runs),
        finished=status["finished"],
        diverged=status["diverged"],
        crashed=status["crashed"],
        interrupted=status["interrupted"],
        missing=status["missing"],
        devices=tuple(sorted({record.environment.device for record in results.records.values()})),
        seconds=sum(record.train_seconds for record in results.records.values()),
    )


def _troubles(results: Results) -> tuple[Trouble, ...]:
    rows = results.runs[~results.runs["status"].isin(["finished"])]
    return tuple(_trouble(row, results) for row in rows.to_dict("records"))


def _trouble(row: Mapping[Any, Any], results: Results) -> Trouble:
    run, epoch = (str(row["variant"]), int(row["seed"])), int(row["epochs"])
    reasons = {
        "diverged": f"the loss became infinite or not a number in epoch {epoch}",
        "crashed": results.failures.get(run, ""),
        "interrupted": f"stopped after epoch {epoch}",
        "missing": "not started yet",
    }
    return Trouble(*run, str(row["status"]), epoch, reasons[str(row["status"])], str(row["folder"]))


def _sweeps(manifest: Manifest) -> tuple[Sweep, ...]:
    """The numeric options that are varied alone, at three levels or more with that of the baseline."""
    levels: dict[str, list[tuple[float, str]]] = {}
    for arm in manifest.arms[1:]:
        if len(arm.changes) == 1 and arm.kind == "vary":
            path = next(iter(arm.changes))
            level = look_up(arm.recipe, path)
            if _is_number(level) and _is_number(look_up(manifest.baseline.recipe, path)):
                levels.setdefault(path, []).append((float(level), arm.name))
    own = {path: (float(look_up(manifest.baseline.recipe, path)), manifest.baseline.name) for path in levels}
    return tuple(
        Sweep(path, words.option(path), tuple(sorted([own[path], *found], key=lambda level: level[0])))
        for path, found in levels.items()
        if len(found) >= 2
    )


def _is_number(level: object) -> bool:
    return isinstance(level, int | float) and not isinstance(level, bool)


def _setup(results: Results) -> Setup:
    manifest = results.manifest
    recipe = manifest.baseline.recipe
    like = next((r for r in results.records.values() if r.recipe["data"] == recipe["data"]), None)
    records = list(results.records.values())
    environments = Counter(record.environment for record in records)
    return Setup(
        recipe=tuple((f"{part}.{key}", words.value(v)) for part, own in recipe.items() for key, v in own.items()),
        budget=_budget(recipe["train"]),
        select=_select(manifest.arms),
        image=like.image if like else None,
        classes=like.classes if like else (),
        train_images=like.train_images if like else None,
        val_images=like.val_images if like else None,
        fingerprints=tuple(dict.fromkeys(record.data_fingerprint for record in records)),
        environments=tuple(sorted(environments.items(), key=lambda item: (-item[1], repr(item[0])))),
        started=min((record.started for record in records), default=None),
        finished=max((record.finished for record in records), default=None),
    )


def _budget(train: Mapping[str, Any]) -> str:
    key = "epochs" if train.get("epochs") is not None else "steps"
    return words.plural(int(train[key]), key.removesuffix("s"))


def _select(arms: Sequence[Arm]) -> str:
    """best or last: which epoch each run reports; mixed where the variants differ in it."""
    choices = {str(arm.recipe["train"]["select"]) for arm in arms}
    return choices.pop() if len(choices) == 1 else "mixed"
