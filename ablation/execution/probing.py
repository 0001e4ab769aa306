"""`ablate plan --probe`: how long a study would take on this machine, from a few timed steps of each variant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ablation.execution.local import LocalPool
from ablation.execution.options import WorkerOptions
from ablation.execution.study import prepare_data, still_to_do
from ablation.planning.plan import Plan, source_key
from ablation.storage.store import Store
from ablation.training.task import Task
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
    with LocalPool(workers.device, None, workers.threads, workers.hang_after) as pool:
        data = prepare_data(todo, store, pool, lambda _: None)
        for run in todo:
            if run.variant not in seconds:
                folder = store.run(run.folder).path.resolve()
                task = Task(run, folder, data[source_key(run.recipe.data)], pool.places[0], workers.threads)
                probe = Call(partial(calls.probe, task=task), f"{run.label} was tried")
                seconds[run.variant] = pool.call(probe).seconds
        count = min(len(todo), len(pool.places))
    return Estimate(seconds, sum(seconds[run.variant] for run in todo) / count, count)
