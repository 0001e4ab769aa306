"""Modules are not looked for in the working folder, or beside the script: what is there is not run."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .conftest import ROOT, TINY
from .test_cluster import loopback, needs_ray, two_nodes

NAMES = (
    "ablation", "concurrent", "filelock", "json", "multiprocessing", "numpy", "pickle", "pydantic", "queue", "random",
    "rich", "signal", "sitecustomize", "socket", "tempfile", "torch", "torchvision", "typing", "usercustomize", "yaml",
)  # fmt: skip
TINIEST = TINY.replace("epochs: 3", "epochs: 1").replace("[0, 1]", "[0]").split("vary:")[0]
RUN = ("run", "tiny.yaml", "--device", "cpu", "--per-device", "1")
STARTED_BY_PYTHON = """
import sys
import ablation.cli.main, ablation.cli.run, ablation.execution.local, ablation.study.load, ablation.cli.console
import ablation.execution.study
{before}
sys.path.insert(0, "")
sys.exit(ablation.cli.main.main({arguments!r}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a study, and with a file for each of the names, that leaves a mark when it is run."""
    (tmp_path / "tiny.yaml").write_text(TINIEST, encoding="utf-8")
    (tmp_path / "run").mkdir()
    set_traps(tmp_path, tmp_path / "run")
    return tmp_path


def set_traps(folder: Path, marks: Path) -> None:
    for name in NAMES:
        code = f"open({str(marks / name)!r}, 'w').close()\nraise SystemExit('{name}.py was imported')\n"
        (folder / f"{name}.py").write_text(code, encoding="utf-8")


def check(command: list[str], folder: Path, **environment: str) -> None:
    """The command ends well, and none of the files was run."""
    result = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert {path.name for path in (folder / "run").iterdir()} == set()
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    assert len(list(folder.glob("results/runs/*/run.json"))) == 1


def installed_command(folder: Path) -> str:
    """The command `ablate` as an installer writes it, in a folder of its own."""
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]["ablate"]
    module, _, name = entry.partition(":")
    folder.mkdir()
    script = folder / "ablate"
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import {name}\nsys.exit({name}())\n")
    script.chmod(0o755)
    return str(script)


@pytest.mark.slow
def test_the_command_imports_nothing_from_the_working_folder_or_from_its_own(folder: Path) -> None:
    command = installed_command(folder / "bin")
    set_traps(folder / "bin", folder / "run")
    (folder / "bin" / "ablation.py").unlink()  # Python itself looks for it there, before any line of ours
    check([command, *RUN], folder)


@pytest.mark.slow
def test_python_m_imports_nothing_from_the_working_folder(folder: Path) -> None:
    (folder / "ablation.py").unlink()  # Python itself looks for it there, before any line of ours
    check([sys.executable, "-m", "ablation", *RUN], folder)


@pytest.mark.slow
@pytest.mark.parametrize("pythonpath", [os.pathsep, f".{os.pathsep}/nowhere", "bin"], ids=["empty", "dot", "relative"])
def test_relative_folders_of_pythonpath_are_left_out(pythonpath: str, folder: Path) -> None:
    command = installed_command(folder / "bin")
    for name in ("ablation", "sitecustomize", "usercustomize"):
        (folder / f"{name}.py").unlink()  # Python itself looks for them there, before any line of ours
    check([command, *RUN], folder, PYTHONPATH=pythonpath)


@pytest.mark.slow
def test_python_that_ignores_the_environment_imports_nothing_from_the_working_folder(folder: Path) -> None:
    check([sys.executable, "-E", installed_command(folder / "bin"), *RUN], folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "before",
    ["", "import multiprocessing; multiprocessing.get_all_start_methods = lambda: ['spawn']"],
    ids=["fork server", "spawn"],
)
def test_workers_of_another_program_import_nothing_from_the_working_folder(before: str, folder: Path) -> None:
    """The path of the program begins with the working folder, as under `python -c` and `python -m pytest`."""
    script = STARTED_BY_PYTHON.format(before=before, arguments=list(RUN))
    check([sys.executable, "-P", "-c", script], folder)


@pytest.mark.slow
def test_workers_do_not_run_the_script_that_started_them(folder: Path) -> None:
    script = f"open({str(folder)!r} + '/started', 'a').write('x')\n" + STARTED_BY_PYTHON.format(
        before="", arguments=RUN
    )
    (folder / "study.py").write_text(script, encoding="utf-8")
    check([sys.executable, "-P", "study.py"], folder)
    assert (folder / "started").read_text() == "x"


@needs_ray
@pytest.mark.slow
def test_workers_of_its_own_ray_import_nothing_from_the_working_folder(folder: Path) -> None:
    check([installed_command(folder / "bin"), *RUN, "--backend", "ray"], folder, **loopback())


@needs_ray
@pytest.mark.slow
def test_workers_of_a_cluster_import_nothing_from_the_working_folder(folder: Path) -> None:
    with two_nodes() as cluster:
        command = [installed_command(folder / "bin"), *RUN, "--backend", "ray", "--address", cluster.address]
        check(command, folder, **loopback())


@pytest.mark.slow
def test_a_module_in_a_folder_that_pythonpath_names_in_full_is_found(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "helpers.py").write_text("WIDTH = 16\n", encoding="utf-8")
    (tmp_path / "lib" / "nets.py").write_text(
        "from helpers import WIDTH\nfrom torch import nn\n\n\ndef net(classes, in_channels):\n"
        "    return nn.Sequential(nn.Flatten(), nn.LazyLinear(WIDTH), nn.Linear(WIDTH, classes))\n",
        encoding="utf-8",
    )
    (tmp_path / "tiny.yaml").write_text(
        TINIEST.replace("{name: lenet5, norm: batch, dropout: 0.1, hidden: [16]}", '{name: "nets:net"}'), "utf-8"
    )
    (tmp_path / "run").mkdir()
    command = installed_command(tmp_path / "bin")
    check([command, *RUN], tmp_path, PYTHONPATH=str(tmp_path / "lib"))
