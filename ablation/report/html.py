"""Blocks as HTML: the macros of the templates for blocks, and the text inside them here, all escaped."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from ablation.report.blocks import Cell, Note, Row, Span, Table, Text, plain, spans
from ablation.report.page import Page

_PACKAGE = Path(__file__).resolve().parent.parent
_TAGS = {"strong": "b", "code": "code", "italic": "i", "name": "bdi"}


def templates_dir() -> Path:
    """The folder of the templates: inside an installed package, or at the top of a checkout.

    Raises FileNotFoundError where neither holds them: the installation is broken.
    """
    for folder in (_PACKAGE / "templates", _PACKAGE.parent / "templates"):
        if (folder / "report.html.jinja").is_file():
            return folder
    raise FileNotFoundError(f"no report templates in {_PACKAGE / 'templates'} or {_PACKAGE.parent / 'templates'}")


def render(page: Page) -> str:
    """The page as one HTML file."""
    script = (templates_dir() / "report.js").read_text(encoding="utf-8")
    template = _environment().get_template("report.html.jinja")
    return template.render(page=page, script=Markup(script), script_hash=_source_hash(script))


def _source_hash(script: str) -> str:
    """The one script that the Content-Security-Policy of the page allows (CSP level 2, hash source)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"


@cache
def _environment() -> jinja2.Environment:
    """The templates, strict about undefined names."""
    jinja = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates_dir()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters |= {"inline": inline, "fold": fold, "plain": plain}
    return jinja


def inline(text: Text) -> Markup:
    """A text with its marks."""
    if isinstance(text, str):
        return escape(text)
    return Markup("").join(part if isinstance(part, str) else _span(part) for part in spans(text))


def _span(part: Span) -> Markup:
    css = part.css or ("name" if part.style == "name" else "")
    attributes = Markup(' class="{}"').format(css) if css else Markup("")
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
