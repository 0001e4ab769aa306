"""`ablate import`: runs that other tools have logged -> tables, and their report."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from ablation._util.sanitize import clean
from ablation.cli.browser import add_open, open_page
from ablation.errors import UserError

SUMMARY = "the report of runs that MLflow, TensorBoard, W&B, Trackio or Hydra has logged"
_TOOLS = ("mlflow", "tensorboard", "wandb", "trackio", "hydra", "csv")


def _names(text: str) -> tuple[str, ...]:
    """`lr,dropout` as names."""
    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different names; write lr,dropout")
    return names


def _values(text: str) -> dict[str, str]:
    """`lr=0.1,dropout=0` as names and values; a value may have commas."""
    pairs = [part.partition("=") for part in re.split(r",(?=[^,=]+=)", text)]
    if not all(sign and name.strip() for name, sign, _ in pairs):
        raise argparse.ArgumentTypeError(f"{text!r} are no names and values; write lr=0.1,dropout=0")
    return {name.strip(): value.strip() for name, _, value in pairs}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("tool", choices=_TOOLS, metavar="TOOL", help=", ".join(_TOOLS))
    parser.add_argument(
        "path", type=Path, metavar="PATH", help="its file or folder: mlflow.db, runs/, wandb/, multirun/"
    )
    parser.add_argument(
        "--vary", type=_names, required=True, metavar="NAMES", help="the parameters that make the variants: lr,dropout"
    )
    parser.add_argument("--seed", required=True, metavar="NAME", help="the parameter that holds the random seed")
    parser.add_argument("--metric", required=True, metavar="NAME", help="the metric that variants are compared by")
    parser.add_argument(
        "--direction", choices=["higher", "lower"], help="which way is better (default: by the name of the metric)"
    )
    parser.add_argument(
        "--unit",
        choices=["percent", "share", "raw"],
        help="values from 0 to 100, fractions of 1, or neither (default: by its name and values)",
    )
    parser.add_argument(
        "--baseline",
        type=_values,
        metavar="VALUES",
        help="values of the baseline: lr=0.1,dropout=0 (default: if clear)",
    )
    parser.add_argument(
        "--experiment", metavar="NAME", help="the experiment or project (default: if there is only one)"
    )
    parser.add_argument(
        "--ignore", type=_names, default=(), metavar="NAMES", help="parameters that may differ: output_dir,run_name"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: imported/EXPERIMENT)")
    add_open(parser, "the page")


def main(arguments: argparse.Namespace, command: str) -> int:
    """Read the runs, write their tables and report, and print what was found."""
    from ablation._util.hashing import slug
    from ablation.library import read_results, write_report
    from ablation.registry.metric_names import guess
    from ablation.results.foreign.imported import Source, write_tables
    from ablation.results.foreign.logged import Declared, canonical
    from ablation.results.foreign.matching import BASELINE, match
    from ablation.results.foreign.stores import read_store

    given: Mapping[str, str] | None = arguments.baseline
    declared = Declared(
        vary=arguments.vary,
        seed=arguments.seed,
        metric=arguments.metric,
        experiment=arguments.experiment,
        baseline=None if given is None else {name: canonical(value) for name, value in given.items()},
        ignore=frozenset(arguments.ignore),
    )
    logged = read_store(arguments.tool, arguments.path, declared)
    matched = match(logged, declared)
    if arguments.direction is None and guess(arguments.metric).direction is None:
        what = f"whether more or less of {arguments.metric!r} is better is not clear from its name"
        raise UserError(what, "add --direction higher or --direction lower")
    out = arguments.out or Path("imported") / slug(logged.title)
    source = Source(arguments.tool, arguments.path, logged.title, command)
    tables = write_tables(matched, declared, source, out)
    results = read_results(
        tables.runs,
        BASELINE,
        epochs=tables.epochs,
        metric=tables.metric,
        direction=arguments.direction,
        unit=arguments.unit,
        title=logged.title,
        command=command,
    )
    report = write_report(results, out / "report")
    seeds = ", ".join(map(str, matched.seeds[:20])) + (", ..." if len(matched.seeds) > 20 else "")
    print(clean(f"{logged.title}: {len(logged.runs)} runs, {len(matched.variants)} variants, seeds {seeds}"))
    for note in tables.notes:
        print(clean(f"  {note}"))
    for finding in matched.findings:
        print(clean(f"warning: {finding.message}"))
    for path in (tables.runs, *([tables.epochs] if tables.epochs else []), report.html, report.markdown):
        print(clean(str(path)))
    if arguments.open:
        open_page(report.html)
    return 0
