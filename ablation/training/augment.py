"""Augmentation of whole batches of images, on the device that holds them. Shapes are (batch, channels, h, w).

All but the noise work on uint8 pixels, before the normalisation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ablation.registry.options import Augmentation, ColorJitter, Crop, Cutout, Flip, Noise, RandomResizedCrop
from ablation.rng import generator
from ablation.training.colour import color_jitter
from ablation.training.resized_crop import random_resized_crop

Transform = Callable[[Tensor, torch.Generator], Tensor]


def crop(images: Tensor, padding: int, stream: torch.Generator) -> Tensor:
    """A window of the original size at a random place of each image, which is first padded with zeros on all sides."""
    batch, channels, height, width = images.shape
    padded = functional.pad(images.permute(0, 2, 3, 1), (0, 0, *(padding,) * 4)).contiguous()
    rows, columns = torch.randint(0, 2 * padding + 1, (2, batch), generator=stream, device=images.device)
    line, length = padded.shape[2] * channels, width * channels  # pixels of a row with its padding, and of a window's
    starts = torch.arange(batch, device=images.device) * padded[0].numel() + rows * line + columns * channels
    places = padded.numel() - (height - 1) * line - length + 1
    windows = padded.as_strided((places, height, length), (1, line, 1))  # at every place; nothing is copied yet
    return windows.index_select(0, starts).view(batch, height, width, channels).permute(0, 3, 1, 2)


def flip(images: Tensor, probability: float, stream: torch.Generator) -> Tensor:
    """Each image mirrored left to right with the given probability."""
    chosen = torch.rand(len(images), generator=stream, device=images.device) < probability
    mask = chosen.to(torch.uint8).mul_(255)[:, None, None, None]
    return images.flip(3).bitwise_xor_(images).bitwise_and_(mask).bitwise_xor_(images)  # as `where`, but faster


def cutout(images: Tensor, size: int, stream: torch.Generator) -> Tensor:
    """A square of `size` pixels set to zero around a random pixel; it may reach over the edge.

    Source: DeVries and Taylor 2017.
    """
    batch, _, height, width = images.shape
    centre = torch.rand((2, batch), generator=stream, device=images.device)
    top = (centre[0] * height).long() - size // 2
    left = (centre[1] * width).long() - size // 2
    rows = torch.arange(height, device=images.device) - top[:, None]
    columns = torch.arange(width, device=images.device) - left[:, None]
    inside = ((rows >= 0) & (rows < size))[:, :, None] & ((columns >= 0) & (columns < size))[:, None, :]
    return images.masked_fill(inside[:, None], 0)


def noise(images: Tensor, sd: float, stream: torch.Generator) -> Tensor:
    """Normalised images with Gaussian noise of standard deviation `sd` on every value."""
    return images + sd * torch.randn(images.shape, generator=stream, device=images.device)


def _transform(augmentation: Augmentation) -> Transform:
    match augmentation:
        case Crop(padding=padding):
            return lambda images, stream: crop(images, padding, stream)
        case Flip(probability=probability):
            return lambda images, stream: flip(images, probability, stream)
        case Cutout(size=size):
            return lambda images, stream: cutout(images, size, stream)
        case RandomResizedCrop(scale=scale, ratio=ratio):
            return lambda images, stream: random_resized_crop(images, scale, ratio, stream)
        case ColorJitter(brightness=brightness, contrast=contrast, saturation=saturation):
            return lambda images, stream: color_jitter(images, (brightness, contrast, saturation), stream)
        case Noise(sd=sd):
            return lambda images, stream: noise(images, sd, stream)
        case _:
            raise AssertionError(augmentation)


class Augmenter:
    """The augmentations of a recipe in their order, each with a stream of its own for every epoch."""

    def __init__(self, augmentations: tuple[Augmentation, ...], seed: int, device: torch.device) -> None:
        names = [augmentation.name for augmentation in augmentations]
        earlier = [names[:index].count(name) for index, name in enumerate(names)]
        self._parts = [
            (f"{part.name} {again + 1}" if again else part.name, _transform(part))
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
