"""The code here against earlier commits: the same commands on equal studies, in turn, by the same Python."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.memory import watch
from benchmarks.rows import Part, Row, row
from benchmarks.scale.measure import Command, run_rounds
from benchmarks.sides import ROOT, environment, ours
from benchmarks.studies import train_in_rounds
from benchmarks.work import DIGITS, LENET, RESNET, noise, shortened

MOST = 1.02
"""How many times as much as before anything may take."""
NOW = "now"
STUDIES = ((LENET, "fp32"), (LENET, "bf16"), (RESNET, "fp32"), (RESNET, "bf16"), (DIGITS, "fp32"))
STUDY_ROUNDS = 5
WORKERS = (1, 2)
CLOCKS = {"training": "pools started", "whole": "whole command"}


class Timed(NamedTuple):
    """A command, the study that it is given, and in how many rounds it is timed."""

    words: tuple[str, ...]
    study: str
    size: str
    rounds: int
    leaves: str = ""


COMMANDS = (
    Timed(("--help",), "small", "", 21),
    Timed(("validate", "study.yaml"), "small", "100 runs", 21),
    Timed(("status",), "small", "100 runs", 21),
    Timed(("report",), "small", "100 runs x 200 epochs", 5),
    Timed(("plan", "100.yaml"), "plans", "100,000 runs (100 variants)", 5),
    Timed(("plan", "1000.yaml"), "plans", "100,000 runs (1000 variants)", 5),
    Timed(("status",), "large", "1,000 runs", 7),
    Timed(("report",), "large", "1,000 runs x 200 epochs", 5),
    Timed(("run", "study.yaml"), "images", "one epoch of 36,000 new images", 5, leaves="results"),
)
_WRITE = """
import sys
from pathlib import Path
from benchmarks.scale import stored
root, share = Path(sys.argv[1]), int(sys.argv[2])
stored.write(root / "small" / "results", 20, 5, 200)
stored.write_file(root / "small" / "study.yaml", 20, 5)
for variants in (100, 1000):
    stored.write_file(root / "plans" / f"{variants}.yaml", variants // share, 100_000 // variants)
stored.write(root / "large" / "results", 100 // share, 10, 200)
"""
"""Writes studies, and results in the format that the code has which runs it."""


def measure(quick: bool, commits: Sequence[str]) -> Part:
    """What the code takes now over what it took at each of the commits. Raises SystemExit for what is no commit."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        codes = {NOW: ROOT} | {commit: _checked_out(commit, root / "code" / commit) for commit in commits}
        rows = [*_commands(root, codes, quick), *_studies(codes, quick), *_memory(codes, quick)]
    return Part("Against earlier commits", _notes(commits), rows)


def _notes(commits: Sequence[str]) -> tuple[str, ...]:
    dates = [_git("log", "-1", "--format=%cs", commit).decode().strip() for commit in commits]
    which = ", ".join(f"{commit} of {date}" for commit, date in zip(commits, dates, strict=True))
    return (
        f"Ratio of what the code takes now to what it took at a commit ({which}): the same commands on equal studies,"
        " by the same Python and libraries, in interleaved rounds; every other round has the opposite order.",
        "The results that `status` and `report` read are written by the code of each commit.",
        "*Pools started* and *whole command* as above. Memory is measured once.",
    )


def _checked_out(commit: str, folder: Path) -> Path:
    """The code of a commit in a folder of its own. Raises RuntimeError where Python would import another."""
    archive = _git("archive", commit)
    folder.mkdir(parents=True)
    subprocess.run(["tar", "-x"], input=archive, cwd=folder, check=True)
    code = "import ablation, pathlib; print(pathlib.Path(ablation.__file__).parent.parent)"
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=True)
    if Path(found.stdout.strip()) != folder:
        raise RuntimeError(f"{commit}: ablation is imported from {found.stdout}")
    return folder


def _git(*words: str) -> bytes:
    result = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
    if result.returncode:
        sys.exit(f"git {' '.join(words)}: {result.stderr.decode().strip()}")
    return result.stdout


def _commands(root: Path, codes: Mapping[str, Path], quick: bool) -> list[Row]:
    """The command line: at its start, and at scale."""
    for side, code in codes.items():
        write = [sys.executable, "-c", _WRITE, str(root / side), "10" if quick else "1"]
        subprocess.run(write, cwd=code, env=environment(code), check=True)
        samples = 400 if quick else 40_000
        recipe = {"data": noise(samples - samples // 10, samples // 10), "model": "lenet5", "optimizer": "sgd"}
        (root / side / "images").mkdir()
        study = {"study": "images", "baseline": {**recipe, "train": {"epochs": 1}}, "seeds": 1}
        (root / side / "images" / "study.yaml").write_text(json.dumps(study), encoding="utf-8")
    rows: list[Row] = []
    for each in COMMANDS:
        words = ("-m", "ablation", *each.words)
        sides = {side: Command(root / side / each.study, words, each.leaves, code) for side, code in codes.items()}
        found = run_rounds(sides, 1 if quick else each.rounds)
        name = f"`ablate {' '.join(each.words)}`{each.size and ', '}{each.size}"
        rows += _ratios(name, {side: [spent.seconds for spent in own] for side, own in found.items()})
    return rows


def _studies(codes: Mapping[str, Path], quick: bool) -> list[Row]:
    """Whole studies from an empty results folder on."""
    rows: list[Row] = []
    for work, precision in STUDIES:
        own = shortened(work) if quick else work
        sides = {side: ours(precision, code=code) for side, code in codes.items()}
        found = train_in_rounds(own, sides, 1 if quick else STUDY_ROUNDS)
        for clock, words in CLOCKS.items():
            seconds = {side: [getattr(spent, clock) for spent in each] for side, each in found.items()}
            rows += _ratios(f"{own.label}, {precision}, {words}", seconds)
    return rows


def _memory(codes: Mapping[str, Path], quick: bool) -> list[Row]:
    """The peak PSS of the processes of a study."""
    rows: list[Row] = []
    work = shortened(LENET) if quick else replace(LENET, seeds=(0,))
    for workers in WORKERS:
        peaks = {side: [max(own.pss for own in watch(work, workers, code)[0])] for side, code in codes.items()}
        rows += _ratios(f"{LENET.name}, workers: {workers}, peak PSS", peaks)
    return rows


def _ratios(name: str, found: Mapping[str, Sequence[float]]) -> list[Row]:
    """What it takes now over what it took, within a round."""
    rows = []
    for commit in (side for side in found if side != NOW):
        values = [now / before for now, before in zip(found[NOW], found[commit], strict=True)]
        rows.append(row(name, values, "x", MOST, against=commit))
        print(f"{name}, against {commit}: {rows[-1].value:.3f} ({rows[-1].low:.3f} to {rows[-1].high:.3f})", flush=True)
    return rows
