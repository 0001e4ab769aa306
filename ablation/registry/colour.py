"""Colour jitter of whole batches of uint8 images (batch, channels, h, w), with a factor (batch,) for each image.

The formulas are those of torchvision's `adjust_brightness`, `adjust_contrast` and `adjust_saturation`, to the bit for
factors that float32 can hold.
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in the grey value (ITU-R BT.601)."""


def color_jitter(images: Tensor, strengths: tuple[float, float, float], stream: torch.Generator) -> Tensor:
    """Brightness, contrast and saturation, in this order, times random factors.

    A factor is uniform between 1 - strength (at least 0) and 1 + strength. torchvision shuffles the order as well.
    """
    draws = torch.rand((3, len(images)), generator=stream, device=images.device)
    for adjust, strength, draw in zip((brightness, contrast, saturation), strengths, draws, strict=True):
        lowest = max(0.0, 1 - strength)
        if strength > 0:
            images = adjust(images, lowest + (1 + strength - lowest) * draw)
    return images


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Between black (factor 0) and the image (1), or beyond it."""
    return _blend(images, torch.zeros((), device=images.device), factors)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Between the mean grey of the image (factor 0) and the image (1), or beyond it."""
    return _blend(images, _grey(images).float().mean((1, 2, 3), keepdim=True), factors)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Between the image in grey (factor 0) and the image (1), or beyond it; images of one channel stay as they are."""
    return images if images.shape[1] == 1 else _blend(images, _grey(images), factors)


def _grey(images: Tensor) -> Tensor:
    if images.shape[1] == 1:
        return images
    red, green, blue = images.float().unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).to(torch.uint8)[:, None]


def _blend(images: Tensor, other: Tensor, factors: Tensor) -> Tensor:
    share = factors[:, None, None, None]
    return (share * images + (1 - share) * other).clamp(0, 255).to(torch.uint8)
