"""A page as PDF: tagged, with page numbers, bookmarks and the figures as lines."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from markupsafe import Markup
from PIL import ImageFile

import ablation.report.drawing as drawing
import ablation.report.formulas as formulas
from ablation.errors import UserError
from ablation.report.blocks import Block, Formula, Table
from ablation.report.figures.style import LIGHT
from ablation.report.html import FILTERS, fold
from ablation.report.page import Page
from ablation.report.templates import Templates

_FONTS = re.compile(rb"font-family: [^;\"]*;")
_FORMULA = 0.65
"""The size of formulas, which are drawn for a screen."""


def render(page: Page, templates: Templates) -> bytes:
    """The PDF. Raises UserError where WeasyPrint lacks the libraries of the system that it needs."""
    weasyprint = load_weasyprint()
    filters: dict[str, Callable[..., Any]] = {**FILTERS, "fold": _fold, "formula": _formula, "printed": _printed}
    html = templates.render("print.html.jinja", {"page": page}, filters)
    for name, colour in LIGHT.items():  # it knows no variables of CSS inside of SVG
        html = html.replace(f"var(--{name})", colour)
    identifier = hashlib.sha256(html.encode()).digest()[:16]
    inside_only = weasyprint.urls.URLFetcher(allowed_protocols={"data"})
    document: Any = weasyprint.HTML(string=html, url_fetcher=inside_only)
    with _fixed_time():
        written: bytes = document.write_pdf(pdf_variant="pdf/ua-1", pdf_identifier=identifier, pdf_tags=True)
    return written


@contextmanager
def _fixed_time() -> Iterator[None]:
    """Without HarfBuzz-Subset, fontTools embeds the fonts, and would write the time of day into them."""
    before = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before


def load_weasyprint() -> ModuleType:
    """WeasyPrint. Raises UserError where it lacks the libraries of the system that it needs."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        import weasyprint
    except OSError as error:
        hint = "https://doc.courtbouillon.org/weasyprint/stable/first_steps.html says which packages it needs"
        raise UserError(f"WeasyPrint cannot be used here: {str(error).splitlines()[0]}", hint) from None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before  # it switches that on for the whole process
    module: ModuleType = weasyprint
    return module


def _printed(block: Block) -> tuple[tuple[str, str], ...]:
    """The pictures inside of the document, as lines."""
    return tuple((_uri(drawing.vector(own.draw(), "svg")), own.alt) for own in block.pictures)


def _uri(svg: bytes) -> str:
    # WeasyPrint takes the space after a comma for a part of the name of the font that follows.
    svg = _FONTS.sub(lambda fonts: fonts[0].replace(b", ", b","), svg)
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"


def _fold(table: Table) -> Table:
    """The table without its plots, which the picture above it shows."""
    return fold(table.printable())


def _formula(block: Formula) -> Markup:
    with drawing.settings(formulas.SETTINGS):
        figure = formulas.figure(block.latex)
        drawn = drawing.vector(figure, "svg", formulas.SETTINGS)
    width = _FORMULA * figure.get_figwidth() * 72
    return Markup('<img src="{}" alt="{}" style="width:{:.1f}pt">').format(_uri(drawn), block.latex, width)
