"""The primary metric and the runs that count."""

from __future__ import annotations

import pytest
from scipy import stats

from ablation.analysis.measure import chance_limit
from tests.analysis.made import ACCURACY, LOSS


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
    assert (ACCURACY.sign, ACCURACY.scale, ACCURACY.unit, ACCURACY.direction) == (1, 100, " points", "higher")


def test_other_metrics_are_written_as_they_are_stored() -> None:
    assert LOSS.value(0.12345) == "0.123"
    assert LOSS.difference(0.12345) == "+0.123"
    assert LOSS.size(-0.12345) == "0.123"
    assert (LOSS.sign, LOSS.scale, LOSS.unit, LOSS.direction) == (-1, 1, "", "lower")
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
