"""The primary metric and the runs that count."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats

from ablation.analysis.classification.chance import at_chance, chance_limit
from ablation.analysis.measure import (
    Measure,
    measured,
    primary_measure,
    same_weights,
    successful,
)
from ablation.registry.metric_names import guess
from ablation.registry.metrics import METRICS
from ablation.results.runs import Results
from tests.analysis.made import ACCURACY, LOSS, manifest, measure, record, results, run, variant


@pytest.mark.parametrize(("classes", "images"), [(10, 360), (2, 50), (100, 10_000)])
def test_chance_ends_where_guessing_stays_below_in_99_of_100_sets(classes: int, images: int) -> None:
    limit = chance_limit({"val_images": images}, classes)
    assert limit is not None
    guess = 1 / classes
    assert (limit - guess) / (guess * (1 - guess) / images) ** 0.5 == pytest.approx(stats.norm.isf(0.01), abs=5e-4)
    assert stats.binom.cdf(limit * images, images, guess) == pytest.approx(0.99, abs=0.01)


@pytest.mark.parametrize(("classes", "images"), [(1, 100), (0, 100), (10, None), (10, 0), (10, float("nan"))])
def test_without_classes_or_images_chance_is_unknown(classes: int, images: float | None) -> None:
    assert chance_limit({"val_images": images}, classes) is None


def test_one_image_and_two_classes_have_a_limit() -> None:
    assert chance_limit({"val_images": 1}, 2) == pytest.approx(0.5 + 2.326 * 0.5)
    assert chance_limit({}, 10) is None


def test_accuracies_are_written_in_per_cent_and_their_differences_in_points() -> None:
    assert ACCURACY.value(0.9123) == "91.2"
    assert ACCURACY.difference(-0.0123) == "\u22121.2"
    assert ACCURACY.size(-0.0123) == "1.2 points"
    assert ACCURACY.interval(-0.01, 0.02) == "[\u22121.0, +2.0]"
    assert (ACCURACY.sign, ACCURACY.scale, ACCURACY.unit, ACCURACY.metric.direction) == (1, 100, " points", "higher")


def test_other_metrics_are_written_as_they_are_stored() -> None:
    assert LOSS.value(0.12345) == "0.123"
    assert LOSS.difference(0.12345) == "+0.123"
    assert LOSS.size(-0.12345) == "0.123"
    assert (LOSS.sign, LOSS.scale, LOSS.unit, LOSS.metric.direction) == (-1, 1, "", "lower")
    assert (LOSS.name, ACCURACY.name) == ("validation loss", "validation accuracy")


@pytest.mark.parametrize(
    ("size", "text"),
    [(0.001, "0.1 points"), (0.0004, "0.04 points"), (0.00004, "0.004 points"), (0.0, "0.0 points"),
     (0.000004, "0.0004 points"), (0.0000004, "0.0000 points")],
)  # fmt: skip
def test_a_size_gets_up_to_three_decimals_more_rather_than_be_zero(size: float, text: str) -> None:
    assert ACCURACY.size(size) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.0004, 0.02, "[+0.04, +2.00]"), (-0.02, -0.0004, "[\u22122.00, \u22120.04]"),
        (0.0006, 0.02, "[+0.1, +2.0]"), (-0.0004, 0.02, "[0.0, +2.0]"), (0.0, 0.02, "[0.0, +2.0]"),
        (None, 0.02, ""), (0.01, None, ""),
    ],
)  # fmt: skip
def test_an_interval_without_zero_shows_none_at_its_ends(low: float | None, high: float | None, text: str) -> None:
    assert ACCURACY.interval(low, high) == text


def named(metric: str, rows: list[Any], direction: str = "higher", **units: Any) -> Measure:
    study = manifest([variant("b"), variant("x")], analysis={"metric": metric, "direction": direction})
    return primary_measure(
        results(study, rows, metrics={**METRICS, **{k: replace(guess(k), unit=own) for k, own in units.items()}})
    )


@pytest.mark.parametrize(
    ("images", "digits"), [((99, 100), 1), ((100, 99), 1), ((60, None), 0), ((5001, 10), 2), ((None, None), 1)]
)
def test_an_accuracy_has_the_decimals_of_the_largest_validation_set(images: tuple[Any, Any], digits: int) -> None:
    rows = [run("b", 0, 0.9, val_images=images[0]), run("x", 0, 0.9, val_images=images[1])]
    lost = run("x", 1, 0.9, "diverged", val_images=10_000)
    assert named("val_accuracy", [*rows, lost]) == measure("val_accuracy", True, digits, True)


@pytest.mark.parametrize(
    ("spreads", "digits"),
    [((0.02, 0.02), 3), ((0.2, 0.2), 2), ((2.0, 2.0), 1), ((1.0, 1.0), 1), ((0.99, 0.99), 2), ((20, 20), 0),
     ((2e4, 2e4), 0), ((0.02, 200.0, 2.0), 1), ((1e-15, 1e-15), 12)],
)  # fmt: skip
def test_another_metric_shows_two_figures_of_its_median_spread(spreads: tuple[float, ...], digits: int) -> None:
    """Two values that differ by d have a standard deviation of d / sqrt(2)."""
    step = math.sqrt(2) * 1.0001
    rows = [run(str(n), seed, score=seed * step * sd) for n, sd in enumerate(spreads) for seed in (0, 1)]
    lost = [run("0", 2, status="diverged", score=1e9)]
    assert named("score", [*rows, *lost], "lower") == measure("score", False, digits, False)


@pytest.mark.parametrize(
    ("values", "digits"),
    [((0.5, 0.02), 3), ((0.0123,), 4), ((0.00123, -0.0123), 4), ((123.0,), 3), ((0.0,), 3), ((1e-14,), 12), ((), 3),
     ((0.1,), 3), ((0.01,), 4)],
)  # fmt: skip
def test_without_a_spread_three_figures_of_the_largest_value_are_shown(values: tuple[float, ...], digits: int) -> None:
    rows = [run(str(n), 0, score=value) for n, value in enumerate(values)] or [run("b", 0, status="missing", score=1)]
    assert named("score", rows).digits == digits


def test_a_metric_that_no_run_has_is_shown_with_three_decimals() -> None:
    rows = [run("b", 0)]
    assert named("score", rows).digits == 3
    study = manifest([variant("b")])
    assert measured(results(study, rows), measure("score", True, 3, False)) == {}


def test_the_unit_is_that_of_the_table_and_else_that_of_the_name() -> None:
    rows = [run("b", 0, acc=50.0)]
    assert named("acc", rows).share
    assert not named("acc", rows, acc="raw").share
    assert named("score", rows, score="share").share
    assert not named("score", rows, acc="share").share


def ours(*accuracies: float, classes: int = 10, images: int = 360, **columns: Any) -> Results:
    study = manifest([variant("b")], range(len(accuracies)))
    rows = [run("b", seed, own, val_images=images, **columns) for seed, own in enumerate(accuracies)]
    names = tuple(map(str, range(classes)))
    return results(study, rows, records={("b", seed): record(classes=names) for seed in range(len(accuracies))})


def test_a_finished_run_no_better_than_guessing_counts_as_diverged() -> None:
    limit = 0.1 + 2.326 * math.sqrt(0.1 * 0.9 / 360)
    own = ours(0.9, limit - 1e-9, limit + 1e-9, limit)
    assert at_chance(own) == {("b", 1), ("b", 3)}
    assert successful(own) == (("b", 0), ("b", 2))
    assert measured(own, ACCURACY) == {("b", 0): 0.9, ("b", 2): limit + 1e-9}
    assert at_chance(ours(0.5, 0.6, classes=2, images=50)) == {("b", 0), ("b", 1)}
    assert at_chance(ours(0.0, classes=1)) == frozenset()


def test_only_finished_runs_with_a_finite_value_are_measured() -> None:
    study = manifest([variant("b"), variant("x")])
    rows = [run("b", 0, 0.9), run("b", 1, 0.8, "diverged"), run("b", 2, math.inf), run("x", 0), run("x", 1, -0.5)]
    assert measured(results(study, rows), ACCURACY) == {("b", 0): 0.9, ("x", 1): -0.5}
    assert len(successful(results(study, rows))) == 4


def test_a_table_says_itself_which_runs_are_at_chance() -> None:
    rows = [run("b", 0, 0.9, at_chance=1), run("b", 1, 0.05, at_chance=0), run("b", 2, 0.1, "diverged", at_chance=1)]
    assert at_chance(results(manifest([variant("b")]), rows)) == {("b", 0)}
    assert at_chance(results(manifest([variant("b")]), [run("b", 0, 0.05, val_images=100)])) == frozenset()
    with_records = results(manifest([variant("b")]), rows, records={("b", 1): record()})
    assert at_chance(with_records) == {("b", 0)}
    counted = [{**row, "val_images": 360} for row in rows]
    assert at_chance(results(manifest([variant("b")]), counted, records={("b", 1): record()})) == {("b", 0), ("b", 1)}


def test_weights_are_the_same_where_each_seed_of_both_has_the_same_hash() -> None:
    hashes = {("b", 0): "0", ("b", 1): "1", ("b", 2): None, ("x", 0): "0", ("x", 1): "2", ("x", 2): None, ("x", 3): "3"}
    records = {key: record(weights_sha256=own) for key, own in hashes.items()}
    own = results(manifest([variant("b"), variant("x")]), [], records=records)
    same = {seeds: same_weights(own, "x", seeds) for seeds in [(), (0,), (1,), (0, 1), (2,), (3,), (4,)]}
    assert [seeds for seeds, equal in same.items() if equal] == [(0,)]


@pytest.mark.parametrize(
    ("column", "accuracy", "name", "heading", "axis"),
    [
        ("val_accuracy", True, "validation accuracy", "Accuracy, %", "validation accuracy, %"),
        ("train_top_5", True, "training top 5", "Training top 5, %", "training top 5, %"),
        ("val_loss", False, "validation loss", "Validation loss", "validation loss"),
        ("mAP", True, "mAP", "mAP, %", "mAP, %"),
        ("BLEU_score", False, "BLEU score", "BLEU score", "BLEU score"),
        ("perplexity", False, "perplexity", "Perplexity", "perplexity"),
    ],
)
def test_a_metric_in_words(column: str, accuracy: bool, name: str, heading: str, axis: str) -> None:
    own = measure(column, True, 1, accuracy)
    assert (own.name, own.metric.heading, own.metric.axis) == (name, heading, axis)
    assert own.farthest == (1.0 if accuracy else math.inf)


def test_an_absent_value_is_a_dash_and_a_huge_one_has_an_exponent() -> None:
    assert (ACCURACY.value(None), ACCURACY.difference(None)) == ("\u2013", "\u2013")
    assert ACCURACY.difference(0.0001) == "0.0"
    assert ACCURACY.difference(0.0001, 1) == "+0.01"
    assert (LOSS.value(9.99e14), LOSS.value(1e15)) == ("999000000000000.000", "1e+15")
    assert (LOSS.difference(-2e15), LOSS.value(-2e15)) == ("\u22122e+15", "-2e+15")
