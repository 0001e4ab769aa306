"""Short runs of the user's own functions: what a study costs over a bare pool, and how it grows to a thousand runs."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ablation.execution.devices import available_cores
from benchmarks.rows import Part, Row, row
from benchmarks.scale.measure import FOLD, Command, Spent, run_rounds
from benchmarks.sides import ROOT, SCRIPTS, foreign, timed

ROUNDS, SCALE_ROUNDS = 5, 3
VALUES, SEEDS = (1.0, 2.0, 3.0), (0, 1, 2, 3)
WORK, SHORT = 0.5, 0.001
"""Seconds of the processor that a run takes."""
VARIANTS, MANY = 25, 40
"""Variants and seeds of the thousand runs."""
OURS, POOL = "`ablate run`", "bare multiprocessing.Pool"
MUSHIN, MUSHIN_JOBLIB, HYDRA = "mushin, basic launcher", "mushin, joblib launcher", "Hydra multirun, joblib launcher"

NOTES = (
    f"{len(VALUES) * len(SEEDS)} runs of a function that keeps a core busy for {WORK} s and imports nothing heavy. Each"
    " side is one command from the shell in an empty folder, start-up and imports included, in interleaved rounds;"
    " every other round has the opposite order.",
    "*The bare pool* has as many processes as `ablate run` has workers, and keeps nothing but a list of numbers."
    " mushin and Hydra keep a folder for each run, as `ablate run` does; mushin has its own resume on.",
    f"*A thousand runs* take {SHORT * 1000:.0f} ms each. Peak memory is that of the largest of their processes."
    f" *{FOLD} times as many*: the seconds of 1,000 runs over those of 125, start-up and all.",
)
FUNCTION = """\
import time

def main(options, run):
    end = time.process_time() + options["work"]
    while time.process_time() < end:
        pass
    return {"score": options["value"] + run.seed / 100}
"""


def write_study(folder: Path, values: Sequence[float], seeds: int, work: float) -> None:
    """`short.yaml` and its function."""
    folder.mkdir(parents=True, exist_ok=True)
    others = ", ".join(map(str, values[1:]))
    text = f"""\
study: short
task: {{function: "train:main"}}
metrics: {{score: {{direction: higher}}}}
baseline: {{value: {values[0]}, work: {work}}}
seeds: {seeds}
vary: {{value: [{others}]}}
"""
    (folder / "short.yaml").write_text(text, encoding="utf-8")
    (folder / "train.py").write_text(FUNCTION, encoding="utf-8")


def measure(quick: bool, python: Path) -> Part:
    """Every row, with the rivals run by `python`; `quick` shows only that everything works."""
    return Part("Short runs of a function", NOTES, [*_against_others(quick, python), *_thousand(quick)])


def _against_others(quick: bool, python: Path) -> list[Row]:
    work = 0.01 if quick else WORK
    sides = {OURS: _ours(work), **_others(python, work)}
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(1 if quick else ROUNDS):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(sides[name](Path(folder)))
            print(f"{name}: {found[name][-1]:.2f} s", flush=True)
    runs, ours = len(VALUES) * len(SEEDS), found[OURS]
    pairs = list(zip(ours, found[POOL], strict=True))
    label = f"{runs} runs of {work} s"
    rows = [
        row(f"{label}: {OURS} over the pool", [own / bare for own, bare in pairs], "x", 1.2, against=POOL),
        row(f"{label}: over the pool, for each run", [(own - bare) / runs for own, bare in pairs], "s", 0.1),
    ]
    for rival in (MUSHIN, MUSHIN_JOBLIB, HYDRA):
        ratios = [theirs / own for theirs, own in zip(found[rival], ours, strict=True)]
        rows.append(row(f"{label}: theirs over {OURS}", ratios, "x", 1.0, against=rival, at_least=True))
    return rows + [row(f"{label}: {name}", seconds, "s") for name, seconds in found.items()]


def _ours(work: float) -> Callable[[Path], float]:
    def side(folder: Path) -> float:
        write_study(folder, VALUES, len(SEEDS), work)
        command = [sys.executable, "-m", "ablation", "run", "short.yaml"]
        seconds = timed(command, folder, {**os.environ, "PYTHONPATH": str(ROOT)})
        _check(folder, "results/runs/*/run.json")
        return seconds

    return side


def _others(python: Path, work: float) -> dict[str, Callable[[Path], float]]:
    """The rivals: a script, its interpreter, its arguments, and the files that it leaves."""
    values, seeds = (",".join(map(str, own)) for own in (VALUES, SEEDS))
    given = [f"--values={values}", f"--seeds={seeds}", f"--work={work}"]
    swept = ["--multirun", f"value={values}", f"seed={seeds}", f"work={work}", "hydra/launcher=joblib"]

    def side(script: str, arguments: Sequence[str], left: str, interpreter: Path = python) -> Callable[[Path], float]:
        def run(folder: Path) -> float:
            seconds = timed([str(interpreter), str(SCRIPTS / script), *arguments], folder, foreign())
            _check(folder, left)
            return seconds

        return run

    return {
        POOL: side("pool.py", [*given, f"--workers={available_cores()}"], "scores.json", Path(sys.executable)),
        MUSHIN: side("with_mushin.py", given, "sweep/*/mushin_metrics.json"),
        MUSHIN_JOBLIB: side("with_mushin.py", [*given, "--launcher=joblib"], "sweep/*/mushin_metrics.json"),
        HYDRA: side("short_hydra.py", swept, "multirun/*/*/*/score.json"),
    }


def _check(folder: Path, left: str) -> None:
    """Raise RuntimeError where a side has not left the files of all its runs."""
    wanted = len(VALUES) * len(SEEDS) if "*" in left else 1
    if (found := len(list(folder.glob(left)))) != wanted:
        raise RuntimeError(f"{left}: {found} files, not {wanted}")


def _thousand(quick: bool) -> list[Row]:
    """Seconds and memory of a thousand runs, and how `status` and `report` grow up to them."""
    sizes = {times: (VARIANTS, max(2, MANY * times // FOLD // (10 if quick else 1))) for times in (1, FOLD)}
    with tempfile.TemporaryDirectory() as name:
        spent: dict[int, Spent] = {}
        commands: dict[str, Command] = {}
        for times, (variants, seeds) in sizes.items():
            folder = Path(name) / str(times)
            write_study(folder, [float(value) for value in range(1, variants + 1)], seeds, SHORT)
            spent[times] = run_rounds({"": _ablate(folder, "run", "short.yaml")}, 1)[""][0]
            commands |= {f"{what} {times}": _ablate(folder, what) for what in ("status", "report")}
        found = run_rounds(commands, 1 if quick else SCALE_ROUNDS)
    variants, seeds = sizes[FOLD]
    label = f"`ablate run`, {variants * seeds:,} runs of {SHORT * 1000:.0f} ms"
    rows = [
        row(label, [spent[FOLD].seconds], "s"),
        row(f"{label}: processor time", [spent[FOLD].processor], "s"),
        row(f"{label}: peak memory", [spent[FOLD].memory], "MiB"),
        row(f"{label}: {FOLD} times as many", [spent[FOLD].seconds / spent[1].seconds], "x", FOLD),
    ]
    for what in ("status", "report"):
        small, large = found[f"{what} 1"], found[f"{what} {FOLD}"]
        ratios = [own.seconds / before.seconds for own, before in zip(large, small, strict=True)]
        rows.append(row(f"`ablate {what}`, {variants * seeds:,} runs", [own.seconds for own in large], "s"))
        rows.append(row(f"`ablate {what}`: {FOLD} times as many runs", ratios, "x", FOLD))
    return rows


def _ablate(folder: Path, *arguments: str) -> Command:
    return Command(folder, ("-m", "ablation", *arguments))
