"""`python -m benchmarks.budget [--only NAMES]`: what `ablate plan --hours` predicts, and what is then spent.

Three studies: image classifiers on small images and on larger ones, and a function. Each is planned and run three times
in one results folder: runs that are finished are free, so that each plan adds seeds, and later plans learn from earlier
runs.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ablation.execution.devices import available_cores

ROOT = Path(__file__).parent.parent
ROUNDS = 3
PHOTOGRAPHS = """\
study: photographs
baseline:
  data: {name: synthetic, shape: [3, 32, 32], samples: 600, validation: 0.2}
  model: {name: vgg11, norm: batch, width: 0.25, hidden: [64]}
  optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
  train: {epochs: 4, batch_size: 64}
seeds: [0, 1]
vary:
  optimizer.momentum: [0.5]
  model.width: [0.125, 0.35]
  data.fraction: [0.5]
  optimizer.lr: [0.01]
"""
FUNCTION = """\
study: forest
task: {function: "forest:main"}
metrics: {val_accuracy: {direction: higher, unit: share}}
baseline: {trees: 150, depth: 12, features: 0.3}
seeds: [0, 1]
vary: {trees: [50, 300], depth: [4], features: [0.1]}
"""
FOREST = '''\
"""A random forest on synthetic data."""

from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split


def main(options, run):
    x, y = make_classification(4000, 40, n_informative=12, n_classes=4, random_state=run.seed)
    x, held_out, y, answers = train_test_split(x, y, random_state=run.seed)
    forest = RandomForestClassifier(
        options["trees"], max_depth=options["depth"], max_features=options["features"], random_state=run.seed
    )
    return {"val_accuracy": forest.fit(x, y).score(held_out, answers)}
'''


@dataclass(frozen=True)
class Work:
    """A study, the hours that it is given in each round, and the seed that is run before, where a function is timed."""

    name: str
    text: str
    hours: float
    code: str = ""


STUDIES = (
    Work("smoke", (ROOT / "studies" / "smoke.yaml").read_text(encoding="utf-8"), 0.035),
    Work("photographs", PHOTOGRAPHS, 0.04),
    Work("forest", FUNCTION, 0.025, FOREST),
)
UNITS = {"h": 3600.0, "min": 60.0, "s": 1.0}


@dataclass(frozen=True)
class Round:
    """A recommended command, its predicted seconds and their range, what they were corrected by, and what it took."""

    command: str
    runs: int
    predicted: float
    low: float
    high: float
    correction: str
    spent: float

    @property
    def inside(self) -> bool:
        """Whether the time was within the range."""
        return self.low <= self.spent <= self.high


def rounds(work: Work, folder: Path) -> Iterator[Round]:
    """Plan a study and run what is recommended, again and again."""
    (folder / f"{work.name}.yaml").write_text(work.text, encoding="utf-8")
    if work.code:
        (folder / f"{work.name}.py").write_text(work.code, encoding="utf-8")
        ablate(folder, "run", f"{work.name}.yaml", "--seeds", "0")
    for _ in range(ROUNDS):
        yield planned_and_run(work, folder)


def planned_and_run(work: Work, folder: Path) -> Round:
    """One round, as a user would type it."""
    printed = ablate(folder, "plan", f"{work.name}.yaml", "--hours", str(work.hours))
    command = re.search(r"^  ablate (run .*)$", printed, re.MULTILINE)
    told = re.search(r"^recommended: .*: ([\d,]+) runs?, about (.*) \((.*) to (.*)\);", printed, re.MULTILINE)
    if not command or not told:
        raise SystemExit(f"{work.name}: nothing is recommended:\n{printed}")
    corrected = re.search(r"corrected by (\S+)", printed)
    began = time.perf_counter()
    ablate(folder, *shlex.split(command[1]))
    spent = time.perf_counter() - began
    times = [seconds(text) for text in told.groups()[1:]]
    return Round(command[1], int(told[1].replace(",", "")), *times, corrected[1] if corrected else "-", spent)


def seconds(text: str) -> float:
    """`1 h 05 min` in seconds."""
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+) (h|min|s)\b", text))


def ablate(folder: Path, *arguments: str) -> str:
    """What a command prints that is run in a folder. Raises SystemExit where it fails."""
    command = [sys.executable, "-m", "ablation", *arguments]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budget")
    names = [work.name for work in STUDIES]
    parser.add_argument("--only", default=",".join(names), metavar="LIST", help=f"some of {','.join(names)}")
    wanted = parser.parse_args().only.split(",")
    if unknown := set(wanted) - set(names):
        parser.error(f"--only: no such study: {', '.join(sorted(unknown))}")
    load = os.getloadavg()[0]
    print(f"{datetime.now(UTC):%Y-%m-%d}, {available_cores()} cores, load average before: {load:.2f}\n")
    heads = ("study", "budget, s", "command", "runs", "predicted, s", "range, s", "corrected by", "spent, s", "ratio")
    print(f"| {' | '.join(heads)} |")
    print(f"|{'---|' * len(heads)}")
    for work in STUDIES:
        if work.name not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            for each in rounds(work, Path(folder)):
                spread = f"{each.low:.0f} to {each.high:.0f}{'' if each.inside else ' (missed)'}"
                cells = (
                    work.name, f"{3600 * work.hours:.0f}", f"`{each.command}`", each.runs, f"{each.predicted:.0f}",
                    spread, each.correction, f"{each.spent:.0f}", f"{each.spent / each.predicted:.2f}",
                )  # fmt: skip
                print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
