"""Blocks as Markdown (GitHub's, with pipe tables), all text escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ablation._util.language import clauses, current, tr
from ablation.report.bibliography import REFERENCES
from ablation.report.blocks import (
    Block,
    Callout,
    Cell,
    Code,
    Columns,
    Details,
    Facts,
    Figure,
    Findings,
    Formula,
    Heading,
    Images,
    Item,
    Pairs,
    Paragraph,
    Picture,
    Prose,
    References,
    Span,
    Summary,
    Table,
    Text,
    join,
    plain,
    spans,
)
from ablation.report.page import Page

_SPECIAL = re.compile(r"([\\`*_{}\[\]|~#$])")
_TAG = re.compile(r"<(?=[A-Za-z/!?]|$)")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_BLOCK_MARK = re.compile(r"^(?:[-+](?=\s|$)|[-=]+$|>|\d{1,9}[.)](?=\s|$))")
_NO_CODE = re.compile(r"[`|\n]")


def render(page: Page) -> str:
    """The page as one Markdown file; its figures are files beside it."""
    parts = [f"![]({page.logo.file})"] if page.logo else []
    parts.append(f"# {text(page.title)}")
    if page.byline:
        parts.append(text(" \u00b7 ".join(page.byline)))
    parts += _blocks(page.head)
    for part in page.parts:
        parts += [f"## {text(part.title)}", *_blocks(part.blocks)]
    return "\n\n".join(parts) + "\n"


def text(value: Text) -> str:
    """A text as one line that shows it unchanged, inside a table as well."""
    line = "".join(_escape(part) if isinstance(part, str) else _span(part) for part in spans(value)).strip()
    return _BLOCK_MARK.sub(lambda m: m[0][:-1] + "\\" + m[0][-1], line)


def _escape(value: str) -> str:
    line = re.sub(r"\s+", " ", value)
    line = _TAG.sub("&lt;", _ENTITY.sub("&amp;", line))
    return _SPECIAL.sub(r"\\\1", line).replace("://", ":&#47;&#47;").replace("www.", "www&#46;")


def _span(part: Span) -> str:
    if part.style == "code" and not _NO_CODE.search(part.text):
        return f"`{part.text}`"
    shown = _escape(part.text)
    if part.style == "cite":
        return shown
    if part.style in ("symbol", "math"):
        return f"${part.text}$"
    if part.style == "strong" and shown.strip():
        return f"**{shown.strip()}**"
    return f"*{shown.strip()}*" if part.target and shown.strip() else shown


def fenced(content: str, language: str = "") -> str:
    """Text as a fenced block, with a fence longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`+", content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{content.rstrip()}\n{fence}"


def _blocks(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        yield from _RENDERERS[block.kind](block)


def _findings(block: Findings) -> Iterator[str]:
    lines = []
    for own in block.findings:
        lines.append(f"- **{text(own.title)}** (`{own.code}`)")
        lines += [f"  - {text(message)}" for message in own.found]
        lines.append("  - " + tr("What to do: {hint}", hint=text(own.hint)))
    yield "\n".join(lines)


def _callout(block: Callout) -> Iterator[str]:
    yield f"> **{text(block.title)}** {text(block.text)}"
    yield from _blocks(block.children)


def _details(block: Details) -> Iterator[str]:
    yield text(block.summary) + current().colon.rstrip()
    yield from _blocks(block.children)


def _columns(block: Columns) -> Iterator[str]:
    for title, blocks in block.parts:
        yield f"### {text(title)}"
        yield from _blocks(blocks)


def _summary(block: Summary) -> Iterator[str]:
    yield f"**{text(block.title)}**"
    colon = current().colon.rstrip()
    yield "\n".join(f"- **{text(line.label)}{colon}** {text(line.text)}" for line in block.lines)


def _facts(block: Facts) -> Iterator[str]:
    yield text(join(block.facts, " \u00b7 "))


def _pairs(block: Pairs) -> Iterator[str]:
    head = (tr("Hyperparameter"), tr("Value")) if block.options else ("", "")
    yield _grid(head, (":--", ":--"), [(text(term), text(value)) for term, value in block.rows])


def _table(block: Table) -> Iterator[str]:
    table = block.printable()
    yield from map(_picture, table.pictures)
    columns = table.columns
    rows = [[_cell(cell, first=not place) for place, cell in enumerate(row.cells)] for row in table.rows]
    yield _grid([text(own.heading) for own in columns], ["--:" if own.number else ":--" for own in columns], rows)
    if table.caption:
        yield _caption(tr("Table {number}.", number=table.number), table.caption)
    for row in table.rows:
        for cell in row.cells:
            if cell.traceback:
                yield tr(
                    "Traceback of {variant}, {column} {value}:",
                    variant=text(row.cells[0].text),
                    column=plain(table.columns[1].heading).lower(),
                    value=text(row.cells[1].text),
                )
                yield fenced(cell.traceback)


def _cell(cell: Cell, *, first: bool) -> str:
    shown = text(cell.text)
    named = f"**{shown}**" if first and shown else shown
    notes = clauses([text(note.text) for note in cell.notes])
    return tr("{text} ({notes})", text=named, notes=notes) if notes else named


def _grid(head: Sequence[str], marks: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["|" + "".join(f" {cell} |" for cell in line) for line in (head, *rows)]
    return "\n".join([lines[0], f"|{'|'.join(marks)}|", *lines[1:]])


def _figure(block: Figure | Images) -> Iterator[str]:
    yield from map(_picture, block.pictures)
    yield _caption(tr("Figure {number}.", number=block.number), block.caption)


def _picture(picture: Picture) -> str:
    return f"![{text(picture.alt)}]({picture.file})"


def _caption(number: str, caption: str) -> str:
    return f"**{number}** *{text(caption)}*"


def _heading(block: Heading) -> Iterator[str]:
    yield f"{'#' * block.level} {text(block.text)}"


def _paragraph(block: Paragraph) -> Iterator[str]:
    yield text(block.text)


def _code(block: Code) -> Iterator[str]:
    yield fenced(block.text, block.language)


def _prose(block: Prose) -> Iterator[str]:
    yield block.markdown


def _formula(block: Formula) -> Iterator[str]:
    yield f"$$\n{block.latex}\n$$"


def _item(block: Item) -> Iterator[str]:
    yield f"{'  ' * (block.depth - 1)}{block.mark if block.mark[0].isdigit() else '-'} {text(block.text)}"


def _references(block: References) -> Iterator[str]:
    yield "  \n".join(text(f"[{number}] {REFERENCES[key].text}") for number, key in enumerate(block.keys, 1))


_RENDERERS: dict[str, Callable[[Any], Iterator[str]]] = {
    "heading": _heading,
    "paragraph": _paragraph,
    "findings": _findings,
    "callout": _callout,
    "code": _code,
    "details": _details,
    "columns": _columns,
    "pairs": _pairs,
    "summary": _summary,
    "facts": _facts,
    "prose": _prose,
    "formula": _formula,
    "item": _item,
    "references": _references,
    "table": _table,
    "figure": _figure,
    "images": _figure,
}
