"""The benchmarks compare like with like, and say what they measured."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from .conftest import ROOT

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not in a source distribution", allow_module_level=True)

from ablation.training.models.counting import count_macs, count_parameters
from ablation.training.sizes import build_network
from benchmarks.__main__ import _arguments
from benchmarks.earlier import _checked_out
from benchmarks.rows import row, table
from benchmarks.sides import environment
from benchmarks.work import DIGITS, LENET, RESNET, Work

sys.path.append(str(ROOT / "benchmarks" / "rivals"))
from networks import NETWORKS


@pytest.mark.parametrize("work", [LENET, RESNET, DIGITS], ids=lambda work: work.name)
def test_a_rival_trains_the_same_network(work: Work) -> None:
    recipe = work.plan().runs[0].recipe
    image = (1, 8, 8) if work is DIGITS else (3, 32, 32)
    ours = build_network(recipe, image, 10).network
    theirs = NETWORKS[work.model](image[0], image[1], 10, 0.0)
    assert count_parameters(theirs) == count_parameters(ours)
    assert count_macs(theirs, image) == count_macs(ours, image)
    ours_out, theirs_out = (each.eval()(torch.zeros(2, *image)) for each in (ours, theirs))
    assert ours_out.shape == theirs_out.shape == (2, 10)


def test_the_images_are_exported_for_the_rivals_with_the_size_of_the_held_out_part(tmp_path: Path) -> None:
    folder, held_out = DIGITS.prepare(tmp_path)
    images, labels = np.load(folder / "images.npy"), np.load(folder / "labels.npy")
    assert images.shape == (1437, 8, 8, 1)
    assert held_out == sum(round(0.2 * count) for count in np.bincount(labels))


def test_the_rivals_python_may_be_named_from_where_one_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--rivals", "bin/python"])
    assert _arguments().rivals == tmp_path / "bin" / "python"


def test_an_earlier_commit_runs_its_own_code(tmp_path: Path) -> None:
    folder = _checked_out("HEAD", tmp_path / "HEAD")
    code = "import ablation.cli.main as main; print(main.__file__)"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == folder / "ablation" / "cli" / "main.py"
    with pytest.raises(SystemExit, match="git archive no-such-commit"):
        _checked_out("no-such-commit", tmp_path / "none")


@pytest.mark.parametrize(("against", "parts"), [("", 7), ("HEAD~1,HEAD", 8)])
def test_earlier_commits_are_measured_where_they_are_named(
    against: str, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--rivals", sys.executable, "--against", against])
    options = _arguments()
    assert len(options.only) == parts
    assert options.against == [commit for commit in against.split(",") if commit]


def test_a_goal_is_reached_by_the_median_whatever_the_spread() -> None:
    faster = row("study", [2.0, 3.0, 9.0], "x", 2.8, against="script", at_least=True)
    slower = row("loop", [1.0, 1.06, 1.2], "x", 1.05)
    assert (faster.value, faster.low, faster.high, faster.reached) == (3.0, 2.0, 9.0, True)
    assert slower.reached is False
    assert row("seconds", [1.0], "s").reached is None
    lines = table([faster, slower]).splitlines()
    assert lines[2] == "| study | script | ≥ 2.80 x | 3.00 x | 2.00 to 9.00 | yes |"
    assert lines[3] == "| loop |  | ≤ 1.05 x | 1.06 x | 1.00 to 1.20 | **no** |"


def test_the_spread_of_many_rounds_is_that_of_their_quartiles() -> None:
    many = row("loop", [float(n) for n in range(1, 12)], "x")
    assert (many.low, many.value, many.high) == (3.0, 6.0, 9.0)


def test_the_configuration_of_hydra_has_every_option_of_the_scripts() -> None:
    """Hydra runs the same training as the plain script, from a file of its own."""
    rivals = ROOT / "benchmarks" / "rivals"
    options = set(re.findall(r'add_argument\("--(\w+)"', (rivals / "options.py").read_text()))
    known = yaml.safe_load((rivals / "conf" / "config.yaml").read_text())
    assert known.keys() | {"output"} == options
