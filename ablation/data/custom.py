"""What the code of a custom data set returns: checked, and brought into the form of all data sets."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, IterableDataset

from ablation.data.decoding import Progress, Source
from ablation.data.image_folder import Part
from ablation.data.sources import block_size, from_memory, refuse_lonely
from ablation.data.summary import printable
from ablation.errors import UserError

FORMS = (
    "return (images, labels) or (images, labels, class_names) of NumPy arrays, "
    "or a torch.utils.data.Dataset of (image, label)"
)


@dataclass(frozen=True)
class Returned:
    """What the code of the data set `name` has returned for a part; `expected` are the classes that were trained on."""

    name: str
    part: Part
    expected: tuple[str, ...] = ()

    def source(self, value: object, progress: Progress) -> Source:
        """Its images and labels. Raises UserError that says what is wrong and how to write it."""
        if isinstance(value, tuple) and len(value) in (2, 3):
            return self._from_arrays(*value)
        if isinstance(value, Dataset) and not isinstance(value, IterableDataset):
            return self._from_dataset(value, progress)
        raise self._error(f"are {_kind(value)}", FORMS)

    def _error(self, fault: str, hint: str, what: str = "the images") -> UserError:
        return UserError(f"{self.name}: {what} of the part {self.part!r} {fault}", hint)

    def _from_arrays(self, images: Any, labels: Any, names: Any = None) -> Source:
        images = self._checked(np.asarray(images), "the images", "images.transpose(0, 2, 3, 1)", 1)
        labels = np.asarray(labels)
        if len(images) == 0:
            raise self._error("are none", FORMS)
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            fault = f"have the shape {labels.shape} and the type {labels.dtype}; they must be integers (n,)"
            raise self._error(fault, "number the classes from 0", "the labels")
        if len(images) != len(labels):
            raise self._error(f"are {len(images):,} and its labels {len(labels):,}", "return one label for each image")
        return replace(from_memory(images, labels, self._classes(labels, names)), recorded=True)

    def _checked(self, images: NDArray[Any], what: str, transposed: str, first: int) -> NDArray[np.uint8]:
        """The images with channels last; those of one image begin at axis `first`."""
        shape = images.shape[first:]
        if images.dtype != np.uint8:
            hint = "convert to uint8, with values from 0 to 255"
            if images.dtype.kind == "f":
                hint = "scale by one fixed range to 0..255 and convert to uint8"
            raise self._error(f"have the type {images.dtype}, not uint8", hint, what)
        if len(shape) == 2 and 0 not in shape:
            return images[..., None]
        if len(shape) != 3 or shape[2] not in (1, 3) or 0 in shape:
            channels_first = len(shape) == 3 and shape[0] in (1, 3)
            hint = f"put the channels last: {transposed}" if channels_first else "use 1 or 3 channels, the last axis"
            form = "(n, height, width) or (n, height, width, channels)" if first else "(height, width, channels)"
            raise self._error(f"have the shape {images.shape}, not {form}", hint, what)
        return images

    def _classes(self, labels: NDArray[Any], names: Any) -> tuple[str, ...]:
        """The names of the classes; their numbers where the code names none."""
        low, high = int(labels.min()), int(labels.max())
        if names is not None:
            names = [printable(name) if isinstance(name, str) else None for name in names]
            if None in names or len(set(names)) < len(names):
                raise self._error("must be distinct texts", "return one name for each class", "the class names")
        if self.expected:
            if names is not None and tuple(names) != self.expected:
                fault = f"are {', '.join(names[:5])}, not those of training: {', '.join(self.expected[:5])}"
                raise self._error(fault, "return the same names in the same order", "the class names")
            names = self.expected
        most = len(names) if names is not None else len(labels)
        if low < 0 or high >= most or (not self.expected and (low > 0 or (names is None and high == 0))):
            hint = "number the classes from 0; there must be at least two" + (", as in training" * bool(self.expected))
            allowed = f"; there are {most:,} classes" if names is not None else ""
            raise self._error(f"run from {low} to {high}{allowed}", hint, "the labels")
        return tuple(names) if names is not None else tuple(map(str, range(high + 1)))

    def _from_dataset(self, dataset: Any, progress: Progress) -> Source:
        """The items are read in blocks, each once, so that labels and classes are known only after the last."""
        count = len(dataset)
        if count == 0:
            raise self._error("are none", FORMS)
        labels = np.empty(count, np.int64)
        shape = self._item(dataset, 0)[0].shape

        def item(index: int) -> NDArray[np.uint8]:
            image, labels[index] = self._item(dataset, index)
            if image.shape != shape:
                fault = f"has the shape {image.shape}, and item 0 {shape}"
                raise self._error(fault, "resize all images to one size", f"item {index}")
            return image

        def blocks() -> Iterator[NDArray[np.uint8]]:
            size = block_size(shape)
            for start in range(0, count, size):
                progress(f"reading {self.name}", start, count)
                items = [item(index) for index in range(start, min(start + size, count))]
                yield np.ascontiguousarray(np.stack(items))

        def complete(source: Source) -> Source:
            names = getattr(dataset, "classes", None)  # as torchvision's data sets have them
            known = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
            source = replace(source, labels=labels, classes=self._classes(labels, names if known else None))
            if self.part == "train":
                refuse_lonely(source)
            return source

        unknown = np.empty(0, np.int64)
        return Source((count, *shape), unknown, (), blocks(), recorded=True, complete=complete)

    def _item(self, dataset: Any, index: int) -> tuple[NDArray[np.uint8], int]:
        item, what = dataset[index], f"item {index}"
        if not isinstance(item, list | tuple) or len(item) != 2:
            raise self._error(f"is {_kind(item)}, not (image, label)", "return a pair from __getitem__", what)
        image, label = item
        try:
            number = operator.index(label)
        except (TypeError, RuntimeError):
            fault = f"has the label {label!r:.40}, which is not an integer"
            raise self._error(fault, "number the classes from 0", what) from None
        return self._image(image, f"the pixels of {what}"), number

    def _image(self, image: Any, what: str) -> NDArray[np.uint8]:
        transposed = "image.transpose(1, 2, 0)"
        if isinstance(image, torch.Tensor):
            if image.ndim == 3 and image.shape[0] not in (1, 3):
                fault = f"are a tensor {tuple(image.shape)}, not (channels, height, width) with 1 or 3 channels"
                raise self._error(fault, "tensors have the channels first: image.permute(2, 0, 1)", what)
            image = image.movedim(0, -1) if image.ndim == 3 else image
            array = image.numpy()
        elif hasattr(image, "getbands"):  # of Pillow
            if image.mode not in ("L", "RGB"):
                raise self._error(f"have the mode {image.mode}", "image.convert('RGB') or image.convert('L')", what)
            array = np.asarray(image)
        elif isinstance(image, np.ndarray):
            array = image
        else:
            hint = "return a Pillow image, or an array or tensor of uint8"
            raise self._error(f"are {_kind(image)}", hint, what)
        return self._checked(array, what, transposed, 0)


def _kind(value: object) -> str:
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else type(value).__name__
