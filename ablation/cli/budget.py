"""`ablate plan --hours` on the terminal: the choices within a time, and the commands that run them."""

from __future__ import annotations

import argparse
import math
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table
from rich.text import Text

from ablation._util.formatting import ABSENT, plural
from ablation.cli.console import make_console
from ablation.cli.plan_tables import learned_from
from ablation.cli.tables import make_table
from ablation.execution.budget import MOST_SEEDS, Budget, Noise
from ablation.execution.phrases import duration
from ablation.execution.probing import Learned
from ablation.planning.alternatives import budget_option, seed_list
from ablation.planning.choices import Choice
from ablation.registry.metrics import Metric
from ablation.storage.spent import Estimate
from ablation.study.schema import Recipe, Study

MOST_NAMED = 4
"""Variants that are left out, by their names; all are in the command."""


@dataclass(frozen=True)
class Shown:
    """What a budget is shown with; `detect` is in the unit shown, and `command` is what runs a choice."""

    study: Study
    noise: Noise
    estimate: Estimate
    learned: Learned
    detect: float | None
    command: Callable[[Choice], str]


def run_command(choice: Choice, study: Study, arguments: argparse.Namespace) -> str:
    """The command that trains a choice, with the options that the plan was made with."""
    words = ["ablate", "run", str(arguments.study)]
    for setting in arguments.set:
        words += [] if setting.partition("=")[0].strip() == "seeds" else ["--set", setting]
    if choice.length is not None:
        words += ["--set", f"{budget_option(study)}={choice.length}"]
    words += ["--seeds", seed_list(choice.seeds)]
    for name in choice.variants if choice.left_out else ():
        words += [f"--only={name}"] if name.startswith("-") else ["--only", name]
    words += ["--results", str(arguments.results)] if arguments.results != Path("results") else []
    words += ["--device", arguments.device] if arguments.device != "auto" else []
    words += ["--per-device", str(arguments.per_device)] if arguments.per_device else []
    words += ["--threads", str(arguments.threads)] if arguments.threads != 1 else []
    return shlex.join(words)


def print_budget(budget: Budget, shown: Shown) -> None:
    """The recommended choice with its command, a table of all choices with theirs, and what there is to know."""
    console = make_console()
    study, setting = shown.study, shown.estimate.setting
    console.print(Text(study.name if study.title == study.name else f"{study.name}: {study.title}", style="bold"))
    limit = duration(budget.limit)
    console.print(f"{limit} on this machine: {setting.device}, {plural(setting.workers, 'worker')}")
    best = budget.recommended
    if best is None:
        console.print(Text(_too_little(budget), style="yellow"), soft_wrap=True)
    elif best.runs:
        console.print(Text.assemble(("recommended: ", "bold"), _in_words(best, shown)), soft_wrap=True)
        console.print(Text(f"  {shown.command(best)}", style="green"), soft_wrap=True)
    else:
        console.print(Text(f"nothing more fits: {_seeds(best)} are finished", style="yellow"))
    console.print()
    console.print(_table(budget, shown))
    console.print()
    for number, choice in enumerate(budget.choices, start=1):
        if choice.runs:
            console.print(Text(f"{number:>2}  {shown.command(choice)}"), soft_wrap=True)
    console.print()
    for sentence in _notes(budget, shown):
        console.print(Text(sentence), soft_wrap=True)
    for notice in shown.learned.notices:
        console.print(Text(notice, style="yellow"), soft_wrap=True)


def _table(budget: Budget, shown: Shown) -> Table:
    """A row for each choice, the recommended one in bold."""
    option, metric = budget_option(shown.study), shown.noise.metric
    own = shown.study.baseline.recipe
    length = (own.train.epochs or own.train.steps) if isinstance(own, Recipe) else None
    lengths = ((option.removeprefix("train."), "right"),) if option else ()
    sizes = ((f"detects, {_unit(metric)}", "right"),) if shown.noise.sd else ()
    table = make_table(
        ("", "right"), ("seeds", "right"), *lengths, ("variants", "left"), ("runs left", "right"), ("time", "right"),
        ("range", "left"), ("fits", "left"), ("detects, SDs", "right"), *sizes,
    )  # fmt: skip
    for number, choice in enumerate(budget.choices, start=1):
        cells = [str(number), str(len(choice.seeds))]
        cells += [str(choice.length or length)] if option else []
        cells += [_variants(choice), f"{choice.runs:,}"]
        cells += [duration(choice.seconds), _range(choice)] if choice.runs else ["", ""]
        cells += [choice.fits if choice.runs else "finished", _number(choice.smallest)]
        cells += [_number(choice.smallest * shown.noise.sd * metric.scale)] if shown.noise.sd else []
        table.add_row(*map(Text, cells), style="bold" if choice is budget.recommended else "")
    return table


def _in_words(choice: Choice, shown: Shown) -> str:
    """`5 seeds, all 13 variants: 65 runs, about 2 min (1 min to 3 min); detects 2.6 residual SDs (0.4 points)`."""
    length = f", {choice.length} {budget_option(shown.study).removeprefix('train.')}" if choice.length else ""
    times = f"about {duration(choice.seconds)} ({_range(choice)})"
    sd, metric = shown.noise.sd, shown.noise.metric
    size = f" ({_with_unit(choice.smallest * sd * metric.scale, metric)})" if sd else ""
    return (
        f"{_seeds(choice)}{length}, {_variants(choice, ' variants')}: {plural(choice.runs, 'run')}, {times}; "
        f"detects {_number(choice.smallest)} residual SDs{size}"
    )


def _too_little(budget: Budget) -> str:
    """What the least is that would allow a claim."""
    whole, part = budget.least
    first = f"{_seeds(whole)} of all {len(whole.variants)} variants take about {duration(whole.seconds)}"
    others = f", of {' and '.join(part.variants)} alone about {duration(part.seconds)}" if part.left_out else ""
    return f"no choice that allows a claim fits for sure: {first}{others}"


def _notes(budget: Budget, shown: Shown) -> Iterator[str]:
    """What there is to know of the choices, as far as it applies to them."""
    study, kinds = shown.study, {choice.kind for choice in budget.choices}
    yield from _on_detection(budget, shown)
    if "fewer epochs" in kinds:
        yield (
            "fewer epochs ask another question: what a change does in a shorter training; "
            "the residual SD may differ too"
        )
    if "fewer variants" in kinds:
        which = (
            "all variants take about as long: leave out those that matter least to you, with --only for each that stays"
            if budget.alike
            else "left out are the slowest variants"
        )
        lost = "; interactions and sweeps that need them wait" if study.design or study.grids else ""
        yield f"{which}; they can be trained later{lost}"
    if any(choice.fits == "perhaps" for choice in budget.choices):
        yield "perhaps: the estimate fits, the upper end of its range does not"
    if any(len(choice.seeds) >= MOST_SEEDS for choice in budget.choices):
        yield f"more than {MOST_SEEDS} seeds are not proposed"
    for problem in budget.problems:
        yield f"fewer epochs are not proposed, since the study would not be valid: {problem}"
    recipe = study.baseline.recipe
    if isinstance(recipe, Recipe) and recipe.train.patience is not None:
        yield "runs that train.patience ends early take less time"
    if isinstance(recipe, Recipe) and recipe.train.stages:
        yield "stages are timed as if they froze nothing, and have epochs of their own: set fewer in the study file"
    yield learned_from(shown.learned, shown.estimate)


def _on_detection(budget: Budget, shown: Shown) -> Iterator[str]:
    """What `detects` means, and what came of `--detect`."""
    noise, study = shown.noise, shown.study
    level = f"{100 * study.analysis.alpha:g} % family-wise error"
    yield f"detects: the smallest true difference that 4 of 5 such studies find, in residual SDs ({level})"
    if noise.sd is None:
        yield _without_sd(budget, shown)
        return
    known = f"{plural(noise.df, 'degree')} of freedom" if noise.df else "as given"
    yield f"the residual SD is {_with_unit(noise.sd * noise.metric.scale, noise.metric)} ({known})"
    if shown.detect is None:
        return
    asked, best = _with_unit(shown.detect, noise.metric), budget.recommended
    if best is not None and best.reaches:
        yield f"the recommended choice is the cheapest of its kind that detects {asked}"
    elif budget.needed is None:
        yield f"no choice that fits detects {asked}: the whole study would need more than {MOST_SEEDS} seeds"
    else:
        needed = f"{_seeds(budget.needed)} of all variants would, in about {duration(budget.needed.seconds)}"
        yield f"no choice that fits for sure detects {asked}: {needed}"


def _without_sd(budget: Budget, shown: Shown) -> str:
    """How the residual SD becomes known."""
    metric, whole = shown.noise.metric, budget.least[0]
    first = shown.command(replace(whole, seeds=whole.seeds[:2]))
    how = f"give --residual-sd from an earlier study, or train two seeds first, which counts as a look ({first})"
    if shown.noise.seeds > 1:
        how = "the finished runs do not give it, as too few of them vary: train more seeds, or give --residual-sd"
    if shown.detect is None:
        return f"to see it in {_unit(metric)}, the residual SD is needed: {how}"
    return f"--detect {_with_unit(shown.detect, metric)} needs the residual SD: {how}"


def _range(choice: Choice) -> str:
    return f"{duration(choice.low)} to {duration(choice.high)}"


def _seeds(choice: Choice) -> str:
    return plural(len(choice.seeds), "seed")


def _variants(choice: Choice, noun: str = "") -> str:
    """`all 13`, or `10 of 13, without a, b and c`."""
    if not choice.left_out:
        return f"all {len(choice.variants)}{noun}"
    names = list(choice.left_out)
    more = [f"{len(names) - MOST_NAMED + 1} others"] if len(names) > MOST_NAMED else []
    named = names[: MOST_NAMED - 1] + more if more else names
    listed = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else named[0]
    return f"{len(choice.variants)} of {len(choice.variants) + len(names)}{noun}, without {listed}"


def _unit(metric: Metric) -> str:
    return "points" if metric.share else metric.name


def _with_unit(size: float, metric: Metric) -> str:
    number = _number(size)
    return f"{number} {'point' if number == '1' else 'points'}" if metric.share else number


def _number(size: float) -> str:
    if not math.isfinite(size):
        return ABSENT
    return f"{size:,.0f}" if size >= 100 else f"{size:.2g}"
