"""A form of one's own: templates in the working folder, a logo, and sections in another order."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from PIL import Image

from ablation.errors import UserError
from ablation.report import Form, Report, write_report
from ablation.study.report_options import ReportOptions
from tests.conftest import ROOT, Ablate
from tests.stored import ARMS, write_study
from tests.test_report import Page, sections

PAGE = ROOT / "docs" / "report.md"


def write(root: Path, options: ReportOptions | None = None, formats: tuple[str, ...] = ("html", "md")) -> Report:
    stored = write_study(root / "results", ARMS[:1], [0, 1])
    form = Form(options, formats, root / "templates")
    return write_report(stored.store, stored.manifest, root / "report", form=form)


def template(root: Path, name: str, text: str) -> None:
    (root / "templates").mkdir(exist_ok=True)
    (root / "templates" / name).write_text(text, encoding="utf-8")


def logo(path: Path) -> None:
    Image.new("RGB", (40, 20), "navy").save(path)


def test_a_template_of_the_working_folder_replaces_the_part_of_its_name(tmp_path: Path) -> None:
    template(tmp_path, "footer.html.jinja", "<footer>{{ page.title }} \u2013 University of Testing</footer>")
    template(tmp_path, "own.css.jinja", "h1 { color: rebeccapurple; }")
    root = Page(write(tmp_path).html).root
    assert root.all("footer")[0].words == "What does dropout do? \u2013 University of Testing"
    assert "h1 { color: rebeccapurple; }" in root.all("style")[0].text
    assert root.all("h1"), "the other parts are those of the package"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("footer.html.jinja", "<p>\n{% if %}", "footer.html.jinja, line 2"),
        ("footer.html.jinja", "\n\n{{ page.nothing }}", "footer.html.jinja, line 3"),
        ("footer.html.jinja", "{{ 1 / 0 }}", "footer.html.jinja, line 1: division by zero"),
        ("footer.html.jinja", "{{ page.__class__.__mro__ }}", "footer.html.jinja, line 1"),
        ("foter.html.jinja", "x", "foter.html.jinja replaces no part of the report"),
    ],
    ids=["syntax", "unknown name", "error", "forbidden", "misspelt"],
)
def test_a_template_that_cannot_be_used_is_named_with_its_line(name: str, text: str, said: str, tmp_path: Path) -> None:
    template(tmp_path, name, text)
    with pytest.raises(UserError, match=re.escape(said)) as error:
        write(tmp_path)
    assert error.value.hint
    assert not (tmp_path / "report" / "report.html").exists()


def test_a_template_cannot_run_code(tmp_path: Path) -> None:
    template(tmp_path, "footer.html.jinja", "{{ ''.__class__.__base__.__subclasses__() }}")
    with pytest.raises(UserError, match="unsafe"):
        write(tmp_path)


def test_a_script_in_a_template_is_not_run_by_the_page(tmp_path: Path) -> None:
    template(tmp_path, "header.html.jinja", "<h1>Mine</h1><script>document.title = 'no'</script>")
    text = write(tmp_path).html.read_text(encoding="utf-8")
    assert text.index("Content-Security-Policy") < text.index("<h1>Mine")
    assert len(re.findall(r"'sha256-[^']*'", text)) == 1


def test_a_folder_of_templates_for_something_else_changes_nothing(tmp_path: Path) -> None:
    template(tmp_path, "index.html", "not ours")
    assert Page(write(tmp_path).html).root.all("h1")


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_logo_is_in_every_form(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    logo(tmp_path / f"logo.{ending}")
    report = write(tmp_path, ReportOptions(logo=f"logo.{ending}"), ("html", "md", "tex"))
    (image,) = Page(report.html).root.all("img", class_="logo")
    assert str(image.attributes["src"]).startswith("data:image/")
    assert report.markdown.read_text(encoding="utf-8").startswith(f"![](figures/logo.{ending})")
    assert (tmp_path / "report" / "figures" / f"logo.{ending}").is_file()
    assert f"{{figures/logo.{ending}}}" in (tmp_path / "report" / "paper" / "main.tex").read_text(encoding="utf-8")
    again = write_report_without_logo(tmp_path)
    assert not (again.html.parent / "figures" / f"logo.{ending}").exists()


def write_report_without_logo(root: Path) -> Report:
    from ablation.storage.manifest import read_studies
    from ablation.storage.store import Store

    (manifest,), _ = read_studies(Store(root / "results"))
    return write_report(Store(root / "results"), manifest, root / "report")


def test_a_logo_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.png").write_bytes(b"\x89PNG no")
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, format="GIF")
    Path("wrong.png").write_bytes(stream.getvalue())
    for number, (name, said) in enumerate(
        {
            "broken.png": "no PNG or JPEG image",
            "wrong.png": "no PNG or JPEG image",
            "missing.png": "there is no file",
        }.items()
    ):
        with pytest.raises(UserError, match=said):
            write(tmp_path / str(number), ReportOptions(logo=name))
        assert not (tmp_path / str(number) / "report").exists()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_example_of_the_documentation_works_as_it_is_written(ablate: Ablate, trained: Path, tmp_path: Path) -> None:
    study, section = (trained / "tiny.yaml").read_text(encoding="utf-8"), blocks("yaml")[-1]
    (tmp_path / "tiny.yaml").write_text(study + section, encoding="utf-8")
    logo(tmp_path / "logo.png")
    for name, text in zip(("footer.html.jinja", "own.css.jinja"), (*blocks("jinja"), *blocks("css")), strict=True):
        template(tmp_path, name, text)
    result = ablate("report", "tiny.yaml", "--results", str(trained / "results"))
    assert result.returncode == 0, result.stderr
    root = Page(tmp_path / "reports" / "tiny" / "report.html").root
    assert sections(root) == ["abstract", "effects", "cost", "methods", "references"]
    assert "Department of Computer Science" in root.all("footer")[0].words
