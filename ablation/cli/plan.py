"""`ablate plan`: the runs of a study before they are trained."""

from __future__ import annotations

import argparse

from ablation.cli.arguments import StudyFileOptions, add_results, add_study_file, add_threads

SUMMARY = "show the runs of a study, model sizes, and what is finished"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_study_file(parser)
    add_results(parser)
    parser.add_argument("--probe", action="store_true", help="time a few steps of each variant and estimate the total")
    parser.add_argument("--device", default="auto", help="device to time on: auto (default), cpu, cuda, cuda:0,2")
    add_threads(parser)


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Print the plan, and with `--probe` how long it would take."""
    from ablation.cli.tables import print_estimate, print_plan, print_preparation
    from ablation.execution.options import WorkerOptions
    from ablation.execution.probing import estimate
    from ablation.execution.study import plan_study
    from ablation.storage.store import Store

    study = StudyFileOptions.of(arguments).load(need_data=arguments.probe)
    store = Store(arguments.results)
    plan = None if study.missing else plan_study(study)
    print_plan(study, plan, store)
    if plan:
        print_preparation(plan, store)
    if arguments.probe and plan:
        workers = WorkerOptions(arguments.device, threads=arguments.threads, hang_after=arguments.hang_after)
        print_estimate(estimate(plan, store, workers), sequential=bool(study.looks))
    return 0
