"""What a sound study file becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablation.analysis import describe_change
from ablation.errors import FileError
from ablation.execution.study import plan_study
from ablation.planning.plan import data_sources, make_plan
from ablation.storage.manifest import make_manifest
from ablation.study.load import load_study
from ablation.study.schema import Study

ROOT = Path(__file__).resolve().parent.parent

BASE = """\
baseline:
  data: {name: cifar10, augment: [crop]}
  model: {name: vgg11, dropout: 0.2}
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 5e-4}
  schedule: {name: cosine, warmup_epochs: 1}
  train: {epochs: 10}
seeds: 3
"""


@pytest.fixture
def load(tmp_path: Path):  # type: ignore[no-untyped-def]
    def call(more: str = "", **options: object) -> Study:
        path = tmp_path / "my_study.yaml"
        path.write_text(BASE + more, encoding="utf-8")
        return load_study(path, **options)  # type: ignore[arg-type]

    return call


def names(study: Study) -> list[str]:
    return [variant.name for variant in study.variants]


def test_name_and_title_default_to_the_name_of_the_file(load) -> None:  # type: ignore[no-untyped-def]
    study = load()
    assert (study.name, study.title) == ("my_study", "my_study")


def test_a_number_of_seeds_counts_from_zero(load) -> None:  # type: ignore[no-untyped-def]
    assert load().seeds == (0, 1, 2)


def test_numbers_are_read_as_people_write_them(load) -> None:  # type: ignore[no-untyped-def]
    study = load("vary: {optimizer.weight_decay: [0, 1e-2, 5E-2]}")
    assert [v.recipe.optimizer.weight_decay for v in study.variants] == [5e-4, 0, 0.01, 0.05]


def test_variants_are_named_after_their_change(load) -> None:  # type: ignore[no-untyped-def]
    study = load(
        """\
vary:
  model.dropout: [0.0]
  model.norm: [none]
  model.name: [vgg19]
  data.augment: [[], [crop, flip], [{name: crop, padding: 2}]]
  schedule: [constant, {name: step, step_size: 3}]
combine:
  dropout+l2: {model.dropout: 0.5, optimizer.weight_decay: 0.1}
"""
    )
    assert names(study)[1:] == [
        "dropout=0",
        "norm=none",
        "model=vgg19",
        "augment=none",
        "augment=crop+flip",
        "augment=crop(padding=2)",
        "schedule=constant",
        "schedule=step",
        "dropout+l2",
    ]


def test_two_schedules_of_one_kind_get_names_that_tell_them_apart(load) -> None:  # type: ignore[no-untyped-def]
    study = load("vary: {schedule: [{name: step, step_size: 3}, {name: step, step_size: 5}]}")
    assert names(study)[1:] == ["schedule=step", "schedule=step(step_size=5)"]


def test_a_new_schedule_keeps_the_warm_up_of_the_baseline(load) -> None:  # type: ignore[no-untyped-def]
    step = load("vary: {schedule: [{name: step, step_size: 3}]}").variants[1].recipe.schedule
    assert (step.name, step.warmup_epochs) == ("step", 1)


def test_a_new_optimizer_brings_its_own_parameters_and_keeps_the_shared_ones(load) -> None:  # type: ignore[no-untyped-def]
    adam = load("vary: {optimizer: [{name: adam, lr: 1e-3}]}").variants[1].recipe.optimizer
    assert (adam.name, adam.lr, adam.weight_decay) == ("adam", 1e-3, 5e-4)


def test_the_file_may_repeat_itself_by_yaml_anchors(load) -> None:  # type: ignore[no-untyped-def]
    assert len(load("vary: {model.dropout: &p [0.1], model.input_dropout: *p}").variants) == 3


def test_settings_of_the_command_line_stand_above_the_file(load) -> None:  # type: ignore[no-untyped-def]
    study = load("", overrides=["data.name=synthetic", "train.epochs=2", "model.norm=none", "seeds=[7]"])
    recipe = study.baseline.recipe
    assert (recipe.data.name, recipe.train.epochs, recipe.model.norm, study.seeds) == ("synthetic", 2, "none", (7,))
    assert recipe.data.augment[0].name == "crop"
    assert study.overrides == ("data.name=synthetic", "train.epochs=2", "model.norm=none", "seeds=[7]")


def test_seeds_of_the_command_line_replace_those_of_the_file(load) -> None:  # type: ignore[no-untyped-def]
    assert load("", seeds=[4, 5]).seeds == (4, 5)


def test_a_section_may_be_given_by_its_name_alone(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text(
        "baseline: {data: digits, model: lenet5, optimizer: sgd, schedule: constant, train: {epochs: 2}}\nseeds: 2\n"
    )
    written_out = tmp_path / "long.yaml"
    written_out.write_text(
        "baseline: {data: {name: digits}, model: {name: lenet5}, optimizer: {name: sgd}, schedule: {name: constant}, "
        "train: {epochs: 2}}\nseeds: 2\n"
    )
    short, long = (plan_study(load_study(file)) for file in (path, written_out))
    assert [run.key for run in short.runs] == [run.key for run in long.runs]
    warm = load_study(path, overrides=["schedule.warmup_epochs=1", "optimizer.lr=0.5"]).baseline.recipe
    assert (warm.schedule.name, warm.schedule.warmup, warm.optimizer.lr) == ("constant", 1, 0.5)


def test_data_that_are_not_here_are_listed_where_they_are_not_needed(tmp_path: Path) -> None:
    path = tmp_path / "images.yaml"
    path.write_text(BASE.replace("{name: cifar10, augment: [crop]}", "{name: image_folder, path: no/such/place}"))
    assert load_study(path, need_data=False).missing == ("no folder or zip file at 'no/such/place'",)
    with pytest.raises(FileError, match="no folder or zip file at 'no/such/place'"):
        load_study(path)


def test_smoke_cuts_every_run_and_changes_the_name(load) -> None:  # type: ignore[no-untyped-def]
    study = load("vary: {train.epochs: [30]}", smoke=True)
    assert study.smoke
    assert study.name == "my_study-smoke"
    assert len(study.seeds) == 2
    for variant in study.variants:
        assert variant.recipe.train.epochs == 1
        assert variant.recipe.data.limit == 40


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda path: path.name)
def test_every_study_that_ships_is_sound(path: Path, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    own_images = [f"data.path={tmp_path}"] if "image_folder" in path.read_text(encoding="utf-8") else []
    study = load_study(path, overrides=own_images)
    assert len(study.variants) >= 2
    assert load_study(path, smoke=True, overrides=own_images).smoke


def test_an_option_that_the_network_does_not_use_is_no_variant(load) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FileError, match="equals the baseline"):
        load("vary: {model.stem: [large]}")


def test_a_variant_may_make_an_option_of_the_baseline_useless(load) -> None:  # type: ignore[no-untyped-def]
    study = load("vary: {model.norm: [none]}", overrides=["model.norm_position=after"])
    assert names(study) == ["baseline", "norm=none"]


def inits(study: Study) -> dict[str, object]:
    return {variant.name: variant.recipe.canonical()["model"]["init"] for variant in study.variants}


def test_the_initialisation_of_convolutions_and_of_linear_layers_can_be_chosen_apart(load) -> None:  # type: ignore[no-untyped-def]
    study = load(
        "vary:\n"
        "  model.init: [xavier, {conv: xavier, linear: normal}, {linear: default}]\n"
        "  model.init.conv: [normal]\n"
        "combine:\n"
        "  small: {model.init.conv: normal, model.init.linear: normal}\n"
    )
    assert inits(study) == {
        "baseline": "kaiming",
        "init=xavier": "xavier",
        "init=(conv=xavier, linear=normal)": {"conv": "xavier", "linear": "normal"},
        "init=(linear=default)": {"conv": "kaiming", "linear": "default"},
        "init.conv=normal": {"conv": "normal", "linear": "kaiming"},
        "small": "normal",
    }


def test_a_change_of_one_kind_of_layer_keeps_the_scheme_of_the_other(load) -> None:  # type: ignore[no-untyped-def]
    study = load("vary: {model.init.conv: [default]}", overrides=["model.init=xavier"])
    assert inits(study) == {"baseline": "xavier", "init.conv=default": {"conv": "default", "linear": "xavier"}}
    assert inits(load(overrides=["model.init.linear=normal"])) == {"baseline": {"conv": "kaiming", "linear": "normal"}}


@pytest.mark.parametrize(
    ("init", "same"),
    [
        ("{linear: normal}", "kaiming"),
        ("{conv: normal}", "normal"),
        ("{conv: xavier, linear: normal}", "{conv: xavier}"),
    ],
)
def test_initialisations_that_draw_the_same_weights_are_one_training(init: str, same: str, load) -> None:  # type: ignore[no-untyped-def]
    """A ResNet has no hidden layers, and the output layer is small with kaiming and with normal."""
    first, second = (load(overrides=["model={name: resnet9}", f"model.init={each}"]) for each in (init, same))
    assert first.baseline.recipe.canonical() == second.baseline.recipe.canonical()


def test_the_report_says_a_change_of_the_initialisation_in_words(load) -> None:  # type: ignore[no-untyped-def]
    study = load(
        "vary:\n  model.init: [{conv: xavier, linear: normal}]\n  model.init.linear: [default]\n",
        overrides=["model.init=xavier"],
    )
    manifest = make_manifest(make_plan(study, dict.fromkeys(data_sources(study), "images")), "")
    changes = [describe_change(variant, manifest.baseline) for variant in manifest.variants[1:]]
    assert changes == [
        "initialisation xavier \u2192 conv xavier, linear normal",
        "initialisation of linear layers xavier \u2192 default",
    ]
