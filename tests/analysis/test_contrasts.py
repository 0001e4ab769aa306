"""Interactions, trends, the data curve and selection: which runs they are made of, and in which unit they come."""

from __future__ import annotations

import math

import numpy as np
import pytest

import ablation.stats as stats
from ablation.analysis.contrasts import data_curve, interactions, pairs_of_changes, selection, trends
from ablation.analysis.measure import Measure
from ablation.analysis.types import DataCurve, Effect, Selection, Sweep, TrendTest, Verdict
from ablation.results.runs import Results
from ablation.storage.manifest import StoredVariant
from tests.analysis.made import ACCURACY, LOSS, effect, history, manifest, measure, results, run, values, variant

NAN = math.nan
STUDY = manifest(
    [
        variant("base", "baseline"),
        variant("a", model__dropout=0.5),
        variant("b", model__norm="batch"),
        variant("c", model__dropout=0.7),
        variant("a+b", "combine", model__dropout=0.5, model__norm="batch"),
        variant("b+c", "combine", model__norm="batch", model__dropout=0.7),
        variant("a+d", "combine", model__dropout=0.5, model__width=2.0),
        variant("a+b+d", "combine", model__dropout=0.5, model__norm="batch", model__width=2.0),
        variant("both at once", "vary", model__dropout=0.5, model__norm="batch"),
    ],
    seeds=range(4),
)
NAMES = [own.name for own in STUDY.variants]


def noise(rows: int, seeds: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.9 + 0.01 * rng.normal(size=seeds) + 0.01 * rng.normal(size=(rows, seeds))


def by_name(names: list[str], **verdicts: Verdict) -> dict[str, Effect]:
    return {name: effect(name, verdict=verdicts.get(name, "not_detected")) for name in names}


def test_pairs_are_combinations_of_two_changes_that_also_stand_alone() -> None:
    found = [tuple(own.name for own in triple) for triple in pairs_of_changes(STUDY)]
    assert found == [("a+b", "a", "b"), ("b+c", "b", "c")]


def test_interactions_are_those_of_the_four_cells_on_the_pooled_error() -> None:
    y = noise(len(NAMES))
    pool = stats.compare(y)
    found = interactions(STUDY, by_name(NAMES), values(dict(zip(NAMES, y, strict=True))), pool)
    expected = stats.interactions([y[[0, 1, 2, 4]], y[[0, 2, 3, 5]]], pool.pool.mse, pool.pool.df)
    assert [(own.variant, own.parts, own.n) for own in found] == [("a+b", ("a", "b"), 4), ("b+c", ("b", "c"), 4)]
    for own, its in zip(found, expected, strict=True):
        assert (own.estimate, own.low, own.high, own.p) == (its.estimate, its.low, its.high, its.p)
        assert own.detected is bool(its.p <= 0.05)


def test_an_interaction_is_detected_where_its_p_is_at_most_the_studys_alpha() -> None:
    y = noise(len(NAMES))
    y[4] += 0.03
    rows = values(dict(zip(NAMES, y, strict=True)))
    (p, _) = (own.p for own in interactions(STUDY, by_name(NAMES), rows, stats.compare(y)))
    assert p is not None
    for alpha, detected in [(p, True), (p * 0.999, False), (p * 1.001, True)]:
        first = interactions(STUDY, by_name(NAMES), rows, stats.compare(y, alpha))[0]
        assert first.detected is detected


def test_cells_that_failed_or_share_one_seed_have_no_interaction() -> None:
    y = noise(len(NAMES))
    y[5, :3] = NAN
    pool, rows = stats.compare(y), values(dict(zip(NAMES, y, strict=True)))
    assert [own.variant for own in interactions(STUDY, by_name(NAMES), rows, pool)] == ["a+b"]
    for lost in ("a", "b", "a+b"):
        assert interactions(STUDY, by_name(NAMES, **{lost: "unstable"}), rows, pool) == ()
    y[5, 1:3] = 0.9
    rows = values(dict(zip(NAMES, y, strict=True)))
    assert [own.n for own in interactions(STUDY, by_name(NAMES), rows, pool)] == [4, 3]
    y[5, 1] = NAN
    rows = values(dict(zip(NAMES, y, strict=True)))
    assert [own.n for own in interactions(STUDY, by_name(NAMES), rows, pool)] == [4, 2]


def test_without_a_pooled_error_nothing_is_tested() -> None:
    y = noise(len(NAMES), 1)
    rows = values(dict(zip(NAMES, y, strict=True)))
    assert interactions(STUDY, by_name(NAMES), rows, stats.compare(y)) == ()
    sweep = Sweep("model.dropout", "dropout", ((0.0, "base"), (0.5, "a"), (0.7, "c")))
    assert trends([sweep], by_name(NAMES), [0], rows, stats.compare(y)) == ()


LEVELS = (("x0", 0.0), ("x1", 0.1), ("x3", 0.3), ("x7", 0.7))
SWEEP = Sweep("model.dropout", "dropout", tuple((value, name) for name, value in LEVELS))


def swept(y: np.ndarray, sweep: Sweep = SWEEP, **verdicts: Verdict) -> tuple[TrendTest, ...]:
    names = [name for name, _ in LEVELS]
    rows = values(dict(zip(names, y, strict=True)))
    return trends([sweep], by_name(names, **verdicts), range(4), rows, stats.compare(y))


def test_the_rise_is_that_of_the_fitted_line_over_the_range_and_the_bow_how_far_the_middle_lies_above_it() -> None:
    y, x = noise(4), np.array([value for _, value in LEVELS])
    y += 0.1 * x[:, None] - 0.3 * x[:, None] ** 2
    (found,) = swept(y)
    mean = y.mean(axis=1)
    line, parabola = np.polyfit(x, mean, 1), np.polyfit(x, mean, 2)
    ends, middle = np.polyval(parabola, [0.0, 0.7]).mean(), np.polyval(parabola, 0.35)
    assert found.rise is not None
    assert found.bow is not None
    assert found.rise[0] == pytest.approx(np.polyval(line, 0.7) - np.polyval(line, 0.0))
    assert found.bow[0] == pytest.approx(middle - ends)
    for estimate, low, high, p in (found.rise, found.bow):
        assert low < estimate < high
        assert estimate - low == pytest.approx(high - estimate)
        assert (low <= 0 <= high) or p < 0.05
    assert (found.levels, found.left_out, found.n) == ((0.0, 0.1, 0.3, 0.7), (), 4)
    assert found.page_p == stats.page_trend(x, y).p


def test_levels_that_failed_are_left_out_and_three_are_needed() -> None:
    y = noise(4)
    (found,) = swept(y, x1="unstable")
    assert (found.levels, found.left_out) == ((0.0, 0.3, 0.7), (0.1,))
    mean = y[[0, 2, 3]].mean(axis=1)
    assert found.rise[0] == pytest.approx(np.polyfit([0, 0.3, 0.7], mean, 1)[0] * 0.7)
    assert swept(y, x1="unstable", x3="unstable") == ()


def test_a_trend_needs_two_seeds_with_every_level() -> None:
    y = noise(4)
    y[2, :2] = NAN
    assert swept(y)[0].n == 2
    y[1, 2] = NAN
    assert swept(y) == ()


def test_the_data_fraction_has_its_curve_and_no_trend() -> None:
    assert swept(noise(4), Sweep("data.fraction", "fraction", SWEEP.levels)) == ()


def test_two_seeds_without_degrees_of_freedom_have_an_untested_trend() -> None:
    y = noise(3, 2)
    names = [name for name, _ in LEVELS[:3]]
    sweep, rows = Sweep("model.dropout", "dropout", SWEEP.levels[:3]), values(dict(zip(names, y, strict=True)))
    (found,) = trends([sweep], by_name(names), range(2), rows, stats.compare(y[:2]))
    assert (found.rise, found.bow, found.n) == (None, None, 2)


FRACTIONS = (0.1, 0.25, 0.5, 1.0)


def curve(
    seeds: int = 3,
    fractions: tuple[float, ...] = FRACTIONS,
    measure: Measure = LOSS,
    path: str = "data.fraction",
    **failed: int,
) -> tuple[DataCurve | None, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    names = [f"f{place}" for place in range(len(fractions))]
    error = 0.1 * np.array(fractions)[:, None] ** -0.5 + 0.05 + 0.002 * rng.normal(size=(len(fractions), seeds))
    rows = values(dict(zip(names, 1 - error if measure.share else error, strict=True)))
    sweep = Sweep(path, "fraction", tuple(zip(fractions, names, strict=True)))
    effects = {name: effect(name, diverged=failed.get(name, 0)) for name in names}
    found = data_curve([Sweep("model.dropout", "dropout", ()), sweep], effects, range(seeds), rows, measure, 0.1)
    return found, np.array(fractions), error


@pytest.mark.parametrize("measure", [LOSS, ACCURACY])
def test_the_data_curve_is_that_of_the_errors(measure: Measure) -> None:
    found, fractions, error = curve(measure=measure)
    law = stats.fit_power_law(fractions, error, 0.1)
    assert found is not None
    for own, its in zip((found.a, found.b, found.c), (law.a, law.b, law.c), strict=True):
        assert own == pytest.approx((its.value, its.low, its.high), rel=1e-4)
    twice = law.predict(2.0)
    assert found.double == pytest.approx((twice.value, twice.low, twice.high), rel=1e-4)
    distance = np.abs(error.mean(axis=1) - (law.a.value * fractions**-law.b.value + law.c.value))
    assert found.miss == pytest.approx(distance.max(), rel=1e-3)
    assert found.miss_at == fractions[distance.argmax()]
    assert (found.fractions, found.n, found.on_bound) == (FRACTIONS, 3, ())


def test_a_data_curve_needs_four_fractions_and_three_seeds_of_an_error() -> None:
    assert curve()[0] is not None
    assert curve(seeds=2)[0] is None
    assert curve(fractions=FRACTIONS[:3])[0] is None
    assert curve(f1=1)[0] is None
    assert curve(path="model.dropout")[0] is None


def test_a_metric_that_is_no_error_has_no_data_curve() -> None:
    assert curve(measure=measure("val_accuracy", False, 1, True))[0] is None
    assert curve(measure=measure("val_loss", True, 3, False))[0] is None


def test_errors_that_no_power_law_fits_have_no_data_curve() -> None:
    names = ["f0", "f1", "f2", "f3"]
    sweep = Sweep("data.fraction", "fraction", tuple(zip((0.0, 0.25, 0.5, 1.0), names, strict=True)))
    rows = values(dict(zip(names, noise(4, 3), strict=True)))
    assert data_curve([sweep], {name: effect(name) for name in names}, range(3), rows, ACCURACY, 0.05) is None


def test_a_level_that_a_seed_lacks_leaves_the_seed_out_of_the_data_curve() -> None:
    rng = np.random.default_rng(4)
    fractions, names = np.array(FRACTIONS), ["f0", "f1", "f2", "f3"]
    error = 0.1 * fractions[:, None] ** -0.5 + 0.05 + 0.002 * rng.normal(size=(4, 4))
    error[1, 3] = NAN
    error[2, 3] = 9.0
    sweep = Sweep("data.fraction", "fraction", tuple(zip(FRACTIONS, names, strict=True)))
    rows = values(dict(zip(names, error, strict=True)))
    found = data_curve([sweep], {name: effect(name) for name in names}, range(4), rows, LOSS, 0.05)
    assert found is not None
    assert (found.n, found.miss < 0.01) == (3, True)


def test_a_bow_of_three_levels_is_how_far_the_middle_lies_above_the_line_between_the_ends() -> None:
    y = noise(3)
    sweep = Sweep("model.dropout", "dropout", ((0.2, "x0"), (0.4, "x1"), (0.6, "x3")))
    names = ["x0", "x1", "x3"]
    rows = values(dict(zip(names, y, strict=True)))
    (found,) = trends([sweep], by_name(names), range(4), rows, stats.compare(y))
    mean = y.mean(axis=1)
    assert found.rise is not None
    assert found.bow is not None
    assert found.rise[0] == pytest.approx(mean[2] - mean[0])
    assert found.bow[0] == pytest.approx(mean[1] - (mean[0] + mean[2]) / 2)


CURVES = np.random.default_rng(5).uniform(0.1, 0.9, size=(6, 8))


def chosen(best: str = "best", curves: np.ndarray = CURVES) -> Results:
    """Two variants of three runs, the second of which reports its last epoch; a run of it diverged."""
    recipes = ({"train": {"select": "best"}}, {"train": {"select": best}})
    study = manifest([StoredVariant(name, "vary", {}, recipe) for name, recipe in zip("ab", recipes, strict=True)])
    runs = [run(name, seed, 0.9) for name in "ab" for seed in range(3)] + [run("a", 3, status="diverged")]
    epochs = [history("ab"[n // 3], n % 3, val_accuracy=own[np.isfinite(own)]) for n, own in enumerate(curves)]
    shuffled = [own.sample(frac=1, random_state=0) for own in epochs]
    return results(study, runs, [*shuffled, history("a", 3, val_accuracy=[0.1] * 8)])


def test_choosing_the_best_epoch_is_judged_on_the_runs_that_do() -> None:
    both, own = selection(chosen(), CURVES[:1], None, ACCURACY), selection(chosen("last"), CURVES[:1], None, ACCURACY)
    assert (both.of_epochs, own.of_epochs, both.winner, both.of_variants) == (8, 8, None, 0)
    assert both.epochs == stats.best_of_epochs(CURVES).expected
    assert own.epochs == stats.best_of_epochs(CURVES[:3]).expected
    assert selection(chosen(), CURVES[:1], None, LOSS) == Selection(None, 0, None, 0)
    down = selection(chosen(), CURVES[:1], None, measure("val_accuracy", False, 1, True))
    assert down.epochs == stats.best_of_epochs(-CURVES).expected


def test_of_runs_of_several_lengths_the_commonest_counts() -> None:
    short = CURVES.copy()
    short[4:, 6:] = NAN
    assert selection(chosen(curves=short), CURVES[:1], None, ACCURACY) == Selection(
        stats.best_of_epochs(CURVES[:4]).expected, 8, None, 0
    )
    few = CURVES.copy()
    few[:, stats.selection.MIN_EPOCHS :] = NAN
    assert selection(chosen(curves=few), CURVES[:1], None, ACCURACY).of_epochs == stats.selection.MIN_EPOCHS
    few[:, stats.selection.MIN_EPOCHS - 1] = NAN
    assert selection(chosen(curves=few), CURVES[:1], None, ACCURACY) == Selection(None, 0, None, 0)


def test_a_curve_that_is_not_finite_is_left_out() -> None:
    infinite = CURVES.copy()
    own = chosen()
    own.epochs.loc[(own.epochs["variant"] == "b") & (own.epochs["epoch"] == 3), "val_accuracy"] = NAN
    assert selection(own, infinite[:1], None, ACCURACY).epochs == stats.best_of_epochs(CURVES[:3]).expected


def test_the_winner_is_judged_among_the_variants_that_are_pooled() -> None:
    y = noise(4, 3)
    y[3] += [0.5, -0.5, 0.5]
    pool = stats.compare(y)
    assert pool.pool.kept == (True, True, True, False)
    nothing = results(manifest([variant("a")]), [])
    found = selection(nothing, y, pool, ACCURACY)
    assert found == Selection(None, 0, stats.best_of_variants(y[:3]).expected, 3)
    assert selection(nothing, y, pool, LOSS).winner == stats.best_of_variants(-y[:3]).expected
    assert selection(nothing, noise(2, 2), stats.compare(noise(2, 2)), ACCURACY).of_variants == 2
    one = noise(3, 1)
    assert selection(nothing, one, stats.compare(one), ACCURACY) == Selection(None, 0, None, 0)
    assert selection(nothing, one, None, ACCURACY) == Selection(None, 0, None, 0)
