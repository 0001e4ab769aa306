"""`ablate plan`: the runs of a study before they are trained."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from ablation.cli.arguments import StudyFileOptions, above_zero, add_results, add_study_file, add_workers, hours
from ablation.errors import UserError

if TYPE_CHECKING:
    from ablation.execution.options import WorkerOptions
    from ablation.planning.plan import Plan
    from ablation.storage.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_study_file(parser)
    add_results(parser)
    parser.add_argument("--probe", action="store_true", help="time a few steps of each variant and estimate the total")
    add_workers(parser)
    budget = parser.add_argument_group("budget")
    budget.add_argument(
        "--hours",
        type=hours,
        metavar="H",
        help="propose seeds, variants and epochs that fit into H hours on this machine, with what each can detect",
    )
    budget.add_argument(
        "--detect",
        type=above_zero,
        metavar="SIZE",
        help="with --hours: recommend the cheapest that detects this difference, in points for accuracies and other "
        "shares, or else in the unit of the metric",
    )
    budget.add_argument(
        "--residual-sd",
        type=above_zero,
        metavar="SD",
        help="with --hours: the residual SD of single runs, in the unit of --detect (default: that of finished runs)",
    )


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Print the plan, with `--probe` how long it would take, and with `--hours` what fits into a time."""
    from ablation.cli.plan_tables import print_plan, print_preparation
    from ablation.execution.options import WorkerOptions
    from ablation.execution.study import plan_study
    from ablation.storage.store import Store

    _check(arguments)
    budget = arguments.hours is not None
    study = StudyFileOptions.of(arguments).load(need_data=arguments.probe or budget)
    store = Store(arguments.results)
    plan = None if study.missing else plan_study(study)
    if arguments.probe or not budget:
        print_plan(study, plan, store)
    if plan:
        print_preparation(plan, store)
        each = arguments
        workers = WorkerOptions(each.device, each.per_device, each.threads, each.hang_after)
        if budget:
            _print_budget(plan, store, workers, arguments)
        elif arguments.probe:
            _print_estimate(plan, store, workers)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Raise UserError for options that exclude or need each other."""
    for name in ("detect", "residual_sd"):
        if getattr(arguments, name) is not None and arguments.hours is None:
            raise UserError(f"--{name.replace('_', '-')} needs --hours", "add --hours and the hours that you have")
    if arguments.smoke and arguments.hours is not None:
        hint = "leave out --smoke; without --hours, it shows the plan of the smoke run"
        raise UserError("--hours is about the study itself, not about its smoke run", hint)


def _print_estimate(plan: Plan, store: Store, workers: WorkerOptions) -> None:
    """How long the unfinished runs would take."""
    from ablation.cli.console import make_console
    from ablation.cli.plan_tables import print_estimate
    from ablation.execution.probing import learn, measure, total
    from ablation.execution.study import still_to_do

    todo = still_to_do(plan.runs, store)
    if not todo:
        make_console().print("nothing left to train")
        return
    estimate = measure(plan, todo, len(todo), store, workers)
    learned = learn(estimate, store)
    print_estimate(total(plan, todo, estimate, learned), estimate, learned, sequential=bool(plan.study.looks))


def _print_budget(plan: Plan, store: Store, workers: WorkerOptions, arguments: argparse.Namespace) -> None:
    """What fits into the hours that there are."""
    from ablation.cli.budget import Shown, print_budget, run_command
    from ablation.cli.console import make_console
    from ablation.execution.budget import MOST_SEEDS, find_noise, propose
    from ablation.execution.probing import learn, measure
    from ablation.planning.choices import Goal

    study = plan.study
    if len(study.variants) < 2:
        raise UserError("the study has only its baseline: there is nothing to detect", "declare variants under vary")
    if study.looks:
        hint = "without --hours, plan shows how many runs its looks are expected to need; --probe times them"
        raise UserError("--hours proposes a number of seeds, and this study has looks", hint)
    noise = find_noise(plan, store).given(arguments.residual_sd)
    effect = noise.in_sds(arguments.detect)
    if not study.task:
        make_console().print(f"timing a few steps of each of {len(study.variants)} variants", style="dim")
    estimate = measure(plan, plan.runs, MOST_SEEDS * len(study.variants), store, workers)
    learned = learn(estimate, store)
    found = propose(plan, store, estimate, learned, Goal(arguments.hours, effect))
    command = partial(run_command, study=study, arguments=arguments)
    print_budget(found, Shown(study, noise, estimate, learned, arguments.detect, command))
