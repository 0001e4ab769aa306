"""`ablate plan`: a study before it is run as tables on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from ablation._util.formatting import ABSENT, plural
from ablation.cli.console import make_console
from ablation.cli.tables import make_table, print_heading
from ablation.data.disk import Room
from ablation.data.fingerprint import cache_folder
from ablation.execution.phrases import SMOKE, SMOKE_TASK, duration, study_size
from ablation.planning.plan import Plan, data_sources, source_key
from ablation.planning.run import Run
from ablation.storage.manifest import make_manifest
from ablation.storage.store import Store
from ablation.storage.stored_run import finished_runs
from ablation.study.networks import Init
from ablation.study.schema import Recipe, Study, Variant
from ablation.study.variants import show

if TYPE_CHECKING:
    from ablation.execution.probing import Learned, Total
    from ablation.storage.spent import Estimate


def print_plan(study: Study, plan: Plan | None, store: Store) -> None:
    """Every variant with its change, size, and number of finished runs.

    Without a plan, since data of the study are missing, nothing is known of its runs, nor of sizes that depend on them.
    """
    sized = (("parameters", "right"), ("MACs", "right"), ("budget", "right")) if study.task is None else ()
    table = make_table(("variant", "left"), ("change", "left"), *sized, ("finished", "right"))
    runs: dict[str, list[Run]] = {}
    for run in plan.runs if plan else ():
        runs.setdefault(run.variant, []).append(run)
    sizes = _Sizes()
    finished = finished_runs(plan.runs, store) if plan else set()
    total = 0
    for variant in study.variants:
        own = runs.get(variant.name, [])
        done = sum(run.key in finished for run in own)
        total += done
        row = _size_cells(variant, sizes) if study.task is None else ()
        table.add_row(Text(variant.name), Text(_change(variant)), *row, f"{done}/{len(own)}" if plan else ABSENT)
    console = make_console()
    print_heading(console, study.name, study.title, smoke=(SMOKE_TASK if study.task else SMOKE) if study.smoke else "")
    console.print(table)
    number = len(study.variants) * len(study.seeds)
    size = study_size(len(study.variants), len(study.seeds), at_most=bool(study.looks))
    size_of_study = f"{size} = {'at most ' if study.looks else ''}{plural(number, 'run')}"
    if plan is None:
        console.print(Text(f"{size_of_study}; the data are not here: {'; '.join(study.missing)}"))
        return
    distinct = len({run.key for run in plan.runs})
    shared = f" ({number - distinct} of them shared)" if distinct < number else ""
    console.print(f"{size_of_study}{shared}, {total} finished")
    _print_precision(plan, store, console, begun=total > 0)


def _size_cells(variant: Variant, sizes: _Sizes) -> tuple[str, str, str]:
    """Parameters, MACs and budget of an image classifier."""
    size = sizes.of(variant.image_recipe)
    parameters, macs = (f"{size[0]:,}", _short(size[1])) if size else (ABSENT, ABSENT)
    return parameters, macs, _budget(variant)


def _print_precision(plan: Plan, store: Store, console: Console, *, begun: bool) -> None:
    """What the design can detect; pandas and scipy are loaded here, since `status` does without them."""
    from ablation.planning.detectable import looks_in_words, precision, sentences

    study, so_far = plan.study, None
    if begun:
        from ablation.results.runs import load_results

        so_far = load_results(store, make_manifest(plan, "")).runs
    found = precision(study, so_far)
    for sentence in sentences(found, study.analysis.resolved()["metric"]):
        console.print(sentence)
    if study.looks:
        for sentence in looks_in_words(study, found):
            console.print(sentence)


def print_preparation(plan: Plan, store: Store) -> None:
    """How much disk image folders will need that are not decoded yet. Raises UserError where there is too little."""
    console = make_console()
    runs = {run.variant: run for run in plan.runs if not run.task}.values()
    prints = {source_key(run.image_recipe.data): run.data_fingerprint for run in runs}
    for key, data in data_sources(plan.study).items():
        prepared = store.data / cache_folder(data.name, prints[key], "train")
        if not prepared.exists() and (shape := data.shape_on_disk()):
            room = Room(shape, store.data)
            console.print(Text(str(room)), soft_wrap=True)
            room.check()


def print_estimate(total: Total, estimate: Estimate, learned: Learned, *, sequential: bool = False) -> None:
    """How long the unfinished runs would take, by variant and in total; at most, of a sequential study."""
    console = make_console()
    table = make_table(("variant", "left"), ("time per run", "right"))
    for variant, seconds in total.variants.items():
        table.add_row(Text(variant), duration(seconds))
    console.print(table)
    workers = plural(estimate.setting.workers, "worker")
    spread = f"{duration(total.low)} to {duration(total.high)}"
    early = " and no variant is decided early" if sequential else ""
    console.print(f"about {duration(total.seconds)} with {workers} ({spread}), if nothing else uses the machine{early}")
    console.print(Text(learned_from(learned, estimate)))
    for notice in learned.notices:
        console.print(Text(notice, style="yellow"), soft_wrap=True)


def learned_from(learned: Learned, estimate: Estimate) -> str:
    """What an estimate is corrected by, and what its range means."""
    workers = plural(estimate.setting.workers, "worker")
    if not learned.commands:
        return f"the range is a guess: no estimate for {workers} has been compared with what runs took yet"
    what = "earlier `ablate run`"
    earlier = plural(learned.commands, what, what)
    return (
        f"times are corrected by {learned.correction.factor:.2f} from {earlier} with {workers} "
        f"on this machine; 4 of 5 such estimates should be within the range"
    )


_NO_SIZE = {"dropout": 0.0, "feature_dropout": 0.0, "input_dropout": 0.0, "dropconnect": 0.0, "init": Init(),
            "weights": "none", "freeze": "none"}  # fmt: skip
"""Options of a model in which two networks of the same size may differ, set to one value."""


class _Sizes:
    """Parameters and MACs of recipes; models of the same size are built once, without memory."""

    def __init__(self) -> None:
        self._known: dict[object, tuple[int, int]] = {}
        self._classes: dict[object, int | None] = {}

    def of(self, recipe: Recipe) -> tuple[int, int] | None:
        """None for a custom model or data set, whose code would have to run, and where the classes are not known."""
        if recipe.model.is_custom or recipe.data.missing():
            return None
        image, classes = recipe.data.image_shape(), self._count(recipe)
        if image is None or classes is None:
            return None
        from ablation.training.sizes import model_size

        key = (recipe.model.model_copy(update=_NO_SIZE), image, classes)
        if key not in self._known:
            self._known[key] = model_size(recipe, image, classes)
        return self._known[key]

    def _count(self, recipe: Recipe) -> int | None:
        if recipe.data not in self._classes:
            self._classes[recipe.data] = recipe.data.class_count()
        return self._classes[recipe.data]


def _change(variant: Variant) -> str:
    return ", ".join(f"{path}: {show(value)}" for path, value in variant.changes.items()) or "(baseline)"


def _budget(variant: Variant) -> str:
    train = variant.image_recipe.train
    return plural(train.epochs, "epoch") if train.epochs else plural(train.steps or 0, "step")


def _short(count: int) -> str:
    """1234567 -> `1.2 M`."""
    value = float(count)
    for unit in ("", " k", " M", " G"):
        if value < 1000 or unit == " G":
            return f"{value:.0f}{unit}" if value >= 100 or not unit else f"{value:.1f}{unit}"
        value /= 1000
    raise AssertionError(count)
