"""`ablate script`: write the study file of a script that uses argparse."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ablation.cli.arguments import positive
from ablation.errors import UserError

if TYPE_CHECKING:
    from ablation.tasks.script_study import ScriptRequest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.epilog = "The script is run up to the point where it parses its options; what it does before that is done."
    parser.usage = "ablate script SCRIPT.py --vary OPTION=VALUE,... --metric NAME [options] [-- ARGUMENT ...]"
    parser.add_argument("script", metavar="SCRIPT.py", help="the script; after --, arguments that it is always given")
    parser.add_argument(
        "--vary",
        action="append",
        required=True,
        type=option_values,
        metavar="OPTION=VALUE,...",
        help="an option, and the values that are compared with its default (repeatable)",
    )
    parser.add_argument("--metric", required=True, metavar="NAME", help="the metric that the script reports")
    parser.add_argument(
        "--direction", choices=("higher", "lower"), help="which way is better (default: known from the name)"
    )
    parser.add_argument("--seeds", type=positive, default=5, metavar="N", help="number of seeds (default: 5)")
    parser.add_argument("--seed-option", metavar="OPTION", help="the script's option for its seed (default: --seed)")
    parser.add_argument(
        "--output", type=Path, default=Path("study.yaml"), metavar="FILE", help="what to write (default: study.yaml)"
    )
    parser.set_defaults(arguments=[])


def main(arguments: argparse.Namespace, command: str) -> int:
    """Write the file, and say what was assumed and what to do next."""
    from ablation._util.sanitize import clean
    from ablation.tasks.script_study import study_of_script

    each = arguments
    if each.output.exists():
        raise UserError(f"{each.output} exists already", "choose another name with --output, or remove it")
    study = study_of_script(script_request(each, each.vary), Path(), command)
    with each.output.open("x", encoding="utf-8") as file:
        file.write(study.text)
    print(clean(f"wrote {each.output}; assumed in it:"))
    for line in study.assumed:
        print(clean(f"  {line}"))
    print(clean(f"next: ablate run {shlex.quote(str(each.output))}"))
    return 0


def script_request(each: argparse.Namespace, varied: Iterable[tuple[str, list[list[str]]]]) -> ScriptRequest:
    """What the arguments of `script` and `init` ask for; values of an option that is given twice belong together."""
    from ablation.tasks.script_study import ScriptRequest

    vary: dict[str, list[list[str]]] = {}
    for name, values in varied:
        vary.setdefault(name, []).extend(values)
    own = (each.script, tuple(each.arguments), vary, each.metric, each.seeds, each.direction, each.seed_option)
    return ScriptRequest(*own)


def option_values(text: str) -> tuple[str, list[list[str]]]:
    """`dropout=0,0.5`: a name, and each value as its words."""
    name, sign, values = text.partition("=")
    try:
        words = [shlex.split(value) for value in values.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be read: {error}") from None
    if not name.strip() or not sign or not all(words):
        raise argparse.ArgumentTypeError(f"{text!r} is not OPTION=VALUE,...; write it as dropout=0,0.5")
    return name.strip(), words
