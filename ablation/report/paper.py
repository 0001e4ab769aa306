"""The folder `paper/`: a LaTeX document of the page, with parts that can be included in another one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import ablation.report.drawing as drawing
from ablation._util.formatting import MINUS
from ablation._util.language import sentences, tr
from ablation.analysis import Analysis, Effect
from ablation.report.bibliography import REFERENCES
from ablation.report.blocks import Block, Table, pictures
from ablation.report.captions import paper_table, verdict_cell
from ablation.report.latex_blocks import UNI, Renderer, breakable, tex, vector_name
from ablation.report.page import Page, Part
from ablation.report.ranking import ranked
from ablation.report.templates import Templates

_SHORT = {"not_detected": ""}
_NUMBER = re.compile(r"[-+]?(\d+)(?:\.(\d+))?")
_METHODS = ("methods", "paper_methods")


def files(page: Page, analysis: Analysis, templates: Templates, *, twocolumn: bool) -> Iterator[tuple[str, bytes]]:
    """The files of the folder: name and content. Raises UserError for a template that cannot be used."""
    renderer = Renderer(twocolumn)
    for part in page.parts:
        if part.name in _METHODS:
            yield "methods.tex", _document(renderer.blocks(part.blocks))
    if any(isinstance(block, Table) and block.key == "variants" for part in page.parts for block in part.blocks):
        yield "table.tex", results_table(page, analysis).encode()
    yield "references.bib", "\n".join(REFERENCES[key].bibtex(key) for key in page.sources).encode()
    for part in page.parts:
        for picture in pictures(part.blocks):
            yield f"figures/{vector_name(picture)}", drawing.vector(picture.draw(), "pdf")
    if page.logo:
        yield page.logo.file, page.logo.data
    values = {"page": page, "twocolumn": twocolumn, "uni": UNI, "body": _Body(renderer)}
    yield "main.tex", templates.render("main.tex.jinja", values, {"tex": tex}, html=False).encode()


def _document(blocks: Iterator[str]) -> bytes:
    return ("\n\n".join([f"% made by ablate report\n{UNI}", *blocks]) + "\n").encode()


class _Body:
    """What the template of the document calls for its parts."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def part(self, part: Part) -> str:
        """A section without its title."""
        if part.name in _METHODS:
            return r"\input{methods}"
        return self.blocks(part.blocks)

    def blocks(self, blocks: Sequence[Block]) -> str:
        """Blocks one after the other."""
        return "\n\n".join(self._renderer.blocks(blocks))


def results_table(page: Page, analysis: Analysis) -> str:
    """The table of variants: siunitx columns, and never wider than the column that it is in, or higher than a page."""
    effects, measure = (analysis.baseline, *ranked(analysis)), analysis.measure
    means = [(measure.value(own.mean), measure.value(own.sd) if own.sd is not None else "") for own in effects]
    differences = [measure.difference(own.difference) if place else "" for place, own in enumerate(effects)]
    numbers = [(*mean, difference) for mean, difference in zip(means, differences, strict=True)]
    first, *others = (_row(own, row, analysis) for own, row in zip(effects, numbers, strict=True))
    columns = " ".join(f"S[table-format={_format(column)}]" for column in zip(*numbers, strict=True))
    return _FRAME.format(
        uni=UNI,
        caption=tex(_caption(analysis)),
        form=rf">{{\raggedright\arraybackslash}}p{{{_name_width(effects):.1f}cm}} {columns} r l r",
        heads=" & ".join(f"{{{head}}}" for head in _heads(analysis)),
        first=first,
        rows="\n".join(others),
    )


def _name_width(effects: Sequence[Effect]) -> float:
    """Centimetres in which most names take at most two lines; the whole table is scaled to the line."""
    return min(max(2.1, 0.085 * max(len(own.variant) for own in effects)), 8.0)


def _heads(analysis: Analysis) -> Iterator[str]:
    """The headings of the table as LaTeX."""
    interval = tr("{level:g} % interval", level=100 * (1 - analysis.alpha))
    for head in (tr("Variant"), analysis.measure.metric.heading, tr("SD"), tr("Difference")):
        yield tex(head)
    yield tex(interval).replace(r" \%", r"\,\%")
    yield tex(tr("Verdict"))
    yield "$n$"


_FRAME = r"""% made by ablate report; needs \usepackage{{array,booktabs,adjustbox,siunitx}}
{uni}
\begin{{table}}[htb]
\centering\footnotesize\setlength{{\tabcolsep}}{{3pt}}
\caption{{{caption}}}
\label{{table-variants}}
\begin{{adjustbox}}{{max width=\linewidth,max totalheight=.85\textheight}}
\begin{{tabular}}{{@{{}}{form}@{{}}}}
\toprule
{heads} \\
\midrule
{first}
\midrule
{rows}
\bottomrule
\end{{tabular}}
\end{{adjustbox}}
\end{{table}}
"""


def _row(own: Effect, numbers: Sequence[str], analysis: Analysis) -> str:
    """A variant with its mean, SD and difference; its pairs in brackets where they are fewer than its runs."""
    *mean, difference = map(_number, numbers)
    pairs = f" ({own.pairs})" if own is not analysis.baseline and own.pairs < own.n else ""
    runs = f"{own.n}/{len(own.runs)}" if own.n < len(own.runs) else str(own.n)
    cells = ["{}" + breakable(own.variant), *mean, difference, _interval(own, analysis), _verdict(own), runs + pairs]
    return " & ".join(cells) + r" \\"


def _caption(analysis: Analysis) -> str:
    blank = any(own.verdict in _SHORT for own in analysis.variants) and not analysis.design.networks
    return sentences([paper_table(analysis), tr("No verdict: no clear effect.") if blank else ""])


def _verdict(own: Effect) -> str:
    return tex(_SHORT.get(own.verdict or "", tr("no claim") if own.verdict == "no_claim" else verdict_cell(own)[0]))


def _interval(own: Effect, analysis: Analysis) -> str:
    text = _plain(analysis.measure.interval(own.low, own.high)).replace(", ", r",\ ")
    return f"${text}$" if text else ""


def _plain(text: str) -> str:
    return text.replace(MINUS, "-")


def _number(text: str) -> str:
    """A number as siunitx reads it; anything else in braces."""
    return _plain(text) if _NUMBER.fullmatch(_plain(text)) else f"{{{tex(text)}}}"


def _format(numbers: Sequence[str]) -> str:
    """The room that a column of numbers needs, as siunitx has it: `+2.1`."""
    found = [m for own in numbers if (m := _NUMBER.fullmatch(_plain(own)))]
    whole = max((len(m[1]) for m in found), default=1)
    decimals = max((len(m[2] or "") for m in found), default=0)
    sign = max((m[0][:1] for m in found if not m[0][:1].isdigit()), default="")
    return f"{sign}{whole}.{decimals}"
