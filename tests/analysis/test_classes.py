"""Accuracy of each class, recounted image by image."""

from __future__ import annotations

import numpy as np
import pytest

from ablation.analysis.classification.classes import (
    Labelled,
    change,
    class_rows,
    count_classes,
    extremes,
    frequent_confusions,
)


def made(variant: str, seed: int, images: int = 60) -> Labelled:
    rng = np.random.default_rng([seed, len(variant)])
    label = rng.integers(0, 4, images)
    return Labelled(variant, seed, label, np.where(rng.random(images) < 0.6, label, rng.integers(0, 4, images)))


def test_counts_are_those_of_the_images() -> None:
    runs = [made("a", seed) for seed in (3, 4, 5)] + [made("bb", 4)]
    counts = count_classes(iter(runs), 5, {"a"})
    assert (counts["a"].seeds, counts["bb"].seeds) == ((3, 4, 5), (4,))
    for row, run in enumerate(runs[:3]):
        for place in range(5):
            own = run.label == place
            assert counts["a"].images[row, place] == own.sum()
            assert counts["a"].correct[row, place] == (own & (run.predicted == place)).sum()
    confusion = counts["a"].confusion
    assert confusion is not None
    for true in range(5):
        for taken in range(5):
            assert confusion[true, taken] == sum(
                ((run.label == true) & (run.predicted == taken)).sum() for run in runs[:3]
            )
    assert counts["bb"].confusion is None
    moved = change(counts["bb"], counts["a"])
    assert moved is not None
    by_seed = [counts["bb"].by_seed[0], counts["a"].by_seed[1]]
    np.testing.assert_allclose(moved[:4], (by_seed[0] - by_seed[1])[:4])
    assert np.isnan(moved[4])


def test_the_rows_of_the_table_are_every_count_of_every_seed() -> None:
    counts = count_classes([made("a", 3), made("a", 4)], 4, ())
    rows = list(class_rows("validation", counts, ("p", "q", "r", "s")))
    assert len(rows) == 8
    assert rows[5] == ("validation", "a", 4, "q", counts["a"].images[1, 1], counts["a"].correct[1, 1])


def test_a_change_of_half_a_tenth_of_a_point_is_named_and_a_smaller_one_is_not() -> None:
    assert extremes(np.array([5e-4, -5e-4, 4.9e-4, -4.9e-4]), 4) == ((0,), (1,))
    assert extremes(np.array([np.nan, np.nan]), 2) == ((), ())


def test_of_equal_changes_the_class_farthest_from_zero_comes_first() -> None:
    values = np.array([0.1, 0.3, 0.2, -0.2, -0.3, -0.1])
    assert extremes(values, 2) == ((1, 2), (4, 3))
    assert extremes(values, 10) == ((1, 2, 0), (4, 3, 5))


def test_confusions_are_mistakes_with_their_share_of_the_true_class() -> None:
    found = frequent_confusions(np.array([[90, 6, 4], [0, 5, 0], [1, 0, 0]]), 10)
    assert [(own.true, own.predicted, own.count) for own in found] == [(0, 1, 6), (0, 2, 4), (2, 0, 1)]
    assert [own.share for own in found] == pytest.approx([0.06, 0.04, 1.0])
    assert frequent_confusions(np.eye(3, dtype=np.int64), 3) == ()
