"""`ablate test`: the test part of a study's data, shown to the networks that validation chose, once and on record."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from rich.console import Console
from rich.markup import escape

from ablation.arrays import DamagedError, read_names
from ablation.console import Preparer, make_console, percent
from ablation.duplicates import compare_folders, in_words
from ablation.errors import UserError
from ablation.fingerprint import cache_folder, fingerprint
from ablation.load import study_of
from ablation.manifest import Manifest
from ablation.openings import append_opening, make_opening, openings_file, outcome_file, read_openings
from ablation.own_models import find
from ablation.plan import Run, canonical_json, source_key
from ablation.predictions import predictions_file
from ablation.protocol import Evaluate, Evaluated, Failed, Prepare
from ablation.record import SCHEMA_VERSION, RunRecord
from ablation.runner.local import LocalPool
from ablation.runner.study import MOST_ATTEMPTS
from ablation.store import RunFolder, Store, replace, write_json
from ablation.study import ImageFolder, Variant
from ablation.words import plural

LOCK_PATIENCE = 2.0
"""Seconds to wait for another command that is opening the same test set."""


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


def test_study(store: Store, manifest: Manifest, options: argparse.Namespace) -> int:
    """Evaluate every finished run of a study on the test part, record that, and return the exit code.

    Raises UserError where the study is unfinished (unless `--partial`), or was opened before (unless `--again`).
    """
    path = openings_file(store, manifest.folder)
    try:
        with FileLock(path.with_name("openings.lock"), timeout=LOCK_PATIENCE):
            return _open(store, manifest, options)
    except Timeout:
        raise UserError(f"another command is opening the test set of {manifest.name!r}", "wait for its end") from None


def _open(store: Store, manifest: Manifest, options: argparse.Namespace) -> int:
    console = make_console()
    openings = read_openings(store, manifest.folder)
    candidates = find_candidates(store, manifest)
    if openings and not options.again:
        raise _opened_before(manifest, openings, candidates)
    _refuse_unfinished(store, manifest, candidates, partial=options.partial)
    _announce(console, manifest, candidates, openings, openings_file(store, manifest.folder))
    with LocalPool(options.device, options.per_device, options.threads, options.hang_after) as pool:
        parts = _prepare(candidates, store, pool, console)
        found, failed = _evaluate(candidates, parts, store, pool, options.threads, console)
    for run, message in failed:
        console.print(f"[red]failed[/]   {escape(run.label)}: {escape(message)}")
    if failed and not (options.partial and found):
        console.print(
            "nothing was opened: no figure was written or shown; mend this, or delete and train these runs anew"
        )
        return 2
    _write(store, manifest, found, parts, options.command_line)
    _show(console, manifest, candidates, found)
    return 2 if failed else 0


def find_candidates(store: Store, manifest: Manifest) -> dict[str, Candidate]:
    """The runs of a study that are finished and did not diverge, by run folder."""
    variants, kept = _variants(store, manifest), store.study_file(manifest.folder).parent
    candidates: dict[str, Candidate] = {}
    for arm in manifest.arms:
        for block in manifest.seeds:
            name = manifest.run_folder(arm.name, block)
            record = store.run(name).record()
            if record is None or record.status == "diverged":
                continue
            shared = candidates[name].variants if name in candidates else ()
            recipe = variants[arm.name].recipe
            code = find(recipe.model.name, kept) if recipe.model.is_own else None
            run = Run(arm.name, block, record.seed, recipe, record.data_fingerprint, record.key, name, code=code)
            candidates[name] = Candidate(run, record, (*shared, arm.name))
    return candidates


def _variants(store: Store, manifest: Manifest) -> dict[str, Variant]:
    """The variants as they were run, with the places of their data, which the manifest leaves to its study file."""
    path = store.study_file(manifest.folder)
    study = study_of(manifest.source, path, overrides=manifest.overrides, smoke=manifest.smoke)
    variants = {variant.name: variant for variant in study.variants}
    for arm in manifest.arms:
        own = variants.get(arm.name)
        if own is None or canonical_json(own.recipe.canonical()) != canonical_json(arm.recipe):
            message = f"the variant {arm.name!r} is not what this version makes of the study file in {path}"
            raise UserError(message, f"run the study again: {manifest.command}")
    return variants


def _opened_before(
    manifest: Manifest, openings: Sequence[dict[str, object]], candidates: dict[str, Candidate]
) -> UserError:
    last = openings[-1]
    times = "" if len(openings) == 1 else f" {len(openings)} times, last"
    seen = {name for opening in openings for name in opening["runs"]}  # type: ignore[attr-defined]
    later = len(candidates.keys() - seen)
    message = (
        f"the test set of {manifest.name!r} was opened{times} on {last['time']} by {last['user']} on {last['host']}"
    )
    message += f"; {plural(later, 'run')} finished since were never shown it" if later else ""
    hint = "nothing was evaluated; --again opens it once more, and the report says how often it was opened"
    return UserError(message, hint)


def _refuse_unfinished(store: Store, manifest: Manifest, candidates: dict[str, Candidate], *, partial: bool) -> None:
    names = {manifest.run_folder(arm.name, seed) for arm in manifest.arms for seed in manifest.seeds}
    unfinished = [name for name in names if not store.run(name).finished]
    if unfinished and not partial:
        verb = "is" if len(unfinished) == 1 else "are"
        message = f"{len(unfinished)} of {plural(len(names), 'run')} of {manifest.name!r} {verb} not finished"
        hint = "finish them first with ablate run; --partial opens the test set for the others now"
        raise UserError(message, hint)
    if not candidates:
        state = "is finished" if unfinished else "has a network: all diverged"
        raise UserError(f"no run of {manifest.name!r} {state}", "there is nothing to evaluate")


def _announce(
    console: Console,
    manifest: Manifest,
    candidates: dict[str, Candidate],
    openings: Sequence[dict[str, object]],
    path: Path,
) -> None:
    """Say what is about to happen before it happens."""
    runs = f"{plural(len(candidates), 'run')}, each at the epoch that validation chose"
    console.print(f"[bold]opening the test set of {escape(manifest.name)}[/]: {runs}")
    if openings:
        console.print(f"[yellow]it was opened before, so that this is opening {len(openings) + 1}[/]")
    else:
        console.print(
            "Until now no figure of this study comes from these images. From now on they are known: what is changed\n"
            "or chosen after this has seen the test set, and its test accuracy is no longer that of new images."
        )
    console.print(f"Who opened it, when, and for which runs is kept in {escape(str(path))}")


def _prepare(candidates: dict[str, Candidate], store: Store, pool: LocalPool, console: Console) -> dict[str, TestPart]:
    """The test part of every data source of the runs, by `source_key`. Raises UserError where one cannot be had."""
    parts: dict[str, TestPart] = {}
    for candidate in candidates.values():
        data, classes = candidate.run.recipe.data, candidate.record.classes
        key = source_key(data)
        if key not in parts:
            own = fingerprint(data, "test")
            folder = pool.prepare(Prepare(data, own, store.data.resolve(), "test", classes), Preparer(console))
            images = len(np.load(folder / "labels.npy", mmap_mode="r", allow_pickle=False))
            overlap = _compared(store, candidate.run, folder, console) if isinstance(data, ImageFolder) else None
            parts[key] = TestPart(own, folder, images, overlap)
    return parts


def _compared(store: Store, run: Run, test: Path, console: Console) -> dict[str, Any] | None:
    """Which test images are training images too; the user is warned of them."""
    train = store.data / cache_folder(run.recipe.data.name, run.data_fingerprint, "train")
    try:
        found = compare_folders(train, test)
    except DamagedError:  # `ablate run` says so, and decodes them again
        found = None
    if found is None:
        console.print("[dim]the decoded training images are not here: they were not compared with the test images[/]")
    elif shared := in_words(found, len(read_names(test))):
        console.print(f"[yellow]warning[/]: {escape(shared)}", soft_wrap=True)
    return found


def _evaluate(
    candidates: dict[str, Candidate],
    parts: dict[str, TestPart],
    store: Store,
    pool: LocalPool,
    threads: int,
    console: Console,
) -> tuple[dict[str, Evaluated], list[tuple[Run, str]]]:
    """(run folder -> what came of it, the runs that failed with what they said). Nothing is written."""
    tasks = {}
    for name, candidate in candidates.items():
        part = parts[source_key(candidate.run.recipe.data)]
        path = store.run(name).path.resolve()
        tasks[name] = Evaluate(candidate.run, path, part.folder, "cpu", threads)
        pool.submit(tasks[name])
    found: dict[str, Evaluated] = {}
    failed: list[tuple[Run, str]] = []
    attempts = dict.fromkeys(tasks, 1)
    with console.status("evaluating") as status:
        for event in pool.events():
            match event:
                case Evaluated(run):
                    found[run.folder] = event
                    status.update(f"evaluated {len(found)} of {plural(len(tasks), 'run')}")
                case Failed(run) if event.kind in ("lost", "hung") and attempts[run.folder] < MOST_ATTEMPTS:
                    attempts[run.folder] += 1
                    pool.submit(tasks[run.folder])
                case Failed(run):
                    failed.append((run, event.message))
                case _:
                    pass
    return found, failed


def _write(
    store: Store, manifest: Manifest, found: dict[str, Evaluated], parts: dict[str, TestPart], command: str
) -> None:
    """The opening first, then what it showed: there is never a figure on disk whose opening is not on record."""
    used = {key: parts[key] for key in dict.fromkeys(source_key(own.run.recipe.data) for own in found.values())}
    prints = " + ".join(part.fingerprint for part in used.values())
    opening = make_opening(sorted(found), prints, sum(part.images for part in used.values()), command)
    shared = [
        part.overlap for part in used.values() if part.overlap and (part.overlap["copies"] or part.overlap["near"])
    ]
    append_opening(store, manifest.folder, opening | ({"overlap": shared} if shared else {}))
    for name, own in found.items():
        part = parts[source_key(own.run.recipe.data)]
        _write_outcome(store.run(name), own, part, opening["time"])


def _write_outcome(folder: RunFolder, own: Evaluated, part: TestPart, time: str) -> None:
    arrays = dict(own.arrays)
    replace(predictions_file(folder, "test"), lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))
    outcome = {
        "schema_version": SCHEMA_VERSION,
        "accuracy": own.accuracy,
        "loss": own.loss if math.isfinite(own.loss) else None,
        "images": part.images,
        "fingerprint": part.fingerprint,
        "time": time,
    }
    write_json(outcome_file(folder), outcome)


def _show(console: Console, manifest: Manifest, candidates: dict[str, Candidate], found: dict[str, Evaluated]) -> None:
    """The mean test accuracy of every variant over its seeds."""
    accuracies: dict[str, list[float]] = {}
    for name, own in found.items():
        for variant in candidates[name].variants:
            accuracies.setdefault(variant, []).append(own.accuracy)
    width = max(len(variant) for variant in accuracies)
    for arm in manifest.arms:
        if arm.name in accuracies:
            seeds = accuracies[arm.name]
            mean = percent(sum(seeds) / len(seeds))
            console.print(f"  {escape(arm.name.ljust(width))}  {mean:>7}  mean of {plural(len(seeds), 'seed')}")
    console.print("the opening is on record; next: [bold]ablate report[/]")
