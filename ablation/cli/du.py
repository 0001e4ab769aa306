"""`ablate du`: the disk usage of a results folder."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from ablation.cli.arguments import add_results

if TYPE_CHECKING:
    from ablation.storage.usage import StudyUsage, Usage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("--json", action="store_true", help="print bytes as JSON")
    add_results(parser)


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Print a table of the studies, and what is beside them."""
    from dataclasses import asdict

    from ablation.storage.store import Store
    from ablation.storage.usage import measure_usage

    usage = measure_usage(Store(arguments.results))
    if arguments.json:
        print(json.dumps(asdict(usage), indent=1))
    else:
        _print(usage)
    return 0


def _print(usage: Usage) -> None:
    from rich.text import Text

    from ablation._util.formatting import disk_size, plural
    from ablation.cli.console import make_console
    from ablation.cli.tables import make_table
    from ablation.storage.study_files import KINDS

    console = make_console()
    sizes = (*KINDS, "total", "its own")
    table = make_table(("study", "left"), ("runs", "right"), *((name, "right") for name in sizes))
    for own in (*usage.studies, *([usage.orphans] if usage.orphans.runs else [])):
        table.add_row(Text(own.study or "(no study)"), str(own.runs), *map(disk_size, _row(own)))
    console.print(table)
    console.print(f"decoded images: {disk_size(usage.caches)}; everything else: {disk_size(usage.other)}")
    console.print(f"total: {disk_size(usage.total)}; a run that several studies use is counted once")
    if usage.orphans.runs:
        lost = plural(usage.orphans.runs, "run")
        console.print(f"no study uses {lost} ({disk_size(usage.orphans.own)}); ablate rm --orphans lists them")


def _row(own: StudyUsage) -> list[int]:
    return [*own.room.kinds.values(), own.room.total, own.own]
