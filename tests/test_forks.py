"""A forked `ablate` does what a new Python does."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import TERMINAL, TINY, fresh
from .forks import AVAILABLE, Commands
from .test_run import results, same

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="commands are forked on Linux only")


@pytest.fixture
def forks() -> Iterator[Commands]:
    commands = Commands({**os.environ, **TERMINAL})
    yield commands
    commands.stop()


@pytest.mark.slow
def test_a_forked_command_does_what_a_fresh_one_does(forks: Commands, tmp_path: Path) -> None:
    folders = tmp_path / "fresh", tmp_path / "forked"
    for folder in folders:
        folder.mkdir()
        (folder / "tiny.yaml").write_text(TINY, encoding="utf-8")
    for words in (["run", "tiny.yaml"], ["status"], ["run", "tinny.yaml"], ["report", "--formats"]):
        first = fresh(folders[0], *words)
        second = forks.run(words, folders[1], {**os.environ, **TERMINAL}, 120)
        assert second.returncode == first.returncode
        for mine, other in ((first.stdout, second.stdout), (first.stderr, second.stderr)):
            assert sorted(without_numbers(mine)) == sorted(without_numbers(other)), words
    same(*(results(folder, "tiny") for folder in folders))


def without_numbers(text: str) -> list[str]:
    """The lines without times and counters: runs finish in any order."""
    return [re.sub(r"^\d+/6|\d+\.\d s|\d+ s\b", "#", line) for line in text.splitlines()]


def test_the_environment_of_imports_must_be_the_same(forks: Commands) -> None:
    environment = {**os.environ, **TERMINAL}
    assert forks.can_run({**environment, "ABLATION_FREE_BYTES": "1", "KMP_INIT_AT_FORK": "FALSE"})
    assert not forks.can_run({**environment, "PYTHONHASHSEED": "0"})
    assert not forks.can_run({name: value for name, value in environment.items() if name != "PATH"})


@pytest.mark.slow
def test_a_server_that_cannot_start_says_how_to_do_without(tmp_path: Path) -> None:
    (tmp_path / "pydantic.py").write_text("raise ImportError('broken')", encoding="utf-8")
    commands = Commands({**os.environ, **TERMINAL, "PYTHONPATH": str(tmp_path)})
    with pytest.raises(RuntimeError, match=r"`pytest --fresh` does without"):
        commands.run(["status"], tmp_path, os.environ, 60)
    commands.stop()
