"""The commands of `ablate`, from its parser."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from ablation.cli.main import build_parser

from .tables import cell, table


def lines() -> Iterator[str]:
    """A table of all commands, and a section for each with its usage and its arguments."""
    (commands,) = (own for own in build_parser()._actions if isinstance(own, argparse._SubParsersAction))
    summaries = {action.dest: cell(action.help or "") for action in commands._choices_actions}
    yield from table(
        ("command", "what it does"), [(f"[`ablate {name}`](#ablate-{name})", text) for name, text in summaries.items()]
    )
    for name, command in commands.choices.items():
        usage = command.format_usage().removeprefix("usage: ").rstrip()
        yield from (
            f"## `ablate {name}`",
            "",
            f"{summaries[name][:1].upper()}{summaries[name][1:]}.",
            "",
            "```text",
            *_unindented(usage),
            "```",
        )
        arguments = [action for action in command._actions if not isinstance(action, argparse._HelpAction)]
        yield from table(("argument", "meaning"), [(_names(action), cell(_help(action))) for action in arguments])


def _unindented(usage: str) -> list[str]:
    return [re.sub(r"^ {7}", "", line) for line in usage.splitlines()]


def _names(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`"
    choices = "|".join(map(str, action.choices or ())) or action.dest.upper()
    value = "" if action.nargs == 0 else f" {action.metavar or choices}"
    return ", ".join(f"`{name}{value}`" for name in action.option_strings).replace("|", "\\|")


def _help(action: argparse.Action) -> str:
    return (action.help or "") % {**vars(action), "prog": "ablate"}
