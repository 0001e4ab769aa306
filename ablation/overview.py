"""`ablate plan` and `ablate status`: a study as tables on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ablation.runner.probing import Estimate

from ablation.console import duration, make_console, percent
from ablation.fingerprint import class_count
from ablation.manifest import Manifest, make_manifest
from ablation.plan import Plan, Run
from ablation.store import Store
from ablation.stored_run import StoredRun, finished_runs, read_run
from ablation.study import Recipe, Variant
from ablation.variants import image_shape, show


def _table(*columns: tuple[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=justify == "right")  # type: ignore[arg-type]
    return table


def print_plan(plan: Plan, store: Store) -> None:
    """Every variant with its change, size, and how many of its runs are finished."""
    study = plan.study
    table = _table(("variant", "left"), ("change", "left"), ("parameters", "right"), ("MACs", "right"),
                   ("budget", "right"), ("done", "right"))  # fmt: skip
    runs: dict[str, list[Run]] = {}
    for run in plan.runs:
        runs.setdefault(run.variant, []).append(run)
    sizes = _Sizes()
    finished = finished_runs(plan.runs, store)
    total = 0
    for variant in study.variants:
        own = runs[variant.name]
        done = sum(run.key in finished for run in own)
        total += done
        parameters, macs = "–", "–"  # to count what is the user's own would run it
        if not variant.recipe.model.is_own:
            own_size = sizes.of(variant.recipe)
            parameters, macs = f"{own_size[0]:,}", _short(own_size[1])
        row = (parameters, macs, _budget(variant), f"{done}/{len(own)}")
        table.add_row(Text(variant.name), Text(_change(variant)), *row)
    console = make_console()
    console.print(table)
    distinct = len({run.key for run in plan.runs})
    shared = f" ({len(plan.runs) - distinct} of them shared)" if distinct < len(plan.runs) else ""
    size = f"{len(study.variants)} variants x {len(study.seeds)} seeds = {len(plan.runs)} runs"
    console.print(f"{size}{shared}, {total} done")
    _print_precision(plan, store, console, begun=total > 0)


def _print_precision(plan: Plan, store: Store, console: Console, *, begun: bool) -> None:
    """What the design can detect; pandas and scipy are loaded here, since `status` does without them."""
    from ablation.planning import precision, sentences
    from ablation.results import load_results

    study = plan.study
    so_far = load_results(store, make_manifest(plan, "")) if begun else None
    for sentence in sentences(precision(study, so_far), study.analysis.resolved()["metric"]):
        console.print(sentence)


def print_estimate(estimate: Estimate) -> None:
    """How long the runs that are still to do would take, by variant and in all."""
    console = make_console()
    table = _table(("variant", "left"), ("a run takes about", "right"))
    for variant, seconds in estimate.seconds.items():
        table.add_row(Text(variant), duration(seconds))
    if estimate.workers == 0:
        console.print("nothing left to train")
        return
    console.print(table)
    workers = "1 worker" if estimate.workers == 1 else f"{estimate.workers} workers"
    console.print(f"about {duration(estimate.total)} on {workers}, if each is as fast as the one that was timed alone")


_NO_SIZE = {"dropout": 0.0, "feature_dropout": 0.0, "input_dropout": 0.0, "dropconnect": 0.0, "init": "default",
            "weights": "none", "freeze": "none"}  # fmt: skip
"""Options of a model in which two networks of the same size may differ, set to one value."""


class _Sizes:
    """Parameters and MACs of recipes; networks of the same size are built once, without memory."""

    def __init__(self) -> None:
        self._known: dict[object, tuple[int, int]] = {}
        self._classes: dict[object, int] = {}

    def of(self, recipe: Recipe) -> tuple[int, int]:
        from ablation.train.sizes import model_size

        key = (recipe.model.model_copy(update=_NO_SIZE), image_shape(recipe.data), self.classes(recipe))
        if key not in self._known:
            self._known[key] = model_size(recipe, key[1], key[2])
        return self._known[key]

    def classes(self, recipe: Recipe) -> int:
        if recipe.data not in self._classes:
            self._classes[recipe.data] = class_count(recipe.data)
        return self._classes[recipe.data]


def _change(variant: Variant) -> str:
    return ", ".join(f"{path}: {show(value)}" for path, value in variant.changes.items()) or "(baseline)"


def _budget(variant: Variant) -> str:
    train = variant.recipe.train
    return f"{train.epochs} epochs" if train.epochs else f"{train.steps} steps"


def _short(count: int) -> str:
    """1234567 -> `1.2 M`."""
    value = float(count)
    for unit in ("", " k", " M", " G"):
        if value < 1000 or unit == " G":
            return f"{value:.0f}{unit}" if value >= 100 or not unit else f"{value:.1f}{unit}"
        value /= 1000
    raise AssertionError(count)


def print_status(manifest: Manifest, store: Store) -> None:
    """Every run of a study: finished, diverged, crashed, damaged, interrupted after how many epochs, or not begun."""
    console = make_console()
    table = _table(("variant", "left"), *((f"seed {seed}", "right") for seed in manifest.seeds))
    counts: dict[str, int] = {}
    faults: list[tuple[str, StoredRun]] = []
    cells: dict[str, list[Text]] = {}
    for arm, seed, folder, identity in manifest.runs():
        run = read_run(store.run(folder), identity, every_epoch=False)
        cells.setdefault(arm.name, []).append(_cell(run))
        state = "not begun" if run.state == "missing" else run.state
        counts[state] = counts.get(state, 0) + 1
        if run.failure or run.reason:
            faults.append((f"{arm.name} · seed {seed}", run))
    for name, row in cells.items():
        table.add_row(Text(name), *row)
    console.print(Text(manifest.title, style="bold"))
    console.print(table)
    console.print(", ".join(f"{number} {state}" for state, number in counts.items()))
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


def _cell(run: StoredRun) -> Text:
    """The state of a run in a word, or the accuracy of its selected epoch."""
    if run.record:
        epoch = run.selected
        diverged = Text(f"diverged at {run.record.epochs}", style="magenta")
        return Text(percent(epoch.val_accuracy), style="green") if epoch else diverged
    if run.state == "interrupted":
        return Text(f"epoch {len(run.epochs)}", style="yellow")
    return Text("–", style="dim") if run.state == "missing" else Text(run.state, style="red")
