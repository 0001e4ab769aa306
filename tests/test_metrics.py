"""Metrics beside accuracy and loss: `metrics: [f1_macro, "my_metrics:balanced_accuracy"]`."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ablation
from ablation.errors import FileError, UserError
from ablation.registry.metrics import METRICS, check_packages, known
from ablation.study.load import load_study
from ablation.worker.metrics import compute
from tests.conftest import ROOT, TINY, Ablate

CODE = """\
from pathlib import Path
Path("imported").touch()

import numpy as np

import ablation


@ablation.metric(direction="higher", unit="share")
def balanced_accuracy(labels, predicted, probabilities):
    return np.mean([np.mean(predicted[labels == label] == label) for label in np.unique(labels)])
"""
CUSTOM = "my_metrics:balanced_accuracy"
RUN = ("run", "tiny.yaml", "--device", "cpu", "--per-device", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_metrics.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    return tmp_path


def declare(folder: Path, lines: str) -> None:
    (folder / "tiny.yaml").write_text(TINY + lines, encoding="utf-8")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (folder / "results" / "runs").glob("*/*.[npj]*")}


def of_each_run(folder: Path) -> dict[str, tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Run folder -> its metrics.json and its predictions."""
    found = {}
    for path in (folder / "results" / "runs").iterdir():
        with np.load(path / "predictions.npz") as arrays:
            found[path.name] = json.loads((path / "metrics.json").read_text())["values"], dict(arrays)
    return found


def f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The mean over classes of 2 TP / (2 TP + FP + FN), of the classes that occur."""
    scores = []
    for label in sorted({*labels, *predicted}):
        hits = np.sum((labels == label) & (predicted == label))
        scores.append(2 * hits / (np.sum(labels == label) + np.sum(predicted == label)))
    return float(np.mean(scores))


@pytest.mark.slow
def test_metrics_added_to_a_finished_study_are_computed_and_train_nothing(ablate: Ablate, folder: Path) -> None:
    pytest.importorskip("torchmetrics")
    assert ablate(*RUN).returncode == 0
    before = contents(folder)
    declare(folder, f'metrics: [f1_macro, top5_accuracy, auroc_macro, "{CUSTOM}"]\n')
    for command in ("validate", "plan"):
        assert ablate(command, "tiny.yaml").returncode == 0
    assert not (folder / "imported").exists()
    result = ablate(*RUN)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "metrics computed for 6 runs: f1_macro, top5_accuracy, auroc_macro, my_metrics" in result.stdout
    assert "nothing left to train" in result.stdout
    assert before.items() <= contents(folder).items()
    for values, arrays in of_each_run(folder).values():
        labels, predicted, probabilities = (arrays[key] for key in ("label", "predicted", "probabilities"))
        assert probabilities.dtype == np.float16
        assert np.array_equal(probabilities.argmax(1), predicted)
        assert values["f1_macro"]["value"] == pytest.approx(f1(labels, predicted), abs=1e-6)
        top = np.argsort(-probabilities.astype(float), axis=1, kind="stable")[:, :5]
        assert values["top5_accuracy"]["value"] == pytest.approx(np.mean((top == labels[:, None]).any(1)), abs=1e-6)
        assert 0.3 < values["auroc_macro"]["value"] <= 1
        right = [np.mean(predicted[labels == label] == label) for label in np.unique(labels)]
        assert values[CUSTOM]["value"] == pytest.approx(np.mean(right))
        assert (values[CUSTOM]["direction"], values[CUSTOM]["unit"]) == ("higher", "share")
    (folder / "imported").unlink()
    assert "metrics computed" not in ablate(*RUN).stdout
    assert ablate("status").returncode == ablate("report").returncode == 0
    assert not (folder / "imported").exists()
    page = (folder / "reports" / "tiny" / "report.md").read_text(encoding="utf-8")
    assert "Further metrics" in page
    assert "balanced accuracy, %" in page.lower()
    with (folder / "reports" / "tiny" / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {float(row["f1_macro"]) for row in rows} == {v["f1_macro"]["value"] for v, _ in of_each_run(folder).values()}
    found = json.loads((folder / "reports" / "tiny" / "analysis.json").read_text())
    assert [own["metric"] for own in found["metrics"]] == ["f1_macro", "top5_accuracy", "auroc_macro", CUSTOM]


@pytest.mark.slow
def test_a_custom_metric_can_be_the_primary_one_and_is_computed_again_when_its_code_changes(
    ablate: Ablate, folder: Path
) -> None:
    declare(folder, f'analysis: {{metric: "{CUSTOM}", direction: higher}}\n')
    result = ablate(*RUN)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"the code of {CUSTOM} is named by this study" in result.stdout + result.stderr
    assert ablate("report").returncode == 0
    found = json.loads((folder / "reports" / "tiny" / "analysis.json").read_text())
    assert (found["metric"], found["direction"], found["unit"]) == (CUSTOM, "higher", "share")
    assert set(found["baseline_runs"]["values"].values()) <= {
        v[CUSTOM]["value"] for v, _ in of_each_run(folder).values()
    }
    (folder / "my_metrics.py").write_text(CODE.replace("return np.mean(", "return 0.5 * np.mean("), encoding="utf-8")
    again = ablate(*RUN)
    assert "metrics computed for 6 runs" in again.stdout, again.stdout + again.stderr
    assert all(values[CUSTOM]["value"] <= 0.5 for values, _ in of_each_run(folder).values())


@pytest.mark.slow
def test_runs_of_an_earlier_version_have_the_metrics_that_need_no_probabilities(ablate: Ablate, tmp_path: Path) -> None:
    pytest.importorskip("torchmetrics")
    for part in ("runs", "studies"):
        shutil.copytree(ROOT / "tests" / "upgrade" / part, tmp_path / "results" / part)
    text = (ROOT / "tests" / "upgrade" / "digits_before.yaml").read_text(encoding="utf-8")
    (tmp_path / "digits_before.yaml").write_text(f"{text}metrics: [f1_macro, top5_accuracy]\n", encoding="utf-8")
    result = ablate("run", "digits_before.yaml", "--device", "cpu")
    assert result.returncode == 0, result.stderr
    assert "nothing left to train" in result.stdout
    said = " ".join((result.stdout + result.stderr).split())
    assert "top5_accuracy needs the probability of each class, which 4 runs of an earlier version did not store" in said
    values = [json.loads(path.read_text())["values"] for path in (tmp_path / "results").glob("runs/*/metrics.json")]
    assert [list(own) for own in values] == [["f1_macro"]] * 4


RIGHT, WRONG = np.array([0, 1, 2, 3, 0, 1]), np.array([0, 1, 2, 3, 1, 1])


def stored(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez_compressed(folder / "predictions.npz", label=RIGHT, predicted=WRONG, **arrays)
    return folder


def custom(folder: Path, body: str, decorator: str = '@ablation.metric(direction="lower")') -> dict[str, Any]:
    from ablation.study.custom_code import find

    text = f"import ablation\n{decorator}\ndef own(labels, predicted, probabilities):\n    {body}\n"
    (folder / "mine.py").write_text(text, encoding="utf-8")
    return compute(stored(folder), 4, ("mine:own",), {"mine:own": find("mine:own", folder)})


def test_a_run_without_probabilities_has_only_the_metrics_that_need_none(tmp_path: Path) -> None:
    pytest.importorskip("torchmetrics")
    found = compute(stored(tmp_path), 4, ("f1_macro", "top5_accuracy", "auroc_macro"), {})
    assert list(found) == ["f1_macro"]
    assert found["f1_macro"].value == pytest.approx((2 / 3 + 4 / 5 + 1 + 1) / 4)
    assert custom(tmp_path, "return 3 if probabilities is None else 0")["mine:own"].value == 3


@pytest.mark.parametrize(
    ("body", "decorator", "message", "hint"),
    [
        (
            "raise KeyError('boom')",
            '@ablation.metric(direction="lower")',
            "fails at mine.py:4: KeyError",
            "fix it and run",
        ),
        ("return 'a'", '@ablation.metric(direction="lower")', "returned 'a'", "return one number"),
        ("return float('nan')", '@ablation.metric(direction="lower")', "returned nan", "return one number"),
        ("return 7", '@ablation.metric(direction="lower", unit="share")', "returned 7", 'unit="raw"'),
        ("return 1", "", "does not say which way is better", "@ablation.metric("),
        ("return 1", '@ablation.metric(direction="up")', "direction='higher' or 'lower'", "fix it and run"),
    ],
)
def test_what_is_no_metric_is_one_error(body: str, decorator: str, message: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        custom(tmp_path, body, decorator)
    assert message in caught.value.message
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("lines", "message", "hint"),
    [
        ("metrics: [f1_makro]\n", "f1_makro", "f1_macro"),
        ('metrics: ["my metrics:x"]\n', "a custom metric is named module:attribute", "my_metrics:balanced_accuracy"),
        (f'analysis: {{metric: "{CUSTOM}"}}\n', "is better is not known", "add direction: higher, or lower"),
    ],
)
def test_a_wrong_declaration_is_one_error_with_its_line(lines: str, message: str, hint: str, folder: Path) -> None:
    declare(folder, lines)
    with pytest.raises(FileError) as caught:
        load_study(folder / "tiny.yaml")
    (problem,) = caught.value.problems
    assert message in problem.message
    assert hint in str(problem.hint)
    assert problem.line == len(TINY.splitlines()) + 1


def test_a_missing_package_is_one_error_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    check_packages([CUSTOM])
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(UserError, match="f1_macro needs torchmetrics") as caught:
        check_packages([CUSTOM, "f1_macro"])
    assert caught.value.hint == "pip install 'ablation-lab[metrics]'"


def test_a_metric_is_no_part_of_what_is_trained(folder: Path) -> None:
    from ablation.execution.study import plan_study

    plain = [run.key for run in plan_study(load_study(folder / "tiny.yaml")).runs]
    declare(folder, "metrics: [f1_macro]\nanalysis: {metric: f1_macro}\n")
    study = load_study(folder / "tiny.yaml")
    assert study.metrics == ("f1_macro",)
    assert [run.key for run in plan_study(study).runs] == plain


def test_what_is_known_of_each_metric() -> None:
    accuracy, loss, top5 = METRICS["val_accuracy"], METRICS["val_loss"], METRICS["top5_accuracy"]
    assert (accuracy.direction, accuracy.unit, accuracy.ceiling, accuracy.label) == (
        "higher", "share", 1.0, "validation accuracy",
    )  # fmt: skip
    assert (loss.direction, loss.unit, loss.ceiling, loss.label) == ("lower", "raw", 0.0, "validation loss")
    chances = [own.chance(10) for own in (accuracy, loss, top5) if own.chance]
    assert chances == [0.1, pytest.approx(np.log(10)), 0.5]
    assert [own.possible(1.1) for own in (accuracy, loss)] == [False, True]
    assert [own.possible(-0.1) for own in (accuracy, loss)] == [False, False]
    assert [own.possible(float("nan")) for own in (accuracy, loss)] == [False, True]
    assert known(CUSTOM, "lower", "raw").label == "validation balanced accuracy"
    assert ablation.metric is not None
