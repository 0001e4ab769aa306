"""`ablate doctor`: what this machine has of what training needs, and how to get what is missing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ablation.cli.arguments import add_results

if TYPE_CHECKING:
    from ablation.cli.doctor_findings import Finding

_STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_results(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Print the findings; the exit code is 1 where one of them is a problem."""
    from ablation.cli.doctor_findings import examine

    findings = examine(arguments.results)
    (print_json if arguments.json else print_findings)(findings)
    return int(any(finding.status == "problem" for finding in findings))


def print_findings(findings: Sequence[Finding]) -> None:
    """One line for each finding, and one for each fix."""
    from rich.text import Text

    from ablation._util.formatting import plural
    from ablation.cli.console import make_console

    console = make_console()
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        line = Text(f"{finding.status:<8}", style=_STYLES[finding.status])
        line.append(f" {finding.name:<{width}}  {finding.value}", style="default")
        console.print(line, soft_wrap=True)
        if finding.fix:
            console.print(Text(f"{'':{width + 11}}fix: {finding.fix}", style="cyan"), soft_wrap=True)
    problems = sum(finding.status == "problem" for finding in findings)
    console.print(f"{plural(problems, 'problem')} found" if problems else "all that training needs is here")


def print_json(findings: Sequence[Finding]) -> None:
    """`ok` (whether there is no problem) and `findings`, as JSON."""
    import json
    from dataclasses import asdict

    ok = all(finding.status != "problem" for finding in findings)
    print(json.dumps({"ok": ok, "findings": [asdict(finding) for finding in findings]}, indent=2))
