"""Test images that are training images too, to the bit or nearly: their accuracy measures memory.

Copies are found by their pixels. Near copies (saved again, resized, brighter) by two signs that must agree: at most 16
of 128 bits differ of what is brighter than its neighbour in a grid of 8 x 8, and the grey values of a grid of 16 x 16
correlate by 0.99. Smaller images than 32 pixels look alike too easily; of them only copies are told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ablation._util.language import clauses, commas, tr, tr_noop
from ablation.data.arrays import Arrays, read_arrays, read_names

LEAST_SIDE = 32
MOST_BITS = 16
LEAST_CORRELATION = 0.99
MOST_PAIRS = 2_000_000_000
"""Pairs of a training and a test image that are compared; with more, only copies are looked for."""
_BLOCK, _BYTES, _EXAMPLES = 512, 2**22, 3
_GREY = np.array([0.299, 0.587, 0.114])

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Overlap:
    """Pairs (test image, training image) of equal pixels, and of nearly equal ones, each test image once."""

    copies: tuple[tuple[int, int], ...]
    near: tuple[tuple[int, int], ...]


def overlap(train: Arrays, test: Arrays) -> Overlap:
    """The test images that are, or look like, a training image; both parts have images of one size."""
    copies = dict(_copies(train, test))
    near = {place: like for place, like in _near(train.images, test.images) if place not in copies}
    return Overlap(tuple(sorted(copies.items())), tuple(sorted(near.items())))


def _copies(train: Arrays, test: Arrays) -> Iterator[tuple[int, int]]:
    """Images with the same sums of pixels are compared pixel by pixel; others need not be read."""
    places: dict[bytes, list[int]] = {}
    for place, sums in enumerate(train.sums):
        places.setdefault(sums.tobytes(), []).append(place)
    for place, sums in enumerate(test.sums):
        for like in places.get(sums.tobytes(), ()):
            if np.array_equal(train.images[like], test.images[place]):
                yield place, like
                break


def _near(train: Pixels, test: Pixels) -> Iterator[tuple[int, int]]:
    if min(train.shape[1:3]) < LEAST_SIDE or len(train) * len(test) > MOST_PAIRS:
        return
    (bits, greys), (test_bits, test_greys) = _described(train), _described(test)
    for start in range(0, len(test), _BLOCK):
        block = slice(start, start + _BLOCK)
        agreeing = test_bits[block] @ bits.T  # of +1 and -1: equal bits less different ones
        rows, likes = np.nonzero(agreeing >= bits.shape[1] - 2 * MOST_BITS)
        alike = np.einsum("ij,ij->i", test_greys[block][rows], greys[likes]) >= LEAST_CORRELATION
        for row, like in zip(rows[alike], likes[alike], strict=True):
            yield start + int(row), int(like)


def _described(images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(128 bits as +1 and -1, 256 grey values of mean 0 and length 1) of each image."""
    bits, greys = (np.empty((len(images), values), np.float32) for values in (128, 256))
    block = max(1, _BYTES // images[0].size)  # pixels become numbers of eight bytes, several times
    for start in range(0, len(images), block):
        some = slice(start, start + block)
        grey = _as_grey(images[some])
        across, down = _scaled(grey, 8, 9), _scaled(grey, 9, 8)
        steps = [np.diff(across, axis=2).reshape(len(grey), -1), np.diff(down, axis=1).reshape(len(grey), -1)]
        bits[some] = np.where(np.concatenate(steps, axis=1) > 0, 1, -1)
        small = _scaled(grey, 16, 16).reshape(len(grey), -1)
        small -= small.mean(axis=1, keepdims=True)
        length = np.linalg.norm(small, axis=1, keepdims=True)
        greys[some] = small / np.where(length > 0, length, 1)  # a blank image is like none
    return bits, greys


def _as_grey(images: Pixels) -> Floats:
    return images @ _GREY if images.shape[3] == 3 else images[..., 0].astype(np.float64)


def _scaled(grey: Floats, height: int, width: int) -> Floats:
    """Images (n, height, width) as the means over a grid of equal cells, whose edges may cut through pixels."""
    sums = np.zeros((len(grey), grey.shape[1] + 1, grey.shape[2] + 1))
    sums[:, 1:, 1:] = grey.cumsum(axis=1).cumsum(axis=2)
    for axis, cells in ((1, height), (2, width)):
        sums = np.diff(_at(sums, axis, cells), axis=axis)
    return sums


def _at(sums: Floats, axis: int, cells: int) -> Floats:
    """Cumulative sums, interpolated at the edges of the cells."""
    last = sums.shape[axis] - 1
    edges = np.linspace(0, last, cells + 1)
    below = np.floor(edges).astype(np.int64)
    share = (edges - below).reshape([-1 if own == axis else 1 for own in range(3)])
    low, high = np.take(sums, below, axis), np.take(sums, np.minimum(below + 1, last), axis)
    between: Floats = low + (high - low) * share
    return between


def compare_folders(train: Path, test: Path) -> dict[str, Any] | None:
    """What is stored of the overlap of two prepared parts of a data set; None where the training part is not there.

    - `copies`, `near`: how many test images.
    - `examples`: for each of the two, [test image, training image] by name, of the first of them.

    Raises DamagedError where a part is not what was written.
    """
    if not train.is_dir():
        return None
    found, names = overlap(read_arrays(train), read_arrays(test)), (read_names(test), read_names(train))
    pairs = {"copies": found.copies, "near": found.near}
    examples = {
        kind: [[names[0][own], names[1][like]] for own, like in some[:_EXAMPLES]] for kind, some in pairs.items()
    }
    return {**{kind: len(some) for kind, some in pairs.items()}, "examples": examples}


def in_words(found: Mapping[str, Any], images: int) -> str:
    """`3 of 60 test images are also training images (...), 1 more looks like one (...)`; empty where none is."""
    parts = []
    if found["copies"]:
        what = tr_noop("{n:,} of {images:,} test images are also training images ({examples})")
        parts.append(tr(what, n=found["copies"], images=images, examples=_shown(found, "copies")))
    if found["near"]:
        what = tr_noop("{n:,} of {images:,} test images are nearly the same as a training image ({examples})")
        parts.append(tr(what, n=found["near"], images=images, examples=_shown(found, "near")))
    return clauses(parts)


def _shown(found: Mapping[str, Any], kind: str) -> str:
    """The examples of a kind, as `a.png = b.png`."""
    pairs = [f"{own} = {like}" for own, like in found["examples"][kind]]
    return commas([*pairs, "..."] if found[kind] > len(pairs) else pairs)
