"""`ablate verify`: are the files of a study unchanged, and do its runs reproduce."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Literal

from ablation._util.formatting import plural
from ablation._util.sanitize import one_line
from ablation.errors import StorageError, UserError
from ablation.execution.custom_code import announce_code, announce_command, code_of, uses_torch
from ablation.execution.local import TaskCode
from ablation.execution.options import WorkerOptions
from ablation.execution.progress import Progress
from ablation.execution.study import plan_study, prepare_data, train_runs
from ablation.planning.plan import Plan
from ablation.planning.run import Run
from ablation.results.same_bits import Trained, differing_bits, differing_environment
from ablation.storage.manifest import Manifest
from ablation.storage.record import RunRecord
from ablation.storage.store import RunFolder, Store
from ablation.storage.stored_run import StoredRun
from ablation.study.load import study_of
from ablation.study.tasks import CommandTask

State = Literal["equal", "different", "not comparable", "failed"]


@dataclass(frozen=True)
class VerifyOptions:
    """How many runs to train again, drawn by `seed`, and where; `threads` None is as many as each run had."""

    runs: int = 3
    seed: int = 0
    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class Again:
    """What came of training a run again: how it compares with the stored one, and in what it differs."""

    label: str
    state: State
    what: str


@dataclass(frozen=True)
class _Drawn:
    """A stored run that was drawn: one variant and seed that have it, and its record."""

    variant: str
    seed: int
    folder: RunFolder
    record: RunRecord

    @property
    def label(self) -> str:
        return f"{one_line(self.variant)} · seed {self.seed}"


def train_again(
    store: Store, manifest: Manifest, runs: Mapping[str, StoredRun], options: VerifyOptions, progress: Progress
) -> tuple[Again, ...]:
    """Train drawn runs again in a folder that is thrown away, and compare them with the stored `runs`, by folder.

    Raises UserError where the data or the code of the study are not here, and KeyboardInterrupt where it was stopped.
    """
    drawn = _draw(manifest, runs, options)
    if not drawn:
        return ()
    plan = _plan(store, manifest)
    planned = {(run.variant, run.block): run for run in plan.runs}
    pairs = [(own, planned[own.variant, own.seed]) for own in drawn]
    with tempfile.TemporaryDirectory(prefix="ablate-verify-", ignore_cleanup_errors=True) as name:
        trainer = _Trainer(plan, store, Store(Path(name).resolve()), options, progress)
        trainer.train([(own, run) for own, run in pairs if run.folder == own.folder.path.name])
        return tuple(_compared(own, run, trainer) for own, run in pairs)


def _draw(manifest: Manifest, runs: Mapping[str, StoredRun], options: VerifyOptions) -> list[_Drawn]:
    """The runs to train again: the same ones for the same seed, whatever machine draws them."""
    distinct: dict[str, _Drawn] = {}
    for variant, seed, name, _ in manifest.runs():
        if (record := runs[name].record) is not None:
            distinct.setdefault(name, _Drawn(variant.name, seed, runs[name].folder, record))
    names = list(distinct)
    chosen = set(random.Random(options.seed).sample(names, min(options.runs, len(names))))
    return [own for name, own in distinct.items() if name in chosen]


def _plan(store: Store, manifest: Manifest) -> Plan:
    """The plan of the study as it was stored, on the data and with the code that are here now."""
    kept = store.study_file(manifest.folder)
    file = Path(os.path.normpath(store.root.resolve() / manifest.file)) if manifest.file else kept
    file = file if file.is_file() else kept  # of a study from another machine, copies of its code are beside study.json
    study = study_of(manifest.source, file, overrides=manifest.overrides, smoke=manifest.smoke)
    study = replace(study, seeds=manifest.seeds)
    known = {variant.name for variant in study.variants}
    if lacking := [variant.name for variant in manifest.variants if variant.name not in known]:
        what = f"this version does not make the variant {lacking[0]!r} of the study file in {kept}"
        raise UserError(what, f"run the study again: {manifest.command}")
    return plan_study(study)


@dataclass
class _Trainer:
    """Trains runs into `there`, a folder that is thrown away; prepared data are those in `store`."""

    plan: Plan
    store: Store
    there: Store
    options: VerifyOptions
    progress: Progress

    def __post_init__(self) -> None:
        self.failed: dict[str, str] = {}

    def train(self, pairs: Sequence[tuple[_Drawn, Run]]) -> None:
        """Train runs with as many threads as each of them had."""
        if not pairs:
            return
        study = self.plan.study
        if isinstance(study.task, CommandTask):
            announce_command(study.task, self.there.root, self.progress)
        announce_code(code_of(self.plan), self.there.root, lambda text: self.progress.say(text, "warning"))
        ordered = sorted(pairs, key=self._threads)
        for threads, group in groupby(ordered, key=self._threads):
            self._train([run for _, run in group], threads, len(pairs))

    def _threads(self, pair: tuple[_Drawn, Run]) -> int:
        return self.options.threads or pair[0].record.environment.threads

    def _train(self, runs: Sequence[Run], threads: int, total: int) -> None:
        code = TaskCode(uses_torch(self.plan)) if self.plan.study.task else None
        with WorkerOptions(self.options.device, threads=threads).open_pool(code=code) as pool:
            data = prepare_data(runs, self.store, pool, self.progress.preparing)
            name, others = self.plan.study.name, total - len(runs)
            outcome = train_runs(runs, data, self.there, pool, self.progress, name, others)
        if outcome.stopped:
            raise KeyboardInterrupt
        if outcome.storage:
            raise StorageError(outcome.storage, "free some disk space for the retrained runs")
        self.failed |= {run.key: message for run, message in outcome.failed}


def _compared(drawn: _Drawn, run: Run, trainer: _Trainer) -> Again:
    if run.folder != drawn.folder.path.name:
        what = f"data, code or options are not here as they were: the same run would be {run.folder}"
        return Again(drawn.label, "not comparable", what)
    if run.key in trainer.failed:
        return Again(drawn.label, "failed", trainer.failed[run.key])
    folder = trainer.there.run(run.folder)
    record = folder.record()
    assert record is not None
    was, now = Trained(drawn.record, drawn.folder.epochs()), Trained(record, folder.epochs())
    differences = list(differing_bits(was, now))
    if not differences:
        weights = "weights and " if record.weights_sha256 else ""
        return Again(drawn.label, "equal", f"{weights}the metrics of {plural(record.epochs, 'epoch')}, to the bit")
    if elsewhere := list(differing_environment(drawn.record.environment, record.environment)):
        return Again(drawn.label, "not comparable", f"{'; '.join(elsewhere)}; {'; '.join(differences)}")
    return Again(drawn.label, "different", "; ".join(differences))
