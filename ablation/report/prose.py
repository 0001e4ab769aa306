"""The author's Markdown as blocks, for forms that are neither HTML nor Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.texmath import texmath_plugin

import ablation.report.formulas as formulas
from ablation._util.language import tr
from ablation.report.blocks import (
    Block,
    Cell,
    Code,
    Column,
    Formula,
    Heading,
    Item,
    Paragraph,
    Row,
    Span,
    Table,
    Text,
    code,
)

_STYLES = {"strong": "strong", "em": "italic"}


def reader() -> MarkdownIt:
    """The Markdown that authors may write: CommonMark with tables and formulas; tags are text, without pictures."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    dollarmath_plugin(parser, allow_space=False, allow_digits=False)
    texmath_plugin(parser, delimiters="brackets")
    return parser


def to_blocks(text: str) -> tuple[Block, ...]:
    """Markdown as blocks, its headings below that of a section. A formula that mathtext does not know is code."""
    return tuple(_blocks(SyntaxTreeNode(reader().parse(text)).children))


def _blocks(nodes: Sequence[SyntaxTreeNode], depth: int = 0) -> Iterator[Block]:
    for node in nodes:
        match node.type:
            case "heading":
                yield Heading(_text(node), 3 if node.tag in ("h1", "h2") else 4)
            case "fence" | "code_block":
                yield Code(node.content.rstrip("\n"))
            case "bullet_list" | "ordered_list":
                yield from _list(node, depth + 1)
            case "table":
                yield _table(node)
            case "math_block":
                yield _formula(node.content.strip())
            case "paragraph":
                yield Paragraph(_text(node))
            case _:
                yield from _blocks(node.children, depth)


def _list(node: SyntaxTreeNode, depth: int) -> Iterator[Block]:
    first = int(node.attrs.get("start", 1))
    for number, item in enumerate(node.children, first):
        mark = f"{number}." if node.type == "ordered_list" else "\u2022"
        start, *rest = _blocks(item.children, depth) if item.children else (Paragraph(""),)
        if isinstance(start, Paragraph):
            yield Item(start.text, mark, depth)
        else:
            yield from (Item("", mark, depth), start)
        yield from rest


def _table(node: SyntaxTreeNode) -> Table:
    lines = [row for part in node.children for row in part.children]
    head, *rows = [[_text(cell) for cell in row.children] for row in lines]
    return Table(tr("Table"), tuple(map(Column, head)), tuple(Row(tuple(map(Cell, row))) for row in rows))


def _formula(latex: str) -> Block:
    return Formula(latex) if formulas.known(latex) else Code(latex, "latex")


def _text(node: SyntaxTreeNode) -> Text:
    return tuple(_spans(node.children, ""))


def _spans(nodes: Sequence[SyntaxTreeNode], style: str) -> Iterator[str | Span]:
    for node in nodes:
        match node.type:
            case "softbreak" | "hardbreak":
                yield " "
            case "code_inline":
                yield code(node.content)
            case "math_inline" | "math_inline_double":
                latex = node.content.strip()
                yield Span(latex, "math") if formulas.known(latex) else code(latex)
            case "text":
                yield Span(node.content, style) if style else node.content  # type: ignore[arg-type]
            case _:
                yield from _spans(node.children, _STYLES.get(node.type, style))
