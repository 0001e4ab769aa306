"""Data sets -> arrays of uint8 on disk, decoded once and mapped into memory by every worker that trains on them."""

from __future__ import annotations

import filecmp
import hashlib
import json
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ablation import pixels
from ablation.arrays import Arrays, DamagedError, read_arrays, verify, write_arrays
from ablation.data_summary import DataSummary, lines, printable
from ablation.errors import UserError
from ablation.fingerprint import cache_folder
from ablation.image_folder import LEAST_TO_TRAIN, ImageFile, Part, list_images, open_archive
from ablation.store import set_aside, writing
from ablation.study import BuiltinData, Data, ImageFolder, Synthetic
from ablation.train.downloads import raw_folder, torchvision_arrays
from ablation.train.streams import generator

DEFAULT_FOLDER = "data"
DIGITS = Path(__file__).with_name("digits.npz")
DIGITS_TRAIN = 1437
"""Of the 1797 digits the first 1437 are for training; the rest is the test part."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and of how much."""
Notice = Callable[[str], None]
"""Called with a line that the user should see."""


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


@dataclass(frozen=True)
class _Decoded:
    """Images (n, height, width, channels), labels (n,), the names of the classes and of the images."""

    images: NDArray[np.uint8]
    labels: NDArray[Any]
    classes: list[str]
    names: tuple[str, ...] = ()
    summary: DataSummary | None = None


def prepare(
    data: Data, fingerprint: str, cache: Path, progress: Progress, part: Part = "train", notice: Notice = lambda _: None
) -> Path:
    """The folder with the arrays of one part of a data set, decoded now unless they are there as they were written.

    Raises UserError where the data cannot be had or an image cannot be read, StorageError where nothing can be written.
    """
    folder = cache / cache_folder(data.name, fingerprint, part)
    damage: DamagedError | None = None
    if folder.exists():
        try:
            verify(folder)
            return folder
        except DamagedError as error:
            damage = error
    decoded = _decode(data, part, progress)
    arrays = _measured(decoded)
    if part == "train":
        _refuse_lonely(arrays)
    with writing(cache):
        cache.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=cache, prefix=".preparing-"))
    try:
        write_arrays(temporary, arrays, decoded.names)
        with writing(folder):
            temporary.chmod(0o755)
            _put_in_place(temporary, folder, damage, notice)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for line in lines(arrays.summary, arrays.classes) if arrays.summary else ():
        notice(line)
    return folder


def download_folder(data: Data) -> Path | None:
    """The folder into which a data set is downloaded where it is not there; None for one that never is."""
    if not isinstance(data, BuiltinData) or data.name == "digits":
        return None
    return raw_folder(data.name, Path(data.path or DEFAULT_FOLDER))


def arrays_of(data: Data, part: Part = "train") -> Arrays:
    """The arrays of one part of a data set, in memory only. Raises UserError as `prepare` does."""
    return _measured(_decode(data, part, lambda *_: None))


def _measured(decoded: _Decoded) -> Arrays:
    images, labels = decoded.images, decoded.labels.astype(np.int64)
    return Arrays(images, labels, tuple(decoded.classes), sums(images), twins(images), decoded.summary)


def _refuse_lonely(arrays: Arrays) -> None:
    """Raise UserError where a class cannot be split into images to train on and images to validate on."""
    counts = np.bincount(arrays.labels, minlength=len(arrays.classes))
    few = [
        f"{name!r} has {count}" for name, count in zip(arrays.classes, counts, strict=True) if count < LEAST_TO_TRAIN
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


def sums(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Of images (n, height, width, channels): the sums of pixels and of their squares, (n, channels, 2)."""
    result = np.empty((len(images), images.shape[3], 2), np.int64)
    for start in range(0, len(images), 256):
        pixels = images[start : start + 256].astype(np.int64)
        result[start : start + 256] = np.stack([pixels.sum((1, 2)), np.square(pixels).sum((1, 2))], axis=2)
    return result


def twins(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """For each image the first one that is the same to the byte."""
    first: dict[bytes, int] = {}
    digests = (hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images)
    return np.array([first.setdefault(digest, index) for index, digest in enumerate(digests)], np.int64)


def check_classes(folder: Path, expected: tuple[str, ...]) -> None:
    """Raise UserError where a prepared data set has other classes than `expected`, those that were trained on."""
    found = load(folder).classes
    missing, unknown = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or unknown:
        parts = [f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
        message = f"the test images are not of the classes that were trained on ({'; '.join(parts)})"
        raise UserError(message, "give test/ one folder for each class of train/, under the same name")


def _decode(data: Data, part: Part, progress: Progress) -> _Decoded:
    match data:
        case ImageFolder():
            return _decode_folder(Path(data.path), data.size, part, progress)
        case Synthetic():
            return _Decoded(*_synthetic(data, part))
        case BuiltinData(name="digits"):
            return _Decoded(*_digits(part))
        case BuiltinData():
            return _Decoded(*torchvision_arrays(data.name, Path(data.path or DEFAULT_FOLDER), part))
        case _:
            raise AssertionError(data)


def _digits(part: Part) -> tuple[NDArray[np.uint8], NDArray[Any], list[str]]:
    """The test set of Alpaydin and Kaynak's "Optical Recognition of Handwritten Digits" (1998), 17 levels of grey.

    From the UCI Machine Learning Repository, doi.org/10.24432/C50P49, under CC BY 4.0.
    """
    own = slice(DIGITS_TRAIN) if part == "train" else slice(DIGITS_TRAIN, None)
    with np.load(DIGITS, allow_pickle=False) as arrays:
        images, labels = arrays["images"][own], arrays["labels"][own]
    return np.round(images[..., None] * (255 / 16)).astype(np.uint8), labels, [str(digit) for digit in range(10)]


def _synthetic(data: Synthetic, part: Part) -> tuple[NDArray[np.uint8], NDArray[Any], list[str]]:
    """Each class is a coarse random pattern; an image is its pattern under strong noise.

    The test part is a fifth as many images of the same patterns, under noise of another stream.
    """
    stream = generator(0, "synthetic", *data.shape, data.classes, data.samples)
    channels, height, width = data.shape
    coarse = torch.rand((data.classes, channels, 4, 4), generator=stream)
    patterns = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    count = data.samples
    if part == "test":
        count = max(data.classes, data.samples // 5)
        stream = generator(0, "synthetic test", *data.shape, data.classes, data.samples)
    labels = torch.arange(count) % data.classes
    noise = torch.rand((count, *data.shape), generator=stream)
    images = ((0.5 * patterns[labels] + 0.5 * noise) * 255).to(torch.uint8)
    return (
        np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy()),
        labels.numpy(),
        [f"class {index}" for index in range(data.classes)],
    )


def _decode_folder(root: Path, size: int, part: Part, progress: Progress) -> _Decoded:
    listing = list_images(root, part)
    files, classes = listing.images, listing.classes
    images = np.empty((len(files), size, size, 3), np.uint8)
    kinds: list[_Kind] = []
    archive = open_archive(root)

    def decode(number: int) -> _Kind:
        kind, images[number] = _decode_file(files[number], files[number].read(archive), size)
        return kind

    try:
        with ThreadPoolExecutor() as pool:
            for number, kind in enumerate(pool.map(decode, range(len(files)))):
                kinds.append(kind)
                progress(f"decoding {root}", number, len(files))
    finally:
        if archive:
            archive.close()
    _refuse_unreadable(root, files, kinds)
    index = {name: number for number, name in enumerate(classes)}
    labels = np.array([index[file.label] for file in files])
    summary = DataSummary.of(
        formats=Counter(kind.format for kind in kinds),
        per_class=tuple(np.bincount(labels).tolist()),
        skipped=listing.skipped,
        conversions=Counter(own for kind in kinds for own in kind.conversions),
        sizes=[kind.shape for kind in kinds],
    )
    return _Decoded(images, labels, classes, tuple(printable(file.name) for file in files), summary)


@dataclass(frozen=True)
class _Kind:
    """What an image file was, or the `fault` for which it could not be read."""

    format: str
    shape: tuple[int, int]
    conversions: tuple[str, ...]
    fault: str = ""


def _decode_file(file: ImageFile, content: bytes, size: int) -> tuple[_Kind, NDArray[np.uint8] | int]:
    try:
        found = pixels.decode(content, size)
    except Exception as error:  # Pillow raises anything for a damaged file, and all are named together
        return _Kind("", (0, 0), (), f"{printable(file.name)} ({error or type(error).__name__})"), 0
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
