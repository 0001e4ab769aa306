"""`ablate audit`: what a few short runs show of the code of a study."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ablation.cli.arguments import StudyFileOptions, add_overrides, add_results, add_workers, minutes
from ablation.errors import UserError

if TYPE_CHECKING:
    from ablation.execution.progress import Tone
    from ablation.storage.audit_file import Level

BY_CONSTRUCTION = (
    "the built-in trainer draws everything from the seed and gives the same bits for the same run, "
    "so there is nothing to audit"
)
_TONES: dict[Level, Tone] = {"ok": "good", "warning": "warning", "fault": "error", "skipped": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("study", type=Path, metavar="STUDY.yaml", help="the study file")
    add_overrides(parser)
    parser.add_argument("--full", action="store_true", help="try whole runs, also where the task has smoke")
    parser.add_argument(
        "--minutes",
        type=minutes,
        default=120.0,
        metavar="N",
        help="stop trying runs after this long (default: 2), or never",
    )
    add_results(parser)
    add_workers(parser)


def main(arguments: argparse.Namespace, command: str) -> int:
    """Try the study, and print a line for each check; 1 where one of them found a fault."""
    from ablation._util.formatting import plural
    from ablation.cli.live import TerminalProgress
    from ablation.execution.audit import AuditOptions, audit_study
    from ablation.execution.options import WorkerOptions
    from ablation.storage.store import Store

    each, progress = arguments, TerminalProgress()
    file = StudyFileOptions(each.study, False, tuple(each.set), each.seeds and tuple(each.seeds))
    study = file.load(need_data=False)
    if not study.task:
        progress.say(f": {BY_CONSTRUCTION}; nothing was run", "title", study.name)
        return 0
    short = bool(study.task.smoke) and not each.full
    tried = replace(file, smoke=True).load() if short else study
    what = "runs cut by the smoke of the task" if short else "whole runs"
    progress.say(f": {what}, in a folder that is thrown away", "title", f"audit of {study.name}")
    workers = WorkerOptions(each.device, each.per_device, each.threads, each.hang_after)
    try:
        audit = audit_study(study, tried, Store(each.results), AuditOptions(workers, each.minutes, command), progress)
    except KeyboardInterrupt:
        raise UserError(
            "the audit was stopped, and nothing of it is kept", "the same command starts it again"
        ) from None
    for check in audit.checks:
        label = "not seen" if check.level == "skipped" else check.level
        progress.say(f"{check.message}{f'; {check.hint}' if check.hint else ''}", _TONES[check.level], f"{label:<9}")
    warnings = sum(check.level == "warning" for check in audit.checks)
    found = f"{plural(len(audit.faults), 'fault')}, {plural(warnings, 'warning')}"
    progress.say(f"{plural(audit.runs, 'run')}: {found}", "error" if audit.faults else "plain")
    return 1 if audit.faults else 0
