"""`ablate export`: a study as one file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ablation._util.sanitize import clean
from ablation.cli.arguments import add_reports, add_results, add_stored_study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_stored_study(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="what to write (default: STUDY.ablation)")
    parser.add_argument(
        "--no-weights",
        action="store_true",
        help="leave out checkpoints and files written by functions and commands, which no report needs",
    )
    add_results(parser)
    add_reports(parser)


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Write the archive, and say what is in it."""
    from ablation._util.formatting import disk_size, plural
    from ablation.cli.console import print_notice, stored_study
    from ablation.execution.transfer import Places, export_study
    from ablation.storage.archive import ENDING
    from ablation.storage.store import Store

    store = Store(arguments.results)
    manifest = stored_study(store, arguments.study)
    out = arguments.out or Path(f"{manifest.folder}{ENDING}")
    found = export_study(manifest, Places(store, arguments.reports), out, weights=not arguments.no_weights)
    for notice in found.notices:
        print_notice(notice)
    what = f"{plural(found.runs, 'run')}{'' if found.index.complete else ' without weights'}"
    print(
        clean(
            f"{out}: {manifest.name}, {what}, {plural(len(found.index.files), 'file')}, {disk_size(out.stat().st_size)}"
        )
    )
    return 0
