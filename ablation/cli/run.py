"""`ablate run`: from a checked study to finished runs, with the terminal kept informed."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from ablation._util.files import set_aside, writing
from ablation._util.formatting import plural
from ablation._util.hashing import slug
from ablation._util.sanitize import clean
from ablation.cli.console import SMOKE, Preparer, StudyProgress, duration, make_console, study_size
from ablation.data.fingerprint import DECODED
from ablation.errors import StorageError, UnreadableError, UserError
from ablation.execution.custom_code import announce_code
from ablation.execution.local import LocalPool
from ablation.execution.study import (
    MOST_ATTEMPTS,
    Outcome,
    given_up,
    plan_study,
    prepare_data,
    still_to_do,
    train_runs,
    without,
)
from ablation.planning.fixes import fixes_of
from ablation.planning.plan import Plan, Run
from ablation.registry.catalog import suggestion
from ablation.storage.manifest import Manifest, make_manifest, read_manifest
from ablation.storage.store import Store, write_record
from ablation.storage.stored_run import finished_runs
from ablation.study.load import load_study
from ablation.study.schema import Study

if TYPE_CHECKING:
    from ablation.execution.cluster import RayPool


def run_study(study: Study, options: argparse.Namespace) -> int:
    """Train the runs of `study` that are not finished and return the exit code."""
    console = make_console()
    store = Store(options.results)
    plan = plan_study(study)
    runs = _chosen(plan, options.only)
    before = _stored(store, slug(study.name), console)
    if before:
        _refuse_other_study(before, study, store)
    seen = before if before and _any_finished(before, store) else None
    judged = seen is not None and _could_be_judged(seen, store)
    file = os.path.relpath(Path(study.file).resolve(), store.root.resolve())
    manifest = make_manifest(plan, options.command_line, seen, judged=judged, file=clean(file))
    if before and not options.new_data:
        _refuse_changed_data(before, manifest, store)
    with writing(store.root):
        store.study_file(manifest.folder).parent.mkdir(parents=True, exist_ok=True)
    write_record(store.study_file(manifest.folder), manifest.to_json())
    announce_code(plan, store.study_file(manifest.folder).parent, console)
    finished = finished_runs(runs, store)
    todo = without(runs, finished)
    distinct = len({run.key for run in runs})
    done = distinct - len(todo)
    resting = {} if options.retry else {run.key: run for run in given_up(todo, store)}
    todo = [run for run in todo if run.key not in resting]
    size = study_size(len({run.variant for run in runs}), len(study.seeds))
    console.print(f"[bold]{escape(study.name)}[/]: {size}, {done} of {plural(distinct, 'run')} finished")
    if study.smoke:
        console.print(SMOKE, style="yellow")
    if resting:
        _print_given_up(list(resting.values()), console)
    _announce_retraining(todo, store, console)
    following = _what_follows(plan, runs, store, options)
    if not todo:
        console.print(f"nothing left to train; {following}")
        return 2 if resting else 0
    trained_on = {record.environment.device for record in finished.values()}
    with _open_pool(options, trained_on) as pool:
        for reason in pool.unusable:
            console.print(f"[yellow]not used: {escape(reason)}[/]")
        if trained_on.isdisjoint(pool.models) and trained_on and pool.models:
            _announce_other_device(trained_on, pool.models, console)
        data = prepare_data(todo, store, pool, Preparer(console))
        workers = min(len(todo), len(pool.places))
        progress = StudyProgress(console, study.name, len(todo) + done, done, todo, workers)
        with progress.showing():
            outcome = train_runs(todo, data, store, pool, options.threads, progress, progress.stopping)
    return _conclude(console, outcome, duration(progress.elapsed), following)


def _what_follows(plan: Plan, runs: list[Run], store: Store, options: argparse.Namespace) -> str:
    """What to do once `runs` are finished: the report, or the runs that `--only` left out."""
    chosen = {run.key for run in runs}
    others = still_to_do([run for run in plan.runs if run.key not in chosen], store)
    if others:
        verb = "is" if len(others) == 1 else "are"
        return f"{plural(len(others), 'run')} of the study {verb} not finished: leave out --only to train the rest"
    place = "" if options.results == Path("results") else f" --results {shlex.quote(str(options.results))}"
    return f"next: [bold]ablate report{escape(place)}[/]"


def _refuse_other_study(before: Manifest, study: Study, store: Store) -> None:
    """Raise UserError where another study has the same name or folder, so that its study.json would be replaced."""
    hint = "give one of them another name (study: NAME)"
    if before.name != study.name:
        message = f"the study {study.name!r} would replace {before.name!r}: both have the folder {before.folder}/"
        raise UserError(message, hint)
    other = Path(os.path.normpath(store.root.resolve() / before.file))
    try:
        if not before.file or other.samefile(study.file):
            return
        known = load_study(other, overrides=before.overrides, smoke=before.smoke, need_data=False)
    except (UserError, OSError):  # the study was moved here, or is no longer there
        return
    if known.name == study.name and known.source != study.source:
        raise UserError(f"two study files are named {study.name!r}: {other} was run before {study.file}", hint)


def _print_given_up(runs: list[Run], console: Console) -> None:
    names = ", ".join(run.label for run in runs[:3]) + (", ..." if len(runs) > 3 else "")
    what = "1 run has" if len(runs) == 1 else f"{len(runs)} runs have"
    console.print(
        f"[yellow]{what} failed {MOST_ATTEMPTS} times and {'is' if len(runs) == 1 else 'are'} left out[/] "
        f"({escape(names)}); [bold]ablate status[/] shows why, and [bold]--retry failed[/] tries again"
    )


def _announce_retraining(runs: list[Run], store: Store, console: Console) -> None:
    """Say which runs have results of an earlier version that trained them to other weights."""
    again = [run for run in runs if any(store.run(folder).finished for folder in run.earlier)]
    if again:
        what = "1 run is" if len(again) == 1 else f"{len(again)} runs are"
        why = dict.fromkeys(fix.what for run in again for fix in fixes_of(run.recipe))
        console.print(f"[yellow]{what} trained again[/]: {'; '.join(why)}, so their weights change")


def _announce_other_device(before: Collection[str], now: Collection[str], console: Console) -> None:
    """Say that a comparison of the runs to come with the finished ones is one of devices too."""
    was, will_be = (escape(", ".join(sorted(models))) for models in (before, now))
    console.print(
        f"[yellow]notice[/]   the finished runs were trained on {was}, the others will be on {will_be}: devices give "
        "different bits, and the report warns where a comparison mixes them"
    )


def _open_pool(options: argparse.Namespace, trained_on: Collection[str]) -> LocalPool | RayPool:
    """The workers that `--backend` asks for."""
    if options.backend == "ray":
        from ablation.execution.cluster import RayPool

        return RayPool(options.address, options.device, options.per_device, options.threads, options.hang_after)
    if options.address:
        raise UserError("--address names a Ray cluster", "add --backend ray")
    return LocalPool(options.device, options.per_device, options.threads, options.hang_after, trained_on)


def _stored(store: Store, folder: str, console: Console) -> Manifest | None:
    """The study's manifest so far; a damaged one is set aside, since this command writes it again."""
    path = store.study_file(folder)
    if not path.exists():
        return None
    try:
        return read_manifest(path)
    except UnreadableError as error:
        place = set_aside(path)
        console.print(f"[yellow]{escape(error.message)}; set aside as {escape(place.name)} and written again[/]")
        return None


def _any_finished(manifest: Manifest, store: Store) -> bool:
    """Whether there were results to be seen."""
    return any(store.run(name).finished for seeds in manifest.folders.values() for name in seeds.values())


def _could_be_judged(manifest: Manifest, store: Store) -> bool:
    """Whether the results allowed a verdict: a variant and the baseline had finished two common seeds."""
    done = {
        variant: {seed for seed, name in own.items() if store.run(name).finished}
        for variant, own in manifest.folders.items()
    }
    base = done.pop(manifest.baseline.name)
    return any(len(base & own) > 1 for own in done.values())


def _refuse_changed_data(before: Manifest, now: Manifest, store: Store) -> None:
    """Raise UserError where runs were started on other images than those that have the same name now."""
    begun = sum(store.run(name).started for seeds in before.folders.values() for name in seeds.values())
    changed = [key for key, mark in now.fingerprints.items() if before.fingerprints.get(key, mark) != mark]
    if begun and changed:
        was, is_now = before.fingerprints[changed[0]], now.fingerprints[changed[0]]
        if is_now == was + DECODED:
            raise UserError(
                f"some images of {now.name} are decoded differently now than when {plural(begun, 'run')} started: "
                "they have transparent pixels, more than 8 bits of grey, or an EXIF orientation",
                "give the study another name, or train all its runs again with --new-data",
            )
        raise UserError(
            f"the images of {now.name} have changed since {plural(begun, 'run')} started (from {was} to {is_now})",
            "restore the old images, give the study another name, or train all its runs again with --new-data",
        )


def _chosen(plan: Plan, only: list[str]) -> list[Run]:
    """The runs of the variants that `--only` names. Raises UserError for a name that the study does not have."""
    names = [variant.name for variant in plan.study.variants]
    for name in only:
        if name not in names:
            raise UserError(f"--only {name}: no such variant in {plan.study.name}", suggestion(name, names))
    return [run for run in plan.runs if not only or run.variant in only]


def _conclude(console: Console, outcome: Outcome, elapsed: str, following: str) -> int:
    """Print the outcome, and what to do next. Raises StorageError where results could not be written."""
    if outcome.storage:
        hint = "each run is kept up to its last complete epoch; fix this and run the same command again"
        raise StorageError(outcome.storage, hint)
    finished = len(outcome.done) + len(outcome.diverged)
    parts = [f"{plural(finished, 'run')} trained"]
    parts += [f"{len(outcome.diverged)} of them diverged"] if outcome.diverged else []
    parts += [f"[red]{len(outcome.failed)} failed[/]"] if outcome.failed else []
    console.print(f"{', '.join(parts)} in {elapsed}")
    for run, message in outcome.failed:
        console.print(f"  [red]{escape(run.label)}[/]: {escape(message)}")
    if outcome.stopped:
        console.print("stopped; the same command resumes from here")
    else:
        console.print(following)
    return 2 if outcome.failed else 1 if outcome.stopped else 0
