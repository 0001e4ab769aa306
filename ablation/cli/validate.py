"""`ablate validate`: check a study file."""

from __future__ import annotations

import argparse

from ablation._util.sanitize import clean
from ablation.cli.arguments import StudyFileOptions, add_study_file

add_arguments = add_study_file


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Print how large the study is, and which of its data are missing."""
    from ablation._util.formatting import plural
    from ablation.registry.metrics import check_packages

    study = StudyFileOptions.of(arguments).load(need_data=False)
    check_packages(study.metrics)
    variants, seeds = len(study.variants), len(study.seeds)
    most = ("up to ", "at most ") if study.looks else ("", "")
    runs = f"{most[1]}{plural(variants * seeds, 'run')}"
    size = f"{plural(variants, 'variant')} x {most[0]}{plural(seeds, 'seed')} = {runs}"
    print(f"{clean(str(arguments.study))}: valid; {size}{' (smoke run)' if study.smoke else ''}")
    for what in study.missing:
        print(clean(f"but its data are not here: {what}"))
    return 0
