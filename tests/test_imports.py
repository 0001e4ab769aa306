"""What the light commands load: torch only where something is trained or counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, TINY

HEAVY = ("torch", "torchvision", "pandas", "scipy", "matplotlib", "numpy", "PIL")

SCRIPT = """
import sys
from ablation.cli.main import main
try:
    code = main({arguments!r})
except SystemExit as end:
    code = end.code
assert not code, code
print("LOADED", *[name for name in {heavy!r} if name in sys.modules])
"""


def loaded(arguments: list[str], folder: Path) -> set[str]:
    script = SCRIPT.format(arguments=arguments, heavy=HEAVY)
    result = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["list"],
        ["schema"],
        ["validate", str(ROOT / "studies" / "smoke.yaml")],
    ],
    ids=lambda arguments: " ".join(Path(word).name for word in arguments),
)
def test_light_commands_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    assert loaded(arguments, tmp_path) == set()


def test_help_does_not_even_load_the_schema(tmp_path: Path) -> None:
    script = SCRIPT.format(arguments=["--help"], heavy=("pydantic", "yaml", "rich"))
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "LOADED"


def test_a_command_does_not_wait_for_the_others(tmp_path: Path) -> None:
    others = ("ablation.cli.run", "ablation.cli.report", "ablation.cli.live", "ablation.study.load", "yaml")
    script = SCRIPT.format(arguments=["list"], heavy=others)
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "LOADED"


@pytest.mark.slow
def test_the_command_that_trains_leaves_torch_to_its_workers(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    assert not loaded(["run", "tiny.yaml"], tmp_path) & {"torch", "torchvision"}


def test_workers_of_functions_load_nothing_that_only_images_need() -> None:
    script = """
import sys, ablation.execution.preload_worker
images = ("torch", "PIL", "ablation.study.schema", "ablation.registry.datasets")
print(*[name for name in images if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_status_and_report_load_no_torch(trained: Path) -> None:
    assert loaded(["status"], trained) == set()
    assert not loaded(["report"], trained) & {"torch", "torchvision"}
