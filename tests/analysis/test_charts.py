"""Which curves are drawn, from which columns of a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ablation.analysis.charts import IMAGE_CHARTS, MOST_CHARTS, Chart, study_charts
from ablation.analysis.measure import Measure
from ablation.registry.metric_names import guess
from ablation.storage.manifest import StoredVariant
from ablation.study.tasks import MetricOptions
from tests.analysis.made import ACCURACY, history, manifest, results, variant
from tests.analysis.made import measure as measure_of

ELSEWHERE = manifest([variant("b", "baseline")])


def charts(*names: str, measure: Measure = ACCURACY, units: dict[str, str] | None = None) -> list[Chart]:
    known = {name: replace(guess(name), unit=unit) for name, unit in (units or {}).items()}
    study = manifest([variant("b", "baseline")])
    columns: dict[str, Any] = {name: [0.5, 0.6] for name in names}
    return list(study_charts(results(study, [], [history("b", 0, **columns)], metrics=known), measure))


def lines(*names: str, measure: Measure = ACCURACY) -> list[tuple[str, str | None]]:
    return [(own.line, own.dashed) for own in charts(*names, measure=measure)]


def test_a_study_that_was_run_here_has_its_own_three() -> None:
    study = manifest([StoredVariant("b", "baseline", {}, {"train": {}})])
    assert study_charts(results(study, []), ACCURACY) == IMAGE_CHARTS


def test_columns_of_one_quantity_share_a_chart_with_training_dashed() -> None:
    assert lines("train_loss", "val_loss", "val_accuracy") == [("val_accuracy", None), ("val_loss", "train_loss")]
    assert lines("loss", "val_loss") == [("val_loss", "loss")]
    assert lines("loss", "train_loss") == [("loss", "train_loss")]
    assert lines("train_loss", "test_loss") == [("test_loss", "train_loss")]
    assert lines("test_loss", "loss") == [("loss", None)]
    assert lines("train_loss") == [("train_loss", None)]
    assert lines("loss") == [("loss", None)]


def test_the_primary_metric_comes_first_and_is_the_solid_line() -> None:
    test = measure_of("test_f1", True, 1, True)
    assert lines("val_loss", "val_f1", "test_f1", measure=test) == [("test_f1", None), ("val_loss", None)]
    assert lines("val_f1", "train_f1", measure=measure_of("train_f1", True, 1, True)) == [("train_f1", None)]
    found = charts("val_loss", "val_f1", "test_f1", measure=test)
    assert [(own.dots, own.key) for own in found] == [(True, "curve-1"), (False, "loss")]


def test_what_was_never_measured_and_what_only_counts_is_not_drawn() -> None:
    rows = history("b", 0, val_loss=[0.5, 0.4], val_f1=[np.nan, np.inf], grad=[np.nan, 1.0], step=[1.0, 2.0])
    found = study_charts(results(ELSEWHERE, [], [rows]), ACCURACY)
    assert [own.line for own in found] == ["val_loss"]


def test_other_quantities_are_drawn_where_there_is_no_better() -> None:
    assert lines("depth", "grad") == [("depth", None), ("grad", None)]
    assert lines("depth", "train_grad", "val_grad") == [("val_grad", "train_grad")]
    assert lines("depth", "grad", measure=measure_of("grad", True, 1, False)) == [("grad", None)]
    assert lines("depth", "val_iou") == [("val_iou", None)]


def test_the_learning_rate_is_the_last_chart_and_alone_of_its_kind() -> None:
    found = charts("lr", "val_loss", "learning_rate")
    assert [(own.line, own.kind, own.key, own.ours) for own in found] == [
        ("val_loss", "loss", "loss", False), ("lr", "rate", "learning-rate", False),
    ]  # fmt: skip
    assert lines("lr") == [("lr", None)]


def test_at_most_six_quantities_are_drawn() -> None:
    names = [f"{letter}_loss" for letter in "abcdefgh"]
    found = charts(*names, "lr")
    assert [own.line for own in found] == [*names[:MOST_CHARTS], "lr"]
    assert MOST_CHARTS == 6
    assert [own.key for own in found][:2] == ["curve-1", "curve-2"]


@pytest.mark.parametrize(
    ("name", "units", "measure", "expected"),
    [
        ("val_accuracy", {}, ACCURACY, ("accuracy", "Accuracy", "accuracy, %", "share", 100.0)),
        ("val_top_iou", {}, ACCURACY, ("curve-1", "Top IoU", "top IoU, %", "share", 100.0)),
        ("val_iou", {"val_iou": "raw"}, ACCURACY, ("curve-1", "IoU", "IoU", "other", 1.0)),
        ("score", {"score": "share"}, ACCURACY, ("curve-1", "Score", "score, %", "share", 100.0)),
        ("nll_loss", {}, ACCURACY, ("curve-1", "NLL loss", "NLL loss", "loss", 1.0)),
        ("val_loss", {}, measure_of("val_loss", False, 3, False), ("loss", "Loss", "loss", "loss", 1.0)),
        ("score", {}, measure_of("score", True, 3, False), ("curve-1", "Score", "score", "other", 1.0)),
        ("score", {}, measure_of("score", True, 3, True), ("curve-1", "Score", "score, %", "share", 100.0)),
    ],
)
def test_a_chart_has_the_unit_of_its_column(
    name: str, units: dict[str, str], measure: Measure, expected: tuple[str, str, str, str, float]
) -> None:
    (own,) = charts(name, measure=measure, units=units)
    assert (own.key, own.title, own.axis, own.kind, own.scale) == expected
    assert (own.dots, own.ours) == (name == measure.column, False)


def test_a_chart_reads_its_line_and_the_dashed_one() -> None:
    assert [own.columns for own in IMAGE_CHARTS] == [
        ("train_accuracy", "val_accuracy"), ("train_loss", "val_loss"), ("lr",),
    ]  # fmt: skip
    assert [(own.dots, own.ours, own.scale) for own in IMAGE_CHARTS] == [
        (True, True, 100.0), (False, True, 1.0), (False, True, 1.0),
    ]  # fmt: skip


def test_of_declared_metrics_and_losses_alone_there_are_charts() -> None:
    """As the Trainer of Transformers logs them: `loss` after each epoch, `train_loss` once at the end."""
    names = ("train_loss", "loss", "eval_loss", "eval_accuracy", "eval_runtime", "train_runtime", "grad_norm")
    declared = {name: MetricOptions(direction="lower") for name in ("eval_loss", "loss")}
    study = replace(manifest([variant("b", "baseline")]), declared=declared, task={"kind": "command"})
    columns: dict[str, Any] = {name: [0.5, 0.6] for name in names}
    own = results(study, [], [history("b", 0, **columns)])
    assert [
        (c.line, c.dashed) for c in study_charts(own, measure_of("eval_loss", higher=False, digits=3, share=False))
    ] == [("eval_loss", "loss")]
