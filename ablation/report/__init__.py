"""A study on disk -> its report: one HTML file, Markdown with figures beside it, the claims as JSON, and the tables."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

import ablation.report.html as html
import ablation.report.markdown as markdown
from ablation._util.files import replace, replace_text, write_json
from ablation._util.sanitize import clean
from ablation.analysis import Predicted, describe, to_json
from ablation.analysis.classification.chance import AT_CHANCE, at_chance
from ablation.analysis.classification.classes import class_rows
from ablation.report.context import Context, Section, section
from ablation.report.html import templates_dir
from ablation.report.latex import results_table
from ablation.report.page import Page, make_page
from ablation.report.sections import all_sections
from ablation.report.sections.interpretation import read_interpretation
from ablation.report.source import TableSource, check_folder
from ablation.results.csv_files import disarmed
from ablation.results.predictions import read_predictions
from ablation.results.runs import Results, load_results
from ablation.results.tables import COUNTS
from ablation.storage.manifest import Manifest
from ablation.storage.store import Store

__all__ = ["Predictions", "Report", "Section", "report_on", "section", "templates_dir", "write_report"]

_CHUNK = 10_000
"""Rows of a table that are text at a time."""
_OUR_PICTURES = re.compile(
    r"(?:forest|difference|loss|accuracy|learning-rate|curve-\d+|(?:cost-)?sweep|mistakes)-\d+\.png"
)


@dataclass(frozen=True)
class Report:
    """The files of a written report."""

    html: Path
    markdown: Path
    runs: Path
    epochs: Path
    analysis: Path
    latex: Path
    figures: tuple[Path, ...]


def write_report(store: Store, manifest: Manifest, out: Path, sections: Iterable[Section] = ()) -> Report:
    """Write the report of a study, finished or not, into the folder `out`. The same results give the same bytes.

    `sections` are added to those of the package and of installed plug-ins.
    """
    return report_on(load_results(store, manifest), store, out, sections=sections)


def report_on(
    results: Results, store: Store, out: Path, table: TableSource | None = None, sections: Iterable[Section] = ()
) -> Report:
    """Write the report of results, wherever they come from; predictions and images are looked for in `store`.

    `table` is where results from elsewhere were read, `sections` are added to those of the package. Raises UserError
    where `out` holds the report of another study or table.
    """
    check_folder(out, results.manifest.name, table)
    analysis = describe(results, Predictions(results, store))
    for folder in (out / "figures", out / "tables"):
        folder.mkdir(parents=True, exist_ok=True)
    context = Context(store, results, analysis, read_interpretation(out))
    page = make_page(context, all_sections(sections))
    report = Report(
        html=out / "report.html",
        markdown=out / "report.md",
        runs=out / "runs.csv",
        epochs=out / "epochs.csv",
        analysis=out / "analysis.json",
        latex=out / "tables" / "results.tex",
        figures=_pictures(page, out),
    )
    _tables(results, report)
    _class_table(context, out / "classes.csv")
    source = {"table": table.identity(out)} if table else {}
    write_json(report.analysis, to_json(analysis, results.manifest.name) | source)
    replace_text(report.latex, results_table(analysis))
    replace_text(report.markdown, clean(markdown.render(page)))
    replace_text(report.html, clean(html.render(page)))
    return report


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


def _pictures(page: Page, out: Path) -> tuple[Path, ...]:
    for picture in page.pictures:
        replace(out / picture.file, lambda file, data=picture.data: file.write(data))  # type: ignore[misc]
    _remove_old(out / "figures", {Path(picture.file).name for picture in page.pictures})
    return tuple(out / picture.file for picture in page.pictures)


def _remove_old(folder: Path, current: Iterable[str]) -> None:
    """Remove pictures of ours that an earlier report of the study had and this one has not."""
    for path in folder.glob("*.png"):
        if _OUR_PICTURES.fullmatch(path.name) and path.name not in current:
            path.unlink()


def _tables(results: Results, report: Report) -> None:
    counts = [name for name in COUNTS if name in results.runs]
    runs = results.runs.astype(dict.fromkeys(counts, "Float64")).astype(dict.fromkeys(counts, "Int64"))
    lost = at_chance(results)
    if lost:
        at = [run in lost for run in runs[["variant", "seed"]].itertuples(index=False, name=None)]
        runs[AT_CHANCE] = np.array(at, dtype=int)
    for path, table in ((report.runs, runs), (report.epochs, results.epochs)):
        replace(path, _csv(table))


def _class_table(context: Context, path: Path) -> None:
    """The counts of every run and class; without predictions there is no such file."""
    rows = [row for own in context.classes for row in class_rows(own.part, own.counts, own.names)]
    if rows:
        replace(path, _csv(pd.DataFrame(rows, columns=["part", "variant", "seed", "class", "images", "correct"])))
    else:
        path.unlink(missing_ok=True)


def _csv(table: pd.DataFrame) -> Callable[[IO[bytes]], None]:
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
    values = [None if gap else value for value, gap in zip(column.tolist(), column.isna(), strict=True)]
    return [disarmed(value) if isinstance(value, str) else value for value in values]
