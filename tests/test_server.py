"""The server that workers are forked from starts early where that is certain to be of use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

START = """
import sys
from multiprocessing import forkserver
from pathlib import Path
from ablation.execution.server import start_early

start_early(Path("study.yaml"), 1)
print(forkserver._forkserver._forkserver_pid is not None, [name for name in sys.modules if name in ("torch", "numpy")])
"""

TRAIN = """
import sys
from ablation.worker import images

images.set_up(1)  # trains a network
print([name for name in ("torch._dynamo", "torch._inductor", "torchvision", "sympy") if name in sys.modules])
"""


@pytest.mark.slow
def test_training_loads_no_compiler() -> None:
    """It takes torch as long to load as all the rest, and every command that trains would wait for it."""
    found = subprocess.run([sys.executable, "-c", TRAIN], cwd=ROOT, capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


@pytest.mark.parametrize(
    ("study", "code", "started"),
    [
        ('task: {command: "python train.py {args}", seed: --seed}\n', "import torch\n", True),
        ('task: {function: "train:main"}\n', "import sklearn\n", True),
        ('task: {function: "train:main"}\n', "def main(options, run):\n    import torch\n", False),
        ("baseline: {data: digits}\n", "", False),
        (None, "", False),
    ],
)
def test_the_server_starts_early_only_for_code_without_torch(
    study: str | None, code: str, started: bool, tmp_path: Path
) -> None:
    if study is not None:
        (tmp_path / "study.yaml").write_text(study)
    (tmp_path / "train.py").write_text(code)
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    found = subprocess.run([sys.executable, "-c", START], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert found.stdout.strip() == f"{started} []", found.stderr
