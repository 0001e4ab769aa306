"""`ablate run`: from a checked study to finished runs, with the terminal kept informed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from ablation.console import Preparer, StudyProgress, duration, make_console
from ablation.errors import StorageError, UnreadableError, UserError
from ablation.manifest import Manifest, make_manifest, read_manifest
from ablation.plan import Plan, Run, slug
from ablation.registry import suggestion
from ablation.runner.code import announce_code
from ablation.runner.local import LocalPool
from ablation.runner.study import MOST_ATTEMPTS, Outcome, given_up, plan_study, prepare_data, still_to_do, train_runs
from ablation.store import Store, set_aside, write_record, writing
from ablation.study import Study

if TYPE_CHECKING:
    from ablation.runner.cluster import RayPool


def run_study(study: Study, options: argparse.Namespace) -> int:
    """Train what is still to be trained of `study` and return the exit code."""
    console = make_console()
    store = Store(options.results)
    plan = plan_study(study)
    runs = _chosen(plan, options.only)
    before = _stored(store, slug(study.name), console)
    seen = before if before and _any_finished(before, store) else None
    judged = seen is not None and _could_be_judged(seen, store)
    manifest = make_manifest(plan, options.command_line, seen, judged=judged)
    if before and not options.new_data:
        _refuse_changed_data(before, manifest, store)
    with writing(store.root):
        store.study_file(manifest.folder).parent.mkdir(parents=True, exist_ok=True)
    write_record(store.study_file(manifest.folder), manifest.to_json())
    announce_code(plan, store.study_file(manifest.folder).parent, console)
    todo = still_to_do(runs, store)
    distinct = len({run.key for run in runs})
    done = distinct - len(todo)
    resting = {} if options.retry else {run.key: run for run in given_up(todo, store)}
    todo = [run for run in todo if run.key not in resting]
    arms = len({run.variant for run in runs})
    size = f"{arms} variants x {len(study.seeds)} seeds"
    console.print(f"[bold]{escape(study.name)}[/]: {size}, {done} of {distinct} runs done")
    if study.smoke:
        console.print("[yellow]smoke run: tiny subset, the figures mean nothing[/]")
    if resting:
        _tell_of_resting(list(resting.values()), console)
    if not todo:
        console.print("nothing left to train; next: [bold]ablate report[/]")
        return 2 if resting else 0
    with _open_pool(options) as pool:
        data = prepare_data(todo, store, pool, Preparer(console))
        workers = min(len(todo), len(pool.places))
        progress = StudyProgress(console, study.name, len(todo) + done, done, todo, workers)
        with progress.showing():
            outcome = train_runs(todo, data, store, pool, options.threads, progress, progress.stopping)
    return _conclude(console, outcome, duration(progress.elapsed))


def _tell_of_resting(runs: list[Run], console: Console) -> None:
    names = ", ".join(run.label for run in runs[:3]) + (", ..." if len(runs) > 3 else "")
    what = "1 run has" if len(runs) == 1 else f"{len(runs)} runs have"
    console.print(
        f"[yellow]{what} failed {MOST_ATTEMPTS} times and {'is' if len(runs) == 1 else 'are'} left out[/] "
        f"({escape(names)}); [bold]ablate status[/] says why, and [bold]--retry failed[/] tries again"
    )


def _open_pool(options: argparse.Namespace) -> LocalPool | RayPool:
    """The workers that `--backend` asks for."""
    if options.backend == "ray":
        from ablation.runner.cluster import RayPool

        return RayPool(options.address, options.device, options.per_device, options.threads)
    if options.address:
        raise UserError("--address names a Ray cluster", "add --backend ray")
    return LocalPool(options.device, options.per_device, options.threads, options.hang_after)


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
    """Raise UserError where runs were begun on other images than those that are there now under the same name."""
    begun = sum(store.run(name).started for seeds in before.folders.values() for name in seeds.values())
    changed = [key for key, mark in now.fingerprints.items() if before.fingerprints.get(key, mark) != mark]
    if begun and changed:
        was, is_now = before.fingerprints[changed[0]], now.fingerprints[changed[0]]
        raise UserError(
            f"the images of {now.name} have changed since {begun} of its runs were begun (from {was} to {is_now})",
            "put the old images back, give the study another name, or train all its runs again with --new-data",
        )


def _chosen(plan: Plan, only: list[str]) -> list[Run]:
    """The runs of the variants that `--only` names. Raises UserError for a name that the study does not have."""
    names = [variant.name for variant in plan.study.variants]
    for name in only:
        if name not in names:
            raise UserError(f"--only {name}: no such variant in {plan.study.name}", suggestion(name, names))
    return [run for run in plan.runs if not only or run.variant in only]


def _conclude(console: Console, outcome: Outcome, elapsed: str) -> int:
    """Say what came of it, and what to do next. Raises StorageError where results could not be written."""
    if outcome.storage:
        hint = "what is trained is kept, each run up to its last whole epoch; mend this and run the same command again"
        raise StorageError(outcome.storage, hint)
    finished = len(outcome.done) + len(outcome.diverged)
    parts = [f"{finished} runs trained"]
    parts += [f"{len(outcome.diverged)} of them diverged"] if outcome.diverged else []
    parts += [f"[red]{len(outcome.failed)} failed[/]"] if outcome.failed else []
    console.print(f"{', '.join(parts)} in {elapsed}")
    for run, message in outcome.failed:
        console.print(f"  [red]{escape(run.label)}[/]: {escape(message)}")
    if outcome.stopped:
        console.print("stopped before the end; the same command goes on from here")
    else:
        console.print("next: [bold]ablate report[/]")
    return 2 if outcome.failed else 1 if outcome.stopped else 0
