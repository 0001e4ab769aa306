"""The author's own texts: Markdown files beside the report, which the tool reads and never writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

from ablation._util.language import tr_noop
from ablation._util.sanitize import clean, read_file
from ablation.report.blocks import Block, Paragraph, Prose, code, tr_text
from ablation.report.context import Context, Section
from ablation.report.prose import reader, to_blocks

TEXTS = ("interpretation", "discussion", "conclusion")
"""Each is a section, and the name of its file."""
FILE = "interpretation.md"
_CLOSING = {"$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]"}
MOST_BYTES = 1_000_000
_DEEPER = 2
"""The headings of the author stand below that of the section."""


def read_texts(folder: Path) -> dict[str, str]:
    """The author's files in the folder of the report, by name; those that are there and not empty.

    Raises UserError for what is not a file, or is larger than `MOST_BYTES`.
    """
    paths = {name: folder / f"{name}.md" for name in TEXTS}
    read = {name: _read(path) for name, path in paths.items() if path.exists()}
    return {name: text for name, text in read.items() if text}


def _read(path: Path) -> str:
    return clean(read_file(path, MOST_BYTES).decode("utf-8", "replace")).strip()


def to_html(text: str) -> Markup:
    """Markdown as HTML: tags in it are shown as text, formulas as they are typed, and pictures are only named."""
    parser = reader()
    for kind in ("math_inline", "math_inline_double", "math_block"):
        parser.add_render_rule(kind, _formula)
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + _DEEPER, 6)}"
        if token.tag == "th" and token.nesting == 1:
            token.attrSet("scope", "col")
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _formula(_renderer: object, tokens: Sequence[Token], place: int, *_: object) -> str:
    """A formula as it was typed, since the page has no script that could set it."""
    own = tokens[place]
    tag = "p" if own.type == "math_block" else "span"
    return f'<{tag} class="math">{escape(own.markup + own.content.strip() + _CLOSING[own.markup])}</{tag}>'


def to_markdown(text: str) -> str:
    """The author's Markdown inside ours: headings below that of the section, and tags as text."""
    lines = text.split("\n")
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(text):
        start, end = token.map or (0, 0)
        if token.type == "heading_open":
            _deepen(lines, token, start, end)
        tags = [token, *(token.children or ())]
        for tag in (own.content for own in tags if own.type in ("html_block", "html_inline")):
            shown = tag.replace("<", "&lt;")
            lines[start:end] = "\n".join(lines[start:end]).replace(tag.rstrip("\n"), shown.rstrip("\n")).split("\n")
    return "\n".join(lines)


def _deepen(lines: list[str], token: Token, start: int, end: int) -> None:
    """Lower a heading by two levels; an underlined one gets marks before it."""
    marks = "#" * min(int(token.tag[1]) + _DEEPER, 6)
    content = " ".join(line.strip() for line in lines[start : max(end - 1, start + 1)])
    lines[start] = f"{marks} {content.lstrip('#').strip()}"
    lines[start + 1 : end] = [""] * (end - start - 1)


def prose(text: str) -> Prose:
    """Markdown as a block."""
    return Prose(to_html(text), to_markdown(text), to_blocks(text))


def _interpretation(context: Context) -> Iterator[Block]:
    if not context.analysis.facts.done:
        return
    if "interpretation" in context.texts:
        yield prose(context.texts["interpretation"])
    elif context.options.style == "page":
        text = tr_text(
            "Yours to write: put it into {file} beside this page and write the report again. The file is included here "
            "and never changed.",
            file=code(FILE),
        )
        yield Paragraph(text, "none")


def _text(name: str, context: Context) -> Iterator[Block]:
    if name in context.texts:
        yield prose(context.texts[name])


INTERPRETATION = Section("interpretation", tr_noop("Interpretation"), 120, _interpretation)
DISCUSSION = Section("discussion", tr_noop("Discussion"), 122, partial(_text, "discussion"), optional=True)
CONCLUSION = Section("conclusion", tr_noop("Conclusion"), 125, partial(_text, "conclusion"), optional=True)
