"""One run in this process: the same bits however it is interrupted, and a record of what happened."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from ablation.planning.job import Job
from ablation.planning.run import Run
from ablation.storage.record import EpochRow, RunRecord
from ablation.storage.store import RunFolder
from ablation.tasks.hooks import Hooks
from ablation.training import checkpoint
from ablation.training.loop import Training, train

STUDY = """\
baseline:
  data: {name: digits, validation: 0.2, limit: 150, augment: [{name: crop, padding: 1}]}
  model: {name: lenet5, norm: batch, dropout: 0.3, feature_dropout: 0.1, hidden: [16]}
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 1e-3}
  schedule: {name: cosine, warmup_epochs: 1}
  train: {epochs: 4, batch_size: 32}
seeds: [0]
"""


def run(job: Job, stop_after: int | None = None) -> tuple[RunRecord | None, list[EpochRow]]:
    """Train a job, asking it to stop after so many epochs."""
    seen: list[EpochRow] = []
    hooks = Hooks(
        on_epoch=lambda row, _: seen.append(row),
        on_step=lambda *_: None,
        should_stop=lambda: stop_after is not None and len(seen) >= stop_after,
    )
    return train(job, hooks), seen


def values(folder: Path) -> list[tuple[float, ...]]:
    rows = RunFolder(folder).epochs()
    return [(r.epoch, r.step, r.lr, *r.metrics.values()) for r in rows]


def test_signs_of_life_come_from_training_and_from_evaluation(study, jobs, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("ablation.training.progress.TICK", 0)
    monkeypatch.setattr("ablation.training.data.EVAL_BATCH", 10)
    signs: list[tuple[int, int, int]] = []
    hooks = Hooks(lambda *_: None, lambda *sign: signs.append(sign[:3]), lambda: False)
    record = train(jobs(study("train.epochs=2"))[0], hooks)
    assert record is not None
    assert (record.train_images, record.val_images) == (120, 30)
    epoch = [(1, 4), (2, 4), (3, 4), *[(4, 4)] * (1 + 3)]
    assert signs == [(number, *sign) for number in (1, 2) for sign in epoch]


RECIPES = {
    "sgd": [],
    "adam": ["optimizer={name: adam, lr: 0.003}"],
    "nesterov, clipped, smoothed": ["optimizer.nesterov=true", "train.clip_norm=1", "train.label_smoothing=0.1"],
    "bf16": ["train.precision=bf16"],
    "rmsprop": ["optimizer={name: rmsprop, lr: 0.003, momentum: 0.5}"],
    "one cycle": ["schedule={name: one_cycle}"],
    "plateau": ["schedule={name: plateau, patience: 0, threshold: 0.5, factor: 0.5, warmup_epochs: 1}"],
    "colour jitter, resized crop, noise": ["data.augment=[random_resized_crop, color_jitter, noise]"],
    "mixup": ["train.mixup=0.4", "train.label_smoothing=0.1"],
    "steps held": ["train.hold=steps", "data.fraction=0.3", "schedule={name: exponential, gamma: 0.5}"],
    "stopped early": ["train.patience=3", "train.epochs=50", "optimizer.lr=0.5", "schedule=constant"],
    "budget in steps": ["train={epochs: null, steps: 14, eval_every: 4, batch_size: 32}"],
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_interrupted_run_ends_with_the_same_bits(recipe: str, study, jobs) -> None:  # type: ignore[no-untyped-def]
    (whole,), (parts,) = jobs(study(*RECIPES[recipe]), "a"), jobs(study(*RECIPES[recipe]), "b")
    expected, _ = run(whole)
    for _ in range(3):
        assert run(parts, stop_after=1)[0] is None
    record, _ = run(parts)
    assert record is not None
    assert expected is not None
    assert record.weights_sha256 == expected.weights_sha256
    assert record.resumed == 3
    assert record.epochs == expected.epochs
    assert values(parts.folder) == values(whole.folder)


def test_a_crash_between_row_and_checkpoint_repeats_the_epoch(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (whole,), (torn,) = jobs(study(), "a"), jobs(study(), "b")
    expected, _ = run(whole)
    run(torn, stop_after=2)
    saved = RunFolder(torn.folder).last.read_bytes()
    run(torn, stop_after=1)
    RunFolder(torn.folder).last.write_bytes(saved)
    record, rows = run(torn)
    assert [row.epoch for row in rows] == [3, 4]
    assert record is not None
    assert expected is not None
    assert record.weights_sha256 == expected.weights_sha256
    assert values(torn.folder) == values(whole.folder)


def test_a_crash_while_finishing_is_made_up_for(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (job,) = jobs(study())
    expected, _ = run(job)
    (job.folder / "run.json").unlink()
    (job.folder / "predictions.npz").unlink()
    record, rows = run(job)
    assert rows == []
    assert record is not None
    assert expected is not None
    assert record.weights_sha256 == expected.weights_sha256
    assert RunFolder(job.folder).predictions.exists()


def test_an_unreadable_checkpoint_is_kept_aside_and_never_trusted(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (whole,), (broken,) = jobs(study(), "a"), jobs(study(), "b")
    expected, _ = run(whole)
    run(broken, stop_after=2)
    last = RunFolder(broken.folder).last
    last.write_bytes(last.read_bytes()[:1000])
    record, rows = run(broken)
    assert len(rows) == 4
    assert record is not None
    assert expected is not None
    assert record.weights_sha256 == expected.weights_sha256
    assert (broken.folder / "last.pt.unreadable").exists()


def test_the_seed_decides_and_nothing_else(study, jobs) -> None:  # type: ignore[no-untyped-def]
    first, second = jobs(study("seeds=[0, 1]"), "a")
    again = jobs(study("seeds=[1]"), "b")[0]
    digests = []
    for job in (first, second, again):
        torch.rand(7)
        record, _ = run(job)
        assert record is not None
        digests.append(record.weights_sha256)
    assert digests[0] != digests[1]
    assert digests[1] == digests[2]


def test_a_variant_that_changes_nothing_while_training_equals_the_baseline(study, jobs) -> None:  # type: ignore[no-untyped-def]
    """Clipping far above every gradient draws no random number and changes no bit: streams are not disturbed."""
    baseline, clipped = jobs(study(more="vary: {train.clip_norm: [1e9]}"))
    digests = {record.weights_sha256 for job in (baseline, clipped) if (record := run(job)[0])}
    assert len(digests) == 1


def test_best_is_the_earliest_epoch_of_the_highest_validation_accuracy(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (job,) = jobs(study("train.epochs=8"))
    record, rows = run(job)
    assert record is not None
    accuracies = [row.metrics["val_accuracy"] for row in rows]
    assert record.best_epoch == record.selected_epoch == accuracies.index(max(accuracies)) + 1
    best = checkpoint.load(RunFolder(job.folder).best)
    assert best is not None
    assert checkpoint.sha256(best["model"]) == record.weights_sha256


def test_the_last_epoch_can_be_selected(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (job,) = jobs(study("train.epochs=8", "train.select=last"))
    record, _ = run(job)
    assert record is not None
    assert record.selected_epoch == 8
    last = checkpoint.load(RunFolder(job.folder).last)
    assert last is not None
    assert checkpoint.sha256(last["model"]) == record.weights_sha256
    assert "optimizer" not in last


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (job,) = jobs(study("optimizer.lr=1e18", "model.norm=none", "schedule=constant"))
    record, rows = run(job)
    assert record is not None
    assert record.status == "diverged"
    assert record.selected_epoch is None
    assert record.epochs == len(rows) == 1
    assert math.isnan(RunFolder(job.folder).epochs()[0].metrics["train_loss"])


def test_a_diverged_run_that_crashed_before_its_record_is_not_trained_on(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (job,) = jobs(study("optimizer.lr=1e18", "model.norm=none", "schedule=constant"))
    run(job)
    (job.folder / "run.json").unlink()
    record, rows = run(job)
    assert rows == []
    assert record is not None
    assert record.status == "diverged"


def test_a_run_stops_when_validation_has_not_got_better_for_as_long_as_its_patience(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (job,) = jobs(study("train.patience=2", "train.epochs=60"))
    record, rows = run(job)
    assert record is not None
    assert record.status == "finished"
    assert record.epochs == len(rows) < 60
    accuracies = [row.metrics["val_accuracy"] for row in rows]
    assert record.best_epoch == accuracies.index(max(accuracies)) + 1 == len(rows) - 2
    assert len(RunFolder(job.folder).epochs()) == record.epochs
    (job.folder / "run.json").unlink()
    again, more = run(job)
    assert more == []
    assert again is not None
    assert again.weights_sha256 == record.weights_sha256


def test_an_early_stop_leaves_the_epochs_before_it_as_they_are(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (patient,), (stopped,) = jobs(study("train.epochs=20"), "a"), jobs(study("train.epochs=20", "train.patience=1"))
    run(patient)
    run(stopped)
    shorter = values(stopped.folder)
    assert 1 < len(shorter) < 20
    assert shorter == values(patient.folder)[: len(shorter)]


def test_the_plateau_is_that_of_the_stored_validation_losses(study, jobs) -> None:  # type: ignore[no-untyped-def]
    schedule = "schedule={name: plateau, patience: 0, threshold: 0.1, factor: 0.5, warmup_epochs: 2}"
    (job,) = jobs(study(schedule, "train.epochs=12"))
    _, rows = run(job)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0, threshold=0.1)
    expected = []
    for row in rows[2:]:
        expected.append(optimizer.param_groups[0]["lr"])
        plateau.step(row.metrics["val_loss"])
    assert [row.lr for row in rows[2:]] == pytest.approx(expected, rel=1e-12)
    assert len(set(expected)) > 2


@pytest.mark.parametrize("technique", ["train.mixup=0.4", "data.augment=[crop, noise]", "data.augment=[color_jitter]"])
def test_a_technique_leaves_the_order_and_the_initial_weights_as_they_are(technique: str, study, jobs) -> None:  # type: ignore[no-untyped-def]
    plain, changed = (Training(jobs(study(*settings), str(settings))[0]) for settings in ((), (technique,)))
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, changed.model.state_dict()[name])
    before, after = (list(one.loader.train(one.budget, 1)) for one in (plain, changed))
    assert all(torch.equal(x, y) for (_, x), (_, y) in zip(before, after, strict=True))


def test_with_steps_held_less_data_sees_as_many_images_and_the_same_rates(study, jobs) -> None:  # type: ignore[no-untyped-def]
    more = "vary: {data.fraction: [0.3]}"
    full, part = jobs(study("train.hold=steps", more=more))
    (whole, rows), (less, fewer) = run(full), run(part)
    assert whole is not None
    assert less is not None
    assert less.train_images < 0.4 * whole.train_images
    assert [(row.epoch, row.step, row.lr) for row in rows] == [(row.epoch, row.step, row.lr) for row in fewer]


def test_the_record_says_what_was_trained_on_what(study, jobs, place) -> None:  # type: ignore[no-untyped-def]
    (job,) = jobs(study())
    record, _ = run(job)
    assert record is not None
    assert record.image == (1, 8, 8)
    assert record.classes == tuple("0123456789")
    assert record.train_images + record.val_images == pytest.approx(150, abs=5)
    assert record.parameters == 156 + 12 + 2416 + 32 + 64 * 16 + 16 + 170
    assert record.environment.threads == 1
    assert record.environment.torch == torch.__version__
    assert RunRecord.from_json(record.to_json()) == record
    assert isinstance(job.run, Run)


@pytest.mark.slow
def test_memory_grows_with_the_batch(study, jobs) -> None:  # type: ignore[no-untyped-def]
    wide = ["model.width=8", "data.limit=1200", "train.epochs=2"]
    peaks = []
    for size in (8, 800):
        (job,) = jobs(study(*wide, f"train.batch_size={size}"), str(size))
        peaks.append(run(job)[1][0].peak_memory_mb)
    if any(math.isnan(peak) for peak in peaks):
        pytest.skip("this system does not tell the peak memory of a process")
    assert peaks[1] > peaks[0] + 5
