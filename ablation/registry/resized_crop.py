"""Random parts of images, resized to the whole: the "Inception crop" in batch. Boxes are (top, left, height, width)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

TRIES = 10
"""Boxes drawn for each image; where none fits into it, its middle is taken, as in torchvision."""

Range = tuple[float, float]


def random_resized_crop(images: Tensor, scale: Range, ratio: Range, stream: torch.Generator) -> Tensor:
    """A random box of each image (batch, channels, h, w), uint8, scaled up to the size of the image."""
    boxes = random_boxes(len(images), (images.shape[2], images.shape[3]), scale, ratio, stream)
    return resize_boxes(images, boxes)


def random_boxes(batch: int, size: tuple[int, int], scale: Range, ratio: Range, stream: torch.Generator) -> Tensor:
    """Boxes (4, batch) in images of `size` (height, width), in whole pixels.

    As torchvision's `RandomResizedCrop.get_params`: the share of the area uniform in `scale`, the logarithm of width to
    height uniform in that of `ratio`, the first of ten draws that fits, its place uniform. Szegedy et al. 2015.
    """
    height, width = size
    draws = torch.rand((2, TRIES, batch), generator=stream, device=stream.device)
    place = torch.rand((2, batch), generator=stream, device=stream.device)
    area = height * width * (scale[0] + (scale[1] - scale[0]) * draws[0])
    aspect = torch.exp(math.log(ratio[0]) + math.log(ratio[1] / ratio[0]) * draws[1])
    widths, heights = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    chosen = fits.int().argmax(0, keepdim=True)
    fitting = fits.any(0)
    middle = _middle(height, width, ratio)
    h = torch.where(fitting, heights.gather(0, chosen)[0], middle[0])
    w = torch.where(fitting, widths.gather(0, chosen)[0], middle[1])
    top = torch.minimum((place[0] * (height - h + 1)).long(), height - h)
    left = torch.minimum((place[1] * (width - w + 1)).long(), width - w)
    top = torch.where(fitting, top, (height - middle[0]) // 2)
    return torch.stack([top, torch.where(fitting, left, (width - middle[1]) // 2), h, w])


def _middle(height: int, width: int, ratio: Range) -> tuple[int, int]:
    """(height, width) of the largest box with an allowed ratio, or the whole image where its own is allowed."""
    if width / height < ratio[0]:
        return round(width / ratio[0]), width
    if width / height > ratio[1]:
        return height, round(height * ratio[1])
    return height, width


def resize_boxes(images: Tensor, boxes: Tensor) -> Tensor:
    """The boxes of uint8 images, bilinearly scaled up to the images' size and rounded.

    The centres of pixels are mapped onto each other and the edge is continued, as in torch's `interpolate` with
    `align_corners=False`.
    """
    height, width = images.shape[2:]
    top, left, h, w = boxes[:, :, None].float()
    rows = top + _centres(h, height)
    columns = left + _centres(w, width)
    x = (2 * columns / (width - 1) - 1)[:, None, :].expand(-1, height, -1)
    y = (2 * rows / (height - 1) - 1)[:, :, None].expand(-1, -1, width)
    sampled = functional.grid_sample(images.float(), torch.stack([x, y], 3), align_corners=True, padding_mode="border")
    return sampled.round().to(torch.uint8)


def _centres(sides: Tensor, size: int) -> Tensor:
    """Where in boxes of `sides` (batch, 1) pixels each of `size` pixels lies: (batch, size), from 0 to sides - 1."""
    positions = (torch.arange(size, device=sides.device) + 0.5) * sides / size - 0.5
    return torch.minimum(positions.clamp(min=0), sides - 1)
