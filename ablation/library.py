"""What `import ablation` offers: from a study file to results, verdicts and a report, in Python or in a notebook.

The functions take and return plain values, raise `UserError` for what the user can fix, and print nothing but progress.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import ablation.analysis as analysis
import ablation.results.runs as stored
import ablation.results.tables as tables
from ablation.analysis.judgement import Judgement
from ablation.analysis.sequential import required
from ablation.errors import UserError
from ablation.execution.judge import Question
from ablation.execution.judge import judge_study as judge
from ablation.execution.options import EvaluationOptions, RunOptions
from ablation.execution.progress import LineProgress, Progress
from ablation.registry.catalog import suggestion
from ablation.registry.metric_names import Unit
from ablation.registry.metrics import Direction
from ablation.report import Form, Predictions, Report, Section, report_on
from ablation.report.figure_blocks import forest
from ablation.report.form import DEFAULT as DEFAULT_FORMATS
from ablation.report.ranking import ranked
from ablation.report.source import TableSource
from ablation.results.foreign.imported import findings_of
from ablation.storage.find import find_study
from ablation.storage.manifest import Manifest
from ablation.storage.store import Store
from ablation.storage.verdict_ledger import default_ledger
from ablation.study.load import load_study as read_study
from ablation.study.report_options import ReportOptions
from ablation.study.schema import Study

_STORE = Store(Path("results"))


@dataclass(frozen=True)
class Results(stored.Results):
    """What a study has measured so far; a notebook shows it as a table and a figure.

    `runs` has a row for each variant and seed, `epochs` one for each epoch of these. Accuracies are fractions of 1.
    """

    store: Store = _STORE
    """Where the runs are; nothing is there of results from elsewhere."""
    table: TableSource | None = None
    """The table that results from elsewhere were read from."""

    @classmethod
    def load(cls, store: Store, manifest: Manifest) -> Results:
        """Read every run of a stored study; of a sequential one those that its looks need."""
        return cls(**_values(required(stored.load_results(store, manifest))), store=store)

    def _repr_markdown_(self) -> str:
        return analyze(self)._repr_markdown_()

    def _repr_html_(self) -> str:
        return analyze(self)._repr_html_()


class Analysis(analysis.Analysis):
    """What the results allow to be claimed: `effects` has the verdict on each variant, the baseline first."""

    def __repr__(self) -> str:
        rows = [self._header(), *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([self._title(), *lines])

    def _repr_markdown_(self) -> str:
        header = self._header()
        rows = [header, ("---",) * len(header), *self._rows()]
        escaped = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
        return "\n".join([f"**{self._title()}**", "", *escaped])

    def _repr_html_(self) -> str:
        def row(cells: Sequence[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        body = "".join(row(cells, "td") for cells in self._rows())
        drawn = "".join(
            f'<img alt="{html.escape(picture.alt)}" width="860" '
            f'src="data:image/png;base64,{base64.b64encode(picture.png()).decode("ascii")}">'
            for picture in forest(ranked(self), self)
        )
        title = html.escape(self._title())
        return f"<table><caption>{title}</caption>{row(self._header(), 'th')}{body}</table>{drawn}"

    def _title(self) -> str:
        margin = "" if self.margin is None else f", equivalence margin {self.measure.size(self.margin)}"
        return f"{self.measure.name}{margin}"

    def _header(self) -> tuple[str, ...]:
        return "variant", "mean", "difference", f"{100 * (1 - self.alpha):g} % interval", "verdict"

    def _rows(self) -> list[tuple[str, ...]]:
        measure = self.measure
        return [
            (
                effect.variant,
                measure.value(effect.mean),
                measure.difference(effect.difference) if number else "",
                measure.interval(effect.low, effect.high) if number else "",
                effect.words if number else "",
            )
            for number, effect in enumerate(self.effects)
        ]


def load_study(
    path: str | Path, *, overrides: Sequence[str] = (), seeds: Sequence[int] | None = None, smoke: bool = False
) -> Study:
    """Read and check a study file.

    `overrides` are settings of the baseline (`model.dropout=0.5`), `seeds` replace those of the file, and `smoke` cuts
    every run short, as `--smoke` does. Raises UserError with every error of the file, its line and a fix.

    >>> study = load_study("tiny.yaml")
    >>> [variant.name for variant in study.variants], study.seeds
    (['baseline', 'dropout=0'], (0, 1))
    """
    return read_study(Path(path), overrides=overrides, seeds=seeds, smoke=smoke)


def run_study(
    study: Study | str | Path,
    results: str | Path = "results",
    *,
    progress: Progress | None = None,
    options: RunOptions | None = None,
    device: str = "auto",
) -> Results:
    """Train the runs of a study that are not finished, and return all its results.

    `device` is `auto`, `cpu`, `cuda` or `cuda:0,2`; `options` has everything else. `progress` shows what happens; by
    default a line is printed for each run. Workers do not import the calling script: it needs no `__main__` guard.
    Runs that failed are in `Results.failures`. Raises UserError where the study cannot be run. The first Ctrl-C ends
    each run after its epoch, a second one immediately; both raise KeyboardInterrupt, and the same call resumes.

    >>> results = run_study("tiny.yaml", device="cpu", progress=Quiet())
    >>> results.runs[["variant", "seed", "status"]].values.tolist()[:2]
    [['baseline', 0, 'finished'], ['baseline', 1, 'finished']]
    """
    from ablation.execution.run import run_study as run

    loaded = study if isinstance(study, Study) else load_study(study)
    store, options = Store(Path(results)), options or RunOptions()
    if device != "auto":
        options = replace(options, workers=replace(options.workers, device=device))
    if not options.command:
        options = replace(options, command=f"ablate run {loaded.file}")
    if run(loaded, store, options, progress or LineProgress()).stopped:
        raise KeyboardInterrupt("stopped; the same call resumes from here")
    return load_results(loaded.name, results)


def load_results(study: str | None = None, results: str | Path = "results") -> Results:
    """The results of a stored study by name or study file; of the most recent one by default.

    Raises UserError where the study is not in the folder `results`.

    >>> load_results("tiny").complete
    True
    """
    store = Store(Path(results))
    return Results.load(store, find_study(store, study, lambda text: LineProgress().say(text, "notice")))


def read_results(
    runs: str | Path,
    baseline: str,
    *,
    epochs: str | Path | None = None,
    metric: str | None = None,
    direction: Direction | None = None,
    unit: Unit | None = None,
    title: str = "",
    command: str = "",
) -> Results:
    """Results of other training code: a CSV file with the columns `variant`, `seed` and one for each metric.

    The variants are compared with `baseline` by `metric` (default: the first column of numbers). `direction` says which
    way is better and `unit` how values are written, where the name of the metric does not. `epochs` is a table with a
    row for each epoch. Raises UserError with every error of the tables.

    >>> _ = Path("runs.csv").write_text("variant,seed,accuracy\\na,0,0.5\\na,1,0.6\\nb,0,0.7\\nb,1,0.9\\n")
    >>> read_results("runs.csv", "a").runs["accuracy"].tolist()
    [0.5, 0.6, 0.7, 0.9]
    """
    source = TableSource(Path(runs), Path(epochs) if epochs else None)
    found = tables.read_results(
        source.runs,
        baseline,
        epochs=source.epochs,
        metric=metric,
        direction=direction,
        unit=unit,
        title=title,
        command=command,
    )
    return Results(**_values(replace(found, findings=findings_of(source.runs))), table=source)


def analyze(results: Results, *, margin: float | None = None, metric: str | None = None) -> Analysis:
    """Say what can be claimed of each variant.

    `margin` is the difference below which a variant counts as equivalent, in the unit of the metric as stored (0.01 is
    one percentage point of accuracy); `metric` is a column of `results.runs`. Both are those of the study by default.
    Raises UserError for a margin that is not above 0 and for an unknown metric, and for a sequential study, which has
    stopped by its own.

    >>> analyze(load_results("tiny"), margin=0.02)
    validation accuracy, equivalence margin 2 points
    variant    mean  difference  95 % interval  verdict
    ...
    """
    settings = dict(results.manifest.analysis)
    if results.manifest.sequential and (margin is not None or metric is not None):
        what = "its metric and its margin have decided when a sequential study stops"
        raise UserError(f"{what}: they cannot be changed afterwards", "declare them in the study file before it is run")
    if margin is not None:
        if not margin > 0:
            raise UserError(f"margin is {margin}; it must be above 0", "an accuracy's is a fraction of 1, such as 0.01")
        settings["margin"] = margin
    if metric is not None:
        settings |= {"metric": metric, "metric_stated": True, "direction": _direction(results, metric)}
    chosen = replace(results, manifest=replace(results.manifest, analysis=settings))
    return Analysis(**_values(analysis.describe(chosen, Predictions(chosen, chosen.store))))


def write_report(
    results: Results,
    out: str | Path | None = None,
    sections: Iterable[Section] = (),
    *,
    options: ReportOptions | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
) -> Report:
    """Write the report into the folder `out` (default: `reports/STUDY`) and return its files.

    `sections` are added to those of the package. `options` replace the section `report` of the study: style, author,
    course, date, logo, and the sections that are shown. `formats` are html, md, svg, tex, pdf and docx. The same
    results give the same bytes. Raises UserError where `out` holds the report of something else, or a format cannot be
    written.

    >>> write_report(load_results("tiny")).html.as_posix()
    'reports/tiny/report.html'
    """
    folder = Path("reports") / results.manifest.folder if out is None else Path(out)
    form = Form(options, tuple(formats), sections=tuple(sections))
    return report_on(results, results.store, folder, results.table, form)


def evaluate_test_set(
    study: str,
    results: str | Path = "results",
    *,
    progress: Progress | None = None,
    options: EvaluationOptions | None = None,
) -> Results:
    """Evaluate the selected checkpoints of a finished study on the test set, once and on record.

    Raises UserError where runs are not finished, the study was evaluated before, or a checkpoint cannot be evaluated:
    then nothing is recorded. `EvaluationOptions(partial=True, again=True)` allows the first two.

    >>> tested = evaluate_test_set("tiny", progress=Quiet())
    >>> bool(tested.runs["test_accuracy"].between(0, 1).all())
    True
    """
    from ablation.execution.test_set import evaluate_test_set as evaluate

    store, options, progress = Store(Path(results)), options or EvaluationOptions(), progress or LineProgress()
    manifest = find_study(store, study, lambda text: progress.say(text, "notice"))
    if not options.command:
        options = replace(options, command=f"ablate test {manifest.name}")
    found = evaluate(store, manifest, options, progress)
    if found.failed and not found.recorded:
        run, message = found.failed[0]
        raise UserError(f"{run.label} cannot be evaluated: {message}", "nothing was recorded; run the study again")
    return Results.load(store, manifest)


def judge_study(
    study: str,
    results: str | Path = "results",
    *,
    variant: str | None = None,
    not_worse_by: float | None = None,
    ledger: str | Path | None = None,
    uses: int | None = None,
) -> Judgement:
    """Judge a finished study for a program, as `ablate verdict` does: docs/verdict.md says what is promised.

    `variant` is judged alone; by default all are, and the worst one decides. `not_worse_by` passes what is worse by
    less, in points where the metric is a share (0.5 is half a point), else in its own unit. Every call on new results
    is a use on record in `ledger` (default: verdicts.jsonl in the results folder), and all uses share the alpha of the
    study: `uses` equally, by default any number. Raises UserError for an unknown variant, for a ledger that is damaged,
    spent or was started with other settings, and where a margin would count from a baseline that has moved.

    >>> judgement = judge_study("tiny")
    >>> judgement.verdict, judgement.use
    ('undecided', 1)
    """
    store = Store(Path(results))
    manifest = find_study(store, study, lambda text: LineProgress().say(text, "notice"))
    place = default_ledger(store) if ledger is None else Path(ledger)
    command = f"ablate verdict {manifest.name}"
    return judge(stored.load_results(store, manifest), Question(place, variant, not_worse_by, uses, command))


def _direction(results: Results, metric: str) -> Direction:
    known = [str(name) for name in results.runs if name not in ("variant", "seed", "status", "folder")]
    if metric not in known:
        raise UserError(f"there is no metric {metric!r}", suggestion(metric, known))
    direction = results.metric(metric).direction
    if direction is None:
        raise UserError(f"whether more or less of {metric!r} is better is not known", "choose another metric")
    return direction


def _values(record: analysis.Analysis | stored.Results) -> dict[str, Any]:
    """The fields of a dataclass, as arguments of one that extends it."""
    return {field.name: getattr(record, field.name) for field in fields(record)}
