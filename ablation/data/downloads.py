"""The data sets of torchvision: downloaded where they are not here, and read only from files of the known MD5."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ablation.data.image_folder import Part
from ablation.errors import UserError

_KINDS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}


def raw_folder(name: str, root: Path) -> Path:
    """The folder below `root` in which the files of a data set are, as they are downloaded."""
    return root if name.startswith("cifar") else root / _KINDS[name] / "raw"


def torchvision_arrays(name: str, root: Path, part: Part) -> tuple[NDArray[np.uint8], NDArray[Any], list[str]]:
    """Images (n, height, width, channels), labels (n,) and classes of one part of a data set that lies in `root`.

    Raises UserError where it cannot be downloaded, or where another file stands in its place.
    """
    from torchvision import datasets

    kind = getattr(datasets, _KINDS[name])
    if not name.startswith("cifar"):
        return _mnist(kind, name, root, part)
    _refuse_other(root / kind.filename, kind.tgz_md5, name)
    try:
        dataset = kind(str(root), train=part == "train", download=True)  # checks the MD5 of what it unpickles
    except (OSError, RuntimeError) as error:
        raise _not_here(name, root / kind.filename, error) from error
    images = np.asarray(dataset.data)
    return np.ascontiguousarray(images), np.asarray(dataset.targets), list(dataset.classes)


def _mnist(kind: Any, name: str, root: Path, part: Part) -> tuple[NDArray[np.uint8], NDArray[Any], list[str]]:
    """The packed files themselves: torchvision would take whatever unpacked files lie beside them, unchecked."""
    own = "train" if part == "train" else "t10k"
    files = [(file, md5) for file, md5 in kind.resources if file.startswith(own)]
    images, labels = (_unpacked(_packed(kind, name, root, *file)) for file in sorted(files))
    return images[..., None], labels.astype(np.int64), list(kind.classes)


def _packed(kind: Any, name: str, root: Path, file: str, md5: str) -> Path:
    from torchvision.datasets.utils import download_url

    path = raw_folder(name, root) / file
    _refuse_other(path, md5, name)
    last: Exception = RuntimeError("there is no mirror of it")
    for mirror in kind.mirrors:
        try:
            download_url(f"{mirror}{file}", path.parent, filename=file, md5=md5)
            return path
        except (OSError, RuntimeError) as error:
            last = error
    raise _not_here(name, path, last) from last


def _unpacked(path: Path) -> NDArray[np.uint8]:
    """A file of LeCun's IDX format: the number of dimensions, each size as 4 bytes, the values."""
    content = gzip.decompress(path.read_bytes())
    sizes = np.frombuffer(content, ">i4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)


def _refuse_other(path: Path, md5: str, name: str) -> None:
    from torchvision.datasets.utils import check_integrity

    if path.exists() and not check_integrity(str(path), md5):
        message = f"{path} is not the file of {name}: its MD5 is not {md5}"
        raise UserError(message, "remove it, so that it is downloaded, or put the whole file there")


def _not_here(name: str, path: Path, error: Exception) -> UserError:
    hint = f"download {path.name} elsewhere and put it into {path.parent.resolve()}/"
    return UserError(f"{name} is not in {path.parent}/ and could not be downloaded: {error}", hint)
