"""The wheel and the sdist hold all that a user needs."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from .conftest import ROOT
from .minimum import constraints, declared


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_templates(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name.startswith("ablation_lab-")
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    for template in (ROOT / "templates").iterdir():
        assert f"ablation/templates/{template.name}" in names
    assert {f"ablation/locale/zh/LC_MESSAGES/ablation.{ending}" for ending in ("po", "mo")} <= names
    assert not [name for name in names if name.startswith(("tests", "studies", "docs"))]


@pytest.mark.slow
def test_the_sdist_holds_what_the_tests_need(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    wanted = {"templates/report.html.jinja", "studies/smoke.yaml", "tests/conftest.py", "Makefile", "LICENSE"}
    wanted |= {"docs/conf.py", "docs/_ext/reference/__init__.py", "docs/figures/intervals.svg", "Containerfile"}
    wanted |= {f"ablation/locale/zh/LC_MESSAGES/ablation.{ending}" for ending in ("po", "mo")}
    assert wanted <= names


@pytest.mark.slow
def test_an_index_would_accept_both(built: Path) -> None:
    pytest.importorskip("twine")
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, sorted(built.iterdir()))]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "400"})
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("PASSED") == 2


@pytest.mark.slow
def test_the_wheel_is_typed_and_names_what_it_needs(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        assert "ablation/py.typed" in file.namelist()
        (metadata,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        lines = file.read(metadata).decode().splitlines()
    assert "Requires-Python: >=3.11" in lines
    needed = [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]
    assert {line for line in needed if "extra ==" not in line} == {f"{name}>={version}" for name, version in declared()}


def test_every_dependency_has_a_lowest_version_that_can_be_asked_for() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    lines = constraints([*extras]).splitlines()
    assert "torch==2.7" in lines
    assert len({line.partition("==")[0] for line in lines}) == len(lines) > 30
    assert "torch==2.7" not in constraints(without=["torch"]).splitlines()


@pytest.mark.parametrize("extra", ["metrics", "word", "pdf", "ray", "docs", "examples"])
def test_the_development_environment_has_each_extra(extra: str) -> None:
    assert {name for name, _ in declared([extra])} <= {name for name, _ in declared(["dev"])}


@pytest.mark.slow
def test_an_installed_wheel_renders_a_report(built: Path, trained: Path, tmp_path: Path) -> None:
    """In a fresh environment that has the wheel, and borrows the libraries (not the package) of this one."""
    (wheel,) = built.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    site = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    Path(site, "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    command = [str(tmp_path / "venv" / "bin" / "ablate"), "report", "--results", str(trained / "results")]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    where = [str(python), "-c", "import ablation; print(ablation.__file__)"]
    assert site in subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "<svg" in (tmp_path / "reports" / "tiny" / "report.html").read_text(encoding="utf-8")
