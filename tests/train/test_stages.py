"""A training in stages: what each is given, where it starts from, and the same bits however it is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ablation.errors import UserError
from ablation.planning.job import Job
from ablation.registry.optimizers import Adam, Sgd
from ablation.storage.record import EpochRow, RunRecord
from ablation.storage.store import RunFolder
from ablation.study.load import load_study
from ablation.study.schema import Study
from ablation.tasks.hooks import Hooks
from ablation.training import checkpoint
from ablation.training.loop import train

HEAD = """\
baseline:
  data: {name: digits, validation: 0.2, limit: 150}
  model: {name: lenet5, norm: batch, hidden: [16], dropout: 0.2}
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
"""
STAGES = """\
  schedule: {name: cosine}
  train:
    batch_size: 32
    stages:
      - {epochs: 2, freeze: features, schedule: constant}
      - {epochs: 3, optimizer: {lr: 0.02, momentum: 0.5}}
      - {epochs: 2, optimizer: {name: adam, lr: 0.001}, schedule: {name: step, step_size: 1, gamma: 0.5}, start: last}
seeds: [0]
"""


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Study]:
    def make(stages: str = STAGES, *overrides: str, smoke: bool = False) -> Study:
        path = tmp_path / "study.yaml"
        path.write_text(HEAD + stages)
        return load_study(path, overrides=overrides, smoke=smoke)

    return make


def staged(*stages: str, more: str = "") -> str:
    listed = "".join(f"      - {stage}\n" for stage in stages)
    return f"  train:\n    batch_size: 32\n{more}    stages:\n{listed}seeds: [0]\n"


def run(job: Job, stop_after: int | None = None) -> tuple[RunRecord | None, list[EpochRow]]:
    seen: list[EpochRow] = []
    stop = lambda: stop_after is not None and len(seen) >= stop_after  # noqa: E731
    return train(job, Hooks(lambda row, _: seen.append(row), lambda *_: None, stop)), seen


def weights(path: Path) -> dict[str, Any]:
    saved = checkpoint.load(path)
    assert saved is not None
    return dict(saved["model"])


def test_epochs_are_numbered_through_and_each_row_says_its_stage(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (job,) = jobs(study())
    record, rows = run(job)
    assert record is not None
    assert [row.epoch for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert [row.stage for row in rows] == [1, 1, 2, 2, 2, 3, 3]
    assert [row.stage for row in RunFolder(job.folder).epochs()] == [1, 1, 2, 2, 2, 3, 3]
    assert record.epochs == 7
    assert record.recipe["train"]["epochs"] == 7


def test_each_stage_has_a_learning_rate_and_a_schedule_of_its_own(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (job,) = jobs(study())
    rates = [row.lr for row in run(job)[1]]
    steps = 4
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer := torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.02), 3 * steps
    )
    expected = []
    for _ in range(3 * steps):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        cosine.step()
    assert rates[:2] == [0.1, 0.1]
    assert rates[2:5] == pytest.approx(expected[steps - 1 :: steps])
    assert rates[5:] == pytest.approx([0.001, 0.0005])


@pytest.mark.parametrize("pieces", [[1] * 6, [2, 3], [3, 2], [5]], ids=str)
def test_an_interrupted_run_ends_with_the_same_bits(pieces: list[int], study, jobs) -> None:  # type: ignore[no-untyped-def]
    (whole,), (parts,) = jobs(study(), "a"), jobs(study(), "b")
    expected, rows = run(whole)
    for piece in pieces:
        assert run(parts, stop_after=piece)[0] is None
    record, _ = run(parts)
    assert record is not None
    assert expected is not None
    assert record.weights_sha256 == expected.weights_sha256
    assert [row.metrics for row in RunFolder(parts.folder).epochs()] == [row.metrics for row in rows]
    assert torch.equal(
        weights(RunFolder(parts.folder).last)["classifier.output.weight"],
        weights(RunFolder(whole.folder).last)["classifier.output.weight"],
    )


def test_a_crash_after_the_best_checkpoint_was_replaced_changes_nothing(study, jobs) -> None:  # type: ignore[no-untyped-def]
    """The first epoch of a stage replaces best.pt before it counts; the stage must still begin from the old one."""
    ruin = staged("{epochs: 3, optimizer: {lr: 0.3}}", "{epochs: 2, optimizer: {lr: 0.02}}")
    (whole,), (torn,) = jobs(study(ruin), "a"), jobs(study(ruin), "b")
    expected, rows = run(whole)
    run(torn, stop_after=3)
    boundary = RunFolder(torn.folder).last.read_bytes()
    accuracies = [row.metrics["val_accuracy"] for row in rows]
    best_before = accuracies.index(max(accuracies[:3]))
    assert best_before < 2, "the case needs a best epoch that is not the last of its stage"
    assert accuracies[3] > max(accuracies[:3]), "the case needs a first epoch that becomes the best"
    run(torn, stop_after=1)
    RunFolder(torn.folder).last.write_bytes(boundary)
    record, _ = run(torn)
    assert record is not None
    assert expected is not None
    assert record.weights_sha256 == expected.weights_sha256
    assert [row.metrics for row in RunFolder(torn.folder).epochs()] == [row.metrics for row in rows]


@pytest.mark.parametrize("start", ["best", "last"])
def test_a_stage_starts_from_the_best_or_the_last_weights(start: str, study, jobs) -> None:  # type: ignore[no-untyped-def]
    still = f"{{epochs: 1, optimizer: {{lr: 1.0e-9, momentum: 0}}, start: {start}}}"
    (job,) = jobs(study(staged("{epochs: 4, optimizer: {lr: 0.3}}", still)))
    run(job, stop_after=4)
    folder = RunFolder(job.folder)
    best, last = weights(folder.best), weights(folder.last)
    name = "classifier.output.weight"
    assert not torch.allclose(best[name], last[name], atol=1e-4), "the case needs a best epoch before the last"
    run(job)
    assert torch.allclose(weights(folder.last)[name], (best if start == "best" else last)[name], atol=1e-6)


def test_what_a_stage_freezes_stays_as_it_is(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (job,) = jobs(study(staged("{epochs: 2, freeze: features}", "{epochs: 1, freeze: none}")))
    features = "features.conv1.weight"
    run(job, stop_after=1)
    after_one = weights(RunFolder(job.folder).last)
    run(job, stop_after=1)
    after_two = weights(RunFolder(job.folder).last)
    record, _ = run(job)
    after_three = weights(RunFolder(job.folder).last)
    assert torch.equal(after_one[features], after_two[features])
    assert not torch.equal(after_one["classifier.output.weight"], after_two["classifier.output.weight"])
    assert not torch.equal(after_two[features], after_three[features])
    assert record is not None
    assert record.trainable_parameters == record.parameters


def noting(build: Any, built: list[str]) -> Any:
    """`build`, which also notes the name of what it builds."""

    def noted(options: Any, *parameters: Any, **own: Any) -> Any:
        built.append(options.name)
        return build(options, *parameters, **own)

    return noted


def test_the_optimiser_begins_anew(study, jobs, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    built: list[str] = []
    for kind in (Sgd, Adam):
        monkeypatch.setattr(kind, "build", noting(kind.build, built))
    (job,) = jobs(study())
    run(job)
    assert built == ["sgd", "sgd", "adam"]


def test_one_stage_is_the_same_training_as_none(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (plain,) = jobs(study("  train: {epochs: 3, batch_size: 32}\nseeds: [0]\n"), "a")
    (single,) = jobs(study(staged("{epochs: 3}")), "b")
    first, second = run(plain)[0], run(single)[0]
    assert first is not None
    assert second is not None
    assert first.weights_sha256 == second.weights_sha256


def test_the_best_epoch_is_that_of_all_stages(study, jobs) -> None:  # type: ignore[no-untyped-def]
    (job,) = jobs(study(staged("{epochs: 4, optimizer: {lr: 0.05}}", "{epochs: 2, optimizer: {lr: 3}, start: last}")))
    record, rows = run(job)
    assert record is not None
    accuracies = [row.metrics["val_accuracy"] for row in rows]
    assert record.best_epoch == accuracies.index(max(accuracies)) + 1


def test_smoke_keeps_the_stages(study) -> None:  # type: ignore[no-untyped-def]
    train_options = study(smoke=True).baseline.recipe.train
    assert [stage.epochs for stage in train_options.stages] == [1, 1, 1]
    assert train_options.epochs == 3


def test_another_optimiser_keeps_what_it_shares_with_that_of_the_recipe(study) -> None:  # type: ignore[no-untyped-def]
    recipe = study(staged("{epochs: 2}", "{epochs: 3, optimizer: {name: rmsprop}}")).baseline.recipe
    (_, second) = recipe.stages(5)
    assert (second.optimizer.name, second.optimizer.lr, second.optimizer.momentum) == ("rmsprop", 0.1, 0.9)


MISTAKES = {
    "the stages have 5 epochs in total": staged("{epochs: 2}", "{epochs: 3}", more="    epochs: 9\n"),
    "patience cannot be combined with stages": staged("{epochs: 2}", "{epochs: 3}", more="    patience: 3\n"),
    "stage 2: sgd has no option 'momentun'": staged("{epochs: 2}", "{epochs: 3, optimizer: {momentun: 0.5}}"),
    "stage 1: lr: ": staged("{epochs: 2, optimizer: {lr: -1}}"),
    "unknown key 'epoch'": staged("{epoch: 2}"),
    "unknown schedule 'cosinus'": staged("{epochs: 2, schedule: cosinus}"),
    "fills all 2 epochs of stage 2": staged("{epochs: 4}", "{epochs: 2, schedule: {name: cosine, warmup_epochs: 3}}"),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_told_with_their_place(message: str, study) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError) as raised:
        study(MISTAKES[message])
    assert message in str(raised.value)


def test_a_mistake_in_the_optimiser_of_a_stage_is_shown_where_it_stands(study) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError) as raised:
        study(MISTAKES["stage 2: sgd has no option 'momentun'"])
    assert "study.yaml:9:" in str(raised.value)


def test_the_stages_can_be_varied(study, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    plain = "  train: {epochs: 5, batch_size: 32}\nseeds: [0]\n"
    variants = study(plain + "vary:\n  train.stages: [[{epochs: 2, freeze: features}, {epochs: 3}]]\n").variants
    assert [len(variant.recipe.train.stages) for variant in variants] == [0, 2]
