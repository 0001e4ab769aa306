"""`ablate test`: evaluate the selected checkpoints on the test set, once and on record."""

from __future__ import annotations

import argparse

from ablation.cli.arguments import add_results, add_workers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("study", metavar="STUDY", help="name or file of a study that was run")
    add_results(parser)
    add_workers(parser)
    parser.add_argument("--partial", action="store_true", help="evaluate even if some runs are not finished")
    parser.add_argument("--again", action="store_true", help="evaluate even if the test set was used before")


def main(arguments: argparse.Namespace, command: str) -> int:
    """Evaluate, and print the mean test accuracy of every variant over its seeds."""
    from ablation._util.formatting import plural
    from ablation.cli.console import print_notice
    from ablation.cli.live import TerminalProgress
    from ablation.execution.options import EvaluationOptions, WorkerOptions
    from ablation.execution.phrases import percent
    from ablation.execution.test_set import evaluate_test_set
    from ablation.storage.find import find_study
    from ablation.storage.store import Store

    store, progress = Store(arguments.results), TerminalProgress()
    workers = WorkerOptions(arguments.device, arguments.per_device, arguments.threads, arguments.hang_after)
    options = EvaluationOptions(workers, arguments.partial, arguments.again, command)
    found = evaluate_test_set(store, find_study(store, arguments.study, print_notice), options, progress)
    if not found.recorded:
        progress.say(
            "nothing was recorded: no figure was written or shown; fix this, or run the study again to train these runs"
        )
        return 2
    width = max(map(len, found.accuracies))
    for variant, values in found.accuracies.items():
        mean = percent(sum(values) / len(values))
        progress.say(f"  {variant.ljust(width)}  {mean:>7}  mean of {plural(len(values), 'seed')}")
    progress.say("the evaluation is on record; next: ablate report")
    return 2 if found.failed else 0
