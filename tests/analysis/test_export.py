"""What JSON holds of a change and of a value."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from ablation.analysis import DataCurve, TrendTest, describe, to_json
from ablation.analysis.changes import describe_change, look_up
from ablation.analysis.export import _plain
from ablation.storage.manifest import StoredVariant
from tests.analysis.made import manifest, results, run, variant

OPTIONS = {"margin": None, "alpha": 0.05}
RECIPE: dict[str, Any] = {
    "model": {"name": "lenet5", "dropout": 0.2},
    "schedule": {"name": "step", "gamma": 0.1, "at": 2},
}


def test_what_json_cannot_hold_is_null() -> None:
    found = _plain({1: (math.nan, [math.inf, 0.5]), "a": {"b": None, "c": True}, "d": "text", "e": 3})
    assert found == {"1": [None, [None, 0.5]], "a": {"b": None, "c": True}, "d": "text", "e": 3}


@pytest.mark.parametrize(
    ("path", "value"),
    [("model.dropout", 0.2), ("model.width", None), ("model", RECIPE["model"]), ("data", None), ("data.path", None)],
)
def test_a_path_names_an_option_or_a_whole_part(path: str, value: object) -> None:
    assert look_up(RECIPE, path) == value


def test_two_parts_show_only_the_options_in_which_they_differ() -> None:
    own = {**RECIPE, "schedule": {"name": "step", "gamma": 0.5, "at": 2}}
    base, variant = StoredVariant("b", "baseline", {}, RECIPE), StoredVariant("a", "vary", {"schedule": {}}, own)
    assert describe_change(variant, base) == "schedule step (gamma 0.1) \u2192 step (gamma 0.5)"
    assert describe_change(base, base) == ""


def changed(changes: dict[str, Any], recipe: dict[str, Any], baseline: dict[str, Any]) -> str:
    return describe_change(
        StoredVariant("v", "combine", changes, recipe), StoredVariant("baseline", "baseline", {}, baseline)
    )


def test_another_network_is_said_by_the_options_that_are_declared() -> None:
    pretrained = {"name": "torchvision:resnet18", "norm": None, "stem": None, "weights": "results/runs/a/best.pt"}
    own = {"name": "resnet18", "norm": "batch", "stem": "large", "weights": "none"}
    changes = {"model": {"name": "resnet18", "stem": "large", "weights": "none"}}
    said = changed(changes, {"model": own}, {"model": pretrained})
    assert said == "model torchvision:resnet18 (weights best.pt) \u2192 resnet18 (stem large, weights none)"
    back = changed({"model": {"name": "torchvision:resnet18"}}, {"model": pretrained}, {"model": own})
    assert back == "model resnet18 (weights none) \u2192 torchvision:resnet18 (weights best.pt)"


def test_weights_of_one_file_name_are_told_apart() -> None:
    model = {"name": "resnet18", "weights": "a/best.pt"}
    said = changed({"model.weights": "b/best.pt"}, {"model": model | {"weights": "b/best.pt"}}, {"model": model})
    assert said == "weights a/best.pt \u2192 b/best.pt"


def test_stages_are_said_as_they_are_declared() -> None:
    declared = [{"epochs": 3, "freeze": "features"}, {"epochs": 1, "optimizer": {"lr": 0.1 + 0.2}}]
    resolved = [{"number": 1, "first": 1, "last": 3, "freeze": "features", "start": "best"}, {"first": 4, "last": 4}]
    for changes in ({"train": {"batch_size": 8, "stages": declared}}, {"train.stages": declared}):
        said = changed(
            changes, {"train": {"batch_size": 8, "stages": resolved}}, {"train": {"batch_size": 8, "stages": []}}
        )
        assert said == "stages none \u2192 3 epochs (freeze features) + 1 epoch (optimizer lr 0.3)"


def test_options_of_a_function_are_shown_as_they_are_whatever_their_names() -> None:
    assert changed({"stages": [2, 3]}, {"stages": [2, 3]}, {"stages": [1]}) == "stages 1 \u2192 2, 3"
    assert changed({"weights": "a/b"}, {"weights": "a/b"}, {"weights": "c"}) == "weights c \u2192 a/b"
    own, base = {"train": {"stages": "abc"}}, {"train": {"stages": [1, 2]}}
    assert changed({"train.stages": "abc"}, own, base) == "stages 1, 2 \u2192 abc"


def test_an_option_that_changes_too_is_said_once() -> None:
    constant = {"schedule": {"name": "constant", "warmup_epochs": 0}}
    cosine = {"schedule": {"name": "cosine", "warmup_epochs": 2, "min_lr": 0}}
    changes = {"schedule": "cosine", "schedule.warmup_epochs": 2}
    both = changed(changes, cosine, constant)
    assert both == "schedule constant \u2192 cosine (min lr 0); warmup epochs 0 \u2192 2"


def test_the_analysis_in_json_has_every_figure_under_its_name() -> None:
    study = manifest([variant("b", "baseline"), variant("x", model__dropout=0.5)], range(4))
    values = {"b": [0.80, 0.82, 0.81, 0.83], "x": [0.85, 0.86, 0.87, 0.88]}
    rows = [run(name, seed, own, val_images=360) for name, every in values.items() for seed, own in enumerate(every)]
    rows[3] = run("b", 3, status="crashed")
    opened = ({"time": "2026-04-01T10:00:00+00:00", "images": 10},)
    analysis = describe(results(study, rows, test_evaluations=opened))
    found = to_json(replace(analysis, looks=2), "mine")
    assert (found["schema_version"], found["study"], found["metric"], found["direction"]) == (
        1, "mine", "val_accuracy", "higher",
    )  # fmt: skip
    assert (found["unit"], found["baseline"], found["alpha"], found["margin"]) == ("share", "b", 0.05, None)
    assert (found["looks"], found["family_wise_bound"], found["seeds"]) == (2, 0.1, [0, 1, 2, 3])
    assert (found["verdict"], found["method"]) == (analysis.headline, analysis.method)
    assert found["detectable"] == found["design"]["detectable"] == analysis.design.detectable
    base, (x,) = found["baseline_runs"], found["effects"]
    assert (base["n"], base["crashed"], base["values"]) == (3, 1, {"0": 0.80, "1": 0.82, "2": 0.81, "3": None})
    assert (x["variant"], x["kind"], x["change"], x["pairs"]) == ("x", "vary", "dropout none \u2192 none", 3)
    assert (x["difference"], x["values"]["3"], x["confounds"]) == (pytest.approx(0.05), 0.88, [])
    assert [own["code"] for own in found["warnings"]] == ["baseline_missing_runs"]
    assert found["test_set"]["images"] == 10
    assert (found["data_curve"], found["interactions"], found["trends"]) == (None, [], [])
    json.dumps(found, allow_nan=False)


def test_a_metric_of_a_loss_is_raw_and_a_test_set_that_was_not_used_is_null() -> None:
    study = manifest([variant("b", "baseline")], analysis={"metric": "val_loss", "direction": "lower"} | OPTIONS)
    found = to_json(describe(results(study, [run("b", 0, 0.9, val_loss=0.3)])), "mine")
    assert (found["unit"], found["direction"], found["test_set"], found["effects"]) == ("raw", "lower", None, [])
    curve = DataCurve((0.5, 1.0), 3, (1, 1, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), 0.1, 0.5, ())
    trend = TrendTest("p", "n", (0.0, 1.0), (), 3, (1.0, 0.5, 1.5, 0.01), None, math.nan)
    own = replace(describe(results(study, [run("b", 0, 0.9)])), data_curve=curve, trends=(trend,))
    found = to_json(own, "mine")
    assert found["data_curve"]["miss_at"] == 0.5
    (told,) = found["trends"]
    assert (told["rise"], told["bow"], told["page_p"]) == (
        {"estimate": 1.0, "low": 0.5, "high": 1.5, "p": 0.01}, None, None,
    )  # fmt: skip
