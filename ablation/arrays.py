"""A prepared data set as arrays, in the folder where it lies or on its way to another machine. No torch here."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ablation.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images (n, height, width, channels) as uint8, labels (n,) as int64, the names of the classes.

    And of each image the sums of its pixels and their squares (n, channels, 2), and the first that is the same (n,).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    sums: NDArray[np.int64]
    twins: NDArray[np.int64]


def read_arrays(folder: Path) -> Arrays:
    """Map the arrays of a prepared data set into memory: its pages are shared by all processes that do so.

    Raises UserError where a file of it is damaged, or holds more than numbers, which would have to be run to be read.
    """
    import numpy as np

    try:
        images = np.load(folder / "images.npy", mmap_mode="c", allow_pickle=False)
        labels, sums, twins = (np.load(folder / f"{n}.npy", allow_pickle=False) for n in ("labels", "sums", "twins"))
        classes = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["classes"]
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"the decoded images in {folder} are damaged: {error}", "remove that folder") from None
    return Arrays(np.asarray(images), labels, tuple(classes), sums, twins)
