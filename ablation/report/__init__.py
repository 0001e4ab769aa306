"""A study on disk -> its report: one HTML file, Markdown with figures beside it, and the tables as CSV."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pandas as pd

from ablation.analysis import describe
from ablation.manifest import Manifest
from ablation.report.page import Page, make_page
from ablation.report.plates import Picture
from ablation.report.text import clean, environment, templates_dir
from ablation.results import Results, load_results
from ablation.store import Store, replace, replace_text

__all__ = ["Report", "templates_dir", "write_report"]

_COUNTS = ("selected_epoch", "best_epoch", "parameters", "macs", "train_images", "val_images", "resumed", "threads")
_OUR_PICTURES = re.compile(r"(?:forest|loss|accuracy|learning-rate|sweep)-\d+\.png")


@dataclass(frozen=True)
class Report:
    """The files of a written report."""

    html: Path
    markdown: Path
    runs: Path
    epochs: Path
    figures: tuple[Path, ...]


def write_report(store: Store, manifest: Manifest, out: Path) -> Report:
    """Write the report of a study, finished or not, into the folder `out`. The same results give the same bytes."""
    results = load_results(store, manifest)
    page = make_page(results, describe(results))
    report = Report(out / "report.html", out / "report.md", out / "runs.csv", out / "epochs.csv", _pictures(page, out))
    _tables(results, report)
    jinja = environment()
    for path, template in ((report.markdown, "report.md.jinja"), (report.html, "report.html.jinja")):
        replace_text(path, clean(jinja.get_template(template).render(page=page)))
    return report


def _pictures(page: Page, out: Path) -> tuple[Path, ...]:
    pictures = [picture for plate in page.plates for picture in plate.pictures]
    for picture in pictures:
        _write_picture(out / picture.file, picture)
    _forget_old(out / "figures", {Path(picture.file).name for picture in pictures})
    return tuple(out / picture.file for picture in pictures)


def _write_picture(path: Path, picture: Picture) -> None:
    replace(path, lambda file: file.write(picture.data))


def _forget_old(folder: Path, current: Iterable[str]) -> None:
    """Remove pictures of ours that an earlier report of the study had and this one has not."""
    for path in folder.glob("*.png"):
        if _OUR_PICTURES.fullmatch(path.name) and path.name not in current:
            path.unlink()


def _tables(results: Results, report: Report) -> None:
    runs = results.runs.astype(dict.fromkeys(_COUNTS, "Float64")).astype(dict.fromkeys(_COUNTS, "Int64"))
    for path, table in ((report.runs, runs), (report.epochs, results.epochs)):
        replace(path, _csv(table))


def _csv(table: pd.DataFrame) -> Callable[[IO[bytes]], None]:
    def write(file: IO[bytes]) -> None:
        table.to_csv(file, index=False, lineterminator="\n", encoding="utf-8", errors="replace")

    return write
