"""A factorial from its study file to its report: parts with known effects, drawn by a function."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablation.cli.main import main
from tests.test_report import Page
from tests.test_report import section as section_of

STUDY = """\
study: parts
task: {function: "train:main"}
metrics: {score: {direction: higher}}
baseline: {a: false, b: false, c: false}
seeds: 6
components:
  a: {on: {a: true}}
  b: {on: {b: true}}
  c: {on: {c: true}}
design: factorial
"""
TRAIN = """\
def main(options, run):
    a, b, c = (bool(options[name]) for name in "abc")
    own = run.generator(f"{a} {b} {c}").normal()
    return {"score": 50 + 5 * run.generator("shared").normal() + 2 * a + b + 3 * a * b + 0.5 * own}
"""
"""What a and b do alone is 2 and 1, together 6; c does nothing. Seeds differ by 5, and runs of one seed by 0.5."""


def stream(seed: int, name: str) -> float:
    """The first normal number of a stream of a run."""
    digest = hashlib.sha256(f"{seed}\x1f{name}".encode()).digest()
    return float(np.random.default_rng(int.from_bytes(digest[:8], "big")).normal())


def drawn(seeds: int = 6) -> np.ndarray:
    """The scores by the states of a, b and c, shape (2, 2, 2, seeds)."""
    y = np.zeros((2, 2, 2, seeds))
    for a, b, c, seed in np.ndindex(*y.shape):
        own = stream(seed, f"{bool(a)} {bool(b)} {bool(c)}")
        y[a, b, c, seed] = 50 + 5 * stream(seed, "shared") + 2 * a + b + 3 * a * b + 0.5 * own
    return y


def run(folder: Path, study: str = STUDY, train: str = TRAIN, *more: str) -> tuple[Any, Path]:
    """Train a study and write its report; the analysis and the folder of the report."""
    (folder / "parts.yaml").write_text(study, encoding="utf-8")
    (folder / "train.py").write_text(train, encoding="utf-8")
    assert main(["run", "parts.yaml", "--workers", "0"]) == 0
    assert main(["report", "parts", *more]) == 0
    report = folder / "reports" / "parts"
    return json.loads((report / "analysis.json").read_text("utf-8")), report


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("planted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run(folder)


def test_the_effects_of_the_draws_are_recovered(planted: tuple[Any, Path]) -> None:
    y, found = drawn(), planted[0]["factorial"]
    effects = {"".join(own["components"]): own for own in found["effects"]}
    mean = y.mean(axis=3)
    assert effects["a"]["estimate"] == pytest.approx((mean[1] - mean[0]).mean())
    assert effects["c"]["estimate"] == pytest.approx((mean[:, :, 1] - mean[:, :, 0]).mean())
    both = (mean[1, 1] - mean[1, 0] - mean[0, 1] + mean[0, 0]).mean()
    assert effects["ab"]["estimate"] == pytest.approx(both)
    truth = {"a": 3.5, "b": 2.5, "c": 0, "ab": 3, "ac": 0, "bc": 0, "abc": 0}
    for name, value in truth.items():
        assert effects[name]["low"] <= value <= effects[name]["high"], name
        assert effects[name]["detected"] is bool(value), name
    assert found["seeds"] == [0, 1, 2, 3, 4, 5]


def test_the_shares_of_the_draws_are_recovered_and_add_up(planted: tuple[Any, Path]) -> None:
    found = planted[0]["factorial"]
    values = {own["component"]: own for own in found["values"]}
    assert sum(own["estimate"] for own in values.values()) == pytest.approx(found["total"]["estimate"])
    assert sum(own["share"]["estimate"] for own in values.values()) == pytest.approx(1)
    for name, value in {"a": 3.5, "b": 2.5, "c": 0.0}.items():
        assert values[name]["low"] <= value <= values[name]["high"]
        assert values[name]["share"]["low"] <= value / 6 <= values[name]["share"]["high"]
    assert found["total"]["low"] <= 6 <= found["total"]["high"]


def test_the_page_says_which_parts_reinforce_each_other(planted: tuple[Any, Path]) -> None:
    own = section_of(Page(planted[1] / "report.html").root, "components")
    text = own.words
    assert "a and b reinforce each other: a changes score by " in text
    assert "No interaction of a \u00d7 c, b \u00d7 c is shown: at most " in text
    assert "that does not show that they add up" in text
    assert "No main effect of c is shown" in text
    assert "No interaction of three or more components is shown" in text
    assert "the Shapley shares are a " in text
    assert "additive" not in text
    components, interactions = own.all("table")
    assert [row.all("th")[0].words for row in components.all("tbody")[0].all("tr")] == ["a", "b", "c"]
    rows = {row.all("th")[0].words: row.words for row in interactions.all("tbody")[0].all("tr")}
    assert list(rows) == ["a \u00d7 b", "a \u00d7 c", "b \u00d7 c"]
    assert "reinforce each other" in rows["a \u00d7 b"]
    assert "none shown" in rows["a \u00d7 c"]
    assert len(own.all("svg")) == 2
    methods = section_of(Page(planted[1] / "report.html").root, "methods").words
    assert "7 orthogonal contrasts" in methods
    assert "another family of 7" in methods


def test_markdown_has_the_tables_and_the_pictures(planted: tuple[Any, Path]) -> None:
    text = (planted[1] / "report.md").read_text("utf-8")
    part = text.partition("## Components")[2].partition("\n## ")[0]
    assert "| Component | Main effect |" in part
    assert "figures/components-1.png" in part
    assert (planted[1] / "figures" / "components-2.png").stat().st_size > 1000


def test_the_paper_and_latex_say_the_same(here: Path) -> None:
    _, report = run(here, STUDY, TRAIN, "--style", "paper", "--format", "md,tex,docx")
    assert "a and b reinforce each other" in (report / "report.md").read_text("utf-8")
    tex = (report / "paper" / "main.tex").read_text("utf-8")
    assert "a and b reinforce each other" in tex
    assert "sidak1967" in (report / "paper" / "references.bib").read_text("utf-8")


def test_the_components_have_their_place_in_a_lab_report(here: Path) -> None:
    _, report = run(here, STUDY, TRAIN, "--style", "lab", "--format", "md,docx")
    text = (report / "report.md").read_text("utf-8")
    assert text.index("Results\n") < text.index("Components\n")
    assert (report / "report.docx").exists()


def test_parts_that_get_in_each_others_way_interfere(here: Path) -> None:
    train = TRAIN.replace("3 * a * b", "-3 * a * b")
    found, report = run(here, STUDY, train)
    text = (report / "report.md").read_text("utf-8")
    assert "a and b interfere with each other" in text
    effects = {"".join(own["components"]): own for own in found["factorial"]["effects"]}
    assert effects["ab"]["high"] < 0


def test_of_a_loss_it_is_the_fall_that_parts_reinforce(here: Path) -> None:
    study = STUDY.replace("direction: higher", "direction: lower")
    _, report = run(here, study, TRAIN.replace("3 * a * b", "-3 * a * b"))
    assert "a and b reinforce each other" in (report / "report.md").read_text("utf-8")


def test_three_parts_that_work_only_together_are_seen(here: Path) -> None:
    train = TRAIN.replace("2 * a + b + 3 * a * b", "6 * (a and b and c)")
    found, report = run(here, STUDY, train)
    text = (report / "report.md").read_text("utf-8")
    assert "a \u00d7 b \u00d7 c interact: how two of them interact depends on the others" in text
    for own in found["factorial"]["values"]:
        assert own["share"]["low"] <= 1 / 3 <= own["share"]["high"]


def test_a_combination_that_diverged_leaves_the_components_untested(here: Path) -> None:
    lost = "    if a and b and c and run.seed == 1:\n        return {'score': float('nan')}\n    own ="
    train = TRAIN.replace("    own =", lost)
    found, report = run(here, STUDY, train)
    assert found["factorial"]["reason"] == "unstable: everything"
    assert found["factorial"]["effects"] == []
    text = (report / "report.md").read_text("utf-8")
    assert "The effects of the components are not tested: unstable: everything." in text


def test_components_that_need_one_another_have_no_factorial_effects(here: Path) -> None:
    found, report = run(here, STUDY.replace("b: {on: {b: true}}", "b: {on: {b: true}, needs: a}"))
    assert found["factorial"]["reason"].startswith("only 6 of the 8 combinations are possible")
    assert "not tested: only 6 of the 8 combinations are possible" in (report / "report.md").read_text("utf-8")


def test_two_seeds_are_tentative(here: Path) -> None:
    found, report = run(here, STUDY.replace("seeds: 6", "seeds: 2"))
    assert found["factorial"]["effects"]
    assert "Two seeds: what follows is tentative." in (report / "report.md").read_text("utf-8")


def test_parts_without_any_effect_have_no_shares(here: Path) -> None:
    found, report = run(here, STUDY, TRAIN.replace("2 * a + b + 3 * a * b", "0"))
    assert all(own["share"] is None for own in found["factorial"]["values"])
    text = (report / "report.md").read_text("utf-8")
    assert "not clearly different from 0: its components have no shares" in text
    assert "No main effect of a, b, c is shown" in text


def test_another_design_has_no_such_section(here: Path) -> None:
    found, report = run(here, STUDY.replace("design: factorial", "design: add_one_in"))
    assert found["factorial"] is None
    assert "## Components" not in (report / "report.md").read_text("utf-8")
