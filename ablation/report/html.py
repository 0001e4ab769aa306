"""Blocks as HTML: the macros of the templates for blocks, and the text inside them here, all escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from markupsafe import Markup, escape

import ablation.report.formulas as formulas
from ablation.report.bibliography import REFERENCES
from ablation.report.blocks import Block, Cell, Formula, Note, Row, Span, Table, Text, plain, spans
from ablation.report.page import Page
from ablation.report.templates import Templates, templates_dir

_TAGS = {"strong": "b", "code": "code", "italic": "i", "name": "bdi"}


def render(page: Page, templates: Templates) -> str:
    """The page as one HTML file. Raises UserError for a template of the user that cannot be used."""
    script = _script()
    values = {"page": page, "script": Markup(script), "script_hash": _source_hash(script)}
    return templates.render("report.html.jinja", values, FILTERS)


def _script() -> str:
    """The script of the page without comments, indentation, and the spaces around arrows and after commas."""
    script = (templates_dir() / "report.js").read_text(encoding="utf-8")
    return re.sub(r" (=>) |(,) ", r"\1\2", re.sub(r"^\s*(?://.*)?\n?", "", script, flags=re.MULTILINE))


def _source_hash(script: str) -> str:
    """The one script that the Content-Security-Policy of the page allows (CSP level 2, hash source)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"


def inline(text: Text) -> Markup:
    """A text with its marks."""
    if isinstance(text, str):
        return escape(text)
    return Markup("").join(part if isinstance(part, str) else _span(part) for part in spans(text))


def _span(part: Span) -> Markup:
    css = part.css or ("name" if part.style == "name" else "")
    attributes = Markup(' class="{}"').format(css) if css else Markup("")
    if part.style == "cite":
        number = Markup(' <a href="#source-{}">{}</a>').format(part.target, part.text.strip())
        return number if part.text else Markup("")
    if part.style == "symbol":
        letter, _, index = part.text.partition("_")
        return Markup("<i>{}</i>").format(letter) + (Markup("<sub><i>{}</i></sub>").format(index) if index else "")
    if part.target:  # a reference, or a mark that leads to its warning
        return Markup('<a{} href="#{}">{}</a>').format(attributes, part.target, part.text)
    tag = _TAGS.get(part.style, "span")
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), attributes, part.text)


def fold(table: Table) -> Table:
    """The table with its folded columns as small print under the names of the rows."""
    folded = [place for place, column in enumerate(table.columns) if column.folded]
    if not folded:
        return table

    def row(own: Row) -> Row:
        first, *rest = own.cells
        moved = (own.cells[place].text for place in folded)
        notes = tuple(Note(text) for text in moved if plain(text) not in ("", plain(first.text)))
        kept: list[Cell] = [cell for place, cell in enumerate(rest, 1) if place not in folded]
        return replace(own, cells=(replace(first, notes=notes + first.notes), *kept))

    columns = tuple(column for column in table.columns if not column.folded)
    return replace(table, columns=columns, rows=tuple(map(row, table.rows)))


def sources(keys: Iterable[str]) -> list[tuple[str, str]]:
    """The sources as key and text."""
    return [(key, REFERENCES[key].text) for key in keys]


def formula(block: Formula) -> Markup:
    """A formula as an `svg` element whose ids are its own."""
    return formulas.svg(block.latex, f"formula-{block.number}")


def printed(block: Block) -> tuple[tuple[Markup, str], ...]:
    """The pictures of a block in the place of what only a screen shows: none here."""
    return ()


FILTERS: Mapping[str, Callable[..., Any]] = {
    "inline": inline,
    "fold": fold,
    "plain": plain,
    "sources": sources,
    "formula": formula,
    "printed": printed,
}
