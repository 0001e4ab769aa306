"""Everything that the templates show, in the order of the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import ablation.figures.style as style
import ablation.report.captions as captions
import ablation.report.plates as plates
from ablation import words
from ablation.analysis import Analysis, Effect, Trouble
from ablation.manifest import Manifest
from ablation.record import Environment
from ablation.report.plates import Plate
from ablation.results import Results


@dataclass(frozen=True)
class Fact:
    """One of the row of facts under the title; `alert` where it needs the reader's eye."""

    label: str
    value: str
    note: str = ""
    alert: bool = False


@dataclass(frozen=True)
class Row:
    """A variant as the tables show it: `note` on its runs, `alert` where some diverged or crashed.

    `share` holds the bars of the cost table, as fractions of the largest.
    """

    effect: Effect
    note: str
    alert: bool
    share: dict[str, float]


@dataclass(frozen=True)
class RunRow:
    """A run in the list of run folders."""

    variant: str
    seed: int
    status: str
    accuracy: float | None
    selected_epoch: int | None
    folder: str
    weights: str


@dataclass(frozen=True)
class Page:
    """The report before it has a form."""

    study: Manifest
    analysis: Analysis
    digits: int
    title: str
    summary: str
    still_open: str
    facts: tuple[Fact, ...]
    sections: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    table_caption: str
    cost_caption: str
    setup: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    recipe: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    troubles: tuple[Trouble, ...]
    not_started: str
    runs: tuple[RunRow, ...]
    forest: Plate | None
    sweeps: Plate | None
    curves: tuple[Plate, ...]
    light: dict[str, str]
    dark: dict[str, str]

    @property
    def plates(self) -> tuple[Plate, ...]:
        return tuple(plate for plate in (self.forest, self.sweeps, *self.curves) if plate)


def make_page(results: Results, analysis: Analysis) -> Page:
    """Draw the figures and put every part of the report into words."""
    digits = words.accuracy_digits(analysis.setup.val_images)
    manifest = results.manifest
    forest, sweeps = plates.forest(analysis, digits), plates.sweeps(analysis)
    curves = tuple(plates.curves(results, analysis, digits))
    return Page(
        study=manifest,
        analysis=analysis,
        digits=digits,
        title=manifest.title or manifest.name,
        summary=captions.summary(analysis, manifest),
        still_open=captions.still_open(analysis.facts) if analysis.facts.open else "",
        facts=tuple(_facts(analysis, manifest)),
        sections=tuple(_sections(analysis, bool(sweeps), bool(curves))),
        rows=tuple(_rows(analysis)),
        table_caption=captions.table(analysis),
        cost_caption=captions.cost(analysis),
        setup=tuple(_setup(analysis, manifest)),
        recipe=tuple(_recipe(analysis)),
        troubles=tuple(run for run in analysis.troubles if run.status != "missing"),
        not_started=captions.not_started(analysis),
        runs=tuple(_runs(results, analysis)),
        forest=forest,
        sweeps=sweeps,
        curves=curves,
        light=dict(style.LIGHT),
        dark=dict(style.DARK),
    )


def _sections(analysis: Analysis, sweeps: bool, curves: bool) -> Iterator[tuple[str, str]]:
    yield "effects", "What each change does"
    if sweeps:
        yield "sweeps", "Sweeps"
    if curves:
        yield "curves", "Learning curves"
    if any(effect.n for effect in analysis.effects):
        yield "cost", "Time and memory"
    if analysis.troubles:
        yield "troubles", "Diverged and unfinished runs"
    yield "setup", "Setup"
    yield "reproduce", "How to reproduce"
    yield "recipe", "Baseline recipe"


def _facts(analysis: Analysis, manifest: Manifest) -> Iterator[Fact]:
    facts = analysis.facts
    yield Fact("Variants", f"{facts.variants:,}", "and the baseline")
    yield Fact("Seeds", f"{len(facts.seeds):,}", captions.seeds(facts.seeds))
    yield Fact("Runs finished", f"{facts.finished:,}", f"of {facts.runs:,}")
    yield Fact("Diverged", f"{facts.diverged:,}", alert=facts.diverged > 0)
    if facts.crashed:
        yield Fact("Crashed", f"{facts.crashed:,}", alert=True)
    if facts.interrupted or facts.missing:
        note = f"{facts.interrupted:,} interrupted" if facts.interrupted else ""
        yield Fact("Unfinished", f"{facts.interrupted + facts.missing:,}", note, alert=True)
    if facts.done:
        yield Fact("Training time", words.duration(facts.seconds), "all runs added up")
        yield Fact("Device", ", ".join(facts.devices))


def _rows(analysis: Analysis) -> Iterator[Row]:
    costs = ("epoch_seconds", "images_per_second", "peak_memory_mb", "train_seconds")
    largest = {key: max((getattr(e, key) or 0.0 for e in analysis.effects), default=0.0) for key in costs}
    for effect in analysis.effects:
        share = {key: (getattr(effect, key) or 0.0) / largest[key] if largest[key] else 0.0 for key in costs}
        yield Row(effect, captions.state_of(effect), effect.diverged + effect.crashed > 0, share)


def _setup(analysis: Analysis, manifest: Manifest) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    setup, recipe = analysis.setup, manifest.baseline.recipe
    data: list[tuple[str, str]] = [("Data set", str(recipe["data"]["name"]))]
    if setup.image:
        channels, height, width = setup.image
        data.append(("Images", f"{height} \u00d7 {width} pixels, {words.plural(channels, 'channel')}"))
        data.append(("Classes", _classes(setup.classes)))
        data.append(("Training images", f"{setup.train_images:,}"))
        data.append(("Validation images", f"{setup.val_images:,}"))
    data.append(("Augmentation", words.value(recipe["data"]["augment"])))
    yield "Data", tuple(data)
    yield "Training", tuple(_training(analysis, manifest))
    if setup.environments:
        yield "Hardware and software", tuple(_environments(analysis))


def _classes(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:12]) + (", \u2026" if len(names) > 12 else "")
    return f"{len(names):,}: {shown}"


def _training(analysis: Analysis, manifest: Manifest) -> Iterator[tuple[str, str]]:
    recipe, baseline = manifest.baseline.recipe, analysis.baseline
    size = f" ({words.count(baseline.parameters)} parameters, {words.count(baseline.macs)} MACs)"
    yield "Model", str(recipe["model"]["name"]) + (size if baseline.parameters else "")
    yield "Budget", f"{analysis.setup.budget}, batches of {words.value(recipe['train']['batch_size'])}"
    yield "Optimiser", words.value(recipe["optimizer"])
    yield "Schedule", words.value(recipe["schedule"])
    yield "Reported epoch", captions.metric(analysis)
    yield "Seeds", captions.seeds(analysis.facts.seeds)


def _environments(analysis: Analysis) -> Iterator[tuple[str, str]]:
    found = analysis.setup.environments
    for environment, runs in found:
        share = f" ({words.plural(runs, 'run')})" if len(found) > 1 else ""
        yield "Hardware", _hardware(environment) + share
        yield "Software", _software(environment)
    if analysis.setup.started and analysis.setup.finished:
        yield "Trained", f"{_when(analysis.setup.started)} to {_when(analysis.setup.finished)} UTC"
    yield "Data fingerprint", ", ".join(print_[:16] for print_ in analysis.setup.fingerprints)


def _when(stamp: str) -> str:
    """A time stamp of a record (ISO 8601), to the minute."""
    return datetime.fromisoformat(stamp).astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _hardware(environment: Environment) -> str:
    threads = words.plural(environment.threads, "thread")
    return f"{environment.device} \u00b7 {environment.processor} \u00b7 {threads} a run"


def _software(environment: Environment) -> str:
    versions = f"ablation-lab {environment.ablation}, Python {environment.python}, PyTorch {environment.torch}"
    return f"{versions}, {environment.platform}"


def _recipe(analysis: Analysis) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """The options of the baseline by section, the name of each part first."""
    parts: dict[str, list[tuple[str, str]]] = {}
    for path, value in analysis.setup.recipe:
        part, _, key = path.partition(".")
        parts.setdefault(part, []).insert(0 if key == "name" else len(parts.get(part, ())), (key, value))
    for part, options in parts.items():
        yield part, tuple(options)


def _runs(results: Results, analysis: Analysis) -> Iterator[RunRow]:
    rows = {
        (str(r["variant"]), int(r["seed"])): r for r in results.runs[["variant", "seed", "folder"]].to_dict("records")
    }
    for effect in analysis.effects:
        for run in effect.runs:
            record = results.records.get((effect.variant, run.seed))
            weights = (record.weights_sha256 or "")[:12] if record else ""
            folder = str(rows[effect.variant, run.seed]["folder"])
            yield RunRow(effect.variant, run.seed, run.status, run.accuracy, run.selected_epoch, folder, weights)
