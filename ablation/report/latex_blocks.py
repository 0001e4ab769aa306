"""A page as LaTeX: `paper/main.tex`, with the table of variants and the methods as files to be included elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ablation._util.language import clauses, current, tr
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
    code,
    content_lengths,
    join,
    spans,
)
from ablation.report.latex import escape

UNI = (
    r"\ifdefined\unicodecharacter\else\protected\def\unicodecharacter#1#2{"
    r"\ifdefined\pdftexversion\texttt{U+#1}\else#2\fi}\fi"
)
"""A character that pdfTeX has in no usual font: its number there, itself in other engines."""
_GREEK = dict(
    zip(
        "αβγδεηθλμπρστφω",
        [
            "alpha",
            "beta",
            "gamma",
            "delta",
            "varepsilon",
            "eta",
            "theta",
            "lambda",
            "mu",
            "pi",
            "rho",
            "sigma",
            "tau",
            "varphi",
            "omega",
        ],
        strict=True,
    )
)
_GREEK |= {"Φ": "Phi", "Σ": "Sigma", "Δ": "Delta", "∞": "infty", "≤": "leq", "≥": "geq", "≈": "approx", "∈": "in"}
_KNOWN = {"\u2013": "--", "\u2014": "---", "\u2018": "`", "\u2019": "'", "\u201c": "``", "\u201d": "''"}
_KNOWN |= {"\u2026": r"\ldots{}", "\u00b7": r"\textperiodcentered{}", "\u2022": r"\textbullet{}", "\u00a0": "~"}
_KNOWN |= {"\u00b2": r"\textsuperscript{2}", "\u00b3": r"\textsuperscript{3}"}
_KNOWN |= {"\u2113": r"$\ell$"}
_KNOWN |= {letter: rf"$\{command}$" for letter, command in _GREEK.items()}
_BREAKS = re.compile(r"(?<=[/.=+,:;)-])(?=\S)|(?<=\\_)(?=\S)")
_LONG_WORD = 30
_ONE_PAGE = 30
"""Rows of the table of variants that a page holds in any case; a longer table goes on to the next page."""
_LONG = re.compile(r"[^\s\\{}$\u2e80-\uffef]{24}")
_NUMBERED = re.compile(r"(\D+?) ?\d+")
_CHINESE = re.compile("[\u2014\u2018\u2019\u201c\u201d\u2026\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
"""What a document in Chinese has as it is: its letters, its marks, and those that it shares with Latin."""


def tex(text: str) -> str:
    """Any text as one line of LaTeX, for pdfTeX as well; what it cannot set is shown by its number."""
    return "".join(map(_character, escape(text)))


def _character(own: str) -> str:
    if own < "\x80" or (current().tag == "zh-CN" and _CHINESE.match(own)):
        return own
    if own in _KNOWN:
        return _KNOWN[own]
    if "\u00c0" <= own <= "\u017e" and own not in "\u0132\u0133\u0138\u013f\u0140\u0149\u0166\u0167":
        return own
    return rf"\unicodecharacter{{{ord(own):04X}}}{{{own}}}"


def breakable(text: str) -> str:
    """The same for narrow columns: a line may end after a mark, and within very long words."""
    shown = tex(_BREAKS.sub("\u200b", text.replace("_", "_\u200b")))
    return _LONG.sub(
        lambda m: m[0] + r"\allowbreak{}", shown.replace(r"\unicodecharacter{200B}{" + "\u200b}", r"\allowbreak{}")
    )


def running(text: str) -> str:
    """The same for paragraphs: only words that hardly fit a line may be broken."""
    return " ".join(breakable(word) if len(word) > _LONG_WORD else tex(word) for word in text.split())


def inline(text: Text, show: Callable[[str], str] = running) -> str:
    """A text with its marks."""
    return "".join(_gaps(part, show) if isinstance(part, str) else _span(part, show) for part in spans(text))


def _gaps(text: str, show: Callable[[str], str]) -> str:
    """Blanks at its ends stay, which `escape` takes away."""
    start, end = " " if text[:1].isspace() else "", " " if text[-1:].isspace() else ""
    return f"{start}{show(text)}{end}" if text.strip() else start


def _span(part: Span, show: Callable[[str], str]) -> str:
    match part.style:
        case "cite":
            return rf"~\cite{{{part.target}}}" if part.text else ""
        case "ref":
            numbered = _NUMBERED.fullmatch(part.text)
            return rf"{numbered[1]}~\ref{{{part.target}}}" if numbered else tex(part.text)
        case "symbol":
            letter, _, index = part.text.partition("_")
            return f"${letter}_{{{index}}}$" if index else f"${letter}$"
        case "math":
            return f"${part.text}$"
        case "italic" if len(part.text) == 1:
            return f"${escape(part.text)}$"
        case _:
            marks = {"strong": "textbf", "code": "texttt", "italic": "emph"}
            shown = _gaps(part.text, show)
            return rf"\{marks[part.style]}{{{shown}}}" if part.style in marks else shown


@dataclass(frozen=True)
class Renderer:
    """Renders blocks for a document of one column, or of two."""

    twocolumn: bool = False

    def blocks(self, blocks: Iterable[Block]) -> Iterator[str]:
        """Each block as LaTeX."""
        for block in blocks:
            yield from getattr(self, f"_{block.kind}")(block)

    def _heading(self, block: Heading) -> Iterator[str]:
        yield rf"\{'subsection' if block.level == 3 else 'subsubsection'}*{{{inline(block.text)}}}"

    def _paragraph(self, block: Paragraph) -> Iterator[str]:
        yield inline(block.text)

    def _findings(self, block: Findings) -> Iterator[str]:
        for own in block.findings:
            yield rf"\paragraph{{{tex(own.title)}}} ({inline(code(own.code))})"
            items = "\n".join([*(rf"\item {tex(found)}" for found in own.found), rf"\item[$\to$] {tex(own.hint)}"])
            yield f"\\begin{{itemize}}\\itemsep0pt\n{items}\n\\end{{itemize}}"

    def _callout(self, block: Callout) -> Iterator[str]:
        said = rf"\textbf{{{tex(block.title)}}} {tex(block.text)}"
        yield rf"\noindent\fbox{{\parbox{{\dimexpr\linewidth-2\fboxsep-2\fboxrule}}{{{said}}}}}"
        yield from self.blocks(block.children)

    def _code(self, block: Code) -> Iterator[str]:
        lines = (
            r"\mbox{}" + re.sub(r"^ +", lambda m: r"\ " * len(m[0]), _code_line(line))
            for line in block.text.split("\n")
        )
        body = "\\\\\n".join(lines)
        yield f"\\begin{{flushleft}}\\footnotesize\\ttfamily\n{body}\n\\end{{flushleft}}"

    def _details(self, block: Details) -> Iterator[str]:
        yield rf"\noindent {inline(block.summary)}{current().colon.rstrip()}"
        yield from self.blocks(block.children)

    def _columns(self, block: Columns) -> Iterator[str]:
        for title, blocks in block.parts:
            yield rf"\subsection*{{{tex(title)}}}"
            yield from self.blocks(blocks)

    def _pairs(self, block: Pairs) -> Iterator[str]:
        rows = "\n".join(rf"\item[{{{tex(term)}}}] {tex(value)}" for term, value in block.rows)
        yield f"\\begin{{description}}\\itemsep0pt\n{rows}\n\\end{{description}}"

    def _summary(self, block: Summary) -> Iterator[str]:
        yield rf"\noindent\textbf{{{tex(block.title)}}}"
        rows = []
        for line in block.lines:
            rows.append(rf"\item[{{{tex(line.label)}}}] {inline(line.text)}")
        body = "\n".join(rows)
        yield f"\\begin{{description}}\\itemsep0pt\n{body}\n\\end{{description}}"

    def _facts(self, block: Facts) -> Iterator[str]:
        separator = " \u00b7 "
        yield rf"\noindent {inline(join(block.facts, separator))}"

    def _prose(self, block: Prose) -> Iterator[str]:
        yield from self.blocks(block.blocks)

    def _formula(self, block: Formula) -> Iterator[str]:
        yield rf"\[ {block.latex} \]"

    def _item(self, block: Item) -> Iterator[str]:
        margin = 1.5 * block.depth
        yield (
            rf"\par\noindent\hangindent={margin:g}em\hangafter=1\hspace*{{{margin - 1.2:g}em}}"
            rf"\makebox[1.2em][l]{{{tex(block.mark)}}}{inline(block.text)}\par"
        )

    def _references(self, block: References) -> Iterator[str]:
        yield "\\bibliographystyle{unsrt}\n\\bibliography{references}"

    def _figure(self, block: Figure | Images) -> Iterator[str]:
        wide = self.twocolumn and block.key != "forest"
        star, width = ("*", r"\textwidth") if wide else ("", r"\linewidth")
        place = "htbp" if self.twocolumn else "H"  # where a heading has nothing but its figure, that stays below it
        files = [vector_name(picture) for picture in block.pictures]
        graphics = [
            rf"\includegraphics[width={width},height=.42\textheight,keepaspectratio]{{figures/{file}}}"
            for file in files
        ]
        if place == "H":  # a page may end after each picture but the last, which has the caption
            yield from (f"\\begin{{center}}\n{own}\n\\end{{center}}" for own in graphics[:-1])
            graphics = graphics[-1:]
        shown = "\n".join(graphics)
        yield (
            f"\\begin{{figure{star}}}[{place}]\n\\centering\n{shown}\n\\caption{{{tex(block.caption)}}}\n"
            f"\\label{{figure-{block.key}}}\n\\end{{figure{star}}}"
        )

    _images = _figure

    def _table(self, block: Table) -> Iterator[str]:
        if block.key == "variants" and (self.twocolumn or len(block.rows) <= _ONE_PAGE):
            yield r"\input{table}"
            return
        shown = block.printable()
        head = " & ".join(rf"\textbf{{{inline(column.heading, breakable)}}}" for column in shown.columns) + r" \\"
        rows = [" & ".join(map(_cell, row.cells)) + r" \\" for row in shown.rows]
        form = "".join(_forms(shown))
        caption = rf"\caption{{{tex(block.caption)}}}\label{{table-{block.key}}}" if block.caption else ""
        body = "\n".join([r"\toprule", head, r"\midrule", *rows, r"\bottomrule"])
        if self.twocolumn:
            yield (
                f"\\begin{{table*}}[!t]\n\\centering\\footnotesize\n{caption}\n\\begin{{tabular}}{{{form}}}\n{body}\n"
                f"\\end{{tabular}}\n\\end{{table*}}"
            )
        else:
            first = caption + r"\\" if caption else ""
            top = f"\\toprule\n{head}\n\\midrule\n\\endhead"
            rest = "\n".join([*rows, r"\bottomrule"])
            yield f"{{\\footnotesize\n\\begin{{longtable}}{{{form}}}\n{first}\n{top}\n{rest}\n\\end{{longtable}}}}"


def vector_name(picture: Picture) -> str:
    """The file of a picture below `paper/figures`, as lines."""
    return picture.file.rpartition("/")[2].removesuffix(".png") + ".pdf"


def _code_line(line: str) -> str:
    """A line of code; `tex` would take the blanks at its start away."""
    bare = line.replace("\t", "    ")
    return " " * (len(bare) - len(bare.lstrip(" "))) + breakable(bare)


def _forms(table: Table) -> Iterator[str]:
    """The columns, as wide as their content needs within the line."""
    lengths = content_lengths(table)
    gaps = 2 * len(lengths)
    for column, length in zip(table.columns, lengths, strict=True):
        share = length / sum(lengths)
        ragged = r"\raggedleft" if column.number else r"\raggedright"
        width = rf"\dimexpr{share:.4f}\linewidth-{share:.4f}\dimexpr{gaps}\tabcolsep\relax\relax"
        yield rf">{{{ragged}\arraybackslash}}p{{{width}}}"


def _cell(cell: Any) -> str:
    notes = clauses([inline(note.text, breakable) for note in cell.notes])
    shown = "{}" + inline(cell.text, breakable)
    return tr("{text} ({notes})", text=shown, notes=notes) if notes else shown
