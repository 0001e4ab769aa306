"""What the metrics of a few runs show of the code that reported them."""

from __future__ import annotations

import pytest

from ablation.analysis.audit import (
    Series,
    compared,
    declared_metrics,
    metrics_differ,
    metrics_vary,
    of_machine,
    options_used,
    reproducible,
    same,
    seed_used,
)

DECLARED = ("val_loss",)


def loss(*values: float | None, **others: float) -> Series:
    return {"val_loss": values, **{name: (value,) for name, value in others.items()}}


@pytest.mark.parametrize("name", ["seconds", "time/epoch", "images_per_second", "peakMemoryMB", "it/s"])
def test_metrics_of_the_machine_may_differ(name: str) -> None:
    assert of_machine(name)
    assert same(loss(1.0, **{name: 1}), loss(1.0, **{name: 2}), DECLARED)


@pytest.mark.parametrize("name", ["val_accuracy", "loss", "f1", "time_mae", "speedError"])
def test_other_metrics_are_no_timings(name: str) -> None:
    assert not of_machine(name)


def test_losses_and_scores_are_compared_also_where_the_study_does_not_declare_them() -> None:
    run = loss(1.0, train_loss=2.0, val_accuracy=0.5, lr=0.1, id=7)
    assert list(compared(run, DECLARED)) == ["val_loss", "train_loss", "val_accuracy"]
    assert not same(run, {**run, "train_loss": (2.1,)}, DECLARED)
    assert same(run, {**run, "id": (8,)}, DECLARED)


def test_one_seed_that_gives_the_same_twice_is_reproducible_also_without_numbers() -> None:
    assert reproducible(loss(1.0, None), [loss(1.0, None)], None, DECLARED, 3).level == "ok"


@pytest.mark.parametrize(
    ("again", "other", "level", "says"),
    [
        (1.01, 1.5, "warning", "val_loss differs by 0.01 (two seeds: by 0.5)"),
        (1.05, 1.5, "fault", "val_loss differs by 0.05 (two seeds: by 0.5)"),  # a tenth is no longer small
        (1.01, 1.0, "fault", "val_loss differs by 0.01 (two seeds: by 0)"),
        (1.01, None, "fault", "val_loss is not a number once"),
        (None, 1.5, "fault", "val_loss is not a number once"),
    ],
)
def test_a_difference_is_measured_against_that_of_two_seeds(
    again: float | None, other: float | None, level: str, says: str
) -> None:
    found = reproducible(loss(1.0), [loss(again)], loss(other), DECLARED, 0)
    if other is None:
        assert found.message.endswith("val_loss differs by 0.01")
    else:
        assert says in found.message
    assert found.level == level


def test_runs_of_one_seed_that_are_close_by_chance_are_judged_by_the_one_that_is_not() -> None:
    close, far = loss(1.01), loss(1.4)
    assert reproducible(loss(1.0), [close], loss(1.5), DECLARED, 0).level == "warning"
    found = reproducible(loss(1.0), [close, far], loss(1.5), DECLARED, 0)
    assert (found.level, "val_loss differs by 0.4 (two seeds: by 0.5)" in found.message) == ("fault", True)


def test_rows_that_differ_count_where_results_agree() -> None:
    found = reproducible(loss(2.0, 1.0), [loss(2.4, 1.0)], loss(2.5, 1.0), DECLARED, 0)
    assert found.level == "fault"
    assert "val_loss differs by 0.4 (two seeds: by 0.5)" in found.message


def test_another_number_of_rows_is_a_difference() -> None:
    found = reproducible(loss(2.0, 1.0), [loss(1.0)], None, DECLARED, 0)
    assert (found.level, "val_loss has 2 values, then 1" in found.message) == ("fault", True)


def test_a_seed_is_ignored_only_where_all_seeds_agree() -> None:
    agree = {0: loss(1.0), 1: loss(1.0), 2: loss(1.0)}
    assert seed_used(agree, DECLARED, repeats=True).level == "fault"
    assert seed_used({**agree, 2: loss(1.1)}, DECLARED, repeats=True).level == "ok"
    assert seed_used({**agree, 2: loss(1.1)}, DECLARED, repeats=False).level == "skipped"
    assert seed_used(agree, DECLARED, repeats=False).level == "fault"


def test_an_option_is_inert_where_each_of_its_runs_is_that_of_the_baseline() -> None:
    alike = (loss(1.0), loss(1.0))
    pairs = {"a": [alike, (loss(2.0), loss(2.0))], "b": [alike, (loss(2.0), loss(3.0))]}
    (found,) = options_used(pairs, DECLARED, "", repeats=True)
    assert (found.level, found.message.split()[0]) == ("fault", "a")
    (short,) = options_used(pairs, DECLARED, "epochs=1", repeats=True)
    assert short.level == "warning"
    (fine,) = options_used({"b": pairs["b"]}, DECLARED, "", repeats=True)
    assert fine.level == "ok"
    (unknown,) = options_used({"b": pairs["b"]}, DECLARED, "", repeats=False)
    assert unknown.level == "skipped"


def test_a_constant_primary_metric_is_a_fault_another_one_a_warning() -> None:
    runs = [{"f1": (0.5, 0.5), "val_loss": (1.0,)}, {"f1": (0.5,), "val_loss": (1.0,)}]
    assert [own.level for own in metrics_vary(runs, ("f1", "val_loss"), "")] == ["fault", "warning"]
    assert [own.level for own in metrics_vary(runs, ("f1",), "epochs=1")] == ["warning"]
    assert [own.level for own in metrics_vary([runs[0], {"f1": (0.5, 0.6)}], ("f1",), "")] == ["ok"]
    assert list(metrics_vary(runs[:1], ("f1",), "")) == []  # of one run nothing is known


@pytest.mark.parametrize(
    ("one", "two", "level"),
    [
        ("val_acc", "train_acc", "fault"),
        ("accuracy", "train_accuracy", "warning"),
        ("val_acc", "best_val_acc", "ok"),
        ("val/acc", "val_acc", "ok"),
        ("val_acc", "elapsed", "ok"),
    ],
)
def test_a_metric_with_the_values_of_another_one(one: str, two: str, level: str) -> None:
    runs = [{one: (0.1, 0.2), two: (0.1, 0.2)}, {one: (0.3,), two: (0.3,)}]
    assert [own.level for own in metrics_differ(runs, (one,))] in ([level], [] if level == "ok" else [level])
    apart = [*runs, {one: (0.4,), two: (0.5,)}]
    assert all(own.level == "ok" for own in metrics_differ(apart, (one,)))


def test_a_metric_that_is_not_reported_is_named_with_the_nearest_one() -> None:
    (found,) = declared_metrics(loss(1.0), ("valid_loss",))
    assert (found.level, found.hint) == ("fault", "did you mean val_loss?")
    (nothing,) = declared_metrics({}, DECLARED)
    assert "nothing is reported" in nothing.message
