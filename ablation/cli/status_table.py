"""`ablate status`: every run of a study as a table on the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from ablation._util.formatting import ABSENT
from ablation.cli.console import make_console
from ablation.cli.tables import make_table, print_heading
from ablation.execution.looks import decisions, follow, status_line
from ablation.execution.phrases import SMOKE, SMOKE_TASK, percent
from ablation.registry.metrics import SELECTION
from ablation.storage.manifest import Manifest
from ablation.storage.record import RunRecord
from ablation.storage.store import Store
from ablation.storage.stored_run import StoredRun, read_run


def print_status(manifest: Manifest, store: Store) -> None:
    """Every run of a study: finished, diverged, crashed, damaged, running or interrupted, or not started.

    Of a sequential study also how far the looks are, and where each variant was decided.
    """
    console = make_console()
    followed = follow(store, manifest)
    decided = (("decided", "left"),) if followed else ()
    seeds = followed.results.manifest.seeds if followed else manifest.seeds
    table = make_table(("variant", "left"), *decided, *((f"seed {seed}", "right") for seed in seeds))
    counts: dict[str, int] = {}
    faults: list[tuple[str, StoredRun]] = []
    cells: dict[str, list[Text]] = {}
    for variant, seed, folder, identity in manifest.runs():
        row = cells.setdefault(variant.name, [])
        if followed and (variant.name, seed) not in followed.needed:
            row += [Text("")] if seed in seeds else []
            continue
        run = read_run(store.run(folder), identity, every_epoch=False)
        state = _state(run)
        row.append(_cell(run, state, str(manifest.analysis["metric"])))
        counts[state] = counts.get(state, 0) + 1
        if (run.failure or run.reason) and state != "running":
            faults.append((f"{variant.name} · seed {seed}", run))
    said = decisions(followed.found) if followed else ()
    for number, (name, row) in enumerate(cells.items()):
        table.add_row(Text(name), *((Text(said[number]),) if followed else ()), *row)
    print_heading(
        console, manifest.name, manifest.title, smoke=(SMOKE_TASK if manifest.task else SMOKE) if manifest.smoke else ""
    )
    console.print(table)
    console.print(", ".join(f"{number} {state}" for state, number in counts.items()))
    if followed:
        console.print(status_line(followed.found))
    for name, run in faults:
        _print_fault(console, name, run)
    if counts.get("damaged"):
        console.print("damaged runs count as not finished; the next `ablate run` sets them aside and trains them again")


def _print_fault(console: Console, name: str, run: StoredRun) -> None:
    if run.reason:
        console.print(Text(f"{name} is damaged: {run.reason}", style="red"))
    elif run.failure:
        console.print(Text(f"{name} crashed: {run.failure.message}", style="red"))
        details = run.failure.details.rstrip()
        console.print(Text(details, style="dim"), end="\n" if details else "")


def _value(record: RunRecord, metric: str) -> str:
    """The accuracy of the selected epoch; of functions and commands the primary metric as reported."""
    if not record.task:
        return percent(record.metrics[SELECTION])
    value = record.metrics.get(metric)
    return f"no {metric}" if value is None else f"{value:.4g}"


def _state(run: StoredRun) -> str:
    """Whether a run is finished, or else whether a process trains it now: that has its lock."""
    if not run.record and run.folder.started and run.folder.locked:
        return "running"
    return "not started" if run.state == "missing" else run.state


def _cell(run: StoredRun, state: str, metric: str) -> Text:
    """The state of a run in a word, its epochs so far, or the accuracy of its selected epoch."""
    if run.record:
        if run.record.status == "diverged":
            return Text(f"diverged at {run.record.epochs}", style="magenta")
        return Text(_value(run.record, metric), style="green")
    if state in ("running", "interrupted"):
        return Text(f"epoch {len(run.epochs)}", style="cyan" if state == "running" else "yellow")
    return Text(ABSENT, style="dim") if run.state == "missing" else Text(state, style="red")
