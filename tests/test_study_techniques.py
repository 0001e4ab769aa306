"""Every technique is a factor: one study that varies each of them, one variable at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablation.errors import FileError
from ablation.registry import augmentations, schedules
from ablation.registry.optimizers import RmsProp
from ablation.study.load import load_study
from ablation.study.schema import Study

STUDY = """\
baseline:
  data: {name: cifar10}
  model: {name: lenet5, channels: [16, 36], kernel_size: [5, 3], hidden: [128, 96]}
  optimizer: {name: sgd, lr: 0.01, momentum: 0.9, weight_decay: 1e-3}
  schedule: {name: constant, warmup_epochs: 1}
  train: {epochs: 10, batch_size: 32, hold: steps}
seeds: [0]
vary:
"""
EVERYTHING = """\
  model.channels: [[6, 16]]
  model.hidden: [[128]]
  model.kernel_size: [3, [3, 5]]
  model.activation: [sigmoid]
  model.input_dropout: [0.1]
  optimizer: [{name: rmsprop, lr: 1e-3}]
  schedule:
    - {name: step, step_size: 3}
    - {name: multistep, milestones: [4, 8]}
    - cosine
    - {name: exponential, gamma: 0.9}
    - one_cycle
    - plateau
  data.fraction: [0.1]
  data.augment:
    - [crop]
    - [flip]
    - [cutout]
    - [random_resized_crop]
    - [color_jitter]
    - [noise]
    - [crop, flip, {name: noise, sd: 0.2}]
  train.patience: [3]
  train.mixup: [0.2]
  train.label_smoothing: [0.1]
  train.clip_norm: [1]
"""


def load(tmp_path: Path, vary: str, **options: bool) -> Study:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY + vary)
    return load_study(path, **options)


def test_every_technique_is_one_variable(tmp_path: Path) -> None:
    study = load(tmp_path, EVERYTHING)
    names = [variant.name for variant in study.variants]
    assert names[:6] == [
        "baseline",
        "channels=6+16",
        "hidden=128",
        "kernel_size=3",
        "kernel_size=3+5",
        "activation=sigmoid",
    ]
    found = {variant.recipe.schedule.name for variant in study.variants}
    assert found == set(schedules.KINDS)
    found = {part.name for variant in study.variants for part in variant.recipe.data.augment}
    assert found == set(augmentations.KINDS)
    assert {"patience=3", "mixup=0.2", "augment=crop+flip+noise(sd=0.2)", "schedule=plateau"} <= set(names)
    assert all(len(variant.changes) == 1 for variant in study.variants[1:])


def test_what_a_new_choice_shares_with_the_old_one_keeps_its_value(tmp_path: Path) -> None:
    study = load(tmp_path, "  optimizer: [{name: rmsprop, lr: 1e-3}]\n  schedule: [plateau, one_cycle]\n")
    rmsprop, plateau, one_cycle = (variant.recipe for variant in study.variants[1:])
    assert isinstance(rmsprop.optimizer, RmsProp)
    assert (rmsprop.optimizer.momentum, rmsprop.optimizer.weight_decay) == (0.9, 1e-3)
    assert plateau.schedule.warmup == 1
    assert one_cycle.schedule.warmup == 0


def test_a_kernel_for_each_convolution_may_be_the_same_kernel(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is the same as 'kernel_size=3'"):
        load(tmp_path, "  model.kernel_size: [3, [3, 3]]\n")


def test_what_is_held_matters_only_where_data_is_left_out(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="equals the baseline"):
        load(tmp_path, "  train.hold: [epochs]\n")
    (tmp_path / "part.yaml").write_text(
        STUDY.replace("{name: cifar10}", "{name: cifar10, fraction: 0.1}") + "  train.hold: [epochs]\n"
    )
    assert load_study(tmp_path / "part.yaml").variants[1].name == "hold=epochs"


def test_a_smoke_study_keeps_its_techniques(tmp_path: Path) -> None:
    study = load(tmp_path, "  train.mixup: [0.2]\n  data.augment: [[color_jitter]]\n", smoke=True)
    assert study.variants[1].recipe.train.mixup == 0.2
    assert study.variants[2].recipe.data.augment[0].name == "color_jitter"
