"""The report before it has a form: its head, and the blocks of every section that has any."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import ablation.report.figures.style as style
import ablation.report.progress as progress
from ablation._util.formatting import duration
from ablation._util.language import commas, current, sentences, tr, trn
from ablation.analysis import Analysis
from ablation.report.blocks import (
    Block,
    Callout,
    Code,
    Columns,
    Facts,
    Figure,
    Formula,
    Images,
    Paragraph,
    Picture,
    References,
    SeeAlso,
    Span,
    Table,
    Text,
    join,
    pictures,
    ref,
    spans,
    tr_text,
)
from ablation.report.context import Context, Section
from ablation.report.logo import Logo
from ablation.report.sections.runs import overrides
from ablation.report.styles import LAYOUTS
from ablation.report.summary import summary


@dataclass(frozen=True)
class Part:
    """A section with its blocks; `name` is its anchor."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    appendix: bool


@dataclass(frozen=True)
class Page:
    """The title, what is above the first section, and the sections, those of the appendix last.

    `kind` is printed above the title, authors, course and date below it. `sources` are the keys of what is
    cited, in the order of their numbers.
    """

    name: str
    title: str
    head: tuple[Block, ...]
    parts: tuple[Part, ...]
    kind: str = ""
    authors: tuple[str, ...] = ()
    course: str = ""
    date: str = ""
    logo: Logo | None = None
    sources: tuple[str, ...] = ()
    light = style.LIGHT
    dark = style.DARK

    @property
    def byline(self) -> tuple[str, ...]:
        """Authors, course and date, as far as they are given."""
        return tuple(filter(None, (commas(self.authors), self.course, self.date)))

    @property
    def main(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if not part.appendix)

    @property
    def appendix(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.appendix)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        return tuple(picture for part in self.parts for picture in pictures(part.blocks))


def make_page(context: Context, sections: Iterable[Section], logo: Logo | None = None) -> Page:
    """Draw the figures, put every part of the report into words, and number figures, tables and sources.

    The sections are in the order in which they are shown.
    """
    made = (Part(own.name, tr(own.title), tuple(own.blocks(context)), own.appendix) for own in sections)
    study, options = context.study, context.options
    parts, sources = _with_numbers(part for part in made if part.blocks)
    return Page(
        study.name,
        study.title or study.name,
        tuple(_head(context)),
        parts,
        tr(LAYOUTS[options.style].kind),
        options.author,
        options.course,
        options.date,
        logo,
        sources,
    )


def _with_numbers(parts: Iterable[Part]) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """Figures, formulas, and tables with a caption numbered in their order, with the references to them filled in.

    Sources are numbered where the page lists them. Their keys are returned in this order.
    """
    counts = {"Figure": 0, "Table": 0, "Formula": 0}
    known: dict[str, str] = {}
    sources: dict[str, int] = {}

    def number(block: Block) -> Block:
        if isinstance(block, Formula):
            counts["Formula"] += 1
            return replace(block, number=counts["Formula"])
        if not isinstance(block, Figure | Images | Table) or not block.caption:
            return block
        kind = "Table" if isinstance(block, Table) else "Figure"
        counts[kind] += 1
        known[f"{kind.lower()}-{block.key}"] = _numbered(kind, counts[kind])
        return replace(block, number=counts[kind])

    def refer(block: Block) -> Block:
        if isinstance(block, References):
            return replace(block, keys=tuple(sources))
        if isinstance(block, SeeAlso):
            block = _see_also(block, known)
        if not isinstance(block, Paragraph):
            return block
        filled = (_filled(part, known, sources) for part in spans(block.text))
        return replace(block, text=tuple(filled))

    numbered = [replace(part, blocks=_changed(part.blocks, number)) for part in parts]
    if any(isinstance(block, References) for part in numbered for block in part.blocks):
        cited = (key for part in numbered for key in _cited(part.blocks))
        sources |= {key: place for place, key in enumerate(dict.fromkeys(cited), 1)}
    filled_in = (replace(part, blocks=_changed(part.blocks, refer)) for part in numbered)
    return tuple(part for part in filled_in if _says_something(part)), tuple(sources)


def _see_also(block: SeeAlso, known: Mapping[str, str]) -> Paragraph:
    """An empty paragraph where the page has none of them, and nothing is said before."""
    shown = [(what, target) for what, target in block.items if target in known]
    if not shown:
        return Paragraph(block.before)
    items = [
        tr_text("{what} ({number})", what=what, number=replace(ref(target), text=known[target]))
        for what, target in shown
    ]
    more = tr_text("More results: {items}.", items=join(items, current().comma))
    return Paragraph(join((block.before, more) if block.before else (more,), current().space))


def _numbered(kind: str, number: int) -> str:
    """As `Figure 2`."""
    return tr("Table {number}", number=number) if kind == "Table" else tr("Figure {number}", number=number)


def _cited(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Paragraph):
            yield from (own.target for own in spans(block.text) if isinstance(own, Span) and own.style == "cite")
        yield from _cited(block.children)


def _says_something(part: Part) -> bool:
    """False for a list of sources where none was cited."""
    return part.blocks != (References(),)


def _filled(part: str | Span, known: Mapping[str, str], sources: Mapping[str, int]) -> str | Span:
    if isinstance(part, str) or part.style not in ("ref", "cite"):
        return part
    if part.style == "ref":
        return replace(part, text=known.get(part.target) or tr("a part that is not shown here"))
    return replace(part, text=f" [{sources[part.target]}]" if part.target in sources else "")


def _changed(blocks: Iterable[Block], change: Callable[[Block], Block]) -> tuple[Block, ...]:
    """The blocks and those inside them, each changed; empty paragraphs are left out."""
    changed = (change(_with_children(block, change)) for block in blocks)
    return tuple(block for block in changed if block != Paragraph(""))


def _with_children(block: Block, change: Callable[[Block], Block]) -> Block:
    if isinstance(block, Columns):
        return replace(block, parts=tuple((title, _changed(inner, change)) for title, inner in block.parts))
    return replace(block, children=_changed(block.children, change)) if block.children else block  # type: ignore[type-var]


def _head(context: Context) -> Iterator[Block]:
    study, analysis = context.study, context.analysis
    if study.smoke:
        text = (
            tr("A tiny subset, trained only to see that everything works: the figures mean nothing.")
            if study.of_images
            else tr(
                "Cut down by the smoke options of the task, and trained only to see that everything works: the figures "
                "mean nothing."
            )
        )
        yield Callout(tr("Smoke run."), text, "smoke")
    if LAYOUTS[context.options.style].result_first:
        yield from _result(context)
    if analysis.facts.open and context.recipe:
        text = sentences([progress.still_open(analysis.facts), tr("To go on:")])
        yield Callout(tr("This study is not finished."), text, children=(Code(study.command, "sh"),))
    elif analysis.facts.open:
        yield Callout(tr("Some runs are missing."), progress.not_in_table(analysis.facts))
    if study.overrides:
        yield Paragraph(overrides(context), "overrides")


def _result(context: Context) -> Iterator[Block]:
    study, analysis = context.study, context.analysis
    if study.question:
        yield Paragraph(study.question, "question")
    result = summary(analysis)
    if result:
        yield result
    elif analysis.headline:
        yield Paragraph(Span(analysis.headline, "strong"), "headline")
    yield Facts(tuple(_facts(context)))


def _facts(context: Context) -> Iterator[Text]:
    """What was run in a sentence, then what a reader must know of it in a few words each."""
    analysis, facts = context.analysis, context.analysis.facts
    yield progress.summary(analysis, context.study)
    if analysis.follow_up:
        yield tr(
            "follow-up of {study}: family-wise error over all studies at most {bound:g}",
            study=analysis.follow_up.of,
            bound=analysis.bound_with_earlier,
        )
    if facts.added_seeds:
        added = trn("{n:,} seed added later", "{n:,} seeds added later", len(facts.added_seeds))
        yield Span(added, css="alert")
    if facts.done and context.study.of_images:
        yield _test_set(analysis)
    if analysis.warnings:
        yield Span(
            trn("{n:,} warning", "{n:,} warnings", len(analysis.warnings)),
            css="alert",
            target="warnings" if "warnings" in context.shown else "",
        )
    if facts.devices:
        yield tr("{time} of training on {devices}", time=duration(facts.seconds), devices=commas(facts.devices))


def _test_set(analysis: Analysis) -> Text:
    times = analysis.facts.test_evaluations
    if times > 1:
        return Span(tr("test set evaluated {number} times", number=times), css="alert")
    return tr("test set evaluated once") if times else tr("test set not used")
