"""Every example runs with `--smoke` by the command of its README, and writes its report."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from pathlib import Path

import pytest

from ablation.library import load_study

from .conftest import ROOT, Ablate

EXAMPLES = {
    "sklearn_diabetes": ("sklearn",),
    "lightgbm_categories": ("lightgbm", "sklearn"),
    "lstm_text": (),
    "lightning_forecast": ("pytorch_lightning",),
    "transformers_trainer": ("transformers", "accelerate"),
    "image_regression": ("sklearn",),
    "segmentation": (),
    "jax_coordinates": ("jax", "sklearn"),
}
"""Each folder, and the libraries that it needs besides PyTorch."""
SHORT = {"lstm_text", "lightning_forecast", "transformers_trainer", "jax_coordinates"}
"""Those that start slowly: of them the test trains the baseline and the first variant only."""


def need(name: str) -> None:
    for library in EXAMPLES[name]:
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed: pip install 'ablation-lab[examples]'")


def smoke(name: str, folder: Path, ablate: Ablate) -> str:
    """Runs an example with `--smoke`, and gives the text of its report."""
    need(name)
    shutil.copytree(
        ROOT / "examples" / name, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("results", "reports")
    )
    with contextlib.chdir(folder):
        study = load_study("study.yaml", smoke=True)
    chosen = [word for variant in study.variants[:2] for word in ("--only", variant.name)] if name in SHORT else []
    result = ablate("run", "study.yaml", "--smoke", *chosen, timeout=400)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "diverged" not in result.stdout
    report = ablate("report")
    assert report.returncode == 0, report.stdout + report.stderr
    return (folder / "reports" / f"{study.name}" / "report.md").read_text(encoding="utf-8")


def test_every_example_has_a_test_and_a_readme() -> None:
    folders = {path.parent.name for path in (ROOT / "examples").glob("*/study.yaml")}
    assert folders == set(EXAMPLES)
    for name in folders:
        text = (ROOT / "examples" / name / "README.md").read_text(encoding="utf-8")
        assert "ablate run study.yaml" in text
        assert "ablate report" in text


@pytest.mark.slow
def test_a_study_of_a_scikit_learn_function_is_reported_in_its_own_words(tmp_path: Path, ablate: Ablate) -> None:
    report = smoke("sklearn_diabetes", tmp_path, ablate)
    assert "Validation MAE" in report
    assert "| Variant | Seed | State | Validation MAE | Folder |" in report
    assert "Validation R²" in report
    assert "smoke options of the task" in report
    for word in ("ccuracy", "epoch", "image", "weights"):
        assert word not in report, word


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "sklearn_diabetes"])
def test_an_example_runs_and_writes_its_report(name: str, tmp_path: Path, ablate: Ablate) -> None:
    report = smoke(name, tmp_path, ablate)
    assert "## Results" in report
    assert "validation images" not in report
    if name == "lightgbm_categories":  # which logs its rows by boosting round
        assert "over the steps" in report
        assert "over the epochs" not in report
