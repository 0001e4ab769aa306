"""A run that is interrupted ends with the bits of one that is not, whatever its recipe and wherever it is cut.

Every cell of the matrix is trained in one piece and again with a stop after each epoch; the cells that cover all pairs
of options also from what is on disk after each single epoch. The digests of all weights, the predictions, the record
and every metric must be equal, timings aside. The slow suite has half of all combinations, and with it every
combination of all axes but one.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablation.data import sources
from ablation.execution.study import plan_study
from ablation.planning.job import Job
from ablation.results.runs import TIMINGS
from ablation.storage.record import RunRecord
from ablation.storage.store import RunFolder
from ablation.study.load import load_study
from ablation.tasks.hooks import Hooks
from ablation.training import checkpoint, device, loop, progress
from ablation.training.loop import train
from ablation.training.saving import Saving

EPOCHS = 5
OFTEN = 12
"""Epochs of a run that its patience stops."""

NONE, FEATURES = "epochs: {}, freeze: none", "epochs: {}, freeze: features"
OTHER = "optimizer: {name: rmsprop, lr: 0.002, momentum: 0.5}"
"""A stage with another kind of optimizer; `LATER` has another rate, for the head too, and a schedule of its own."""
LATER = "optimizer: {lr: 0.02, head_lr_multiplier: 3}, schedule: {name: exponential, gamma: 0.5}"


def staged(*stages: str) -> str:
    return f"stages: [{', '.join(f'{{{stage}}}' for stage in stages)}]"


def stage_forms(start: str) -> dict[str, str]:
    more = f"start: {start}"
    return {
        f"whole, frozen ({start})": staged(NONE.format(3), f"{FEATURES.format(2)}, {more}"),
        f"frozen, whole ({start})": staged(FEATURES.format(2), f"{NONE.format(3)}, {more}"),
        f"whole, frozen, whole ({start})": staged(
            NONE.format(2), f"{FEATURES.format(2)}, {more}, {OTHER}", f"{NONE.format(1)}, {more}, {LATER}"
        ),
    }


AXES: dict[str, dict[str, str]] = {
    "stages": {"one stage": f"epochs: {EPOCHS}", **stage_forms("best"), **stage_forms("last")},
    "clipping": {"": "", "clipped": "clip_norm: 0.5"},
    "mixup": {"": "", "mixup": "mixup: 0.4"},
    "smoothing": {"": "", "smoothed": "label_smoothing: 0.1"},
    "patience": {"": "", "patience": "patience: 2"},
    "schedule": {"cosine": "{name: cosine}", "plateau": "{name: plateau, patience: 0, threshold: 0.5, factor: 0.3}"},
    "optimizer": {"sgd": "{name: sgd, lr: 0.1, momentum: 0.9}", "adam": "{name: adam, lr: 0.02}"},
}
"""Axis -> value -> what it says in the study file."""

Cell = dict[str, str]


def cells() -> list[Cell]:
    """Every combination; stages and patience do not go together."""
    found = [dict(zip(AXES, values, strict=True)) for values in itertools.product(*AXES.values())]
    return [cell for cell in found if cell["stages"] == "one stage" or not cell["patience"]]


def pairs(cell: Cell) -> set[frozenset[tuple[str, str]]]:
    return {frozenset(pair) for pair in itertools.combinations(cell.items(), 2)}


def pairwise() -> list[Cell]:
    """Few cells in which each pair of values of two axes occurs that occurs at all, chosen greedily."""
    everything = cells()
    missing = set().union(*map(pairs, everything))
    chosen = []
    while missing:
        chosen.append(max(everything, key=lambda cell: len(missing & pairs(cell))))
        missing -= pairs(chosen[-1])
    return chosen


def name(cell: Cell) -> str:
    return ", ".join(value for value in cell.values() if value)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, place: Any) -> Callable[[Cell], Job]:
    """The run of a cell, on images that are prepared once for all."""
    folder = tmp_path_factory.mktemp("interruptions")

    def make(cell: Cell) -> Job:
        says = {axis: AXES[axis][value] for axis, value in cell.items()}
        budget = f"epochs: {OFTEN}" if cell["patience"] else says["stages"]
        options = [says[axis] for axis in ("clipping", "mixup", "smoothing", "patience") if says[axis]]
        (folder / "study.yaml").write_text(
            "baseline:\n"
            "  data: {name: digits, validation: 0.25, limit: 64, augment: [{name: crop, padding: 1}]}\n"
            "  model: {name: lenet5, norm: batch, channels: [2, 4], kernel_size: 3, hidden: [8], dropout: 0.2}\n"
            f"  optimizer: {says['optimizer']}\n"
            f"  schedule: {says['schedule']}\n"
            f"  train: {{{', '.join([budget, *options])}, batch_size: 16}}\n"
            "seeds: [0]\n"
        )
        (run,) = plan_study(load_study(folder / "study.yaml")).runs
        data = sources.prepare(run.recipe.data, run.data_fingerprint, folder / "data", lambda *_: None)
        return Job(run, folder / "unused", data, str(place), 1)

    return make


def trained(job: Job, stop_after: int | None = None, keep: Path | None = None) -> RunRecord | None:
    """Train a run on to its end, or stop it after so many epochs; `keep` gets a copy of its folder after each epoch."""
    done = 0

    def on_epoch(row: Any, _: int) -> None:
        nonlocal done
        done += 1
        if keep:
            shutil.copytree(job.folder, keep / str(row.epoch))

    return train(job, Hooks(on_epoch, lambda *_: None, lambda: done == stop_after))


def results(job: Job) -> dict[str, Any]:
    """All that a run leaves, without what tells of time and of interruptions."""
    folder = RunFolder(job.folder)
    record = folder.record()
    assert record is not None
    timings = {*TIMINGS, "started", "finished", "files"}  # the digests of files cover the timings in them
    stored = np.load(folder.predictions, allow_pickle=False)
    found: dict[str, Any] = {key: value for key, value in record.to_json().items() if key not in timings}
    found["rows"] = [{k: v for k, v in row.to_json().items() if k not in timings} for row in folder.epochs()]
    found |= {key: stored[key].tobytes() for key in stored.files}
    for path in (folder.best, folder.last):
        saved = checkpoint.load(path)
        assert saved is not None
        found[path.name] = saved["epoch"], checkpoint.sha256(saved["model"])
    return found


def stopped_after_each_epoch(job: Job) -> int:
    """Train a run with a stop after every epoch; the number of stops."""
    for stops in range(OFTEN + 1):
        if trained(job, stop_after=1) is not None:
            return stops
    raise AssertionError("the run does not end")


def has_its_effect(cell: Cell, found: dict[str, Any]) -> bool:
    """Whether the recipe did in this run what the cell is there for."""
    rates = [row["lr"] for row in found["rows"]]
    if cell["patience"]:
        return 1 < found["epochs"] < OFTEN
    return bool(found["epochs"] == EPOCHS and len(set(rates)) > 1)


def check(job: Job, cell: Cell, folder: Path, *, each: bool) -> None:
    whole, parts = replace(job, folder=folder / "whole"), replace(job, folder=folder / "parts")
    copies = folder / "copies"
    trained(whole, keep=copies if each else None)
    expected = results(whole)
    assert has_its_effect(cell, expected), expected["rows"]
    assert stopped_after_each_epoch(parts) == expected["epochs"] - 1
    assert results(parts) == expected
    for copy in sorted(copies.iterdir()) if each else []:
        rest = replace(job, folder=copy)
        trained(rest)
        assert results(rest) == expected, f"interrupted after epoch {copy.name}"


PAIRWISE = pairwise()


@pytest.mark.parametrize("cell", PAIRWISE, ids=name)
def test_a_run_ends_with_the_same_bits_however_it_is_interrupted(
    cell: Cell, made: Callable[[Cell], Job], tmp_path: Path
) -> None:
    check(made(cell), cell, tmp_path, each=False)


@pytest.mark.parametrize("cell", [PAIRWISE[0], *(pytest.param(each, marks=pytest.mark.slow) for each in PAIRWISE[1:])])
def test_so_does_one_whose_checkpoints_are_saved_only_where_they_must_be(
    cell: Cell, made: Callable[[Cell], Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of a stage and of the run, and when it is stopped; a killed run has rows of epochs after those."""
    monkeypatch.setattr(Saving, "due", lambda _: False)
    check(made(cell), cell, tmp_path, each=True)


@pytest.mark.slow
@pytest.mark.parametrize("stages", AXES["stages"])
def test_half_of_all_combinations_end_with_the_same_bits_however_they_are_interrupted(
    stages: str, made: Callable[[Cell], Job], tmp_path: Path
) -> None:
    """Those in which an even number of axes have their second value, and those that cover all pairs."""
    second = [list(values)[-1] for axis, values in AXES.items() if axis != "stages"]
    chosen = [cell for cell in cells() if cell["stages"] == stages]
    half = [cell for cell in chosen if sum(value in second for value in [*cell.values()][1:]) % 2 == 0]
    assert len(half) == len(chosen) / 2 == (32 if stages == "one stage" else 16)
    chosen = [cell for cell in chosen if cell in half or cell in PAIRWISE]
    for number, cell in enumerate(chosen):
        check(made(cell), cell, tmp_path / str(number), each=cell in PAIRWISE)


Moment = Callable[[str, int], bool]
"""Whether the process is killed at an event (`step`, `validation` or `save`) of the given number, from 1."""
MOMENTS: dict[str, Moment] = {
    "within an epoch": lambda event, number: (event, number) == ("step", 2),
    "while it is validated": lambda event, number: (event, number) == ("validation", 1),
    "after its row was written, before its first checkpoint": lambda event, number: (event, number) == ("save", 1),
    "before its second checkpoint": lambda event, number: (event, number) == ("save", 2),
    "after its last checkpoint": lambda event, number: (event, number) == ("end", 1),
}
KILLED = ["whole, frozen (best), clipped", "whole, frozen, whole (last), clipped, mixup", "one stage, patience"]


@pytest.fixture
def server() -> Iterator[ForkServerContext]:
    """Where processes come from that have trained nothing: one that has may have threads, and must not fork."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ablation.training.loop"])
    yield context
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


def train_until_killed(job: Job, wanted: str) -> None:
    """Train on in this process, which ends itself, as `kill -9` does, when the moment has come."""
    device.set_up_process(1)
    moment = MOMENTS[wanted]
    seen: Counter[str] = Counter()

    def happens(event: str) -> None:
        seen[event] += 1
        if moment(event, seen[event]):
            os.kill(os.getpid(), signal.SIGKILL)

    def save(path: Path, content: Any) -> None:
        happens("save")
        original(path, content)

    def on_step(_: int, step: int, steps: int, __: float) -> None:
        happens("validation" if step == steps else "step")

    original, checkpoint.save, progress.TICK = checkpoint.save, save, 0
    train(job, Hooks(lambda *_: happens("end"), on_step, lambda: False))


def killed(job: Job, moment: str, server: ForkServerContext) -> bool:
    """Train on in a process of its own; whether it was killed before the end of the run."""
    process = server.Process(target=train_until_killed, args=(job, moment))
    process.start()
    process.join(300)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("wanted", [KILLED[0], *(pytest.param(each, marks=pytest.mark.slow) for each in KILLED[1:])])
def test_a_run_whose_process_is_killed_in_every_epoch_ends_with_the_same_bits(
    wanted: str, moment: str, made: Callable[[Cell], Job], server: ForkServerContext, tmp_path: Path
) -> None:
    cell = next(cell for cell in cells() if name(cell).startswith(wanted) and cell["optimizer"] == "adam")
    whole, torn = (replace(made(cell), folder=tmp_path / folder) for folder in ("whole", "torn"))
    trained(whole)
    expected = results(whole)
    kills = 0
    while RunFolder(torn.folder).record() is None and killed(torn, moment, server):
        kills += 1
        trained(torn, stop_after=1)
    assert kills >= 2
    assert results(torn) == expected


OWN = """\
import random

import numpy as np
import torch
from torch import nn


class Jitter(nn.Module):
    def __init__(self, classes, in_channels):
        super().__init__()
        self.linear = nn.Linear(64 * in_channels, classes)

    def forward(self, x):
        if self.training:
            x = x * random.random() + np.random.rand()
        return self.linear(torch.flatten(x, 1))
"""


def test_a_network_of_the_users_own_may_draw_from_python_and_numpy(place: Any, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "study.yaml").write_text(
        "baseline:\n"
        "  data: {name: digits, validation: 0.25, limit: 64}\n"
        '  model: {name: "own:Jitter"}\n'
        "  optimizer: {name: sgd}\n"
        "  train: {epochs: 4, batch_size: 16}\n"
        "seeds: [0]\n"
    )
    (run,) = plan_study(load_study(tmp_path / "study.yaml")).runs
    data = sources.prepare(run.recipe.data, run.data_fingerprint, tmp_path / "data", lambda *_: None)
    whole, parts = (Job(run, tmp_path / folder, data, str(place), 1) for folder in ("whole", "parts"))
    trained(whole)
    assert stopped_after_each_epoch(parts) == 3
    assert results(parts) == results(whole)


def test_the_counters_of_a_resumed_adam_are_where_those_of_a_new_one_are(
    made: Callable[[Cell], Job], place: Any, tmp_path: Path
) -> None:
    """On an accelerator, counters that were moved there would be waited for at every step."""
    if place.type == "cpu":
        pytest.skip("there is no accelerator to which they could be moved")
    cell = next(cell for cell in cells() if cell["optimizer"] == "adam")
    job = replace(made(cell), folder=tmp_path / "run")
    found = []
    for _ in range(2):
        training, done = loop.Training(job), []
        training.until_end(Hooks(lambda *row, done=done: done.append(row), lambda *_: None, lambda done=done: done))
        states = training.optimizer.state.values()
        found.append([{key: str(value.device) for key, value in state.items()} for state in states])
    assert found[0] == found[1]
