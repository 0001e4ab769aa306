"""`ablate diff`: two variants, runs or studies: how their options and results differ."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ablation.cli.arguments import add_results
from ablation.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from ablation.analysis.diff import OptionDiff, StudyDiff, VariantDiff
    from ablation.analysis.types import Effect
    from ablation.results.inspect import Inspected
    from ablation.storage.manifest import Manifest
    from ablation.storage.select import Choice
    from ablation.storage.store import Store

_HELP = "a study, STUDY:VARIANT or STUDY:VARIANT:SEED (without STUDY: of the other, or the most recent one), or a run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("first", metavar="A", help=_HELP)
    parser.add_argument("second", metavar="B", help="another one of the same kind")
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")
    add_results(parser)


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Print how the second differs from the first."""
    from ablation.cli.console import make_console
    from ablation.storage.select import RunChoice, StudyChoice, VariantChoice
    from ablation.storage.store import Store

    store, show = Store(arguments.results), None if arguments.json else make_console()
    choices = _choices(store, arguments.first, arguments.second)
    match choices:
        case (StudyChoice(), StudyChoice()):
            values = _studies(store, choices[0].manifest, choices[1].manifest, show)
        case (VariantChoice(), VariantChoice()):
            values = _variants(store, choices, show)
        case (RunChoice(), RunChoice()):
            values = _runs(store, choices, show)
        case _:
            kinds = [type(own).__name__.removesuffix("Choice").lower() for own in choices]
            what = f"{arguments.first!r} is a {kinds[0]}, and {arguments.second!r} is a {kinds[1]}"
            raise UserError(what, "name two studies, two variants or two runs")
    if arguments.json:
        print(json.dumps(values, indent=1, allow_nan=False))
    return 0


def _choices(store: Store, first: str, second: str) -> tuple[Choice, Choice]:
    """Both sides; a variant without a study is of the study of the other."""
    from ablation.storage.select import StudyChoice, select

    one = select(store, first)
    if isinstance(one, StudyChoice):
        return one, select(store, second)
    other = select(store, second, one.manifest)
    return (one if isinstance(other, StudyChoice) else select(store, first, other.manifest)), other


def _studies(store: Store, first: Manifest, second: Manifest, console: Console | None) -> dict[str, Any]:
    from ablation.analysis.diff import diff_studies
    from ablation.results.runs import load_results

    found = diff_studies(load_results(store, first), load_results(store, second))
    if console:
        _print_studies(found, (first.name, second.name), console)
    effects = [[_effect_values(own) for own in common.effects] for common in found.common]
    return {
        "kind": "studies",
        "first": first.name,
        "second": second.name,
        "settings": _plain(found.settings),
        "only_first": list(found.only[0]),
        "only_second": list(found.only[1]),
        "runs": dict(zip(("only_first", "only_second", "both"), found.runs, strict=True)),
        "variants": [
            {"variant": own.name, "options": _plain(own.options), "shared_runs": own.shared, "first": a, "second": b}
            for own, (a, b) in zip(found.common, effects, strict=True)
        ],
    }


def _effect_values(effect: Effect) -> dict[str, Any]:
    names = ("n", "mean", "sd", "difference", "low", "high", "p", "words")
    return {name: getattr(effect, name) for name in names}


def _plain(options: Sequence[OptionDiff]) -> list[dict[str, Any]]:
    return [asdict(own) for own in options]


def _print_options(options: Sequence[OptionDiff], names: tuple[str, str], console: Console, what: str) -> None:
    from rich.text import Text

    from ablation.cli.tables import make_table
    from ablation.study.variants import show

    if not options:
        console.print(f"no {what} differs")
        return
    table = make_table((what, "left"), (names[0], "left"), (names[1], "left"))
    for own in options:
        table.add_row(*map(Text, (own.path, show(own.first), show(own.second))))
    console.print(table)


def _print_studies(found: StudyDiff, names: tuple[str, str], console: Console) -> None:
    from rich.text import Text

    from ablation._util.formatting import plural
    from ablation.cli.tables import make_table

    _print_options(found.settings, names, console, "setting")
    for name, variants in zip(names, found.only, strict=True):
        if variants:
            console.print(Text(f"only in {name}: {', '.join(variants)}"))
    both = plural(found.runs[2], "run")
    console.print(
        Text(f"{both} in both studies, {found.runs[0]} only in {names[0]}, {found.runs[1]} only in {names[1]}")
    )
    for own in found.common:
        if own.options:
            console.print()
            console.print(Text(own.name, style="bold"))
            _print_options(own.options, names, console, "option")
    console.print()
    columns = ((f"{what} {name}", "right") for name in names for what in ("mean", "difference"))
    table = make_table(("variant", "left"), *columns, ("shared runs", "right"))
    for own in found.common:
        cells: list[str] = []
        for effect, measure in zip(own.effects, found.measures, strict=True):
            interval = measure.interval(effect.low, effect.high)
            known = effect.difference is not None
            cells += [
                measure.value(effect.mean),
                f"{measure.difference(effect.difference)} {interval}" if known else "",
            ]
        table.add_row(*map(Text, (own.name, *cells, str(own.shared))))
    console.print(table)
    metrics = " and ".join(dict.fromkeys(measure.name for measure in found.measures))
    console.print(Text(f"{metrics}; each difference is from the baseline of its study"))


def _variants(store: Store, choices: tuple[Choice, Choice], console: Console | None) -> dict[str, Any]:
    from ablation.analysis.diff import diff_across, diff_variants
    from ablation.results.runs import load_results
    from ablation.storage.select import VariantChoice

    one, other = choices
    assert isinstance(one, VariantChoice)
    assert isinstance(other, VariantChoice)
    results = load_results(store, one.manifest)
    if one.manifest.name == other.manifest.name:
        found = diff_variants(results, one.variant.name, other.variant.name)
    else:
        found = diff_across((results, one.variant), (load_results(store, other.manifest), other.variant))
    if console:
        _print_variants(found, one.manifest.name, console)
    own = found.comparison
    comparison = asdict(own) | {"pairs": {str(seed): list(pair) for seed, pair in own.pairs.items()}} if own else None
    return {
        "kind": "variants",
        "study": one.manifest.name if own else None,
        "first": found.first,
        "second": found.second,
        "options": _plain(found.options),
        "metric": found.measure.column,
        "means": list(found.means),
        "comparison": comparison,
        "notices": list(found.notices),
    }


def _print_variants(found: VariantDiff, study: str, console: Console) -> None:
    from rich.text import Text

    from ablation.cli.tables import make_table

    names, measure = (found.first, found.second), found.measure
    _print_options(found.options, names, console, "option")
    console.print()
    console.print(Text(measure.name, style="bold"))
    table = make_table(("seed", "left"), *((name, "right") for name in names), ("difference", "right"))
    own = found.comparison
    for seed, (first, second) in own.pairs.items() if own else ():
        table.add_row(str(seed), measure.value(first), measure.value(second), measure.difference(second - first))
    means = map(measure.value, found.means)
    table.add_row("mean", *means, measure.difference(own.difference) if own and own.difference is not None else "")
    console.print(table)
    for line in (*found.notices, *_claim(found, study)):
        console.print(Text(line), soft_wrap=True)


def _claim(found: VariantDiff, study: str) -> Iterator[str]:
    """What the difference of two variants comes to, and what the interval is worth."""
    own, measure = found.comparison, found.measure
    if own is None:
        yield "they are of different studies: nothing pairs their runs, so that there is no interval"
        return
    if own.low is None or own.high is None:
        why = own.method if own.declared and own.method else "too few seeds have both, or all differences are equal"
        yield f"no interval: {why}"
        return
    interval = measure.interval(own.low, own.high)
    p = f", p = {own.p:.2g}" if own.p is not None else ""
    words = f": {own.words}" if own.words else ""
    difference = f"{measure.difference(own.difference)}{measure.unit}"
    yield f"difference {difference}, {found.level:g} % interval {interval}{p}{words}"
    if own.declared:
        yield f"as in the report of {study}: simultaneous over its variants"
    else:
        yield f"a paired t-test of this pair alone: {study} did not declare it, and nothing adjusts for choosing it now"


def _runs(store: Store, choices: tuple[Choice, Choice], console: Console | None) -> dict[str, Any]:
    from ablation.analysis.diff import differing
    from ablation.results.inspect import inspect_run
    from ablation.results.same_bits import Trained, differing_bits, differing_environment
    from ablation.storage.select import RunChoice

    one, other = (inspect_run(store, own) for own in choices if isinstance(own, RunChoice))
    options = differing(_identity(one), _identity(other))
    records = one.run.record, other.run.record
    bits: list[str] | None = None
    environment: list[str] = []
    if records[0] and records[1]:
        bits = [*differing_bits(Trained(records[0], one.run.epochs), Trained(records[1], other.run.epochs))]
        environment = [*differing_environment(records[0].environment, records[1].environment)]
    if console:
        _print_options(options, (one.name, other.name), console, "option")
        _print_runs(one, other, bits, environment, console, explained=bool(options))
    values = {"first": one.name, "second": other.name, "options": _plain(options), "environment": environment}
    states = {"states": [one.run.state, other.run.state], "same_key": one.key == other.key}
    return {"kind": "runs", **values, **states, "equal": None if bits is None else not bits, "differences": bits}


def _identity(run: Inspected) -> Mapping[str, Any]:
    """What decides what a run trains, as far as it is stored: its code is only in its hash."""
    record = run.run.record
    data = {"images": record.data_fingerprint} if record and record.data_fingerprint else {}
    return {"seed": run.seed, "streams": dict(run.streams or {}), "task": run.task, **run.recipe, **data}


def _print_runs(
    one: Inspected,
    other: Inspected,
    bits: list[str] | None,
    environment: list[str],
    console: Console,
    *,
    explained: bool,
) -> None:
    from rich.text import Text

    lines = []
    if one.key != other.key and not explained:
        lines.append("their hashes differ: in their code, their initial weights, or the version of the training")
    lines += [f"environment: {own}" for own in environment]
    if bits is None:
        lines.append(f"not compared: {one.name} is {one.run.state}, {other.name} is {other.run.state}")
    else:
        lines += bits or ["weights, metrics and predictions are equal, to the bit"]
    for line in lines:
        console.print(Text(line), soft_wrap=True)
