"""What a section consists of: frozen blocks of plain text, which the renderers escape and turn into their format.

Text is a string, a `Span`, or a tuple of both. Each block names the part of a renderer that shows it by `kind`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from string import Formatter
from typing import TYPE_CHECKING, ClassVar, Literal

from markupsafe import Markup

from ablation._util.language import current, tr

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure


@dataclass(frozen=True)
class Span:
    """A part of a text: `style` is what it is, `css` its class in HTML, `target` the anchor on the page it leads to.

    The text of a `ref` is the number of the figure or table that it leads to; that of a `cite` is the number of the
    source `target`, in brackets, or nothing where the page lists no sources.
    That of `math` is
    LaTeX, that of a `symbol` is a letter, perhaps with an index, as `h_i`.
    """

    text: str
    style: Literal["", "name", "strong", "code", "italic", "ref", "cite", "symbol", "math"] = ""
    css: str = ""
    target: str = ""


Text = str | Span | tuple[str | Span, ...]


def name(text: str) -> Span:
    """A name that the user chose: of a variant, or of a class."""
    return Span(text, "name")


def code(text: str) -> Span:
    """Text as it is typed, in a fixed-width font."""
    return Span(text, "code")


def ref(target: str) -> Span:
    """A reference to a figure or a table by its anchor, as `figure-sweeps`: shown as `Figure 2`."""
    return Span("", "ref", target=target)


def cite(key: str) -> Span:
    """A citation of a source of the `bibliography`: shown as ` [2]`."""
    return Span("", "cite", target=key)


def spans(text: Text) -> tuple[str | Span, ...]:
    """The parts of a text."""
    return text if isinstance(text, tuple) else (text,)


def plain(text: Text) -> str:
    """A text without its marks."""
    return "".join(part if isinstance(part, str) else part.text for part in spans(text))


def join(parts: Iterable[Text], separator: str) -> tuple[str | Span, ...]:
    """The parts as one text, with the separator between them."""
    joined: list[str | Span] = []
    for part in parts:
        joined += [separator, *spans(part)] if joined else spans(part)
    return tuple(joined)


def tr_text(message: str, /, **parts: Text) -> Text:
    """A text in the current language whose `{name}`s are replaced by texts with their marks."""
    made: list[str | Span] = []
    for before, field, _, _ in Formatter().parse(tr(message)):
        made += [before] if before else []
        made += spans(parts[field]) if field is not None else ()
    return tuple(made)


@dataclass(frozen=True)
class Picture:
    """A figure as a file beside the Markdown report, drawn once a form of the report asks for it.

    `png` is the content of that file; `draw` is for forms that show the figure as lines.
    """

    file: str
    alt: str
    png: Callable[[], bytes]
    draw: Callable[[], MatplotlibFigure]


class Block:
    """A block of a section; `children` are the blocks inside it, `pictures` its files beside the Markdown."""

    kind: ClassVar[str]
    children: tuple[Block, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Heading(Block):
    """A heading below that of the section, which has level 2."""

    kind: ClassVar[str] = "heading"
    text: Text
    level: Literal[3, 4] = 3


@dataclass(frozen=True)
class Paragraph(Block):
    """A paragraph; `css` is its class in HTML, "none" for one in the place of what is missing."""

    kind: ClassVar[str] = "paragraph"
    text: Text
    css: str = ""


@dataclass(frozen=True)
class SeeAlso(Block):
    """A sentence that leads to other figures and tables: what each shows, and its anchor; `before` is said before it.

    The page makes it a paragraph on those that it has.
    """

    kind: ClassVar[str] = "paragraph"
    items: tuple[tuple[str, str], ...]
    before: Text = ""


@dataclass(frozen=True)
class Finding:
    """All warnings of one kind: code, title, what was found, and what to do about it."""

    code: str
    title: str
    found: tuple[str, ...]
    hint: str


@dataclass(frozen=True)
class Findings(Block):
    """Warnings by kind, each with an anchor; HTML shows the first `most` of a kind."""

    kind: ClassVar[str] = "findings"
    findings: tuple[Finding, ...]
    most: int = 6


@dataclass(frozen=True)
class Callout(Block):
    """A box that needs the reader's eye."""

    kind: ClassVar[str] = "callout"
    title: str
    text: str
    css: str = ""
    children: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Code(Block):
    """Lines to be copied; `tall` where HTML is to scroll them."""

    kind: ClassVar[str] = "code"
    text: str
    language: str = ""
    tall: bool = False


@dataclass(frozen=True)
class Details(Block):
    """Blocks under a summary that HTML can fold away."""

    kind: ClassVar[str] = "details"
    summary: Text
    children: tuple[Block, ...]
    open: bool = False


@dataclass(frozen=True)
class Columns(Block):
    """Parts side by side where there is room, each under its heading."""

    kind: ClassVar[str] = "columns"
    parts: tuple[tuple[str, tuple[Block, ...]], ...]
    css: str = ""

    @property
    def children(self) -> tuple[Block, ...]:  # type: ignore[override]
        return tuple(block for _, blocks in self.parts for block in blocks)


@dataclass(frozen=True)
class Pairs(Block):
    """Terms with what is said of each; `options` where the terms are keys of a study file."""

    kind: ClassVar[str] = "pairs"
    rows: tuple[tuple[str, str], ...]
    options: bool = False


@dataclass(frozen=True)
class SummaryLine:
    """A line of the summary: its label, the variants that it names with what is said of each, and a note on all."""

    label: str
    css: str
    variants: tuple[tuple[str, str], ...]
    note: str = ""

    @property
    def text(self) -> Text:
        """What follows the label: each variant with what is said of it, then the note."""
        named: list[Text] = [(name(own), tr(" ({said})", said=said) if said else "") for own, said in self.variants]
        return join([*named, self.note] if self.note else named, current().comma)


@dataclass(frozen=True)
class Summary(Block):
    """The result as labelled lines; `title` says what the differences are of."""

    kind: ClassVar[str] = "summary"
    title: str
    lines: tuple[SummaryLine, ...]


@dataclass(frozen=True)
class Facts(Block):
    """What was run, as one line of short facts."""

    kind: ClassVar[str] = "facts"
    facts: tuple[Text, ...]


@dataclass(frozen=True)
class Prose(Block):
    """Markdown that the author wrote, made safe in both forms."""

    kind: ClassVar[str] = "prose"
    html: Markup
    markdown: str
    blocks: tuple[Block, ...] = ()
    """The same as blocks, for forms that have no Markdown."""


@dataclass(frozen=True)
class Note:
    """Small print of a cell, on a line of its own in HTML."""

    text: Text
    css: str = "change"


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    `css` is its class in HTML, `tint` its shade from -1 to 1, `share` the length of its bar from 0 to 1.
    A `plot` is shown in HTML only; a `traceback` is folded away there and is below the table in Markdown.
    """

    text: Text
    notes: tuple[Note, ...] = ()
    css: str = ""
    tint: float = 0.0
    share: float | None = None
    traceback: str = ""
    plot: Markup | None = None


@dataclass(frozen=True)
class Column:
    """A column: numbers are set to the right, a `folded` one is under the name of the row in HTML.

    `upright` turns the heading, for columns of two digits. A column of plots has its axis as `plot`, and the share of
    its width at which `zero` is.
    """

    heading: Text
    number: bool = False
    folded: bool = False
    upright: bool = False
    plot: Markup | None = None
    zero: float = 0.0


@dataclass(frozen=True)
class Row:
    """The cells of a row, the first of which names it."""

    cells: tuple[Cell, ...]
    baseline: bool = False


@dataclass(frozen=True)
class Table(Block):
    """A table with what a screen reader calls it; `key` names it on the page, `css` is its class in HTML.

    `pictures` show in Markdown what its plots show in HTML. A `number` is given to every table with a caption.
    """

    kind: ClassVar[str] = "table"
    label: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    key: str = ""
    css: str = ""
    pictures: tuple[Picture, ...] = ()
    number: int = 0

    def only(self, *headings: str) -> Table:
        """The table with the columns of these headings alone."""
        kept = [place for place, column in enumerate(self.columns) if plain(column.heading) in headings]
        rows = tuple(Row(tuple(row.cells[place] for place in kept), row.baseline) for row in self.rows)
        return replace(self, columns=tuple(self.columns[place] for place in kept), rows=rows)

    def printable(self) -> Table:
        """The table without plots, which its pictures show, and without folded columns that are empty."""
        kept = [
            place
            for place, column in enumerate(self.columns)
            if not column.plot and (not column.folded or any(plain(row.cells[place].text) for row in self.rows))
        ]
        rows = tuple(replace(row, cells=tuple(row.cells[place] for place in kept)) for row in self.rows)
        return replace(self, columns=tuple(self.columns[place] for place in kept), rows=rows)


def content_lengths(table: Table) -> list[int]:
    """The width of the longest cell of each column in Latin characters, notes included, at least 4 and at most 40."""
    found = []
    for place, column in enumerate(table.columns):
        cells = (row.cells[place] for row in table.rows)
        texts = (" ".join([plain(cell.text), *(plain(note.text) for note in cell.notes)]) for cell in cells)
        found.append(min(max(4, _width(plain(column.heading)), *map(_width, texts)), 40))
    return found


def unbroken_lengths(table: Table) -> list[int]:
    """What should stand on one line in each column, in Latin characters: a number whole, the longest word of a text.

    A word of more than 20 may be broken, so that no name without a blank takes the room of all other columns.
    """
    found = []
    for place, column in enumerate(table.columns):
        texts = [plain(row.cells[place].text) for row in table.rows]
        words = plain(column.heading).split() + (texts if column.number else " ".join(texts).split())
        longest = max(map(_width, words), default=1)
        found.append(longest if column.number else min(longest, 20))
    return found


def _width(text: str) -> int:
    """A Chinese character is as wide as two Latin ones."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


@dataclass(frozen=True)
class Panel:
    """A small figure under its own heading; `note` adds to the heading.

    `log` is the same on a logarithmic axis. `readings` are what the page shows where it is pointed at.
    """

    title: str
    note: str
    svg: Markup
    log: Markup | None = None
    readings: str = ""


@dataclass(frozen=True)
class Figure(Block):
    """A figure with its caption: `panels` that the page arranges, and the files beside the Markdown.

    `legend` has the marks of the panels: the class of each, and what it stands for.
    """

    kind: ClassVar[str] = "figure"
    key: str
    title: str
    caption: str
    pictures: tuple[Picture, ...]
    panels: tuple[Panel, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    number: int = 0


@dataclass(frozen=True)
class Formula(Block):
    """A formula on a line of its own: LaTeX that matplotlib's mathtext reads too; numbered for its anchors."""

    kind: ClassVar[str] = "formula"
    latex: str
    number: int = 0


@dataclass(frozen=True)
class Item(Block):
    """An entry of a list, with its bullet or number; `depth` counts the lists around it."""

    kind: ClassVar[str] = "item"
    text: Text
    mark: str = "\u2022"
    depth: int = 1


@dataclass(frozen=True)
class References(Block):
    """The sources that are cited, by key in the order of their numbers; filled in when the page is complete."""

    kind: ClassVar[str] = "references"
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """An image as a data URI, with its true class, the predicted one and the confidence in it as text."""

    true: str
    predicted: str
    confidence: str
    right: bool
    uri: str


@dataclass(frozen=True)
class Images(Block):
    """Labelled images."""

    kind: ClassVar[str] = "images"
    caption: str
    samples: tuple[Sample, ...]
    pictures: tuple[Picture, ...]
    key: str = ""
    number: int = 0


def pictures(blocks: Iterable[Block]) -> Iterator[Picture]:
    """The files of the blocks, and of those inside them."""
    for block in blocks:
        yield from block.pictures
        yield from pictures(block.children)
