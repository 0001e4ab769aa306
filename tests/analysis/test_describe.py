"""What was measured of each variant and of the study, recounted from the table of runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import ablation.stats as stats
from ablation.analysis import Analysis, Predicted, describe
from ablation.analysis.types import Effect, ProblemRun
from ablation.results.runs import Results
from ablation.storage.manifest import Manifest, StoredVariant
from ablation.storage.store import Failure
from tests.analysis.made import history, manifest, record, results, run, variant

RECIPE: dict[str, Any] = {
    "data": {"name": "digits"},
    "model": {"dropout": 0.2, "norm": "none", "bias": True},
    "train": {"epochs": 6, "select": "best"},
}


def changed(name: str, kind: str = "vary", **changes: Any) -> StoredVariant:
    """A variant of RECIPE, resolved."""
    own = {part: dict(options) for part, options in RECIPE.items()}
    paths = {path.replace("__", "."): value for path, value in changes.items()}
    for path, value in paths.items():
        part, key = path.split(".")
        own[part][key] = value
    return StoredVariant(name, kind, paths, own)


STUDY = manifest(
    [StoredVariant("b", "baseline", {}, RECIPE), changed("x", model__dropout=0.5), variant("y"), variant("z")], range(4)
)
COST = {"parameters": 1000.0, "macs": 2000.0, "train_images": 100.0}
ROWS = [
    run("b", 0, 0.90, epochs=6, selected_epoch=5, train_seconds=10.0, images_per_second=50.0, peak_memory_mb=1, **COST),
    run("b", 1, 0.80, epochs=6, selected_epoch=6, train_seconds=14.0, images_per_second=70.0, peak_memory_mb=2, **COST),
    run("b", 2, 0.85, epochs=6, selected_epoch=6, **COST),
    run("b", 3, status="missing"),
    run("x", 0, 0.94, epochs=6),
    run("x", 1, 0.10, "diverged", epochs=2, train_seconds=99.0, parameters=1001.0),
    run("x", 2, 0.87, epochs=6, train_seconds=20.0, parameters=1002.0),
    run("x", 3, 0.91, epochs=6),
    run("y", 0, status="missing"),
    run("y", 1, status="interrupted", epochs=3),
    run("y", 2, status="damaged", epochs=4),
    run("y", 3, status="crashed", epochs=1),
    run("z", 0, status="diverged", epochs=0),
    run("z", 1, status="diverged"),
    run("z", 2, status="crashed"),
    run("z", 3, status="interrupted", epochs=5),
]
PACES = [history("b", 0, seconds=[1.0, 2.0]), history("b", 1, seconds=[3.0, 3.0]), history("x", 1, seconds=[9.0, 9.0])]


def described(study: Manifest = STUDY, rows: Any = ROWS, **fields: Any) -> Analysis:
    return describe(results(study, rows, **fields))


def test_a_variant_is_counted_and_averaged_over_its_finished_runs() -> None:
    base, x, y, z = described(epochs=PACES).effects
    assert (base.n, base.diverged, base.crashed, base.unfinished) == (3, 0, 0, 1)
    assert (x.n, x.diverged, x.crashed, x.unfinished) == (3, 1, 0, 0)
    assert (y.n, y.diverged, y.crashed, y.unfinished) == (0, 0, 1, 3)
    assert (z.n, z.diverged, z.crashed, z.unfinished) == (0, 2, 1, 1)
    assert (base.mean, base.sd) == (pytest.approx(0.85), pytest.approx(0.05))
    assert (y.mean, y.sd, y.difference, y.pairs, y.parameters) == (None, None, None, 0, None)
    assert (x.difference, x.pairs) == (pytest.approx((0.04 + 0.02) / 2), 2)
    assert (base.difference, base.pairs, base.differences) == (None, 0, {})
    assert (base.parameters, base.macs, base.train_images) == (1000, 2000, 100)
    assert (x.parameters, x.macs) == (1001, None)
    assert (base.train_seconds, base.images_per_second, base.peak_memory_mb) == (12.0, 60.0, 1.5)
    assert (x.train_seconds, x.images_per_second) == (20.0, None)
    assert (base.epoch_seconds, x.epoch_seconds) == (pytest.approx(9 / 4), None)
    assert (x.change, x.kind, base.change) == ("dropout 0.2 \u2192 0.5", "vary", "")


def test_one_run_has_a_mean_and_no_standard_deviation() -> None:
    base = described(rows=ROWS[:1]).baseline
    assert (base.n, base.mean, base.sd) == (1, 0.9, None)
    two = described(rows=ROWS[:2]).baseline
    assert two.sd == pytest.approx(0.1 / 2**0.5)


def test_each_seed_has_what_its_run_came_to() -> None:
    base, x, y, z = described().effects
    first = base.runs[0]
    assert (first.seed, first.status, first.accuracy, first.value) == (0, "finished", 0.9, 0.9)
    assert (first.difference, first.epochs, first.selected_epoch, first.chance) == (None, 6, 5, False)
    lost = x.runs[1]
    assert (lost.status, lost.accuracy, lost.value, lost.epochs, lost.selected_epoch) == (
        "diverged",
        None,
        None,
        2,
        None,
    )
    assert [own.difference for own in x.runs] == [pytest.approx(0.04), None, pytest.approx(0.02), None]
    assert [own.epochs for own in (*y.runs, *z.runs)] == [0, 3, 4, 1, 0, 0, 0, 5]


def test_a_run_at_chance_has_an_accuracy_and_no_value() -> None:
    base, x = described(
        manifest([variant("b"), variant("x")]),
        [run("b", 0, 0.9), run("x", 0, 0.1, at_chance=1), run("x", 1, 0.8, at_chance=0), run("x", 2, 0.1, at_chance=1)],
    ).effects
    assert (base.at_chance, x.at_chance, x.n, x.failed) == (0, 2, 1, 2)
    assert [(own.accuracy, own.value, own.chance) for own in x.runs] == [
        (0.1, None, True), (0.8, 0.8, False), (0.1, None, True),
    ]  # fmt: skip


def test_facts_count_the_runs_of_the_study() -> None:
    records = {
        ("b", 0): record(train_seconds=10.0, environment={"device": "cuda"}),
        ("b", 1): record(train_seconds=5.0),
        ("x", 1): record(train_seconds=2.0, status="diverged"),
    }
    study = replace(STUDY, added_seeds=(3,), looks=2)
    opened = ({"time": "2026-04-01T10:00:00+00:00", "images": 10},) * 2
    analysis = described(study, records=records, test_evaluations=opened)
    facts = analysis.facts
    assert (facts.variants, facts.seeds, facts.runs, facts.test_evaluations, facts.added_seeds) == (
        3,
        (0, 1, 2, 3),
        16,
        2,
        (3,),
    )
    assert (facts.finished, facts.diverged, facts.crashed, facts.interrupted) == (6, 3, 2, 2)
    assert (facts.missing, facts.damaged) == (2, 1)
    assert (facts.devices, facts.seconds) == (("cpu", "cuda"), 17.0)
    assert (facts.done, facts.open) == (9, 7)
    assert (analysis.looks, analysis.family_wise_bound) == (2, 0.1)
    assert analysis.test is not None


def reasons(study: Manifest) -> dict[tuple[str, int], tuple[int, str, str]]:
    failures = {("y", 2): Failure("bad bytes", "no", 0), ("y", 3): Failure("RuntimeError: full", "Traceback", 1)}
    found = described(study, failures=failures).problem_runs
    assert all(own.folder == f"{own.variant}-{own.seed}" for own in found)
    return {(own.variant, own.seed): (own.epoch, own.reason, own.details) for own in found}


def test_every_run_without_a_result_has_a_reason() -> None:
    assert reasons(STUDY) == {
        ("b", 3): (0, "not started yet", ""),
        ("x", 1): (2, "the loss became infinite or not a number in epoch 2", ""),
        ("y", 0): (0, "not started yet", ""),
        ("y", 1): (3, "stopped after epoch 3", ""),
        ("y", 2): (4, "bad bytes", ""),
        ("y", 3): (1, "RuntimeError: full", "Traceback"),
        ("z", 0): (0, "not a finite number", ""),
        ("z", 1): (0, "not a finite number", ""),
        ("z", 2): (0, "", ""),
        ("z", 3): (5, "stopped after epoch 5", ""),
    }


def test_runs_from_elsewhere_have_the_reason_that_the_table_knows() -> None:
    elsewhere = reasons(manifest([variant(name) for name in "bxyz"], range(4)))
    assert elsewhere["b", 3] == (0, "no value in the table", "")
    assert elsewhere["z", 3] == (5, "as the table says", "")
    assert elsewhere["z", 2] == (0, "as the table says", "")
    assert elsewhere["z", 0] == (0, "not a finite number", "")


def test_a_trouble_names_its_run() -> None:
    assert described().problem_runs[1] == ProblemRun(
        "x", 1, "diverged", 2, "the loss became infinite or not a number in epoch 2", "x-1"
    )


def test_a_sweep_has_three_levels_of_one_number_with_that_of_the_baseline() -> None:
    variants = [
        StoredVariant("b", "baseline", {}, RECIPE),
        changed("d7", model__dropout=0.7),
        changed("w1", model__width=1),
        changed("d0", model__dropout=0),
        changed("w2", model__width=2),
        changed("e9", train__epochs=9),
        changed("n1", model__norm="batch"),
        changed("n2", model__norm="layer"),
        changed("f", model__bias=False),
        changed("g", model__bias=True),
        changed("d9", "combine", model__dropout=0.9),
        changed("two", model__dropout=0.8, train__epochs=8),
    ]
    (found,) = described(manifest(variants), [run("b", 0, 0.9)]).sweeps
    assert (found.path, found.name) == ("model.dropout", "dropout")
    assert found.levels == ((0.0, "d0"), (0.2, "b"), (0.7, "d7"))


def test_the_setup_is_that_of_the_baselines_runs() -> None:
    other = {**RECIPE, "data": {"name": "other"}}
    early = {"started": "2026-03-01T08:00:00+00:00", "finished": "2026-03-01T08:30:00+00:00", "data_fingerprint": "1"}
    late = {"started": "2026-03-01T09:00:00+00:00", "finished": "2026-03-01T09:30:00+00:00", "data_fingerprint": "2"}
    records = {
        ("x", 0): record(recipe=other, train_images=7, image=(3, 2, 2), **early),
        ("b", 0): record(recipe=RECIPE, environment={"torch": "2.10"}, **late),
        ("b", 1): record(recipe=RECIPE, environment={"torch": "2.10"}, **late),
    }
    setup = described(records=records).setup
    assert setup.recipe[:3] == (("data.name", "digits"), ("model.dropout", "0.2"), ("model.norm", "none"))
    assert (setup.budget, setup.select, setup.image) == ("6 epochs", "best", (1, 8, 8))
    assert (setup.train_images, setup.val_images, len(setup.classes)) == (100, 360, 10)
    assert setup.fingerprints == ("1", "2")
    assert [(own.torch, count) for own, count in setup.environments] == [("2.10", 2), ("2.9", 1)]
    assert (setup.started, setup.finished) == (early["started"], late["finished"])


def test_the_setup_of_a_study_that_has_not_begun_is_its_recipe() -> None:
    setup = described().setup
    assert (setup.image, setup.classes, setup.train_images, setup.val_images) == (None, (), None, None)
    assert (setup.fingerprints, setup.environments, setup.started, setup.finished) == ((), (), None, None)


@pytest.mark.parametrize(
    ("train", "budget", "select"),
    [
        ({"epochs": 1, "steps": None, "select": "last"}, "1 epoch", "mixed"),
        ({"epochs": None, "steps": 1500, "select": "best"}, "1,500 steps", "best"),
        ({"steps": 1, "select": "best"}, "1 step", "best"),
    ],
)
def test_a_budget_is_in_epochs_or_steps(train: dict[str, Any], budget: str, select: str) -> None:
    base = StoredVariant("b", "baseline", {}, {**RECIPE, "train": train})
    setup = described(manifest([base, changed("x")]), [run("b", 0, 0.9)]).setup
    assert (setup.budget, setup.select) == (budget, select)


def test_a_table_from_elsewhere_has_no_setup_and_is_never_unfinished() -> None:
    elsewhere = described(manifest([variant(name) for name in "bxyz"], range(4)))
    assert (elsewhere.setup.recipe, elsewhere.setup.budget, elsewhere.setup.select) == ((), "", "")
    assert elsewhere.headline.startswith("On validation accuracy, ")
    assert described().headline.startswith("So far, on validation accuracy, ")
    done = [run(name, seed, 0.8 + 0.01 * seed) for name in "bx" for seed in range(4)]
    assert described(rows=done).headline.startswith("On validation accuracy, ")


NOISE = 0.01 * np.random.default_rng(3).normal(size=(4, 5))
WEIGHTS = {"0": "0" * 64, "1": "1" * 64}


def measured(shift: float = 0.05, seeds: int = 5, **analysis: Any) -> tuple[Results, np.ndarray]:
    """b, x better by `shift`, same with the weights of the baseline, and a control with them."""
    kinds = {"b": "baseline", "x": "vary", "same": "vary", "a/a": "control"}
    study = manifest(
        [replace(changed(name, kind), exploratory=name == "x") for name, kind in kinds.items()],
        range(seeds),
        analysis={"metric": "val_accuracy", "direction": "higher", "margin": None, "alpha": 0.05} | analysis,
    )
    y = 0.8 + NOISE[:, :seeds].copy()
    y[1] += shift
    y[2] = y[3] = y[0]
    names = [own.name for own in study.variants]
    rows = [
        run(name, seed, y[place, seed], val_images=360) for place, name in enumerate(names) for seed in range(seeds)
    ]
    records = {
        (name, seed): record(recipe=RECIPE, weights_sha256=f"{seed if name != 'x' else 9}" * 64)
        for name in names
        for seed in range(seeds)
    }
    return results(study, rows, records=records), y


def test_claims_are_those_of_all_variants_that_are_not_identical() -> None:
    own, y = measured()
    analysis = describe(own)
    found = stats.compare(y[[0, 1, 3]], 0.05)
    x, same, control = analysis.variants
    assert (x.p, x.low, x.high, x.verdict, x.exploratory) == (
        found.effects[0].p, found.effects[0].low, found.effects[0].high, "better", True,
    )  # fmt: skip
    assert (same.identical, same.verdict, same.p, same.difference) == (True, "identical", None, 0.0)
    assert (control.identical, control.verdict) == (False, "not_detected")
    assert (analysis.design.seeds, analysis.design.comparisons, analysis.design.networks) == (5, 2, False)
    assert (analysis.alpha, analysis.margin, analysis.metric) == (0.05, None, "val_accuracy")
    assert analysis.selection.of_variants == 3
    assert {"no_effect", "exploratory"} <= {warning.code for warning in analysis.warnings}


def test_alpha_and_the_margin_are_those_of_the_study() -> None:
    assert describe(measured(alpha=1e-9)[0]).effect("x").verdict == "not_detected"
    own = describe(measured(margin=0.5)[0])
    assert (own.margin, own.effect("a/a").verdict) == (0.5, "equivalent")
    assert describe(measured(direction="lower")[0]).effect("x").verdict == "worse"


def test_a_variant_that_shares_no_seed_with_the_baseline_is_not_identical() -> None:
    own, _ = measured()
    runs = own.runs.copy()
    runs.loc[runs["variant"] == "same", "status"] = "missing"
    assert not describe(replace(own, runs=runs)).effect("same").identical


def predictions(wrong: dict[str, int]) -> dict[tuple[str, int], Predicted]:
    index, label = np.arange(100), np.zeros(100)
    return {(name, 0): Predicted(index, label, (index < n).astype(float)) for name, n in wrong.items()}


def test_one_seed_compares_networks_where_there_are_predictions() -> None:
    own, _ = measured(seeds=1)
    runs = own.runs.copy()
    runs["val_accuracy"] = [0.8, 0.9, 0.8, 0.8]
    own = replace(own, runs=runs)
    said: Effect = describe(own, predictions({"b": 30, "x": 5})).effect("x")
    assert said.networks_p == pytest.approx(stats.mcnemar_counts(25, 0).p)
    assert "These two trained networks differ" in said.words
    without = describe(own)
    assert without.effect("x").networks_p is None
    assert without.design.networks
    five, _ = measured()
    assert describe(five, predictions({"b": 30, "x": 5})).effect("x").networks_p is None


def test_the_sweep_the_interactions_and_the_data_curve_come_from_the_runs() -> None:
    variants = [StoredVariant("b", "baseline", {}, {**RECIPE, "data": {"name": "digits", "fraction": 1.0}})]
    for name, kind, changes in [
        ("d5", "vary", {"model__dropout": 0.5}), ("d9", "vary", {"model__dropout": 0.9}),
        ("n", "vary", {"model__norm": "batch"}),
        ("dn", "combine", {"model__dropout": 0.5, "model__norm": "batch"}),
        ("f1", "vary", {"data__fraction": 0.1}), ("f2", "vary", {"data__fraction": 0.25}),
        ("f5", "vary", {"data__fraction": 0.5}),
    ]:  # fmt: skip
        variants.append(changed(name, kind, **changes))
    mean = {"b": 0.15, "d5": 0.15, "d9": 0.2, "n": 0.15, "dn": 0.14, "f1": 0.366, "f2": 0.25, "f5": 0.1914}
    rng = np.random.default_rng(0)
    rows = [run(own.name, seed, 1 - mean[own.name] + 0.002 * rng.normal()) for own in variants for seed in range(4)]
    analysis = described(manifest(variants, range(4)), rows)
    assert [own.path for own in analysis.sweeps] == ["model.dropout", "data.fraction"]
    assert [own.path for own in analysis.trends] == ["model.dropout"]
    assert [own.variant for own in analysis.interactions] == ["dn"]
    assert analysis.data_curve is not None
    assert analysis.data_curve.fractions == (0.1, 0.25, 0.5, 1.0)
    alone = described(manifest(variants[:1], range(4)), rows[:4])
    assert (alone.trends, alone.interactions, alone.data_curve) == ((), (), None)
