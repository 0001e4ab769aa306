"""What a folder of images looks like before anything is decoded: for the defaults of a new study file."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ablation.data.image_folder import SUFFIXES, list_images, open_archive
from ablation.errors import UserError

MOST_OPENED = 200
"""Images whose headers are read for their sizes."""


@dataclass(frozen=True)
class FolderFacts:
    """The training images of a folder or zip file.

    `per_class` has their number by class. `smallest` and `largest` are width and height in pixels, by the number of
    pixels, and `short_side` is the median of the shorter sides, of the `opened` images that were looked at.
    """

    per_class: Mapping[str, int]
    smallest: tuple[int, int]
    largest: tuple[int, int]
    short_side: int
    opened: int
    has_test: bool

    @property
    def images(self) -> int:
        return sum(self.per_class.values())

    @property
    def sizes(self) -> str:
        """`32 x 32 pixels`, or from the smallest to the largest that was looked at."""
        small, large = (f"{width} x {height}" for width, height in (self.smallest, self.largest))
        return f"{small} pixels" if small == large else f"{small} to {large} pixels"

    @property
    def counts(self) -> str:
        """`3,670 training images, 633 to 898 in each of 5 classes`."""
        few, many = min(self.per_class.values()), max(self.per_class.values())
        each = f"{few:,}" if few == many else f"{few:,} to {many:,}"
        return f"{self.images:,} training images, {each} in each of {len(self.per_class):,} classes"


def look_at_folder(root: Path) -> FolderFacts:
    """The facts of a folder or zip file with `train/<class>/...`.

    Raises UserError where it is not laid out like that, and where an image that is looked at cannot be read.
    """
    if not root.exists():
        raise UserError(f"{root} does not exist", "name the folder that holds train/, or a zip file of it")
    if root.is_dir() and not (root / "train").is_dir() and (classes := _class_folders(root)):
        what = f"{root} has the folders of classes ({', '.join(classes[:3])}, ...), but no train/ around them"
        raise UserError(what, f"move them into {root}/train/; images for `ablate test` go into {root}/test/<class>/")
    images = list_images(root, "train").images
    chosen = images[:: -(-len(images) // MOST_OPENED)]
    sizes: list[tuple[int, int]] = []
    with ExitStack() as stack:
        archive = open_archive(root)
        if archive:
            stack.enter_context(archive)
        sizes = [_size(image.name, image.read(archive)) for image in chosen]
    ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return FolderFacts(
        per_class=dict(sorted(Counter(image.label for image in images).items())),
        smallest=ordered[0],
        largest=ordered[-1],
        short_side=round(statistics.median(min(size) for size in sizes)),
        opened=len(chosen),
        has_test=(root / "test").is_dir(),
    )


def _size(name: str, content: bytes) -> tuple[int, int]:
    from ablation.data.pixels import image_size

    try:
        return image_size(content)
    except ValueError as error:
        raise UserError(f"{name} cannot be read as an image: {error}", "remove it, or save it again") from None


def _class_folders(root: Path) -> list[str]:
    """The folders in `root` that hold images directly, by name."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [path.name for path in folders if any(file.suffix.lower() in SUFFIXES for file in path.iterdir())]
