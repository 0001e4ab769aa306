"""Both sides of a comparison as whole commands: `ablate run`, and the scripts in rivals/ with a Python of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.work import Work

SCRIPTS = Path(__file__).parent / "rivals"
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Trained:
    """What both sides must have in common for a comparison to mean anything."""

    parameters: int
    train_images: int
    val_images: int
    epochs: int


@dataclass(frozen=True)
class Spent:
    """Seconds of one side for a whole study, and what each of its runs was.

    `training`: pools started and packages imported; `whole`: the command, or all commands together, as the user waits.
    """

    training: float
    whole: float
    trained: Trained


Side = Callable[[Work, Path], Spent]
"""Trains a whole study, with a fresh folder for what it writes."""


def environment(code: Path = ROOT) -> dict[str, str]:
    """The environment in which Python imports `ablation` from the folder `code`."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH", "")]))}


def ours(precision: str, *more: str, code: Path = ROOT) -> Side:
    """`ablate run` with its default settings, checkpoints and self-checks included; `more` are options of it."""

    def side(work: Work, folder: Path) -> Spent:
        (folder / "study.yaml").write_text(work.study(precision), encoding="utf-8")
        command = [sys.executable, "-m", "ablation", "run", "study.yaml", *more]
        whole = timed(command, folder, environment(code))
        runs = list((folder / "results" / "runs").iterdir())
        # The lock is the first file of a run, the move of run.json into its place the last change of its folder.
        began = min((run / "lock").stat().st_mtime for run in runs)
        ended = max(run.stat().st_mtime for run in runs)
        return Spent(ended - began, whole, _trained(work, [_read(run / "run.json") for run in runs]))

    return side


def script(python: Path, name: str, images: tuple[Path, int], **more: object) -> Side:
    """A script that trains one run, started again for every run, one after another; `more` are options of it."""

    def side(work: Work, folder: Path) -> Spent:
        common = {**_options(work, images), **more}
        whole = 0.0
        for number, (dropout, seed) in enumerate((d, s) for s in work.seeds for d in work.dropouts):
            own = {**common, "dropout": dropout, "seed": seed, "output": folder / str(number)}
            command = [str(python), str(SCRIPTS / name), *(f"--{key}={value}" for key, value in own.items())]
            whole += timed(command, folder, foreign())
        return _noted(work, folder, whole)

    return side


def hydra(python: Path, launcher: str, images: tuple[Path, int]) -> Side:
    """Hydra's multirun over the plain training: one command for the whole study."""

    def side(work: Work, folder: Path) -> Spent:
        sweep = {"dropout": work.dropouts, "seed": work.seeds}
        varied = [f"{key}={','.join(str(value) for value in values)}" for key, values in sweep.items()]
        fixed = [f"{key}={value}" for key, value in _options(work, images).items()]
        place = [f"hydra.sweep.dir={folder / 'sweep'}", f"hydra/launcher={launcher}"]
        command = [str(python), str(SCRIPTS / "with_hydra.py"), "--multirun", *varied, *fixed, *place]
        whole = timed(command, folder, foreign())
        return _noted(work, folder, whole)

    return side


def _options(work: Work, images: tuple[Path, int]) -> dict[str, object]:
    folder, validation = images
    return {
        "images": folder,
        "validation": validation,
        "model": work.model,
        "epochs": work.epochs,
        "batch_size": work.batch_size,
        "padding": work.padding,
        "flip": int(work.flip),
    }


def foreign() -> dict[str, str]:
    """The environment without what would lead a foreign Python to our packages."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}


def timed(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> float:
    """Seconds of a command. Raises RuntimeError with what it said where it fails."""
    start = time.perf_counter()
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")
    return seconds


def _noted(work: Work, folder: Path, whole: float) -> Spent:
    """What the scripts of a study noted, their seconds added up."""
    results = [_read(file) for file in folder.rglob("result.json")]
    return Spent(sum(result["seconds"] for result in results), whole, _trained(work, results))


def _read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _trained(work: Work, runs: Sequence[Mapping[str, Any]]) -> Trained:
    """What every run of a study was. Raises RuntimeError where a run is missing or is not like the others."""
    found = {Trained(*(run[field.name] for field in fields(Trained))) for run in runs}
    if len(runs) != work.runs or len(found) != 1:
        raise RuntimeError(f"{work.label}: {len(runs)} runs of {found}")
    return found.pop()
