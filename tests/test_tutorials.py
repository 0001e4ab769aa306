"""The tutorials: every command that they show runs, and prints what is shown where that is the same everywhere."""

from __future__ import annotations

import html
import importlib.util
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablation.study.load import load_study

from .conftest import ABLATE, ROOT
from .test_docs import blocks, text

TUTORIALS = ["tutorial", "tutorial.zh"]
EXTRAS = {"docx": "docx", "pdf": "weasyprint"}
"""Formats of reports that need a library, and its module."""


def shown(page: Path) -> Iterator[tuple[str, str]]:
    """Each command line of a page, with the output that it shows below."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text(page), re.DOTALL | re.MULTILINE)
    for (language, command), (after, output) in zip(fences, [*fences[1:], ("", "")], strict=True):
        if language == "sh":
            yield command.strip(), output if after == "text" else ""


def as_installed(line: str) -> str:
    """A command line without the formats whose libraries are not installed."""
    missing = [name for name, module in EXTRAS.items() if not importlib.util.find_spec(module)]
    return re.sub("|".join(f",{name}" for name in missing), "", line) if missing else line


def write_study(page: Path, folder: Path) -> Path:
    """The study file that the page writes piece by piece."""
    path = folder / "lab3.yaml"
    path.write_text("\n".join(blocks(page, "yaml")), encoding="utf-8")
    return path


def without_times(output: str) -> str:
    """An output without what differs between machines: seconds, and blanks that depend on them."""
    return re.sub(r"\s+", " ", re.sub(r"[\d.]+ (s|seconds|minutes?|min)\b", "T", output)).strip()


@pytest.mark.parametrize("name", TUTORIALS)
def test_the_pieces_of_the_study_are_one_file(name: str, tmp_path: Path) -> None:
    study = load_study(write_study(ROOT / "docs" / f"{name}.md", tmp_path))
    assert [variant.name for variant in study.variants] == [
        *("baseline", "dropout=0", "dropout=0.6", "norm=none", "norm=layer", "schedule=constant", "schedule=step"),
    ]
    assert study.seeds == (0, 1, 2, 3, 4)


def test_both_languages_train_the_same_runs(tmp_path: Path) -> None:
    english, chinese = (load_study(write_study(ROOT / "docs" / f"{name}.md", tmp_path)) for name in TUTORIALS)
    assert [variant.recipe for variant in english.variants] == [variant.recipe for variant in chinese.variants]


@pytest.mark.slow
def test_every_command_of_the_tutorials_runs(tmp_path: Path) -> None:
    """Those of the Chinese one after those of the English one, in the same folder: its runs are trained already."""
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    for name in TUTORIALS:
        page = ROOT / "docs" / f"{name}.md"
        write_study(page, tmp_path)
        for line, output in shown(page):
            command, *words = shlex.split(as_installed(line), comments=True)
            assert command == "ablate"
            if words[0] == "test" and name != TUTORIALS[0]:
                continue  # the test set was used for these runs: once is all there is
            done = subprocess.run(
                [*ABLATE, *words],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == 0, line + done.stdout + done.stderr
            if words[0] in ("validate", "plan") and name == TUTORIALS[0]:
                assert without_times(done.stdout) == without_times(output)
            if words[0] == "report":
                for part, written in zip(("discussion", "conclusion"), blocks(page, "markdown"), strict=True):
                    (tmp_path / "reports" / "lab3" / f"{part}.md").write_text(written, encoding="utf-8")
        report = (tmp_path / "reports" / "lab3" / "report.html").read_text(encoding="utf-8")
        read = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", report)).split())
        for paragraph in "\n\n".join(blocks(page, "markdown")).split("\n\n"):
            assert " ".join(paragraph.split()) in read
