"""Budgets, sizes and spreads that differ beside the change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import ablation.stats as stats
from ablation.analysis.types import Confound
from ablation.analysis.warnings.fairness import in_words, side_by_side, spread, undeclared, unequal, with_confounds
from ablation.storage.manifest import StoredVariant
from tests.analysis.made import ACCURACY, effect, history, manifest, measure, record, results, run, variant


@pytest.mark.parametrize(
    ("confound", "text"),
    [
        (Confound("parameters", 1200, 1000, False), "20 % more parameters (1,200 against 1,000)"),
        (Confound("parameters", 800, 1000, False), "20 % fewer parameters (800 against 1,000)"),
        (Confound("steps", 2000, 1000, False), "2.0 times the steps (2,000 against 1,000)"),
        (Confound("steps", 1990, 1000, False), "99 % more steps (1,990 against 1,000)"),
        (
            Confound("time", 1.5, 1.2, False, 3),
            "25 % more time per epoch (1.5 s against 1.2 s in 3 pairs of runs trained side by side)",
        ),
        (Confound("time", 0.6, 1.2, False), "50 % less time per epoch (0.6 s against 1.2 s)"),
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
    study = manifest(
        [StoredVariant("b", "baseline", {}, base), StoredVariant("a", "vary", {"model.dropout": 0.5}, own)]
    )
    (found,) = undeclared(study)
    assert found.message == "a also differs from the baseline in train.batch_size, train.precision"
    assert (
        list(undeclared(manifest([StoredVariant("b", "baseline", {}, base), StoredVariant("a", "vary", {}, base)])))
        == []
    )


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
    assert [own.message for own in unstable(sd=None)] == ["the baseline's spread over seeds is an outlier"]


def unstable(**fields: Any) -> Any:
    y = 0.9 + np.array([0.2, 0.001, 0.001, 0.001])[:, None] * UNIT
    return spread([effect(str(row), **fields) for row in range(4)], y, stats.compare(y), ACCURACY)


def test_the_spread_is_shown_beside_the_pooled_one_of_the_others() -> None:
    """Only over the seeds that all have: the fourth would make every spread a different one."""
    sds = np.array([0.003, 0.004, 0.08, 0.0])
    y = 0.9 + sds[:, None] * np.array([*UNIT, 9.0])
    y[0, 3] = np.nan
    effects = [effect("b"), effect("same", identical=True), *(effect(name) for name in "xyz")]
    kept = replace(stats.compare(y), baseline_screened=False)
    kept = replace(kept, pool=replace(kept.pool, kept=(True,) * 4))
    (found,) = spread(effects, y, kept, measure("val_accuracy", True, 2, True))
    others = 100 * ((0.003**2 + 0.004**2) / 3) ** 0.5
    assert found.message == f"unequal spread: y has SD 8.00 points over 3 seeds, the others {others:.2f} points"
    assert found.variant == "y"
    without = replace(kept, pool=replace(kept.pool, kept=(True, False, True, True)))
    (found,) = spread(effects, y, without, ACCURACY)
    assert (found.variant, found.message.split(", the others")[0]) == (
        "y", "unequal spread: y has SD 8.0 points over 3 seeds",
    )  # fmt: skip


def test_two_seeds_have_spreads_that_can_be_compared() -> None:
    y = 0.9 + np.array([0.001, 0.5, 0.001])[:, None] * np.array([-1.0, 1.0])
    found = stats.compare(y)
    found = replace(found, pool=replace(found.pool, kept=(True,) * 3))
    assert [own.variant for own in spread([effect(n) for n in "bxy"], y, found, ACCURACY)] == ["x"]


BASE = {"data": {"name": "digits"}, "model": {"width": 1.0}, "train": {"epochs": 4, "batch_size": 8}}
SIZES: dict[str, Any] = {"parameters": 1000.0, "macs": 5000.0, "train_images": 100.0}


def confounds(
    sizes: dict[str, Any] | None = None,
    epochs: int = 4,
    steps: int = 40,
    path: str = "model.dropout",
    train: dict[str, Any] | None = None,
) -> list[tuple[str, float, float, bool]]:
    """Of a variant x that changes `path`, against a baseline of 4 epochs and 40 steps."""
    recipe = BASE | {"train": BASE["train"] | (train or {})}
    base = recipe if train and "steps" in train else BASE
    study = manifest([StoredVariant("b", "baseline", {}, base), StoredVariant("x", "vary", {path: 1}, recipe)])
    rows = [run("b", seed, 0.9, **SIZES) for seed in range(3)]
    rows += [run("x", seed, 0.9, **SIZES | (sizes or {})) for seed in range(3)]
    rows += [run("x", 3, 0.9, "diverged", parameters=9e9)]
    own = [history("b", seed, step=np.linspace(10, 40, 4)) for seed in range(3)]
    own += [history("x", seed, step=np.linspace(steps / epochs, steps, epochs)) for seed in range(4)]
    own += [history("x", 3, step=np.linspace(1, 900, 9))]
    effects = with_confounds(results(study, rows, own), [effect("b"), effect("x")])
    assert (effects[0].variant, effects[0].confounds) == ("b", ())
    return [(c.quantity, c.own, c.baseline, c.declared) for c in effects[1].confounds]


def test_equal_budgets_and_sizes_within_a_tenth_are_no_confounds() -> None:
    assert confounds() == []
    assert confounds({"parameters": 1100.0, "macs": 4500.0}) == []
    assert confounds({"parameters": 1101.0, "macs": 4499.0}) == [
        ("parameters", 1101.0, 1000.0, False), ("MACs", 4499.0, 5000.0, False),
    ]  # fmt: skip
    assert confounds({"parameters": None, "macs": 0.0}) == []


def test_any_difference_of_budget_is_a_confound() -> None:
    assert confounds(steps=41) == [("steps", 41.0, 40.0, False)]
    assert confounds({"train_images": 99.0}) == [("images seen", 396.0, 400.0, False)]
    assert confounds(epochs=5, steps=50) == [
        ("epochs", 5.0, 4.0, False), ("steps", 50.0, 40.0, False), ("images seen", 500.0, 400.0, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "declared"),
    [
        ("train.epochs", True),
        ("train.patience", True),
        ("data", True),
        ("model.width", False),
        ("train.compile", False),
    ],
)
def test_a_budget_is_declared_by_the_changes_that_entail_it(path: str, declared: bool) -> None:
    assert [own[3] for own in confounds(epochs=5, steps=50, path=path)] == [declared] * 3


def test_a_budget_in_steps_sees_its_steps_times_the_batch() -> None:
    found = confounds(train={"epochs": None, "steps": 40, "batch_size": 16}, steps=60)
    assert found == [("steps", 60.0, 40.0, False), ("images seen", 960.0, 640.0, False)]
    own = confounds(train={"epochs": None, "steps": 40, "batch_size": "auto"}, steps=60)
    assert own == [("steps", 60.0, 40.0, False)]


def test_the_typical_amount_is_the_median_of_those_that_are_known() -> None:
    study = manifest([variant("b"), variant("x"), variant("y")])
    amounts = {"b": [1000.0] * 3, "x": [5000.0, 1000.0, 1000.0], "y": [None, 1000.0, 3000.0]}
    rows = [run(name, seed, 0.9, parameters=own) for name, sizes in amounts.items() for seed, own in enumerate(sizes)]
    _, x, y = with_confounds(results(study, rows), [effect(name) for name in "bxy"])
    assert x.confounds == ()
    assert [(own.quantity, own.own) for own in y.confounds] == [("parameters", 3000.0)]


def test_a_variant_without_a_finished_run_is_not_compared() -> None:
    study = manifest([variant("b"), variant("x"), variant("a")])
    rows = [run("a", 0, 0.9, parameters=9000.0), run("b", 0, 0.9, parameters=1000.0), run("x", 0, status="missing")]
    _, x, a = with_confounds(results(study, rows), [effect(name) for name in "bxa"])
    assert x.confounds == ()
    assert [own.quantity for own in a.confounds] == ["parameters"]
    unfinished = [rows[0], run("b", 0, status="crashed", parameters=1000.0)]
    assert with_confounds(results(study, unfinished), [effect(name) for name in "bxa"])[2].confounds == ()


def clock(minutes: float) -> str:
    return f"2026-03-01T09:{int(minutes):02}:{round(60 * (minutes % 1)):02}+00:00"


def timed(
    paces: dict[str, list[float]], spans: dict[str, tuple[float, float]] | None = None, **fields: dict[str, Any]
) -> dict[str, list[tuple[float, float]]]:
    """Runs of these seconds an epoch, from minute to minute, all on one machine unless `fields` say otherwise."""
    study = manifest([variant(name) for name in paces])
    epochs = [
        history(name, seed, seconds=[own / 2, own * 1.5]) for name, p in paces.items() for seed, own in enumerate(p)
    ]
    records = {}
    for name, own in paces.items():
        start, end = (spans or {}).get(name, (0.0, 10.0))
        for seed in range(len(own)):
            kept = {"host": "lab", "started": clock(start), "finished": clock(end)} | fields.get(name, {})
            records[name, seed] = record(**kept)
    return side_by_side(results(study, [], epochs, records))


def test_runs_of_one_seed_on_one_machine_are_timed_side_by_side() -> None:
    assert timed({"b": [1.0, 2.0], "x": [3.0, 4.0, 5.0]}) == {"x": [(3.0, 1.0), (4.0, 2.0)]}
    for elsewhere in (
        {"host": "other"}, {"resumed": 1}, {"environment": {"device": "cuda"}}, {"environment": {"threads": 2}},
    ):  # fmt: skip
        assert timed({"b": [1.0], "x": [3.0]}, x=elsewhere) == {}
        assert timed({"b": [1.0], "x": [3.0]}, b=elsewhere) == {}
    assert timed({"b": [1.0], "x": [3.0]}, b={"host": ""}, x={"host": ""}) == {}


@pytest.mark.parametrize(
    ("own", "base", "together"),
    [
        ((0, 10), (5, 15), True), ((0, 10), (5.1, 15), False), ((5, 15), (0, 10), True), ((5.1, 15), (0, 10), False),
        ((0, 2), (1, 30), True), ((0, 2), (1.1, 30), False), ((3, 4), (0, 30), True), ((0, 10), (20, 30), False),
        ((0, 1 / 6), (0, 30), True), ((0, 9 / 60), (0, 30), False), ((0, 30), (0, 9 / 60), False),
    ],
)  # fmt: skip
def test_times_are_compared_from_ten_seconds_and_half_of_the_shorter_run_together(
    own: tuple[float, float], base: tuple[float, float], together: bool
) -> None:
    assert bool(timed({"b": [1.0], "x": [3.0]}, {"x": own, "b": base})) is together


@pytest.mark.parametrize(
    ("own", "base", "found"),
    [
        ((1.2, 2.4, 3.4), (1.0, 2.0, 3.0), (2.4, 2.0, 3)), ((1.11, 1.11), (1.0, 1.0), (1.11, 1.0, 2)),
        ((1.1, 1.2), (1.0, 1.0), None), ((0.8, 0.89), (1.0, 1.0), (0.89, 1.0, 2)), ((0.8, 0.9), (1.0, 1.0), None),
        ((2.0, 0.5), (1.0, 1.0), None), ((2.0,), (1.0,), None), ((2.0, 0.0), (1.0, 1.0), None),
        ((0.0, 0.0), (1.0, 1.0), None), ((2.0, 2.0), (0.0, 0.0), None),
        ((2.0, 2.0, 2.0), (1.0, 0.0, 1.0), (2.0, 1.0, 2)),
    ],
)  # fmt: skip
def test_a_time_differs_where_every_pair_is_a_tenth_off_in_one_direction(
    own: tuple[float, ...], base: tuple[float, ...], found: tuple[float, float, int] | None
) -> None:
    paces = {"b": base, "x": own}
    study = manifest([variant("b"), variant("x", train__precision="bf16")])
    epochs = [history(name, seed, seconds=[one]) for name, p in paces.items() for seed, one in enumerate(p)]
    records = {(name, seed): record(host="lab") for name in "bx" for seed in range(len(own))}
    effects = with_confounds(results(study, [], epochs, records), [effect("b"), effect("x")])
    expected = () if found is None else (Confound("time", *found[:2], True, found[2]),)
    assert effects[1].confounds == expected


def test_options_of_a_part_that_only_one_recipe_has_are_undeclared() -> None:
    base = {"model": {"width": 1}, "schedule": {"name": "step"}}
    own = {"model": {"width": 2}, "ema": {"decay": 0.9}}
    study = manifest([StoredVariant("b", "baseline", {}, base), StoredVariant("x", "vary", {"model.width": 2}, own)])
    assert [found.message for found in undeclared(study)] == [
        "x also differs from the baseline in ema.decay, schedule.name"
    ]
