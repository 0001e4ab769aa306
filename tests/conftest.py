"""What all tests share: the command as a user types it, and small study files."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path

import pytest

from .forks import AVAILABLE, Commands

ROOT = Path(__file__).resolve().parent.parent
ABLATE = [sys.executable, "-m", "ablation"]
TERMINAL = {"COLUMNS": "200", "NO_COLOR": "1"}

TINY = """\
study: tiny
baseline:
  data: {name: digits, validation: 0.2, limit: 200}
  model: {name: lenet5, norm: batch, dropout: 0.1, hidden: [16]}
  optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
  train: {epochs: 3, batch_size: 32}
seeds: [0, 1]
vary:
  model.dropout: [0.0]
  model.norm: [none]
"""

Ablate = Callable[..., subprocess.CompletedProcess[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fresh", action="store_true", help="start a new Python for every command (slower)")


@pytest.fixture(scope="session")
def commands(request: pytest.FixtureRequest) -> Iterator[Commands | None]:
    """Forks commands from a process with their imports; None where every command starts a new Python."""
    if request.config.getoption("--fresh") or not AVAILABLE:
        yield None
        return
    commands = Commands({**os.environ, **TERMINAL})
    yield commands
    commands.stop()


def fresh(folder: Path, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """`ablate ARGUMENTS...` in a folder, by a new Python."""
    command, environment = [*ABLATE, *arguments], {**os.environ, **TERMINAL}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture
def ablate(tmp_path: Path, commands: Commands | None) -> Ablate:
    """Runs `ablate ARGUMENTS...` in a folder of its own and returns what it printed and its exit code."""

    def call(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **TERMINAL}
        if commands and commands.can_run(environment):
            return commands.run(arguments, tmp_path, environment, timeout)
        return fresh(tmp_path, *arguments, timeout=timeout)

    return call


@pytest.fixture
def study_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a study file into the test's folder."""

    def write(text: str = TINY, name: str = "tiny.yaml") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the tiny study was run to its end by the real command."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
    result = subprocess.run(
        [*ABLATE, "run", "tiny.yaml"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.fixture
def fresh_workers() -> None:
    """Workers that are started in this process get its environment as it is now, whatever earlier tests started."""
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stores of experiment trackers that tests/logged_runs.py wrote by the real libraries."""
    folder = tmp_path_factory.mktemp("logged")
    with zipfile.ZipFile(ROOT / "tests" / "data" / "stores.zip") as archive:
        archive.extractall(folder)
    return folder
