"""From a valid study to finished runs: what is trained, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

from ablation._util.formatting import plural
from ablation._util.hashing import slug
from ablation.errors import StorageError, UserError
from ablation.execution.custom_code import uses_torch
from ablation.execution.local import TaskCode
from ablation.execution.loggers.progress import LoggedProgress, log_to
from ablation.execution.manifest import write_manifest
from ablation.execution.metrics import compute_metrics, metric_codes
from ablation.execution.options import RunOptions
from ablation.execution.phrases import SMOKE, SMOKE_TASK, study_size
from ablation.execution.progress import Progress
from ablation.execution.spending import note_spent
from ablation.execution.stages import Stage, Stages
from ablation.execution.study import (
    Executor,
    Outcome,
    plan_study,
    prepare_data,
    relative_costs,
    train_runs,
)
from ablation.planning.fixes import fixes_of
from ablation.planning.plan import Plan
from ablation.planning.run import Run
from ablation.registry.catalog import suggestion
from ablation.registry.metrics import check_packages
from ablation.storage.audit_file import audit_file
from ablation.storage.store import MOST_ATTEMPTS, Store
from ablation.storage.stored_run import finished_runs
from ablation.study.schema import Study
from ablation.study.tasks import TaskRecipe, check_units


def run_study(study: Study, store: Store, options: RunOptions, progress: Progress) -> Outcome:
    """Train the runs of a study that are not finished.

    Raises UserError where the study cannot be run as it is, and StorageError where results cannot be written. A run
    that fails is in the outcome.
    """
    names = study.log if options.log is None else options.log
    timed = note_spent(progress, study, store, options.workers)
    with log_to(names, study, store, timed) as logged:
        return _run_study(study, store, options, logged)


def _run_study(study: Study, store: Store, options: RunOptions, progress: LoggedProgress) -> Outcome:
    check_packages(study.metrics)
    metric_codes(study)  # a module that is missing is an error before training
    plan = plan_study(study)
    runs = _chosen(plan, options.only)
    manifest = write_manifest(plan, store, options, progress)
    finished = finished_runs(runs, store)
    progress.finished(runs, finished)
    measure = partial(_measure, study, plan.runs, store, progress)
    stages = Stages(plan, manifest, store, runs, measure, options.retry_failed)
    stage = stages.next(finished)
    _announce(stages, stage, progress)
    if study.task:
        check_reported(study, runs, store)
    if not stage.todo:
        _compute_metrics(study, runs, store, progress)
        return Outcome(given_up=list(stage.gave_up), left_out=stages.left_out())
    trained_on = {record.environment.device for record in finished.values()}
    code = TaskCode(uses_torch(plan)) if study.task else None
    with options.workers.open_pool(trained_on, code) as pool:
        for reason in pool.unusable:
            progress.say(f"not used: {reason}", "warning")
        if trained_on.isdisjoint(pool.models) and trained_on and pool.models:
            _announce_other_device(trained_on, pool.models, progress)
        left_out = stages.left_out()
        outcome = _train(stages, stage, pool, progress)
    if outcome.storage:
        hint = "each run is kept up to its last complete epoch; fix this and run the same command again"
        raise StorageError(outcome.storage, hint)
    if study.task:
        check_reported(study, runs, store)
    elif not outcome.stopped:
        _compute_metrics(study, runs, store, progress)
    return replace(outcome, left_out=stages.left_out() if stages.sequential else left_out)


def _train(stages: Stages, stage: Stage, pool: Executor, progress: Progress) -> Outcome:
    """Train the runs of a stage, and in a sequential study those that follow from their results."""
    store, outcome = stages.store, Outcome(given_up=list(stage.gave_up))
    coming = stages.to_come() if stages.sequential else list(stage.todo)
    data = prepare_data(coming, store, pool, progress.preparing)
    costs = relative_costs(coming, data, pool) if stages.sequential else None
    start = time.monotonic()
    while stage.todo:
        outcome.add(
            train_runs(stage.todo, data, store, pool, progress, stages.manifest.name, stage.done, known_costs=costs)
        )
        if outcome.stopped or outcome.storage or not stages.sequential:
            break
        before = stages.looks
        stage = stages.next(failed={run.key for run, _ in outcome.failed})
        for number in range(before + 1, stages.looks + 1):
            progress.say(stages.line(number), "title")
        known = {run.key for run in outcome.given_up}
        late = [run for run in stage.gave_up if run.key not in known]
        _announce_given_up(late, progress)
        outcome.given_up += late
    return replace(outcome, seconds=time.monotonic() - start)


def _measure(study: Study, runs: Sequence[Run], store: Store, progress: Progress) -> None:
    """See that every finished run has the metric by which a look decides."""
    if study.task:
        check_reported(study, runs, store)
    else:
        _compute_metrics(study, runs, store, progress)


def _compute_metrics(study: Study, runs: Sequence[Run], store: Store, progress: Progress) -> None:
    compute_metrics(study, runs, store, store.study_file(slug(study.name)).parent, progress)


def _announce(stages: Stages, stage: Stage, progress: Progress) -> None:
    """Say how large the study is, how far it has come, and what of it one may not expect."""
    study, store = stages.plan.study, stages.store
    size = study_size(len({run.variant for run in stages.chosen}), len(study.seeds), at_most=stages.sequential)
    up_to = f" up to {stages.current}" if stages.sequential else ""
    progress.say(f": {size}, {stage.done} of {plural(stage.size, 'run')}{up_to} finished", "title", study.name)
    if study.smoke:
        progress.say(SMOKE_TASK if study.task else SMOKE, "warning")
    if study.task and not study.smoke and not stage.done and not audit_file(store, slug(study.name)).exists():
        progress.say(f"not audited: `ablate audit {study.file}` checks reproducibility and the use of seeds", "dim")
    if stages.looks:
        progress.say(stages.line(stages.looks))
    _announce_given_up(stage.gave_up, progress)
    _announce_retraining(stage.todo, store, progress)


def check_reported(study: Study, runs: Sequence[Run], store: Store) -> None:
    """Raise UserError where finished runs lack the primary metric, or have values that cannot be in its unit.

    The runs are kept: it is the study file that is wrong.
    """
    recipe = study.baseline.recipe
    assert isinstance(recipe, TaskRecipe)
    records = [record for record in finished_runs(runs, store).values() if record.status == "finished"]
    lacking = [record for record in records if recipe.primary not in record.metrics]
    if lacking:
        known = list(dict.fromkeys(name for record in lacking for name in record.metrics))
        what = f"{plural(len(lacking), 'finished run')} reported no {recipe.primary!r}"
        hint = f"{suggestion(recipe.primary, known)}; correct metrics in {study.file}: nothing is trained again"
        raise UserError(f"{what}; reported were: {', '.join(known)}", hint)
    for record in records:
        check_units(record.metrics, study.declared, study.file)


def _announce_given_up(runs: Sequence[Run], progress: Progress) -> None:
    if not runs:
        return
    names = ", ".join(run.label for run in runs[:3]) + (", ..." if len(runs) > 3 else "")
    what = "1 run has" if len(runs) == 1 else f"{len(runs)} runs have"
    progress.say(
        f"{what} failed {MOST_ATTEMPTS} times and {'is' if len(runs) == 1 else 'are'} left out ({names}); "
        "ablate status shows why, and --retry failed tries again",
        "warning",
    )


def _announce_retraining(runs: Sequence[Run], store: Store, progress: Progress) -> None:
    """Say which runs have results of an earlier version that trained them to other weights."""
    again = [run for run in runs if any(store.run(folder).finished for folder in run.earlier)]
    if again:
        what = "1 run is" if len(again) == 1 else f"{len(again)} runs are"
        why = dict.fromkeys(fix.what for run in again for fix in fixes_of(run.image_recipe))
        progress.say(f"{what} trained again: {'; '.join(why)}, so their weights change", "warning")


def _announce_other_device(before: Collection[str], now: Collection[str], progress: Progress) -> None:
    """Say that a comparison of the runs to come with the finished ones is one of devices too."""
    was, will_be = (", ".join(sorted(models)) for models in (before, now))
    progress.say(
        f"the finished runs were trained on {was}, the others will be on {will_be}: devices give "
        "different bits, and the report warns where a comparison mixes them",
        "warning",
        "notice   ",
    )


def _chosen(plan: Plan, only: Collection[str]) -> list[Run]:
    """The runs of the variants that `--only` names. Raises UserError for a name that the study does not have."""
    names = [variant.name for variant in plan.study.variants]
    for name in only:
        if name not in names:
            raise UserError(f"--only {name}: no such variant in {plan.study.name}", suggestion(name, names))
    return [run for run in plan.runs if not only or run.variant in only]
