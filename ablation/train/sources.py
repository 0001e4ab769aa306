"""Data sets -> arrays of uint8 on disk, decoded once and mapped into memory by every worker that trains on them."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ablation.arrays import Arrays, read_arrays
from ablation.errors import UserError
from ablation.fingerprint import Part, cache_folder, list_images, open_archive
from ablation.study import BuiltinData, Data, ImageFolder, Synthetic
from ablation.train.downloads import raw_folder, torchvision_arrays
from ablation.train.streams import generator

DEFAULT_FOLDER = "data"
DIGITS = Path(__file__).with_name("digits.npz")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
"""What Pillow may take a file for, whatever its name: others, such as EPS, are handed on to other programs."""
DIGITS_TRAIN = 1437
"""Of the 1797 digits the first 1437 are for training; the rest is the test part."""

_BOMBS = (Image.DecompressionBombWarning, Image.DecompressionBombError)
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)  # Pillow would go on up to twice its limit

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and of how much."""


@dataclass(frozen=True)
class ImageSet:
    """A data set in memory, and what was measured of each image when it was decoded.

    - `images`: (n, channels, height, width), uint8, with the channels last in memory.
    - `labels`: (n,), int64.
    - `sums`: (n, channels, 2), int64: the sum of the pixels and that of their squares.
    - `twins`: (n,), int64: the first image that is the same to the byte, mostly the image itself.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    sums: Tensor
    twins: Tensor


def prepare(data: Data, fingerprint: str, cache: Path, progress: Progress, part: Part = "train") -> Path:
    """The folder with the arrays of one part of a data set, decoded now if it is not there yet.

    Raises UserError where the data cannot be had or an image cannot be read.
    """
    folder = cache / cache_folder(data.name, fingerprint, part)
    if (folder / "meta.json").exists():
        return folder
    images, labels, classes = _decode(data, part, progress)
    cache.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=cache, prefix=".preparing-"))
    try:
        arrays: dict[str, NDArray[Any]] = {
            "images": images,
            "labels": labels.astype(np.int64),
            "sums": sums(images),
            "twins": twins(images),
        }
        for name, array in arrays.items():
            np.save(temporary / f"{name}.npy", array, allow_pickle=False)
        (temporary / "meta.json").write_text(json.dumps({"classes": classes}), encoding="utf-8")
        temporary.chmod(0o755)
        if not folder.exists():
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def download_folder(data: Data) -> Path | None:
    """The folder into which a data set is downloaded where it is not there; None for one that never is."""
    if not isinstance(data, BuiltinData) or data.name == "digits":
        return None
    return raw_folder(data.name, Path(data.path or DEFAULT_FOLDER))


def load(data: Path | Arrays) -> ImageSet:
    """A prepared data set, from its folder or from arrays, as tensors over the same memory.

    Raises UserError where a file of it is damaged, or holds more than numbers, which would have to be run to be read.
    """
    arrays = read_arrays(data) if isinstance(data, Path) else data
    with warnings.catch_warnings():  # arrays that several processes share may be read-only, and nobody writes to them
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        named = (arrays.images, arrays.labels, arrays.sums, arrays.twins)
        images, labels, pixel_sums, first = (torch.from_numpy(array) for array in named)
    return ImageSet(images.permute(0, 3, 1, 2), labels, arrays.classes, pixel_sums, first)


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


def _decode(data: Data, part: Part, progress: Progress) -> tuple[NDArray[np.uint8], NDArray[Any], list[str]]:
    """Images (n, height, width, channels), labels (n,), names of the classes."""
    match data:
        case ImageFolder():
            return _decode_folder(Path(data.path), data.size, part, progress)
        case Synthetic():
            return _synthetic(data, part)
        case BuiltinData(name="digits"):
            return _digits(part)
        case BuiltinData():
            return torchvision_arrays(data.name, Path(data.path or DEFAULT_FOLDER), part)
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


def _decode_folder(
    root: Path, size: int, part: Part, progress: Progress
) -> tuple[NDArray[np.uint8], NDArray[Any], list[str]]:
    files = list_images(root, part)
    classes = sorted({file.label for file in files})
    index = {name: number for number, name in enumerate(classes)}
    images = np.empty((len(files), size, size, 3), np.uint8)
    unreadable: list[str] = []
    archive = open_archive(root)

    def decode(number: int) -> None:
        content = files[number].read(archive)
        try:
            images[number] = _resize(content, size)
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, *_BOMBS) as error:
            unreadable.append(f"{files[number].name} ({error})")

    with ThreadPoolExecutor() as pool:
        for number, _ in enumerate(pool.map(decode, range(len(files)))):
            progress(f"decoding {root}", number, len(files))
    if archive:
        archive.close()
    if unreadable:
        shown = "; ".join(sorted(unreadable)[:5]) + (" ..." if len(unreadable) > 5 else "")
        raise UserError(f"{len(unreadable)} unreadable images in {root}: {shown}", "remove or replace these files")
    return images, np.array([index[file.label] for file in files]), classes


def _resize(content: bytes, size: int) -> NDArray[np.uint8]:
    """The image as RGB (size, size, 3): its shorter side scaled to `size`, and the middle cut out."""
    with Image.open(BytesIO(content), formats=FORMATS) as image:
        rgb = image.convert("RGB")
    if rgb.size != (size, size):
        scale = size / min(rgb.size)
        width, height = (max(size, round(side * scale)) for side in rgb.size)
        left, top = (width - size) // 2, (height - size) // 2
        resized = rgb.resize((width, height), Image.Resampling.BILINEAR)
        rgb = resized.crop((left, top, left + size, top + size))
    return np.asarray(rgb)
