"""What JSON holds of a change and of a value."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ablation.analysis.changes import describe_change, look_up
from ablation.analysis.export import _plain
from ablation.manifest import Arm

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
    base, arm = Arm("b", "baseline", {}, RECIPE), Arm("a", "vary", {"schedule": {}}, own)
    assert describe_change(arm, base) == "schedule step (gamma 0.1) \u2192 step (gamma 0.5)"
    assert describe_change(base, base) == ""
