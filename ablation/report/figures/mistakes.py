"""A grid of images with a label above and one below, for a page that shows one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import ablation.report.figures.style as style

Pixels = np.ndarray[tuple[Any, ...], np.dtype[np.uint8]]
COLUMNS = 8
CELL = (104, 132)
_SIDE = 92


@style.styled
def image_grid(samples: Sequence[tuple[str, str, bool, Pixels]]) -> Figure:
    """Draw (true label, predicted label, right or wrong, pixels (height, width, 3)), from left to right.

    The true label is above its image, the predicted one below it. All share one pair of axes, whose unit is a pixel.
    """
    columns = min(COLUMNS, len(samples))
    rows = -(-len(samples) // columns)
    width, height = CELL
    figure = style.canvas(width * columns, height * rows)
    axes = style.axes(figure, 0, 0, 0, 0)
    axes.set_axis_off()
    for place, (true, predicted, right, pixels) in enumerate(samples):
        row, column = divmod(place, columns)
        left, below = column * width + (width - _SIDE) / 2, (rows - 1 - row) * height + 20
        axes.imshow(pixels, interpolation="nearest", extent=(left, left + _SIDE, below, below + _SIDE))
        label: dict[str, Any] = {"x": left + _SIDE / 2, "ha": "center", "fontsize": 9}
        axes.text(y=below + _SIDE + 3, s=style.label(true, 16), va="bottom", **label)
        color = style.INK if right else style.WARN
        axes.text(y=below - 3, s=style.label(predicted, 18), va="top", color=color, **label)
    axes.set(xlim=(0, width * columns), ylim=(0, height * rows), aspect="auto")
    return figure
