"""Starting from weights: of our own runs and of torchvision, what is loaded, what is frozen, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ablation.data import sources
from ablation.errors import UserError
from ablation.execution.study import plan_study
from ablation.planning.job import Job
from ablation.planning.run import Run
from ablation.storage.record import EpochRow, RunRecord
from ablation.storage.store import RunFolder
from ablation.study.load import load_study
from ablation.study.schema import Study
from ablation.tasks.hooks import Hooks
from ablation.training import checkpoint, finetune
from ablation.training.data import Input
from ablation.training.finetune import Weights, fit
from ablation.training.loop import train
from ablation.training.sizes import Classifier

BASE = """\
baseline:
  data: {name: synthetic, shape: [3, 8, 8], classes: CLASSES, samples: 120, validation: 0.2}
  model: {name: lenet5, norm: batch, hidden: [12], MODEL}
  optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
  train: {epochs: EPOCHS, batch_size: 32}
seeds: [0]
"""

IMAGE = (3, 8, 8)
MakeStudy = Callable[..., Study]


@pytest.fixture
def study(tmp_path: Path) -> MakeStudy:
    def make(*overrides: str, classes: int = 4, epochs: int = 2, model: str = "dropout: 0.1", more: str = "") -> Study:
        text = BASE.replace("CLASSES", str(classes)).replace("MODEL", model).replace("EPOCHS", str(epochs)) + more
        path = tmp_path / "study.yaml"
        path.write_text(text)
        return load_study(path, overrides=overrides)

    return make


def run(job: Job, stop_after: int | None = None) -> tuple[RunRecord | None, list[EpochRow]]:
    seen: list[EpochRow] = []
    stop = lambda: stop_after is not None and len(seen) >= stop_after  # noqa: E731
    return train(job, Hooks(lambda row, _: seen.append(row), lambda *_: None, stop)), seen


def last(job: Job) -> dict[str, Any]:
    saved = checkpoint.load(RunFolder(job.folder).last)
    assert saved is not None
    return saved


@pytest.fixture
def trained(study: MakeStudy, jobs: Callable[..., list[Job]], tmp_path: Path) -> Path:
    """A checkpoint of one of our own runs, on four classes."""
    (job,) = jobs(study(), "first")
    run(job)
    kept = tmp_path / "best.pt"
    shutil.copy(RunFolder(job.folder).best, kept)
    return kept


def only_run(study: Study) -> Run:
    return plan_study(study).runs[0]


def started(study: Study) -> tuple[Classifier, Input]:
    """The network of the first run of a study before its first step."""
    data = study.baseline.recipe.data
    classes = tuple(f"class {index}" for index in range(getattr(data, "classes", 10)))
    begun = finetune.start(only_run(study), IMAGE, classes)
    return begun.classifier, begun.input


def state_of(path: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(path, weights_only=True)["model"])


# Our own checkpoints


def test_a_checkpoint_with_the_same_classes_is_loaded_whole(study: MakeStudy, trained: Path) -> None:
    network = started(study(f"model.weights={trained}"))[0].network
    for name, value in state_of(trained).items():
        assert torch.equal(network.state_dict()[name], value)


def test_for_other_classes_the_head_is_new_and_that_of_a_run_from_scratch(study: MakeStudy, trained: Path) -> None:
    tuned = started(study(f"model.weights={trained}", classes=6))[0].network.state_dict()
    scratch = started(study(classes=6))[0].network.state_dict()
    saved = state_of(trained)
    assert tuned["classifier.output.weight"].shape == (6, 12)
    for name, value in tuned.items():
        assert torch.equal(value, scratch[name] if name.startswith("classifier.output") else saved[name]), name


def test_other_classes_of_the_same_number_get_a_new_head(study: MakeStudy, trained: Path) -> None:
    classifier, _ = started(study())
    before = classifier.head_layer.weight.clone()
    weights = Weights(state_of(trained), ("cat", "dog", "ship", "truck"))
    fit(classifier, weights, tuple(f"class {index}" for index in range(4)), "a.pt")
    assert torch.equal(classifier.head_layer.weight, before)
    assert torch.equal(classifier.network.state_dict()["features.conv1.weight"], weights.state["features.conv1.weight"])


def test_pixels_are_normalised_as_they_were_for_the_checkpoint(study: MakeStudy, trained: Path, jobs) -> None:  # type: ignore[no-untyped-def]
    _, given = started(study(f"model.weights={trained}", classes=6))
    saved = torch.load(trained, weights_only=True)["statistics"]
    assert given.statistics is not None
    assert torch.equal(given.statistics[0], saved[0])
    assert torch.equal(given.statistics[1], saved[1])
    (job,) = jobs(study(f"model.weights={trained}", classes=6, epochs=1))
    run(job)
    assert torch.equal(last(job)["statistics"][0], saved[0])


def test_frozen_features_keep_every_bit_and_their_batchnorm_its_statistics(
    study: MakeStudy, trained: Path, jobs: Callable[..., list[Job]]
) -> None:
    (job,) = jobs(study(f"model.weights={trained}", "model.freeze=features", classes=6))
    record, _ = run(job)
    after, saved = last(job)["model"], state_of(trained)
    features = [name for name in saved if name.startswith("features.")]
    assert any(name.endswith("running_mean") for name in features)
    assert all(torch.equal(after[name], saved[name]) for name in features)
    assert not torch.equal(after["classifier.linear1.weight"], saved["classifier.linear1.weight"])
    assert record is not None
    assert record.trainable_parameters == sum(
        value.numel() for name, value in after.items() if name.startswith("classifier.")
    )
    assert record.parameters > record.trainable_parameters


def test_what_is_not_frozen_trains_with_its_batchnorm(
    study: MakeStudy, trained: Path, jobs: Callable[..., list[Job]]
) -> None:
    (job,) = jobs(study(f"model.weights={trained}", classes=6))
    record, _ = run(job)
    after, saved = last(job)["model"], state_of(trained)
    assert not torch.equal(after["features.conv1.weight"], saved["features.conv1.weight"])
    assert not torch.equal(after["features.norm1.running_mean"], saved["features.norm1.running_mean"])
    assert record is not None
    assert record.trainable_parameters == record.parameters


@pytest.mark.parametrize("freeze", ["none", "features"])
def test_an_interrupted_fine_tuning_ends_with_the_same_bits(
    freeze: str, study: MakeStudy, trained: Path, jobs: Callable[..., list[Job]]
) -> None:
    options = (f"model.weights={trained}", f"model.freeze={freeze}", "optimizer.head_lr_multiplier=10")
    (whole,), (parts,) = (jobs(study(*options, classes=6, epochs=3), folder) for folder in "ab")
    expected, _ = run(whole)
    run(parts, stop_after=1)
    run(parts, stop_after=1)
    record, _ = run(parts)
    assert record is not None
    assert expected is not None
    assert record.weights_sha256 == expected.weights_sha256


def test_the_head_learns_at_a_multiple_of_the_rate(study: MakeStudy) -> None:
    moved = {}
    for multiplier in (1, 10):
        made = study(f"optimizer.head_lr_multiplier={multiplier}")
        classifier, _ = started(made)
        before = {name: value.detach().clone() for name, value in classifier.network.named_parameters()}
        groups = finetune.parameter_groups(classifier, made.baseline.recipe.optimizer.head_lr_multiplier)
        optimizer = made.baseline.recipe.optimizer.build(groups)
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * group["lr_multiplier"]
        for parameter in classifier.network.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        moved[multiplier] = {
            name: (value.detach() - before[name]).mean().item() for name, value in classifier.network.named_parameters()
        }
    for name, change in moved[1].items():
        factor = 10 if name.startswith("classifier.output") else 1
        assert moved[10][name] == pytest.approx(factor * change, rel=1e-3), name


REFUSED = {
    "width": ("model.width=2", "features.conv1.weight is (6, 3, 5, 5), not (12, 3, 5, 5)"),
    "norm": ("model.norm=none", "it has features.norm1.bias"),
    "depth of the classifier": ("model.hidden=[]", "it has classifier.linear1.bias, classifier.linear1.weight"),
    "network": ("model={name: resnet9}", "it lacks features.prep.conv.weight"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_weights_of_another_network_are_refused_and_the_parameters_named(
    case: str, study: MakeStudy, trained: Path
) -> None:
    option, message = REFUSED[case]
    with pytest.raises(UserError, match="is of another network") as raised:
        started(study(f"model.weights={trained}", option))
    assert message in str(raised.value)


BROKEN = {
    "text": b"these are no weights",
    "nothing": b"",
}


@pytest.mark.parametrize("content", BROKEN)
def test_a_file_that_is_no_checkpoint_is_refused_and_stays_where_it_is(
    content: str, study: MakeStudy, tmp_path: Path
) -> None:
    path = tmp_path / "broken.pt"
    path.write_bytes(BROKEN[content])
    with pytest.raises(UserError, match="is no checkpoint"):
        started(study(f"model.weights={path}"))
    assert path.read_bytes() == BROKEN[content]


def test_a_checkpoint_that_would_run_code_is_refused(study: MakeStudy, tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    torch.save({"schema_version": 1, "model": Path}, path)
    with pytest.raises(UserError, match="is no checkpoint"):
        started(study(f"model.weights={path}"))


def test_a_plain_state_dict_will_do(study: MakeStudy, trained: Path, tmp_path: Path) -> None:
    torch.save(state_of(trained), tmp_path / "plain.pth")
    classifier, given = started(study(f"model.weights={tmp_path}/plain.pth"))
    assert torch.equal(classifier.head_layer.weight, state_of(trained)["classifier.output.weight"])
    assert given.statistics is None


def test_a_missing_checkpoint_is_shown_where_the_study_names_it(study: MakeStudy) -> None:
    with pytest.raises(UserError) as raised:
        study(model="weights: nowhere/best.pt")
    assert "no checkpoint at 'nowhere/best.pt'" in str(raised.value)
    assert "study.yaml:3:" in str(raised.value)


def test_the_key_goes_by_the_content_of_the_checkpoint_not_by_its_place(
    study: MakeStudy, trained: Path, tmp_path: Path
) -> None:
    shutil.copy(trained, tmp_path / "copy.pt")
    here, there = (only_run(study(f"model.weights={tmp_path}/{name}")) for name in ("best.pt", "copy.pt"))
    assert here.key == there.key
    assert here.key != only_run(study()).key
    saved = torch.load(trained, weights_only=True)
    saved["model"]["features.conv1.bias"] += 1
    torch.save(saved, tmp_path / "copy.pt")
    assert only_run(study(f"model.weights={tmp_path}/copy.pt")).key != here.key


def test_a_checkpoint_that_changed_after_planning_is_refused(study: MakeStudy, trained: Path) -> None:
    planned = only_run(study(f"model.weights={trained}"))
    saved = torch.load(trained, weights_only=True)
    torch.save(saved | {"epoch": 99}, trained)
    with pytest.raises(UserError, match="has changed since"):
        finetune.start(planned, IMAGE, ("a", "b", "c", "d"))


def test_the_same_checkpoint_in_two_places_is_two_variants_of_one_training(
    study: MakeStudy, trained: Path, tmp_path: Path
) -> None:
    shutil.copy(trained, tmp_path / "copy.pt")
    variants = study(more=f"vary:\n  model.weights: [{trained}, {tmp_path}/copy.pt]\n")
    keys = [run.key for run in plan_study(variants).runs]
    assert len(keys) == 3
    assert len(set(keys)) == 2


@pytest.mark.slow
def test_the_command_finds_weights_that_do_not_fit_before_it_trains(ablate, trained: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = BASE.replace("CLASSES", "4").replace("EPOCHS", "1").replace("MODEL", f"width: 2, weights: {trained}")
    (tmp_path / "wide.yaml").write_text(text)
    result = ablate("run", "wide.yaml", "--per-device", "1")
    assert result.returncode == 1
    assert "is of another network" in result.stdout + result.stderr
    assert not list((tmp_path / "results" / "runs").glob("*"))


# What the network is given


def test_images_are_resized_after_normalisation(study: MakeStudy, jobs: Callable[..., list[Job]]) -> None:
    from ablation.training.data import Loader

    (job,) = jobs(study("model.input_size=20"))
    images, recipe = sources.load(job.data), job.run.recipe
    cpu = torch.device("cpu")
    plain = Loader(images, recipe.data, recipe.train, 0, cpu)
    large = Loader(images, recipe.data, recipe.train, 0, cpu, finetune.start(job.run, IMAGE, images.classes).input)
    small, _ = next(iter(plain.val()))
    resized, _ = next(iter(large.val()))
    expected = nn.functional.interpolate(small, (20, 20), mode="bilinear", antialias=True)
    assert resized.shape[2:] == (20, 20)
    assert torch.allclose(resized, expected[: len(resized)], atol=1e-6)


def test_the_size_of_the_input_is_that_of_the_macs(study: MakeStudy, jobs: Callable[..., list[Job]]) -> None:
    macs = []
    for size in (8, 16):
        (job,) = jobs(study(f"model.input_size={size}", epochs=1), str(size))
        record, _ = run(job)
        assert record is not None
        assert record.image == IMAGE
        macs.append(record.macs)
    assert macs[1] > 2 * macs[0]


def test_our_own_networks_have_no_default_weights(study: MakeStudy) -> None:
    with pytest.raises(UserError, match="lenet5 has no DEFAULT weights"):
        study(model="weights: DEFAULT")
