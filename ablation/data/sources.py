"""Data sets -> arrays of uint8 on disk, decoded once and mapped into memory by every worker that trains on them."""

from __future__ import annotations

import filecmp
import json
import math
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from filelock import Timeout
from numpy.typing import NDArray
from torch import Tensor

from ablation._util.files import set_aside, writing
from ablation.data.arrays import (
    Arrays,
    DamagedError,
    Writer,
    new_folder,
    preparing_lock,
    read_arrays,
    refuse_changed,
    unfinished_bytes,
    verify,
)
from ablation.data.decoding import Block, Progress, Source, first_of
from ablation.data.disk import Room
from ablation.data.fingerprint import cache_folder
from ablation.data.image_folder import LEAST_TO_TRAIN, Part
from ablation.data.summary import DataSummary, lines
from ablation.errors import UserError
from ablation.rng import generator

DIGITS = Path(__file__).with_name("digits.npz")
DIGITS_TRAIN = 1437
"""Of the 1797 digits the first 1437 are for training; the rest is the test part."""
BLOCK = 2**21
"""Bytes of images that are made or measured at a time."""
WAIT_SECONDS = 0.5
"""Between two reports of how far another process is that prepares data."""

Notice = Callable[[str], None]
"""Called with a line that the user should see."""


class Readable(Protocol):
    """A data set by its name, and as a source of the images of each part."""

    @property
    def name(self) -> str: ...
    def open(self, part: Part, progress: Progress) -> Source: ...


@dataclass(frozen=True)
class ImageSet:
    """A data set in memory, and what was measured of each image when it was decoded.

    - `images`: (n, channels, height, width), uint8, with the channels last in memory.
    - `labels`: (n,), int64.
    - `sums`: (n, channels, 2), int64: the sum of the pixels and that of their squares.
    - `twins`: (n,), int64: the first image that is the same to the byte, mostly the image itself.
    - `summary`: what was read of an image folder.
    - `digest`: what tells it from other data sets; empty where it was not read from a prepared folder.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    sums: Tensor
    twins: Tensor
    summary: DataSummary | None = None
    digest: str = ""


def prepare(
    data: Readable,
    fingerprint: str,
    cache: Path,
    progress: Progress,
    part: Part = "train",
    notice: Notice = lambda _: None,
) -> Path:
    """The folder with the arrays of one part of a data set, decoded now unless they are there as they were written.

    Images go to the disk as they are decoded: they are never all in memory. Where another process is decoding in
    `cache`, it is waited for. Raises UserError where the data cannot be had, an image cannot be read or the disk is too
    small, StorageError where nothing can be written.
    """
    folder = cache / cache_folder(data.name, fingerprint, part)
    if folder.exists() and not _damage(folder):
        return folder
    source = data.open(part, progress)
    if part == "train":
        refuse_lonely(source)
    with writing(cache):
        cache.parent.mkdir(parents=True, exist_ok=True)
    with _alone(cache, source, progress):
        damage = _damage(folder) if folder.exists() else None
        if not folder.exists() or damage:
            _prepare(folder, source, damage, notice)
    return folder


def _damage(folder: Path) -> DamagedError | None:
    try:
        verify(folder)
    except DamagedError as error:
        return error
    return None


@contextmanager
def _alone(cache: Path, source: Source, progress: Progress) -> Iterator[None]:
    """Hold the lock of `cache`; while another process has it, report how far that one is."""
    lock = preparing_lock(cache)
    with writing(cache):
        while not lock.is_locked:
            with suppress(Timeout):
                lock.acquire(timeout=WAIT_SECONDS)
                break
            done = unfinished_bytes(cache) // math.prod(source.shape[1:])
            count = source.shape[0]
            progress("waiting for another command that decodes images", min(done, count), count)
    try:
        yield
    finally:
        lock.release()


def _prepare(folder: Path, source: Source, damage: DamagedError | None, notice: Notice) -> None:
    with new_folder(folder.parent) as temporary:
        room = Room(source.shape, folder.parent)
        if source.names:
            notice(str(room))
        room.check()
        with Writer(temporary, source.shape) as writer:
            count, _, _, channels = source.shape
            # One array from the start: small ones between the blocks would keep the heap from using their room again.
            measured = np.empty((count, channels, 2), np.int64)
            digests: list[bytes] = []
            for block in _measured(source.blocks):
                writer.add(block.images)
                measured[len(digests) : len(digests) + len(block.images)] = block.sums
                digests += block.digests
            source = source.complete(source)
            about = {"labels": source.labels, "sums": measured, "twins": first_of(digests)}
            summary = source.summary()
            meta = {"classes": list(source.classes), "summary": asdict(summary) if summary else None}
            writer.finish(about, source.names, meta)
        if source.recorded:
            refuse_changed(temporary, folder)
        with writing(folder):
            temporary.chmod(0o755)
            _put_in_place(temporary, folder, damage, notice)
    for line in lines(summary, source.classes) if summary else ():
        notice(line)


def _measured(blocks: Iterable[NDArray[np.uint8] | Block]) -> Iterator[Block]:
    return (block if isinstance(block, Block) else Block.of(block) for block in blocks)


def arrays_of(data: Readable, part: Part = "train") -> Arrays:
    """The arrays of one part of a data set, in memory only. Raises UserError as `prepare` does."""
    source = data.open(part, lambda *_: None)
    blocks = list(_measured(source.blocks))
    images, measured = (np.concatenate(parts) for parts in zip(*((b.images, b.sums) for b in blocks), strict=True))
    twin = first_of([digest for block in blocks for digest in block.digests])
    return Arrays(images, source.labels, source.classes, measured, twin, source.summary())


def refuse_lonely(source: Source) -> None:
    """Raise UserError where a class cannot be split into images to train on and images to validate on."""
    counts = np.bincount(source.labels, minlength=len(source.classes))
    few = [
        f"{name!r} has {count}" for name, count in zip(source.classes, counts, strict=True) if count < LEAST_TO_TRAIN
    ]
    if few:
        message = f"each class needs two training images, one of which is validated on: {', '.join(few[:5])}"
        raise UserError(message, "give each class more images, or make fewer classes")


def _put_in_place(temporary: Path, folder: Path, damage: DamagedError | None, notice: Notice) -> None:
    """Move a prepared data set to its place; what is damaged there is kept next to it.

    Data of an earlier version that turn out to be the same are replaced without a word.
    """
    if damage and folder.exists():
        if damage.earlier and _same_files(temporary, folder):
            shutil.rmtree(folder)
        else:
            place = set_aside(folder)
            notice(f"{folder.name} was damaged ({damage.fault}): set aside as {place.name} and decoded again")
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.exists():  # otherwise another command has prepared it meanwhile
            raise


def _same_files(first: Path, second: Path) -> bool:
    """Whether two prepared data sets have the same arrays, to the byte, and the same classes."""
    arrays = sorted(path.name for path in first.glob("*.npy"))
    try:
        metas = [json.loads((folder / "meta.json").read_bytes())["classes"] for folder in (first, second)]
        return metas[0] == metas[1] and all(filecmp.cmp(first / name, second / name, shallow=False) for name in arrays)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def load(data: Path | Arrays) -> ImageSet:
    """A prepared data set, from its folder or from arrays, as tensors over the same memory.

    Raises UserError where a file of it is not what was written.
    """
    arrays = read_arrays(data) if isinstance(data, Path) else data
    with warnings.catch_warnings():  # arrays that several processes share may be read-only, and nobody writes to them
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        named = (arrays.images, arrays.labels, arrays.sums, arrays.twins)
        images, labels, pixel_sums, first = (torch.from_numpy(array) for array in named)
    return ImageSet(
        images.permute(0, 3, 1, 2), labels, arrays.classes, pixel_sums, first, arrays.summary, arrays.digest
    )


def check_classes(folder: Path, expected: tuple[str, ...]) -> None:
    """Raise UserError where a prepared data set has other classes than `expected`, those that were trained on."""
    found = load(folder).classes
    missing, unknown = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or unknown:
        parts = [f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
        message = f"the test images are not of the classes that were trained on ({'; '.join(parts)})"
        raise UserError(message, "give test/ one folder for each class of train/, under the same name")


def block_size(shape: Sequence[int]) -> int:
    """How many images of a shape make a block."""
    return max(1, BLOCK // math.prod(shape))


def from_memory(images: NDArray[np.uint8], labels: NDArray[Any], classes: Sequence[str]) -> Source:
    """Images (n, height, width, channels) and labels (n,) that are in memory."""
    count = block_size(images.shape[1:])
    blocks = (np.ascontiguousarray(images[start : start + count]) for start in range(0, len(images), count))
    return Source(images.shape, labels.astype(np.int64), tuple(classes), blocks)


def digits(part: Part) -> Source:
    """The test set of Alpaydin and Kaynak's "Optical Recognition of Handwritten Digits" (1998), 17 levels of grey.

    From the UCI Machine Learning Repository, doi.org/10.24432/C50P49, under CC BY 4.0.
    """
    own = slice(DIGITS_TRAIN) if part == "train" else slice(DIGITS_TRAIN, None)
    with np.load(DIGITS, allow_pickle=False) as arrays:
        images, labels = arrays["images"][own], arrays["labels"][own]
    pixels = np.round(images[..., None] * (255 / 16)).astype(np.uint8)
    return from_memory(pixels, labels, [str(digit) for digit in range(10)])


def synthetic(shape: tuple[int, int, int], classes: int, samples: int, part: Part) -> Source:
    """Each class is a coarse random pattern; an image is its pattern under strong noise.

    The test part is a fifth as many images of the same patterns, under noise of another stream.
    """
    stream = generator(0, "synthetic", *shape, classes, samples)
    channels, height, width = shape
    coarse = torch.rand((classes, channels, 4, 4), generator=stream)
    patterns = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    count = samples
    if part == "test":
        count = max(classes, samples // 5)
        stream = generator(0, "synthetic test", *shape, classes, samples)
    labels = torch.arange(count) % classes

    def blocks() -> Iterator[NDArray[np.uint8]]:
        for some in torch.split(labels, block_size(shape)):
            noise = torch.rand((len(some), *shape), generator=stream)
            images = ((0.5 * patterns[some] + 0.5 * noise) * 255).to(torch.uint8)
            yield np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())

    names = tuple(f"class {index}" for index in range(classes))
    return Source((count, height, width, channels), labels.numpy(), names, blocks())
