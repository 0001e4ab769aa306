"""`ablate audit`: a few runs in a folder that is thrown away, and what they show of the code of a study."""

from __future__ import annotations

import itertools
import math
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import ablation.analysis.audit as compare
from ablation._util.formatting import duration, plural
from ablation._util.hashing import canonical_json, slug
from ablation._util.nested import leaves
from ablation._util.sanitize import one_line
from ablation.analysis.audit import Series
from ablation.errors import UserError
from ablation.execution.code_folders import changed, code_folders, hashed_files, snapshot
from ablation.execution.custom_code import announce_code, announce_command, code_of, uses_torch
from ablation.execution.local import LocalPool, TaskCode
from ablation.execution.options import WorkerOptions
from ablation.execution.progress import Progress
from ablation.execution.study import Executor, check_task, plan_study
from ablation.planning.job import Job
from ablation.planning.run import Run
from ablation.storage.audit_file import Audit, Check, write_audit
from ablation.storage.record import RunRecord
from ablation.storage.store import RunFolder, Store
from ablation.study.schema import Study
from ablation.study.tasks import CommandTask
from ablation.tasks.preflight import rejected_options
from ablation.worker.protocol import Done, Failed, Started

SEEDS = 3
"""That are tried at most: a third where two give the same metrics."""
_UNKNOWN = re.compile(
    r"unrecognized arguments?: (?P<argparse>.+)|[Nn]o such option:? (?P<click>\S+)"
    r"|Could not override '(?P<hydra>[^']+)'|Key '(?P<struct>[^']+)' is not in struct"
)
"""How scripts say that they do not know an option."""
STOP_SECONDS = 5.0
"""That a run has to stop once the time is over, before it is ended."""
_FILES_SHOWN = 3


@dataclass(frozen=True)
class AuditOptions:
    """On which workers to try runs, and for how many seconds at most; `command` is what was typed."""

    workers: WorkerOptions
    seconds: float = 120.0
    command: str = ""


class Trial(NamedTuple):
    """One run of an audit; `time` counts those of the same variant and seed."""

    variant: str
    seed: int
    time: int = 1


def audit_study(study: Study, tried: Study, store: Store, options: AuditOptions, progress: Progress) -> Audit:
    """Try the code of a study, and keep what was seen beside its results.

    `tried` is the study as it is run here: the same, or cut by its `smoke`. Raises UserError where its code cannot be
    started, or no run ends in time, and StorageError where the audit cannot be kept.
    """
    full = plan_study(study)
    seeds = _seeds(study.seeds)
    planned = plan_study(replace(tried, seeds=seeds)).runs
    runs = {(run.variant, run.block): replace(run, code_digest="") for run in planned}  # each says what it writes
    first = runs[study.baseline.name, seeds[0]]
    with tempfile.TemporaryDirectory(prefix="ablate-audit-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        if isinstance(study.task, CommandTask):
            announce_command(study.task, folder, progress)
        announce_code(code_of(full), folder, lambda text: progress.say(text, "warning"))
        recipes = [variant.recipe.model_dump() for variant in tried.variants]
        rejected = rejected_options(study.task, recipes) if isinstance(study.task, CommandTask) else []
        checks, count = tuple(Check("known", "fault", *own) for own in rejected), 0
        if not rejected:
            around = [store.root.resolve(), folder]
            before = snapshot(code_folders(first), around)
            own, code = options.workers, TaskCode(uses_torch(full))
            with LocalPool(own.device, own.per_device, own.threads, own.hang_after, (), code) as pool:
                check_task(first, pool, progress.preparing)
                with _deadline(pool, options.seconds) as over:
                    trials = _Trials(pool, runs, folder, progress, over, str(study.analysis.metric))
                    _Plan(trials, study, tried, seeds).run()
            written = _written(before, snapshot(code_folders(first), around), first)
            checks = (*_checks(trials, study, tried, seeds, options.seconds), written)
            count = len(trials.reported)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    audit = Audit(now, full.runs[0].folder, tried.smoke, count, checks, options.command)
    write_audit(store, slug(study.name), audit)
    return audit


def _seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """The first seeds of a study, and more where it has too few."""
    own = list(seeds[:SEEDS])
    while len(own) < SEEDS:
        own.append(max(own) + 1)
    return tuple(own)


@contextmanager
def _deadline(pool: LocalPool, seconds: float) -> Iterator[threading.Event]:
    """Within it, runs are stopped once the time is over, and ended a little later; the event says that it is over."""
    over, left = threading.Event(), threading.Event()

    def watch() -> None:
        if not left.wait(min(seconds, threading.TIMEOUT_MAX)):
            over.set()
            pool.stop()
            if not left.wait(STOP_SECONDS):
                pool.kill()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield over
    finally:
        left.set()
        watcher.join()


@dataclass
class _Trials:
    """Trains runs, and keeps what they reported; one that was not ended in time is in neither table."""

    executor: Executor
    runs: Mapping[tuple[str, int], Run]
    folder: Path
    progress: Progress
    over: threading.Event
    primary: str
    reported: dict[Trial, Series] = field(default_factory=dict)
    failed: dict[Trial, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def train(self, *trials: Trial) -> bool:
        """Train runs, several at a time where there are workers; whether each of them has reported."""
        known = {(trial.variant, trial.seed): trial for trial in trials}
        folders = {trial: self.folder / f"{next(self._numbers)}" for trial in trials}
        for trial in trials:
            run = self.runs[trial.variant, trial.seed]
            self.executor.submit(Job(run, folders[trial], None, "cpu", self.executor.threads))
        for event in self.executor.events():
            trial = known[event.run.variant, event.run.block]
            match event:
                case Started(run):
                    again = ", again" if trial.time > 1 else ""
                    self.progress.say(f"{run.label}{again}", "dim", f"{'run':<9}")
                case Done(_, record):
                    self.reported[trial] = _series(RunFolder(folders[trial]), record, self.primary)
                case Failed(_, message, _, kind) if kind not in ("hung", "lost") or not self.over.is_set():
                    self.failed[trial] = message
                case _:
                    pass
        return all(trial in self.reported for trial in trials)


def _series(folder: RunFolder, record: RunRecord, primary: str) -> Series:
    """Each metric in the order of the rows, and at last as the result of the run; a run that diverged has none."""
    result = {primary: math.nan} if record.status == "diverged" else record.metrics
    rows = [*(row.metrics for row in folder.epochs()), result]
    names = dict.fromkeys(name for row in rows for name in row)
    own = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: tuple(None if math.isnan(value) else value for value in values) for name, values in own.items()}


@dataclass
class _Plan:
    """Which runs are tried, the most telling first."""

    trials: _Trials
    study: Study
    tried: Study
    seeds: tuple[int, ...]

    def run(self) -> None:
        """Try the baseline twice under one seed and once under another, then each variant."""
        base, (first, second, third) = self.study.baseline.name, self.seeds
        for trial in (Trial(base, first), Trial(base, first, 2), Trial(base, second)):
            if not self.trials.train(trial):  # one after another in one worker: what a run leaves behind shows too
                return
        if self._close(Trial(base, first), Trial(base, first, 2), Trial(base, second)):
            self.trials.train(Trial(base, first, 3))  # by chance they may be close where nothing is seeded
        if self._alike(Trial(base, first), Trial(base, second)):
            self.trials.train(Trial(base, third))
        variants = tried_variants(self.tried)
        self.trials.train(*(Trial(name, first) for name in variants))
        inert = [name for name in variants if self._alike(Trial(base, first), Trial(name, first))]
        if inert:
            self.trials.train(*(Trial(name, second) for name in inert))

    def _close(self, one: Trial, again: Trial, other: Trial) -> bool:
        """Whether two runs of one seed differ, and by little."""
        known, declared = self.trials.reported, tuple(self.study.declared)
        found = compare.reproducible(known[one], [known[again]], known[other], declared, one.seed)
        return found.level == "warning"

    def _alike(self, one: Trial, two: Trial) -> bool:
        known = self.trials.reported
        return two in known and compare.same(known[one], known[two], tuple(self.study.declared))


def tried_variants(study: Study) -> list[str]:
    """The variants that train something else than the baseline, those that change least first."""
    base = canonical_json(study.baseline.recipe.canonical())
    different = [own for own in study.variants if canonical_json(own.recipe.canonical()) != base]
    return [own.name for own in sorted(different, key=lambda own: len(own.changes))]


def _checks(trials: _Trials, study: Study, tried: Study, seeds: tuple[int, ...], seconds: float) -> tuple[Check, ...]:
    """What the runs show. Raises UserError where none of them ended in time."""
    return (*_failures(trials), *_Evaluation(trials, study, tried, seeds, seconds).checks())


def _failures(trials: _Trials) -> Iterator[Check]:
    for trial, message in trials.failed.items():
        label = one_line(f"{trial.variant} · seed {trial.seed}")
        unknown = _UNKNOWN.search(message)
        if unknown:
            named = next(own for own in unknown.groups() if own)
            hint = "correct it in the study file, or add it to the script"
            yield Check("known", "fault", f"{label}: the script does not know {one_line(named)}", hint)
        else:
            yield Check("failed", "fault", f"{label} failed: {message}")


@dataclass
class _Evaluation:
    """What the metrics of the trials show, with what was not tried."""

    trials: _Trials
    study: Study
    tried: Study
    seeds: tuple[int, ...]
    seconds: float

    def checks(self) -> Iterator[Check]:
        """Every check for which runs are there, and what could not be checked."""
        reported, declared = self.trials.reported, tuple(self.study.declared)
        primary = str(self.study.analysis.metric)
        declared = (primary, *(name for name in declared if name != primary))
        base, (first, second, _) = self.study.baseline.name, self.seeds
        one, other = reported.get(Trial(base, first)), reported.get(Trial(base, second))
        again = [series for trial, series in reported.items() if trial[:2] == (base, first) and trial.time > 1]
        if one is None:
            if self.trials.failed:
                return
            what = f"no run ended within {duration(self.seconds)}"
            raise UserError(what, "more time: --minutes N; or add to the task what a short run is: smoke: {epochs: 1}")
        yield from compare.declared_metrics(one, declared)
        if not compare.compared(one, declared):
            yield Check("metrics", "warning", "only timings are reported", "declare a metric of what is trained")
            return
        repeated = None
        if again:
            yield (repeated := compare.reproducible(one, again, other, declared, first))
        if other is not None:
            own = {trial.seed: series for trial, series in reported.items() if trial == (base, trial.seed, 1)}
            yield compare.seed_used(own, declared, repeats=repeated is not None and repeated.level != "fault")
        repeats = repeated is not None and repeated.level == "ok"
        yield from compare.options_used(self._pairs(), declared, self._smoke(), repeats=repeats)
        yield from compare.metrics_vary([*reported.values()], declared, self._smoke())
        yield from compare.metrics_differ([*reported.values()], declared)
        yield from self._untried()

    def _pairs(self) -> dict[str, list[tuple[Series, Series]]]:
        reported, base = self.trials.reported, self.study.baseline.name
        return {
            name: [
                (reported[Trial(base, seed)], reported[Trial(name, seed)])
                for seed in self.seeds
                if Trial(name, seed) in reported and Trial(base, seed) in reported
            ]
            for name in tried_variants(self.tried)
            if Trial(name, self.seeds[0]) in reported
        }

    def _smoke(self) -> str:
        task = self.study.task
        cut = leaves(task.smoke) if task and self.tried.smoke else ()
        return ", ".join(f"{path}={value}" for path, value in cut)

    def _untried(self) -> Iterator[Check]:
        """What could not be checked, and why."""
        variants, ended = tried_variants(self.tried), {*self.trials.reported, *self.trials.failed}
        late = [name for name in variants if Trial(name, self.seeds[0]) not in ended]
        base = self.study.baseline.name
        if not all(trial in ended for trial in (Trial(base, self.seeds[0], 2), Trial(base, self.seeds[1]))):
            if self.trials.over.is_set():
                what = "there was no time to check whether runs are reproducible and use their seed"
                yield Check("time", "warning", what, "more time: --minutes N")
            else:
                yield Check("time", "skipped", "whether runs are reproducible and use their seed, since a run failed")
        elif late:
            what = f"{len(late)} of {plural(len(variants), 'variant')} were not tried in the time"
            yield Check("time", "warning", what, "more time: --minutes N")
        cut = set(tried_variants(self.study)) - set(variants)
        if cut:
            names = ", ".join(name for name in (own.name for own in self.study.variants) if name in cut)
            hint = "--full tries whole runs"
            yield Check("option", "skipped", f"not tried: {names}, which smoke ({self._smoke()}) overrides", hint)


def _written(before: Mapping[Path, tuple[int, int]], after: Mapping[Path, tuple[int, int]], run: Run) -> Check:
    """What the runs wrote into the folders of their code; code that changes itself changes the keys of all runs."""
    files = changed(before, after)
    if not files:
        return Check("files", "ok", "nothing is written beside the code")
    here = Path.cwd()
    names = [str(path.relative_to(here)) if path.is_relative_to(here) else str(path) for path in files]
    shown = ", ".join(names[:_FILES_SHOWN]) + (
        f" and {len(names) - _FILES_SHOWN} more" if len(names) > _FILES_SHOWN else ""
    )
    listed = [Path(name).resolve() for name in (run.task.code if run.task else ()) if Path(name).is_dir()]
    known = hashed_files(run)
    part = any(path in known or any(path.is_relative_to(folder) for folder in listed) for path in files)
    place = "{dir} in the command, or ABLATE_RUN_DIR" if isinstance(run.task, CommandTask) else "run.folder"
    if part:
        what = f"runs write into the code of the study, which gives every later run another key: {shown}"
        return Check("files", "fault", what, f"write to the folder of the run: {place}")
    what = f"runs write beside their code, where they overwrite each other's files: {shown}"
    return Check("files", "warning", what, f"write to the folder of the run: {place}")
