"""The forms of a report in Chinese: the words that each adds, and what it needs to show Chinese letters."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import ablation.report.pdf as pdf
from ablation._util.language import load, use_language
from ablation.cli.main import main
from ablation.errors import UserError
from ablation.report import Form, Report, write_report
from ablation.report.blocks import Span
from ablation.report.latex_blocks import breakable, inline, tex
from ablation.study.report_options import ReportOptions
from tests.conftest import ROOT
from tests.stored import ARMS, write_study
from tests.test_own_form import template
from tests.test_report import Page

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
XELATEX = shutil.which("xelatex")


def write(root: Path, style: Any = "page", language: Any = "zh", formats: tuple[str, ...] = ("html", "md")) -> Report:
    stored = write_study(root / "results", ARMS[:2], [0, 1])
    options = ReportOptions(style=style, language=language)
    return write_report(stored.store, stored.manifest, root / "report", form=Form(options, formats, root / "templates"))


@pytest.mark.slow
def test_the_page_says_its_language_and_tells_its_script_what_to_say(tmp_path: Path) -> None:
    said = {"en": ("Filter variants", "Copy {form}", "Copied"), "zh": ("筛选变体", "复制 {form}", "已复制")}
    for language, tag in (("en", "en"), ("zh", "zh-CN")):
        root = Page(write(tmp_path / language, language=language).html).root
        (body,) = root.all("body")
        assert root.all("html")[0].attributes["lang"] == tag
        assert tuple(body.attributes[f"data-{name}"] for name in ("filter", "copy", "copied")) == said[language]
        assert ("PingFang SC" in root.all("style")[0].text) == (language == "zh")


def test_the_script_reads_what_the_page_tells_it() -> None:
    script = (ROOT / "templates" / "report.js").read_text(encoding="utf-8")
    assert set(re.findall(r"said\.(\w+)", script)) == {"filter", "copy", "copied", "log"}
    for name in ("filter", "copy", "copied", "log"):
        assert len(re.findall(rf'\b{name}: "\w', script)) == 1, "for a page of the user's own that tells it nothing"


def test_tables_and_figures_have_chinese_numbers_in_every_form(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    report = write(tmp_path, formats=("html", "md", "docx"))
    root = Page(report.html).root
    numbers = [
        e.all("b")[0].text for e in root.walk() if e.tag == "figcaption" or e.attributes.get("class") == "caption"
    ]
    assert {"表 1", "图 1"} <= set(numbers)
    document = docx.Document(report.documents[-1])
    captions = [own.runs[0].text.strip() for own in document.paragraphs if own.style.name == "Caption"]
    assert {"表 1", "图 1"} <= set(captions)
    text = report.markdown.read_text(encoding="utf-8")
    assert set(re.findall(r"^\*\*([图表] \d+)\*\* ", text, re.MULTILINE)) == set(captions)


def test_weasyprint_finds_every_font_of_a_figure() -> None:
    """It splits their names at commas, and keeps the space after one."""
    svg = b"<text style=\"font-size: 10px; font-family: 'DejaVu Sans', 'Noto Sans CJK SC'; fill: red\">a, b</text>"
    inside = base64.b64decode(pdf._uri(svg).partition(",")[2])
    assert inside == svg.replace(b"Sans', 'Noto", b"Sans','Noto")


def test_a_word_document_names_chinese_fonts_and_slants_no_chinese_letter(tmp_path: Path) -> None:
    pytest.importorskip("docx")
    file = write(tmp_path, formats=("docx",)).documents[0]
    with zipfile.ZipFile(file) as archive:
        styles = ElementTree.fromstring(archive.read("word/styles.xml"))
        assert b"zh-CN" in archive.read("docProps/core.xml")
    fonts = {
        style.attrib[f"{W}styleId"]: {own.get(f"{W}eastAsia") for own in style.iter(f"{W}rFonts")}
        for style in styles.iter(f"{W}style")
    }
    assert fonts["Normal"] == {"SimSun"}
    assert fonts["Heading1"] == fonts["Title"] == {"SimHei"}
    assert not [own for own in styles.iter(f"{W}rFonts") if f"{W}eastAsiaTheme" in own.attrib]
    assert {own.get(f"{W}eastAsia") for own in styles.iter(f"{W}lang")} == {"zh-CN"}
    assert not list(styles.iter(f"{W}i"))


@pytest.mark.slow
def test_latex_has_chinese_text_as_it_is_and_loads_its_fonts(tmp_path: Path) -> None:
    text = "“过拟合”——见图 2……"
    assert r"\unicodecharacter" in tex(text)
    with use_language(load("zh")):
        assert tex(text) == breakable(text) == text
        assert breakable("数" * 60) == "数" * 60
        assert inline(Span("图 12", "ref", target="figure-a")) == r"图~\ref{figure-a}"
    assert inline(Span("Figure 12", "ref", target="figure-a")) == r"Figure~\ref{figure-a}"
    main_file = write(tmp_path, "lab", formats=("tex",)).documents[0].read_text(encoding="utf-8")
    assert main_file.startswith("% made by ablate report; compile with: xelatex main")
    assert r"\usepackage[UTF8,fontset=fandol]{ctex}" in main_file
    assert "{fontenc}" not in main_file
    other = write(tmp_path / "en", "lab", "en", formats=("tex",)).documents[0].read_text(encoding="utf-8")
    assert other.startswith("% made by ablate report; compile with: pdflatex main")
    assert "ctex" not in other


@pytest.mark.skipif(XELATEX is None, reason="there is no XeTeX here")
@pytest.mark.slow
@pytest.mark.parametrize("style", ["lab", "paper"])
def test_the_paper_compiles_in_chinese(style: str, tmp_path: Path) -> None:
    assert XELATEX
    if subprocess.run(["kpsewhich", "ctex.sty"], capture_output=True, check=False).returncode:
        pytest.skip("there is no ctex here")
    folder = write(tmp_path, style, formats=("tex",)).documents[0].parent
    latex = [XELATEX, "-no-shell-escape", "-interaction=nonstopmode", "main"]
    for command in (latex, ["bibtex", "main"], latex, latex):
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-3000:]
    log = (folder / "main.log").read_text(encoding="utf-8", errors="replace")
    assert not re.findall(r"^!.*|.*undefined.*|.*Missing character.*", log, re.MULTILINE)


@pytest.mark.slow
def test_custom_templates_are_in_the_language_of_the_report(tmp_path: Path) -> None:
    said = {"zh": "zh-CN 图 3 100 % {x}", "en": "en Figure 3. 100 % {x}"}
    for language, words in said.items():
        root = tmp_path / language
        root.mkdir()
        own = '<p class="own">{{ language }} {{ tr("Figure {number}.", number=3) }} {{ tr("100 % {x}") }}</p>'
        template(root, "footer.html.jinja", own)
        assert Page(write(root, language=language).html).root.all("p", class_="own")[0].words == words


@pytest.mark.parametrize("call", ['tr("{a.__init__.__globals__}", a=page)', 'trn("{n.head}", "{n.head}", page)'])
def test_a_message_of_a_template_reaches_no_attributes(call: str, tmp_path: Path) -> None:
    template(tmp_path, "footer.html.jinja", "\n{{ " + call + " }}")
    with pytest.raises(UserError, match=re.escape("footer.html.jinja, line 2")):
        write(tmp_path)


@pytest.mark.slow
def test_the_command_says_so_where_figures_cannot_be_labelled_in_chinese(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["report", "--results", str(trained / "results"), "tiny", "--format", "md"]
    for font, language, lines in ((None, "zh", 1), (None, "en", 0), ("Noto Sans CJK SC", "zh", 0)):
        monkeypatch.setattr("ablation.report.figures.style.chinese_font", lambda font=font: font, raising=False)
        assert main([*command, "--lang", language]) == 0
        said = capsys.readouterr().err.splitlines()
        assert len(said) == lines
        assert all("no Chinese font is installed" in line and "fonts-noto-cjk" in line for line in said)
