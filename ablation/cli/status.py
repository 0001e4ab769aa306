"""`ablate status`: the progress of a study."""

from __future__ import annotations

import argparse

from ablation.cli.arguments import add_results, add_stored_study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_results(parser)
    add_stored_study(parser)


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Print the state of every run."""
    from ablation.cli.console import stored_study
    from ablation.cli.status_table import print_status
    from ablation.storage.store import Store

    store = Store(arguments.results)
    print_status(stored_study(store, arguments.study), store)
    return 0
