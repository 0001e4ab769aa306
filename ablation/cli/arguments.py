"""The parser of the command line, which raises an error with a hint, and the types of its options."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

from ablation.errors import UserError

MOST_SEEDS = 100_000


class Parser(argparse.ArgumentParser):
    """Raises UserError with a hint instead of printing its usage and exiting."""

    def error(self, message: str) -> NoReturn:
        message = re.sub(r"^argument ([^:]+): ", r"\1: ", message)
        message = re.sub(r"^the following arguments are required: (.*)", r"\1 is missing", message)
        message = re.sub(r": expected (one|at least one) argument$", " needs a value", message)
        raise UserError(message, f"see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            known = list(map(str, action.choices))
            name = "/".join(action.option_strings)
            what = f"{name} {value}: not one of its values" if name else f"unknown command {value!r}"
            raise UserError(what, _command_hint(str(value), known))


def _command_hint(value: str, known: list[str]) -> str:
    from ablation.registry.catalog import suggestion

    return f"did you mean: ablate run {value}" if value.endswith((".yaml", ".yml")) else suggestion(value, known)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.strip().isdecimal() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


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
