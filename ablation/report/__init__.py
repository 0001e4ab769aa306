"""A study on disk -> its report: one HTML file, Markdown with figures beside it, the claims as JSON, and the tables."""

from __future__ import annotations

import csv
import gc
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

import ablation.report.drawing as drawing
import ablation.report.html as html
import ablation.report.markdown as markdown
import ablation.report.paper as paper
from ablation._util.files import replace, replace_text, write_json
from ablation._util.language import load, use_language
from ablation._util.sanitize import clean
from ablation.analysis import Predicted, describe, to_json
from ablation.analysis.classification.chance import AT_CHANCE, at_chance
from ablation.analysis.classification.classes import class_rows
from ablation.analysis.sequential import required
from ablation.report.context import Context, Section, section
from ablation.report.form import Form
from ablation.report.latex import results_table
from ablation.report.logo import read_logo
from ablation.report.page import Page, make_page
from ablation.report.sections import all_sections
from ablation.report.sections.interpretation import read_texts
from ablation.report.source import TableSource, check_folder
from ablation.report.styles import chosen
from ablation.report.templates import Templates, templates_dir
from ablation.results.csv_files import disarmed
from ablation.results.predictions import read_predictions
from ablation.results.runs import Results, load_results
from ablation.results.tables import COUNTS
from ablation.storage.manifest import Manifest
from ablation.storage.store import Store

__all__ = ["Form", "Predictions", "Report", "Section", "report_on", "section", "templates_dir", "write_report"]

_DOCUMENTS = {
    "html": "report.html",
    "md": "report.md",
    "tex": "paper/main.tex",
    "pdf": "report.pdf",
    "docx": "report.docx",
}
_CHUNK = 10_000
"""Rows of a table that are text at a time."""
_OUR_PICTURES = re.compile(
    r"(?:components|forest|looks|difference|loss|accuracy|learning-rate|curve-\d+|(?:cost-)?sweep|mistakes)-\d+"
    r"\.(?:png|svg|pdf)|logo\.(?:png|jpg)"
)


@dataclass(frozen=True)
class Report:
    """The files of a written report: `documents` are what was written to be read, in the order asked for.

    `html` and `markdown` are where these forms are, if they were asked for.
    """

    html: Path
    markdown: Path
    runs: Path
    epochs: Path
    analysis: Path
    latex: Path
    figures: tuple[Path, ...]
    documents: tuple[Path, ...] = ()


def write_report(
    store: Store, manifest: Manifest, out: Path, sections: Iterable[Section] = (), form: Form | None = None
) -> Report:
    """Write the report of a study, finished or not, into the folder `out`. The same results give the same bytes.

    `sections` are added to those of the package and of installed plug-ins.
    """
    form = replace_fields(form or Form(), sections=tuple(sections))
    return report_on(load_results(store, manifest), store, out, form=form)


def report_on(
    results: Results, store: Store, out: Path, table: TableSource | None = None, form: Form | None = None
) -> Report:
    """Write the report of results, wherever they come from; predictions and images are looked for in `store`.

    `table` is where results from elsewhere were read. Raises UserError where `out` holds the report of another study or
    table, and for a form that cannot be written; then no file of the report is changed.
    """
    form, results = form or Form(), required(results)
    form.check()
    check_folder(out, results.manifest.name, table)
    with use_language(load((form.options or results.manifest.report_options).language)), _gc_frozen():
        return _written(results, store, out, table, form)


@contextmanager
def _gc_frozen() -> Iterator[None]:
    """Garbage collection skips all older objects: a report makes many figures, each of which triggers it."""
    if gc.get_freeze_count():  # the host program does this itself
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _written(results: Results, store: Store, out: Path, table: TableSource | None, form: Form) -> Report:
    """The report in the current language."""
    options = form.options or results.manifest.report_options
    sections, templates, logo = (
        chosen(options, all_sections(form.sections)),
        Templates(form.templates),
        read_logo(options.logo),
    )
    templates.check()
    analysis = describe(results, Predictions(results, store))
    shown = tuple(own.name for own in sections)
    context = Context(store, results, analysis, read_texts(out), options, shown)
    page = make_page(context, sections, logo)
    files = dict(_files(page, context, form.formats, templates))
    pictures = dict(_pictures(page, form.formats))
    for folder in ("figures", "tables", *(("paper/figures",) if "tex" in form.formats else ())):
        (out / folder).mkdir(parents=True, exist_ok=True)
    report = Report(
        html=out / "report.html",
        markdown=out / "report.md",
        runs=out / "runs.csv",
        epochs=out / "epochs.csv",
        analysis=out / "analysis.json",
        latex=out / "tables" / "results.tex",
        figures=tuple(out / name for name in pictures),
        documents=tuple(out / _DOCUMENTS[name] for name in form.formats if name in _DOCUMENTS),
    )
    written = tables(context)
    for name, own in written.items():
        replace(out / name, csv_writer(own))
    if "classes.csv" not in written:
        (out / "classes.csv").unlink(missing_ok=True)
    source = {"table": table.identity(out)} if table else {}
    write_json(report.analysis, to_json(analysis, results.manifest.name) | source)
    replace_text(report.latex, results_table(analysis))
    for name, content in {**pictures, **files}.items():
        replace(out / name, lambda file, content=content: file.write(content))  # type: ignore[misc]
    _remove_old(out / "figures", {Path(name).name for name in pictures})
    return report


def _files(page: Page, context: Context, formats: Iterable[str], templates: Templates) -> Iterator[tuple[str, bytes]]:
    """The documents of a report, made before any of them is written: name and content."""
    for name in formats:
        match name:
            case "html":
                yield _DOCUMENTS[name], clean(html.render(page, templates)).encode()
            case "md":
                yield _DOCUMENTS[name], clean(markdown.render(page)).encode()
            case "tex":
                twocolumn = context.options.style == "paper"
                for file, content in paper.files(page, context.analysis, templates, twocolumn=twocolumn):
                    yield f"paper/{file}", content
            case "pdf":
                import ablation.report.pdf as pdf

                yield _DOCUMENTS[name], pdf.render(page, templates)
            case "docx":
                import ablation.report.word as word

                yield _DOCUMENTS[name], word.render(page)


@dataclass(frozen=True)
class Predictions(Mapping[tuple[str, int], Predicted]):
    """What the finished runs predicted of their validation images, where it is stored.

    Read when it is asked for, since few runs are, and all of them together would fill the memory.
    """

    results: Results
    store: Store

    def __getitem__(self, run: tuple[str, int]) -> Predicted:
        if self.results.records[run].status != "finished":
            raise KeyError(run)
        folder = self.store.run(self.results.manifest.run_folder(*run))
        arrays = read_predictions(folder, "validation", "index", "label", "predicted")
        if arrays is None:
            raise KeyError(run)
        return Predicted(*arrays)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return (run for run in self.results.records if run in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _pictures(page: Page, formats: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """The figures and the logo: name and content."""
    for own in page.pictures:
        yield own.file, own.png()
        if "svg" in formats:
            yield own.file.removesuffix(".png") + ".svg", drawing.vector(own.draw(), "svg")
    if page.logo:
        yield page.logo.file, page.logo.data


def _remove_old(folder: Path, current: Iterable[str]) -> None:
    """Remove pictures of ours that an earlier report of the study had and this one has not."""
    for path in folder.glob("*.*"):
        if _OUR_PICTURES.fullmatch(path.name) and path.name not in current:
            path.unlink()


def tables(context: Context) -> dict[str, pd.DataFrame]:
    """The CSV tables beside a report, by their names; classes.csv only where predictions are stored."""
    results = context.results
    counts = [name for name in COUNTS if name in results.runs]
    runs = results.runs.astype(dict.fromkeys(counts, "Float64")).astype(dict.fromkeys(counts, "Int64"))
    lost = at_chance(results)
    if lost:
        at = [run in lost for run in runs[["variant", "seed"]].itertuples(index=False, name=None)]
        runs[AT_CHANCE] = np.array(at, dtype=int)
    found = {"runs.csv": runs, "epochs.csv": results.epochs}
    rows = [row for own in context.classes for row in class_rows(own.part, own.counts, own.names)]
    if rows:
        columns = ["part", "variant", "seed", "class", "images", "correct"]
        found["classes.csv"] = pd.DataFrame(rows, columns=columns)
    return found


def csv_writer(table: pd.DataFrame) -> Callable[[IO[bytes]], None]:
    """Writes a table as `DataFrame.to_csv` would, in two thirds of its time."""

    def write(file: IO[bytes]) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(table.columns)
        for start in range(0, len(table), _CHUNK):
            part = table.iloc[start : start + _CHUNK]
            rows.writerows(zip(*(_cells(part[name]) for name in part), strict=True))
        text.detach()

    return write


def _cells(column: pd.Series) -> list[object]:
    """Plain values; None, which is written as nothing, for those that are missing; text as no formula."""
    gaps, values = column.isna(), column.tolist()
    if gaps.any():
        values = [None if gap else value for value, gap in zip(values, gaps, strict=True)]
    if column.dtype.kind in "biuf":
        return values
    return [disarmed(value) if isinstance(value, str) else value for value in values]
