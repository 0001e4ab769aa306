"""Colours, type sizes and axes of every figure, in one place."""

from __future__ import annotations

import bisect
import functools
import itertools
import logging
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Final, ParamSpec

import matplotlib
import matplotlib.font_manager as font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure

from ablation._util import formatting
from ablation._util.language import ENGLISH, current, use_language

INK: Final = "#1c2024"
MUTED: Final = "#5c6570"
GRID: Final = "#e2e5e9"
BASELINE: Final = "#8b939d"
MARK: Final = "#0072b2"
WORSE: Final = "#a3123f"
WARN: Final = "#b84a00"
PAPER: Final = "#ffffff"

LIGHT: Final = {
    "ink": INK,
    "muted": MUTED,
    "grid": GRID,
    "base": BASELINE,
    "mark": MARK,
    "worse": WORSE,
    "warn": WARN,
    "paper": PAPER,
}
"""Name -> colour on white. A page that has a dark theme replaces each colour by its own of that name."""
DARK: Final = {
    "ink": "#e4e7eb",
    "muted": "#a3abb6",
    "grid": "#30363d",
    "base": "#7f8894",
    "mark": "#56b4e9",
    "worse": "#ff7f9f",
    "warn": "#f0905a",
    "paper": "#14171b",
}
"""The same names on a dark page. Blue and vermilion (after Okabe and Ito 2008) differ for every colour vision."""

PIXEL: Final = 1 / 72
SIZE: Final = 11.5
SMALL: Final = 10.5
BAND: Final = 0.18
_RC: Final[Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": SIZE,
    "text.parse_math": False,
    "text.color": INK,
    "axes.facecolor": "none",
    "axes.edgecolor": BASELINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": SMALL,
    "axes.titlesize": SIZE,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": BASELINE,
    "ytick.color": BASELINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "image.composite_image": False,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "svg.hashsalt": "ablation",
}
_CHINESE: Final = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Heiti SC", "Hiragino Sans GB", "Noto Sans CJK JP",
    "Arial Unicode MS", "Droid Sans Fallback",
)  # fmt: skip
"""Fonts with simplified Chinese, the best first. Matplotlib before 3.11 finds only one of a collection, as CJK JP."""
_P = ParamSpec("_P")
_UNSHOWN = re.compile(r"[\ud800-\udfff]")


_applied_language: ContextVar[str | None] = ContextVar("_applied_language", default=None)
"""The tag of the language whose settings are applied now."""


@contextmanager
def applied() -> Iterator[None]:
    """Our settings over matplotlib's defaults, whatever the user's own matplotlibrc says.

    A character missing from the font is drawn as a box, without a warning. Nested calls do nothing: resetting
    three hundred options for each of many small figures is slow.
    """
    tag = current().tag
    if _applied_language.get() == tag:
        yield
        return
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        if _in_chinese() and (font := chinese_font()):
            matplotlib.rcParams["font.family"] = [*_RC["font.family"], font]
        token = _applied_language.set(tag)
        try:
            yield
        finally:
            _applied_language.reset(token)


def _in_chinese() -> bool:
    return current().tag.startswith("zh")


# Matplotlib logs that a Chinese font has no bold or no regular weight; it takes the nearest.
logging.getLogger("matplotlib.font_manager").addFilter(lambda _: not _in_chinese())


@functools.cache
def chinese_font() -> str | None:
    """The font that figures show Chinese with; None where no known one is installed."""
    return _installed() or _newly_installed()


def _installed() -> str | None:
    names = set(font_manager.get_font_names())
    return next((name for name in _CHINESE if name in names), None)


def _newly_installed() -> str | None:
    """One that was installed after matplotlib had made its list of fonts."""
    for file in set(font_manager.findSystemFonts()) - {own.fname for own in font_manager.fontManager.ttflist}:
        with suppress(OSError, RuntimeError):  # a file that FreeType cannot read is no font to draw with
            font_manager.fontManager.addfont(file)
    return _installed()


def drawable(draw: Callable[[], Figure]) -> Callable[[], Figure]:
    """Draw a figure for a file, in English where no font has the characters of the current language.

    SVG inside a page needs no such font: the browser has its own.
    """

    def inner() -> Figure:
        lacking = _in_chinese() and chinese_font() is None
        with use_language(ENGLISH if lacking else current()):
            return draw()

    return inner


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Run a drawing function with our settings applied."""

    @functools.wraps(draw)
    def inner(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with applied():
            return draw(*args, **kwargs)

    return inner


def canvas(width: float, height: float) -> Figure:
    """An empty figure of that many pixels."""
    return Figure(figsize=(width * PIXEL, height * PIXEL))


def axes(figure: Figure, left: float, bottom: float, right: float, top: float) -> Axes:
    """Axes with margins in pixels, so that no figure needs a layout pass."""
    width, height = figure.get_size_inches() / PIXEL
    box = (left / width, bottom / height, (width - left - right) / width, (height - bottom - top) / height)
    return figure.add_axes(box)


def number(value: float, digits: int = 6) -> str:
    """A number as figures show it, with a real minus sign."""
    return formatting.value(float(f"{value:.{digits}g}")).replace("-", formatting.MINUS)


def label(text: str, longest: int = 30) -> str:
    """A name as a figure can show it: one line without control characters, cut in the middle where too long."""
    plain = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in _UNSHOWN.sub("\ufffd", text))
    plain = " ".join(plain.split())
    if len(plain) <= longest:
        return plain
    head = (longest - 1) * 2 // 3
    return f"{plain[:head].rstrip()}\u2026{plain[len(plain) - (longest - 1 - head) :].lstrip()}"


def two_lines(text: str, longest: int) -> str:
    """A name on two lines where one of `longest` columns does not hold it, the second cut in the middle if need be.

    The first line ends after a space, or else a mark, if there is one in its second half. East Asian characters take
    two columns.
    """
    plain = label(text, len(text))
    ends = list(itertools.accumulate(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in plain))
    if not ends or ends[-1] <= longest:
        return plain
    most = bisect.bisect_right(ends, longest)
    second_half = range(most, most // 2, -1)
    breaks = (place for marks in (" ", ",;/=_-+") for place in second_half if plain[place - 1] in marks)
    end = next(breaks, most)
    rest = plain[end:].lstrip()
    wide = (ends[-1] - ends[end - 1]) / len(rest)
    return f"{plain[:end].rstrip()}\n{label(rest, max(3, int(longest / wide)))}"


def row_name(axes: Axes, y: float, text: str) -> None:
    """The name of the row at y, left of the axes; in smaller letters where it would reach beyond the figure.

    A text of two lines has smaller letters too.
    """
    place: dict[str, Any] = {
        "xycoords": ("axes fraction", "data"),
        "textcoords": "offset points",
        "ha": "right",
        "va": "center",
    }
    size = SMALL if "\n" in text else SIZE
    name = axes.annotate(text, (0, y), xytext=(-12, 0), fontsize=size, linespacing=1.1, **place)
    renderer = RendererAgg(1, 1, axes.figure.dpi)  # type: ignore[no-untyped-call]
    extent = name.get_window_extent(renderer)  # the default one allocates a canvas of the whole figure each time
    if extent.x0 < 0:
        name.set_fontsize(name.get_fontsize() * extent.x1 / extent.width)
