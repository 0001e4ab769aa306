"""Runs and what was found about them: warnings, diverged and unfinished runs, and how to train all of them again."""

from __future__ import annotations

from collections.abc import Iterator

import ablation.report.captions as captions
import ablation.report.claims as claims
from ablation._util.formatting import ABSENT, percent
from ablation.analysis import ProblemRun
from ablation.report.blocks import (
    Block,
    Cell,
    Code,
    Column,
    Details,
    Findings,
    Heading,
    Paragraph,
    Row,
    Span,
    Table,
    Text,
    code,
    join,
    name,
)
from ablation.report.context import Context, Section

_MOST_OPEN = 60
"""Rows of the list of runs up to which it is shown unfolded."""


def _warnings(context: Context) -> Iterator[Block]:
    if context.analysis.facts.done:
        found = claims.findings(context.analysis)
        yield Findings(found) if found else Paragraph(claims.all_clear(context.analysis))


def _problem_runs(context: Context) -> Iterator[Block]:
    analysis = context.analysis
    if not analysis.problem_runs:
        return
    if context.recipe:
        diverged = (
            "its loss became infinite or not a number, and training again gives the same"
            if context.study.of_images
            else "its primary metric is not a finite number"
        )
        yield Paragraph(
            f"A run that diverged is a result: {diverged}. A run that crashed, was interrupted, has damaged files or "
            f"has not started yet is none; the same command trains it."
        )
    else:
        yield Paragraph(
            "A run that diverged is a result: its value is infinite or not a number. A missing run has no result."
        )
    problem_runs = [run for run in analysis.problem_runs if run.status != "missing"]
    if problem_runs:
        epochs = any(run.epoch for run in problem_runs)
        epoch = (Column("Epoch", number=True),) if epochs else ()
        columns = (Column("Variant"), Column("Seed", number=True), Column("State"), *epoch, Column("Reason"))
        yield Table(
            "Table of diverged and unfinished runs", columns, tuple(_problem_run(run, epochs) for run in problem_runs)
        )
    waiting = captions.not_started(analysis)
    if waiting:
        yield Paragraph(waiting)


def _problem_run(run: ProblemRun, epochs: bool) -> Row:
    status = Span(run.status, css=f"status {run.status}")
    epoch = (Cell(str(run.epoch or ABSENT)),) if epochs else ()
    reason = Cell(run.reason, css="reason", traceback=run.details)
    return Row((Cell(name(run.variant)), Cell(str(run.seed)), Cell(status), *epoch, reason))


def _reproduce(context: Context) -> Iterator[Block]:
    study = context.study
    if context.recipe:
        yield Paragraph("The same command trains what is missing and leaves finished runs as they are:")
    else:
        yield Paragraph("The same command writes this report again:")
    yield Code(study.command, "sh")
    if study.source:
        yield Heading("Study file")
        if study.overrides:
            yield Paragraph(overrides(context))
        yield Code(study.source, "yaml", tall=True)
    if context.recipe:
        yield Heading("Run folders")
        rows, ours = tuple(_runs(context)), study.of_images
        summary = (
            f"{len(rows)} runs, with the hash of each configuration in the name of its folder below ",
            code("runs/"),
            ", and the first 12 digits of the SHA-256 of the weights that it reports" * ours,
        )
        score = "Accuracy, %" if ours else context.results.metric(context.analysis.measure.column).heading
        heads = {"Variant": 0, "Seed": 1, "State": 0, score: 1}
        heads |= {"Epoch": 1, "Folder": 0, "Weights": 0} if ours else {"Folder": 0}
        columns = tuple(Column(head, number=bool(number)) for head, number in heads.items())
        table = Table("Table of run folders", columns, rows, css="small")
        yield Details(summary, (table,), open=len(rows) <= _MOST_OPEN)


def overrides(context: Context) -> Text:
    """What the command line set over the study file."""
    return ("Command-line overrides: ", *join(map(code, context.study.overrides), ", "), ".")


def _runs(context: Context) -> Iterator[Row]:
    rows = context.results.runs[["variant", "seed", "folder"]].itertuples(index=False, name=None)
    folders = {(str(variant), int(seed)): str(folder) for variant, seed, folder in rows}
    for effect in context.analysis.effects:
        for run in effect.runs:
            record = context.results.records.get((effect.variant, run.seed))
            which = (Cell(name(effect.variant)), Cell(str(run.seed)), Cell(run.status))
            folder = Cell(code(folders[effect.variant, run.seed]))
            if not context.study.of_images:
                yield Row((*which, Cell(context.analysis.measure.value(run.value)), folder))
                continue
            weights = (record.weights_sha256 or "")[:12] if record else ""
            epoch = Cell(str(run.selected_epoch or ABSENT))
            score = Cell(percent(run.accuracy, context.digits))
            yield Row((*which, score, epoch, folder, Cell(code(weights) if weights else ABSENT)))


WARNINGS = Section("warnings", "Warnings and threats to validity", 40, _warnings)
PROBLEM_RUNS = Section("problem_runs", "Diverged and unfinished runs", 110, _problem_runs)
REPRODUCE = Section("reproduce", "How to reproduce", 150, _reproduce, appendix=True)
