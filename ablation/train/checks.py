"""What a run looks at in itself before it trains: mistakes of data handling that no result would show.

Each finding is a code and what was seen; they are stored with the run, and the report says what to do about them.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ablation.train.data import Loader
from ablation.train.sources import ImageSet

TOLERANCE = 1e-3
"""Of a mean in grey levels 0..255."""


def self_checks(model: nn.Module, loader: Loader, images: ImageSet) -> dict[str, str]:
    """Code -> what was seen, for every check that fails. The model is left in evaluation mode."""
    found = {
        "duplicate_images": _duplicates(images.images, loader),
        "augmented_validation": _augmented(images.images, loader),
        "leaked_normalisation": _leaked(images.images, loader),
        "unstable_evaluation": _unstable(model, loader),
    }
    return {code: message for code, message in found.items() if message}


def _duplicates(images: Tensor, loader: Loader) -> str:
    """Validation images that are, to the byte, also trained on."""
    pixels = images.numpy()
    train = {_digest(pixels[index]) for index in loader.split.train.tolist()}
    count = sum(_digest(pixels[index]) in train for index in loader.split.val.tolist())
    return f"{count} of {len(loader.split.val)} validation images are also trained on" if count else ""


def _digest(image: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _augmented(images: Tensor, loader: Loader) -> str:
    """Validation batches that do not hold the images as they are."""
    start = 0
    for batch, _ in loader.val():
        chosen = images[loader.split.val[start : start + len(batch)]]
        restored = batch.cpu() / loader.view.scale.cpu() + loader.view.shift.cpu()
        if restored.shape[1:] == chosen.shape[1:] and not torch.equal(restored.round().to(torch.uint8), chosen):
            return "validation images are changed before the network sees them"
        start += len(batch)
    return ""


def _leaked(images: Tensor, loader: Loader) -> str:
    """A normalisation that is not that of the images trained on."""
    if not loader.fitted:
        return ""
    chunks = torch.split(loader.split.train, 4096)
    total = torch.stack([images[chunk].sum((0, 2, 3), dtype=torch.int64) for chunk in chunks]).sum(0)
    mean = total.double() / (len(loader.split.train) * images.shape[2] * images.shape[3])
    if (mean - loader.view.shift.flatten().cpu()).abs().max() > TOLERANCE:
        return "pixels are normalised with statistics of other images than those trained on"
    return ""


@torch.no_grad()
def _unstable(model: nn.Module, loader: Loader) -> str:
    """A network that answers differently when asked twice."""
    model.eval()
    images, _ = next(iter(loader.val()))
    if torch.equal(model(images), model(images)):
        return ""
    return "the network gives two answers to the same image while it is evaluated"
