"""The arguments of `ablate init`, and how they would be typed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ablation.cli.arguments import positive

SOURCES = ("data", "images", "script", "function")
DEFAULT_SEEDS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.epilog = "In a terminal it asks for what is missing."
    parser.usage = "ablate init [--data NAME | --images DIR | --script FILE | --function MODULE:NAME] [options]"
    source = parser.add_argument_group("what is trained").add_mutually_exclusive_group()
    source.add_argument("--data", metavar="NAME", help="an image classifier on a built-in data set, such as digits")
    source.add_argument("--images", metavar="DIR", help="on your own images: a folder or zip file with train/<class>/")
    source.add_argument(
        "--script", metavar="SCRIPT.py", help="a script with argparse; arguments after -- are always passed"
    )
    source.add_argument("--function", metavar="MODULE:NAME", help="a Python function; its file is written if missing")
    parser.add_argument("--model", metavar="NAME", help="for --data and --images (default: chosen by image size)")
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="OPTION[=VALUE,...]",
        help="what to vary (repeatable); for --data and --images also a name alone: dropout, norm, schedule, lr, ...",
    )
    parser.add_argument("--seeds", type=positive, metavar="N", help=f"number of seeds (default: {DEFAULT_SEEDS})")
    reported = parser.add_argument_group("for --script and --function")
    reported.add_argument("--metric", metavar="NAME", help="the metric that is reported")
    reported.add_argument("--direction", choices=("higher", "lower"), help="which way is better (default: by its name)")
    reported.add_argument("--seed-option", metavar="OPTION", help="the script's option for its seed (default: --seed)")
    reported.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the function's baseline"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="study file to write (default: named after what is trained)"
    )
    parser.add_argument("--force", action="store_true", help="replace the study file if it exists")
    parser.set_defaults(arguments=[])


def source_of(arguments: argparse.Namespace) -> str | None:
    """What is trained, as its option says: one of `SOURCES`, or None."""
    return next((name for name in SOURCES if getattr(arguments, name) is not None), None)


def given_words(arguments: argparse.Namespace) -> Sequence[str]:
    """The arguments as they would be typed."""
    words: list[str] = []
    for name in (*SOURCES, "model", "metric", "direction", "seed_option", "seeds", "output"):
        if (value := getattr(arguments, name)) is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    for name in ("vary", "set"):
        words += [word for value in getattr(arguments, name) for word in (f"--{name}", value)]
    return [*words, *(["--", *arguments.arguments] if arguments.arguments else [])]
