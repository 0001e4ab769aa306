"""The interval plots in the table of variants, one small SVG a row, drawn without matplotlib: a page has many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

import ablation.report.figures as figures
from ablation.analysis import Effect, Measure

WIDTH = 240
HEIGHT = 24
_MIDDLE = HEIGHT / 2
_CHARACTER = 3.6
"""Half the width of a character of a tick, in pixels, and a little more."""
_EDGE = 6.0
"""Pixels left and right of the axis, for dots at its ends."""


@dataclass(frozen=True)
class Scale:
    """The axis that all rows share, from `low` to `high` in the unit shown."""

    low: float
    high: float
    measure: Measure

    def x(self, difference: float) -> float:
        """The pixel of a difference in the unit stored."""
        return self._pixel(self.measure.scale * difference)

    def _pixel(self, value: float) -> float:
        return _EDGE + (WIDTH - 2 * _EDGE) * (value - self.low) / (self.high - self.low)

    def holds(self, difference: float) -> bool:
        return self.low <= self.measure.scale * difference <= self.high

    def beyond(self, effect: Effect) -> dict[str, float]:
        """`<` and `>` where an arrow is needed: the difference, or the end of the interval, that is beyond the axis."""
        return {
            marker: value for value, marker in figures.sides_beyond(effect, self.measure.scale, (self.low, self.high))
        }

    @property
    def zero(self) -> float:
        """Where the zero line is, as a share of the width."""
        return self._pixel(0.0) / WIDTH

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Pixel and text of each tick whose text is inside the column."""
        values = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
        ticks = ((self._pixel(value), figures.signed(value)) for value in values)
        return tuple((x, text) for x, text in ticks if _CHARACTER * len(text) <= min(x, WIDTH - x))


def scale(effects: Sequence[Effect], measure: Measure) -> Scale:
    """The axis of these variants; a few that are far away do not set it and get an arrow."""
    return Scale(*figures.forest_range(effects, measure), measure)


def axis(on: Scale) -> Markup:
    """The ticks, for the head of the column."""
    ticks = "".join(
        f'<text x="{x:.1f}" y="10" text-anchor="middle">{text}</text><path d="M{x:.1f} 14v4"/>' for x, text in on.ticks
    )
    return Markup(f'<svg class="plot axis" viewBox="0 0 {WIDTH} 18" aria-hidden="true">{ticks}</svg>')


def row(effect: Effect, on: Scale) -> Markup:
    """Dots for the seeds, a bar for their mean, a line for the interval; the cells beside it have the numbers."""
    kind = effect.verdict if effect.verdict in ("better", "worse", "unstable") else "unclear"
    marks = "".join(_marks(effect, on))
    return Markup(f'<svg class="plot {kind}" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{marks}</svg>')


def _marks(effect: Effect, on: Scale) -> Iterator[str]:
    if effect.difference is None:
        return
    if effect.low is not None and effect.high is not None:
        low, high = (min(max(on.x(end), 0.0), float(WIDTH)) for end in (effect.low, effect.high))
        ends = "".join(f"M{on.x(end):.1f} 7v10" for end in (effect.low, effect.high) if on.holds(end))
        if low < high:
            yield f'<path class="interval" d="M{low:.1f} {_MIDDLE:g}H{high:.1f}{ends}"/>'
    differences = effect.differences
    seeds = figures.drawn_seeds(differences)
    for place, seed in enumerate(seeds):
        difference = differences[seed]
        y = _MIDDLE + (5 * place / (len(seeds) - 1) - 2.5 if len(seeds) > 1 else 0)
        if on.holds(difference):
            yield f'<circle cx="{on.x(difference):.1f}" cy="{y:.1f}" r="2.6"/>'
    if on.holds(effect.difference):
        yield f'<path class="mean" d="M{on.x(effect.difference):.1f} 4v16"/>'
    for marker, value in on.beyond(effect).items():
        place, inwards = (0, 1) if marker == "<" else (WIDTH, -1)
        length, half = (9, 5) if value == effect.difference else (6, 3.5)
        yield f'<path class="beyond" d="M{place} {_MIDDLE:g}l{inwards * length}-{half:g}v{2 * half:g}z"/>'
