"""A page as a Word document: real headings, tables, captions and page numbers, pictures with alternative texts."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import docx
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Emu, Pt

import ablation.report.formulas as formulas
from ablation._util.language import current, tr
from ablation._util.sanitize import clean
from ablation.report.bibliography import REFERENCES
from ablation.report.blocks import (
    Block,
    Callout,
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
    content_lengths,
    join,
    spans,
    unbroken_lengths,
)
from ablation.report.page import Page

_WIDTH = Cm(16)
_LETTER, _MARGINS = Cm(0.16), Cm(0.4)
"""Of a table: the width of a Latin character, and the margins of a cell."""
_FIXED = datetime(2000, 1, 1)
_NOT_XML = re.compile("[\ufffe\uffff]")
_STYLES = {"strong": "bold", "italic": "italic", "symbol": "italic", "math": "italic"}
_CHINESE = re.compile("[\u3400-\u9fff]")


def render(page: Page) -> bytes:
    """The file. The same page gives the same bytes."""
    document: Any = docx.Document()
    _set_up(document, page)
    writer = _Writer(document)
    if page.logo:
        document.add_picture(io.BytesIO(page.logo.data), height=Cm(1.5))
    writer.text(page.title, "Title")
    if page.byline:
        writer.text(" \u00b7 ".join(page.byline), "Subtitle")
    writer.blocks(page.head)
    for number, part in enumerate(page.parts):
        if part.appendix and not page.parts[number - 1].appendix:
            document.add_page_break()
        writer.text(part.title, "Heading 1")
        writer.blocks(part.blocks)
    stream = io.BytesIO()
    document.save(stream)
    return _same_bytes(stream.getvalue())


def _set_up(document: Any, page: Page) -> None:
    properties = document.core_properties
    properties.title, properties.author = _xml(page.title)[:255], _xml(", ".join(page.authors))[:255]
    properties.comments, properties.language = "", current().tag
    properties.created = properties.modified = _FIXED
    section = document.sections[0]
    section.page_width, section.page_height = Cm(21), Cm(29.7)
    section.left_margin = section.right_margin = Cm(2.5)
    footer = section.footer.paragraphs[0]
    footer.alignment = WD_ALIGN_PARAGRAPH.CENTER
    _field(footer, "PAGE")
    document.styles["Normal"].font.name = "Calibri"
    document.styles["Normal"].font.size = Pt(10.5)
    if current().tag == "zh-CN":
        _set_chinese(document.styles.element)


def _set_chinese(styles: Any) -> None:
    """Song for text and Hei for headings, which every Word has; no italics, which these do not have."""
    for fonts in styles.iter(qn("w:rFonts")):
        theme = fonts.attrib.pop(qn("w:eastAsiaTheme"), "")
        fonts.set(qn("w:eastAsia"), "SimHei" if theme.startswith("major") else "SimSun")
    for language in styles.iter(qn("w:lang")):
        language.set(qn("w:eastAsia"), "zh-CN")
    for italic in list(styles.iter(qn("w:i"), qn("w:iCs"))):
        italic.getparent().remove(italic)


def _xml(text: str) -> str:
    """Text that an XML file can hold."""
    return _NOT_XML.sub("\ufffd", clean(text))


def _field(paragraph: Any, instruction: str) -> None:
    """A field that Word computes, as the number of the page."""
    for kind in ("begin", "instruction", "end"):
        run = paragraph.add_run()
        if kind == "instruction":
            own = OxmlElement("w:instrText")
            own.text = instruction
        else:
            own = OxmlElement("w:fldChar")
            own.set(qn("w:fldCharType"), kind)
        run._r.append(own)


class _Writer:
    """Writes blocks at the end of a document."""

    def __init__(self, document: Any) -> None:
        self._document = document

    def text(self, text: Text, style: str = "Normal") -> Any:
        """A paragraph."""
        paragraph = self._document.add_paragraph(style=style)
        _runs(paragraph, text)
        return paragraph

    def blocks(self, blocks: Iterable[Block]) -> None:
        """Each block."""
        for block in blocks:
            getattr(self, f"_{block.kind}")(block)

    def _heading(self, block: Heading) -> None:
        self.text(block.text, f"Heading {block.level - 1}")

    def _paragraph(self, block: Paragraph) -> None:
        self.text(block.text)

    def _findings(self, block: Findings) -> None:
        for own in block.findings:
            self.text((Span(own.title, "strong"), " (", Span(own.code, "code"), ")"), "List Bullet")
            for message in (*own.found, own.hint):
                self.text(message, "List Bullet 2")

    def _callout(self, block: Callout) -> None:
        self.text((Span(block.title, "strong"), current().space, block.text), "Intense Quote")
        self.blocks(block.children)

    def _code(self, block: Code) -> None:
        paragraph = self._document.add_paragraph(style="No Spacing")
        for number, line in enumerate(block.text.rstrip("\n").split("\n")):
            if number:
                paragraph.add_run().add_break()
            _run(paragraph, line, "code", size=8.5)

    def _details(self, block: Details) -> None:
        self.text((*spans(block.summary), current().colon.rstrip()))
        self.blocks(block.children)

    def _columns(self, block: Columns) -> None:
        for title, blocks in block.parts:
            self.text(title, "Heading 2")
            self.blocks(blocks)

    def _pairs(self, block: Pairs) -> None:
        for term, value in block.rows:
            self.text((Span(term + current().colon, "strong"), value), "List Bullet")

    def _summary(self, block: Summary) -> None:
        self.text(Span(block.title, "strong"))
        for line in block.lines:
            self.text((Span(line.label + current().colon, "strong"), *spans(line.text)), "List Bullet")

    def _facts(self, block: Facts) -> None:
        self.text(join(block.facts, " \u00b7 "))

    def _prose(self, block: Prose) -> None:
        self.blocks(block.blocks)

    def _formula(self, block: Formula) -> None:
        data, width = formulas.png(block.latex)
        paragraph = self._document.add_paragraph()
        paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
        shown = paragraph.add_run().add_picture(io.BytesIO(data), width=min(Pt(0.7 * width), _WIDTH))
        _describe(shown, block.latex)

    def _item(self, block: Item) -> None:
        bullet = not block.mark[0].isdigit()
        style = f"List Bullet{'' if block.depth == 1 else f' {min(block.depth, 3)}'}" if bullet else "List Continue"
        self.text(block.text if bullet else (f"{block.mark} ", *spans(block.text)), style)

    def _references(self, block: References) -> None:
        for number, key in enumerate(block.keys, 1):
            self.text(f"[{number}] {REFERENCES[key].text}")

    def _figure(self, block: Figure | Images) -> None:
        for picture in block.pictures:
            self._picture(picture)
        self.text((Span(tr("Figure {number}.", number=block.number) + " ", "strong"), block.caption), "Caption")

    _images = _figure

    def _picture(self, picture: Picture) -> None:
        paragraph = self._document.add_paragraph()
        paragraph.paragraph_format.keep_with_next = True
        shown = paragraph.add_run().add_picture(io.BytesIO(picture.png()))
        if shown.width > _WIDTH:
            shown.height, shown.width = Emu(round(shown.height * _WIDTH / shown.width)), _WIDTH
        tallest = Cm(21)
        if shown.height > tallest:
            shown.width, shown.height = Emu(round(shown.width * tallest / shown.height)), tallest
        _describe(shown, picture.alt)

    def _table(self, block: Table) -> None:
        for picture in block.pictures:
            self._picture(picture)
        shown = block.printable()
        if block.caption:
            caption = self.text(
                (Span(tr("Table {number}.", number=block.number) + " ", "strong"), block.caption), "Caption"
            )
            caption.paragraph_format.keep_with_next = True
        table = self._document.add_table(rows=1 + len(block.rows), cols=len(shown.columns), style="Light Shading")
        table.autofit = False
        look = table._tbl.tblPr.find(qn("w:tblLook"))
        look.set(qn("w:val"), "06A0")  # first row and column bold, without grey bands: the old form and the new one
        look.set(qn("w:noHBand"), "1")
        widths = _widths(shown)
        for column, width in zip(table.columns, widths, strict=True):
            column.width = width
        _repeat(table.rows[0])
        numbers = [column.number for column in shown.columns]
        _fill(table.rows[0], [(column.heading, ()) for column in shown.columns], numbers, widths)
        for cell in table.rows[0].cells:
            cell.paragraphs[0].paragraph_format.keep_with_next = True
        for row, own in zip(list(table.rows)[1:], shown.rows, strict=True):
            _fill(row, [(cell.text, cell.notes) for cell in own.cells], numbers, widths)
        self._document.add_paragraph(style="No Spacing")


def _widths(table: Table) -> list[Emu]:
    """Columns in which no number and no word is broken, if the page is wide enough; long texts get the rest."""
    lengths = content_lengths(table)
    least = [_MARGINS + _LETTER * length for length in unbroken_lengths(table)]
    rest = _WIDTH - sum(least)
    if rest < 0:
        return [Emu(round(_WIDTH * length / sum(lengths))) for length in lengths]
    wishes = [max(0, _MARGINS + _LETTER * length - own) for length, own in zip(lengths, least, strict=True)]
    if not any(wishes):
        wishes = lengths
    return [Emu(round(own + rest * wish / sum(wishes))) for own, wish in zip(least, wishes, strict=True)]


def _fill(row: Any, cells: list[tuple[Text, Any]], numbers: list[bool], widths: list[Emu]) -> None:
    for cell, (text, notes), number, width in zip(row.cells, cells, numbers, widths, strict=True):
        cell.width = width
        paragraph = cell.paragraphs[0]
        paragraph.paragraph_format.space_before = paragraph.paragraph_format.space_after = Pt(1.5)
        if number:
            paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
        _runs(paragraph, text, 8.5)
        for note in notes:
            paragraph.add_run().add_break()
            _runs(paragraph, note.text, 7.5)


def _repeat(row: Any) -> None:
    """The heading of a table again on every page."""
    mark = OxmlElement("w:tblHeader")
    mark.set(qn("w:val"), "true")
    row._tr.get_or_add_trPr().append(mark)


def _describe(shape: Any, text: str) -> None:
    """The alternative text of a picture."""
    shape._inline.docPr.set("descr", _xml(text))


def _runs(paragraph: Any, text: Text, size: float | None = None) -> None:
    for part in spans(text):
        if isinstance(part, str):
            _run(paragraph, part, "", size)
        elif part.style == "symbol" and "_" in part.text:
            letter, _, index = part.text.partition("_")
            _run(paragraph, letter, "symbol", size)
            _run(paragraph, index, "symbol", size).font.subscript = True
        else:
            _run(paragraph, part.text, part.style, size)


def _run(paragraph: Any, text: str, style: str, size: float | None = None) -> Any:
    run = paragraph.add_run(_xml(text))
    if style in _STYLES:
        upright = style == "italic" and current().tag == "zh-CN" and _CHINESE.search(text)
        setattr(run, "bold" if upright else _STYLES[style], True)
    if style == "code":
        run.font.name = "Consolas"
    if size:
        run.font.size = Pt(size)
    return run


def _same_bytes(content: bytes) -> bytes:
    """The archive with one date for all its members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(
                zipfile.ZipInfo(member.filename, (2000, 1, 1, 0, 0, 0)), old.read(member), zipfile.ZIP_DEFLATED
            )
    return stream.getvalue()
