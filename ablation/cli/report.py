"""`ablate report`: the report of a study, or of a table of results from elsewhere."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ablation._util.sanitize import clean
from ablation.cli.arguments import add_results, add_stored_study
from ablation.errors import UserError

if TYPE_CHECKING:
    from ablation.library import Results
    from ablation.registry.metric_names import Unit
    from ablation.registry.metrics import Direction

SUMMARY = "write the report of a study"


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
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
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
    from ablation.library import Results, write_report
    from ablation.storage.store import Store

    options = TableOptions(**{name: getattr(arguments, name) for name in TableOptions.__dataclass_fields__})
    store = Store(arguments.results)
    if options.table:
        results = options.read(arguments.study, command)
    else:
        options.refuse()
        results = Results.load(store, stored_study(store, arguments.study))
    report = write_report(results, arguments.out / results.manifest.folder)
    for path in (report.html, report.markdown):
        print(clean(str(path)))
    if arguments.open and not _opened(report.html):
        raise UserError("no browser could be started", f"open {clean(str(report.html))} yourself")
    return 0


def _opened(page: Path) -> bool:
    import webbrowser

    return webbrowser.open(page.resolve().as_uri())
