"""Which images a run trains and validates on, and the batches it makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ablation.study import Data, Train
from ablation.train.augment import Augmenter
from ablation.train.budget import Budget, batches
from ablation.train.sources import ImageSet
from ablation.train.streams import generator

EVAL_BATCH = 500
LEAST_OF_A_CLASS = 2
"""Images of each class that `limit` keeps: one to train on, one to validate on."""


@dataclass(frozen=True)
class Split:
    """Indices of the images that are trained on, and of those that are validated on."""

    train: Tensor
    val: Tensor


def split(labels: Tensor, data: Data, seed: int) -> Split:
    """A stratified split: of each class the share `validation` is held out, the share `fraction` of the rest is used.

    The split comes from the stream `split`; fractions are nested: what a smaller fraction trains on, a larger one does
    too. Every class keeps at least one image in each part.
    """
    train, val = [], []
    cutting, splitting, thinning = (generator(seed, name) for name in ("limit", "split", "fraction"))
    share = 1.0 if data.limit is None else data.limit / len(labels)
    for label in torch.unique(labels):
        members = _shuffled(torch.nonzero(labels == label).squeeze(1), cutting)
        members = members[: max(LEAST_OF_A_CLASS, round(len(members) * share))].sort().values
        members = _shuffled(members, splitting)
        held = min(max(1, round(len(members) * data.validation)), len(members) - 1)
        val.append(members[:held])
        rest = _shuffled(members[held:].sort().values, thinning)
        train.append(rest[: max(1, round(len(rest) * data.fraction))])
    return Split(torch.cat(train).sort().values, torch.cat(val).sort().values)


def _shuffled(values: Tensor, stream: torch.Generator) -> Tensor:
    return values[torch.randperm(len(values), generator=stream)]


def channel_statistics(images: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, as float32 in grey levels 0..255, over the images at `indices`."""
    total = torch.zeros(images.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(total)
    for chunk in torch.split(indices, 4096):
        pixels = images[chunk].double()
        total += pixels.sum((0, 2, 3))
        squares += pixels.square().sum((0, 2, 3))
    count = len(indices) * images.shape[2] * images.shape[3]
    mean = total / count
    deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
    return mean.float(), torch.where(deviation > 1e-3, deviation, 1.0).float()


class Loader:
    """The batches of one run: uint8 images stay on the device; each batch is augmented and normalised there."""

    def __init__(self, images: ImageSet, data: Data, train: Train, seed: int, device: torch.device) -> None:
        self.split = split(images.labels, data, seed)
        mean, deviation = channel_statistics(images.images, self.split.train)
        self._shift = mean.view(1, -1, 1, 1).to(device)
        self._scale = deviation.reciprocal().view(1, -1, 1, 1).to(device)
        self._images = images.images.to(device)
        self._labels = images.labels.to(device)
        self._augmenter = Augmenter(data.augment, seed, device)
        self._batch_size = train.batch_size
        self._seed = seed
        self._device = device

    def train(self, budget: Budget, row: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The augmented batches of a row of the budget: images (n, c, h, w) as float32, labels (n,)."""
        augment = self._augmenter.epoch(row)
        for indices in batches(self.split.train, budget, row, self._batch_size, self._seed):
            chosen = indices.to(self._device, non_blocking=True)
            yield self._normalised(augment(self._images[chosen])), self._labels[chosen]

    def val(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The validation images as they are, in a fixed order."""
        for indices in torch.split(self.split.val, EVAL_BATCH):
            chosen = indices.to(self._device)
            yield self._normalised(self._images[chosen]), self._labels[chosen]

    def _normalised(self, images: Tensor) -> Tensor:
        pixels = images.to(torch.float32, memory_format=torch.channels_last)
        return pixels.sub_(self._shift).mul_(self._scale)
