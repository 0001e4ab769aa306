"""The difference of each variant from the baseline: every seed a dot, the mean a bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

import ablation.figures.style as style
from ablation import words
from ablation.analysis import Effect

_FARTHEST = 3.0
"""A variant more than this many times as far from zero as most others would flatten them; it gets an arrow instead."""


def forest_range(effects: Sequence[Effect]) -> tuple[float, float]:
    """Limits of the axis of differences, in points, wide enough for all variants but a few that lie far away."""
    reach = sorted(100 * max(map(abs, e.differences.values())) for e in effects if e.differences)
    if not reach:
        return -1.0, 1.0
    typical = max(reach[(2 * (len(reach) - 1)) // 3], 0.25)
    shown = [e for e in effects if _reach(e) <= _FARTHEST * typical]
    values = [100 * d for e in shown for d in e.differences.values()] or [0.0]
    low, high = min(*values, 0.0), max(*values, 0.0)
    margin = 0.08 * max(high - low, 1.0)
    return low - margin, high + margin


def _reach(effect: Effect) -> float:
    return 100 * max(map(abs, effect.differences.values()), default=0.0)


@style.styled
def forest(
    effects: Sequence[Effect], digits: int, limits: tuple[float, float] | None = None, *, narrow: bool = False
) -> Figure:
    """Draw the variants from top to bottom in percentage points; `narrow` is for a phone: names above their rows.

    Row i stands at y = i. The axes hold a collection of dots and a line, the mean, for each variant.
    """
    width, row = (350, 52) if narrow else (860, 28)
    figure = style.canvas(width, row * len(effects) + 58)
    axes = style.axes(figure, 10 if narrow else 230, 46, 58 if narrow else 70, 12)
    low, high = limits or forest_range(effects)
    axes.set(xlim=(low, high), ylim=(len(effects) - 0.4, -0.65 if narrow else -0.6), yticks=[])
    axes.axvline(0, color=style.INK, linewidth=1, zorder=1)
    for y, effect in enumerate(effects):
        axes.axhline(y, color=style.GRID, linewidth=0.8, zorder=0)
        _name(axes, y, effect, narrow)
        _row(axes, y, effect, digits, low, high)
    _axis(axes, "difference from the baseline, percentage points")
    return figure


def _axis(axes: Axes, text: str) -> None:
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _tick(x)))
    axes.set_xlabel(text)


def _tick(value: float) -> str:
    text = f"{abs(value):.6g}"
    return text if text == "0" else f"{'+' if value > 0 else words.MINUS}{text}"


def _name(axes: Axes, y: int, effect: Effect, narrow: bool) -> None:
    if narrow:
        axes.annotate(
            style.label(effect.variant, 44),
            (0, y),
            xytext=(0, 12),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="bottom",
            bbox={"boxstyle": "square,pad=0.1", "facecolor": style.PAPER, "edgecolor": "none"},
        )
    else:
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axes.annotate(style.label(effect.variant), (0, y), xytext=(-12, 0), ha="right", va="center", **place)


def _row(axes: Axes, y: int, effect: Effect, digits: int, low: float, high: float) -> None:
    right: dict[str, Any] = {
        "xycoords": ("axes fraction", "data"),
        "xytext": (8, 0),
        "textcoords": "offset points",
        "va": "center",
    }
    if effect.difference is None:
        axes.annotate(
            _missing(effect),
            (0, y),
            ha="center",
            va="center",
            color=style.MUTED,
            fontsize=style.SMALL,
            bbox={"boxstyle": "square,pad=0.2", "facecolor": style.PAPER, "edgecolor": "none"},
        )
        return
    seeds = 100 * np.array([effect.differences[seed] for seed in sorted(effect.differences)])
    mean = 100 * effect.difference
    heights = y + (np.linspace(-0.16, 0.16, len(seeds)) if len(seeds) > 1 else np.zeros(1))
    inside = (seeds >= low) & (seeds <= high)
    axes.scatter(
        seeds[inside], heights[inside], s=26, facecolor=style.PAPER, edgecolor=style.MARK, linewidth=1.1, zorder=3
    )
    if low <= mean <= high:
        axes.plot([mean, mean], [y - 0.3, y + 0.3], color=style.MARK, linewidth=3.2, solid_capstyle="butt", zorder=2.5)
    else:
        axes.plot(
            [high if mean > high else low],
            [y],
            ">" if mean > high else "<",
            color=style.MARK,
            markersize=8,
            clip_on=False,
        )
    axes.annotate(words.points(effect.difference, digits), (1, y), color=style.INK, **right)


def _missing(effect: Effect) -> str:
    if effect.diverged:
        return f"{effect.diverged} of {len(effect.runs)} diverged"
    return "no seed finished in both" if effect.n else "not finished yet"
