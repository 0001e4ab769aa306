"""The forms of a report: one page as HTML, Markdown, LaTeX, PDF and Word, with the same numbers in all of them."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ablation.errors import UserError
from ablation.report import Form, Report, write_report
from ablation.report.latex_blocks import breakable, tex
from ablation.report.pdf import load_weasyprint
from ablation.study.report_options import ReportOptions
from tests.stored import ARMS, StoredVariant, write_study
from tests.test_report import HOSTILE, Page, every_file, variants

docx = pytest.importorskip("docx")
try:
    load_weasyprint()
except (ImportError, UserError) as missing:  # the libraries that it draws with are packages of the system
    pytest.skip(str(missing), allow_module_level=True)

ALL = ("html", "md", "svg", "tex", "pdf", "docx")
PDFLATEX = shutil.which("pdflatex")
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
TEXT = """\
# A *heading*

Some **bold** `code` and $x_i^2$, <b>no tag</b>, 50 % & \\input{secret} $\\input{secret}$:

1. one
2. two
   - nested

| a | b |
|---|---|
| 1 | 2 |

```
if x:
    \\end{verbatim}
```

$$\\frac{a}{b}$$
"""


def write(root: Path, style: Any = "page", *args: Any, formats: tuple[str, ...] = ALL, **more: Any) -> Report:
    stored = write_study(root / "results", *args, **more)
    (root / "report").mkdir(exist_ok=True)
    for name in ("interpretation", "discussion"):
        (root / "report" / f"{name}.md").write_text(TEXT, encoding="utf-8")
    options = ReportOptions(style=style, author=("Ada", "Ben & Co"), course="Lab_3", date="May 2026")
    return write_report(stored.store, stored.manifest, root / "report", form=Form(options, formats))


@pytest.fixture(
    scope="module",
    params=[pytest.param("page", marks=pytest.mark.slow), pytest.param("lab", marks=pytest.mark.slow), "paper"],
)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return write(tmp_path_factory.mktemp(request.param), request.param)


def numbers(cells: list[str]) -> list[float]:
    return [float(own) for cell in cells for own in NUMBER.findall(cell.replace("\u2212", "-"))]


def of_html(report: Report) -> dict[str, list[float]]:
    """Variant -> every number in its row of the table of results, but those of the name and of notes."""
    rows = variants(Page(report.html).root)
    return {
        name: numbers([cells[place] for place in (0, *range(len(cells) - 3, len(cells)))])
        for name, cells in rows.items()
    }


def of_markdown(report: Report) -> dict[str, list[float]]:
    text = report.markdown.read_text(encoding="utf-8")
    (table,) = [
        own for own in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE) if own.startswith("| Variant | Change |")
    ]
    rows = [line.strip("|").split(" | ") for line in table.splitlines()[2:]]
    return {re.sub(r"\*\*(.*?)\*\*.*", r"\1", row[0]).strip(): numbers(row[2:]) for row in rows}


def of_latex(report: Report) -> dict[str, list[float]]:
    text = (report.html.parent / "paper" / "table.tex").read_text(encoding="utf-8")
    rows = [line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if line.startswith("{}")]
    plain = [
        [re.sub(r"\\allowbreak\{\}|\{\}|\$", "", cell).replace("+-", "").replace(r",\ ", ", ") for cell in row]
        for row in rows
    ]
    return {row[0]: numbers(row[1:]) for row in plain}


def of_word(report: Report) -> dict[str, list[float]]:
    document = docx.Document(report.html.parent / "report.docx")
    (table,) = [own for own in document.tables if own.cell(0, 0).text == "Variant" and own.cell(0, 1).text == "Change"]
    rows = [[cell.text for cell in row.cells] for row in list(table.rows)[1:]]
    return {row[0].partition("\n")[0]: numbers(row[2:]) for row in rows}


def test_every_form_has_the_same_numbers_in_its_table_of_results(written: Report) -> None:
    expected = of_html(written)
    assert len(expected) == 1 + len(ARMS)
    assert all(len(own) >= 3 for own in expected.values())
    assert of_markdown(written) == expected
    assert of_latex(written) == expected
    assert of_word(written) == expected
    shown = numbers([pdf_text(written.html.parent / "report.pdf")])
    assert all(shown.count(number) for own in expected.values() for number in own)


def pdf_text(path: Path) -> str:
    return poppler("pdftotext", "-layout", str(path), "-")


def poppler(command: str, *arguments: str) -> str:
    if shutil.which(command) is None:
        pytest.skip("there is no poppler here")
    return subprocess.run([command, *arguments], capture_output=True, text=True, check=True).stdout


def test_a_pdf_is_tagged_has_page_numbers_and_texts_for_its_pictures(written: Report) -> None:
    file = str(written.html.parent / "report.pdf")
    facts = dict(re.findall(r"^([^:]+): +(.*)$", poppler("pdfinfo", file), re.MULTILINE))
    assert facts["Tagged"] == "yes"
    assert facts["Title"] == "What does dropout do?"
    assert facts["Author"] == "Ada, Ben & Co"
    assert f"1/{facts['Pages']}" in pdf_text(Path(file)).replace(" ", "")
    tags = poppler("pdfinfo", "-struct", file)
    assert {"H1", "H2", "P", "Table", "TR", "TH", "Figure"} <= set(re.findall(r"^\s*(\w+)", tags, re.MULTILINE))


def test_nothing_on_a_page_of_a_pdf_is_beyond_its_margins(tmp_path: Path) -> None:
    names = ["name_without_a_place_to_break_it_" + 3 * "0123456789abcdefghijklmnopqrstuvwxyz", "two words " * 15]
    arms = [StoredVariant(name.strip(), {"model.dropout": 0.1 * i}) for i, name in enumerate(names)]
    report = write(tmp_path, "page", arms, formats=("pdf",))
    layout = poppler("pdftotext", "-bbox", str(report.html.parent / "report.pdf"), "-")
    pages = re.split(r"<page ", layout)[1:]
    widths = [float(re.findall(r'width="([\d.]+)"', page)[0]) for page in pages]
    rights = [max(map(float, re.findall(r'xMax="([\d.]+)"', page)), default=0.0) for page in pages]
    assert len(pages) > 2
    assert all(right <= width - 50 for right, width in zip(rights, widths, strict=True))


def test_a_word_document_has_real_headings_and_texts_for_its_pictures(written: Report) -> None:
    document = docx.Document(written.html.parent / "report.docx")
    assert document.paragraphs[0].style.name == "Title"
    headings = [own.text for own in document.paragraphs if own.style.name == "Heading 1"]
    assert headings == [own.words for own in Page(written.html).root.all("h2")]
    pictures = document.element.findall(".//{*}docPr")
    assert pictures
    assert all(own.get("descr") for own in pictures)
    assert all(table.rows[0]._tr.findall(".//{*}tblHeader") for table in document.tables)
    assert "PAGE" in document.sections[0].footer._element.xml


@pytest.mark.skipif(PDFLATEX is None, reason="there is no TeX here")
@pytest.mark.slow
def test_the_paper_compiles_alone_and_nothing_in_it_is_undefined(written: Report, tmp_path: Path) -> None:
    log = compile_(written.html.parent / "paper", tmp_path)
    assert not re.findall(r"^!.*|.*undefined.*", log, re.MULTILINE)


@pytest.mark.skipif(PDFLATEX is None, reason="there is no TeX here")
@pytest.mark.slow
def test_a_paper_with_hostile_names_compiles_and_reads_no_other_file(tmp_path: Path) -> None:
    names = [
        HOSTILE.replace("\n", " "),
        "中文 名字 🤖",
        "\\input{/etc/passwd}",
        "a" * 150,
        "^^5cinput",
        "e\u0301 ß ŁØ −1 ± → Ω",
    ]
    made = [StoredVariant(name, {"model.dropout": 0.3 + n / 10}, 0.9) for n, name in enumerate(names)]
    report = write(tmp_path, "paper", made, seeds=[0, 1], formats=("tex",), question="\\end{document} % $")
    log = compile_(report.html.parent / "paper", tmp_path)
    assert not re.findall(r"^!.*", log, re.MULTILINE)
    assert "/etc/passwd" not in log


def compile_(folder: Path, tmp_path: Path) -> str:
    assert PDFLATEX
    shutil.copytree(folder, tmp_path / "paper", dirs_exist_ok=True)
    latex = [PDFLATEX, "-no-shell-escape", "-interaction=nonstopmode", "main"]
    for command in (latex, ["bibtex", "main"], latex, latex):
        done = subprocess.run(command, cwd=tmp_path / "paper", capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-3000:]
    return (tmp_path / "paper" / "main.log").read_text(encoding="latin-1")


LONG = [
    "a_name_that_a_script_wrote_without_a_blank_in_it_2026_11_29",
    *(f"optimizer={i}, schedule=cosine, width {i}" for i in range(33)),
]


@pytest.mark.skipif(PDFLATEX is None, reason="there is no TeX here")
@pytest.mark.parametrize("style", ["page", "paper"])
@pytest.mark.slow
def test_many_variants_with_long_names_stay_on_the_pages_of_a_paper(tmp_path: Path, style: str) -> None:
    made = [StoredVariant(name, {"model.dropout": n / 100}, 0.9) for n, name in enumerate(LONG)]
    report = write(tmp_path, style, made, seeds=[0, 1, 2], formats=("tex",))
    log = compile_(report.html.parent / "paper", tmp_path)
    assert not re.findall(r"Overfull \\vbox|Float too large", log)
    points_into_the_margin = [float(own) for own in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert max(points_into_the_margin, default=0.0) < 30  # it has 71
    shown = "".join(poppler("pdftotext", str(tmp_path / "paper" / "main.pdf"), "-").split())
    assert all(name.replace(" ", "") in shown for name in LONG)


def test_the_table_for_a_paper_lines_its_numbers_up_and_fits_its_column(written: Report) -> None:
    text = (written.html.parent / "paper" / "table.tex").read_text(encoding="utf-8")
    assert re.search(r"S\[table-format=2\.1\] S\[table-format=1\.1\] S\[table-format=[-+]\d\.1\]", text)
    assert r"\begin{adjustbox}{max width=\linewidth,max totalheight=.85\textheight}" in text
    assert r"\label{table-variants}" in text


def test_figures_are_written_as_lines_too(written: Report) -> None:
    folder = written.html.parent
    pictures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert pictures == {path.stem for path in (folder / "figures").glob("*.svg")}
    assert pictures == {path.stem for path in (folder / "paper" / "figures").glob("*.pdf")}
    assert all(b"<text" in path.read_bytes() for path in (folder / "figures").glob("*.svg")), "text stays text"


def test_the_authors_text_is_in_every_form_and_runs_nothing(tmp_path: Path) -> None:
    report = write(tmp_path, "paper", seeds=[0, 1], formats=("tex", "docx"))
    main = (tmp_path / "report" / "paper" / "main.tex").read_text(encoding="utf-8")
    assert r"\textbf{bold} \texttt{code} and $x_i^2$" in main
    assert r"\[ \frac{a}{b} \]" in main
    assert r"\input{secret}" not in main
    assert r"\end{verbatim}" not in main
    document = docx.Document(tmp_path / "report" / "report.docx")
    texts = [own.text for own in document.paragraphs]
    assert "A heading" in texts
    assert any(run.text == "bold" and run.bold for own in document.paragraphs for run in own.runs)
    assert report.documents == (tmp_path / "report" / "paper" / "main.tex", tmp_path / "report" / "report.docx")


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes_in_every_form(tmp_path: Path) -> None:
    stored = write_study(tmp_path / "results", ARMS[:2], [0, 1])
    for name in ("one", "two"):
        write_report(stored.store, stored.manifest, tmp_path / name, form=Form(ReportOptions(style="paper"), ALL))
    assert every_file(tmp_path / "one") == every_file(tmp_path / "two")


def test_names_that_xml_cannot_hold_are_shown_with_a_mark(tmp_path: Path) -> None:
    report = write(tmp_path, "paper", [StoredVariant("a\x07b\ufffe", {"model.dropout": 0.5})], [0], formats=("docx",))
    with zipfile.ZipFile(io.BytesIO((report.html.parent / "report.docx").read_bytes())) as file:
        assert "a\ufffdb\ufffd" in file.read("word/document.xml").decode()


def test_a_format_that_is_not_there_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="there is no format 'odt'") as error:
        write(tmp_path / "a", formats=("html", "odt"), seeds=[0])
    assert "html, md, svg, tex, pdf, docx" in str(error.value.hint)
    monkeypatch.setattr("ablation.report.form.find_spec", lambda name: None)
    for name, package, extra in (("pdf", "WeasyPrint", "pdf"), ("docx", "python-docx", "word")):
        with pytest.raises(UserError, match=f"{name} needs {package}, which is not installed") as error:
            write(tmp_path / name, formats=("html", name), seeds=[0])
        assert error.value.hint == f'pip install "ablation-lab[{extra}]"'
        assert not (tmp_path / name / "report" / "report.html").exists()


def test_only_the_formats_that_are_asked_for_are_written(tmp_path: Path) -> None:
    report = write(tmp_path, "paper", formats=("docx",), seeds=[0])
    assert report.documents == (tmp_path / "report" / "report.docx",)
    assert not report.html.exists()
    assert not (tmp_path / "report" / "paper").exists()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "50 % & $x_1$ {a} #1 ~^ \\b",
            r"50 \% \& \$x\_1\$ \{a\} \#1 \textasciitilde{}\textasciicircum{} \textbackslash{}b",
        ),
        ("γ² – é", r"$\gamma$\textsuperscript{2} -- é"),
        ("中", r"\unicodecharacter{4E2D}{中}"),
    ],
)
def test_any_text_is_shown_by_latex_as_it_is(text: str, shown: str) -> None:
    assert tex(text) == shown
    assert re.sub(r"\\allowbreak\{\}", "", breakable(text)) == shown
