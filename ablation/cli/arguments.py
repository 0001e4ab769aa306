"""The parser of the command line, which raises an error with a hint, and the arguments that commands share."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ablation.errors import UserError

if TYPE_CHECKING:
    from ablation.study.schema import LogTarget, Study

MOST_SEEDS = 100_000
MOST_HOURS = 10_000


class Parser(argparse.ArgumentParser):
    """Raises UserError with a hint instead of printing its usage and exiting; options are written in full."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        message = re.sub(r"^argument ([^:]+): ", r"\1: ", message)
        message = re.sub(r"^the following arguments are required: (.*)", r"\1 is missing", message)
        message = re.sub(r": expected (one|at least one) argument$", " needs a value", message)
        raise UserError(message, f"see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(map(str, action.choices))
            name = "/".join(action.option_strings)
            if not name and not isinstance(action, argparse._SubParsersAction):
                from ablation.registry.catalog import suggestion

                raise UserError(f"unknown {str(action.metavar).lower()} {value!r}", suggestion(value, known))
            what = f"{name} {value}: not one of its values" if name else f"unknown command {value!r}"
            raise UserError(what, _command_hint(str(value), known))


def _command_hint(value: str, known: list[str]) -> str:
    from ablation.registry.catalog import suggestion

    safe = [name for name in known if name != "rm"]  # a misspelt `run` is nearer to it
    return f"did you mean: ablate run {value}" if value.endswith((".yaml", ".yml")) else suggestion(value, safe)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.strip().isdecimal() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def whole(text: str) -> int:
    """A whole number from 0."""
    if not text.strip().isdecimal() or int(text) >= 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def in_process(text: str) -> bool:
    """0 for no workers at all; more of them have an option of their own."""
    if text.strip() != "0":
        raise argparse.ArgumentTypeError(f"{text!r}: write 0 to train in this process; --per-device N sets a number")
    return True


def workers(text: str) -> int | None:
    """A number of workers, or None for `auto`."""
    try:
        return None if text == "auto" else positive(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; write a number, or auto") from None


def minutes(text: str) -> float:
    """Minutes, or `never`, in seconds."""
    try:
        number = float("inf") if text == "never" else float(text)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes above 0; write one, or never")
    return 60 * number


def hours(text: str) -> float:
    """Hours, in seconds."""
    number = above_zero(text)
    if number > MOST_HOURS:
        raise argparse.ArgumentTypeError(f"{text!r}: write at most {MOST_HOURS:,} hours")
    return 3600 * number


def above_zero(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def seeds(text: str) -> list[int]:
    """`0,1,2` or `0-4` as a list."""
    ranges: list[range] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,16})\s*(?:-\s*([0-9]{1,16})\s*)?", part)
        if not match:
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of seeds; write 0,1,2 or 0-4")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise argparse.ArgumentTypeError(f"the range {part.strip()} ends before it starts; write {last}-{first}")
        ranges.append(range(first, last + 1))
    if sum(map(len, ranges)) > MOST_SEEDS:
        raise argparse.ArgumentTypeError(f"{text} are {sum(map(len, ranges)):,} seeds; the limit is {MOST_SEEDS:,}")
    return [seed for each in ranges for seed in each]


def log_targets(text: str) -> tuple[LogTarget, ...]:
    """`tensorboard,mlflow` as a tuple; `none` is an empty one."""
    known: dict[str, LogTarget] = {"tensorboard": "tensorboard", "mlflow": "mlflow"}
    names = [] if text.strip() == "none" else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} cannot be logged to; write tensorboard, mlflow, both, or none")
    return tuple(known[name] for name in names)


def add_results(parser: argparse._ActionsContainer) -> None:
    """`--results`: where runs are stored."""
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="where runs are stored (default: results)"
    )


def add_reports(parser: argparse._ActionsContainer) -> None:
    """`--reports`: where the author's texts are."""
    parser.add_argument(
        "--reports",
        type=Path,
        default=Path("reports"),
        metavar="DIR",
        help="where reports, and the texts that you wrote for them, are (default: reports)",
    )


def add_stored_study(parser: argparse.ArgumentParser) -> None:
    """The name of a study that was run, which may be left out."""
    parser.add_argument("study", nargs="?", help="name or file of a study (default: the most recent one)")


def add_study_file(parser: argparse.ArgumentParser) -> None:
    """A study file, and what overrides it: see `StudyFileOptions`."""
    parser.add_argument("study", type=Path, metavar="STUDY.yaml", help="the study file")
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="try it on a tiny subset of the data, or with the smoke options of its task, as a study NAME-smoke",
    )
    add_overrides(parser)


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """`--set` and `--seeds`."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override the baseline: model.dropout=0.5"
    )
    parser.add_argument("--seeds", type=seeds, metavar="LIST", help="use these seeds: 0,1,2 or 0-4")


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Devices, and the workers on them: see `execution.options.WorkerOptions`."""
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:0,2")
    parser.add_argument(
        "--per-device",
        type=workers,
        metavar="N",
        help="workers per device, or auto (default): one per CPU core; per GPU one for functions and commands, and for "
        "image classifiers as many as a short probe finds useful",
    )
    add_threads(parser)


def add_threads(parser: argparse.ArgumentParser) -> None:
    """`--threads` and `--hang-after`."""
    parser.add_argument("--threads", type=positive, default=1, help="CPU threads per worker (default: 1)")
    parser.add_argument(
        "--hang-after",
        type=minutes,
        default=30 * 60.0,
        metavar="MINUTES",
        help="end a worker that reports no progress for this long (default: 30), or never",
    )


@dataclass(frozen=True)
class StudyFileOptions:
    """A study file, and what overrides it."""

    path: Path
    smoke: bool
    overrides: tuple[str, ...]
    seeds: tuple[int, ...] | None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> StudyFileOptions:
        """What `add_study_file` declares."""
        chosen = None if arguments.seeds is None else tuple(arguments.seeds)
        return cls(arguments.study, arguments.smoke, tuple(arguments.set), chosen)

    def load(self, *, need_data: bool = True) -> Study:
        """The study. Raises UserError with all that is wrong with the file."""
        from ablation.study.load import load_study

        return load_study(self.path, overrides=self.overrides, seeds=self.seeds, smoke=self.smoke, need_data=need_data)
