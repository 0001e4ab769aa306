"""`ablate noise`: the runs that tell the sources of randomness of one variant apart, trained like those of a study."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ablation._util.formatting import plural
from ablation._util.sanitize import one_line
from ablation.errors import StorageError, UserError
from ablation.execution.custom_code import announce_code, code_of, uses_torch
from ablation.execution.local import TaskCode
from ablation.execution.options import WorkerOptions
from ablation.execution.phrases import SMOKE, SMOKE_TASK
from ablation.execution.progress import Progress
from ablation.execution.run import check_reported
from ablation.execution.study import Outcome, given_up, plan_study, prepare_data, train_runs, without
from ablation.planning.noise import (
    NoiseDesign,
    Source,
    chosen_seeds,
    design_noise,
    function_sources,
    image_sources,
)
from ablation.planning.plan import Plan
from ablation.planning.run import Run
from ablation.registry.catalog import suggestion
from ablation.results.noise import NoiseRuns, chosen_metric, load_noise, value_of
from ablation.storage.record import RunRecord
from ablation.storage.store import Store
from ablation.storage.stored_run import finished_runs
from ablation.study.schema import Study, Variant
from ablation.study.tasks import CommandTask


@dataclass(frozen=True)
class NoiseOptions:
    """What to measure: the noise of a `variant` (None: the baseline) in a `metric` (None: the primary one).

    `seeds` is how many each source has (None: one square), `streams` name those that a function draws from where its
    runs do not say it. Runs that failed too often are tried again where `retry_failed` is set.
    """

    workers: WorkerOptions = field(default_factory=WorkerOptions)
    variant: str | None = None
    metric: str | None = None
    seeds: int | None = None
    streams: tuple[str, ...] = ()
    retry_failed: bool = False


def measure_noise(
    study: Study, store: Store, options: NoiseOptions, progress: Progress
) -> tuple[NoiseRuns | None, Outcome]:
    """Train the runs of the design that are not finished, and read them all; None where some did not finish.

    Raises UserError where the sources of noise cannot be told apart, or the study cannot be run as it is, and
    StorageError where results cannot be written.
    """
    if isinstance(study.task, CommandTask):
        what = "a command draws everything from the seed that it is given: its sources of noise cannot be told apart"
        hint = "train with a function that draws each source from a stream of its own: task: {function: ...}"
        raise UserError(what, hint)
    chosen_metric(study, options.metric)  # an error before training
    if study.smoke:
        progress.say(SMOKE_TASK if study.task else SMOKE, "warning")
    own = replace(study, variants=(_variant(study, options.variant),))
    with tempfile.TemporaryDirectory(prefix="ablate-noise-", ignore_cleanup_errors=True) as folder:
        return _Measurement(own, store, options, progress, Path(folder)).run()


def _variant(study: Study, wanted: str | None) -> Variant:
    names = [variant.name for variant in study.variants]
    if wanted is not None and wanted not in names:
        raise UserError(f"--variant {wanted}: no such variant in {study.name}", suggestion(wanted, names))
    return study.variants[0 if wanted is None else names.index(wanted)]


@dataclass
class _Measurement:
    """The noise of the one variant of `study`; `announced` is a folder for what was said of its code."""

    study: Study
    store: Store
    options: NoiseOptions
    progress: Progress
    announced: Path

    def run(self) -> tuple[NoiseRuns | None, Outcome]:
        """Find the sources, train their design, and read it."""
        sources, first = self._sources()
        if sources is None or first.stopped:
            return None, first
        seeds = chosen_seeds(self.study.seeds, sources, self.options.seeds)
        plan = plan_study(replace(self.study, seeds=seeds))
        design = design_noise(self.study.baseline.name, sources, plan.runs)
        self._announce(design)
        outcome = self._train(plan, design.runs)
        outcome = replace(
            outcome,
            done=[*first.done, *outcome.done],
            diverged=[*first.diverged, *outcome.diverged],
            seconds=first.seconds + outcome.seconds,
        )
        if len(finished_runs(design.runs, self.store)) < len(design.runs):
            return None, outcome
        return load_noise(self.study, design, self.store, self.options.metric), outcome

    def _sources(self) -> tuple[tuple[Source, ...] | None, Outcome]:
        """What the variant draws at random. A function shows it in its first run; None where that did not finish."""
        named = self.options.streams
        if self.study.task is None:
            if named:
                raise UserError("--streams is for functions", "leave it out: what an image classifier draws is known")
            return image_sources(self.study.baseline.image_recipe), Outcome()
        if named:
            return function_sources(named), Outcome()
        plan = plan_study(replace(self.study, seeds=self.study.seeds[:1]))
        (run,) = plan.runs
        if not finished_runs([run], self.store):
            text = ": the first run shows which random streams the function draws from"
            self.progress.say(text, "title", self.study.name)
        outcome = self._train(plan, [run])
        record = finished_runs([run], self.store).get(run.key)
        return (self._drawn(run, record) if record else None), outcome

    def _drawn(self, run: Run, record: RunRecord) -> tuple[Source, ...]:
        if record.drawn is None:
            what = f"{run.label} does not say which random streams the function draws from: it was resumed, or is old"
            raise UserError(what, "name them: --streams init,order (run.seed is what is drawn from run.seed itself)")
        if record.status == "finished":  # an error before the others are trained
            value_of(record, chosen_metric(self.study, self.options.metric), self.study)
        return function_sources(record.drawn)

    def _announce(self, design: NoiseDesign) -> None:
        done = len(finished_runs(design.runs, self.store))
        sources = ", ".join(one_line(source.name) for source in design.sources)
        size = f"{plural(len(design.runs), 'run')} of {one_line(design.variant)}, {done} finished"
        text = f": {size}; {plural(len(design.seeds), 'seed')} for each of {sources}"
        self.progress.say(text, "title", self.study.name)

    def _train(self, plan: Plan, runs: Sequence[Run]) -> Outcome:
        """Train those of the runs that are not finished."""
        finished = finished_runs(runs, self.store)
        todo = without(runs, finished)
        gave_up = [] if self.options.retry_failed else given_up(todo, self.store)
        todo = without(todo, {run.key for run in gave_up})
        if self.study.task:
            check_reported(self.study, runs, self.store)
        if not todo:
            return Outcome(given_up=gave_up)
        announce_code(code_of(plan), self.announced, lambda text: self.progress.say(text, "warning"))
        trained_on = {record.environment.device for record in finished.values()}
        code = TaskCode(uses_torch(plan)) if self.study.task else None
        with self.options.workers.open_pool(trained_on, code) as pool:
            for reason in pool.unusable:
                self.progress.say(f"not used: {reason}", "warning")
            data = prepare_data(todo, self.store, pool, self.progress.preparing)
            start = time.monotonic()
            outcome = train_runs(todo, data, self.store, pool, self.progress, self.study.name, len(finished))
        if outcome.storage:
            hint = "each run is kept up to its last complete epoch; fix this and run the same command again"
            raise StorageError(outcome.storage, hint)
        if self.study.task:
            check_reported(self.study, runs, self.store)
        return replace(outcome, given_up=gave_up, seconds=time.monotonic() - start)
