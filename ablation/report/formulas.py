"""Formulas as pictures. matplotlib sets them, so that a page needs no network, no script and no font for them.

MathML would be smaller, but neither the PDF nor the Word form can show it: one way serves all forms.
"""

from __future__ import annotations

import io
import re

from markupsafe import Markup
from matplotlib import mathtext
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

import ablation.report.drawing as drawing
import ablation.report.figures.style as style

_SIZE = 17.0
_MARGIN = 2.0
_SMALL, _LARGE = r"\frac", r"\dfrac"
"""mathtext sets fractions as in a line of text, LaTeX larger where a formula is on a line of its own."""
SETTINGS = {"svg.fonttype": "path", "mathtext.fontset": "stix", "text.parse_math": True}
_DPI = 300
_WRAP = re.compile(r"\s+")


def figure(latex: str) -> Figure:
    """The formula in a figure of its own size. Raises ValueError for what mathtext does not know."""
    font, text = FontProperties(size=_SIZE), f"${latex.replace(_SMALL, _LARGE)}$"
    parser = mathtext.MathTextParser("path")
    width, height, depth, *_ = parser.parse(text, dpi=72, prop=font)
    drawn = style.canvas(width + 2 * _MARGIN, height + depth + 2 * _MARGIN)
    place = (_MARGIN / (width + 2 * _MARGIN), (depth + _MARGIN) / (height + depth + 2 * _MARGIN))
    drawn.text(*place, text, fontproperties=font, color=style.INK)
    return drawn


def known(latex: str) -> bool:
    """Whether mathtext can set it, and it therefore is a formula and nothing else."""
    try:
        with drawing.settings(SETTINGS):
            mathtext.MathTextParser("path").parse(f"${latex}$", dpi=72)
    except ValueError:
        return False
    return True


def svg(latex: str, name: str) -> Markup:
    """An `svg` element that follows the theme of the page; what a screen reader says is the LaTeX."""
    with drawing.settings(SETTINGS):
        return drawing.inline_svg(figure(latex), name, _WRAP.sub(" ", latex), "", SETTINGS)


def png(latex: str) -> tuple[bytes, float]:
    """The formula as PNG, and its width in points."""
    stream = io.BytesIO()
    with drawing.settings(SETTINGS):
        drawn = figure(latex)
        drawn.savefig(stream, format="png", dpi=_DPI, facecolor=style.PAPER, metadata={"Software": None})
    return stream.getvalue(), float(drawn.get_figwidth() * 72)
