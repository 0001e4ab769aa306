"""What components, designs and grids of a study file become: which variants, with which parts on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ablation.errors import FileError
from ablation.execution.study import plan_study
from ablation.storage.manifest import Manifest, make_manifest
from ablation.study.load import load_study
from ablation.study.schema import Study

LAB_B = """\
baseline:
  data: {name: cifar10, augment: [crop, flip]}
  model: {name: vgg13, norm: batch, dropout: 0.5}
  optimizer: {name: sgd, lr: 0.05, momentum: 0.9, weight_decay: 0.05}
  train: {epochs: 30}
seeds: [0, 1, 2]
components:
  norm:    {on: {model.norm: batch}, off: {model.norm: none}}
  l2:      {off: {optimizer.weight_decay: 0}, needs: norm}
  dropout: {off: {model.dropout: 0.0}, needs: norm}
  augment: {off: {data.augment: []}, needs: norm}
design: add_one_in
"""
FREE = LAB_B.replace(", needs: norm", "")


@pytest.fixture
def load(tmp_path: Path):  # type: ignore[no-untyped-def]
    def call(text: str, **options: object) -> Study:
        path = tmp_path / "lab.yaml"
        path.write_text(text, encoding="utf-8")
        return load_study(path, **options)  # type: ignore[arg-type]

    return call


def names(study: Study) -> list[str]:
    return [variant.name for variant in study.variants]


def on(study: Study) -> dict[str, str]:
    """Variant -> the components that are on in it, in a word."""
    return {v.name: " ".join(name for name, state in v.components.items() if state) for v in study.variants}


def test_the_six_arms_of_lab_b(load) -> None:  # type: ignore[no-untyped-def]
    study = load(LAB_B)
    assert on(study) == {
        "baseline": "norm l2 dropout augment",
        "nothing": "",
        "norm alone": "norm",
        "norm+l2": "norm l2",
        "norm+dropout": "norm dropout",
        "norm+augment": "norm augment",
    }
    recipes = {variant.name: variant.recipe for variant in study.variants}
    variants = {
        name: (recipe.model.norm, recipe.optimizer.weight_decay, recipe.model.dropout, len(recipe.data.augment))
        for name, recipe in recipes.items()
    }
    assert variants == {
        "baseline": ("batch", 0.05, 0.5, 2),
        "nothing": ("none", 0.0, 0.0, 0),
        "norm alone": ("batch", 0.0, 0.0, 0),
        "norm+l2": ("batch", 0.05, 0.0, 0),
        "norm+dropout": ("batch", 0.0, 0.5, 0),
        "norm+augment": ("batch", 0.0, 0.0, 2),
    }
    assert [variant.kind for variant in study.variants] == ["baseline", *["add_one_in"] * 5]


def test_the_same_arms_compared_with_batch_normalisation_alone(load) -> None:  # type: ignore[no-untyped-def]
    """What the baseline has on decides what all others are compared with; the variants stay the same."""
    study = load(
        """\
baseline:
  data: {name: cifar10}
  model: {name: vgg13, norm: batch}
  optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
  train: {epochs: 30}
seeds: [0, 1, 2]
components:
  norm:    {off: {model.norm: none}}
  l2:      {on: {optimizer.weight_decay: 0.05}, needs: norm}
  dropout: {on: {model.dropout: 0.5}, needs: norm}
  augment: {on: {data.augment: [crop, flip]}, needs: norm}
design: add_one_in
combine:
  everything: {optimizer.weight_decay: 0.05, model.dropout: 0.5, data.augment: [crop, flip]}
"""
    )
    assert on(study) == {
        "baseline": "norm",
        "everything": "",
        "nothing": "",
        "norm+l2": "norm l2",
        "norm+dropout": "norm dropout",
        "norm+augment": "norm augment",
    }
    assert study.variants[2].changes == {"model.norm": "none"}


def test_leave_one_out_takes_each_part_away_from_the_baseline(load) -> None:  # type: ignore[no-untyped-def]
    study = load(FREE.replace("add_one_in", "leave_one_out"))
    assert on(study) == {
        "baseline": "norm l2 dropout augment",
        "without norm": "l2 dropout augment",
        "without l2": "norm dropout augment",
        "without dropout": "norm l2 augment",
        "without augment": "norm l2 dropout",
    }
    assert [dict(variant.changes) for variant in study.variants[1:]] == [
        {"model.norm": "none"},
        {"optimizer.weight_decay": 0},
        {"model.dropout": 0.0},
        {"data.augment": []},
    ]


def test_leaving_out_what_others_need_leaves_these_out_too(load) -> None:  # type: ignore[no-untyped-def]
    text = LAB_B.replace("add_one_in", "leave_one_out").replace("[]}, needs: norm", "[]}")
    assert names(load(text))[1] == "without norm+l2+dropout"
    assert names(load(LAB_B.replace("add_one_in", "leave_one_out")))[1] == "nothing"


def test_a_component_may_have_several_options(load) -> None:  # type: ignore[no-untyped-def]
    text = FREE.replace("{model.dropout: 0.0}", "{model.dropout: 0.0, optimizer.momentum: 0.5}")
    study = load(text.replace("add_one_in", "leave_one_out"))
    variant = next(variant for variant in study.variants if variant.name == "without dropout")
    assert (variant.recipe.model.dropout, variant.recipe.optimizer.momentum) == (0.0, 0.5)
    assert variant.kind == "leave_one_out"


def test_factorial_has_every_combination_once(load) -> None:  # type: ignore[no-untyped-def]
    study = load(FREE.replace("add_one_in", "factorial"))
    assert len(study.variants) == 16
    assert len({frozenset(name for name, state in v.components.items() if state) for v in study.variants}) == 16
    assert {"nothing", "l2 alone", "norm+dropout", "norm+l2+augment"} < set(names(study))
    assert "everything" not in names(study)  # it is the baseline


def test_factorial_has_only_the_combinations_that_can_be(load) -> None:  # type: ignore[no-untyped-def]
    study = load(LAB_B.replace("add_one_in", "factorial"))
    assert len(study.variants) == 1 + 2**3
    assert "l2 alone" not in names(study)


def test_two_designs_share_their_arms(load) -> None:  # type: ignore[no-untyped-def]
    study = load(FREE.replace("design: add_one_in", "design: [leave_one_out, add_one_in]"))
    assert names(study)[1:5] == ["without norm", "without l2", "without dropout", "without augment"]
    assert names(study)[5:] == ["nothing", "norm alone", "l2 alone", "dropout alone", "augment alone"]
    two = LAB_B.partition("components:")[0] + (
        "components: {norm: {off: {model.norm: none}}, dropout: {off: {model.dropout: 0}}}\n"
        "design: [leave_one_out, add_one_in]\n"
    )
    assert names(load(two)) == ["baseline", "without norm", "without dropout", "nothing"]


def test_an_arm_that_is_declared_already_is_not_trained_twice(load) -> None:  # type: ignore[no-untyped-def]
    study = load(FREE.replace("add_one_in", "leave_one_out") + "vary: {model.dropout: [0.0, 0.3]}\n")
    assert names(study) == ["baseline", "dropout=0", "dropout=0.3", "without norm", "without l2", "without augment"]
    assert on(study)["dropout=0"] == "norm l2 augment"
    assert study.variants[2].components == {}


def test_a_kind_and_its_options_may_be_two_components(load) -> None:  # type: ignore[no-untyped-def]
    """The kind is set first, whatever stands first in the file."""
    text = FREE.partition("components:")[0] + (
        "components:\n"
        "  warm-up: {on: {schedule.warmup_epochs: 2}}\n"
        "  cosine:  {on: {schedule.name: cosine, schedule.min_lr: 0.001}}\n"
        "design: factorial\n"
    )
    both = load(text).variants[-1]
    assert both.name == "everything"
    assert both.recipe.schedule.model_dump(include={"name", "warmup_epochs", "min_lr"}) == {
        "name": "cosine",
        "warmup_epochs": 2,
        "min_lr": 0.001,
    }


GRID = LAB_B.partition("components:")[0] + (
    "grid:\n  dropout x l2: {model.dropout: [0.5, 0.2], optimizer.weight_decay: [0.05, 0.01]}\n"
)


def test_a_grid_has_all_points_and_the_baseline_once(load) -> None:  # type: ignore[no-untyped-def]
    study = load(GRID)
    assert names(study) == [
        "baseline",
        "dropout=0.5, weight_decay=0.01",
        "dropout=0.2, weight_decay=0.05",
        "dropout=0.2, weight_decay=0.01",
    ]
    assert [dict(variant.changes) for variant in study.variants[1:]] == [
        {"optimizer.weight_decay": 0.01},
        {"model.dropout": 0.2},
        {"model.dropout": 0.2, "optimizer.weight_decay": 0.01},
    ]
    assert {variant.kind for variant in study.variants[1:]} == {"grid"}


def test_a_grid_takes_its_points_from_vary_where_they_stand_there(load) -> None:  # type: ignore[no-untyped-def]
    study = load(GRID + "vary: {model.dropout: [0.2]}\n")
    assert names(study) == [
        "baseline",
        "dropout=0.2",
        "dropout=0.5, weight_decay=0.01",
        "dropout=0.2, weight_decay=0.01",
    ]
    points = study.grids["dropout x l2"]
    assert points["baseline"] == {"model.dropout": 0.5, "optimizer.weight_decay": 0.05}
    assert points["dropout=0.2"] == {"model.dropout": 0.2, "optimizer.weight_decay": 0.05}
    assert len(points) == 4


def test_the_manifest_keeps_the_design(load) -> None:  # type: ignore[no-untyped-def]
    plan = plan_study(load(LAB_B + GRID.partition("train: {epochs: 30}")[2].partition("\n")[2].partition("\n")[2]))
    stored = json.loads(json.dumps(make_manifest(plan, "ablate run lab.yaml").to_json()))
    manifest = Manifest.from_json(stored)
    assert manifest.design == ("add_one_in",)
    assert manifest.components["l2"] == {"on": {}, "off": {"optimizer.weight_decay": 0}, "needs": ["norm"]}
    variants = {variant.name: variant.components for variant in manifest.variants}
    assert variants["norm+l2"] == {"norm": True, "l2": True, "dropout": False, "augment": False}
    assert next(iter(manifest.grids["dropout x l2"])) == "baseline"


def test_a_manifest_from_before_designs_is_still_read(load) -> None:  # type: ignore[no-untyped-def]
    stored = make_manifest(plan_study(load(LAB_B)), "ablate run lab.yaml").to_json()
    for key in ("components", "design", "grids"):
        del stored[key]
    stored["arms"] = [{k: v for k, v in variant.items() if k != "components"} for variant in stored["arms"]]
    assert Manifest.from_json(stored).design == ()


def test_smoke_keeps_the_design(load) -> None:  # type: ignore[no-untyped-def]
    study = load(LAB_B, smoke=True)
    assert study.design == ("add_one_in",)
    assert on(study)["norm+l2"] == "norm l2"


def test_the_command_line_chooses_another_design(load) -> None:  # type: ignore[no-untyped-def]
    assert len(load(FREE, overrides=["design=factorial"]).variants) == 16


def test_a_fault_that_only_a_combination_has_is_told_once(load) -> None:  # type: ignore[no-untyped-def]
    text = FREE.partition("components:")[0] + (
        "components:\n"
        "  momentum: {on: {optimizer.momentum: 0.5}}\n"
        "  adam: {on: {optimizer.name: adam}}\n"
        "design: factorial\n"
    )
    with pytest.raises(FileError) as caught:
        load(text)
    message = str(caught.value)
    assert "unknown key 'momentum' in optimizer (adam)" in message
    assert len(caught.value.problems) == 1


def test_the_page_about_designs_tells_the_truth(load) -> None:  # type: ignore[no-untyped-def]
    page = (Path(__file__).resolve().parent.parent / "docs" / "designs.md").read_text(encoding="utf-8")
    blocks = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    baseline = LAB_B.partition("components:")[0]
    assert names(load(baseline + blocks[0]))[1:] == [f"without {part}" for part in ("norm", "dropout", "l2", "augment")]
    assert names(load(blocks[1])) == ["baseline", "nothing", "norm alone", "norm+l2", "norm+dropout", "norm+augment"]
    assert "`nothing`, `norm alone`, `norm+l2`, `norm+dropout`, `norm+augment`" in page
    assert "dropout=0.1, weight_decay=0.05" in names(load(baseline + blocks[2]))
