"""Where the images of a run are: all on its device, or on the host, from which each block is copied in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from ablation.data.sources import ImageSet
from ablation.training import device

RESIDENT_SHARE = 0.4
"""Of the free memory of a device, that images may take; larger sets stay on the host."""


def gather(images: Tensor, indices: Tensor) -> Tensor:
    """The images (n, c, h, w) at `indices`. Those with their channels last in memory are copied as whole blocks."""
    return images.permute(0, 2, 3, 1).index_select(0, indices).permute(0, 3, 1, 2)


class Resident:
    """Images (n, c, h, w) and labels (n,) that are on the device."""

    streamed = False

    def __init__(self, images: Tensor, labels: Tensor, where: torch.device) -> None:
        self._images, self._labels, self._device = images.to(where), labels.to(where), where

    def indices(self, chosen: Tensor) -> Tensor:
        """Indices where they are looked up; those that are used more than once are moved there once."""
        return chosen.to(self._device, non_blocking=True)

    def blocks(self, chosen: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels at each block of indices, on the device."""
        for indices in map(self.indices, chosen):
            yield gather(self._images, indices), self._labels[indices]


class Streamed:
    """Images (n, c, h, w) and labels (n,) on the host; a thread gathers the next block while one is computed on."""

    streamed = True

    def __init__(self, images: Tensor, labels: Tensor, where: torch.device) -> None:
        self._images, self._labels, self._device = images.permute(0, 2, 3, 1), labels, where

    def indices(self, chosen: Tensor) -> Tensor:
        """Indices where they are looked up."""
        return chosen

    def blocks(self, chosen: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Images and labels at each block of indices, on the device."""
        with ThreadPoolExecutor(1, "gather") as thread:
            ahead: Future[tuple[Tensor, Tensor]] | None = None
            for indices in chosen:
                following = thread.submit(self._gather, indices, *self._buffers(len(indices)))
                if ahead:
                    yield self._copied(ahead)
                ahead = following
            if ahead:
                yield self._copied(ahead)

    def _buffers(self, count: int) -> tuple[Tensor, Tensor]:
        """Room for a block, made in the thread that uses the device: page-locked memory belongs to its context."""
        images = device.host_buffer((count, *self._images.shape[1:]), torch.uint8, self._device)
        return images, device.host_buffer((count,), torch.int64, self._device)

    def _gather(self, indices: Tensor, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        torch.index_select(self._images, 0, indices, out=images)
        torch.index_select(self._labels, 0, indices, out=labels)
        return images, labels

    def _copied(self, ahead: Future[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        images, labels = (part.to(self._device, non_blocking=True) for part in ahead.result())
        return images.permute(0, 3, 1, 2), labels


Placed = Resident | Streamed
_kept: dict[tuple[str, torch.device], Resident] = {}
"""The images that this process keeps on its device for the next run: those of one data set."""


def place(images: ImageSet, where: torch.device) -> Placed:
    """The images of a run on its device where they take at most RESIDENT_SHARE of what is free there.

    Those of the run before are used again where the data set is the same, and released where it is not. Results do not
    depend on where images are.
    """
    key = (images.digest, where)
    if key in _kept:
        return _kept[key]
    release()
    if images.images.nbytes > RESIDENT_SHARE * device.free_memory(where):
        return Streamed(images.images, images.labels, where)
    placed = Resident(images.images, images.labels, where)
    if images.digest:
        _kept[key] = placed
    return placed


def release() -> None:
    """Release the images that are kept for the next run."""
    if _kept:
        _kept.clear()
        device.release_cached_memory()
