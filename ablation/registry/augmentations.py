"""Augmentations by name: one class each, which carries its options, its summary, and what it does to a batch of images.

A new augmentation is one more class here and in `KINDS`. Whole batches (batch, channels, h, w) are augmented on the
device that holds them; torch is imported when that is done.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from ablation.registry.custom_names import PartName
from ablation.registry.options import Count, Custom, NotNegative, Positive, Section, Share, by_name, one_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def _range(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        hint = f"write [{ends[1]:g}, {ends[0]:g}]"
        raise PydanticCustomError("range", "the range runs from high to low", {"hint": hint})
    return ends


class Augmentation(Section):
    """What is done at random to the images that are trained on, on uint8 pixels or after the normalisation."""

    normalised: ClassVar[bool] = False
    """Whether it works on normalised float32 pixels; it then follows all those that work on uint8."""

    name: str

    @abstractmethod
    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """New images of the same shape, type and device; all randomness comes from `generator`, which is there too."""


class Crop(Augmentation):
    """Random crop after zero padding (padding: 4)."""

    name: Literal["crop"] = "crop"
    padding: Annotated[int, Field(ge=1, le=64)] = 4

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        import torch
        from torch.nn import functional

        padding = self.padding
        batch, channels, height, width = images.shape
        padded = functional.pad(images.permute(0, 2, 3, 1), (0, 0, *(padding,) * 4)).contiguous()
        rows, columns = torch.randint(0, 2 * padding + 1, (2, batch), generator=generator, device=images.device)
        line, length = padded.shape[2] * channels, width * channels  # pixels of a padded row, and of a window's
        starts = torch.arange(batch, device=images.device) * padded[0].numel() + rows * line + columns * channels
        places = padded.numel() - (height - 1) * line - length + 1
        windows = padded.as_strided((places, height, length), (1, line, 1))  # at every place; nothing is copied yet
        return windows.index_select(0, starts).view(batch, height, width, channels).permute(0, 3, 1, 2)


class Flip(Augmentation):
    """Random horizontal flip (probability: 0.5)."""

    name: Literal["flip"] = "flip"
    probability: Annotated[float, Field(gt=0, le=1)] = 0.5

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        import torch

        chosen = torch.rand(len(images), generator=generator, device=images.device) < self.probability
        mask = chosen.to(torch.uint8).mul_(255)[:, None, None, None]
        return images.flip(3).bitwise_xor_(images).bitwise_and_(mask).bitwise_xor_(images)  # as `where`, but faster


class Cutout(Augmentation):
    """A random square set to zero (DeVries and Taylor 2017; size: 8).

    Its centre is any pixel, so that it may reach over the edge.
    """

    name: Literal["cutout"] = "cutout"
    size: Count = 8

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        import torch

        batch, _, height, width = images.shape
        centre = torch.rand((2, batch), generator=generator, device=images.device)
        top = (centre[0] * height).long() - self.size // 2
        left = (centre[1] * width).long() - self.size // 2
        rows = torch.arange(height, device=images.device) - top[:, None]
        columns = torch.arange(width, device=images.device) - left[:, None]
        inside = ((rows >= 0) & (rows < self.size))[:, :, None] & ((columns >= 0) & (columns < self.size))[:, None, :]
        return images.masked_fill(inside[:, None], 0)


class RandomResizedCrop(Augmentation):
    """A random part, resized (Szegedy et al. 2015; scale: [0.08, 1], ratio: [0.75, 1.333]).

    `scale` is its share of the area, `ratio` its width to height; the defaults are those of torchvision.
    """

    name: Literal["random_resized_crop"] = "random_resized_crop"
    scale: Annotated[tuple[Share, Share], Strict(False), AfterValidator(_range)] = (0.08, 1.0)
    ratio: Annotated[tuple[Positive, Positive], Strict(False), AfterValidator(_range)] = (3 / 4, 4 / 3)

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        from ablation.registry.resized_crop import random_resized_crop

        return random_resized_crop(images, self.scale, self.ratio, generator)


class ColorJitter(Augmentation):
    """Random brightness, contrast and saturation (0.4 each).

    Each is multiplied by a random factor from 1 - x to 1 + x, and never below 0.
    """

    name: Literal["color_jitter"] = "color_jitter"
    brightness: NotNegative = 0.4
    contrast: NotNegative = 0.4
    saturation: NotNegative = 0.4

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not (self.brightness or self.contrast or self.saturation):
            hint = "set brightness, contrast or saturation above 0, or leave color_jitter out"
            raise PydanticCustomError("nothing", "this colour jitter changes nothing", {"hint": hint})
        return self

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        from ablation.registry.colour import color_jitter

        return color_jitter(images, (self.brightness, self.contrast, self.saturation), generator)


class Noise(Augmentation):
    """Gaussian noise on the normalised pixels (sd: 0.1); mixup is the option train.mixup.

    `sd` is its standard deviation, where 1 is that of the training images.
    """

    normalised = True

    name: Literal["noise"] = "noise"
    sd: Positive = 0.1

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        import torch

        return images + self.sd * torch.randn(images.shape, generator=generator, device=images.device)


class CustomAugmentation(Augmentation, Custom):
    """An augmentation of custom code."""

    name: PartName

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        augmented: Tensor = self._call(images, generator)
        return augmented


class CustomNormalisedAugmentation(CustomAugmentation):
    """One whose code is marked to work on normalised pixels; what is written is a `CustomAugmentation`."""

    normalised = True


KINDS = by_name(Crop, Flip, Cutout, RandomResizedCrop, ColorJitter, Noise)
if TYPE_CHECKING:
    AnyAugmentation = Augmentation
else:
    AnyAugmentation = one_of([*KINDS.values()], CustomAugmentation, "augmentation")
