"""Training dynamics, recounted from the epochs of each run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ablation.analysis.charts import ACCURACY as ACCURACY_CHART
from ablation.analysis.charts import LOSS as LOSS_CHART
from ablation.analysis.learning import (
    Course,
    Learning,
    Span,
    _lesson,
    courses,
    first_reached,
    fluctuation,
    learning,
    mean_accuracy,
    milestones,
    target,
)
from ablation.storage.manifest import StoredVariant
from tests.analysis.made import history, manifest, results, run, variant


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
    ("last", "chosen"),
    [
        (4, (1, 3, 4)),
        (5, (2, 3, 5)),
        (6, (2, 4, 6)),
        (12, (4, 8, 12)),
        (300, (100, 200, 300)),
        (500, (150, 350, 500)),
    ],
)
def test_milestones_of_short_and_long_budgets(last: int, chosen: tuple[int, ...]) -> None:
    assert milestones(last) == chosen


def test_rounding_does_not_miss_a_target() -> None:
    assert first_reached(np.array([0.1, 0.7 + 0.1 - 1e-16, 0.9]), 0.8) == 1
    assert first_reached(np.array([0.8, 0.9]), 0.8) == 0


def test_a_course_without_its_epochs_has_no_figures_of_them() -> None:
    found = _lesson("a", (course(0, [0.1, 0.2, 0.3], selected=9, best=9),), (1,), None, "epoch")
    assert (found.train, found.val, found.gap, found.best, found.after, found.fall) == (None,) * 6
    assert (found.share, found.late, found.n) == (None, 0, 1)


@pytest.mark.parametrize(
    ("loss", "expected"), [([1.0, 2.0], None), ([1.0, 2.0, 4.0], 1.5), ([1.0, 2.0, 4.0, 4.5], 1.25)]
)
def test_a_fluctuation_needs_three_epochs(loss: list[float], expected: float | None) -> None:
    assert fluctuation(np.array(loss)) == expected


def test_an_accuracy_that_is_never_reached_has_no_epoch() -> None:
    assert first_reached(np.array([0.1, 0.2]), 0.3) is None
    assert milestones(1) == (1,)
    assert milestones(10**6) == (300_000, 700_000, 1_000_000)


STEPS = {"train": {"steps": 400, "epochs": None}}
CURVES = {("b", 0): [0.2, 0.5, 0.71, 0.79], ("b", 1): [0.3, 0.6, 0.81, 0.85, 0.9], ("x", 0): [0.5, 0.81, 0.81]}


def learned(recipe: dict[str, Any] | None = None, lost: str = "", **columns: Any) -> Learning | None:
    study = manifest(
        [StoredVariant("b", "baseline", {}, {"train": {}} if recipe is None else recipe), variant("x"), variant("y")]
    )
    rows = [
        run(name, seed, own[-1], "diverged" if name == lost else "finished", selected_epoch=2, best_epoch=len(own))
        for (name, seed), own in CURVES.items()
    ]
    rows += [run("y", 0, status="interrupted"), run("y", 1, 0.9, "diverged")]
    epochs = [
        history(name, seed, step=100 * np.arange(1, len(own) + 1), val_accuracy=own, train_accuracy=np.array(own) + 0.1,
                val_loss=1 - np.array(own), **columns)
        for (name, seed), own in CURVES.items()
    ]  # fmt: skip
    return learning(results(study, rows, [*epochs, history("y", 0, val_accuracy=[0.4])]))


def test_what_is_learned_is_that_of_the_finished_runs_of_every_variant() -> None:
    found = learned()
    assert found is not None
    assert (found.unit, found.milestones, found.ours) == ("epoch", (2, 3, 5), True)
    assert found.target == 0.8  # the mean curve of the baseline ends at 0.82, where its shorter run ends
    base, x, y = found.lessons
    assert found.baseline is base
    assert (base.variant, base.n, x.variant, x.n, y.variant, y.n) == ("b", 2, "x", 1, "y", 0)
    assert base.reached == Span(3.0, 3.0, 3.0, 1)
    assert x.reached == Span(2.0, 2.0, 2.0, 1)
    assert base.at[2] == Span(0.9, 0.9, 0.9, 1)
    assert base.val == Span(pytest.approx(0.55), 0.5, 0.6, 2)
    assert base.gap == Span(pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1), 2)
    assert base.best == Span(4.5, 4.0, 5.0, 2)


def test_a_budget_in_steps_has_milestones_in_steps() -> None:
    found = learned(STEPS)
    assert found is not None
    assert (found.unit, found.milestones) == ("step", (200, 300, 500))
    assert found.lessons[1].reached == Span(200.0, 200.0, 200.0, 1)


def test_without_the_baseline_there_are_milestones_and_no_target() -> None:
    found = learned(lost="b")
    assert found is not None
    assert (found.target, found.milestones, found.baseline.n) == (None, (1, 2, 3), 0)
    study = manifest([StoredVariant("b", "baseline", {}, STEPS)])
    assert learning(results(study, [run("b", 0, status="missing")])) is None


def elsewhere(measure: str = "val_accuracy", direction: str = "higher", **columns: list[float]) -> Learning | None:
    analysis = {"metric": measure, "direction": direction}
    study = manifest([variant("b", "baseline")], analysis=analysis)
    return learning(results(study, [run("b", 0, 0.9)], [history("b", 0, **columns)]))


def test_results_from_elsewhere_are_learned_from_their_first_share_and_their_first_loss() -> None:
    up, down = [0.5, 0.6], [0.5, 0.4]
    found = elsewhere(val_iou=up, train_iou=up, val_nll=down, val_entropy=down, val_f1=up)
    assert found is not None
    assert found.accuracy is not None
    assert found.loss is not None
    assert (found.accuracy.line, found.accuracy.dashed, found.loss.line, found.ours) == (
        "val_iou", "train_iou", "val_nll", False,
    )  # fmt: skip
    assert found.lessons[0].at[-1] == Span(0.6, 0.6, 0.6, 1)
    alone = elsewhere(val_loss=down)
    assert alone is not None
    assert alone.accuracy is None
    assert alone.target is None
    only = elsewhere(val_iou=up)
    assert only is not None
    assert only.loss is None
    assert only.lessons[0].fluctuation is None
    assert elsewhere(train_iou=up, train_loss=down) is None
    assert elsewhere(depth=up) is None


def test_a_share_that_falls_as_it_improves_is_no_accuracy() -> None:
    up = [0.5, 0.6]
    for direction, line in [("higher", "val_iou"), ("lower", "val_f1")]:
        found = elsewhere("val_iou", direction, val_iou=up, val_f1=up)
        assert found is not None
        assert found.accuracy is not None
        assert found.accuracy.line == line


def test_a_course_has_the_columns_of_its_charts_in_the_order_of_the_table() -> None:
    study = manifest([variant("b", "baseline"), variant("x")])
    rows = [run("b", 0, 0.9, selected_epoch=2, best_epoch=None), run("x", 0, 0.9, "diverged"), run("b", 1, None)]
    epochs = [history(name, seed, val_accuracy=[0.1, 0.2], val_loss=[0.3, 0.4]) for name, seed in [("b", 0), ("x", 0)]]
    (own,) = courses(results(study, rows, epochs), ACCURACY_CHART, LOSS_CHART)["b"]
    assert (own.seed, own.selected, own.best) == (0, 2, None)
    assert (own.epoch.tolist(), own.val_accuracy.tolist(), own.val_loss.tolist()) == ([1, 2], [0.1, 0.2], [0.3, 0.4])
    assert np.isnan(own.train_accuracy).all()
    (own,) = courses(results(study, rows, epochs), None, LOSS_CHART)["b"]
    assert np.isnan(own.val_accuracy).all()
    (own,) = courses(results(study, rows, epochs), ACCURACY_CHART, None)["b"]
    assert np.isnan(own.val_loss).all()
