"""The styles of a report: a lab report and a short paper, made of the same results as the page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ablation.errors import UserError
from ablation.registry import augmentations, initial_weights, optimizers, schedules
from ablation.report import Form, Report, formulas, write_report
from ablation.report.bibliography import DATA_SETS, REFERENCES
from ablation.report.principles import PRINCIPLES, key_of, marked
from ablation.report.principles.principle import Principle
from ablation.storage.manifest import Manifest, read_manifest
from ablation.study.load import study_of
from ablation.study.report_options import ReportOptions
from ablation.study.schema import Recipe
from tests.conftest import TINY, Ablate
from tests.stored import ARMS, Stored, StoredVariant, write_study
from tests.test_report import Element, Page, section, sections

LAB = ReportOptions(style="lab", author=("Ada Example", "Ben"), course="Deep Learning, lab 3", date="May 2026")
UNEXPLAINED = {
    "data.name",
    "data.validation",
    "train.hold",
    "train.eval_every",
    "train.compile",
}
"""Options that are no technique."""


def write(root: Path, options: ReportOptions, *args: Any, **more: Any) -> tuple[Stored, Report]:
    stored = write_study(root / "results", *args, **more)
    return stored, write_report(stored.store, stored.manifest, root / "report", form=Form(options))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stored, Report]:
    return write(tmp_path_factory.mktemp("lab"), LAB)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> tuple[Stored, Report]:
    return write(tmp_path_factory.mktemp("paper"), ReportOptions(style="paper"))


def test_a_lab_report_has_its_title_block_and_its_sections_in_their_order(lab: tuple[Stored, Report]) -> None:
    root = Page(lab[1].html).root
    (byline,) = root.all("p", class_="byline")
    assert byline.words == "Ada Example, Ben · Deep Learning, lab 3 · May 2026"
    assert sections(root)[:6] == ["abstract", "question", "principles", "setup", "methods", "effects"]
    assert "references" in sections(root)
    assert not {"discussion", "conclusion", "interpretation"} & set(sections(root)), "nobody has written these"


def test_the_abstract_says_what_the_verdicts_say(lab: tuple[Stored, Report]) -> None:
    text = section(Page(lab[1].html).root, "abstract").words
    assert "compares 4 variants with a baseline (lenet5 on digits, 6 epochs) under 3 seeds." in text
    claims = json.loads(lab[1].analysis.read_text())
    for effect in claims["effects"][1:]:
        sentences = [own for own in re.split(r"(?<=\.) ", text) if effect["variant"] in own]
        assert bool(sentences) == (effect["verdict"] in ("better", "worse"))
        for own in sentences:
            assert re.search(rf"is {effect['verdict']} than the baseline by \d", own), own
    assert "The test set was not used." in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": [0]}, "A single seed allows no claim about any recipe."),
        (
            {"seeds": [0, 1], "exact": {"baseline": [0.5, 0.51], "norm=batch": [0.95, 0.962]}},
            "tentatively better than the baseline by",
        ),
        ({"fates": {("dropout=0", 1): "diverged"}}, "Unstable: dropout=0 (1/3 diverged)."),
        ({"fates": {("dropout=0", 1): "missing"}}, "So far 14 of 15 runs are done."),
        ({"analysis": {"margin": 0.5}}, "equivalent to the baseline within a margin of 50.0 points."),
    ],
    ids=["one seed", "two seeds", "diverged", "unfinished", "equivalent"],
)
def test_the_abstract_claims_no_more_than_the_study_allows(options: Any, said: str, tmp_path: Path) -> None:
    written = write(tmp_path, LAB, **options)[1]
    assert said in section(Page(written.html).root, "abstract").words


@pytest.mark.slow
def test_the_abstract_names_the_margin_under_any_number_of_seeds(tmp_path: Path) -> None:
    for seeds in (5, 12):
        written = write(tmp_path / str(seeds), LAB, seeds=range(seeds), analysis={"margin": 0.2})[1]
        assert "points (within the margin)" in section(Page(written.html).root, "abstract").words


def test_the_principles_are_those_of_what_the_study_varies_each_with_its_source(lab: tuple[Stored, Report]) -> None:
    own = section(Page(lab[1].html).root, "principles")
    assert [head.words for head in own.all("h3")] == ["Dropout", "Normalisation", "Learning-rate schedule"]
    formulas_shown = [svg.all("title")[0].text for svg in own.all("svg")]
    assert formulas_shown[0].startswith(r"\tilde{h}_i = ")
    sources = section(Page(lab[1].html).root, "references").all("li")
    assert [item.attributes["id"] for item in sources][:2] == ["source-srivastava2014", "source-ioffe2015"]
    cited = {link.attributes["href"] for link in Page(lab[1].html).root.all("a") if "source-" in str(link.attributes)}
    assert cited == {f"#{item.attributes['id']}" for item in sources}


def test_one_variant_is_one_comparison_and_no_formula_is_without_its_parts_or_shown_twice(tmp_path: Path) -> None:
    variants = [StoredVariant("adamw", {"optimizer": {"name": "adamw", "lr": 0.01}}, 0.95)]
    root = Page(write(tmp_path / "one", LAB, variants)[1].html).root
    only = "The variant is paired with the baseline by seed; this is the only comparison: intervals"
    assert only in section(root, "methods").words
    own = section(root, "principles")
    shown = [svg.all("title")[0].text for svg in own.all("svg")]
    assert sum(formula.startswith("m_t = ") for formula in shown) == 1
    variants.append(StoredVariant("adam", {"optimizer": {"name": "adam", "lr": 0.01}}, 0.95))
    own = section(Page(write(tmp_path / "two", LAB, variants)[1].html).root, "principles")
    shown = [svg.all("title")[0].text for svg in own.all("svg")]
    assert sum(formula.startswith("m_t = ") for formula in shown) == 1
    assert len(set(shown)) == len(shown)


def test_citations_are_numbered_in_markdown_too_and_formulas_are_mathematics(lab: tuple[Stored, Report]) -> None:
    text = lab[1].markdown.read_text(encoding="utf-8")
    assert "share their weights \\[1\\]." in text
    assert "\\[1\\] Srivastava, N., Hinton, G.," in text
    assert "\n$$\n\\tilde{h}_i = " in text


@pytest.mark.slow
def test_discussion_and_conclusion_are_read_from_their_files(tmp_path: Path) -> None:
    stored, written = write(tmp_path, LAB, seeds=[0, 1])
    folder = written.html.parent
    (folder / "discussion.md").write_text("It **works**.", encoding="utf-8")
    (folder / "conclusion.md").write_text("Use it.", encoding="utf-8")
    again = write_report(stored.store, stored.manifest, folder, form=Form(LAB))
    root = Page(again.html).root
    assert section(root, "discussion").all("strong")[0].words == "works"
    assert sections(root).index("discussion") < sections(root).index("conclusion") < sections(root).index("references")
    page = write_report(stored.store, stored.manifest, folder)
    assert not {"discussion", "conclusion"} & set(sections(Page(page.html).root)), "they are parts of a lab report"


def test_a_paper_has_one_table_one_figure_and_a_checklist(paper: tuple[Stored, Report]) -> None:
    root = Page(paper[1].html).root
    assert sections(root) == [
        "abstract",
        "question",
        "paper_methods",
        "paper_results",
        "limitations",
        "checklist",
        "references",
    ]
    assert len(section(root, "paper_results").all("table")) == len(root.all("figure")) == 1
    assert len(section(root, "paper_methods").all("p")) == 1
    assert "they rest on 3 seeds" in section(root, "limitations").words
    rows = {row.all("th")[0].words: row.all("td")[1].words for row in section(root, "checklist").all("tr")[1:]}
    assert rows["How hyperparameters were chosen"] == "not recorded"
    assert rows["Number of runs"] == "15 runs; seeds 0, 1, 2"
    assert "1,437 training images, 360 validation images" in rows["Data set and splits"]


@pytest.mark.slow
def test_a_table_from_elsewhere_has_no_answer_that_nobody_recorded(ablate: Ablate, tmp_path: Path) -> None:
    rows = [f"{name},{seed},{value + 0.01 * seed}" for name, value in (("a", 0.5), ("b", 0.7)) for seed in range(3)]
    (tmp_path / "runs.csv").write_text("\n".join(["variant,seed,accuracy", *rows]), encoding="utf-8")
    result = ablate("report", "--from", "runs.csv", "--baseline", "a", "--style", "paper", "--author", "Me")
    assert result.returncode == 0, result.stderr
    root = Page(tmp_path / "reports" / "runs" / "report.html").root
    found = {row.all("th")[0].words: row.all("td")[1].words for row in section(root, "checklist").all("tr")[1:]}
    assert {found[item] for item in ("Hardware", "Model size", "Hyperparameters", "Compute time")} == {"not recorded"}
    assert root.all("p", class_="byline")[0].words == "Me"


def every_option() -> Iterator[tuple[str, str]]:
    """Each option of a recipe, and each choice of those that have one by name."""
    for part, field in Recipe.model_fields.items():
        for own in getattr(field.annotation, "model_fields", {}):
            yield f"{part}.{own}", ""
    for kinds in (optimizers.KINDS, schedules.KINDS):
        part = "optimizer" if kinds is optimizers.KINDS else "schedule"
        for name, kind in kinds.items():
            yield f"{part}.name", name
            yield from ((f"{part}.{own}", "") for own in kind.model_fields)
    for name in augmentations.KINDS:
        yield "data.augment", name
    for name in initial_weights.KINDS:
        yield "model.init", name
    for option in ("norm", "activation"):
        names = Recipe.model_fields["model"].annotation.model_fields[option]  # type: ignore[union-attr]
        yield from ((f"model.{option}", name) for name in re.findall(r"'(\w+)'", str(names.annotation)))


@pytest.mark.parametrize(("path", "kind"), sorted(set(every_option())))
def test_every_built_in_option_has_a_principle(path: str, kind: str) -> None:
    principle = PRINCIPLES.get(key_of(path))
    if path in UNEXPLAINED or path == "model.options":
        assert principle is None
    else:
        assert principle is not None, path
        assert not kind or kind in principle.kinds, f"{path}: {kind}"


@pytest.mark.parametrize("principle", PRINCIPLES.values(), ids=PRINCIPLES)
def test_every_principle_has_a_source_and_formulas_that_can_be_set(principle: Principle) -> None:
    texts = [principle.text, principle.after, *principle.kinds.values()]
    cited = [
        span.target for text in texts for span in marked(text) if not isinstance(span, str) and span.style == "cite"
    ]
    assert cited
    assert set(cited) <= set(REFERENCES)
    for formula in (principle.formula, *principle.formulas.values()):
        assert all(formulas.known(line) for line in formula.splitlines()), formula
    assert set(principle.formulas) <= set(principle.kinds)


def test_every_source_is_cited_somewhere_and_is_an_entry_of_bibtex() -> None:
    texts = (text for own in PRINCIPLES.values() for text in (own.text, own.after, *own.kinds.values()))
    named = {key for text in texts for key in re.findall(r"[a-z]+\d{4}", text)} | set(DATA_SETS.values())
    of_methods = {"cochran1941", "dunnett1955", "holm1979", "mcnemar1947", "page1963"}
    of_methods |= {"fieller1954", "shapley1953", "sidak1967"}
    of_looks = {"jennison1989", "lan1983", "whitehead1986"}
    assert named | of_methods | of_looks == set(REFERENCES)
    for key, own in REFERENCES.items():
        entry = own.bibtex(key)
        assert entry.count("{") == entry.count("}")
        assert key.endswith(str(own.year)), "a key is a name and a year"


def test_the_style_is_stored_with_the_study_and_is_no_part_of_a_run_key(tmp_path: Path) -> None:
    def manifest(text: str) -> Manifest:
        from ablation.planning.plan import make_plan, source_key
        from ablation.storage.manifest import make_manifest

        study = study_of(text, tmp_path / "tiny.yaml")
        return make_manifest(make_plan(study, {source_key(study.baseline.recipe.data): "5f" * 32}), "ablate run")

    plain, styled = manifest(TINY), manifest(TINY + "report: {style: lab, author: Ada, date: 2026-05-01}\n")
    assert styled.folders == plain.folders
    assert Manifest.from_json(json.loads(json.dumps(styled.to_json()))).report_options.style == "lab"
    earlier = plain.to_json()
    del earlier["report"]
    assert Manifest.from_json(json.loads(json.dumps(earlier))).report_options == ReportOptions()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("report: {style: poster}", "known: page, lab, paper"),
        ("report: {sections: [effects, effects]}", "section 'effects' is listed twice"),
        ("report: {autor: Ada}", "did you mean 'author'?"),
        ("analysis: {margins: 0.1}", "did you mean 'margin'?"),
    ],
)
def test_a_mistake_in_the_section_report_is_named_with_its_line(
    line: str, said: str, ablate: Ablate, study_file: Any
) -> None:
    study_file(TINY + line + "\n")
    result = ablate("validate", "tiny.yaml")
    assert result.returncode == 1
    assert said in result.stderr
    assert f"tiny.yaml:{len(TINY.splitlines()) + 1}" in result.stderr


@pytest.mark.slow
def test_the_command_takes_the_style_from_the_file_of_the_study_as_it_is_now(
    trained: Path, ablate: Ablate, tmp_path: Path
) -> None:
    (tmp_path / "tiny.yaml").write_text(
        TINY + "report: {style: lab, author: Ada, date: 2026-05-01}\n", encoding="utf-8"
    )
    result = ablate("report", "tiny.yaml", "--results", str(trained / "results"), "--course", "Lab 3")
    assert result.returncode == 0, result.stderr
    root = Page(tmp_path / "reports" / "tiny" / "report.html").root
    assert root.all("p", class_="byline")[0].words == "Ada · Lab 3 · 2026-05-01"
    assert read_manifest(trained / "results" / "studies" / "tiny" / "study.json").report == {}


def test_the_sections_of_a_report_can_be_chosen_and_ordered(tmp_path: Path) -> None:
    options = ReportOptions(sections=("methods", "effects", "recipe", "references"))
    root = Page(write(tmp_path, options, seeds=[0, 1])[1].html).root
    assert sections(root) == ["methods", "effects", "recipe", "references"]
    assert not root.all("div", class_="appendix")


def test_a_section_that_is_not_there_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no section 'efects'") as error:
        write(tmp_path, ReportOptions(sections=("efects",)), seeds=[0])
    assert "did you mean 'effects'" in str(error.value.hint)
    assert not (tmp_path / "report").exists()


def test_names_in_a_lab_report_are_text_and_nothing_else(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    options = ReportOptions(style="lab", author=(hostile,), course=hostile, date=hostile)
    variants = [StoredVariant(hostile, {"model.dropout": 0.5}, 0.95), *ARMS[2:]]
    root = Page(write(tmp_path, options, variants, title=hostile, question=hostile)[1].html).root
    assert len(root.all("script")) == 1, "ours"
    assert root.all("h1")[0].words == hostile
    assert isinstance(section(root, "abstract"), Element)


@pytest.mark.slow
def test_a_function_has_a_lab_report_and_a_paper_without_what_is_not_known(ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "def main(options, run):\n    return {'score': 0.5 + options['dropout'] + 0.01 * run.seed}\n", encoding="utf-8"
    )
    (tmp_path / "own.yaml").write_text(
        "study: own\ntask: {function: 'train:main'}\nmetrics: {score: {direction: higher}}\nbaseline: {dropout: 0.1}\n"
        "seeds: [0, 1, 2]\nvary: {dropout: [0.2]}\nreport: {style: lab, author: Ada}\n",
        encoding="utf-8",
    )
    assert ablate("run", "own.yaml").returncode == 0
    page = tmp_path / "reports" / "own" / "report.html"
    assert ablate("report").returncode == 0
    assert "principles" not in sections(Page(page).root)
    assert "with a baseline (train:main) under 3 seeds" in section(Page(page).root, "abstract").words
    assert "The score of the baseline is 0.6" in section(Page(page).root, "abstract").words
    result = ablate("report", "--style", "paper", "--format", "html,tex")
    assert result.returncode == 0, result.stderr
    assert "The baseline is trained by train:main with dropout 0.1." in section(Page(page).root, "paper_methods").words
