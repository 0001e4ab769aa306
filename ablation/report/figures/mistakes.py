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

    Each image has its own axes; its true label is the title, its predicted one the label of the x axis.
    """
    columns = min(COLUMNS, len(samples))
    rows = -(-len(samples) // columns)
    width, height = CELL
    figure = style.canvas(width * columns, height * rows)
    for place, (true, predicted, right, pixels) in enumerate(samples):
        row, column = divmod(place, columns)
        left, below = column * width + (width - _SIDE) / 2, (rows - 1 - row) * height + 20
        axes = style.axes(figure, left, below, width * columns - left - _SIDE, height * rows - below - _SIDE)
        axes.imshow(pixels, interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_title(style.label(true, 16), fontsize=9, pad=3)
        axes.set_xlabel(style.label(predicted, 18), fontsize=9, labelpad=3, color=style.INK if right else style.WARN)
    return figure
