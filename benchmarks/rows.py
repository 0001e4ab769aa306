"""A measured value with its spread and its goal, and the parts of RESULTS.md that such values make up."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

ENOUGH_FOR_QUARTILES = 8


@dataclass(frozen=True)
class Row:
    """The median of the rounds and its spread; `goal` is the most that is allowed, or with `at_least` the least."""

    name: str
    value: float
    unit: str
    low: float
    high: float
    goal: float | None = None
    against: str = ""
    at_least: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether the median meets the goal; None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


@dataclass(frozen=True)
class Part:
    """One part of the results: what was measured, how, and what came of it."""

    title: str
    notes: Sequence[str]
    rows: Sequence[Row]


def row(
    name: str,
    values: Sequence[float],
    unit: str,
    goal: float | None = None,
    *,
    against: str = "",
    at_least: bool = False,
) -> Row:
    """The row of one value a round; its spread is from quartile to quartile, or of few rounds from end to end."""
    low, high = min(values), max(values)
    if len(values) >= ENOUGH_FOR_QUARTILES:
        low, _, high = statistics.quantiles(values, n=4)
    return Row(name, statistics.median(values), unit, low, high, goal, against, at_least)


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| work | against | goal | measured | spread | reached |", "|---|---|---|---|---|---|"]
    for each in rows:
        goal = "" if each.goal is None else f"{'≥' if each.at_least else '≤'} {_number(each.goal, each.unit)}"
        measured = _number(each.value, each.unit)
        spread = f"{_number(each.low)} to {_number(each.high)}" if each.low < each.high else ""
        reached = {None: "", True: "yes", False: "**no**"}[each.reached]
        lines.append(f"| {each.name} | {each.against} | {goal} | {measured} | {spread} | {reached} |")
    return "\n".join(lines)


def _number(value: float, unit: str = "") -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()
