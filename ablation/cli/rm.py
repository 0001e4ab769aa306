"""`ablate rm`: remove studies and runs from a results folder."""

from __future__ import annotations

import argparse

from ablation._util.sanitize import clean
from ablation.cli.arguments import add_results
from ablation.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="a study, STUDY:VARIANT, STUDY:VARIANT:SEED, or the name of a run folder",
    )
    parser.add_argument("--orphans", action="store_true", help="also every run that no study uses any more")
    parser.add_argument("--yes", action="store_true", help="remove what is listed")
    add_results(parser)


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Say what goes and what stays, and remove it with `--yes`."""
    from ablation._util.formatting import disk_size, plural
    from ablation.cli.console import print_notice
    from ablation.storage.store import Store
    from ablation.storage.usage import plan_removal, remove

    if not arguments.names and not arguments.orphans:
        raise UserError("nothing is named for removal", "name a study or a run, or add --orphans")
    store = Store(arguments.results)
    found = plan_removal(store, arguments.names, orphans=arguments.orphans)
    for notice in found.notices:
        print_notice(notice)
    for study in found.studies:
        print(clean(f"study {study.name}"))
    for name, size in found.runs.items():
        print(clean(f"run   {name}  {disk_size(size)}"))
    if found.kept:
        print(f"{plural(len(found.kept), 'run')} kept, which another study uses")
    studies = f"{plural(len(found.studies), 'study', 'studies')}, " if found.studies else ""
    what = f"{studies}{plural(len(found.runs), 'run')}"
    if not arguments.yes:
        print(f"would free {disk_size(found.bytes)}: {what}; nothing was removed yet, --yes removes it")
        return 0
    remove(store, found)
    print(f"freed {disk_size(found.bytes)}: {what}")
    return 0
