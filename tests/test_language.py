"""Reports in another language: nothing is left untranslated, and every number is that of the English report."""

from __future__ import annotations

import gettext
import io
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from babel.messages import mofile, pofile
from babel.messages.extract import extract_from_dir

import ablation.report
from ablation._util.language import DOMAIN, LOCALE, Language, current, load, tr, trn, use_language
from ablation.report import Form, Report, write_report
from ablation.report.bibliography import REFERENCES
from ablation.report.blocks import cite, plain, tr_text
from ablation.storage.manifest import Sequential
from ablation.study.report_options import ReportOptions, Style
from tests.conftest import Ablate
from tests.stored import ARMS, StoredVariant, write_study
from tests.test_report import Element, Page

ROOT = Path(__file__).resolve().parent.parent
PO = LOCALE / "zh" / "LC_MESSAGES" / f"{DOMAIN}.po"
WORD = re.compile(r"[A-Za-z][A-Za-z-]+\d*")
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
CODE = r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|<[^>]*>"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
FATES = {("dropout=0.5", 1): "diverged", ("norm=batch", 2): "crashed", ("constant", 2): "missing"}
STUDIES = {
    "whole": {},
    "one seed": {"seeds": (0,)},
    "two seeds": {"seeds": (0, 1)},
    "unfinished": {"fates": FATES},
    "control": {"variants": (*ARMS, StoredVariant("again", {}, 0.9, kind="control"))},
    "margin": {"analysis": {"margin": 0.2}},
    "looks": {"analysis": {"margin": 0.04}, "sequential": Sequential((2, 3), "pocock", "conditional_power")},
}


FAST = (("whole", "page"), ("unfinished", "lab"), ("one seed", "paper"))
CASES = [
    pytest.param(name, style, marks=() if (name, style) in FAST else pytest.mark.slow)
    for name in STUDIES
    for style in ("page", "lab", "paper")
]


class Wide(gettext.NullTranslations):
    """A catalog that has every text, in full-width letters: what is left in narrow ones went past it."""

    def gettext(self, message: str) -> str:
        parts = re.split(r"(\{[^}]*\}|`[^`]*`|\[[a-z]+\d{4}[^]]*\]|\*[^*]*\*)", message)
        return "".join(part if place % 2 else wide(part) for place, part in enumerate(parts))

    def ngettext(self, one: str, many: str, number: int) -> str:
        return self.gettext(one if number == 1 else many)


def wide(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalpha() else c for c in text)


def write(root: Path, name: str, style: Style, language: str = "zh") -> Report:
    stored = write_study(root / language / "results", title="Dropout", question="", **STUDIES[name])
    form = Form(ReportOptions(style=style, language=language), ("html", "md"))
    return write_report(stored.store, stored.manifest, root / language / "report", form=form)


def texts(element: Element) -> Iterator[str]:
    """What is read of the page, without code, formulas, sources and the options of the study file."""
    if element.tag in ("script", "style", "code", "pre"):
        return
    if {element.attributes.get(name) for name in ("id", "class")} & UNTRANSLATED:
        return
    yield from (element.attributes.get(name) or "" for name in ("aria-label", "alt", "title", "placeholder"))
    for child in element.children:
        yield from [child] if isinstance(child, str) else texts(child)


UNTRANSLATED = {"formula", "references", "options", "recipe"}
NAMES = {
    *("Dropout", "baseline", "again", "dropout", "norm", "batch", "constant", "lenet5", "digits", "sgd", "cosine"),
    *("study", "relu", "kaiming", "max", "before", "best", "none", "fp32", "cpu", "Intel", "Xeon", "cores", "Linux"),
    *("Linux-6", "x86", "ablation-lab", "Python", "PyTorch", "RuntimeError", "out", "of", "memory", "while"),
    *("allocating", "min", "MiB", "GiB", "NeurIPS", "ACL", "ablate", "run", "studies", "yaml"),
    *WORD.findall(REFERENCES["alpaydin1998"].text),
}
"""What is the same in every language: names that the study and its machine have, what a run said, and units."""


@pytest.mark.parametrize(("name", "style"), CASES)
def test_no_text_of_a_report_goes_past_the_catalog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, style: Style
) -> None:
    language = Language("zh-CN", "", "; ", ", ", ": ", Wide())
    monkeypatch.setattr(ablation.report, "load", lambda code: language)
    report = write(tmp_path, name, style)
    page = [word for text in texts(Page(report.html).root) for word in WORD.findall(text)]
    assert sorted(set(page) - NAMES) == []
    own = report.markdown.read_text("utf-8").partition(f"\n## {wide('References')}")[0]
    own = re.sub(rf"\n## {wide('Baseline recipe')}.*?(?=\n## |$)", "", own, flags=re.DOTALL)
    own = re.sub(CODE, " ", own, flags=re.DOTALL)
    assert sorted(set(WORD.findall(own)) - NAMES) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "style"), [*FAST, *((name, "page") for name in STUDIES if (name, "page") not in FAST)]
)
def test_every_table_of_a_chinese_report_has_the_numbers_of_the_english_one(
    tmp_path: Path, name: str, style: Style
) -> None:
    def numbers(language: str) -> list[list[str]]:
        root = Page(write(tmp_path, name, style, language).html).root
        cells = [cell for table in root.all("table") for cell in (*table.all("td"), *table.all("th"))]
        return [sorted(NUMBER.findall(cell.words.replace("\u2212", "-").replace(",", ""))) for cell in cells]

    assert numbers("zh") == numbers("en")


def test_the_catalog_has_every_text_and_is_compiled(tmp_path: Path) -> None:
    """It fails where `make catalogs` was forgotten, and where it has found a text that nobody has translated."""
    catalog = pofile.read_po(io.BytesIO(PO.read_bytes()))
    marked = extracted()
    assert {message.id for message in catalog if message.id} == marked
    for message in catalog:
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        assert all(texts), f"not translated: {message.id}"
        if message.id:
            assert {frozenset(fields(text)) for text in texts} == {frozenset(fields(ids[-1]))}, message.id
    compiled = io.BytesIO()
    mofile.write_mo(compiled, catalog)
    assert PO.with_suffix(".mo").read_bytes() == compiled.getvalue()


def extracted() -> set[str | tuple[str, str]]:
    """Every text that is marked in the package and its templates."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["babel"]["mappings"]
    methods = [(own["pattern"], own["method"]) for own in settings]
    options = {own["pattern"]: {key: own[key] for key in own.keys() - {"pattern", "method"}} for own in settings}
    keywords = {"tr": None, "trn": (1, 2), "tr_noop": None, "tr_text": None}
    found = (
        extract_from_dir(ROOT / folder, methods, options, keywords=keywords, directory_filter=lambda folder: True)
        for folder in ("ablation", "templates")
    )
    return {message for own in found for _, _, message, _, _ in own}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.slow
def test_the_language_of_a_report_is_that_of_the_study_or_of_the_command_line(tmp_path: Path, ablate: Ablate) -> None:
    stored = write_study(tmp_path / "results")
    for arguments, tag in (((), "en"), (("--lang", "zh"), "zh-CN")):
        done = ablate("report", *arguments)
        assert done.returncode == 0, done.stderr
        folder = tmp_path / "reports" / stored.manifest.folder
        (html,) = Page(folder / "report.html").root.all("html")
        assert html.attributes["lang"] == tag
        assert bool(CHINESE.search((folder / "report.md").read_text("utf-8"))) == (tag == "zh-CN")
        verdicts = {
            own["variant"]: own["verdict"] for own in json.loads((folder / "analysis.json").read_text())["effects"]
        }
        assert verdicts["norm=batch"] == "better"


def test_texts_outside_of_a_report_are_english() -> None:
    with use_language(load("zh")):
        assert current().tag == "zh-CN"
        assert CHINESE.search(trn("{n:,} seed", "{n:,} seeds", 3))
    assert current().tag == "en"
    assert trn("{n:,} seed", "{n:,} seeds", 1000) == "1,000 seeds"
    assert tr("100 %, {braces}") == "100 %, {braces}"


def test_marks_are_put_into_a_text_where_its_language_has_them() -> None:
    text = tr_text("by {source} at {alpha}", source=cite("holm1979"), alpha="0.05")
    assert plain(text) == "by  at 0.05"
    assert [getattr(part, "target", part) for part in text] == ["by ", "holm1979", " at ", "0.05"]
