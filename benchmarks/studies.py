"""The wall time of whole studies, over that of what one would write by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.rows import Part, Row, row
from benchmarks.sides import Side, Spent, hydra, ours, script
from benchmarks.work import DIGITS, LENET, RESNET, Work, shortened

STUDENT, WORKERS = "student's script, 0 workers", "student's script, 2 workers"
LIGHTNING, BASIC, JOBLIB = "Lightning", "Hydra multirun, basic launcher", "Hydra multirun, joblib launcher"
FP32, BF16 = "fp32", "bf16"
POOLS, COMMAND = "training", "whole"

NOTES = (
    "Ratio of wall times, theirs over ours, of whole studies in interleaved rounds; a ratio is taken within a round,"
    " and every other round has the opposite order.",
    "Ours is `ablate run` with its default settings into an empty results folder: checkpoints, self-checks and records"
    " are included. bf16 is ours; the rivals compute in fp32.",
    "*Pools started*: ours from the start of the first run to the end of the last, as stored in their folders (the"
    " second worker is forked and warmed up within that time); theirs from after the imports to the end of the"
    " training, added up over the runs. *Whole command*: as the user waits, imports and start-up included.",
    "Rivals have the same network (equal numbers of parameters, checked in every run), images, split sizes, batch size,"
    " epochs, optimiser, schedule, augmentation, and evaluate every epoch.",
    "Rivals use torch's default number of threads, which suffers more than single-threaded workers where other"
    " processes use the cores: only a quiet machine gives a fair ratio.",
    "The student's script: torchvision transforms on PIL images, DataLoader with 0 or 2 workers, `.item()` for loss and"
    " accuracy at each step, the best weights saved, one process for each run, one after another.",
    "Lightning: the same loaders with 0 workers; Trainer with its defaults (CSV logger, a checkpoint every epoch,"
    " sanity check), without the progress bar; metrics logged by epoch. One process for each run.",
    "Hydra: `--multirun` over the plain training; the basic launcher trains one run after another in one process, the"
    " joblib launcher with its defaults, one process for each core.",
)


@dataclass(frozen=True)
class Goal:
    """How many times as fast as a rival ours is to be, in which precision, by which clock."""

    rival: str
    precision: str
    clock: str
    least: float | None = None


@dataclass(frozen=True)
class Study:
    """A study, how many rounds it is measured in, and what is asked of it."""

    work: Work
    rounds: int
    goals: tuple[Goal, ...]


def _over_student(fp32: float, bf16: float) -> tuple[Goal, ...]:
    """What is compared with the student's script, and how many times as fast as without workers ours is to be."""
    return (
        Goal(STUDENT, FP32, POOLS, fp32),
        Goal(STUDENT, BF16, POOLS, bf16),
        Goal(WORKERS, FP32, POOLS),
        Goal(WORKERS, BF16, POOLS),
        Goal(STUDENT, FP32, COMMAND),
    )


_OVER_OTHERS = (
    Goal(LIGHTNING, FP32, POOLS, 3.0),
    Goal(LIGHTNING, FP32, COMMAND),
    Goal(BASIC, FP32, COMMAND, 1.6),
    Goal(JOBLIB, FP32, COMMAND, 1.2),
)
STUDIES = (
    Study(LENET, 3, _over_student(2.8, 3.5)),
    Study(RESNET, 3, _over_student(1.35, 2.6)),
    Study(DIGITS, 3, _OVER_OTHERS),
)
_CLOCKS = {POOLS: "pools started", COMMAND: "whole command"}


def measure(quick: bool, python: Path) -> Part:
    """All studies, with the rivals run by `python`; `quick` shows only that everything works."""
    rows = []
    for study in STUDIES:
        rows += _study(replace(study, work=shortened(study.work), rounds=1) if quick else study, python)
    return Part("Whole studies", NOTES, rows)


def _study(study: Study, python: Path) -> list[Row]:
    work = study.work
    with tempfile.TemporaryDirectory() as name:
        images = work.prepare(Path(name) / "images")
        rivals: dict[str, Side] = {
            STUDENT: script(python, "student.py", images),
            WORKERS: script(python, "student.py", images, workers=2),
            LIGHTNING: script(python, "with_lightning.py", images),
            BASIC: hydra(python, "basic", images),
            JOBLIB: hydra(python, "joblib", images),
        }
        own = {goal.precision: ours(goal.precision) for goal in study.goals}
        sides = own | {goal.rival: rivals[goal.rival] for goal in study.goals}
        found = train_in_rounds(work, sides, study.rounds)
    ratios = [_ratio(work, goal, found) for goal in study.goals]
    timed = dict.fromkeys((side, goal.clock) for goal in study.goals for side in (goal.precision, goal.rival))
    return ratios + [_seconds(work, side, found, clock) for side, clock in timed]


def train_in_rounds(work: Work, sides: Mapping[str, Side], rounds: int) -> dict[str, list[Spent]]:
    """Every side once in each round."""
    found: dict[str, list[Spent]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            with tempfile.TemporaryDirectory() as folder:
                spent = sides[name](work, Path(folder))
            found[name].append(spent)
            print(f"{work.name}, {name}: {spent.training:.1f} s, whole {spent.whole:.1f} s", flush=True)
    kinds = {name: {each.trained for each in spent} for name, spent in found.items()}
    if len(set.union(*kinds.values())) != 1:
        raise RuntimeError(f"{work.label}: the sides did not train the same: {kinds}")
    return found


def _ratio(work: Work, goal: Goal, found: Mapping[str, list[Spent]]) -> Row:
    pairs = zip(found[goal.rival], found[goal.precision], strict=True)
    values = [getattr(theirs, goal.clock) / getattr(ours, goal.clock) for theirs, ours in pairs]
    name = f"{work.label}, {goal.precision}, {_CLOCKS[goal.clock]}"
    return row(name, values, "x", goal.least, against=goal.rival, at_least=True)


def _seconds(work: Work, side: str, found: Mapping[str, list[Spent]], clock: str) -> Row:
    who = f"`ablate run`, {side}" if side in (FP32, BF16) else side
    return row(f"{work.label}, {_CLOCKS[clock]}: {who}", [getattr(spent, clock) for spent in found[side]], "s")
