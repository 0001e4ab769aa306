"""The difference of each variant from the baseline: every seed a dot, the mean a bar, its interval a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

import ablation.report.figures.style as style
from ablation._util.formatting import MINUS
from ablation._util.language import tr, tr_noop
from ablation.analysis import Effect, Measure

_FARTHEST = 3.0
"""A variant more than this many times as far from zero as most others may flatten them; it gets an arrow instead."""
_FLATTENED = 2.0
"""How much longer the axis must become by such variants, to do without them."""
MOST_DOTS = 200
"""Seeds of a variant that are drawn."""


@dataclass(frozen=True)
class Layout:
    """Sizes in pixels: of the figure, of a row where names have one line, or two, and of what is beside the axis.

    `longest` is how much of a name a line holds, in columns.
    """

    width: int
    row: int
    row_of_two: int
    left: int
    right: int
    longest: int
    verdicts: bool


WIDE = Layout(860, 28, 28, 220, 176, 30, verdicts=True)
COLUMN = Layout(380, 20, 26, 132, 48, 20, verdicts=False)
"""For a column of a paper, whose table has the verdicts."""
_COLOURS = {"better": style.MARK, "worse": style.WORSE, "unstable": style.WARN}
_SHORT = {
    "better": tr_noop("better"),
    "worse": tr_noop("worse"),
    "not_detected": tr_noop("no clear effect"),
    "equivalent": tr_noop("equivalent"),
    "identical": tr_noop("identical"),
    "unstable": tr_noop("unstable"),
    "no_claim": tr_noop("no claim"),
}
_TENTATIVE = {"better": tr_noop("tentatively better"), "worse": tr_noop("tentatively worse")}


def forest_range(effects: Sequence[Effect], measure: Measure) -> tuple[float, float]:
    """Limits of the axis of differences, wide enough for all variants and intervals but a few that are far away.

    In percentage points for an accuracy, else in the unit of the metric.
    """
    reach = sorted(_reach(e, measure) for e in effects if e.differences)
    if not reach:
        return -1.0, 1.0
    least = 0.01 * measure.scale if measure.share else 0.0
    typical = max(reach[(2 * (len(reach) - 1)) // 3], least / 4) or reach[-1]
    near = [e for e in effects if _reach(e, measure) <= _FARTHEST * typical]
    (low, high), (lowest, highest) = _span(near, measure), _span(effects, measure)
    if highest - lowest <= _FLATTENED * (high - low):
        low, high = lowest, highest
    margin = 0.08 * (max(high - low, least) or 1.0)
    return low - margin, high + margin


def _span(effects: Sequence[Effect], measure: Measure) -> tuple[float, float]:
    values = [0.0, *(measure.scale * x for effect in effects for x in _extent(effect))]
    return min(values), max(values)


def _reach(effect: Effect, measure: Measure) -> float:
    return measure.scale * max(map(abs, _extent(effect)), default=0.0)


def _extent(effect: Effect) -> list[float]:
    """The differences of the seeds, and the ends of the interval."""
    return [*effect.differences.values(), *(x for x in (effect.low, effect.high) if x is not None)]


def verdict_label(effect: Effect) -> str:
    """The verdict in a word or two."""
    if effect.verdict is None:
        return ""
    tentative = effect.pairs == 2 and effect.verdict in _TENTATIVE
    return tr((_TENTATIVE if tentative else _SHORT)[effect.verdict])


@style.styled
def forest(
    effects: Sequence[Effect],
    measure: Measure,
    limits: tuple[float, float] | None = None,
    layout: Layout = WIDE,
) -> Figure:
    """Draw the variants from top to bottom.

    Row i is at y = i. Each variant has a collection of dots, a line for its interval and a thick one at its mean.
    """
    names = [style.two_lines(effect.variant, layout.longest) for effect in effects]
    row = layout.row_of_two if any("\n" in name for name in names) else layout.row
    figure = style.canvas(layout.width, row * len(effects) + 58)
    axes = style.axes(figure, layout.left, 46, layout.right, 12)
    low, high = limits or forest_range(effects, measure)
    axes.set(xlim=(low, high), ylim=(len(effects) - 0.4, -0.6), yticks=[])
    axes.axvline(0, color=style.INK, linewidth=1, zorder=1)
    for y, (effect, name) in enumerate(zip(effects, names, strict=True)):
        axes.axhline(y, color=style.GRID, linewidth=0.8, zorder=0.5)
        style.row_name(axes, y, name)
        _row(axes, y, effect, measure, (low, high))
        if layout.verdicts:
            _verdict(axes, y, effect)
    _axis(axes, _axis_name(measure))
    return figure


def _axis_name(measure: Measure) -> str:
    if measure.share:
        return tr("difference from the baseline, percentage points")
    return tr("difference from the baseline, {metric}", metric=measure.name)


def _axis(axes: Axes, text: str) -> None:
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: signed(x)))
    axes.set_xlabel(text)


def signed(value: float) -> str:
    """A tick of an axis of differences."""
    text = f"{abs(value):.6g}"
    return text if text == "0" else f"{'+' if value > 0 else MINUS}{text}"


def _verdict(axes: Axes, y: int, effect: Effect) -> None:
    """The verdict in its colour, right of the difference."""
    place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    weight = "bold" if effect.verdict in ("better", "worse") else "normal"
    colour = _COLOURS.get(effect.verdict or "", style.MUTED)
    text, size = verdict_label(effect), style.SMALL
    axes.annotate(text, (1, y), xytext=(56, 0), va="center", color=colour, fontsize=size, fontweight=weight, **place)


def _row(axes: Axes, y: int, effect: Effect, measure: Measure, limits: tuple[float, float]) -> None:
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
    colour = _COLOURS.get(effect.verdict or "", style.MUTED)
    low, high = limits
    _interval(axes, y, effect, measure, colour)
    differences = effect.differences
    seeds = measure.scale * np.array([differences[seed] for seed in drawn_seeds(differences)])
    heights = y + (np.linspace(-0.16, 0.16, len(seeds)) if len(seeds) > 1 else np.zeros(1))
    inside = (seeds >= low) & (seeds <= high)
    axes.scatter(seeds[inside], heights[inside], s=24, facecolor=style.PAPER, edgecolor=colour, linewidth=1.1, zorder=3)
    mean = measure.scale * effect.difference
    if low <= mean <= high:
        axes.plot([mean, mean], [y - 0.3, y + 0.3], color=colour, linewidth=3.2, solid_capstyle="butt", zorder=2.5)
    for end, marker in sides_beyond(effect, measure.scale, limits):
        place = high if marker == ">" else low
        size = 8 if end == effect.difference else 5
        axes.plot([place], [y], marker, color=colour, markersize=size, clip_on=False)
    right: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    axes.annotate(measure.difference(effect.difference), (1, y), xytext=(8, 0), va="center", color=style.INK, **right)


def sides_beyond(effect: Effect, scale: float, limits: tuple[float, float]) -> Iterator[tuple[float, str]]:
    """What of a row lies beyond the axis, with < or > for its side: the difference, or else an end of its interval."""
    low, high = limits
    for end, marker in ((effect.low, "<"), (effect.high, ">")):
        for value in (effect.difference, end):
            if value is not None and (scale * value < low if marker == "<" else scale * value > high):
                yield value, marker
                break


def drawn_seeds(differences: Mapping[int, float]) -> Sequence[int]:
    """The seeds by number; of more than `MOST_DOTS`, so many at even distances when ordered by their difference."""
    if len(differences) <= MOST_DOTS:
        return sorted(differences)
    ranked = sorted(differences, key=lambda seed: differences[seed])
    return [ranked[round(place)] for place in np.linspace(0, len(ranked) - 1, MOST_DOTS)]


def _interval(axes: Axes, y: int, effect: Effect, measure: Measure, colour: str) -> None:
    """The interval with its ends; dashed for an unstable variant, for which it holds only with reservations."""
    if effect.low is None or effect.high is None:
        return
    ends = [measure.scale * effect.low, measure.scale * effect.high]
    dashed = (0, (3, 2)) if effect.verdict == "unstable" else "-"
    axes.plot(ends, [y, y], color=colour, linewidth=1.6, linestyle=dashed, solid_capstyle="butt", zorder=2)
    for end in ends:
        axes.plot([end, end], [y - 0.12, y + 0.12], color=colour, linewidth=1.3, zorder=2)


def _missing(effect: Effect) -> str:
    n, total = effect.failed, effect.ended
    if effect.failed and not effect.at_chance:
        return tr("{n} of {total} diverged", n=n, total=total)
    if effect.failed and not effect.diverged:
        return tr("{n} of {total} at chance", n=n, total=total)
    if effect.failed:
        return tr("{n} of {total} diverged or at chance", n=n, total=total)
    return tr("no seed finished in both") if effect.n else tr("no result")
