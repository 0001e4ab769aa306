"""The author's own interpretation: a Markdown file beside the report, which the tool reads and never writes."""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from ablation.plain import clean

FILE = "interpretation.md"
_DEEPER = 2
"""The headings of the author stand below that of the section."""


def read_interpretation(folder: Path) -> str:
    """The text of the author's file in the folder of the report; empty where there is none."""
    path = folder / FILE
    return clean(path.read_text(encoding="utf-8", errors="replace")).strip() if path.is_file() else ""


def to_html(text: str) -> Markup:
    """Markdown as HTML: tags in it are shown as text, and pictures from elsewhere are only named."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + _DEEPER, 6)}"
        if token.tag == "th" and token.nesting == 1:
            token.attrSet("scope", "col")
    return Markup(parser.renderer.render(tokens, parser.options, {}))
