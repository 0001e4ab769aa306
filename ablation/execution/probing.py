"""`ablate plan --probe`: how long a study would take on this machine, from a few timed steps of each variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from ablation.errors import UserError
from ablation.execution.devices import default_sharing
from ablation.execution.local import LocalPool
from ablation.execution.options import WorkerOptions
from ablation.execution.study import prepare_data, still_to_do
from ablation.planning.job import Job
from ablation.planning.plan import Plan, Run
from ablation.storage.store import Store
from ablation.storage.stored_run import finished_runs
from ablation.worker import calls
from ablation.worker.calls import Call


@dataclass(frozen=True)
class Estimate:
    """Seconds that a run of each variant would take, and that all unfinished runs would take on so many workers."""

    seconds: dict[str, float]
    total: float
    workers: int


def estimate(plan: Plan, store: Store, workers: WorkerOptions) -> Estimate:
    """Time the variants that have runs to do, one after another, on the first worker."""
    todo = still_to_do(plan.runs, store)
    seconds: dict[str, float] = {}
    if not todo:
        return Estimate(seconds, 0.0, 0)
    if plan.study.task:
        return _of_finished(plan, todo, store, workers)
    with LocalPool(workers.device, None, workers.threads, workers.hang_after) as pool:
        data = prepare_data(todo, store, pool, lambda _: None)
        for run in todo:
            if run.variant not in seconds:
                folder = store.run(run.folder).path.resolve()
                job = Job(run, folder, data[run.key], pool.places[0], workers.threads)
                probe = Call(partial(calls.probe, job=job), f"{run.label} was tried")
                seconds[run.variant] = pool.call(probe).seconds
        count = min(len(todo), len(pool.places))
    return Estimate(seconds, sum(seconds[run.variant] for run in todo) / count, count)


def _of_finished(plan: Plan, todo: Sequence[Run], store: Store, workers: WorkerOptions) -> Estimate:
    """What finished runs took: functions and commands are not timed in steps. Raises UserError if none is finished."""
    taken: dict[str, list[float]] = {}
    finished = finished_runs(plan.runs, store)
    for run in plan.runs:
        if run.key in finished:
            taken.setdefault(run.variant, []).append(finished[run.key].train_seconds)
    if not taken:
        name = plan.study.baseline.name
        raise UserError(
            "no run of this study is finished, and a run of a function or command is timed as a whole",
            f"train one first: ablate run {plan.study.file} --only {name} --seeds {plan.study.seeds[0]}",
        )
    mean = fmean(second for own in taken.values() for second in own)
    seconds = {run.variant: fmean(taken.get(run.variant, [mean])) for run in todo}
    count = min(len(todo), workers.per_device or default_sharing(["cpu"], workers.threads))
    return Estimate(seconds, sum(seconds[run.variant] for run in todo) / count, count)
