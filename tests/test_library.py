"""`import ablation`: the library behind the command, in a script and in a notebook."""

from __future__ import annotations

import doctest
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

import ablation
from ablation import library
from ablation.planning.run import Run
from ablation.worker.protocol import Event, Preparing

from .conftest import ROOT, TINY

STUDY = TINY.replace("epochs: 3", "epochs: 1").replace("  model.norm: [none]\n", "")
HEAVY = ("torch", "pandas", "scipy", "matplotlib", "numpy", "PIL", "pydantic", "rich", "typing", "importlib.metadata")


class Quiet:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.lines: list[str] = []

    def say(self, text: str, tone: str = "plain", label: str = "") -> None:
        self.lines.append(label + text)

    def preparing(self, event: Preparing) -> None:
        pass

    def training(self, study: str, runs: Sequence[Run], finished: int, workers: int) -> AbstractContextManager[None]:
        return nullcontext()

    def event(self, event: Event) -> None:
        self.events.append(event)

    def stopping(self) -> None:
        pass


def test_the_examples_of_the_library_are_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(STUDY, encoding="utf-8")
    names = {"Quiet": Quiet, "Path": Path} | {name: getattr(ablation, name) for name in ablation.__all__}
    found = {
        test.name.rpartition(".")[2]: test for test in doctest.DocTestFinder().find(library, "library", globs=names)
    }
    order = ["load_study", "run_study", "load_results", "read_results", "analyze", "judge_study"]
    order += ["write_report", "evaluate_test_set"]
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for name in order:
        assert found[name].examples
        runner.run(found[name])
    assert runner.summarize(verbose=False).failed == 0


def test_importing_the_package_loads_nothing_and_every_name_is_there() -> None:
    script = f"import sys, ablation; print(*[name for name in {HEAVY} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-S", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []
    assert set(ablation.__all__) <= set(dir(ablation))
    assert all(getattr(ablation, name) for name in ablation.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ablation.nothing  # noqa: B018


SCRIPT = """
import ablation
results = ablation.run_study("tiny.yaml", device="cpu")
print(results.complete)
"""


@pytest.mark.slow
def test_a_script_needs_no_main_guard_and_sees_a_line_for_each_run(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(STUDY.replace("[0, 1]", "[0]"), encoding="utf-8")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, "script.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, env=_with_package())
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "tiny: 2 variants x 1 seed, 0 of 2 runs finished"
    assert {line[:3] for line in lines[1:3]} == {"1/2", "2/2"}
    assert lines[3:] == ["True"]


def _with_package() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_an_analysis_shows_verdicts_and_its_margin_can_be_changed(trained: Path) -> None:
    results = ablation.load_results("tiny", trained / "results")
    shown = repr(ablation.analyze(results, margin=0.05))
    assert "equivalence margin 5 points" in shown
    assert "norm=none" in shown
    assert "equivalence" not in repr(ablation.analyze(results))
    assert repr(ablation.analyze(results, metric="val_loss")).startswith("validation loss\n")
    assert results._repr_markdown_().count("\n| ") == 5
    html = results._repr_html_()
    assert "<td>norm=none</td>" in html
    assert "data:image/png;base64," in html


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": 0.0}, "margin is 0.0; it must be above 0"),
        ({"metric": "val_acuracy"}, "did you mean 'val_accuracy'"),
    ],
)
def test_what_cannot_be_analysed_is_one_error(options: dict[str, object], message: str, trained: Path) -> None:
    with pytest.raises(ablation.UserError, match=message):
        ablation.analyze(ablation.load_results("tiny", trained / "results"), **options)  # type: ignore[arg-type]


def test_a_study_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ablation.UserError, match="no study has been run"):
        ablation.load_results("tiny", tmp_path / "results")


@pytest.mark.slow
def test_the_notebook_shows_the_table_and_analyses_a_changed_margin(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "docs" / "library.ipynb", as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(trained)}})
    client.execute()
    first, runs, analysed = (cell.outputs[-1].data["text/html"] for cell in notebook.cells if cell.cell_type == "code")
    assert "<td>norm=none</td>" in first
    assert "data:image/png;base64," in first
    assert "val_accuracy" in runs
    assert "equivalence margin 5 points" in analysed
