"""`ablate verify`: the stored files of a study against their digests, and a sample of its runs retrained."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ablation.cli.arguments import add_reports, add_results, add_stored_study, positive, whole

if TYPE_CHECKING:
    from ablation.execution.progress import Tone
    from ablation.execution.verify import State

_TONES: dict[State, Tone] = {"equal": "good", "different": "error", "not comparable": "warning", "failed": "error"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_stored_study(parser)
    parser.add_argument(
        "--runs", type=whole, default=3, metavar="N", help="number of runs to retrain (default: 3); 0 checks files only"
    )
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="random seed that selects runs (default: 0)")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:0,2")
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="CPU threads per worker (default: as many as each run had)"
    )
    add_results(parser)
    add_reports(parser)


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Check, train, compare, and print a line for each finding; 1 where something is not as it was."""
    from ablation._util.formatting import plural
    from ablation.cli.console import stored_study
    from ablation.cli.live import TerminalProgress
    from ablation.execution.verify import VerifyOptions, train_again
    from ablation.report.check_report import ANALYSIS, check_report
    from ablation.results.runs import load_results
    from ablation.storage.check_files import check_files
    from ablation.storage.store import Store

    store, progress = Store(arguments.results), TerminalProgress()
    manifest = stored_study(store, arguments.study)
    checked = check_files(store, manifest)
    faults = list(checked.faults)
    done = sum(run.record is not None for run in checked.runs.values())
    progress.say(f": {plural(checked.files, 'file')} of {plural(done, 'finished run')} checked", "title", manifest.name)
    report = arguments.reports / manifest.folder
    if (report / ANALYSIS).exists():
        found = list(check_report(load_results(store, manifest), store, report))
        faults += [f"{fault}; `ablate report` writes it again" for fault in found]
        if not found:
            progress.say(f"the tables and claims in {report}/ are what the results give")
    for fault in faults:
        progress.say(fault, "error", "fault: ")
    if checked.unstamped:
        progress.say(f"{plural(len(checked.unstamped), 'run')} of earlier versions, which stored no digests", "warning")
    options = VerifyOptions(arguments.runs, arguments.seed, arguments.device, arguments.threads)
    again = train_again(store, manifest, checked.runs, options, progress) if arguments.runs else ()
    for own in again:
        progress.say(f"{own.label}: {own.what}", _TONES[own.state], f"{own.state:<15}")
    wrong = sum(own.state in ("different", "failed") for own in again)
    counts = [f"{sum(own.state == state for own in again)} {state}" for state in _TONES]
    trained = f"; {plural(len(again), 'run')} trained again: {', '.join(counts)}" if again else ""
    progress.say(f"{plural(len(faults), 'fault')} in stored files{trained}", "error" if faults or wrong else "good")
    return 1 if faults or wrong else 0
