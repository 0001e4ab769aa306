"""A recorded step and one that is launched kernel by kernel: the same weights. Here, replaying is doing it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ablation.planning.job import Job
from ablation.tasks.hooks import Hooks
from ablation.training import checkpoint, device
from ablation.training.loop import Training

STUDY = """\
baseline:
  data: {name: synthetic, shape: [3, 16, 16], samples: 90, classes: 3, validation: 0.2}
  model: {name: lenet5, norm: batch, dropout: 0.3}
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 1e-3}
  schedule: {name: cosine, warmup_epochs: 1}
  train: {epochs: 3, batch_size: 16}
seeds: [0]
"""
HOOKS = Hooks(lambda *_: None, lambda *_: None, lambda: False)
FULL, LAST = 4, 1
"""Batches of an epoch with 16 images, and the one with what is left: 72 images are trained on."""
RECORDED = {
    "sgd": [],
    "no momentum": ["optimizer.momentum=0"],
    "adamw": ["optimizer={name: adamw, lr: 0.01}", "train.clip_norm=1"],
    "head": ["optimizer.head_lr_multiplier=3"],
    "stages": ["schedule.warmup_epochs=0", "train.stages=[{epochs: 1}, {epochs: 2, freeze: features}]"],
}
LAUNCHED = {
    "mixup": ["train.mixup=0.4"],
    "not fused": ["optimizer={name: rmsprop, lr: 0.001}"],
    "too large a batch": ["train.batch_size=80"],
}


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The CPU as a device that records: for each recording, how often it was replayed."""
    found: list[int] = []

    def record(work: Callable[[], None]) -> Callable[[], None]:
        number = len(found)
        found.append(0)

        def replay() -> None:
            found[number] += 1
            work()

        return replay

    monkeypatch.setattr(device, "has_fused_optimizers", lambda _: True)
    monkeypatch.setattr(device, "record", record)
    return found


def train(job: Job) -> tuple[str, list[Any]]:
    """The digest of the weights, and losses and accuracies of all epochs."""
    training = Training(job)
    record = training.until_end(HOOKS)
    assert record
    rows = [(row.metrics, row.lr) for row in training.folder.epochs()]
    return checkpoint.sha256(training.model.state_dict()), rows


@pytest.mark.parametrize("recipe", RECORDED)
def test_recorded_steps_give_the_same_bits(  # type: ignore[no-untyped-def]
    recipe: str, study, jobs, recordings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = train(jobs(study(*RECORDED[recipe]))[0])
    stages = 2 if recipe == "stages" else 1
    assert sum(recordings) == 3 * FULL - stages  # the first step of each stage is launched, as is the last of an epoch
    assert len(recordings) == stages
    monkeypatch.setattr(device, "can_record", lambda *_: False)
    assert train(jobs(study(*RECORDED[recipe]))[0]) == recorded
    assert len(recordings) == stages


@pytest.mark.parametrize("recipe", LAUNCHED)
def test_what_cannot_be_recorded_is_launched(recipe: str, study, jobs, recordings: list[int]) -> None:  # type: ignore[no-untyped-def]
    train(jobs(study(*LAUNCHED[recipe]))[0])
    assert recordings == []


def test_cuda_launch_blocking_forbids_recording(study, jobs, recordings: list[int], monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    train(jobs(study())[0])
    assert recordings == []


def test_a_cpu_records_nothing(study, jobs, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.delattr(device, "record")
    training = Training(jobs(study())[0])
    assert training.until_end(HOOKS)
    assert training.optimizer.param_groups[0]["lr"] == training.folder.epochs()[-1].lr
