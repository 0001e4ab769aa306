"""How long runs take on this machine: from a few timed steps of each variant, or from runs that are finished."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean

from ablation._util.hashing import slug
from ablation.errors import UserError
from ablation.execution.custom_code import uses_torch
from ablation.execution.local import LocalPool, TaskCode
from ablation.execution.options import WorkerOptions
from ablation.execution.scheduling import wall_seconds
from ablation.execution.study import prepare_data, relative_costs
from ablation.planning.job import Job
from ablation.planning.plan import Plan
from ablation.planning.run import Run
from ablation.stats import Correction, correction
from ablation.storage.record import RunRecord
from ablation.storage.spent import Estimate, Method, RunTime, Setting, read_spent, timed_as, write_estimate
from ablation.storage.store import Store
from ablation.storage.stored_run import finished_runs
from ablation.worker.calls import Timing

MOST_LEARNED = 20
"""Earlier commands that an estimate learns from, the latest ones."""


@dataclass(frozen=True)
class Learned:
    """What earlier commands say: what estimates are multiplied by, and the seconds before the first run starts.

    `commands` is how many there are; `notices` are on those that cannot be read.
    """

    correction: Correction
    setup: float
    commands: int
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Total:
    """The seconds that a run of each variant takes, and that all runs take together; `low` to `high` is the range."""

    variants: dict[str, float]
    seconds: float
    low: float
    high: float


def measure(plan: Plan, runs: Sequence[Run], most: int, store: Store, options: WorkerOptions) -> Estimate:
    """How long a run of each variant among `runs` of a plan takes, on the workers that train up to `most` runs.

    Image classifiers are timed by a few steps while every worker takes steps; functions and commands by their finished
    runs. The estimate is stored with the study, so that `ablate run` can compare it with what it spends. Raises
    UserError where nothing can be timed.
    """
    trials = {run.variant: run for run in reversed(runs)}
    first = [run for run in runs if trials[run.variant] is run]
    if plan.study.task:
        found = _of_finished(plan, first, most, store, options)
    else:
        found = _of_steps(first, most, store, options)
    if not plan.study.smoke:
        write_estimate(store, slug(plan.study.name), found)
    return found


def learn(estimate: Estimate, store: Store) -> Learned:
    """What earlier commands in the same setting say of an estimate: how far off those were that they began with."""
    spent, faults = read_spent(store)
    alike = [own for own in spent if own.setting == estimate.setting][-MOST_LEARNED:]
    setup = fmean(own.setup for own in alike) if alike else estimate.setup
    notices = tuple(f"skipped: {fault.message}" for fault in faults)
    return Learned(correction([own.ratio for own in alike]), setup, len(alike), notices)


def total(plan: Plan, todo: Sequence[Run], estimate: Estimate, learned: Learned) -> Total:
    """What the runs `todo` of a plan take, whose variants have been timed."""
    seconds, (factor, low, high) = seconds_of(todo, estimate), learned.correction
    taken = {run.variant: factor * seconds[run.key] for run in todo}
    variants = {variant.name: taken[variant.name] for variant in plan.study.variants if variant.name in taken}
    wall, setup = wall_of(todo, seconds, estimate), learned.setup
    return Total(variants, setup + factor * wall, setup + low * wall, setup + high * wall)


def seconds_of(runs: Sequence[Run], estimate: Estimate) -> dict[str, float]:
    """The estimated seconds of runs, by their keys. Raises ValueError for a run of a variant that was not timed."""
    variants = {run.variant: estimate.seconds_of(run) for run in {run.variant: run for run in runs}.values()}
    found: dict[str, float] = {}
    for run in runs:
        seconds = variants[run.variant]
        if seconds is None:
            raise ValueError(f"{run.label} was not timed")
        found[run.key] = seconds
    return found


def wall_of(runs: Sequence[Run], seconds: dict[str, float], estimate: Estimate) -> float:
    """The seconds that runs take together, in the order in which `ablate run` starts them."""
    costs = dict.fromkeys(seconds, 1.0) if estimate.setting.method == "runs" else seconds
    return wall_seconds(runs, seconds, costs, estimate.setting.workers)


def _of_steps(trials: Sequence[Run], most: int, store: Store, options: WorkerOptions) -> Estimate:
    """Time a run of each variant by steps, as many of them at a time as there are workers."""
    began = time.monotonic()
    with LocalPool(options.device, options.per_device, options.threads, options.hang_after) as pool:
        setup = time.monotonic() - began
        data = prepare_data(trials, store, pool, lambda _: None)
        jobs = {
            run.key: Job(run, store.run(run.folder).path.resolve(), data[run.key], "cpu", options.threads)
            for run in trials
        }
        costs = relative_costs(trials, data, pool)
        began = time.monotonic()
        pool.autotune_workers(jobs[max(costs, key=lambda key: costs[key])], most)
        setup += time.monotonic() - began
        workers = min(len(pool.places), most)
        timings = _in_groups(list(jobs.values()), pool, workers)
        setting = _setting(pool, workers, options, "steps")
    return _estimate(setting, setup, {run.variant: _run_time(run, timings[timed_as(run.recipe)]) for run in trials})


def _in_groups(jobs: Sequence[Job], pool: LocalPool, workers: int) -> dict[tuple[str, int], list[Timing]]:
    """What the pool says of each recipe, by `timed_as`: equal ones are timed once, and no worker is ever idle."""
    distinct = list({timed_as(job.run.recipe): job for job in jobs}.values())
    found: dict[tuple[str, int], list[Timing]] = {}
    for first in range(0, len(distinct), workers):
        group = [distinct[(first + number) % len(distinct)] for number in range(workers)]
        for job, timing in zip(group, pool.time_runs(group), strict=True):
            found.setdefault(timed_as(job.run.recipe), []).append(timing)
    return found


def _run_time(run: Run, timings: Sequence[Timing]) -> RunTime:
    recipe, length = timed_as(run.recipe)
    seconds = fmean(timing.seconds + timing.checkpoints for timing in timings)
    return RunTime(recipe, length, seconds, fmean(timing.start for timing in timings))


def _of_finished(plan: Plan, trials: Sequence[Run], most: int, store: Store, options: WorkerOptions) -> Estimate:
    """What finished runs of this machine took: functions and commands are not timed in steps."""
    finished = {key: record for key, record in finished_runs(plan.runs, store).items() if _is_here(record)}
    taken: dict[str, list[float]] = {}
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
    began = time.monotonic()
    code = TaskCode(uses_torch(plan))
    with LocalPool(options.device, options.per_device, options.threads, options.hang_after, (), code) as pool:
        setting = _setting(pool, min(len(pool.places), most), options, "runs")
        setup = time.monotonic() - began
    times = {run.variant: RunTime(timed_as(run.recipe)[0], 1, fmean(taken.get(run.variant, [mean]))) for run in trials}
    return _estimate(setting, setup, times)


def _is_here(record: RunRecord) -> bool:
    """Whether a run was trained on this machine, as far as its record says."""
    return record.host in ("", platform.node())


def _setting(pool: LocalPool, workers: int, options: WorkerOptions, method: Method) -> Setting:
    return Setting(platform.node(), pool.models[0], workers, options.threads, method)


def _estimate(setting: Setting, setup: float, variants: dict[str, RunTime]) -> Estimate:
    return Estimate(datetime.now(UTC).isoformat(timespec="seconds"), setting, setup, variants)
