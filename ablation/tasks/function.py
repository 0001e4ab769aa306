"""A run that a Python function trains: what it is given, and how it goes on after an interruption."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablation._util.files import replace, set_aside, writing
from ablation.errors import UserError
from ablation.planning.job import Job
from ablation.planning.run import RUN_SEED
from ablation.rng import seed_foreign
from ablation.storage.record import RunRecord
from ablation.study.import_code import explained, load_attribute
from ablation.study.tasks import FunctionTask
from ablation.tasks.hooks import Hooks
from ablation.tasks.predictions import prediction_arrays, save_arrays
from ablation.tasks.recording import Recorder, check_code, check_space, environment_of

if TYPE_CHECKING:
    import numpy as np
    import torch

CALLED_WITH = "the options (a dict) and the run (ablation.Run)"
STATE, NEXT_STATE = "state.pickle", "state.pickle.next"
MOST_DRAWN = 100
"""Random streams that the record of a run names: more are no sources of noise to be told apart."""


class _Stop(BaseException):
    """Leaves a function that was asked to stop; no `except Exception` of the user's code catches it."""


class Run:
    """One run, as the function that trains it sees it.

    - `seed`: the seed of the run; pairs of variants share it.
    - `variant`: the name of the variant.
    - `device`: cpu, or a CUDA device such as cuda:0.
    - `threads`: the CPU threads that the run may use.
    - `folder`: a folder of the run's own, for files that it wants to keep.
    """

    def __init__(self, job: Job, recorder: Recorder, state: _State | None) -> None:
        self.variant, self.device, self.threads = job.run.variant, job.device, job.threads
        self._seed, self._streams = job.run.seed, job.run.streams
        self._path, self._recorder, self._state, self._asked = job.folder, recorder, state, False
        self._done = state.epochs if state else 0
        """Epochs that are done, of all loops together."""
        self._planned, self._inside = 0, False
        self._saves, self._pending = state is not None, False

    @property
    def seed(self) -> int:
        """The seed of the run."""
        self._draw(RUN_SEED)
        return self._seed

    @property
    def folder(self) -> Path:
        """A folder for the run's own files; it is made at its first use."""
        path = self._path / "files"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def epochs(self, count: int) -> Iterator[int]:
        """The epochs 0 to `count` - 1; in a resumed run, those after the last one that ended with a `save`.

        A run that is asked to stop ends between two epochs. There may be several such loops, one after another.
        """
        self._start()
        before = self._planned
        self._planned = self._recorder.planned = before + count
        self._inside = True
        try:
            for epoch in range(max(0, self._done - before), count):
                self._stop_if_asked()
                yield epoch
                self._done = before + epoch + 1
                self._commit()
        finally:
            self._inside = False

    def log(self, step: int | None = None, /, **metrics: Any) -> None:
        """Add a row to the curves of the run, and show that it goes on.

        A metric is one number, also one of NumPy, PyTorch or JAX; names that are no keywords are passed as
        `run.log(**{"val/loss": 0.3})`. `step` counts the rows by default.
        """
        self._start()
        self._recorder.log(metrics, step)
        if not self._planned and not self._saves:
            self._stop_if_asked()

    def heartbeat(self) -> None:
        """Show that the run goes on, where it logs nothing for a long time (see `ablate run --hang-after`)."""
        self._recorder.hooks.on_beat()

    def save(self, state: Any) -> None:
        """Keep what a resumed run needs, such as `{"model": model.state_dict()}`: anything that pickles.

        The file is replaced as a whole: inside `epochs` at the end of the epoch, elsewhere immediately.
        """
        self._start()
        path = self._path / NEXT_STATE
        with writing(path), path.open("wb") as file:
            pickle.dump(state, file, protocol=pickle.HIGHEST_PROTOCOL)
        self._saves = self._pending = True
        if not self._inside:
            self._commit()
            self._stop_if_asked()

    def resume(self) -> Any:
        """What was saved last by an interrupted try of this run; None where it starts from the beginning."""
        self._asked = True
        return self._state.content if self._state else None

    def save_predictions(
        self, targets: Any, outputs: Any, ids: Any = None, classes: Sequence[str] | None = None
    ) -> None:
        """Keep the predictions of a classifier on its validation data: the report then has accuracy by class.

        `targets` are class numbers (n,); `outputs` are probabilities (n, classes), or predicted class numbers (n,).
        `ids` name the examples, by whole numbers (n,), and are the same in every run; `classes` are the names of the
        classes. Raises UserError for other shapes.
        """
        arrays, known = prediction_arrays(targets, outputs, ids, classes)
        path = self._path / "predictions.npz"
        replace(path, lambda file: save_arrays(file, arrays))
        self._recorder.classes, self._recorder.predicted = known, len(arrays["label"])

    def generator(self, name: str = "") -> np.random.Generator:
        """A NumPy generator of the run's seed; each name is a stream of its own.

        `ablate noise` takes names with the same first word, such as `order 1` and `order 2`, for one source of noise.
        """
        import numpy as np

        return np.random.default_rng(self._derived(name))

    def torch_generator(self, name: str = "", device: str = "cpu") -> torch.Generator:
        """A PyTorch generator of the run's seed; each name is a stream of its own, as in `generator`."""
        import torch

        return torch.Generator(device=device).manual_seed(self._derived(name) % 2**63)

    def seed_everything(self) -> None:
        """Seed the global generators of Python, NumPy and, where it is imported, PyTorch."""
        seed_foreign(self.seed)
        if "torch" in sys.modules:
            sys.modules["torch"].manual_seed(self.seed)

    def _derived(self, name: str) -> int:
        """The seed of a stream; noted as one that the run has drawn from."""
        stream = stream_of(name)
        self._draw(stream)
        return derived_seed(self._streams.get(stream, self._seed), name)

    def _draw(self, stream: str) -> None:
        drawn = self._recorder.drawn
        if drawn is not None and len(drawn) < MOST_DRAWN:
            drawn[stream] = None

    def _start(self) -> None:
        """Forget the state of an interrupted try that the function has not asked for."""
        if self._state and not self._asked:
            self._state, self._done = None, 0
            self._recorder.start_over()
            self._recorder.hooks.on_notice("run.resume() was not called before training: the run starts again")

    def _commit(self) -> None:
        """Let what was saved count, with the epochs and rows that belong to it."""
        if self._pending:
            recorder, path = self._recorder, self._path / NEXT_STATE
            progress = (self._done, len(recorder.rows), recorder.resumed, recorder.started)
            with writing(path):
                with path.open("ab") as file:
                    pickle.dump(progress, file)
                path.replace(self._path / STATE)
            self._pending = False

    def _stop_if_asked(self) -> None:
        if self._recorder.hooks.should_stop():
            raise _Stop


@dataclass(frozen=True)
class _State:
    """What `Run.save` keeps: the user's state, and the epochs and rows that belong to it."""

    content: Any
    epochs: int
    rows: int
    resumed: int
    started: str


def stream_of(name: str) -> str:
    """The stream that the name of a generator belongs to: its first word."""
    return str(name).partition(" ")[0]


def derived_seed(seed: int, name: str) -> int:
    """The 64-bit seed of the stream `name` under `seed`: the leading bits of a SHA-256 digest.

    `rng.derive`, by which images are trained, has 63 of them; runs that are stored were trained with these.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()[:8], "big")


def train(job: Job, hooks: Hooks) -> RunRecord | None:
    """Train a run to its end, from its saved state where there is one; None when asked to stop before.

    Raises UserError where the function fails, with its place in the code.
    """
    task = job.run.task
    assert isinstance(task, FunctionTask)
    code = job.run.codes[task.function]
    check_code(job.run)
    find_packages(Path(code.file).parent)
    with explained(code, task.function, CALLED_WITH):  # first: a saved state may have objects of its classes
        function = load_attribute(code, task.function)
    recorder = Recorder(job, hooks)
    state = _read_state(job.folder / STATE, hooks)
    if state:
        recorder.keep(state.rows, state.resumed + 1, state.started)
    else:
        recorder.start_over()
        recorder.drawn = {}  # a resumed run may draw less
    run = Run(job, recorder, state)
    options = deepcopy(dict(recorder.recipe.values))
    try:
        with explained(code, task.function, CALLED_WITH):
            result = function(options, run)
    except _Stop:
        return None
    except UserError:
        check_space(job.folder)
        raise
    if result is not None and not isinstance(result, Mapping):
        what = f"{task.function} returned {type(result).__name__}"
        raise UserError(what, 'return a dict of metrics, such as {"val_accuracy": 0.9}, or nothing')
    record = recorder.finish(result, environment_of(job))
    for name in (STATE, NEXT_STATE):
        (job.folder / name).unlink(missing_ok=True)
    return record


def find_packages(folder: Path) -> None:
    """Let the function import packages beside the study file; what is installed goes first."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _is_out_of_memory(error: Exception) -> bool:
    """Whether memory of the host or of a device is exhausted, as Python and PyTorch say it."""
    texts = ("out of memory", "can't allocate memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error).lower() for text in texts)
    )


def _read_state(path: Path, hooks: Hooks) -> _State | None:
    if not path.exists():
        return None
    try:
        with path.open("rb") as file:
            return _State(pickle.load(file), *pickle.load(file))
    except Exception as error:  # whatever a torn or foreign file makes pickle raise
        if _is_out_of_memory(error):  # the state is as good as it was
            hint = f"free memory, or delete {path} to start the run again"
            raise UserError(f"the saved state cannot be loaded: {error or 'out of memory'}", hint) from error
        why = f"{type(error).__name__}: {error}"
    set_aside(path)
    hooks.on_notice(f"{path} cannot be read ({why}): set aside, the run starts again")
    return None
