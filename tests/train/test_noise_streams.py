"""The random streams of an image classifier under seeds of their own: each moves its part, all together are a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from ablation.data import sources
from ablation.planning.job import Job
from ablation.planning.noise import image_sources
from ablation.planning.plan import with_streams
from ablation.planning.run import Run
from ablation.storage.record import RunRecord
from ablation.storage.store import RunFolder
from ablation.tasks.hooks import Hooks
from ablation.training.loop import Training, train

STUDY = """\
baseline:
  data: {name: digits, validation: 0.2, limit: 200, fraction: 0.9, augment: [{name: crop, padding: 1}, noise]}
  model: {name: lenet5, norm: batch, dropout: 0.3, hidden: [16]}
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
  train: {epochs: 2, batch_size: 32, mixup: 0.2}
seeds: [0, 1]
"""
Jobs = Callable[..., list[Job]]


def under(job: Job, streams: dict[str, int]) -> Job:
    run = with_streams(job.run, streams)
    return replace(job, run=run, folder=job.folder.with_name(run.folder))


def trained(job: Job) -> RunRecord:
    record = train(job, Hooks(lambda *_: None, lambda *_: None, lambda: False))
    assert record is not None
    return record


def streams_of(run: Run, *names: str) -> list[str]:
    """The streams of the sources of these names; of all sources by default."""
    found = [source for source in image_sources(run.image_recipe) if not names or source.name in names]
    return [stream for source in found for stream in source.streams]


def test_all_streams_of_another_seed_give_its_weights(study, jobs: Jobs) -> None:  # type: ignore[no-untyped-def]
    first, second = jobs(study())
    moved = under(first, dict.fromkeys(streams_of(first.run), 1))
    assert moved.run.key != second.run.key
    records = [trained(job) for job in (first, second, moved)]
    assert records[2].weights_sha256 == records[1].weights_sha256 != records[0].weights_sha256
    assert records[2].metrics == records[1].metrics
    assert records[2].streams == dict.fromkeys(streams_of(first.run), 1)
    stored = RunFolder(moved.folder).record()
    assert stored
    assert stored.streams == records[2].streams


def parts(job: Job) -> dict[str, torch.Tensor]:
    """What each source decides of a run before its first step, as far as it can be seen alone."""
    training = Training(job)
    images = sources.load(job.prepared)
    loader = training.loader
    order = next(iter(loader.train(training.budget, 1)))[1]
    chosen = torch.cat([loader.split.train, loader.split.val])
    return {
        "split": images.labels[chosen].new_tensor(chosen.tolist()),
        "order": order,
        "initial weights": torch.cat([own.detach().flatten() for own in training.model.parameters()]),
    }


@pytest.mark.parametrize("name", ["split", "order", "initial weights", "augmentation", "dropout"])
def test_a_source_moves_its_own_part_alone(name: str, study, jobs: Jobs) -> None:  # type: ignore[no-untyped-def]
    first, _ = jobs(study())
    moved = under(first, dict.fromkeys(streams_of(first.run, name), 1))
    before, after = parts(first), parts(moved)
    same = {part for part in before if torch.equal(before[part], after[part])}
    if name == "split":  # another split has other images in every batch
        assert same == {"initial weights"}
    else:
        assert same == set(before) - {name}
    assert trained(moved).weights_sha256 != trained(first).weights_sha256
