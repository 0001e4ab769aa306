"""Commands, each in a process of its own and in rounds, so that what else the machine does falls on all alike."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rows import Row, row
from benchmarks.scale import stored

START_ROUNDS, ROUNDS = 9, 2
_MIB = 1024**2 if sys.platform == "darwin" else 1024
"""What `ru_maxrss` is divided by: it is in bytes on macOS, in KiB on Linux."""


@dataclass(frozen=True)
class Command:
    """Arguments of the interpreter, and the folder that it is started in."""

    folder: Path
    arguments: tuple[str, ...]


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
            *growth(root / "growth", share, min(rounds, 1)),
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
    """How processor time grows from n to 2n to 4n: the second increase over the first; 2 where it is linear."""
    commands: dict[str, list[Command]] = {}
    for times in (1, 2, 4):
        seeds = max(times * 10 // share, times)
        own = root / f"runs-{times}"
        stored.write(own / "results", 50, seeds, 25)
        stored.write_file(own / "plan.yaml", 200, 25 * seeds)
        commands.setdefault("ablate report, with the runs", []).append(_ablate(own, "report"))
        commands.setdefault("ablate status, with the runs", []).append(_ablate(own, "status"))
        commands.setdefault("ablate plan, with the runs", []).append(_ablate(own, "plan", "plan.yaml"))
        own = root / f"epochs-{times}"
        stored.write(own / "results", 50, 5, max(400 * times // share, 10 * times))
        commands.setdefault("ablate report, with the epochs", []).append(_ablate(own, "report"))
    flat = {f"{name} {place}": own for name, three in commands.items() for place, own in enumerate(three)}
    found = run_rounds(flat, rounds)
    return [_growth_row(name, [found[f"{name} {place}"] for place in range(3)]) for name in commands]


def _growth_row(name: str, spent: Sequence[Sequence[Spent]]) -> Row:
    """The ratio of increases of the median times; its spread is that of the rounds."""
    first, second, third = ([own.processor for own in rounds] for rounds in spent)
    ratios = [(c - b) / (b - a) for a, b, c in zip(first, second, third, strict=True)]
    a, b, c = (statistics.median(seconds) for seconds in (first, second, third))
    return Row(f"{name}: second increase over the first", (c - b) / (b - a), "", min(ratios), max(ratios))


def run_rounds(commands: Mapping[str, Command], rounds: int) -> dict[str, list[Spent]]:
    """Run every command once in each round."""
    found: dict[str, list[Spent]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            found[name].append(_run(command))
    return found


def _run(command: Command) -> Spent:
    """Raises RuntimeError where the command fails."""
    launch = [sys.executable, str(Path(__file__).with_name("launch.py")), sys.executable, *command.arguments]
    answer = subprocess.run(launch, cwd=command.folder, stdout=subprocess.PIPE, check=True)
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
