"""The documentation site: it builds without a warning, and its reference is that of the code."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import ablation
from ablation.cli.main import parse
from ablation.registry import augmentations, catalog, datasets, optimizers, schedules
from ablation.study.schema import StudyFile
from ablation.study.strict_yaml import parse as parse_yaml

from .conftest import ROOT
from .test_cli import COMMANDS
from .test_docs import blocks

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    pytest.importorskip("myst_parser")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-n", "-W", "--keep-going", "-q", "-d", str(folder / "trees")]
    done = subprocess.run(
        [*command, str(DOCS), str(folder / "html")], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


def page(site: Path, name: str) -> str:
    """A page of the site as text, without its markup."""
    return re.sub(r"<[^>]+>", "", (site / f"{name}.html").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_site_has_every_page_and_its_reference_all_that_the_code_offers(site: Path) -> None:
    for source in DOCS.glob("*.md"):
        assert (site / f"{source.stem}.html").is_file(), source
    commands = page(site, "command-line")
    assert [name for name in COMMANDS if f"ablate {name}" not in commands] == []
    assert "--per-device" in commands
    components = page(site, "components")
    kinds = (
        augmentations.KINDS,
        catalog.MODELS,
        catalog.TORCHVISION,
        datasets.KINDS,
        optimizers.KINDS,
        schedules.KINDS,
    )
    assert [name for names in kinds for name in names if name not in components] == []
    assert "final_div_factor" in components
    keys = page(site, "keys")
    assert [key for key in StudyFile.model_fields if key not in keys] == []
    api = page(site, "python-api")
    assert [name for name in ablation.__all__ if name != "__version__" and f"ablation.{name}" not in api] == []
    assert "Raises UserError" in api


@pytest.mark.slow
def test_links_of_the_site_lead_to_pages_and_places_that_are_there(site: Path) -> None:
    ids = {file.name: set(re.findall(r'id="([^"]+)"', file.read_text())) for file in site.glob("*.html")}
    lost = []
    for file in site.glob("*.html"):
        for target in re.findall(r'<a [^>]*href="(?!https?:|mailto:)([^"]+)"', file.read_text()):
            name, _, place = target.partition("#")
            known = ids.get(name or file.name)
            if not (site / (name or file.name)).exists() or (place and known is not None and place not in known):
                lost.append((file.name, target))
    assert lost == []


def test_every_page_is_in_the_contents() -> None:
    listed = {
        line
        for block in re.findall(r"```{toctree}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
        for line in block.splitlines()
    }
    assert {source.stem for source in DOCS.glob("*.md")} - listed == {"index"}


@pytest.mark.parametrize("name", ["one-seed", "paired-seeds", "intervals"])
def test_the_figures_are_what_their_script_draws(name: str) -> None:
    drawn = runpy.run_path(str(DOCS / "figures" / "draw.py"))["FIGURES"][name]()
    assert drawn == (DOCS / "figures" / f"{name}.svg").read_text(encoding="utf-8")


def test_the_workflow_is_one_and_its_commands_are_accepted() -> None:
    workflow = parse_yaml(blocks(DOCS / "github-workflow.md", "yml")[0], "workflow").value
    steps = workflow["jobs"]["smoke"]["steps"]
    commands = [step["run"].split() for step in steps if step.get("run", "").startswith("ablate ")]
    assert [words[1] for words in commands] == ["validate", "run", "report"]
    for words in commands:
        assert parse(words[1:])
        assert words[2] == "smoke-smoke" or (ROOT / words[2]).is_file()


def test_the_container_installs_what_there_is() -> None:
    recipe = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    (extras,) = re.findall(r"/src\[([\w,]+)\]", recipe)
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert [extra for extra in extras.split(",") if f"\n{extra} = [" not in pyproject] == []
    assert 'ENTRYPOINT ["ablate"]' in recipe
    assert parse(["run", "study.yaml"])
