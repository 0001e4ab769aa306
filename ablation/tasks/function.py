"""A run that a Python function trains: what it is given, and how it goes on after an interruption."""

from __future__ import annotations

import hashlib
import pickle
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablation._util.files import replace
from ablation.errors import UserError
from ablation.planning.job import Job
from ablation.storage.record import RunRecord
from ablation.study.import_code import explained, load_attribute
from ablation.study.tasks import FunctionTask
from ablation.tasks.hooks import Hooks
from ablation.tasks.predictions import prediction_arrays, save_arrays
from ablation.tasks.recording import Recorder, environment_of

if TYPE_CHECKING:
    import numpy as np
    import torch

CALLED_WITH = "the options (a dict) and the run (ablation.Run)"
STATE = "state.pickle"


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
        self.seed, self.variant, self.device, self.threads = job.run.seed, job.run.variant, job.device, job.threads
        self._path, self._recorder, self._state = job.folder, recorder, state
        self._epoch = state.epoch if state else 0
        self._saves, self._loops = state is not None, False

    @property
    def folder(self) -> Path:
        """A folder for the run's own files; it is made at its first use."""
        path = self._path / "files"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def epochs(self, count: int) -> Iterator[int]:
        """The epochs 0 to `count` - 1; in a resumed run, those after the last `save`.

        A run that is asked to stop ends between two epochs.
        """
        self._loops = True
        self._recorder.planned = count
        for epoch in range(self._epoch, count):
            self._stop_if_asked()
            self._epoch = epoch
            yield epoch
        self._epoch = count

    def log(self, step: int | None = None, /, **metrics: Any) -> None:
        """Add a row to the curves of the run, and show that it goes on.

        A metric is one number, also one of NumPy, PyTorch or JAX; names that are no keywords are passed as
        `run.log(**{"val/loss": 0.3})`. `step` counts the rows by default.
        """
        self._recorder.log(metrics, step)
        if not self._loops and not self._saves:
            self._stop_if_asked()

    def heartbeat(self) -> None:
        """Show that the run goes on, where it logs nothing for a long time (see `ablate run --hang-after`)."""
        self._recorder.hooks.on_beat()

    def save(self, state: Any) -> None:
        """Keep what a resumed run needs, such as `{"model": model.state_dict()}`: anything that pickles.

        The file is replaced as a whole. Inside `epochs`, the epoch under way counts as done.
        """
        recorder = self._recorder
        self._saves = True
        self._epoch += self._loops
        kept = _State(self._epoch, len(recorder.rows), recorder.resumed, recorder.started, state)
        self._epoch -= self._loops
        _write_state(self._path / STATE, kept)
        if not self._loops:
            self._stop_if_asked()

    def resume(self) -> Any:
        """What was saved last by an interrupted try of this run; None where it starts from the beginning."""
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
        """A NumPy generator of the run's seed; each name is a stream of its own."""
        import numpy as np

        return np.random.default_rng(derived_seed(self.seed, name))

    def torch_generator(self, name: str = "", device: str = "cpu") -> torch.Generator:
        """A PyTorch generator of the run's seed; each name is a stream of its own."""
        import torch

        return torch.Generator(device=device).manual_seed(derived_seed(self.seed, name) % 2**63)

    def seed_everything(self) -> None:
        """Seed the global generators of Python, NumPy and, where it is imported, PyTorch."""
        import numpy as np

        random.seed(self.seed)
        np.random.seed(self.seed % 2**32)
        if "torch" in sys.modules:
            sys.modules["torch"].manual_seed(self.seed)

    def _stop_if_asked(self) -> None:
        if self._recorder.hooks.should_stop():
            raise _Stop


class _State:
    """What `Run.save` keeps: epochs and rows that count, and the user's state."""

    def __init__(self, epoch: int, rows: int, resumed: int, started: str, content: Any) -> None:
        self.epoch, self.rows, self.resumed, self.started, self.content = epoch, rows, resumed, started, content


def derived_seed(seed: int, name: str) -> int:
    """The 64-bit seed of the stream `name` under `seed`: the leading bits of a SHA-256 digest."""
    return int.from_bytes(hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()[:8], "big")


def train(job: Job, hooks: Hooks) -> RunRecord | None:
    """Train a run to its end, from its saved state where there is one; None when asked to stop before.

    Raises UserError where the function fails, with its place in the code.
    """
    task = job.run.task
    assert isinstance(task, FunctionTask)
    code = job.run.codes[task.function]
    find_packages(Path(code.file).parent)
    with explained(code, task.function, CALLED_WITH):
        function = load_attribute(code, task.function)  # before the clock of the run starts
    recorder = Recorder(job, hooks)
    state = _read_state(job.folder / STATE, hooks)
    if state:
        recorder.keep(state.rows, state.resumed + 1, state.started)
    else:
        recorder.start_over()
    run = Run(job, recorder, state)
    options = deepcopy(dict(recorder.recipe.values))
    try:
        with explained(code, task.function, CALLED_WITH):
            result = function(options, run)
    except _Stop:
        return None
    if result is not None and not isinstance(result, Mapping):
        what = f"{task.function} returned {type(result).__name__}"
        raise UserError(what, 'return a dict of metrics, such as {"val_accuracy": 0.9}, or nothing')
    record = recorder.finish(result, environment_of(job))
    (job.folder / STATE).unlink(missing_ok=True)
    return record


def find_packages(folder: Path) -> None:
    """Let the function import packages beside the study file; what is installed goes first."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _write_state(path: Path, state: _State) -> None:
    replace(path, lambda file: pickle.dump(vars(state), file, protocol=pickle.HIGHEST_PROTOCOL))


def _read_state(path: Path, hooks: Hooks) -> _State | None:
    if not path.exists():
        return None
    with suppress(Exception), path.open("rb") as file:  # whatever a torn or foreign file makes pickle raise
        return _State(**pickle.load(file))
    hooks.on_notice(f"{path} cannot be read: the run starts again")
    return None
