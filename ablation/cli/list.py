"""`ablate list`: the components that a study file may name."""

from __future__ import annotations

import argparse

from ablation.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "what",
        nargs="?",
        help="models, torchvision, data, init, optimizers, schedules, augmentations or metrics (default: all)",
    )


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Print each name with its summary."""
    from ablation.registry.catalog import choices, suggestion

    known = choices()
    what = arguments.what
    if what is not None and what not in known:
        raise UserError(f"nothing is listed under {what!r}", suggestion(what, known))
    for heading, names in known.items():
        if what in (None, heading):
            print(heading)
            width = max(14, *map(len, names))
            for name, summary in names.items():
                print(f"  {name:<{width}} {summary}")
    return 0
