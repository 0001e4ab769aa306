"""Training dynamics, recounted from the epochs of each run."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from ablation.analysis.learning import (
    Course,
    Span,
    _lesson,
    first_reached,
    fluctuation,
    mean_accuracy,
    milestones,
    target,
)


def course(seed: int, accuracy: Sequence[float], selected: int | None = None, best: int | None = None) -> Course:
    n = len(accuracy)
    epoch, accuracies = np.arange(1.0, n + 1), np.array(accuracy)
    return Course(seed, epoch, 50 * epoch, accuracies + 0.05 * epoch, accuracies, 1 - accuracies, selected, best)


RUNS = (
    course(0, [0.2, 0.5, 0.8, 0.7], selected=3, best=3),
    course(1, [0.1, 0.6, 0.7, 0.9], selected=4, best=4),
    course(2, [0.3, 0.4, 0.5, 0.6, 0.65, 0.62], selected=None, best=5),
)


def test_a_lesson_is_made_of_the_courses_of_its_seeds() -> None:
    found = _lesson("a", RUNS, (2, 6), 0.7, "epoch")
    assert found.n == 3
    assert found.at == (Span(pytest.approx(0.5), 0.4, 0.6, 3), Span(0.62, 0.62, 0.62, 1))
    assert found.reached == Span(3.0, 3.0, 3.0, 2)
    assert found.train == Span(pytest.approx(1.025), pytest.approx(0.95), pytest.approx(1.1), 2)
    assert found.val == Span(pytest.approx(0.85), 0.8, 0.9, 2)
    assert found.gap == Span(pytest.approx(0.175), pytest.approx(0.15), pytest.approx(0.2), 2)
    assert found.best == Span(4.0, 3.0, 5.0, 3)
    assert found.after == Span(pytest.approx(2 / 3), 0.0, 1.0, 3)
    assert found.share == pytest.approx((1 / 4 + 0 + 1 / 6) / 3)
    assert found.fall == Span(pytest.approx((-0.1 + 0 - 0.03) / 3), pytest.approx(-0.1), 0.0, 3)
    assert found.late == 0
    changes = [np.mean([0.3, 0.1]), np.mean([0.1, 0.2]), np.mean([0.1, 0.05, 0.03])]
    assert found.fluctuation == Span(
        pytest.approx(np.mean(changes)), pytest.approx(min(changes)), pytest.approx(max(changes)), 3
    )


def test_a_budget_in_steps_reaches_its_target_in_steps() -> None:
    assert _lesson("a", RUNS, (2,), 0.7, "step").reached == Span(150.0, 150.0, 150.0, 2)


def test_without_runs_or_a_target_there_is_nothing_to_say() -> None:
    empty = _lesson("a", (), (1, 2), 0.7, "epoch")
    assert (empty.n, empty.at, empty.reached, empty.share, empty.late) == (0, (None, None), None, None, 0)
    assert _lesson("a", RUNS, (2,), None, "epoch").reached is None


def test_training_went_on_for_long_where_more_than_a_third_came_after_the_best_epoch() -> None:
    third, more = course(0, [0.1, 0.9, 0.5], best=2), course(1, [0.9, 0.5], best=1)
    found = _lesson("a", (third, more), (1,), None, "epoch")
    assert (found.share, found.late) == (pytest.approx((1 / 3 + 1 / 2) / 2), 1)


def test_values_that_are_not_numbers_are_left_out() -> None:
    found = _lesson("a", (course(0, [math.nan, 0.5]), course(1, [0.4, 0.6])), (1, 2), None, "epoch")
    assert found.at == (Span(0.4, 0.4, 0.4, 1), Span(pytest.approx(0.55), 0.5, 0.6, 2))


def test_the_mean_curve_ends_with_the_shortest_run() -> None:
    np.testing.assert_allclose(mean_accuracy(RUNS), [0.2, 0.5, 2 / 3, 2.2 / 3])


def test_the_fluctuation_takes_in_the_change_that_leads_into_the_second_half() -> None:
    assert fluctuation(np.array([5.0, 1.0, 2.0, 4.0])) == pytest.approx((1 + 2) / 2)
    assert fluctuation(np.array([5.0, 1.0, 2.0, 4.0, 4.5])) == pytest.approx((1 + 2 + 0.5) / 3)


@pytest.mark.parametrize(
    ("top", "goal"),
    [(0.05, 0.05), (0.0499, 0.04), (0.0999, 0.05), (0.1, 0.1), (0.949, 0.9), (0.95, 0.95), (0.96, 0.96), (1.0, 1.0),
     (0.01, 0.01), (0.009, None), (0.0, None), (math.nan, None)],
)  # fmt: skip
def test_the_target_has_steps_of_one_and_of_five_per_cent(top: float, goal: float | None) -> None:
    assert target(np.array([top, math.nan])) == goal


@pytest.mark.parametrize(
    ("last", "chosen"), [(4, (1, 3, 4)), (5, (2, 3, 5)), (6, (2, 4, 6)), (12, (4, 8, 12)), (300, (100, 200, 300))]
)
def test_milestones_of_short_and_long_budgets(last: int, chosen: tuple[int, ...]) -> None:
    assert milestones(last) == chosen


def test_rounding_does_not_miss_a_target() -> None:
    assert first_reached(np.array([0.1, 0.7 + 0.1 - 1e-16, 0.9]), 0.8) == 1
    assert first_reached(np.array([0.8, 0.9]), 0.8) == 0
