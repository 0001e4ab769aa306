"""What the documentation says of this repository is true: its commands are commands, its studies are valid."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablation.cli.main import main, parse
from ablation.errors import FileError
from ablation.registry import augmentations, catalog, datasets, optimizers, schedules
from ablation.study import validation_errors
from ablation.study.load import load_study
from ablation.study.schema import AnalysisOptions, Recipe, StudyFile
from ablation.study.strict_yaml import parse as parse_yaml

from .conftest import ABLATE, ROOT, Ablate
from .test_cli import COMMANDS

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OVERVIEW = ROOT / "docs" / "overview.md"
BASE = """\
baseline:
  data: {name: cifar10, augment: [crop, flip]}
  model: {name: vgg13, norm: batch, dropout: 0.5}
  optimizer: {name: sgd, lr: 0.05, momentum: 0.9, weight_decay: 0.05}
  schedule: {name: cosine, warmup_epochs: 1}
  train: {epochs: 30}
seeds: [0, 1, 2]
"""
"""What a snippet of the documentation that is no whole study is put into."""


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    fenced = re.findall(r"^```([^\n`]*)\n(.*?)^```$", text(page), re.DOTALL | re.MULTILINE)
    return [block for own, block in fenced if own == language]


def snippets() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for number, block in enumerate(blocks(page, "yaml"), start=1):
            yield f"{page.name} {number}", block


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        lines = [
            line
            for language in ("", "sh", "yml")
            for block in blocks(page, language)
            for line in block.splitlines()
            if re.match(r"\s*(- run: )?ablate ", line) and "${" not in line  # a test of its own runs those of a loop
        ]
        written = [*lines, *re.findall(r"`(ablate [^`]+)`", text(page))]
        for line in dict.fromkeys(re.sub(r"^.*?(?=\bablate )|#.*|[\[\]]| >+ .*", "", line).strip() for line in written):
            yield f"{page.name}: {line}", line


def test_every_test_in_the_table_of_faults_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", text(ROOT / "docs" / "faults.md")))
    defined = {
        name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert len(named) > 20
    assert named <= defined


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text(page))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(("name", "line"), [*commands()])
def test_every_command_line_of_the_documentation_is_accepted(name: str, line: str) -> None:
    _, command, *rest = shlex.split(line)
    if rest or command == "schema":
        assert parse([command, *rest]), name
    else:  # a command that is only mentioned
        assert command in (*COMMANDS, "--help")


@pytest.mark.parametrize(("name", "block"), [*snippets()], ids=[name for name, _ in snippets()])
def test_every_study_of_the_documentation_is_valid(
    name: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code in ("my_models.py", "my_parts.py", "my_data.py", "train.py"):
        (tmp_path / code).touch()
    monkeypatch.chdir(tmp_path)
    given = parse_yaml(block, name).value
    study = {} if "task" in given else parse_yaml(BASE, "base").value
    for key, value in given.items():
        if key in Recipe.model_fields and "task" not in given:
            study["baseline"][key] = value
        elif key == "baseline":
            study["baseline"] = value
        else:
            study[key] = value
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(study))
    assert load_study(path, need_data=False).variants, name


@pytest.mark.slow
def test_the_function_of_the_documentation_is_trained_as_it_stands(tmp_path: Path, ablate: Ablate) -> None:
    pytest.importorskip("sklearn")
    page = ROOT / "docs" / "functions.md"
    (tmp_path / "forest.yaml").write_text(blocks(page, "yaml")[0])
    (tmp_path / "train.py").write_text(blocks(page, "python")[0])
    done = ablate("run", "forest.yaml", "--smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ablate("report").returncode == 0


@pytest.mark.slow
def test_the_search_and_the_job_of_the_page_on_verdicts_run_as_they_stand(tmp_path: Path) -> None:
    page = ROOT / "docs" / "verdict.md"
    job, search = blocks(page, "sh")
    (tmp_path / "train.py").write_text(
        "def main(options, run):\n"
        "    noise = run.generator(f\"noise {options['depth']}\").normal()\n"
        "    return {'score': noise - abs(options['depth'] - 16)}\n"
    )
    (tmp_path / "template.yaml").write_text(blocks(page, "yaml")[0])
    command = tmp_path / "bin" / "ablate"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.join(ABLATE)} "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    done = run(search)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "best: 16"
    lines = [json.loads(line) for line in (tmp_path / "verdicts.txt").read_text().splitlines()]
    assert [line["verdict"] for line in lines] == ["better", "worse", "better", "worse"]
    assert [(line["use"], line["uses"], line["seeds_reused"]) for line in lines] == [(n, 100, 0) for n in range(1, 5)]
    refused = run(job)  # of the last candidate, which is worse
    assert (refused.returncode, refused.stdout.splitlines()[-1]) == (1, "worse")
    (tmp_path / "candidate.yaml").unlink()
    failed = run(job)
    assert (failed.returncode, failed.stdout.splitlines()[-1]) == (2, "no verdict")


def test_the_error_that_the_overview_shows_is_the_one_that_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (shown,) = (block for block in blocks(OVERVIEW, "") if block.startswith("error: "))
    study, *_ = blocks(OVERVIEW, "yaml")
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    Path("studies/vgg.yaml").write_text(
        study.replace("{name: vgg16, norm: batch, dropout:", "{name: vgg16, norm: batch, droput:")
    )
    assert main(["validate", "studies/vgg.yaml"]) == 1
    assert capsys.readouterr().err == shown


def table(section: str) -> dict[str, str]:
    """The first table of a section of study-files.md: the names of its first column -> the rest of the row."""
    page = text(ROOT / "docs" / "study-files.md")
    part = page if not section else re.split(rf"^## `{section}`", page, flags=re.MULTILINE)[1]
    rows: dict[str, str] = {}
    for row in re.search(r"^\| key .*?(?=\n\n)", part, re.DOTALL | re.MULTILINE)[0].splitlines()[2:]:  # type: ignore[index]
        first, _, rest = row.removeprefix("|").partition("|")
        rows |= dict.fromkeys(re.findall(r"`(\w+)`", first), rest)
    return rows


@pytest.mark.parametrize("section", validation_errors.SECTIONS)
def test_the_tables_of_study_files_name_every_option(section: str) -> None:
    assert set(table(section)) == set(validation_errors.option_names(section, None))


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("data", list(datasets.KINDS)),
        ("model", list(catalog.MODELS)),
        ("optimizer", list(optimizers.KINDS)),
        ("schedule", list(schedules.KINDS)),
    ],
)
def test_the_tables_of_study_files_name_every_choice(section: str, names: list[str]) -> None:
    assert set(names) <= set(re.findall(r"`(\w+)`", table(section)["name"]))


@pytest.mark.parametrize("section", ["optimizer", "schedule"])
def test_the_tables_of_study_files_give_the_defaults_of_the_registry(section: str) -> None:
    page = re.split(rf"^## `{section}`", text(ROOT / "docs" / "study-files.md"), flags=re.MULTILINE)[1].split("\n## ")[
        0
    ]
    fields = [field for kind in validation_errors._KINDS[section].values() for field in kind.model_fields.items()]
    for names, defaults in re.findall(r"^\| (`\w+`.*?) \| (.*?) ?\|", page, re.MULTILINE):
        for name, shown in zip(re.findall(r"`(\w+)`", names), defaults.split(","), strict=True):
            known = [None if field.is_required() else field.default for key, field in fields if key == name]
            assert (parse_yaml(shown.strip(), name).value if shown.strip() else None) in known, name


def test_the_table_of_augmentations_gives_the_options_of_the_registry() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", text(ROOT / "docs" / "study-files.md"), re.MULTILINE)
    shown = {name: ", ".join(re.findall("`(.*?)`", options)) for name, options in rows if name in augmentations.KINDS}
    for name, kind in augmentations.KINDS.items():
        own = kind.model_validate({"name": name}).model_dump(mode="json", exclude={"name"})
        own = {
            key: [float(f"{end:.4g}") for end in value] if isinstance(value, list) else value
            for key, value in own.items()
        }
        assert parse_yaml(f"{{{shown[name]}}}", name).value == own


def test_the_tables_of_study_files_name_every_key_of_the_file() -> None:
    assert set(table("")) == set(StudyFile.model_fields)
    assert set(table("analysis")) == set(AnalysisOptions.model_fields)


@pytest.mark.slow
def test_the_page_on_files_names_all_that_is_written(trained: Path, ablate: Ablate, tmp_path: Path) -> None:
    page = text(ROOT / "docs" / "results.md")
    result = ablate("report", "--results", str(trained / "results"))
    assert result.returncode == 0, result.stderr
    roots = (trained / "results" / "runs", trained / "results" / "studies", tmp_path / "reports")
    names = {path.name for root in roots for path in root.rglob("*") if path.is_file() and path.suffix != ".png"}
    assert {"run.json", "study.json", "report.html"} <= names
    assert [name for name in sorted(names) if name not in page] == []


@pytest.mark.parametrize(
    ("number", "module", "runs"),
    [(0, "my_models", 3), pytest.param(1, "my_parts", 7, marks=pytest.mark.slow)],
)
def test_the_custom_components_of_the_documentation_can_be_trained(
    number: int, module: str, runs: int, ablate: Ablate, tmp_path: Path
) -> None:
    page = ROOT / "docs" / "custom-components.md"
    (tmp_path / f"{module}.py").write_text(blocks(page, "python")[number])
    (tmp_path / "study.yaml").write_text(blocks(page, "yaml")[number])
    result = ablate("run", "study.yaml", "--smoke", "--seeds", "0")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{runs} runs trained" in result.stdout


def test_make_says_what_it_does_before_it_takes_minutes() -> None:
    command = ["make", "--dry-run", "--always-make", "PYTHON=python3", "demo", "test"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    steps = re.findall(r'echo "== (.*)"', printed)
    assert [step.split()[0] for step in steps] == ["creating", "installing", "training", "running"]
    assert "several minutes" in steps[1]
    assert printed.index("several minutes") < printed.index("pip install")


def test_a_wrong_study_of_the_documentation_would_be_found(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(BASE.replace("dropout", "droput"))
    with pytest.raises(FileError):
        load_study(path)
