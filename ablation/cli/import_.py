"""`ablate import`: runs that other tools have logged -> tables, and their report; or an archive of a study."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from ablation._util.sanitize import clean
from ablation.cli.arguments import add_reports, add_results
from ablation.cli.browser import add_open, open_page
from ablation.errors import UserError

USAGE = """ablate import FILE.ablation [options]
       ablate import TOOL PATH --vary NAMES --seed NAME --metric NAME [options]"""
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
    parser.usage = USAGE
    parser.add_argument("tool", metavar="TOOL", help=f"{', '.join(_TOOLS)}; or the file that `ablate export` wrote")
    parser.add_argument(
        "path", nargs="?", type=Path, metavar="PATH", help="its file or folder: mlflow.db, runs/, wandb/, multirun/"
    )
    parser.add_argument(
        "--vary", type=_names, metavar="NAMES", help="the parameters that make the variants: lr,dropout"
    )
    parser.add_argument("--seed", metavar="NAME", help="the parameter that holds the random seed")
    parser.add_argument("--metric", metavar="NAME", help="the metric that variants are compared by")
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
    archive = parser.add_argument_group("for the file of a study")
    add_results(archive)
    add_reports(archive)


def main(arguments: argparse.Namespace, command: str) -> int:
    """Unpack an archive; or read the runs of a tool, write their tables and report, and print what was found."""
    if arguments.tool in _TOOLS:
        _check(arguments)
        return _import_runs(arguments, command)
    if arguments.path is not None:
        from ablation.registry.catalog import suggestion

        raise UserError(f"unknown tool {arguments.tool!r}", suggestion(arguments.tool, _TOOLS))
    return _import_study(Path(arguments.tool), arguments)


def _check(arguments: argparse.Namespace) -> None:
    """Raise UserError where something is missing that the runs of a tool need."""
    needed = {"PATH": arguments.path, "--vary": arguments.vary, "--seed": arguments.seed, "--metric": arguments.metric}
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise UserError(f"{', '.join(missing)} is missing", "see ablate import --help")


def _import_study(path: Path, arguments: argparse.Namespace) -> int:
    """Unpack the archive of a study, and say what was new."""
    from ablation._util.formatting import plural
    from ablation.execution.transfer import Places, import_study
    from ablation.storage.store import Store

    if not path.exists():
        raise UserError(
            f"there is no file {path}", f"name one that `ablate export` wrote, or a tool: {', '.join(_TOOLS)}"
        )
    given = {"--vary": arguments.vary, "--seed": arguments.seed, "--metric": arguments.metric, "--out": arguments.out}
    for name, value in given.items():
        if value is not None:
            raise UserError(f"{name} is for the runs of a tool", f"leave it out, or name the tool: {', '.join(_TOOLS)}")
    found = import_study(path, Places(Store(arguments.results), arguments.reports))
    known = f", {plural(len(found.known), 'run')} here already" if found.known else ""
    print(clean(f"{found.manifest.name}: {plural(len(found.new), 'run')} imported{known}"))
    for file in found.code:
        print(clean(f"it comes with code, which `ablate test` and `ablate verify` run with your permissions: {file}"))
    place = "" if arguments.results == Path("results") else f" --results {shlex.quote(str(arguments.results))}"
    print(clean(f"next: ablate report {shlex.quote(found.manifest.name)}{place}"))
    return 0


def _import_runs(arguments: argparse.Namespace, command: str) -> int:
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
