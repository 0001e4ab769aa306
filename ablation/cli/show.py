"""`ablate show`: everything that is stored of one run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ablation.cli.arguments import add_results

if TYPE_CHECKING:
    from ablation.results.inspect import Inspected
    from ablation.storage.record import EpochRow, RunRecord

RUN_HELP = "STUDY:VARIANT:SEED (without STUDY: of the most recent one), or the beginning of a run folder or of its hash"
_MOST_METRICS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--json", action="store_true", help="print everything, every epoch included, as JSON")
    add_results(parser)


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Print a run."""
    from ablation.results.inspect import inspect_run
    from ablation.storage.select import select_run
    from ablation.storage.store import Store

    store = Store(arguments.results)
    run = inspect_run(store, select_run(store, arguments.run))
    if arguments.json:
        print(json.dumps(run.to_json(), indent=1, allow_nan=False))
    else:
        _print(run)
    return 0


def _print(run: Inspected) -> None:
    from rich.table import Table
    from rich.text import Text

    from ablation.cli.console import make_console

    console = make_console()
    console.print(Text(f"{run.name}: {run.run.state}", style="bold"))
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, line in _lines(run):
        table.add_row(Text(name, style="dim"), Text(line))
    console.print(table)
    if run.run.epochs:
        console.print()
        _print_curve(run)


def _lines(run: Inspected) -> Iterator[tuple[str, str]]:
    """What is said of a run: a name, empty where it is that of the line before, and a line."""
    from ablation._util.formatting import disk_size
    from ablation.study.variants import show

    for number, use in enumerate(run.uses):
        yield "" if number else "used by", f"{use.study}: {use.variant} · seed {use.seed}"
    if not run.uses:
        yield "used by", "no study" + (" (trained by ablate noise)" if run.streams else "")
    if run.run.reason or run.run.failure:
        yield "reason", run.run.reason or (run.run.failure.message if run.run.failure else "")
    for notice in run.notices:
        yield "notice", notice
    if run.run.record:
        yield from _outcome(run, run.run.record)
    yield "folder", f"{run.run.folder.path} ({disk_size(sum(run.files.values()))}: {', '.join(run.files)})"
    yield (
        "seed",
        ", ".join([str(run.seed), *(f"{name or 'unnamed'} {own}" for name, own in (run.streams or {}).items())]),
    )
    if run.changes:
        yield "changes", ", ".join(f"{path}: {show(value)}" for path, value in run.changes.items())
    for name, value in run.task.items():
        yield f"task {name}", show(value)
    for name, value in run.recipe.items():
        yield name, _options(value) if isinstance(value, Mapping) else show(value)


def _options(section: Mapping[str, Any]) -> str:
    from ablation.study.variants import show

    return ", ".join(f"{name}: {show(value)}" for name, value in section.items())


def _outcome(run: Inspected, record: RunRecord) -> Iterator[tuple[str, str]]:
    from ablation._util.formatting import duration, plural

    epoch = f" (epoch {record.selected_epoch} of {record.epochs})" if record.selected_epoch else ""
    if record.metrics:
        yield "result", ", ".join(f"{name} {value:.4g}" for name, value in record.metrics.items()) + epoch
    if run.test:
        yield "test set", f"accuracy {run.test.accuracy:.4g}, loss {run.test.loss:.4g} (evaluated {run.test.time})"
    for code, seen in record.checks.items():
        yield "noticed", f"{code}: {seen}"
    host = f" on {record.host}" if record.host else ""
    resumed = f", resumed {plural(record.resumed, 'time')}" if record.resumed else ""
    yield "trained", f"{record.started} to {record.finished}, {duration(record.train_seconds)}{host}{resumed}"
    own = record.environment
    torch = f", torch {own.torch}" if own.torch else ""
    yield "on", f"{own.device}, {plural(own.threads, 'thread')}; {own.processor}; {own.platform}"
    yield "with", f"ablation {own.ablation}, Python {own.python}{torch}"
    if record.data_fingerprint:
        yield (
            "images",
            f"{record.data_fingerprint}: {record.train_images} for training, {record.val_images} for validation",
        )
    if record.weights_sha256:
        yield "weights", f"SHA-256 {record.weights_sha256}"


def _print_curve(run: Inspected) -> None:
    from rich.text import Text

    from ablation.cli.console import make_console
    from ablation.cli.tables import make_table
    from ablation.results.inspect import curve

    rows = curve(run.run)
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))[:_MOST_METRICS]
    table = make_table(("epoch", "right"), ("learning rate", "right"), *((name, "right") for name in names))
    selected = run.run.record.selected_epoch if run.run.record else None
    for row in rows:
        mark = "*" if row.epoch == selected else ""
        table.add_row(f"{mark}{row.epoch}", *(Text(cell) for cell in _cells(row, names)))
    console = make_console()
    console.print(table)
    if selected:
        console.print("* the selected epoch")


def _cells(row: EpochRow, names: list[str]) -> Iterator[str]:
    yield f"{row.lr:.4g}"
    for name in names:
        yield f"{row.metrics[name]:.4g}" if name in row.metrics else "–"
