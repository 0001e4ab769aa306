"""`ablate verdict`: judge a finished study for a program, by one JSON line and the exit code.

An error has the exit code 2, that of a wrong command line in most tools: 1 says that a variant is worse.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ablation.cli.arguments import add_results, positive

ERROR_CODE = 2
EXIT_CODES = {"better": 0, "equivalent": 0, "not_worse": 0, "worse": 1, "undecided": 3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("study", metavar="STUDY", help="name or file of a study that was run")
    parser.add_argument("--variant", metavar="NAME", help="judge this one (default: all, and the worst one decides)")
    parser.add_argument(
        "--not-worse-by",
        type=_margin,
        metavar="M",
        help="pass what is worse by less than M: in points for accuracies and other shares (0.5 is half a point), "
        "otherwise in the metric's own unit",
    )
    parser.add_argument(
        "--ledger",
        type=Path,
        metavar="FILE",
        help="where the uses that share one alpha are recorded (default: verdicts.jsonl in the results folder)",
    )
    parser.add_argument(
        "--uses",
        type=positive,
        metavar="N",
        help="for a new ledger: share its alpha equally among N uses (default: any number, the first ones get most)",
    )
    add_results(parser)


def _margin(text: str) -> float:
    """A number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def main(arguments: argparse.Namespace, command: str) -> int:
    """Print the judgement, and return what it comes to."""
    import json

    from ablation.cli.console import print_notice
    from ablation.execution.judge import Question, judge_study
    from ablation.results.runs import load_results
    from ablation.storage.find import find_study
    from ablation.storage.store import Store
    from ablation.storage.verdict_ledger import default_ledger

    store = Store(arguments.results)
    ledger = arguments.ledger or default_ledger(store)
    started = not ledger.exists()
    results = load_results(store, find_study(store, arguments.study, print_notice))
    question = Question(ledger, arguments.variant, arguments.not_worse_by, arguments.uses, command)
    judgement = judge_study(results, question)
    if started and judgement.use:
        print_notice(f"{ledger} was started: the uses that it records share an alpha of {judgement.alpha:g}")
    print(json.dumps(judgement.to_json(), allow_nan=False))
    return EXIT_CODES[judgement.verdict]
