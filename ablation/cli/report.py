"""`ablate report`: the report of a study, or of a table of results from elsewhere."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ablation._util.sanitize import clean
from ablation.cli.arguments import add_results, add_stored_study
from ablation.cli.browser import add_open, open_page
from ablation.errors import UserError

if TYPE_CHECKING:
    from ablation.library import Results
    from ablation.registry.metric_names import Unit
    from ablation.registry.metrics import Direction
    from ablation.study.report_options import ReportOptions


@dataclass(frozen=True)
class TableOptions:
    """A table of results from elsewhere, and what it does not say itself."""

    table: Path | None
    baseline: str | None
    epochs: Path | None
    metric: str | None
    direction: Direction | None
    unit: Unit | None
    title: str | None

    def read(self, study: str | None, command: str) -> Results:
        """The results in the table. Raises UserError where it is wrong, or a study is named beside it."""
        from ablation.library import read_results

        assert self.table is not None
        if study:
            raise UserError("a report is on a study or on a table, not on both", "leave out the study, or --from")
        if not self.baseline:
            raise UserError("--from needs --baseline", "name the variant that the others are compared with")
        return read_results(
            self.table,
            self.baseline,
            epochs=self.epochs,
            metric=self.metric,
            direction=self.direction,
            unit=self.unit,
            title=self.title or "",
            command=command,
        )

    def refuse(self) -> None:
        """Raise UserError for an option that only a table has."""
        for name, value in vars(self).items():
            if value is not None:
                raise UserError(f"--{name} is for a table", "add --from RUNS.csv; a study says this in its own file")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add_results(parser)
    add_stored_study(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("reports"), metavar="DIR", help="where reports go (default: reports)"
    )
    add_open(parser, "the first of them, the page by default,")
    parser.add_argument(
        "--format",
        default="html,md",
        metavar="LIST",
        help="what to write: html, md, svg (figures), tex (a folder paper/), pdf, docx (default: html,md)",
    )
    looks = parser.add_argument_group("what it looks like (default: as the study says)")
    looks.add_argument("--style", choices=["page", "lab", "paper"], help="a page, a lab report, or a short paper")
    looks.add_argument("--lang", dest="language", choices=["en", "zh"], help="English, or Simplified Chinese")
    looks.add_argument("--author", action="append", metavar="NAME", help="below the title; may be repeated")
    looks.add_argument("--course", metavar="TEXT", help="below the title")
    looks.add_argument("--date", metavar="TEXT", help="below the title")
    looks.add_argument(
        "--templates",
        type=Path,
        default=Path("templates"),
        metavar="DIR",
        help="templates that replace parts of the report by their names (default: templates)",
    )
    elsewhere = parser.add_argument_group("results from elsewhere")
    elsewhere.add_argument("--from", dest="table", type=Path, metavar="RUNS.csv", help="columns variant, seed, metrics")
    elsewhere.add_argument("--baseline", metavar="NAME", help="the variant that the others are compared with")
    elsewhere.add_argument("--epochs", type=Path, metavar="EPOCHS.csv", help="columns variant, seed, epoch, metrics")
    elsewhere.add_argument("--metric", metavar="COLUMN", help="the primary metric (default: the first one)")
    elsewhere.add_argument(
        "--direction", choices=["higher", "lower"], help="which way is better (default: by its name)"
    )
    elsewhere.add_argument(
        "--unit",
        choices=["percent", "share", "raw"],
        help="values from 0 to 100, fractions of 1, or neither (default: by its name and values)",
    )
    elsewhere.add_argument("--title", metavar="TEXT", help="of the report, and of its folder (default: RUNS)")


def main(arguments: argparse.Namespace, command: str) -> int:
    """Write the report and print where it is."""
    from ablation.cli.console import stored_study
    from ablation.library import Results
    from ablation.report import Form, report_on
    from ablation.storage.store import Store

    options = TableOptions(**{name: getattr(arguments, name) for name in TableOptions.__dataclass_fields__})
    store = Store(arguments.results)
    if options.table:
        results = options.read(arguments.study, command)
    else:
        options.refuse()
        results = Results.load(store, stored_study(store, arguments.study))
    formats = tuple(dict.fromkeys(name.strip() for name in arguments.format.split(",")))
    form = Form(_options(arguments, results), formats, arguments.templates)
    report = report_on(results, results.store, arguments.out / results.manifest.folder, results.table, form)
    for path in report.documents:
        print(clean(str(path)))
    if report.figures and form.options and form.options.language == "zh":
        _report_missing_font(formats)
    if arguments.open and report.documents:
        open_page(report.documents[0])
    return 0


def _options(arguments: argparse.Namespace, results: Results) -> ReportOptions:
    """What the study says of its report, in its file as it is now where that is named, and over it the command line."""
    from ablation.study.load import load_study
    from ablation.study.report_options import ReportOptions

    options, file = results.manifest.report_options, arguments.study or ""
    if not arguments.table and file.endswith((".yaml", ".yml")):
        options = load_study(Path(file), need_data=False).report
    given = {key: getattr(arguments, key) for key in ("style", "language", "author", "course", "date")}
    changes = {key: value for key, value in given.items() if value is not None}
    return ReportOptions.model_validate({**options.model_dump(), **changes})


def _report_missing_font(formats: Collection[str]) -> None:
    """One line on stderr where no font of this machine has Chinese characters."""
    from ablation.report.figures.style import chinese_font

    if chinese_font() is None:
        pdf = ", and the PDF has boxes for Chinese text" if "pdf" in formats else ""
        hint = "install one (Debian and Ubuntu: apt install fonts-noto-cjk)"
        print(f"figures are labelled in English{pdf}, since no Chinese font is installed; {hint}", file=sys.stderr)
