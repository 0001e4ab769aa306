"""One `ablate run`: the runs that are still to do, given to an executor, and what came of each."""

from __future__ import annotations

import shlex
import shutil
import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from ablation._util.formatting import plural
from ablation._util.hashing import canonical_json
from ablation._util.sanitize import one_line
from ablation.data.arrays import remove_unfinished
from ablation.errors import UserError
from ablation.execution.progress import Progress
from ablation.execution.scheduling import order_runs
from ablation.planning.job import Job
from ablation.planning.plan import Plan, code_sources, data_sources, fingerprint, make_plan, source_key, weights_sources
from ablation.planning.run import Run
from ablation.planning.weights import weights_digest
from ablation.storage.store import Store
from ablation.storage.stored_run import finished_runs
from ablation.study.custom_code import custom_parts, find
from ablation.study.schema import Study
from ablation.study.tasks import CommandTask, FunctionTask
from ablation.tasks.preflight import check_options
from ablation.worker import calls
from ablation.worker.calls import Call, Value
from ablation.worker.protocol import Busy, Done, Event, Failed, Preparing, Stopped

MOST_TRIES = {"lost": 3, "hung": 3, "memory": 2, "error": 1}
"""Of a run in one command, by what it failed of: an error would be raised again, memory may do for a run alone."""

_GIVE_UP_AFTER = 4
"""So many runs that fail with the same error, before any has finished, end the training of a study."""
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Executor(Protocol):
    """Where runs are trained: it takes jobs, and reports what happens to them.

    `places` has an entry for each worker that it can have: the name of its device; each has so many `threads`.
    `autotune_workers` may change how many there are, once the longest run is known. Before the first `events`, `call`
    runs functions in a worker on this machine, which has the `local_devices`.
    """

    @property
    def threads(self) -> int: ...
    @property
    def places(self) -> Sequence[str]: ...
    @property
    def local_devices(self) -> Sequence[str]: ...
    def call(self, request: Call[Value], progress: Callable[[Preparing], None] = ...) -> Value: ...
    def autotune_workers(self, longest: Job, runs: int) -> None: ...
    def submit(self, job: Job) -> None: ...
    def events(self) -> Iterator[Event]: ...
    def stop(self) -> None: ...


@dataclass
class Outcome:
    """What came of training. `failed` holds what each failed run died of, `storage` why no result can be written.

    `given_up` were not tried, since they failed too often before; `left_out` counts unfinished runs that were not asked
    for.
    """

    done: list[Run] = field(default_factory=list)
    diverged: list[Run] = field(default_factory=list)
    failed: list[tuple[Run, str]] = field(default_factory=list)
    stopped: bool = False
    storage: str = ""
    given_up: list[Run] = field(default_factory=list)
    left_out: int = 0
    seconds: float = 0.0

    def add(self, later: Outcome) -> None:
        """Take in what came of the runs of a later stage."""
        self.done += later.done
        self.diverged += later.diverged
        self.failed += later.failed
        self.stopped |= later.stopped
        self.storage = self.storage or later.storage


def plan_study(study: Study) -> Plan:
    """The plan of a study, with its data sets and weights looked at for their fingerprints."""
    code = {name: find(name, Path(study.file).parent) for name in code_sources(study)}
    fingerprints = {key: fingerprint(data, code) for key, data in data_sources(study).items()}
    weights = {key: weights_digest(model) for key, model in weights_sources(study).items()}
    return make_plan(study, fingerprints, weights, code)


def still_to_do(runs: Sequence[Run], store: Store) -> list[Run]:
    """The runs that are not finished on disk, each training once however many variants share it.

    A damaged one counts as not finished. Raises UserError for files of another schema version.
    """
    return without(runs, finished_runs(runs, store))


def without(runs: Sequence[Run], finished: Collection[str]) -> list[Run]:
    """The runs whose keys are not `finished`, each training once however many variants share it."""
    distinct = {run.key: run for run in reversed(runs) if run.key not in finished}
    return [run for run in runs if distinct.get(run.key) is run]


def given_up(runs: Sequence[Run], store: Store) -> list[Run]:
    """Those of the runs that have failed too often to be tried again unasked."""
    failures = {run.key: store.run(run.folder).failure() for run in runs}
    return [run for run in runs if (failure := failures[run.key]) and failure.given_up]


def check_devices(runs: Sequence[Run], executor: Executor) -> None:
    """Raise UserError that names the variant where the devices cannot do what its runs ask of them."""
    asked = {(run.image_recipe.train.precision, run.image_recipe.train.compile): run for run in reversed(runs)}
    for (precision, compile), run in asked.items():
        try:
            try_devices = partial(
                calls.try_devices, precision=precision, compile=compile, devices=executor.local_devices
            )
            executor.call(Call(try_devices, "the devices were checked"))
        except UserError as error:
            raise UserError(f"{one_line(run.variant)}: {error.message}", error.hint) from None


def prepare_data(
    runs: Sequence[Run], store: Store, executor: Executor, progress: Callable[[Preparing], None]
) -> dict[str, Path]:
    """The folder with the arrays of the data set of each run, by its key; none for functions and commands.

    The weights that runs start from are loaded once, on trial, and custom code is run once. Raises UserError where the
    devices cannot train a run, data or weights cannot be had, weights do not fit, or custom code fails.
    """
    if runs[0].task:
        check_task(runs[0], executor, progress)
        if isinstance(runs[0].task, CommandTask):
            recipes = {run.variant: run.recipe.model_dump() for run in runs}
            check_options(runs[0].task, [*recipes.values()])
        return {}
    check_devices(runs, executor)
    sources = {source_key(run.image_recipe.data): run for run in runs}
    cache = store.data.resolve()
    folders = {key: prepare_part(executor, run, cache, progress) for key, run in sources.items()}
    variants = {run.variant: run for run in reversed(runs) if run.weights or run.codes}
    starts = {
        (run.image_recipe.model, canonical_json(_custom(run)), source_key(run.image_recipe.data)): run
        for run in variants.values()
    }
    for (_, _, source), run in starts.items():
        try_weights = partial(calls.try_weights, run=run, data=folders[source])
        doing = f"the network {run.image_recipe.model.name} was built"
        executor.call(Call(try_weights, doing, tuple(run.codes.values())), progress)
    return {run.key: folders[source_key(run.image_recipe.data)] for run in runs}


def check_task(run: Run, executor: Executor, progress: Callable[[Preparing], None]) -> None:
    """Raise UserError where the function of a run cannot be imported, or its command cannot be started."""
    if isinstance(run.task, FunctionTask):
        code = run.codes[run.task.function]
        request = partial(calls.try_function, name=run.task.function, code=code)
        executor.call(Call(request, f"{run.task.function} was imported", (code,)), progress)
    elif isinstance(run.task, CommandTask):
        word = shlex.split(run.task.command)[0]
        if shutil.which(word) is None and not Path(word).is_file():
            raise UserError(f"the command cannot be started: there is no program {word!r}", "is it installed?")


def _custom(run: Run) -> list[dict[str, Any]]:
    """The custom optimizers, schedules and augmentations of a run, which are tried as the weights are."""
    return [part for path, part in custom_parts(run.recipe.canonical()) if path != ("data",)]


def prepare_part(
    executor: Executor,
    run: Run,
    cache: Path,
    progress: Callable[[Preparing], None] = lambda _: None,
    classes: tuple[str, ...] = (),
) -> Path:
    """The folder below `cache` with the arrays of a run's data set; of its test part where that must have `classes`.

    Raises UserError where the data cannot be had.
    """
    request = partial(calls.prepare, run=run, cache=cache, classes=classes)
    code = (run.data_code,) if run.data_code else ()
    try:
        return executor.call(Call(request, f"the data set {run.image_recipe.data.name} was prepared", code), progress)
    except BaseException:  # what a worker that was ended has half-written may fill a disk
        remove_unfinished(cache)
        raise


def train_runs(
    runs: Sequence[Run],
    data: Mapping[str, Path],
    store: Store,
    executor: Executor,
    progress: Progress,
    study: str,
    finished: int,
    known_costs: Mapping[str, float] | None = None,
) -> Outcome:
    """Train `runs` of a study to their ends; `finished` others have been trained before.

    A first signal to stop ends them after their epoch, a second one immediately. `known_costs` are those of
    `relative_costs`, which a further call for the same executor needs.
    """
    costs = relative_costs(runs, data, executor) if known_costs is None else known_costs
    jobs = {
        run.key: Job(run, store.run(run.folder).path.resolve(), data.get(run.key), "cpu", executor.threads)
        for run in runs
    }
    if data:
        executor.autotune_workers(jobs[max(jobs, key=lambda key: costs[key])], len(runs))
    workers = min(len(runs), len(executor.places))
    if gpus := [device for device in executor.local_devices if device != "cpu"]:
        progress.say(f"{plural(workers, 'worker')} on {', '.join(gpus)}", "dim", "training ")
    for run in order_runs(runs, costs, len(executor.places)):
        executor.submit(jobs[run.key])
    with progress.training(study, runs, finished, workers):
        return _follow(jobs, store, executor, progress, any_finished=finished > 0)


def _follow(
    jobs: Mapping[str, Job], store: Store, executor: Executor, progress: Progress, *, any_finished: bool
) -> Outcome:
    """Report what happens to the runs that were submitted, and try some again, until all have ended.

    Unless another run of the study has finished (`any_finished`), it ends when the first four fail with the same error.
    """
    outcome = Outcome()
    attempts: dict[str, int] = {}
    with _stop_on_signal(executor, outcome, progress):
        for event in executor.events():
            progress.event(event)
            match event:
                case Done(run, record):
                    (outcome.diverged if record.status == "diverged" else outcome.done).append(run)
                case Failed(run, kind="storage"):
                    outcome.storage = event.message
                    executor.stop()
                case Failed(run):
                    attempts[run.key] = attempts.get(run.key, 0) + 1
                    if attempts[run.key] < MOST_TRIES[event.kind]:
                        executor.submit(replace(jobs[run.key], alone=event.kind == "memory"))
                    else:
                        outcome.failed.append((run, event.message))
                        store.run(run.folder).fail(event.message, event.details)
                        if not any_finished and _all_fail_alike(outcome):
                            outcome.stopped = True
                            executor.stop()
                            progress.say(
                                f"the first {_GIVE_UP_AFTER} runs failed with the same error; the rest are not started",
                                "error",
                            )
                case Busy(run):
                    executor.submit(jobs[run.key])
                case Stopped():
                    outcome.stopped = True
                case _:
                    pass
    return outcome


def _all_fail_alike(outcome: Outcome) -> bool:
    """Whether the first runs have all failed with the same error, so that the rest would too."""
    trained = outcome.done or outcome.diverged
    return not trained and len(outcome.failed) == _GIVE_UP_AFTER and len({why for _, why in outcome.failed}) == 1


def relative_costs(runs: Sequence[Run], data: Mapping[str, Path], executor: Executor) -> dict[str, float]:
    """How long each run will take relative to the others; those of functions and commands count the same."""
    if not data:
        return {run.key: 1.0 for run in runs}
    weigh = partial(calls.weigh, runs=[(run, data[run.key]) for run in runs])
    weighed = executor.call(Call(weigh, "the runs were ordered by their size"))
    return {run.key: cost for run, cost in zip(runs, weighed, strict=True)}


@contextmanager
def _stop_on_signal(executor: Executor, outcome: Outcome, progress: Progress) -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or hang-up into a request to stop, and the second into KeyboardInterrupt.

    A hang-up that this process ignores, as under `nohup`, stays ignored.
    Outside the main thread Python delivers no signals, and nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if outcome.stopped:
            raise KeyboardInterrupt
        outcome.stopped = True
        executor.stop()
        progress.stopping()

    numbers = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
