"""Reports of stored studies, read as their readers' programs read them."""

from __future__ import annotations

import base64
import csv
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ablation.analysis import describe
from ablation.report import Report, captions, report_on, templates_dir, write_report
from ablation.report.markdown import fenced
from ablation.report.markdown import text as markdown
from ablation.report.ranking import ranked
from ablation.results.runs import load_results
from ablation.results.tables import read_results
from ablation.storage.store import Store
from tests.stored import ARMS, BASELINE, ENVIRONMENT, Stored, StoredVariant, write_study

OWN = ["effects", "warnings", "sweeps", "difference", "interpretation", "methods", "setup"]
OWN += ["tests", "curves", "cost", "recipe", "reproduce"]
VOID = {"meta", "br", "hr", "img", "link", "input"}
HOSTILE = "<script>alert(1)</script> | `x` **b** \"' & \U0001f600 a\nb ]( # \u202e-->"


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def walk(self) -> Iterator[Element]:
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def all(self, tag: str, **attributes: str) -> list[Element]:
        return [
            e
            for e in self.walk()
            if e.tag == tag and all(v in (e.attributes.get(k.rstrip("_")) or "").split() for k, v in attributes.items())
        ]


class Page(HTMLParser):
    """Builds a tree, and fails on an element that is closed in the wrong place."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.root = Element("root", {})
        self.open = [self.root]
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def report(folder: Path, *args: Any, **options: Any) -> tuple[Stored, Report]:
    stored = write_study(folder / "results", *args, **options)
    return stored, write_report(stored.store, stored.manifest, folder / "report")


def page(*args: Any, **options: Any) -> Element:
    return Page(report(*args, **options)[1].html).root


def variants(root: Element) -> dict[str, list[str]]:
    (table,) = root.all("table", class_="variants")
    rows = [row for body in table.all("tbody") for row in body.all("tr")]
    return {row.all("bdi")[0].text: [cell.words for cell in row.all("td")] for row in rows}


def facts(root: Element) -> list[str]:
    (row,) = root.all("ul", class_="facts")
    return [fact.words for fact in row.all("li")]


def result(root: Element) -> dict[str, str]:
    """The lines of the summary."""
    (lines,) = root.all("dl", class_="result")
    return {line.all("dt")[0].words: line.all("dd")[0].words for line in lines.all("div")}


def section(root: Element, name: str) -> Element:
    (found,) = [e for e in root.all("section") if _anchor(e) == name]
    return found


def sections(root: Element) -> list[str]:
    return [_anchor(e) for e in root.all("section")]


def _anchor(own: Element) -> str:
    """The anchor of a section; that of the appendix is inside what is folded, so that a link unfolds it."""
    return (own.attributes["aria-labelledby"] or "").removesuffix("-title")


def every_file(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stored, Report]:
    """A study whose runs all finished, and its report; nothing changes it."""
    return report(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="module")
def root(finished: tuple[Stored, Report]) -> Element:
    return Page(finished[1].html).root


def test_a_finished_study_says_what_was_run_and_that_all_runs_finished(root: Element) -> None:
    assert root.all("h1")[0].words == "What does dropout do?"
    assert facts(root)[:2] == [
        "4 variants, each one change away from the baseline (lenet5 on digits, 6 epochs), under 3 seeds: "
        "all 15 runs finished.",
        "test set not used",
    ]
    assert not root.all("div", class_="banner")
    assert [name for name in sections(root) if name in OWN] == OWN


def test_the_table_of_variants_holds_the_figures_of_the_analysis(finished: tuple[Stored, Report]) -> None:
    stored, written = finished
    analysis = describe(load_results(stored.store, stored.manifest))
    root = Page(written.html).root
    rows, tests = variants(root), table_rows(section(root, "tests"))
    assert list(rows) == ["baseline", *(effect.variant for effect in ranked(analysis))]
    for effect in analysis.effects:
        accuracy, _, difference, verdict, n = rows[effect.variant]
        assert effect.mean is not None
        assert effect.sd is not None
        assert accuracy == f"{100 * effect.mean:.1f} ± {100 * effect.sd:.1f}"
        assert n == "3"
        if effect.difference is not None:
            shown, low, high = re.findall(r"[-+]?\d+\.\d+", difference.replace("−", "-"))
            assert float(shown) == pytest.approx(100 * effect.difference, abs=0.051)
            assert effect.low is not None
            assert effect.high is not None
            assert [float(low), float(high)] == pytest.approx([100 * effect.low, 100 * effect.high], abs=0.051)
            assert verdict == {"not_detected": "no clear effect"}.get(effect.verdict, effect.verdict)
            p, paired = tests[effect.variant]
            assert float(p.replace("<", "")) == pytest.approx(effect.p, abs=0.0051)
            assert float(paired.replace("<", "")) == pytest.approx(effect.paired_p, abs=0.0051)
    assert rows["baseline"][2] == "baseline"


def table_rows(own: Element) -> dict[str, list[str]]:
    """The rows of the only table: name -> the other cells."""
    (table,) = own.all("table")
    rows = [row for body in table.all("tbody") for row in body.all("tr")]
    return {row.all("bdi")[0].text: [cell.words for cell in row.all("td")] for row in rows}


def test_sizes_are_shown_with_the_cost_where_variants_differ_in_them(root: Element) -> None:
    heads = [head.words for head in section(root, "cost").all("th", scope="col")]
    assert heads[:3] == ["Variant", "Parameters", "Training time"], "the MACs are equal"
    assert table_rows(section(root, "cost"))["norm=batch"][0] == "62.9 k"


@pytest.mark.slow
def test_variants_are_ordered_by_their_effect_with_levels_together_and_controls_last(tmp_path: Path) -> None:
    own = [
        StoredVariant("dropout=0.5", {"model.dropout": 0.5}, 0.80),
        StoredVariant("a/a", {}, 0.99, kind="control"),
        StoredVariant("sigmoid", {"model.activation": "sigmoid"}, 0.85),
        StoredVariant("broken", {"optimizer.lr": 9.0}),
        StoredVariant("dropout=0", {"model.dropout": 0.0}, 0.95),
        StoredVariant("norm=batch", {"model.norm": "batch"}, 0.97),
    ]
    root = page(tmp_path, own, fates={("broken", seed): "diverged" for seed in range(3)})
    names = ["baseline", "norm=batch", "sigmoid", "dropout=0", "dropout=0.5", "broken", "a/a"]
    assert list(variants(root)) == names
    difference = section(root, "difference")
    assert [name.text for name in difference.all("bdi")] == [name for name in names[1:] if name != "broken"]


@pytest.mark.slow
def test_accuracies_have_two_decimals_only_on_a_large_validation_set(tmp_path: Path) -> None:
    root = page(tmp_path, seeds=[0], val_images=10_000)
    assert all(re.fullmatch(r"\d+\.\d\d", row[0]) for row in variants(root).values())


def test_one_seed_shows_no_standard_deviation_and_says_so(tmp_path: Path) -> None:
    root = page(tmp_path, seeds=[0])
    assert all("±" not in row[0] for row in variants(root).values())
    assert ": one seed." in section(root, "effects").words


def test_the_verdict_of_the_study_stands_on_top(finished: tuple[Stored, Report], root: Element) -> None:
    stored, written = finished
    analysis = describe(load_results(stored.store, stored.manifest))
    lines = result(root)
    assert list(lines) == ["Better", "Worse", "No clear effect"]
    named = {"better": "Better", "worse": "Worse", "not_detected": "No clear effect"}
    for effect in analysis.variants:
        assert (
            f"{effect.variant} {analysis.measure.difference(effect.difference)} points" in lines[named[effect.verdict]]
        )
    assert lines["No clear effect"].endswith(f"80 % power to find {analysis.measure.size(analysis.design.detectable)}")
    text = written.markdown.read_text(encoding="utf-8")
    assert all(f"- **{label}:** " in text for label in lines)


@pytest.mark.slow
def test_the_summary_of_a_study_with_failed_identical_and_control_runs_names_each(tmp_path: Path) -> None:
    own = [*ARMS, StoredVariant("a/a", {}, kind="control")]
    root = page(tmp_path, own, fates={("dropout=0", 1): "diverged"})
    lines = result(root)
    assert lines["Unstable or failed"].startswith("dropout=0 1/3 diverged, ")
    assert lines["Unstable or failed"].endswith(" points in the others")
    assert lines["A/A control"] == "no difference, as it should be"


@pytest.mark.slow
def test_one_seed_allows_no_verdict_and_the_summary_says_so(tmp_path: Path) -> None:
    root = page(tmp_path, seeds=[0])
    assert not root.all("dl", class_="result")
    assert "A single seed allows no claim about any recipe." in root.all("p", class_="headline")[0].words


def test_the_methods_say_what_was_done(root: Element) -> None:
    text = section(root, "methods").words
    for piece in (
        "guarded blocked Dunnett test (two-sided, Dunnett 1955, seeds as blocks), k = 4, n = 3 seeds",
        "on 8 degrees of freedom",
        "simultaneous at 95 %",
        "Cochran's C test",
        "with 80 % power",
        "best of 6 overstates its accuracy",
        "best of the 5 means is optimistic by",
    ):
        assert piece in text


def test_captions_name_intervals_method_and_family(root: Element) -> None:
    caption = section(root, "effects").all("p", class_="caption")[0].words
    assert "simultaneous 95 % intervals (guarded blocked Dunnett, family of k = 4)" in caption
    assert "Shaded" not in caption  # power is no threshold for what was measured


def test_the_author_s_interpretation_is_included_and_never_changed(tmp_path: Path) -> None:
    mine = tmp_path / "report" / "interpretation.md"
    mine.parent.mkdir()
    text = "# Why\n\nBecause of **noise**.\n\n<script>alert(1)</script>\n\n![x](https://example.org/x.png)\n"
    mine.write_text(text, encoding="utf-8")
    _, written = report(tmp_path)
    own = section(Page(written.html).root, "interpretation")
    assert own.all("h3")[0].words == "Why"
    assert own.all("strong")[0].words == "noise"
    assert not own.all("script")
    assert not own.all("img")
    assert "<script>alert(1)</script>" in own.text
    assert "Because of **noise**." in written.markdown.read_text(encoding="utf-8")
    assert mine.read_text(encoding="utf-8") == text


MINE = r"""Both $\\alpha_1$ and \\(x_2 \\le y\\) cost $5 and $6.

## My view

Not <b>bold</b>.

Under
=====

```
## code stays, <b>too</b>
```
"""


def test_formulas_keep_their_backslashes_and_headings_stay_below_the_section(tmp_path: Path) -> None:
    mine = tmp_path / "report" / "interpretation.md"
    mine.parent.mkdir()
    mine.write_text(MINE.replace("\\\\", "\\"), encoding="utf-8")
    _, written = report(tmp_path)
    own = section(Page(written.html).root, "interpretation")
    assert "Both $\\alpha_1$ and \\(x_2 \\le y\\) cost $5 and $6." in own.words
    assert [heading.words for heading in (*own.all("h3"), *own.all("h4"))] == ["Under", "My view"]
    text = written.markdown.read_text(encoding="utf-8")
    author = text[text.index("## Interpretation") :]
    assert "\n#### My view\n" in author
    assert "\n### Under\n" in author
    assert "Not &lt;b>bold&lt;/b>." in author
    assert "## code stays, <b>too</b>" in author
    assert "\\(x_2 \\le y\\)" in author


def test_without_an_interpretation_the_report_says_where_to_put_it(root: Element) -> None:
    assert "interpretation.md beside this page" in section(root, "interpretation").words


def test_no_row_of_the_latex_table_begins_with_what_the_command_before_it_would_take(tmp_path: Path) -> None:
    variants = [StoredVariant("[5pt] x", {"model.dropout": 0.5}), StoredVariant("*star", {"model.dropout": 0.0})]
    stored = write_study(tmp_path / "results", variants, [0, 1])
    text = write_report(stored.store, stored.manifest, tmp_path / "report").latex.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {row.split(" &")[0] for row in rows[2:]} == {"{[}5pt] x", "{*}star"}


def test_the_latex_table_holds_every_variant_escaped(tmp_path: Path) -> None:
    name = "50% of a_b & {c} \\x $y$ #1 ~ ^"
    _, written = report(tmp_path, [StoredVariant(name, {"model.dropout": 0.5}), *ARMS[2:]])
    text = written.latex.read_text(encoding="utf-8")
    escaped = r"50\% of a\_b \& \{c\} \textbackslash{}x \$y\$ \#1 \textasciitilde{} \textasciicircum{}"
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert any(row.startswith(escaped) for row in rows)
    assert {len(re.findall(r"(?<!\\) & ", row)) for row in rows} == {5}
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1


def test_results_from_elsewhere_are_reported_without_what_nobody_knows(tmp_path: Path) -> None:
    lines = ["variant,seed,accuracy"]
    for place, (name, shift) in enumerate({"base": 0.0, "a": 5.0, "b": 0.1, "c": 0.0}.items()):
        lines += [f"{name},{seed},{80 + shift + seed + 0.1 * ((seed * (place + 2)) % 5)}" for seed in range(4)]
    table = tmp_path / "runs.csv"
    table.write_text("\n".join(lines), encoding="utf-8")
    written = report_on(read_results(table, "base"), Store(tmp_path / "results"), tmp_path / "report")
    root = Page(written.html).root
    assert result(root)["Better"].startswith("a +5.")
    assert sections(root) == ["effects", "warnings", "interpretation", "methods", "tests", "reproduce"]
    assert "Parameters" not in section(root, "effects").words


@pytest.mark.slow
def test_a_half_finished_study_says_what_is_missing_and_how_to_go_on(tmp_path: Path) -> None:
    fates = {("constant", 2): "missing", ("norm=batch", 2): "interrupted", ("dropout=0", 2): "crashed"}
    root = page(tmp_path, fates=fates)
    (banner,) = root.all("div", class_="banner")
    assert "3 of 15 runs still to do: 1 not started, 1 interrupted, 1 crashed." in banner.words
    assert banner.all("code")[0].text == "ablate run studies/dropout.yaml"
    assert variants(root)["constant"][4] == "2/3"
    problem_runs = section(root, "problem_runs")
    rows = [[cell.words for cell in row.children if isinstance(cell, Element)] for row in problem_runs.all("tr")[1:]]
    assert rows == [
        ["dropout=0", "2", "crashed", "3", "RuntimeError: out of memory while allocating 2 GiBTracebackTraceback ..."],
        ["norm=batch", "2", "interrupted", "3", "stopped after epoch 3"],
    ]
    assert "Not started yet: 1 run: constant (seed 2)." in problem_runs.words


def test_a_study_that_has_not_begun_gives_a_report_without_figures(tmp_path: Path) -> None:
    _, written = report(tmp_path, everywhere="missing")
    root = Page(written.html).root
    assert "none of the 15 runs has finished yet" in facts(root)[0]
    assert not root.all("svg")
    assert written.figures == ()
    assert sections(root) == ["effects", "problem_runs", "setup", "recipe", "reproduce"]
    assert all(row[0] == "–" for row in variants(root).values())


def test_a_study_with_only_interrupted_runs_shows_their_curves(tmp_path: Path) -> None:
    root = page(tmp_path, everywhere="interrupted")
    assert "curves" in sections(root)
    assert "effects" in sections(root)


def test_a_baseline_alone_is_reported(tmp_path: Path) -> None:
    root = page(tmp_path, [])
    assert "The baseline alone" in facts(root)[0]
    assert list(variants(root)) == ["baseline"]


@pytest.mark.slow
def test_divergence_is_shown_as_a_result(tmp_path: Path) -> None:
    fates = {("dropout=0", seed): "diverged" for seed in range(3)} | {("constant", 1): "diverged"}
    root = page(tmp_path, fates=fates)
    assert not root.all("div", class_="banner")
    assert "all 15 runs done, 4 of them diverged" in facts(root)[0]
    notes = [note.words for note in section(root, "effects").all("span", class_="note")]
    assert notes == ["3 of 3 diverged", "conditional: mean of the 2 of 3 that did not diverge"]
    assert variants(root)["dropout=0"][:4] == ["–", "", "–", "unstable 3/3 diverged"]
    assert variants(root)["constant"][3] == "unstable 1/3 diverged"
    assert "conditional" in section(root, "effects").words


def test_a_smoke_run_is_stamped(tmp_path: Path) -> None:
    _, written = report(tmp_path, smoke=True, overrides=["train.epochs=1"])
    (banner,) = Page(written.html).root.all("div", class_="smoke")
    assert "figures mean nothing" in banner.words
    assert "train.epochs=1" in Page(written.html).root.all("p", class_="overrides")[0].words
    assert "Smoke run." in written.markdown.read_text(encoding="utf-8")
    assert "train.epochs=1" in written.markdown.read_text(encoding="utf-8")


def test_setup_and_reproduction_are_complete(finished: tuple[Stored, Report], root: Element) -> None:
    stored, _ = finished
    setup = section(root, "setup")
    pairs = dict(zip([e.words for e in setup.all("dt")], [e.words for e in setup.all("dd")], strict=True))
    assert pairs["Training images"] == "1,437"
    assert pairs["Validation images"] == "360"
    assert pairs["Images"] == "8 × 8 pixels, 1 channel"
    assert "PyTorch 2.9.1" in pairs["Software"]
    assert "cuDNN" not in pairs["Software"]
    assert pairs["Precision"] == "fp32"
    assert pairs["Trained"] == "2026-03-01 09:00 to 2026-03-01 10:02 UTC"
    reproduce = section(root, "reproduce")
    assert reproduce.all("pre", class_="source")[0].text.strip() == stored.manifest.source.strip()
    codes = {code.text for code in reproduce.all("code")}
    results = load_results(stored.store, stored.manifest)
    assert set(results.runs["folder"]) <= codes
    assert {sha[:12] for sha in results.runs["weights_sha256"]} <= codes
    recipe = section(root, "recipe").words
    for part, options in stored.manifest.baseline.recipe.items():
        assert part in recipe
        assert all(key in recipe for key in options)


@pytest.mark.parametrize(
    ("precision", "shown"),
    [
        ("tf32", "fp32, with TF32 in matrix products and convolutions"),
        ("fp16", "fp16 (autocast, with loss scaling)"),
    ],
)
def test_the_setup_names_precision_capability_cudnn_and_driver(tmp_path: Path, precision: str, shown: str) -> None:
    gpu = replace(ENVIRONMENT, device="NVIDIA H100", cudnn="9.10.2", driver="580.65", capability="9.0")
    baseline = BASELINE | {"train": BASELINE["train"] | {"precision": precision}}
    setup = section(page(tmp_path, ARMS[:1], [0, 1], environment=gpu, baseline=baseline), "setup")
    pairs = dict(zip([e.words for e in setup.all("dt")], [e.words for e in setup.all("dd")], strict=True))
    assert pairs["Precision"] == shown
    assert pairs["Hardware"].startswith("NVIDIA H100 (compute capability 9.0) \u00b7 ")
    assert "PyTorch 2.9.1, cuDNN 9.10.2, NVIDIA driver 580.65, " in pairs["Software"]


@pytest.mark.slow
def test_thirty_variants_all_have_a_row_and_a_panel(tmp_path: Path) -> None:
    many = [StoredVariant(f"dropout={n / 100:g}", {"model.dropout": n / 100}) for n in range(30)]
    root = page(tmp_path, [variant for variant in many if variant.changes["model.dropout"] != 0.2], seeds=[0, 1])
    assert len(variants(root)) == 30
    (loss,) = [figure for figure in root.all("figure") if figure.attributes["id"] == "figure-loss"]
    assert len(loss.all("div", class_="panel")) == 30


MANY = [StoredVariant(f"d{n}", {"model.dropout": n / 10}, 0.9 - n / 10) for n in range(3, 9)]


def figure(root: Element, name: str) -> Element:
    (found,) = [own for own in root.all("figure") if own.attributes["id"] == f"figure-{name}"]
    return found


def test_of_very_many_variants_the_curves_show_those_that_differ_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablation.report.sections.curves.MOST_PANELS", 3)
    root = page(tmp_path, MANY, seeds=[0])
    loss = figure(root, "loss")
    assert [name.text for name in loss.all("bdi")] == ["baseline", "d7", "d8"]
    assert "Shown: the 2 of 6 variants that differ most" in loss.words
    assert len(variants(root)) == 7


@pytest.mark.slow
def test_of_many_variants_the_differences_during_training_are_shown_of_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablation.report.sections.curves.MOST_DIFFERENCES", 2)
    shown = figure(page(tmp_path, MANY, seeds=[0]), "difference")
    assert [name.text for name in shown.all("bdi")] == ["d6", "d7"]  # d8 is at chance and has no curve
    assert "Shown: the 2 of 5 variants that differ most" in shown.words


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of a study that tries to break out of its text everywhere."""
    variants = [
        StoredVariant(HOSTILE, {"model.dropout": 0.5}),
        StoredVariant("é" * 300, {"model.dropout": 0.4}),
        StoredVariant('" onload="x', {"model.norm": "batch"}),
        StoredVariant("$\\frac{a}{b}$", {"model.dropout": 0.1}),
        StoredVariant("![i](https://example.org/x.png)", {"model.kernel_size": 3}),
        StoredVariant('<path id="m1" style="fill: #0072b2">', {"model.kernel_size": 7}),
        StoredVariant("bell\x07\x1b[31m\x00", {"optimizer.lr": 0.1}),
    ]
    source = "study: x\n# ``` </pre><script>alert(2)</script>\n"
    texts = {"title": HOSTILE, "question": HOSTILE, "source": source, "name": "<b>x</b>"}
    fates = {(HOSTILE, 1): "diverged", (HOSTILE, 2): "missing"}
    return report(tmp_path_factory.mktemp("hostile"), variants, **texts, overrides=[HOSTILE], fates=fates)[1]


def test_no_name_becomes_markup(hostile: Report) -> None:
    root = Page(hostile.html).root
    tags = {element.tag for element in root.walk()}
    assert len(root.all("script")) == 1, "ours"
    assert not tags & {"img", "iframe", "object", "embed", "link", "base", "form"}
    assert not [e for e in root.walk() for name in e.attributes if name.startswith("on")]
    assert not [e for e in root.all("b") if e.text == "x"]
    names = set(variants(root))
    shown = HOSTILE.replace("\u202e", "\ufffd")
    assert {shown, "é" * 300, "bell\ufffd\ufffd[31m\ufffd", '<path id="m1" style="fill: #0072b2">'} < names
    assert root.all("h1")[0].text == shown


def test_a_hostile_name_stays_in_its_cell_of_markdown(hostile: Report) -> None:
    text = hostile.markdown.read_text(encoding="utf-8")
    outside = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<" not in outside
    assert "://" not in outside
    for table in re.findall(r"(?:^\|.*\n)+", outside, flags=re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1
    pictures = re.findall(r"(?<!\\)!\[.*?(?<!\\)\]\((.*?)\)", outside)
    assert pictures == [f"figures/{path.name}" for path in hostile.figures]


def test_nothing_is_loaded_from_anywhere(hostile: Report) -> None:
    root = Page(hostile.html).root
    (policy,) = [e for e in root.all("meta") if e.attributes.get("http-equiv") == "Content-Security-Policy"]
    (script,) = root.all("script")
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert policy.attributes["content"] == (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    )
    assert len(script.text) <= 6000
    assert "alert" not in script.text
    for element in root.walk():
        assert "src" not in element.attributes
        assert (element.attributes.get("href") or "#").startswith("#")
        assert (element.attributes.get("xlink:href") or "#").startswith("#")
    styles = root.all("style")[0].text + " ".join(e.attributes.get("style") or "" for e in root.walk())
    assert "@import" not in styles
    assert "http" not in styles


def test_every_id_is_unique_and_every_reference_has_its_target(tmp_path: Path) -> None:
    root = page(tmp_path, fates={("dropout=0", 1): "diverged"})
    ids = [e.attributes["id"] for e in root.walk() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    wanted: list[str] = []
    for element in root.walk():
        wanted += [(element.attributes.get("href") or "#").removeprefix("#")]
        wanted += (element.attributes.get("aria-labelledby") or "").split()
        wanted += re.findall(r"url\(#([^)]*)\)", element.attributes.get("clip-path") or "")
    assert set(wanted) - {""} <= set(ids)


def test_the_page_can_be_read_without_seeing_it(root: Element) -> None:
    drawings = root.all("svg")
    assert drawings
    for svg in drawings:
        if svg.attributes.get("aria-hidden"):
            continue  # the plots of the table, whose cells have the numbers
        assert svg.attributes["role"] == "img"
        assert svg.all("title")[0].text
        assert svg.all("desc")[0].text
    levels = [int(e.tag[1]) for e in root.walk() if re.fullmatch("h[1-6]", e.tag)]
    assert levels[0] == 1
    assert all(deeper - level <= 1 for level, deeper in pairwise(levels))
    assert all(e.attributes.get("scope") for e in root.all("th"))
    assert root.all("html")[0].attributes["lang"] == "en"


def test_figures_take_their_colours_from_the_theme_of_the_page(root: Element) -> None:
    painted = " ".join(e.attributes.get("style") or "" for svg in root.all("svg") for e in svg.walk())
    assert not re.search(r"#[0-9a-fA-F]{3,6}", painted)
    css = root.all("style")[0].text
    light, dark = css.split("prefers-color-scheme: dark", 1)
    for name in set(re.findall(r"var\(--([a-z]+)\)", painted)):
        assert f"--{name}: #" in light
        assert f"--{name}: #" in dark


def test_each_curve_is_a_plot_of_its_own(root: Element) -> None:
    curves = section(root, "curves")
    assert [h.words for h in curves.all("h3")] == ["Accuracy", "Loss", "Learning rate"]
    panels = {e.attributes["id"]: [p.words for p in e.all("p", class_="panel-title")] for e in curves.all("figure")}
    names = list(variants(root))
    assert panels["figure-loss"] == panels["figure-accuracy"] == names
    assert panels["figure-learning-rate"] == ["baseline and 3 more", "constant"]


def test_captions_say_what_the_marks_are(root: Element) -> None:
    captions = " ".join(caption.words for caption in [*root.all("figcaption"), *root.all("p", class_="caption")])
    for piece in (
        "seeds (n = 3)",
        "on 360 validation images",
        "dots are seeds, the bar is their mean",
        "diverged (cross)",
        "Dots: the epochs reported",
    ):
        assert piece in captions
    assert "earliest on ties" in section(root, "methods").words


def test_figures_and_tables_are_numbered_in_their_order_and_captions_are_short(root: Element) -> None:
    captions = [e for e in root.walk() if e.tag == "figcaption" or e.attributes.get("class") == "caption"]
    numbers = [caption.all("b")[0].text for caption in captions]
    for kind in ("Figure", "Table"):
        own = [number for number in numbers if number.startswith(kind)]
        assert own == [f"{kind} {n}." for n in range(1, len(own) + 1)]
        assert own
    assert max(len(caption.words.split()) for caption in captions) <= 42, "40 words and the number"


@pytest.mark.slow
def test_captions_of_studies_with_failures_or_another_metric_are_short_and_whole(tmp_path: Path) -> None:
    fates = {("dropout=0", 0): "diverged", ("constant", 2): "missing"}
    kinds: dict[str, dict[str, Any]] = {
        "failures": {"seeds": range(4), "fates": fates},
        "loss": {"analysis": {"metric": "val_loss", "direction": "lower"}},
        "one seed": {"seeds": [0]},
    }
    for kind, options in kinds.items():
        root = page(tmp_path / kind, **options)
        shown = [e.words for e in root.walk() if e.tag == "figcaption" or e.attributes.get("class") == "caption"]
        assert max(len(caption.split()) for caption in shown) <= 42, kind
        assert not [caption for caption in shown if " ," in caption or "  " in caption], kind
        assert "learning" in sections(root), kind


def test_a_panel_of_a_difference_is_described_as_one(root: Element) -> None:
    described = [svg.all("desc")[0].text for svg in section(root, "difference").all("svg")]
    assert described
    assert all(re.match(r"Difference, points of .* from the baseline: [+-]", text) for text in described)


def test_only_a_pooled_verdict_is_said_to_pool_the_error(finished: tuple[Stored, Report]) -> None:
    stored, _ = finished
    analysis = describe(load_results(stored.store, stored.manifest))
    base, first, *_ = analysis.effects
    pooled = replace(first, method="blocked Dunnett", verdict="better", p=0.04, paired_p=0.06)
    alone = replace(pooled, method="paired t, Bonferroni")
    assert captions.disagreeing(replace(analysis, effects=(base, pooled))).startswith(f"For {first.variant} the paired")
    assert captions.disagreeing(replace(analysis, effects=(base, alone))) == ""


def test_the_appendix_comes_last_and_is_folded(root: Element) -> None:
    names = sections(root)
    folded = [
        _anchor(e) for e in root.all("section") if any(c.tag == "details" for c in e.children if isinstance(c, Element))
    ]
    assert folded == names[-len(folded) :] == ["tests", "curves", "learning", "cost", "recipe", "reproduce"]
    assert not [details for details in root.all("details", class_="appendix") if "open" in details.attributes]


def test_the_tables_are_the_raw_results(tmp_path: Path) -> None:
    stored, written = report(tmp_path, fates={("constant", 2): "missing", ("constant", 1): "diverged"})
    results = load_results(stored.store, stored.manifest)
    with written.runs.open(encoding="utf-8", newline="") as file:
        runs = list(csv.DictReader(file))
    assert [(row["variant"], int(row["seed"]), row["status"]) for row in runs] == list(
        results.runs[["variant", "seed", "status"]].itertuples(index=False, name=None)
    )
    assert float(runs[0]["val_accuracy"]) == results.runs["val_accuracy"][0]
    assert runs[0]["selected_epoch"] == "6"
    assert runs[-1]["val_accuracy"] == runs[-1]["parameters"] == ""
    with written.epochs.open(encoding="utf-8", newline="") as file:
        epochs = list(csv.DictReader(file))
    assert len(epochs) == len(results.epochs)
    assert [float(row["val_loss"] or "nan") for row in epochs] == pytest.approx(
        list(results.epochs["val_loss"]), rel=0, abs=0, nan_ok=True
    )


def test_markdown_has_the_same_figures_beside_it(finished: tuple[Stored, Report]) -> None:
    stored, written = finished
    text = written.markdown.read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    assert pictures == [f"figures/{path.name}" for path in written.figures]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written.figures)
    effect = describe(load_results(stored.store, stored.manifest)).effect("norm=batch")
    assert f"| **norm=batch** | normalisation none → batch | {100 * effect.mean:.1f} ± " in text
    for heading in ("Results", "Setup", "How to reproduce", "Baseline recipe"):
        assert f"\n## {heading}\n" in text


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    fates = {("dropout=0", 1): "diverged", ("constant", 2): "interrupted"}
    stored, _ = report(tmp_path, fates=fates)
    first = every_file(tmp_path / "report")
    write_report(stored.store, stored.manifest, tmp_path / "again")
    write_report(stored.store, stored.manifest, tmp_path / "report")
    assert every_file(tmp_path / "again") == first
    assert every_file(tmp_path / "report") == first


def test_a_new_report_takes_away_figures_that_no_longer_belong_to_it_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "report" / "figures"
    folder.mkdir(parents=True)
    for name in ("loss-9.png", "mine.png"):
        (folder / name).write_bytes(b"old")
    report(tmp_path)
    assert not (folder / "loss-9.png").exists()
    assert (folder / "mine.png").read_bytes() == b"old"


def test_the_templates_are_found() -> None:
    assert (templates_dir() / "report.html.jinja").is_file()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a|b", "a\\|b"),
        ("two\nlines", "two lines"),
        ("<script>&amp;", "&lt;script>&amp;amp;"),
        ("<.001 & more", "<.001 & more"),
        ("1.00", "1.00"),
        ("-0.5", "-0.5"),
        ("---", "--\\-"),
        ("> quoted", "\\> quoted"),
        ("weight_decay", "weight\\_decay"),
        ("1. one", "1\\. one"),
        ("- one", "\\- one"),
        ("# one", "\\# one"),
        ("[a](b)", "\\[a\\](b)"),
    ],
)
def test_markdown_shows_any_text_as_it_is(text: str, shown: str) -> None:
    assert markdown(text) == shown


@pytest.mark.parametrize(("text", "fence"), [("plain", "```"), ("a ``` b", "````"), ("````` x", "``````")])
def test_a_fence_is_longer_than_any_in_its_text(text: str, fence: str) -> None:
    lines: Sequence[str] = fenced(text, "yaml").splitlines()
    assert (lines[0], lines[-1]) == (f"{fence}yaml", fence)


def test_a_control_is_no_change_and_is_counted_apart(tmp_path: Path) -> None:
    stored = write_study(tmp_path / "results", [*ARMS, StoredVariant("a/a", {}, kind="control")])
    written = write_report(stored.store, stored.manifest, tmp_path / "report")
    root = Page(written.html).root
    assert facts(root)[0].startswith(
        "4 variants, each one change away from the baseline (lenet5 on digits, 6 epochs), and 1 A/A control, under 3"
    )
