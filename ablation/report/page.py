"""The report before it has a form: its head, and the blocks of every section that has any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import ablation.report.captions as captions
import ablation.report.figures.style as style
from ablation._util.formatting import duration, plural
from ablation.analysis import Analysis
from ablation.report.blocks import Block, Callout, Code, Fact, Facts, Paragraph, Picture, Span, pictures
from ablation.report.context import Context, Section
from ablation.report.sections.runs import overrides


@dataclass(frozen=True)
class Page:
    """The title, what is above the first section, and the sections as (name, title, blocks)."""

    name: str
    title: str
    head: tuple[Block, ...]
    sections: tuple[tuple[str, str, tuple[Block, ...]], ...]
    light = style.LIGHT
    dark = style.DARK

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(picture for *_, blocks in self.sections for picture in pictures(blocks))


def make_page(context: Context, sections: Iterable[Section]) -> Page:
    """Draw the figures and put every part of the report into words."""
    made = ((own.name, own.title, tuple(own.blocks(context))) for own in sections)
    study = context.study
    return Page(study.name, study.title or study.name, tuple(_head(context)), tuple(own for own in made if own[2]))


def _head(context: Context) -> Iterator[Block]:
    study, analysis = context.study, context.analysis
    if study.smoke:
        text = "A tiny subset, trained only to see that everything works: the figures mean nothing."
        yield Callout("Smoke run.", text, "smoke")
    if analysis.headline:
        yield Paragraph(Span(analysis.headline, "strong"), "headline")
    yield Paragraph(captions.summary(analysis, study), "summary")
    if analysis.facts.open and context.recipe:
        text = f"{captions.still_open(analysis.facts)} To go on:"
        yield Callout("This study is not finished.", text, children=(Code(study.command, "sh"),))
    elif analysis.facts.open:
        yield Callout("Some runs are missing.", captions.not_in_table(analysis.facts))
    yield Facts(tuple(_facts(analysis)))
    if study.overrides:
        yield Paragraph(overrides(context), "overrides")


def _facts(analysis: Analysis) -> Iterator[Fact]:
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
        label = "Unfinished" if analysis.setup.recipe else "Missing"
        yield Fact(label, f"{facts.interrupted + facts.missing:,}", note, alert=True)
    if facts.done:
        kinds = len({own.code for own in analysis.warnings})
        note = f"of {plural(kinds, 'kind')}" if kinds < len(analysis.warnings) else ""
        used = {0: "not used", 1: "evaluated once"}.get(
            facts.test_evaluations, f"evaluated {facts.test_evaluations} times"
        )
        if analysis.setup.recipe:
            yield Fact("Test set", used, alert=facts.test_evaluations > 1)
        yield Fact("Warnings", f"{len(analysis.warnings):,}", note, alert=kinds > 0)
    if facts.devices:
        yield Fact("Training time", duration(facts.seconds), "all runs added up")
        yield Fact("Device", ", ".join(facts.devices))
