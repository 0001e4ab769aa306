"""The augmentations of a recipe, applied to whole batches on the device that holds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ablation.registry.augmentations import Augmentation
from ablation.rng import Seed, generator


class Augmenter:
    """The augmentations of a recipe in their order, each with a stream of its own for every epoch."""

    def __init__(self, augmentations: Sequence[Augmentation], seed: Seed, device: torch.device) -> None:
        names = [augmentation.name for augmentation in augmentations]
        earlier = [names[:index].count(name) for index, name in enumerate(names)]
        self._parts = [
            (f"{part.name} {again + 1}" if again else part.name, part.apply)
            for part, again in zip(augmentations, earlier, strict=True)
        ]
        self._seed = seed
        self._device = device

    def epoch(self, epoch: int) -> Callable[[Tensor], Tensor]:
        """What to apply to the batches of `epoch`, in their order."""
        parts = [
            (transform, generator(self._seed, "augment", name, epoch, device=self._device))
            for name, transform in self._parts
        ]

        def apply(images: Tensor) -> Tensor:
            for transform, stream in parts:
                images = transform(images, stream)
            return images

        return apply
