"""Everything that the templates show, in the order of the report."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass

from markupsafe import Markup

import ablation.report.captions as captions
import ablation.report.claims as claims
import ablation.report.curves as learning_curves
import ablation.report.figure_blocks as figure_blocks
import ablation.report.figures.style as style
import ablation.report.intervals as intervals
import ablation.report.setup as setup
from ablation._util.formatting import accuracy_digits, duration, plural
from ablation.analysis import Analysis, Effect, Trouble
from ablation.report.claims import Threat
from ablation.report.classes import ClassView, class_views
from ablation.report.figure_blocks import Plate
from ablation.report.gallery import Gallery, gallery
from ablation.report.interpretation import to_html, to_markdown
from ablation.report.learning import Table, learning_tables
from ablation.report.methods import methods
from ablation.results.runs import Results
from ablation.storage.manifest import Manifest
from ablation.storage.store import Store

COSTS = ("train_seconds", "epoch_seconds", "images_per_second", "peak_memory_mb")
_OPTIONAL = (
    ("sweeps", "Sweeps"),
    ("curves", "Learning curves"),
    ("learning", "Training dynamics"),
    ("classes", "Accuracy by class"),
    ("mistakes", "Sample images"),
)
"""The sections that stand only where there is something to show."""


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

    `marks` are its warnings in a word or two with their codes, `beside` what differs beside its change, `interval`,
    `verdict`, `p` and `paired_p` its claim. `share` holds the bars of the cost table, as fractions of the largest.
    """

    effect: Effect
    note: str
    alert: bool
    marks: tuple[tuple[str, str], ...]
    beside: str
    interval: str
    verdict: str
    p: str
    paired_p: str
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
    test_caption: str
    test_digits: int
    cost_caption: str
    setup: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    recipe: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    troubles: tuple[Trouble, ...]
    not_started: str
    runs: tuple[RunRow, ...]
    threats: tuple[Threat, ...]
    all_clear: str
    interactions: tuple[str, ...]
    trends: tuple[str, ...]
    methods: tuple[str, ...]
    interpretation: str
    interpretation_html: Markup
    forest: Plate | None
    sweeps: Plate | None
    curves: tuple[Plate, ...]
    learning: tuple[Table, ...]
    classes: tuple[ClassView, ...]
    mistakes: Gallery | None
    light: dict[str, str]
    dark: dict[str, str]

    @property
    def sizes(self) -> bool:
        """Whether the size of any network is known."""
        return any(effect.parameters for effect in self.analysis.effects)

    @property
    def tested(self) -> bool:
        """Whether the table of variants has a column for p; that of a study of ours always has."""
        return bool(self.recipe) or any(effect.p is not None for effect in self.analysis.variants)

    @property
    def paired(self) -> bool:
        """Whether it has one for the paired t beside it."""
        return bool(self.recipe) or any(effect.paired_p is not None for effect in self.analysis.variants)

    @property
    def trouble_epochs(self) -> bool:
        """Whether it is known in which epoch any of the troubled runs ended."""
        return any(run.epoch for run in self.troubles)

    @property
    def macs(self) -> bool:
        """Whether the multiplications of any network are known."""
        return any(effect.macs for effect in self.analysis.effects)

    @property
    def costs(self) -> tuple[str, ...]:
        """The columns of the table of time and memory."""
        return _costs(self.analysis)

    @property
    def plates(self) -> tuple[Plate, ...]:
        return tuple(plate for plate in (self.forest, self.sweeps, *self.curves) if plate)


def make_page(store: Store, results: Results, analysis: Analysis, interpretation: str = "") -> Page:
    """Draw the figures and put every part of the report into words; `interpretation` is the author's Markdown."""
    digits = accuracy_digits(analysis.setup.val_images)
    manifest = results.manifest
    forest, sweeps = figure_blocks.forest(analysis), figure_blocks.sweeps(analysis)
    curves = tuple(learning_curves.curves(results, analysis, digits))
    learned, classes = learning_tables(results, digits), class_views(store, results, analysis)
    mistakes = gallery(store, results)
    shown = {"sweeps": sweeps, "curves": curves, "learning": learned, "classes": classes, "mistakes": mistakes}
    return Page(
        study=manifest,
        analysis=analysis,
        digits=digits,
        title=manifest.title or manifest.name,
        summary=captions.summary(analysis, manifest),
        still_open=_still_open(analysis),
        facts=tuple(_facts(analysis, manifest)),
        sections=tuple(_sections(analysis, {key for key, part in shown.items() if part})),
        rows=tuple(_rows(analysis)),
        table_caption=captions.table(analysis),
        test_digits=accuracy_digits(analysis.test.images if analysis.test else None),
        test_caption=captions.held_out(analysis.test, analysis.measure) if analysis.test else "",
        cost_caption=captions.cost(analysis),
        setup=tuple(setup.setup(analysis, manifest)),
        recipe=tuple(setup.recipe(analysis)),
        troubles=tuple(run for run in analysis.troubles if run.status != "missing"),
        not_started=captions.not_started(analysis),
        runs=tuple(_runs(results, analysis)),
        threats=claims.threats(analysis),
        all_clear=claims.all_clear(analysis),
        interactions=tuple(claims.interactions(analysis)),
        trends=tuple(claims.trends(analysis)),
        methods=methods(analysis),
        interpretation=to_markdown(interpretation),
        interpretation_html=to_html(interpretation),
        forest=forest,
        sweeps=sweeps,
        curves=curves,
        learning=learned,
        classes=classes,
        mistakes=mistakes,
        light=dict(style.LIGHT),
        dark=dict(style.DARK),
    )


def _still_open(analysis: Analysis) -> str:
    if not analysis.facts.open:
        return ""
    return captions.still_open(analysis.facts) if analysis.setup.recipe else captions.not_in_table(analysis.facts)


def _sections(analysis: Analysis, shown: Set[str]) -> Iterator[tuple[str, str]]:
    yield "effects", "What each change does"
    if analysis.test:
        yield "test", "Test set"
    if analysis.facts.done:
        yield "warnings", "Warnings and threats to validity"
    for key, title in _OPTIONAL:
        if key in shown:
            yield key, title
    if _costs(analysis):
        yield "cost", "Time and memory"
    if analysis.troubles:
        yield "troubles", "Diverged and unfinished runs" if analysis.setup.recipe else "Diverged and missing runs"
    if analysis.facts.done:
        yield "interpretation", "Interpretation"
    if analysis.variants and any(effect.n for effect in analysis.effects):
        yield "methods", "Methods"
    if analysis.setup.recipe:
        yield "setup", "Setup"
    yield "reproduce", "How to reproduce"
    if analysis.setup.recipe:
        yield "recipe", "Baseline recipe"


def _facts(analysis: Analysis, manifest: Manifest) -> Iterator[Fact]:
    facts = analysis.facts
    controls = sum(effect.kind == "control" for effect in analysis.variants)
    others = f"the baseline and {plural(controls, 'control')}" if controls else "the baseline"
    yield Fact("Variants", f"{facts.variants - controls:,}", f"and {others}")
    later = f", {len(facts.added_seeds)} added later" if facts.added_seeds else ""
    yield Fact("Seeds", f"{len(facts.seeds):,}", captions.seeds(facts.seeds) + later, alert=bool(later))
    yield Fact("Runs finished", f"{facts.finished:,}", f"of {facts.runs:,}")
    yield Fact("Diverged", f"{facts.diverged:,}", alert=facts.diverged > 0)
    if facts.crashed:
        yield Fact("Crashed", f"{facts.crashed:,}", alert=True)
    if facts.damaged:
        yield Fact("Damaged", f"{facts.damaged:,}", alert=True)
    if facts.interrupted or facts.missing:
        note = f"{facts.interrupted:,} interrupted" if facts.interrupted else ""
        yield Fact(
            "Unfinished" if analysis.setup.recipe else "Missing",
            f"{facts.interrupted + facts.missing:,}",
            note,
            alert=True,
        )
    if facts.done:
        kinds = len({own.code for own in analysis.warnings})
        note = f"of {plural(kinds, 'kind')}" if kinds < len(analysis.warnings) else ""
        used = {0: "not used", 1: "evaluated once"}.get(facts.openings, f"evaluated {facts.openings} times")
        if analysis.setup.recipe:
            yield Fact("Test set", used, alert=facts.openings > 1)
        yield Fact("Warnings", f"{len(analysis.warnings):,}", note, alert=kinds > 0)
    if facts.devices:
        yield Fact("Training time", duration(facts.seconds), "all runs added up")
        yield Fact("Device", ", ".join(facts.devices))


def _costs(analysis: Analysis) -> tuple[str, ...]:
    """What is known of the cost of the variants, as attributes of an effect."""
    return tuple(key for key in COSTS if any(effect.n and getattr(effect, key) for effect in analysis.effects))


def _rows(analysis: Analysis) -> Iterator[Row]:
    largest = {key: max((getattr(e, key) or 0.0 for e in analysis.effects), default=0.0) for key in COSTS}
    for effect in analysis.effects:
        share = {key: (getattr(effect, key) or 0.0) / largest[key] if largest[key] else 0.0 for key in COSTS}
        yield _row(effect, analysis, share)


def _row(effect: Effect, analysis: Analysis, share: dict[str, float]) -> Row:
    return Row(
        effect=effect,
        note=captions.state_of(effect, bool(analysis.setup.recipe)),
        alert=effect.failed + effect.crashed > 0,
        marks=claims.marks(analysis, effect.variant),
        beside=claims.beside(effect),
        interval=analysis.measure.interval(effect.low, effect.high),
        verdict=captions.verdict_cell(effect),
        p=intervals.p_cell(effect),
        paired_p=intervals.short_p(effect.paired_p),
        share=share,
    )


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
