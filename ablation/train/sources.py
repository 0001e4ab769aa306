"""Data sets -> arrays of uint8 on disk, decoded once and mapped into memory by every worker that trains on them."""

from __future__ import annotations

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

from ablation.errors import UserError
from ablation.fingerprint import Part, cache_folder, list_images, open_archive
from ablation.study import BuiltinData, Data, ImageFolder, Synthetic
from ablation.train.downloads import torchvision_arrays
from ablation.train.streams import generator

DEFAULT_FOLDER = "data"
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
    """Images (n, channels, height, width) as uint8, labels (n,) as int64, and the names of the classes."""

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]


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
        np.save(temporary / "images.npy", images, allow_pickle=False)
        np.save(temporary / "labels.npy", labels.astype(np.int64), allow_pickle=False)
        (temporary / "meta.json").write_text(json.dumps({"classes": classes}), encoding="utf-8")
        temporary.chmod(0o755)
        if not folder.exists():
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


def load(folder: Path) -> ImageSet:
    """Map a prepared data set into memory: its pages are shared by all processes that do so.

    Raises UserError where a file of it is damaged, or holds more than numbers, which would have to be run to be read.
    """
    try:
        images = np.load(folder / "images.npy", mmap_mode="c", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        classes = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["classes"]
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"the decoded images in {folder} are damaged: {error}", "remove that folder") from None
    return ImageSet(torch.from_numpy(images), torch.from_numpy(labels), tuple(classes))


def check_classes(folder: Path, expected: tuple[str, ...]) -> None:
    """Raise UserError where a prepared data set has other classes than `expected`, those that were trained on."""
    found = load(folder).classes
    missing, unknown = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or unknown:
        parts = [f"{what}: {', '.join(names)}" for what, names in (("missing", missing), ("unknown", unknown)) if names]
        message = f"the test images are not of the classes that were trained on ({'; '.join(parts)})"
        raise UserError(message, "give test/ one folder for each class of train/, under the same name")


def _decode(data: Data, part: Part, progress: Progress) -> tuple[NDArray[np.uint8], NDArray[Any], list[str]]:
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
    from sklearn.datasets import load_digits

    bunch = load_digits()
    own = slice(DIGITS_TRAIN) if part == "train" else slice(DIGITS_TRAIN, None)
    images = np.round(bunch.images[own] * (255 / 16)).astype(np.uint8)
    return images[:, None], bunch.target[own], [str(digit) for digit in range(10)]


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
    return images.numpy(), labels.numpy(), [f"class {index}" for index in range(data.classes)]


def _decode_folder(
    root: Path, size: int, part: Part, progress: Progress
) -> tuple[NDArray[np.uint8], NDArray[Any], list[str]]:
    files = list_images(root, part)
    classes = sorted({file.label for file in files})
    index = {name: number for number, name in enumerate(classes)}
    images = np.empty((len(files), 3, size, size), np.uint8)
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
            if number % 500 == 0:
                progress(f"decoding {root}", number, len(files))
    if archive:
        archive.close()
    if unreadable:
        shown = "; ".join(sorted(unreadable)[:5]) + (" ..." if len(unreadable) > 5 else "")
        raise UserError(f"{len(unreadable)} unreadable images in {root}: {shown}", "remove or replace these files")
    return images, np.array([index[file.label] for file in files]), classes


def _resize(content: bytes, size: int) -> NDArray[np.uint8]:
    """The image as RGB (3, size, size): its shorter side scaled to `size`, and the middle cut out."""
    with Image.open(BytesIO(content), formats=FORMATS) as image:
        rgb = image.convert("RGB")
    if rgb.size != (size, size):
        scale = size / min(rgb.size)
        width, height = (max(size, round(side * scale)) for side in rgb.size)
        left, top = (width - size) // 2, (height - size) // 2
        resized = rgb.resize((width, height), Image.Resampling.BILINEAR)
        rgb = resized.crop((left, top, left + size, top + size))
    return np.asarray(rgb).transpose(2, 0, 1)
