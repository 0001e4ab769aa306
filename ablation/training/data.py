"""Which images a run trains and validates on, and the batches it makes of them."""

from __future__ import annotations

import functools
import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ablation.data.sources import ImageSet
from ablation.registry.datasets import Data
from ablation.rng import Seed, generator
from ablation.study.schema import Train
from ablation.training.augment import Augmenter
from ablation.training.budget import Budget, batches
from ablation.training.device import block_size
from ablation.training.placement import Placed, place

EVAL_BATCH, EVAL_SIDE, EVAL_LEAST = 500, 64, 8
LEAST_OF_A_CLASS = 2
"""Images of each class that `limit` keeps: one to train on, one to validate on."""


@dataclass(frozen=True)
class Input:
    """How images are given to a network.

    - `channels`: grey images are repeated where the network wants three.
    - `side`: they are resized to this height and width (bilinear, antialiased), after augmentation; None: as they are.
    - `statistics`: mean and standard deviation of each channel, in grey levels, to normalise with; None: those of the
      images trained on.
    """

    channels: int
    side: int | None = None
    statistics: tuple[Tensor, Tensor] | None = None


def eval_batch(side: int) -> int:
    """Images in a batch that is only evaluated: fewer of large ones, which would not fit into memory."""
    return max(EVAL_LEAST, min(EVAL_BATCH, EVAL_BATCH * EVAL_SIDE**2 // side**2))


@dataclass(frozen=True)
class Split:
    """Indices of the images that are trained on and of those that are validated on.

    `available` is how many there would be to train on with a `data.fraction` of 1.
    """

    train: Tensor
    val: Tensor
    available: int


def split(labels: Tensor, data: Data, seed: Seed) -> Split:
    """A stratified split: of each class the share `validation` is held out, the share `fraction` of the rest is used.

    The split comes from the stream `split`; fractions are nested: what a smaller fraction trains on, a larger one does
    too. Every class keeps at least one image in each part.
    """
    train, val, available = [], [], 0
    cutting, splitting, thinning = (generator(seed, name) for name in ("limit", "split", "fraction"))
    share = 1.0 if data.limit is None else data.limit / len(labels)
    for label in torch.unique(labels):
        members = _shuffled(torch.nonzero(labels == label).squeeze(1), cutting)
        members = members[: max(LEAST_OF_A_CLASS, round(len(members) * share))].sort().values
        members = _shuffled(members, splitting)
        held = min(max(1, round(len(members) * data.validation)), len(members) - 1)
        val.append(members[:held])
        rest = _shuffled(members[held:].sort().values, thinning)
        available += len(rest)
        train.append(rest[: max(1, round(len(rest) * data.fraction))])
    return Split(torch.cat(train).sort().values, torch.cat(val).sort().values, available)


def _shuffled(values: Tensor, stream: torch.Generator) -> Tensor:
    return values[torch.randperm(len(values), generator=stream)]


def channel_statistics(images: ImageSet, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, as float32 in grey levels 0..255, over the images at `indices`."""
    count = len(indices) * images.images.shape[2] * images.images.shape[3]
    mean, squares = (images.sums[indices].sum(0).double() / count).unbind(1)
    deviation = (squares - mean.square()).clamp(min=0).sqrt()
    return mean.float(), torch.where(deviation > 1e-3, deviation, 1.0).float()


class View:
    """How a network sees images: normalised with `statistics` (mean, standard deviation), and resized to its input."""

    def __init__(self, given: Input, statistics: tuple[Tensor, Tensor], device: torch.device) -> None:
        mean, deviation = statistics
        self.shift = mean.to(device)
        self.scale = deviation.reciprocal().to(device)
        self._tiles = functools.cache(self._tile)
        self._input = given
        self._device = device

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 images (n, c, h, w) as float32, with as many channels as the network takes."""
        channels = max(self._input.channels, images.shape[1])
        pixels = images.expand(-1, channels, -1, -1).to(torch.float32, memory_format=torch.channels_last)
        shift, scale = self._tiles(channels, images.shape[2] * images.shape[3])
        pixels.permute(0, 2, 3, 1).flatten(1).sub_(shift).mul_(scale)  # images as rows: much faster than by channel
        return pixels

    def _tile(self, channels: int, pixels: int) -> tuple[Tensor, Tensor]:
        """Shift and scale for every value of an image whose channels lie last."""
        return self.shift.expand(channels).repeat(pixels), self.scale.expand(channels).repeat(pixels)

    def resized(self, images: Tensor) -> Tensor:
        """The images at the size that the network is given."""
        side = self._input.side
        if side is None:
            return images
        return functional.interpolate(images, (side, side), mode="bilinear", antialias=True)

    def batches(self, placed: Placed, indices: Tensor, largest: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The images at `indices` and their labels to evaluate on, as they are, in this order, on the device.

        `largest` is the longer side of the images, in pixels.
        """
        for images, labels in placed.blocks(torch.split(indices, eval_batch(self._input.side or largest))):
            yield self.resized(self.normalised(images)), labels


class Loader:
    """The batches of one run: uint8 images, augmented and normalised on the device."""

    def __init__(
        self,
        images: ImageSet,
        data: Data,
        train: Train,
        seed: Seed,
        device: torch.device,
        given: Input | None = None,
    ) -> None:
        self.split = split(images.labels, data, seed)
        given = given or Input(images.images.shape[1])
        self.fitted = given.statistics is None
        """Whether the normalisation is that of the images trained on."""
        self.statistics = given.statistics or channel_statistics(images, self.split.train)
        """Mean and standard deviation of each channel that pixels are normalised with, in grey levels."""
        self.view = View(given, self.statistics, device)
        self.placed = place(images, device)
        self._val = self.placed.indices(self.split.val)
        self._largest = max(images.images.shape[2:])
        self._augmenter, self._normalised = (
            Augmenter([part for part in data.augment if part.normalised == normalised], seed, device)
            for normalised in (False, True)
        )
        self._batch_size = train.batch_size
        size, batch = block_size(device), train.batch_size * math.prod(images.images.shape[1:])
        self._batches_at_once = max(1, size.block // batch)
        self._blocks_ahead = max(1, size.ahead // (self._batches_at_once * batch))
        self._seed = seed

    def train(self, budget: Budget, row: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The augmented batches of a row of the budget: images (n, c, h, w) as float32, labels (n,)."""
        augment, augment_pixels = self._augmenter.epoch(row), self._normalised.epoch(row)
        ordered = batches(self.split.train, budget, row, self._batch_size, self._seed)
        blocks = iter(lambda: list(itertools.islice(ordered, self._batches_at_once)), [])
        sizes: deque[list[int]] = deque()
        raw = self.placed.blocks(_joined(blocks, sizes))
        while some := [(augment(images), labels) for images, labels in itertools.islice(raw, self._blocks_ahead)]:
            for images, answers in some:
                parts, pixels = sizes.popleft(), augment_pixels(self.view.normalised(images))
                for batch, labels in zip(torch.split(pixels, parts), torch.split(answers, parts), strict=True):
                    yield self.view.resized(batch), labels

    def val(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The validation images as they are, in a fixed order."""
        return self.view.batches(self.placed, self._val, self._largest)


def _joined(blocks: Iterable[list[Tensor]], sizes: deque[list[int]]) -> Iterator[Tensor]:
    """The indices of each block of batches as one tensor; how many each batch has is added to `sizes`."""
    for block in blocks:
        sizes.append([len(indices) for indices in block])
        yield torch.cat(block)
