"""Budgets, sizes and spreads that differ beside the change."""

from __future__ import annotations

import numpy as np
import pytest

import ablation.stats as stats
from ablation.analysis.cautions.fairness import in_words, spread, undeclared, unequal
from ablation.analysis.types import Confound
from ablation.manifest import Arm
from tests.analysis.made import ACCURACY, effect, manifest


@pytest.mark.parametrize(
    ("confound", "text"),
    [
        (Confound("parameters", 1200, 1000, False), "20 % more parameters (1,200 against 1,000)"),
        (Confound("parameters", 800, 1000, False), "20 % fewer parameters (800 against 1,000)"),
        (Confound("steps", 2000, 1000, False), "2.0 times the steps (2,000 against 1,000)"),
        (Confound("steps", 1990, 1000, False), "99 % more steps (1,990 against 1,000)"),
    ],
)
def test_a_confound_is_a_share_until_it_is_a_multiple(confound: Confound, text: str) -> None:
    assert in_words(confound) == text
    assert in_words(confound, amounts=False) == text.partition(" (")[0]


def test_only_confounds_that_were_not_declared_are_warned_of() -> None:
    size, budget = Confound("MACs", 2.0, 1.0, False), Confound("steps", 2.0, 1.0, False)
    own = effect("a", confounds=(size, budget, Confound("epochs", 2.0, 1.0, True)))
    found = list(unequal([effect("b", confounds=(size,)), own, effect("c")]))
    assert [(caution.code, caution.variant) for caution in found] == [("unequal_budget", "a"), ("unequal_size", "a")]


def test_a_time_is_warned_of_only_where_nothing_else_explains_it() -> None:
    time, size = Confound("time", 2.0, 1.0, False), Confound("MACs", 2.0, 1.0, False)
    codes = [
        [caution.code for caution in unequal([effect("b"), effect("a", confounds=confounds)])]
        for confounds in ((time,), (time, size))
    ]
    assert codes == [["unequal_time"], ["unequal_size"]]


def test_parts_that_a_variant_does_not_declare_are_named_with_their_options() -> None:
    base = {"model": {"dropout": 0.2, "norm": "none"}, "train": {"epochs": 3, "batch_size": 8}}
    own = {"model": {"dropout": 0.5, "norm": "batch"}, "train": {"epochs": 3, "batch_size": 4, "precision": "bf16"}}
    study = manifest([Arm("b", "baseline", {}, base), Arm("a", "vary", {"model.dropout": 0.5}, own)])
    (found,) = undeclared(study)
    assert found.message == "a also differs from the baseline in train.batch_size, train.precision"
    assert list(undeclared(manifest([Arm("b", "baseline", {}, base), Arm("a", "vary", {}, base)]))) == []


UNIT = np.array([-1.0, 0.0, 1.0])


def spreads(*sds: float, seeds: int = 3) -> list[str]:
    """The variants that are warned of where rows have these SDs over seeds."""
    rng = np.random.default_rng(0)
    shape = rng.normal(size=(len(sds), seeds)) if seeds != 3 else np.tile(UNIT, (len(sds), 1))
    shape = (shape - shape.mean(axis=1, keepdims=True)) / shape.std(axis=1, ddof=1, keepdims=True)
    y = 0.9 + np.array(sds)[:, None] * shape
    effects = [effect(str(row), sd=sd) for row, sd in enumerate(sds)]
    return [str(own.variant) for own in spread(effects, y, stats.compare(y), ACCURACY) if own.code == "unequal_spread"]


def test_a_spread_of_more_than_cochrans_value_at_five_per_cent_is_warned_of() -> None:
    """C.05 for three groups of three is 0.8709, so that the SD may be 3.67 times that of the other two."""
    limit = (0.8709 / (1 - 0.8709) * 2) ** 0.5
    assert spreads(0.001, 0.001 * limit * 1.01, 0.001) == ["1"]
    assert spreads(0.001, 0.001 * limit * 0.99, 0.001) == []


def test_spreads_are_compared_up_to_five_seeds_and_from_three_groups() -> None:
    assert spreads(0.001, 0.0023, 0.001, 0.001, seeds=5) == ["1"]
    assert spreads(0.001, 0.0022, 0.001, 0.001, seeds=6) == []
    assert spreads(0.001, 0.9) == []


def test_an_unstable_baseline_is_named() -> None:
    y = 0.9 + np.array([0.2, 0.001, 0.001, 0.001])[:, None] * UNIT
    found = list(spread([effect(str(row), sd=0.2) for row in range(4)], y, stats.compare(y), ACCURACY))
    assert [(own.code, own.variant) for own in found] == [("baseline_spread", "0")]
    assert "20.0 points" in found[0].message
