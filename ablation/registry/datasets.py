"""Data sets by name: one class each, which carries its options, its summary, and how it is identified and read.

A new data set is one more class here and in `KINDS`. What reads files or needs numpy is imported when it is called.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, Strict

from ablation._util.hashing import canonical_json
from ablation.registry.augmentations import AnyAugmentation
from ablation.registry.custom_names import DataName, DataOptions, Options
from ablation.registry.options import Section, Share, by_name, one_of

if TYPE_CHECKING:
    from ablation.data.decoding import Progress, Source
    from ablation.data.image_folder import Part

Side = Annotated[int, Field(ge=8, le=224)]
Shape = tuple[int, int, int]
"""Of an image: channels, height, width."""
VERSION = 1
"""Raised when the images of a data set other than a folder would be read differently."""
DEFAULT_FOLDER = "data"


class DataSet(Section):
    """The options that every data set has, and what is known of it: subclasses say the rest."""

    summary: ClassVar[str]
    compared: ClassVar[bool] = False
    """Whether its test images are searched for training images: published data sets are as they are."""

    name: str
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    augment: Annotated[tuple[AnyAugmentation, ...], Strict(False)] = ()
    fraction: Share = 1.0
    limit: Annotated[int | None, Field(ge=20)] = None

    @abstractmethod
    def image_shape(self) -> Shape | None:
        """(channels, height, width) of its images; None where custom code would have to run for that."""

    @abstractmethod
    def class_count(self) -> int | None:
        """How many classes it has; None where custom code would have to run for that.

        Raises UserError where its files have to be read for that and cannot be.
        """

    def fingerprint(self, part: Part = "train", code: str = "") -> str:
        """A short text that is equal for equal images; `code` is the identity of its code, where that is custom.

        Raises UserError where a part of it is not there.
        """
        return f"{self._identity(code)}-{'' if part == 'train' else f'{part}-'}v{VERSION}"

    def _identity(self, code: str) -> str:
        """What the fingerprint begins with: built-in data go by their name."""
        return self.name

    def download_folder(self) -> Path | None:
        """The folder into which it is downloaded where it is not there; None for one that never is."""
        return None

    def missing(self) -> tuple[str, str] | None:
        """(message, hint) where files that it needs, and that cannot be downloaded, are not on this machine."""
        return None

    def invalid(self) -> tuple[str, str] | None:
        """(message, hint) where its files are there, but not laid out as they must be."""
        return None

    def shape_on_disk(self) -> tuple[int, int, int, int] | None:
        """(images, height, width, channels) of a training part that takes long to decode; None for others."""
        return None


class BuiltIn(DataSet):
    """A data set that this package reads."""

    @abstractmethod
    def open(self, part: Part, progress: Progress) -> Source:
        """The images of one part, decoded as they are asked for. Raises UserError where they cannot be had."""


class _Published(BuiltIn):
    """`path` is the folder that holds it, or to which it is downloaded (default: data)."""

    shape: ClassVar[Shape] = (1, 28, 28)
    classes: ClassVar[int] = 10

    name: str
    path: str | None = None

    def image_shape(self) -> Shape:
        return self.shape

    def class_count(self) -> int:
        return self.classes


class Digits(_Published):
    """The digits of Alpaydin and Kaynak (1998), which are part of this package."""

    summary = "8x8 handwritten digits, embedded; no download"
    shape = (1, 8, 8)
    name: Literal["digits"]

    def open(self, part: Part, progress: Progress) -> Source:
        from ablation.data.sources import digits

        return digits(part)


class _Torchvision(_Published):
    """A data set that torchvision downloads and reads."""

    def open(self, part: Part, progress: Progress) -> Source:
        from ablation.data.downloads import torchvision_arrays
        from ablation.data.sources import from_memory

        return from_memory(*torchvision_arrays(self.name, self._root(), part))

    def download_folder(self) -> Path:
        from ablation.data.downloads import raw_folder

        return raw_folder(self.name, self._root())

    def _root(self) -> Path:
        return Path(self.path or DEFAULT_FOLDER)


class Mnist(_Torchvision):
    """MNIST (LeCun et al. 1998)."""

    summary = "MNIST handwritten digits (12 MB download)"
    name: Literal["mnist"]


class FashionMnist(_Torchvision):
    """Fashion-MNIST (Xiao et al. 2017)."""

    summary = "Fashion-MNIST clothing (31 MB download)"
    name: Literal["fashion_mnist"]


class Cifar10(_Torchvision):
    """CIFAR-10 (Krizhevsky 2009)."""

    summary = "CIFAR-10 photographs (170 MB download)"
    shape = (3, 32, 32)
    name: Literal["cifar10"]


class Cifar100(_Torchvision):
    """CIFAR-100 (Krizhevsky 2009)."""

    summary = "CIFAR-100 photographs (169 MB download)"
    shape = (3, 32, 32)
    classes = 100
    name: Literal["cifar100"]


class ImageFolder(BuiltIn):
    """Own images, `<path>/train/<class>/...`, in a folder or a zip file, scaled and cut to `size` pixels square."""

    summary = "your own images: train/<class>/*.jpg and test/<class>/*.jpg in a folder or a zip file"
    compared = True

    name: Literal["image_folder"]
    path: str
    size: Side = 32

    def image_shape(self) -> Shape:
        return 3, self.size, self.size

    def class_count(self) -> int:
        from ablation.data.image_folder import list_images

        return len(list_images(Path(self.path), "train").classes)

    def fingerprint(self, part: Part = "train", code: str = "") -> str:
        from ablation.data.fingerprint import DECODED, folder_digest

        digest, converted = folder_digest(Path(self.path), part)
        return f"{digest}-{self.size}px{DECODED if converted else ''}"

    def open(self, part: Part, progress: Progress) -> Source:
        from ablation.data.decoding import image_folder

        return image_folder(Path(self.path), self.size, part, progress)

    def missing(self) -> tuple[str, str] | None:
        if Path(self.path).exists():
            return None
        return f"no folder or zip file at {self.path!r}", "a path is relative to where you start `ablate`"

    def invalid(self) -> tuple[str, str] | None:
        folder = Path(self.path)
        if not folder.is_dir() or (folder / "train").is_dir():
            return None
        above = next((path for path in folder.parents if path / "train" in (folder, *folder.parents)), None)
        below = sorted(path for path in folder.iterdir() if (path / "train").is_dir())
        hint = "put the images into train/<class>/"
        if above or below:
            hint = f"write path: {above or below[0]}, the folder that contains train/"
        return f"{self.path} has no folder train/", hint

    def shape_on_disk(self) -> tuple[int, int, int, int]:
        from ablation.data.image_folder import list_images

        return len(list_images(Path(self.path), "train").images), self.size, self.size, 3


class Synthetic(BuiltIn):
    """Noisy patterns of `shape` (channels, height, width), one for each class."""

    summary = "learnable random patterns of any shape, for tests"

    name: Literal["synthetic"]
    shape: Annotated[tuple[Literal[1, 3], Side, Side], Strict(False)] = (3, 32, 32)
    classes: Annotated[int, Field(ge=2, le=1000)] = 10
    samples: Annotated[int, Field(ge=20, le=1_000_000)] = 1000

    def image_shape(self) -> Shape:
        return self.shape

    def class_count(self) -> int:
        return self.classes

    def _identity(self, code: str) -> str:
        own = {"shape": self.shape, "classes": self.classes, "samples": self.samples}
        return f"synthetic-{hashlib.sha256(canonical_json(own).encode()).hexdigest()[:12]}"

    def open(self, part: Part, progress: Progress) -> Source:
        from ablation.data.sources import synthetic

        return synthetic(self.shape, self.classes, self.samples, part)


class CustomData(DataSet):
    """Images that custom code returns: `name` is its `module:attribute`, `options` the keywords that it is called with.

    Worker processes call it (`worker.custom_data`); nothing here imports it.
    """

    summary = "your own code, named module:attribute: NumPy arrays or a torch Dataset"

    name: DataName
    options: DataOptions = Field(default_factory=Options)

    def image_shape(self) -> None:
        return None

    def class_count(self) -> None:
        return None

    def _identity(self, code: str) -> str:
        own = {"name": self.name, "code": code, "options": self.options}
        return f"custom-{hashlib.sha256(canonical_json(own).encode()).hexdigest()[:16]}"


KINDS: Mapping[str, type[BuiltIn]] = by_name(Digits, Mnist, FashionMnist, Cifar10, Cifar100, ImageFolder, Synthetic)
"""Every data set by its name."""
if TYPE_CHECKING:
    Data = DataSet
else:
    Data = one_of([*KINDS.values()], CustomData, "data")
