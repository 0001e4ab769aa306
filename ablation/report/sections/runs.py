"""Runs and what was found about them: warnings, diverged and unfinished runs, and how to train all of them again."""

from __future__ import annotations

from collections.abc import Iterator

import ablation.report.claims as claims
import ablation.report.progress as progress
from ablation._util.formatting import ABSENT, percent
from ablation._util.language import current, tr, tr_noop
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
    tr_text,
)
from ablation.report.context import Context, Section

_MOST_OPEN = 60
"""Rows of the list of runs up to which it is shown unfolded."""
_STATES = (
    tr_noop("finished"), tr_noop("diverged"), tr_noop("damaged"), tr_noop("crashed"), tr_noop("interrupted"),
    tr_noop("missing"),
)  # fmt: skip
"""The states of a run as they are stored, shown in the language of the report."""


def _warnings(context: Context) -> Iterator[Block]:
    if context.analysis.facts.done:
        found = claims.findings(context.analysis)
        yield Findings(found) if found else Paragraph(claims.all_clear(context.analysis))


def _problem_runs(context: Context) -> Iterator[Block]:
    analysis = context.analysis
    if not analysis.problem_runs:
        return
    yield Paragraph(_about_problem_runs(context))
    problem_runs = [run for run in analysis.problem_runs if run.status != "missing"]
    if problem_runs:
        epochs = any(run.epoch for run in problem_runs)
        epoch = (Column(tr("Epoch"), number=True),) if epochs else ()
        which = (Column(tr("Variant")), Column(tr("Seed"), number=True), Column(tr("State")))
        columns = (*which, *epoch, Column(tr("Reason")))
        yield Table(
            tr("Table of diverged and unfinished runs"),
            columns,
            tuple(_problem_run(run, epochs) for run in problem_runs),
        )
    waiting = progress.not_started(analysis)
    if waiting:
        yield Paragraph(waiting)


def _about_problem_runs(context: Context) -> str:
    """What each state means."""
    if not context.recipe:
        return tr(
            "A run that diverged is a result: its value is infinite or not a number. A missing run has no result."
        )
    if context.study.of_images:
        return tr(
            "A run that diverged is a result: its loss became infinite or not a number, and training again gives the "
            "same. A run that crashed, was interrupted, has damaged files or has not started yet is none; the same "
            "command trains it."
        )
    return tr(
        "A run that diverged is a result: its primary metric is not a finite number. A run that crashed, was "
        "interrupted, has damaged files or has not started yet is none; the same command trains it."
    )


def _problem_run(run: ProblemRun, epochs: bool) -> Row:
    status = Span(tr(run.status), css=f"status {run.status}")
    epoch = (Cell(str(run.epoch or ABSENT)),) if epochs else ()
    reason = Cell(run.reason, css="reason", traceback=run.details)
    return Row((Cell(name(run.variant)), Cell(str(run.seed)), Cell(status), *epoch, reason))


def _reproduce(context: Context) -> Iterator[Block]:
    study = context.study
    if context.recipe:
        yield Paragraph(tr("The same command trains what is missing and leaves finished runs as they are:"))
    else:
        yield Paragraph(tr("The same command writes this report again:"))
    yield Code(study.command, "sh")
    if study.source:
        yield Heading(tr("Study file"))
        if study.overrides:
            yield Paragraph(overrides(context))
        yield Code(study.source, "yaml", tall=True)
    if context.recipe:
        yield Heading(tr("Run folders"))
        rows = tuple(_runs(context))
        table = Table(tr("Table of run folders"), _run_columns(context), rows, css="small")
        yield Details(_about_folders(len(rows), study.of_images), (table,), open=len(rows) <= _MOST_OPEN)


def _about_folders(number: int, weights: bool) -> Text:
    """What the names of the folders mean, and what the table has of each."""
    if weights:
        return tr_text(
            "{number} runs, with the hash of each configuration in the name of its folder below {folder}, and the "
            "first 12 digits of the SHA-256 of the weights that it reports",
            number=str(number),
            folder=code("runs/"),
        )
    return tr_text(
        "{number} runs, with the hash of each configuration in the name of its folder below {folder}",
        number=str(number),
        folder=code("runs/"),
    )


def _run_columns(context: Context) -> tuple[Column, ...]:
    """The columns of the rows that `_runs` makes."""
    which = (Column(tr("Variant")), Column(tr("Seed"), number=True), Column(tr("State")))
    if context.study.of_images:
        numbers = (Column(tr("Accuracy, %"), number=True), Column(tr("Epoch"), number=True))
        return (*which, *numbers, Column(tr("Folder")), Column(tr("Weights")))
    score = context.results.metric(context.analysis.measure.column).heading
    return (*which, Column(score, number=True), Column(tr("Folder")))


def overrides(context: Context) -> Text:
    """What the command line set over the study file."""
    shown = join(map(code, context.study.overrides), current().comma)
    return tr_text("Command-line overrides: {overrides}.", overrides=shown)


def _runs(context: Context) -> Iterator[Row]:
    rows = context.results.runs[["variant", "seed", "folder"]].itertuples(index=False, name=None)
    folders = {(str(variant), int(seed)): str(folder) for variant, seed, folder in rows}
    for effect in context.analysis.effects:
        for run in effect.runs:
            record = context.results.records.get((effect.variant, run.seed))
            which = (Cell(name(effect.variant)), Cell(str(run.seed)), Cell(tr(run.status)))
            folder = Cell(code(folders[effect.variant, run.seed]))
            if not context.study.of_images:
                yield Row((*which, Cell(context.analysis.measure.value(run.value)), folder))
                continue
            weights = (record.weights_sha256 or "")[:12] if record else ""
            epoch = Cell(str(run.selected_epoch or ABSENT))
            score = Cell(percent(run.accuracy, context.digits))
            yield Row((*which, score, epoch, folder, Cell(code(weights) if weights else ABSENT)))


WARNINGS = Section("warnings", tr_noop("Warnings and threats to validity"), 40, _warnings)
PROBLEM_RUNS = Section("problem_runs", tr_noop("Diverged and unfinished runs"), 110, _problem_runs)
REPRODUCE = Section("reproduce", tr_noop("How to reproduce"), 150, _reproduce, appendix=True)
