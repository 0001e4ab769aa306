"""Commands, each in a process of its own and in rounds, so that what else the machine does falls on all alike."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.rows import Row, row
from benchmarks.scale import stored
from benchmarks.sides import ROOT, environment
from benchmarks.work import noise

START_ROUNDS, ROUNDS = 9, 3
FOLD = 8
"""How many times as much a command is given to see how it grows."""
_MIB = 1024**2 if sys.platform == "darwin" else 1024
"""What `ru_maxrss` is divided by: it is in bytes on macOS, in KiB on Linux."""


@dataclass(frozen=True)
class Command:
    """Arguments of the interpreter, the folder that it is started in, and the one in it that must not be there yet."""

    folder: Path
    arguments: tuple[str, ...]
    leaves: str = ""
    code: Path = ROOT
    """Where `ablation` is imported from."""


@dataclass(frozen=True)
class Spent:
    """What one process took: seconds on the clock and of the processor, and its peak memory in MiB."""

    seconds: float
    processor: float
    memory: float


def measure(share: int = 1) -> list[Row]:
    """Every row; a `share` of 10 takes a tenth of the runs, and one round, to see that it works at all."""
    start_rounds, rounds = (START_ROUNDS, ROUNDS) if share == 1 else (1, 1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        return [
            *start(root / "start", start_rounds),
            *plans(root / "plans", 100_000 // share, rounds),
            *report(root / "report", 1000 // share, rounds),
            *growth(root / "growth", share, min(rounds, 2)),
        ]


def start(root: Path, rounds: int) -> list[Row]:
    """Seconds of three commands on a study of 100 runs, less those of a bare interpreter in the same round."""
    stored.write(root / "results", 20, 5, 200)
    stored.write_file(root / "large.yaml", 20, 5)
    goals = {"ablate --help": 0.1, "ablate validate large.yaml": 0.5, "ablate status": 0.5}
    commands = {name: _ablate(root, *name.split()[1:]) for name in goals}
    found = run_rounds({"bare": Command(root, ("-c", "pass")), **commands}, rounds)
    rows = []
    for name, goal in goals.items():
        over = [own.seconds - bare.seconds for own, bare in zip(found[name], found["bare"], strict=True)]
        rows.append(row(f"{name}, 100 runs, over a bare interpreter", over, "s", goal))
    return rows


def plans(root: Path, runs: int, rounds: int) -> list[Row]:
    """Seconds of `ablate plan` where the runs are many seeds of 100 variants, and 100 seeds of many variants."""
    commands = {}
    for variants in (100, runs // 100):
        file = stored.write_file(root / f"{variants}.yaml", variants, runs // variants)
        commands[f"ablate plan, {runs:,} runs ({variants} variants)"] = _ablate(root, "plan", file.name)
    found = run_rounds(commands, rounds)
    return [row for name, spent in found.items() for row in _times(name, spent, 5.0)]


def report(root: Path, runs: int, rounds: int) -> list[Row]:
    """Seconds and memory of `ablate report` on ten seeds of 200 epochs."""
    stored.write(root / "results", runs // 10, 10, 200)
    (spent,) = run_rounds({"": _ablate(root, "report")}, rounds).values()
    name = f"ablate report, {runs:,} runs x 200 epochs"
    return [
        *_times(name, spent, 15.0),
        row(f"{name}: peak memory", [own.memory for own in spent], "MiB", 700.0),
    ]


def growth(root: Path, share: int, rounds: int) -> list[Row]:
    """Seconds that four times as much takes, over those of once: at most 8 where nothing grows faster than linearly."""
    sizes = [_grown(root / str(times), times, share) for times in (1, FOLD)]
    flat = {f"{name} {place}": own for place, size in enumerate(sizes) for name, own in size.items()}
    found = run_rounds(flat, rounds)
    rows = []
    for name in sizes[0]:
        pairs = zip(*(found[f"{name} {place}"] for place in range(2)), strict=True)
        rows.append(row(name, [large.seconds / small.seconds for small, large in pairs], "x", FOLD))
    return rows


def _grown(root: Path, times: int, share: int) -> dict[str, Command]:
    """The commands whose growth is measured, each with `times` as much of one thing to do."""
    runs, epochs, images = root / "runs", root / "epochs", root / "images"
    seeds = max(10 * times // share, times)
    stored.write(runs / "results", 50, seeds, 25)
    stored.write_file(runs / "plan.yaml", 200, 6 * seeds)  # below the limit of 100,000 runs
    stored.write(epochs / "results", 50, 5, max(400 * times // share, 10 * times))
    samples = max(4500 * times // share, 100 * times)
    recipe = {"data": noise(samples, samples // 9), "model": {"name": "lenet5"}, "optimizer": {"name": "sgd"}}
    study = {"study": "images", "baseline": {**recipe, "train": {"epochs": 1}}, "seeds": 1}
    images.mkdir(parents=True)
    (images / "images.yaml").write_text(json.dumps(study), encoding="utf-8")
    return {
        f"ablate report of {FOLD} times as many runs": _ablate(runs, "report"),
        f"ablate status of {FOLD} times as many runs": _ablate(runs, "status"),
        f"ablate plan of {FOLD} times as many runs": _ablate(runs, "plan", "plan.yaml"),
        f"ablate report of {FOLD} times as many epochs": _ablate(epochs, "report"),
        f"ablate run on {FOLD} times as many images": replace(_ablate(images, "run", "images.yaml"), leaves="results"),
    }


def run_rounds(commands: Mapping[str, Command], rounds: int) -> dict[str, list[Spent]]:
    """Run every command once in each round; every other round has the opposite order."""
    found: dict[str, list[Spent]] = {name: [] for name in commands}
    for number in range(rounds):
        for name in list(commands)[:: -1 if number % 2 else 1]:
            found[name].append(_run(commands[name]))
    return found


def _run(command: Command) -> Spent:
    """Raises RuntimeError where the command fails."""
    if command.leaves:
        shutil.rmtree(command.folder / command.leaves, ignore_errors=True)
    launch = [sys.executable, str(Path(__file__).with_name("launch.py")), sys.executable, *command.arguments]
    answer = subprocess.run(
        launch, cwd=command.folder, env=environment(command.code), stdout=subprocess.PIPE, check=True
    )
    seconds, processor, memory, code = json.loads(answer.stdout)
    if code:
        raise RuntimeError(f"{' '.join(command.arguments)} ended with exit code {code}")
    return Spent(seconds, processor, memory / _MIB)


def _ablate(folder: Path, *arguments: str) -> Command:
    return Command(folder, ("-m", "ablation", *arguments))


def _times(name: str, spent: Sequence[Spent], goal: float) -> list[Row]:
    """Seconds on the clock, which the goal is for, and of the processor, which other work moves less."""
    processor = row(f"{name}: processor time", [own.processor for own in spent], "s", None)
    return [row(name, [own.seconds for own in spent], "s", goal), processor]
