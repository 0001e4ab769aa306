"""Data sets as their images are decoded, in order and in blocks, and what is measured of each image on the way."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ablation.data import pixels
from ablation.data.image_folder import ImageFile, Part, list_images, open_archive
from ablation.data.summary import DataSummary, printable
from ablation.errors import UserError

AHEAD = 64
"""Images that threads decode before they are asked for: few enough for any memory."""
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and of how much."""


@dataclass(frozen=True)
class Block:
    """Images (count, height, width, channels), and of each the sums (count, channels, 2) and a digest of its bytes."""

    images: NDArray[np.uint8]
    sums: NDArray[np.int64]
    digests: list[bytes]

    @classmethod
    def of(cls, images: NDArray[np.uint8]) -> Block:
        """The block of these images."""
        digests = [hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in images]
        return cls(images, sums(images), digests)


@dataclass(frozen=True)
class Source:
    """A data set to be decoded: the shape of all images, labels (n,), the names of the classes and of the images.

    `blocks` decodes the images in their order; `summary` says what was read, after that, and `complete` fills in labels
    and classes that are known only then. Those of a `recorded` data set must be the same whenever it is prepared again.
    """

    shape: tuple[int, int, int, int]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    blocks: Iterator[NDArray[np.uint8]] | Iterator[Block]
    names: tuple[str, ...] = ()
    summary: Callable[[], DataSummary | None] = lambda: None
    recorded: bool = False
    complete: Callable[[Source], Source] = lambda source: source


def sums(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Of images (n, height, width, channels): the sums of pixels and of their squares, (n, channels, 2)."""
    result = np.empty((len(images), images.shape[3], 2), np.int64)
    for index, image in enumerate(images):
        pixels = image.reshape(len(image), -1).astype(np.uint16)  # which holds 255 squared
        for place, values in enumerate((pixels, np.square(pixels))):  # rows first: much faster than by channel
            result[index, :, place] = values.sum(0, dtype=np.int64).reshape(-1, image.shape[2]).sum(0)
    return result


def twins(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """For each image the first one that is the same to the byte."""
    return first_of(Block.of(images).digests)


def first_of(digests: Iterable[bytes]) -> NDArray[np.int64]:
    """For each digest the place of the first one that is equal."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(digest, index) for index, digest in enumerate(digests)], np.int64)


def image_folder(root: Path, size: int, part: Part, progress: Progress) -> Source:
    """The images of a folder or zip file, RGB of `size` pixels. Raises UserError where they cannot be had or read."""
    listing = list_images(root, part)
    index = {name: number for number, name in enumerate(listing.classes)}
    labels = np.array([index[file.label] for file in listing.images], np.int64)
    kinds: list[_Kind] = []

    def blocks() -> Iterator[Block]:
        for kind, block in _decoded(root, listing.images, size):
            progress(f"decoding {root}", len(kinds), len(listing.images))
            kinds.append(kind)
            yield block
        _refuse_unreadable(root, listing.images, kinds)

    def summary() -> DataSummary:
        return DataSummary.of(
            formats=Counter(kind.format for kind in kinds),
            per_class=tuple(np.bincount(labels).tolist()),
            skipped=listing.skipped,
            conversions=Counter(own for kind in kinds for own in kind.conversions),
            sizes=[kind.shape for kind in kinds],
        )

    names = tuple(printable(file.name) for file in listing.images)
    return Source((len(names), size, size, 3), labels, tuple(listing.classes), blocks(), names, summary)


def _decoded(root: Path, files: Sequence[ImageFile], size: int) -> Iterator[tuple[_Kind, Block]]:
    """The images in their order, decoded on all cores, and no more of them ahead than AHEAD."""
    archive = open_archive(root)

    def decode(file: ImageFile) -> tuple[_Kind, Block]:
        kind, image = _decode_file(file, file.read(archive), size)
        return kind, Block.of(image[None])

    pool = ThreadPoolExecutor()
    try:
        ahead: deque[Future[tuple[_Kind, Block]]] = deque()
        for file in files:
            ahead.append(pool.submit(decode, file))
            if len(ahead) == AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        if archive:
            archive.close()


@dataclass(frozen=True)
class _Kind:
    """What an image file was, or the `fault` for which it could not be read."""

    format: str
    shape: tuple[int, int]
    conversions: tuple[str, ...]
    fault: str = ""


def _decode_file(file: ImageFile, content: bytes, size: int) -> tuple[_Kind, NDArray[np.uint8]]:
    try:
        found = pixels.decode(content, size)
    except Exception as error:  # Pillow raises anything for a damaged file, and all are named together
        return _Kind("", (0, 0), (), f"{printable(file.name)} ({error or type(error).__name__})"), np.zeros(
            (size, size, 3), np.uint8
        )
    return _Kind(found.format, found.shape, found.conversions), found.pixels


def _refuse_unreadable(root: Path, files: Sequence[ImageFile], kinds: Sequence[_Kind]) -> None:
    """Raise UserError that names the files which could not be read, or whose values contradict each other."""
    faults = [kind.fault for kind in kinds if kind.fault]
    if faults:
        shown = "; ".join(faults[:5]) + (" ..." if len(faults) > 5 else "")
        raise UserError(f"{len(faults)} unreadable images in {root}: {shown}", "remove or replace these files")
    first: dict[str, str] = {}
    for file, kind in zip(files, kinds, strict=True):
        for conversion in kind.conversions:
            first.setdefault(conversion, printable(file.name))
    for pair in pixels.EITHER:
        if all(kind in first for kind in pair):
            what = " and ".join(f"{first[kind]} ({kind})" for kind in pair)
            raise UserError(f"images of {root} have values of different ranges: {what}", "save all in the same range")
