"""`ablate noise`: how much of the variance between runs comes from each source of randomness."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ablation.cli.arguments import StudyFileOptions, add_results, add_workers, positive
from ablation.cli.browser import add_open, open_page

if TYPE_CHECKING:
    from ablation.analysis.noise import Noise
    from ablation.execution.progress import Progress
    from ablation.execution.study import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("study", type=Path, metavar="STUDY.yaml", help="the study file")
    parser.add_argument(
        "--seeds",
        type=positive,
        metavar="N",
        help="how many seeds each source has: 5 (default), 10, 15, ...; each costs 5 runs, one of which is the study's",
    )
    parser.add_argument("--variant", metavar="NAME", help="the variant whose runs are measured (default: the baseline)")
    parser.add_argument("--metric", metavar="NAME", help="a metric that training reports (default: the primary one)")
    parser.add_argument(
        "--streams",
        type=lambda text: tuple(name.strip() for name in text.split(",")),
        default=(),
        metavar="LIST",
        help="streams that a function draws from (default: what its first run draws from): order,init,run.seed",
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="try it on a tiny subset of the data, or with the smoke options of its task, as a study NAME-smoke",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override the baseline: model.dropout=0.5"
    )
    add_results(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("reports"), metavar="DIR", help="where reports go (default: reports)"
    )
    add_open(parser, "the page")
    parser.add_argument("--retry", choices=["failed"], help="retry the runs that have failed too often")
    add_workers(parser)


def main(arguments: argparse.Namespace, command: str) -> int:
    """Train what is missing, print the table and what follows from it, and write the page."""
    from ablation._util.hashing import slug
    from ablation.cli.live import TerminalProgress
    from ablation.execution.noise import NoiseOptions, measure_noise
    from ablation.execution.options import WorkerOptions
    from ablation.storage.store import Store

    each, progress = arguments, TerminalProgress()
    study = StudyFileOptions(each.study, each.smoke, tuple(each.set), None).load()
    workers = WorkerOptions(each.device, each.per_device, each.threads, each.hang_after)
    options = NoiseOptions(workers, each.variant, each.metric, each.seeds, each.streams, each.retry is not None)
    runs, outcome = measure_noise(study, Store(each.results), options, progress)
    _say_outcome(outcome, progress)
    if runs is None:
        return 1 if outcome.stopped else 2
    from ablation.analysis.noise import describe_noise
    from ablation.report.noise import write_noise

    noise = describe_noise(runs)
    _print(noise)
    page = write_noise(noise, each.out / slug(study.name), Path("templates"))
    for path in (page.html, page.markdown, page.json):
        progress.say(str(path), "dim")
    if each.open:
        open_page(page.html)
    return 0


def _say_outcome(outcome: Outcome, progress: Progress) -> None:
    from ablation._util.formatting import plural
    from ablation.execution.phrases import duration

    trained = len(outcome.done) + len(outcome.diverged)
    if trained:
        progress.say(f"{plural(trained, 'run')} trained in {duration(outcome.seconds)}")
    for run, message in outcome.failed:
        progress.say(f": {message}", "error", f"  {run.label}")
    if outcome.given_up:
        what = f"{plural(len(outcome.given_up), 'run')} left out that failed too often; --retry failed tries again"
        progress.say(what, "warning")
    if outcome.stopped:
        progress.say("stopped; the same command resumes from here")
    elif outcome.failed or outcome.given_up:
        progress.say("the table needs all of the runs")


def _print(noise: Noise) -> None:
    """The table of the page, and the sentences below it."""
    from rich.table import Table
    from rich.text import Text

    from ablation.analysis.noise import advice
    from ablation.cli.console import make_console
    from ablation.report.blocks import plain
    from ablation.report.noise import noise_table

    shown, console = noise_table(noise), make_console()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in shown.columns:
        table.add_column(plain(column.heading), justify="right" if column.number else "left", no_wrap=True)
    for row in shown.rows:
        table.add_row(*(Text(plain(cell.text)) for cell in row.cells))
    console.print(table)
    for sentence in advice(noise):
        console.print(Text(sentence), soft_wrap=True)
