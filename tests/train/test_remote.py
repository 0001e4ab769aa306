"""Training in a folder of its own for a driver elsewhere: the same bits, from arrays and weights that were brought."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from ablation.data import sources
from ablation.data.arrays import read_arrays
from ablation.execution.study import plan_study
from ablation.planning.job import Job
from ablation.storage.store import RunFolder
from ablation.storage.sync import contents, write
from ablation.study.load import load_study
from ablation.training.loop import Hooks, train
from ablation.worker.protocol import Done, EpochDone, Event, Failed, Stopped, WeightsFile
from ablation.worker.remote import Trainer

STUDY = """\
baseline:
  data: {name: synthetic, shape: [3, 8, 8], classes: 4, samples: 120, validation: 0.2}
  model: {name: lenet5, norm: batch, hidden: [12], WEIGHTS}
  optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
  train: {epochs: 4, batch_size: 32}
seeds: [0]
"""

MakeTask = Callable[..., Job]


@pytest.fixture
def job(tmp_path: Path) -> MakeTask:
    """The only run of a study, to be trained in a folder of the given name."""

    def make(name: str, weights: str = "dropout: 0.1") -> Job:
        path = tmp_path / "study.yaml"
        path.write_text(STUDY.replace("WEIGHTS", weights))
        run = plan_study(load_study(path)).runs[0]
        data = sources.prepare(run.recipe.data, run.data_fingerprint, tmp_path / "data", lambda *_: None)
        return Job(run, tmp_path / name, data, "cpu", 1)

    return make


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trainer]:
    monkeypatch.setenv("TORCH_HOME", "")  # the trainer sets its own, for good: it has a process for itself
    trainer = Trainer(1)
    yield trainer
    trainer.leave()


def follow(trainer: Trainer, job: Job, weights: WeightsFile | None = None, stop_after: int = 99) -> list[Event]:
    """Train a run as a driver has it trained: what was told, with the files kept in the folder of `job`."""
    folder, events, stop = RunFolder(job.folder), list[Event](), False
    folder.path.mkdir(exist_ok=True)
    assert isinstance(job.data, Path)
    trainer.begin(job, read_only(job.data), weights, contents(folder))
    while not events or not isinstance(events[-1], Done | Failed | Stopped):
        for told in trainer.poll(stop):
            write(folder, told.files)
            events.append(told.event)
        stop = sum(isinstance(event, EpochDone) for event in events) >= stop_after
    return events


def read_only(folder: Path) -> sources.Arrays:
    """Arrays as Ray's object store gives them out."""
    arrays = read_arrays(folder)
    arrays.images.flags.writeable = arrays.labels.flags.writeable = False
    return arrays


def plain(job: Job) -> str | None:
    """The digest of the weights that the run ends with in a worker of this machine."""
    record = train(job, Hooks(lambda *_: None, lambda *_: None, lambda: False))
    assert record
    return record.weights_sha256


def test_a_run_that_was_stopped_goes_on_from_what_came_back(trainer: Trainer, job: MakeTask) -> None:
    first = follow(trainer, job("elsewhere"), stop_after=1)
    assert isinstance(first[-1], Stopped)
    last = follow(trainer, job("elsewhere"))[-1]
    assert isinstance(last, Done)
    assert last.record.resumed == 1
    assert last.record.weights_sha256 == plain(job("here"))
    assert [row.epoch for row in RunFolder(job("elsewhere").folder).epochs()] == [1, 2, 3, 4]


def test_weights_are_brought_to_where_the_run_finds_them(trainer: Trainer, job: MakeTask, tmp_path: Path) -> None:
    plain(job("donor"))
    donor = tmp_path / "donor" / "best.pt"
    own = job("elsewhere", weights=f"weights: {donor}")
    expected = plain(job("here", weights=f"weights: {donor}"))
    content = np.fromfile(donor, np.uint8)
    donor.rename(tmp_path / "moved.pt")
    last = follow(trainer, own)[-1]
    assert isinstance(last, Failed)
    assert "no checkpoint at" in last.message
    last = follow(trainer, own, WeightsFile(f"{own.run.weights}.pt", content))[-1]
    assert isinstance(last, Done)
    assert last.record.weights_sha256 == expected


def test_a_process_that_cuda_has_broken_says_so_with_the_end_of_its_run(
    trainer: Trainer, job: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def empty_cache() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", empty_cache)
    run = job("elsewhere")
    assert isinstance(run.data, Path)
    trainer.begin(run, read_only(run.data), None, {})
    told = []
    while not told or not isinstance(told[-1].event, Done):
        told += trainer.poll(False)
    assert [each.broken for each in told] == [False] * (len(told) - 1) + [True]
