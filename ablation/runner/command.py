"""`ablate run`: from a checked study to finished runs, with the terminal kept informed."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.markup import escape

from ablation.console import Preparer, StudyProgress, duration, make_console
from ablation.errors import UserError
from ablation.manifest import Manifest, make_manifest
from ablation.plan import Plan, Run, slug
from ablation.registry import suggestion
from ablation.runner.code import announce_code
from ablation.runner.local import LocalPool
from ablation.runner.study import Outcome, plan_study, prepare_data, still_to_do, train_runs
from ablation.store import Store, read_json, write_json
from ablation.study import Study


def run_study(study: Study, options: argparse.Namespace) -> int:
    """Train what is still to be trained of `study` and return the exit code."""
    console = make_console()
    store = Store(options.results)
    plan = plan_study(study)
    runs = _chosen(plan, options.only)
    manifest = make_manifest(plan, options.command_line, _seen(store, slug(study.name)))
    write_json(store.study_file(manifest.folder), manifest.to_json())
    announce_code(plan, store.study_file(manifest.folder).parent, console)
    todo = still_to_do(runs, store)
    done = len({run.key for run in runs}) - len(todo)
    arms = len({run.variant for run in runs})
    size = f"{arms} variants x {len(study.seeds)} seeds"
    console.print(f"[bold]{escape(study.name)}[/]: {size}, {done} of {len(todo) + done} runs done")
    if study.smoke:
        console.print("[yellow]smoke run: tiny subset, the figures mean nothing[/]")
    if not todo:
        console.print("nothing left to train; next: [bold]ablate report[/]")
        return 0
    with LocalPool(options.device, options.workers, options.threads) as pool:
        data = prepare_data(todo, store, pool, Preparer(console))
        workers = min(len(todo), len(pool.places))
        progress = StudyProgress(console, study.name, len(todo) + done, done, todo, workers)
        with progress.showing():
            outcome = train_runs(todo, data, store, pool, options.threads, progress, progress.stopping)
    return _conclude(console, outcome, duration(progress.elapsed))


def _seen(store: Store, folder: str) -> Manifest | None:
    """The study's manifest so far, if any of its runs is finished: then there were results to be seen."""
    path = store.study_file(folder)
    if not path.exists():
        return None
    manifest = Manifest.from_json(read_json(path))
    folders = (name for seeds in manifest.folders.values() for name in seeds.values())
    return manifest if any(store.run(name).finished for name in folders) else None


def _chosen(plan: Plan, only: list[str]) -> list[Run]:
    """The runs of the variants that `--only` names. Raises UserError for a name that the study does not have."""
    names = [variant.name for variant in plan.study.variants]
    for name in only:
        if name not in names:
            raise UserError(f"--only {name}: no such variant in {plan.study.name}", suggestion(name, names))
    return [run for run in plan.runs if not only or run.variant in only]


def _conclude(console: Console, outcome: Outcome, elapsed: str) -> int:
    """Say what came of it, and what to do next."""
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
