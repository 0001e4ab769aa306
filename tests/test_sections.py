"""Sections of the report that a user adds: one function from the analysis to blocks."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablation.analysis import Analysis
from ablation.errors import UserError
from ablation.report import Section, blocks, section, write_report
from ablation.report.latex import render_table
from tests.stored import write_study
from tests.test_report import HOSTILE, Page, sections
from tests.test_report import section as section_of

COLUMNS = (blocks.Column("Variant"), blocks.Column("Best seed", number=True))


def table(analysis: Analysis) -> blocks.Table:
    best = ((effect.variant, max(run.accuracy or 0.0 for run in effect.runs)) for effect in analysis.effects)
    rows = (blocks.Row((blocks.Cell(blocks.name(name)), blocks.Cell(f"{100 * top:.1f}"))) for name, top in best)
    return blocks.Table("Best seeds", COLUMNS, tuple(rows), "50 % of a_b.")


@section(title="Best seeds", order=25)
def best_seeds(analysis: Analysis) -> Iterator[blocks.Block]:
    yield blocks.Paragraph(("See ", blocks.code("runs.csv"), ": ", HOSTILE))
    yield table(analysis)


def write(folder: Path, *more: Section) -> tuple[Page, str]:
    stored = write_study(folder / "results", seeds=[0, 1])
    written = write_report(stored.store, stored.manifest, folder / "report", more)
    return Page(written.html), written.markdown.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_function_from_the_analysis_to_blocks_is_a_section_at_its_place(tmp_path: Path) -> None:
    page, markdown = write(tmp_path, best_seeds)
    names = sections(page.root)
    assert names[names.index("effects") + 1] == "best-seeds"
    own = section_of(page.root, "best-seeds")
    assert [cell.words for cell in own.all("th", scope="col")] == ["Variant", "Best seed"]
    assert not own.all("script")
    assert own.all("code")[0].text == "runs.csv"
    assert "## Best seeds\n\nSee `runs.csv`: &lt;script>" in markdown
    assert "| Variant | Best seed |\n|:--|--:|\n| **baseline** | " in markdown


@pytest.mark.slow
def test_a_section_without_blocks_is_left_out(tmp_path: Path) -> None:
    page, markdown = write(tmp_path, section(title="Nothing here")(lambda _: []))
    assert "Nothing here" not in page.root.text + markdown


def test_two_sections_of_one_name_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two sections of the report are named 'effects'"):
        write(tmp_path, section(title="Mine", name="effects")(lambda _: []))
    assert not (tmp_path / "report" / "report.html").exists()


@pytest.mark.slow
def test_an_installed_plug_in_adds_its_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "site" / "plugin-1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Name: plugin\nVersion: 1\n", encoding="utf-8")
    (folder / "entry_points.txt").write_text(f"[ablation]\nbest = {__name__}:best_seeds\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    page, _ = write(tmp_path)
    assert "best-seeds" in sections(page.root)


def test_a_table_of_a_section_is_a_table_in_latex_too(tmp_path: Path) -> None:
    row = blocks.Row((blocks.Cell(blocks.name("[a]_b")), blocks.Cell("98 %", (blocks.Note("small print"),))))
    text = render_table(blocks.Table("Best", COLUMNS, (row,), "50 % of a_b."))
    assert r"\caption{50 \% of a\_b.}" in text
    assert r"\begin{tabular}{lr}" in text
    assert "{[}a]\\_b & 98 \\% \\\\" in text
