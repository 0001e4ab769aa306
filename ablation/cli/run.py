"""`ablate run`: train the runs of a study that are not finished yet."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from ablation.cli.arguments import (
    StudyFileOptions,
    add_results,
    add_study_file,
    add_workers,
    in_process,
    log_targets,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_study_file(parser)
    add_results(parser)
    parser.add_argument(
        "--only", action="append", default=[], metavar="VARIANT", help="train only this one (repeatable)"
    )
    add_workers(parser)
    parser.add_argument(
        "--new-data", action="store_true", help="train on images that have changed since the study started"
    )
    parser.add_argument(
        "--workers",
        type=in_process,
        default=False,
        metavar="0",
        help="0: train in this process, one run after another, for breakpoints in a function or command",
    )
    parser.add_argument("--retry", choices=["failed"], help="retry the runs that have failed too often")
    parser.add_argument(
        "--log",
        type=log_targets,
        metavar="LIST",
        help="also log the runs to tensorboard, mlflow (default: what the study file says), or none",
    )
    cluster = parser.add_argument_group("on a cluster")
    cluster.add_argument("--backend", choices=("local", "ray"), default="local", help="where to train (default: local)")
    cluster.add_argument(
        "--address",
        help="address of a Ray cluster: auto, HOST:PORT, ray://HOST:PORT (default: start Ray on this machine)",
    )


def main(arguments: argparse.Namespace, command: str) -> int:
    """Train, and say what came of it and what to do next."""
    from ablation.execution.server import start_early

    if arguments.backend == "local" and not arguments.workers:
        start_early(arguments.study, arguments.threads)
    from ablation._util.formatting import plural
    from ablation.cli.live import TerminalProgress
    from ablation.execution.options import RunOptions, WorkerOptions
    from ablation.execution.phrases import duration
    from ablation.execution.run import run_study
    from ablation.storage.store import Store

    each = arguments
    workers = WorkerOptions(
        each.device, each.per_device, each.threads, each.hang_after, each.backend, each.address, each.workers
    )
    options = RunOptions(workers, tuple(each.only), each.new_data, each.retry is not None, command, each.log)
    progress = TerminalProgress()
    outcome = run_study(StudyFileOptions.of(each).load(), Store(each.results), options, progress)
    finished = len(outcome.done) + len(outcome.diverged)
    following = _next(outcome.left_out, each.results)
    if not (finished or outcome.failed or outcome.stopped):
        progress.say(f"nothing left to train; {following}")
        return 2 if outcome.given_up else 0
    parts = [f"{plural(finished, 'run')} trained"]
    parts += [f"{len(outcome.diverged)} of them diverged"] if outcome.diverged else []
    parts += [f"{len(outcome.failed)} failed"] if outcome.failed else []
    progress.say(f"{', '.join(parts)} in {duration(outcome.seconds)}", "error" if outcome.failed else "plain")
    for run, message in outcome.failed:
        progress.say(f": {message}", "error", f"  {run.label}")
    progress.say("stopped; the same command resumes from here" if outcome.stopped else following)
    return 2 if outcome.failed else 1 if outcome.stopped else 0


def _next(left_out: int, results: Path) -> str:
    """What to do once the runs are finished: train those that `--only` left out, or write the report."""
    from ablation._util.formatting import plural

    if left_out:
        verb = "is" if left_out == 1 else "are"
        return f"{plural(left_out, 'run')} of the study {verb} not finished: leave out --only to train the rest"
    place = "" if results == Path("results") else f" --results {shlex.quote(str(results))}"
    return f"next: ablate report{place}"
