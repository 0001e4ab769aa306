"""Draws the figures of `docs/statistics-explained.md` from simulated studies: `python docs/figures/draw.py`.

The SVG is written by hand, without a plotting library, so that the same code gives the same bytes everywhere; a test
compares them with the files beside this one. Accuracies are in per cent, differences in points.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ablation.stats.paired import paired_t

HERE = Path(__file__).resolve().parent
SEED_SD, RUN_SD = 0.8, 0.3
"""Standard deviations of what all runs of a seed share (such as its split), and of the rest of the noise."""
INK, GREY, BLUE, RED = "#222222", "#8a8a8a", "#1f6fb4", "#c0392b"


def accuracies(generator: np.random.Generator, seeds: int, effect: float) -> tuple[np.ndarray, np.ndarray]:
    """The accuracy of a baseline and of a variant that is better by `effect`, under the same seeds: two of (seeds,)."""
    shared = 90 + SEED_SD * generator.standard_normal(seeds)
    baseline, variant = RUN_SD * generator.standard_normal((2, seeds))
    return shared + baseline, shared + variant + effect


class Drawing:
    """Shapes in a frame of `height` pixels, whose horizontal axis shows `low` to `high`."""

    def __init__(self, height: int, low: float, high: float, label: str, left: int = 40) -> None:
        self.height, self.low, self.high, self.left = height, low, high, left
        self.shapes: list[str] = []
        self.text(640 / 2, height - 8, label, anchor="middle")

    def x(self, value: float) -> float:
        """Where a value is drawn."""
        return self.left + (value - self.low) / (self.high - self.low) * (620 - self.left)

    def ticks(self, values: Iterator[float] | list[float], form: str = "{:+.1f}") -> None:
        """An axis at the bottom."""
        y = self.height - 42
        self.line(self.left, y, 620, y, GREY)
        for value in values:
            self.line(self.x(value), y, self.x(value), y + 5, GREY)
            self.text(self.x(value), y + 19, form.format(value), anchor="middle", size=12)

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1, dash: str = "") -> None:
        """A straight line between two points, in pixels."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
        self.shapes.append(f'<line {place} stroke="{colour}" stroke-width="{width}"{dashed}/>')

    def dot(self, x: float, y: float, colour: str) -> None:
        """A point, in pixels."""
        self.shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')

    def text(self, x: float, y: float, words: str, anchor: str = "start", size: int = 14) -> None:
        """Words at a point, in pixels."""
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
        self.shapes.append(f'<text {place} fill="{INK}">{words}</text>')

    def svg(self, title: str) -> str:
        """The whole file."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {self.height}" role="img" '
            f'font-family="sans-serif"><title>{title}</title><rect width="640" height="{self.height}" fill="#ffffff"/>'
        )
        return "\n".join([head, *self.shapes, "</svg>", ""])


def one_seed() -> str:
    """Forty differences between two equal recipes, each from one seed."""
    baseline, variant = accuracies(np.random.default_rng(0), 40, effect=0)
    drawing = Drawing(170, -1.6, 1.6, "accuracy of B minus accuracy of A, points; A and B are the same recipe")
    drawing.line(drawing.x(0), 12, drawing.x(0), 128, GREY, dash="4 3")
    for number, difference in enumerate(variant - baseline):  # the height means nothing, it keeps them apart
        drawing.dot(drawing.x(float(difference)), 28 + number * 37 % 90, BLUE)
    drawing.ticks([-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5])
    return drawing.svg("Forty comparisons of a recipe with itself, each under one seed")


def paired() -> str:
    """Five seeds of a baseline and of a variant that is better by half a point."""
    baseline, variant = accuracies(np.random.default_rng(5), 5, effect=0.6)
    drawing = Drawing(220, 88.0, 92.0, "validation accuracy, %; a line joins the two runs of one seed", left=110)
    for (before, after), y in zip(np.stack([baseline, variant], axis=1), (20, 50, 80, 110, 140), strict=True):
        drawing.text(24, y + 9, f"seed {(y - 20) // 30}")
        drawing.line(drawing.x(float(before)), y, drawing.x(float(after)), y + 8, GREY, 1.5)
        drawing.dot(drawing.x(float(before)), y, BLUE)
        drawing.dot(drawing.x(float(after)), y + 8, RED)
    drawing.dot(500, 24, BLUE)
    drawing.text(510, 29, "baseline")
    drawing.dot(500, 48, RED)
    drawing.text(510, 53, "variant")
    drawing.ticks([88.0, 89.0, 90.0, 91.0, 92.0], "{:.0f}")
    return drawing.svg("Accuracy of a baseline and a variant under five seeds")


def intervals() -> str:
    """The 95 % intervals of forty studies of five seeds each, where the true difference is half a point."""
    generator = np.random.default_rng(2)
    drawing = Drawing(400, -1.0, 2.0, "difference from the baseline, points; each line is one study of five seeds")
    drawing.line(drawing.x(0.5), 10, drawing.x(0.5), 358, GREY, dash="4 3")
    for number in range(40):
        baseline, variant = accuracies(generator, 5, effect=0.5)
        test = paired_t(variant - baseline)
        y, colour = 16 + number * 8.5, BLUE if test.low <= 0.5 <= test.high else RED
        drawing.line(drawing.x(test.low), y, drawing.x(test.high), y, colour, 2)
        drawing.dot(drawing.x(test.difference), y, colour)
    drawing.ticks([-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0])
    return drawing.svg("95 % intervals of forty studies around the true difference of half a point")


FIGURES = {"one-seed": one_seed, "paired-seeds": paired, "intervals": intervals}

if __name__ == "__main__":
    for name, figure in FIGURES.items():
        (HERE / f"{name}.svg").write_text(figure(), encoding="utf-8")
