"""Disk space for prepared images: announced before they are written; too little is an error."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from ablation._util.machine import free_space
from ablation.errors import UserError

MARGIN = 1.1
"""Free bytes for each byte of images: runs are stored next to them."""


@dataclass(frozen=True)
class Room:
    """What a data set needs in `folder`, which may not be there yet; `shape` is (images, height, width, channels)."""

    shape: tuple[int, int, int, int]
    folder: Path

    def __str__(self) -> str:
        return f"{self._what()}: {in_words(math.prod(self.shape))} in {_shown(self.folder)}"

    def check(self) -> None:
        """Raise UserError where the disk of the folder has too little free space."""
        free = free_space(self.folder)
        if math.prod(self.shape) * MARGIN > free:
            need = in_words(math.prod(self.shape))
            what = f"{self._what()} needs {need} in {_shown(self.folder)}, where {in_words(free)} are free"
            raise UserError(
                what, "store results on another disk (--results DIR), make data.size smaller, or free space"
            )

    def _what(self) -> str:
        images, height, width, _ = self.shape
        return f"preparing {images:,} images at {height} x {width}"


def in_words(count: float) -> str:
    """A number of bytes: `15.1 GB`."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 999.5 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError(count)


def _shown(folder: Path) -> str:
    """The folder as the user would type it."""
    inside = folder.absolute().is_relative_to(Path.cwd())
    return os.path.relpath(folder) if inside else str(folder)
