"""The selected checkpoints of a study, evaluated on the test part of their data, once and on record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock, Timeout

from ablation._util.files import replace
from ablation._util.formatting import plural
from ablation._util.hashing import canonical_json
from ablation.data.arrays import DamagedError, read_names
from ablation.data.duplicates import compare_folders, in_words
from ablation.data.fingerprint import DECODED, cache_folder
from ablation.errors import UserError
from ablation.execution.local import LocalPool
from ablation.execution.looks import needed_folders
from ablation.execution.options import EvaluationOptions
from ablation.execution.progress import Progress
from ablation.execution.study import check_devices, prepare_part
from ablation.planning.plan import fingerprint, source_key
from ablation.planning.run import Run
from ablation.results.predictions import predictions_file
from ablation.storage.manifest import Manifest
from ablation.storage.record import RunRecord
from ablation.storage.store import MOST_ATTEMPTS, Store
from ablation.storage.stored_run import StoredRun, read_run
from ablation.storage.test_set_log import (
    Outcome,
    TestSetLog,
    append_evaluation,
    make_evaluation,
    openings_file,
    read_log,
    write_outcome,
)
from ablation.study.custom_code import custom_names, find
from ablation.study.load import study_of
from ablation.study.schema import Variant
from ablation.worker.protocol import Evaluate, Evaluated, Failed

LOCK_PATIENCE = 2.0
"""Seconds to wait for another command that evaluates on the same test set."""


@dataclass(frozen=True)
class Candidate:
    """A run of the study that has a network to evaluate; `variants` have it, under one seed of the study."""

    run: Run
    record: RunRecord
    variants: tuple[str, ...]


@dataclass(frozen=True)
class TestPart:
    """The test part of one data source: what it is, where it is prepared, and how many images it has."""

    fingerprint: str
    folder: Path
    images: int
    overlap: dict[str, Any] | None = None
    """Which of them are training images too (`duplicates.compare_folders`), of an image folder."""


class Tested(NamedTuple):
    """A run, the test part that it was evaluated on, and what came of it."""

    candidate: Candidate
    part: TestPart
    result: Evaluated


@dataclass(frozen=True)
class TestResults:
    """Accuracies of the runs by variant, in the order of the study, and the runs that could not be evaluated."""

    accuracies: dict[str, list[float]]
    failed: list[tuple[Run, str]]
    recorded: bool


def evaluate_test_set(store: Store, manifest: Manifest, options: EvaluationOptions, progress: Progress) -> TestResults:
    """Evaluate every finished run of a study on the test part, and record that.

    Where a run fails, nothing is written, unless `partial` allows the others to be.

    Raises UserError where the study is unfinished (unless `partial`), or was evaluated before (unless `again`), or
    the test images have changed since.
    """
    if manifest.task:
        what = f"the runs of {manifest.name!r} were trained by a {manifest.task['kind']}"
        raise UserError(
            f"{what}; `ablate test` evaluates the built-in image classifier",
            "have the code report a metric of the test set, and declare it under metrics",
        )
    path = openings_file(store, manifest.folder)
    try:
        with FileLock(path.with_name("openings.lock"), timeout=LOCK_PATIENCE):
            return _evaluate_study(store, manifest, options, progress)
    except Timeout:
        what = f"another command is evaluating {manifest.name!r} on the test set"
        raise UserError(what, "wait until it has ended") from None


def _evaluate_study(store: Store, manifest: Manifest, options: EvaluationOptions, progress: Progress) -> TestResults:
    runs = stored_runs(store, manifest)
    log = read_log(store, manifest, {name: run.record for name, run in runs.items()})
    for notice in log.notices:
        progress.say(notice, "notice")
    candidates = find_candidates(store, manifest, runs)
    if log.evaluations and not options.again:
        raise _evaluated_before(manifest, log, candidates)
    _refuse_unfinished(manifest, runs, candidates, partial=options.partial)
    _refuse_changed_images(manifest, log, candidates)
    _refuse_other_decoding(manifest, candidates)
    _announce(progress, manifest, candidates, log, openings_file(store, manifest.folder))
    workers = options.workers
    with LocalPool(workers.device, workers.per_device, workers.threads, workers.hang_after) as pool:
        check_devices([candidate.run for candidate in candidates.values()], pool)
        parts = _prepare(candidates, store, pool, progress)
        jobs = [_task(store, candidate, parts, workers.threads) for candidate in candidates.values()]
        with progress.training(manifest.name, [job.run for job in jobs], 0, len(pool.places)):
            found, failed = _evaluate(jobs, pool, progress)
    done = [Tested(candidates[own.run.folder], parts[source_key(own.run.image_recipe.data)], own) for own in found]
    if recorded := bool(done) and (options.partial or not failed):
        _write(store, manifest, log, done, options.command)
    return TestResults(_accuracies(manifest, done) if recorded else {}, failed, recorded)


def stored_runs(store: Store, manifest: Manifest) -> dict[str, StoredRun]:
    """Every run of a study by run folder; of a sequential study those that its looks need."""
    kept = needed_folders(store, manifest)
    runs = ((name, identity) for _, _, name, identity in manifest.runs() if kept is None or name in kept)
    return {name: read_run(store.run(name), identity) for name, identity in runs}


def find_candidates(store: Store, manifest: Manifest, runs: Mapping[str, StoredRun]) -> dict[str, Candidate]:
    """The runs of a study that are finished, undamaged and did not diverge, by run folder."""
    variants, kept = _variants(store, manifest), store.study_file(manifest.folder).parent
    candidates: dict[str, Candidate] = {}
    for variant, block, name, _ in manifest.runs():
        record = runs[name].record if name in runs else None
        if record is None or record.status == "diverged":
            continue
        shared = candidates[name].variants if name in candidates else ()
        recipe = variants[variant.name].recipe
        codes = {own: find(own, kept) for own in custom_names(recipe.canonical())}
        run = Run(variant.name, block, record.seed, recipe, record.data_fingerprint, record.key, name, codes=codes)
        candidates[name] = Candidate(run, record, (*shared, variant.name))
    return candidates


def _variants(store: Store, manifest: Manifest) -> dict[str, Variant]:
    """The variants as they were run, with the places of their data, which the manifest leaves to its study file."""
    path = store.study_file(manifest.folder)
    study = study_of(manifest.source, path, overrides=manifest.overrides, smoke=manifest.smoke)
    variants = {variant.name: variant for variant in study.variants}
    for variant in manifest.variants:
        own = variants.get(variant.name)
        if own is None or canonical_json(own.recipe.canonical()) != canonical_json(variant.recipe):
            message = f"the variant {variant.name!r} is not what this version makes of the study file in {path}"
            raise UserError(message, f"run the study again: {manifest.command}")
    return variants


def _evaluated_before(manifest: Manifest, log: TestSetLog, candidates: dict[str, Candidate]) -> UserError:
    last = log.evaluations[-1]
    times = "" if len(log.evaluations) == 1 else f" {len(log.evaluations)} times, last"
    later = len(candidates.keys() - log.fingerprints.keys())
    message = (
        f"{manifest.name!r} was evaluated on the test set{times} on {last['time']} by {last['user']} on {last['host']}"
    )
    message += f"; {plural(later, 'run')} finished since were not" if later else ""
    hint = "nothing was evaluated; --again does it once more, and the report says how often it was done"
    return UserError(message, hint)


def _refuse_unfinished(
    manifest: Manifest, runs: Mapping[str, StoredRun], candidates: dict[str, Candidate], *, partial: bool
) -> None:
    unfinished = [run for run in runs.values() if run.record is None]
    damaged = [run.reason for run in unfinished if run.reason]
    if unfinished and not partial:
        verb = "is" if len(unfinished) == 1 else "are"
        message = f"{len(unfinished)} of {plural(len(runs), 'run')} of {manifest.name!r} {verb} not finished"
        message += f"; {len(damaged)} of them damaged: {damaged[0]}" if damaged else ""
        hint = "finish them first with ablate run; --partial evaluates the others on the test set now"
        raise UserError(message, hint)
    if not candidates:
        state = "is finished" if unfinished else "has a network: all diverged"
        raise UserError(f"no run of {manifest.name!r} {state}", "there is nothing to evaluate")


def _refuse_changed_images(manifest: Manifest, log: TestSetLog, candidates: dict[str, Candidate]) -> None:
    """Raise UserError where runs were evaluated on other test images than those that are there now."""
    known: dict[str, str] = {}
    for name, candidate in candidates.items():
        data = candidate.run.image_recipe.data
        if name in log.fingerprints:
            now = known.setdefault(source_key(data), fingerprint(data, candidate.run.codes, "test"))
            if now not in log.fingerprints[name]:
                raise UserError(
                    f"the test images of {manifest.name!r} have changed since it was evaluated on them on "
                    f"{log.evaluations[-1]['time']} (from {', '.join(sorted(log.fingerprints[name]))} to {now})",
                    "put the old images back, or give the study another name: its figures would be of two test sets",
                )


def _refuse_other_decoding(manifest: Manifest, candidates: dict[str, Candidate]) -> None:
    """Raise UserError where the images that runs were trained on would be decoded differently today."""
    known: dict[str, str] = {}
    for candidate in candidates.values():
        data = candidate.run.image_recipe.data
        if data.compared and not candidate.record.data_fingerprint.endswith(DECODED):
            now = known.setdefault(source_key(data), fingerprint(data, candidate.run.codes))
            if now == candidate.record.data_fingerprint + DECODED:
                raise UserError(
                    f"{manifest.name!r} was trained by a version that decoded some of its images differently",
                    f"train it again first: {manifest.command} --new-data",
                )


def _announce(
    progress: Progress, manifest: Manifest, candidates: dict[str, Candidate], log: TestSetLog, path: Path
) -> None:
    """Say what is about to happen before it happens."""
    runs = f"{plural(len(candidates), 'run')}, each at the epoch that validation chose"
    progress.say(f": {runs}", "title", f"evaluating {manifest.name} on the test set")
    if log.evaluations:
        progress.say(f"this was done before; it is evaluation {len(log.evaluations) + 1}", "warning")
    else:
        progress.say(
            "Until now no figure of this study comes from these images. From now on they are known: what is changed\n"
            "or chosen after this has seen the test set, and its test accuracy is no longer that of new images."
        )
    progress.say(f"Who did it, when, and for which runs is recorded in {path}")


def _prepare(
    candidates: dict[str, Candidate], store: Store, pool: LocalPool, progress: Progress
) -> dict[str, TestPart]:
    """The test part of every data source of the runs, by `source_key`. Raises UserError where one cannot be had."""
    parts: dict[str, TestPart] = {}
    for candidate in candidates.values():
        data, classes = candidate.run.image_recipe.data, candidate.record.classes
        key = source_key(data)
        if key not in parts:
            mark = fingerprint(data, candidate.run.codes, "test")
            tested = dataclasses.replace(candidate.run, data_fingerprint=mark)
            folder = prepare_part(pool, tested, store.data.resolve(), progress.preparing, classes)
            images = len(np.load(folder / "labels.npy", mmap_mode="r", allow_pickle=False))
            overlap = _compared(store, candidate.run, folder, progress) if data.compared else None
            parts[key] = TestPart(mark, folder, images, overlap)
    return parts


def _compared(store: Store, run: Run, test: Path, progress: Progress) -> dict[str, Any] | None:
    """Which test images are training images too; the user is warned of them."""
    train = store.data / cache_folder(run.image_recipe.data.name, run.data_fingerprint, "train")
    try:
        found = compare_folders(train, test)
    except DamagedError:  # `ablate run` says so, and decodes them again
        found = None
    if found is None:
        progress.say("the decoded training images are not here: they were not compared with the test images", "dim")
    elif shared := in_words(found, len(read_names(test))):
        progress.say(f": {shared}", "warning", "warning")
    return found


def _task(store: Store, candidate: Candidate, parts: dict[str, TestPart], threads: int) -> Evaluate:
    run = candidate.run
    return Evaluate(
        run, store.run(run.folder).path.resolve(), parts[source_key(run.image_recipe.data)].folder, "cpu", threads
    )


def _evaluate(
    jobs: list[Evaluate], pool: LocalPool, progress: Progress
) -> tuple[list[Evaluated], list[tuple[Run, str]]]:
    """(what came of the runs, those that failed with what they said). Nothing is written."""
    by_folder = {job.run.folder: job for job in jobs}
    found: list[Evaluated] = []
    failed: list[tuple[Run, str]] = []
    attempts = dict.fromkeys(by_folder, 1)
    for job in jobs:
        pool.submit(job)
    for event in pool.events():
        progress.event(event)
        match event:
            case Evaluated():
                found.append(event)
            case Failed(run) if event.kind in ("lost", "hung") and attempts[run.folder] < MOST_ATTEMPTS:
                attempts[run.folder] += 1
                pool.submit(by_folder[run.folder])
            case Failed(run):
                failed.append((run, event.message))
            case _:
                pass
    return found, failed


def _write(store: Store, manifest: Manifest, log: TestSetLog, done: list[Tested], command: str) -> None:
    """The record first, then what came of it: there is never a figure on disk whose evaluation is not on record."""
    used = {source_key(own.candidate.run.image_recipe.data): own.part for own in done}.values()
    names, prints = sorted(own.candidate.run.folder for own in done), " + ".join(part.fingerprint for part in used)
    evaluation = make_evaluation(names, prints, sum(part.images for part in used), command)
    shared = [part.overlap for part in used if part.overlap and (part.overlap["copies"] or part.overlap["near"])]
    evaluation |= {"overlap": shared} if shared else {}
    append_evaluation(store, manifest.folder, *log.restored, evaluation)
    for candidate, part, result in done:
        folder = store.run(candidate.run.folder)
        _write_arrays(predictions_file(folder, "test"), result)
        outcome = Outcome(
            accuracy=result.accuracy,
            loss=result.loss,
            images=part.images,
            fingerprint=part.fingerprint,
            time=evaluation["time"],
            study=manifest.folder,
            weights_sha256=candidate.record.weights_sha256 or "",
        )
        write_outcome(folder, outcome)


def _write_arrays(path: Path, own: Evaluated) -> None:
    replace(path, lambda file: np.savez_compressed(file, allow_pickle=False, **own.arrays))


def _accuracies(manifest: Manifest, done: list[Tested]) -> dict[str, list[float]]:
    accuracies: dict[str, list[float]] = {variant.name: [] for variant in manifest.variants}
    for candidate, _, result in done:
        for variant in candidate.variants:
            accuracies[variant].append(result.accuracy)
    return {variant: values for variant, values in accuracies.items() if values}
