"""The components of a factorial: which combinations they are read from, and when nothing is tested."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import ablation.stats as stats
from ablation.analysis.factorial import factorial
from ablation.analysis.types import Effect, Factorial, Verdict
from ablation.storage.manifest import Manifest, StoredVariant
from tests.analysis.made import ACCURACY, effect, manifest, values, variant

CELLS = {"nothing": "", "a alone": "a", "b alone": "b", "base": "ab"}
"""Variant -> the components that are on, in the order of the combinations."""


def study(cells: dict[str, str] = CELLS, components: str = "ab", seeds: int = 4, **fields: Any) -> Manifest:
    own = [
        StoredVariant(
            name, "baseline" if name == "base" else "factorial", {}, {}, components={c: c in on for c in components}
        )
        for name, on in cells.items()
    ]
    base = next(one for one in own if one.kind == "baseline")
    found = [base, *(one for one in own if one is not base), variant("other", model__dropout=0.5)]
    fields = {"design": ("factorial",), "components": {name: {} for name in components}} | fields
    return manifest(found, seeds=range(seeds), **fields)


def made(worth: dict[str, float], seeds: int = 4, noise: float = 0.002, draw: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(draw)
    shared = 0.01 * rng.normal(size=seeds)
    return {name: own + shared + noise * rng.normal(size=seeds) for name, own in worth.items()}


WORTH = {"nothing": 0.80, "a alone": 0.81, "b alone": 0.82, "base": 0.90, "other": 0.85}


def found(study: Manifest, rows: dict[str, np.ndarray], alpha: float = 0.05, **verdicts: Verdict) -> Factorial | None:
    y = np.stack([rows[own.name] for own in study.variants])
    effects: dict[str, Effect] = {
        own.name: effect(own.name, kind=own.kind, verdict=verdicts.get(own.name, "better")) for own in study.variants
    }
    return factorial(study, effects, values(rows), stats.compare(y, alpha), ACCURACY)


def test_effects_are_those_of_the_four_combinations_on_the_error_of_the_whole_study() -> None:
    rows = made(WORTH)
    own = found(study(), rows)
    assert own is not None
    pool = stats.compare(np.stack([rows["base"], *(rows[name] for name in WORTH if name != "base")])).pool
    y = np.stack([rows[name] for name in CELLS])
    expected = stats.factorial_effects(y, pool.mse, pool.df)
    assert own.cells == (("nothing", ()), ("a alone", ("a",)), ("b alone", ("b",)), ("base", ("a", "b")))
    assert [one.components for one in own.effects] == [("a",), ("b",), ("a", "b")]
    assert [(one.estimate, one.p) for one in own.effects] == [(one.estimate, one.p) for one in expected]
    assert [one.detected for one in own.effects] == [True, True, True]
    game = stats.shapley_values(y, pool.mse, pool.df)
    assert [one.estimate for one in own.values] == [one.estimate for one in game.values]
    assert own.total == (game.total.estimate, game.total.low, game.total.high)
    assert sum(one.share[0] for one in own.values if one.share) == pytest.approx(1)


def test_the_effects_of_three_components_come_by_their_number() -> None:
    cells = {"base" if on == "abc" else f"on {on}": on for on in ("", "a", "b", "ab", "c", "ac", "bc", "abc")}
    worth = {name: 0.5 + 0.1 * ("a" in on) for name, on in cells.items()}
    own = found(study(cells, "abc"), made(worth | {"other": 0.5}, draw=1))
    assert own is not None
    assert ["".join(one.components) for one in own.effects] == ["a", "b", "c", "ab", "ac", "bc", "abc"]
    assert [one.detected for one in own.effects] == [True, *[False] * 6]
    assert [len(own.of(size)) for size in (1, 2, 3)] == [3, 3, 1]


def test_a_seed_that_lacks_a_combination_is_left_out_and_nothing_is_filled_in() -> None:
    rows = made(WORTH)
    rows["b alone"][1] = math.nan
    own = found(study(), rows)
    assert own is not None
    assert own.seeds == (0, 2, 3)
    kept = [rows[name][[0, 2, 3]].mean() for name in CELLS]
    assert own.effects[2].estimate == pytest.approx(kept[3] - kept[1] - kept[2] + kept[0])


@pytest.mark.parametrize("name", ["a alone", "base"])
def test_an_unstable_combination_leaves_nothing_to_be_tested(name: str) -> None:
    own = found(study(), made(WORTH), **{name: "unstable"})
    if name == "base":  # the baseline has no verdict: what counts is that a run of it failed
        effects = {v.name: effect(v.name, kind=v.kind, diverged=int(v.name == name)) for v in study().variants}
        rows = made(WORTH)
        y = stats.compare(np.stack([rows[v.name] for v in study().variants]))
        own = factorial(study(), effects, values(rows), y, ACCURACY)
    assert own is not None
    assert (own.reason, own.effects, own.values, own.total) == (f"unstable: {name}", (), (), None)


def test_too_few_seeds_are_named() -> None:
    rows = made(WORTH)
    for seed in (0, 1, 2):
        rows["b alone"][seed] = math.nan
    own = found(study(), rows)
    assert own is not None
    assert own.reason == "fewer than two seeds have a result for every combination"


def test_two_seeds_of_four_combinations_are_too_few() -> None:
    own = study(seeds=2)
    own = manifest([one for one in own.variants if one.name != "other"], range(2), **_design(own))
    rows = made({name: WORTH[name] for name in CELLS}, seeds=2)
    result = found(own, rows)
    assert result is not None
    assert "two seeds" in result.reason


def test_combinations_that_cannot_be_leave_nothing_to_be_tested() -> None:
    cells = {name: on for name, on in CELLS.items() if name != "b alone"}
    own = found(study(cells), made({name: worth for name, worth in WORTH.items() if name != "b alone"}))
    assert own is not None
    assert own.reason == "only 3 of the 4 combinations are possible, since components need one another"


def test_values_that_do_not_vary_give_no_test() -> None:
    own = found(study(), {name: np.full(4, worth) for name, worth in WORTH.items()})
    assert own is not None
    assert own.reason == "the runs do not vary between seeds"


def test_other_designs_and_a_single_component_have_no_factorial() -> None:
    rows = made(WORTH)
    assert found(study(design=("leave_one_out",)), rows) is None
    cells = {"nothing": "", "base": "a"}
    assert found(study(cells, "a"), made({"nothing": 0.8, "base": 0.9, "other": 0.8})) is None


def test_no_interval_leaves_the_range_of_the_contrast() -> None:
    own = found(study(), made(WORTH, noise=0.5), alpha=1e-6)
    assert own is not None
    assert [(one.low, one.high) for one in own.effects] == [(-1, 1), (-1, 1), (-2, 2)]
    assert [(one.low, one.high) for one in own.values] == [(-1, 1)] * 2
    assert own.total is not None
    assert own.total[1:] == (-1, 1)


def _design(own: Manifest) -> dict[str, Any]:
    return {"design": own.design, "components": own.components}
