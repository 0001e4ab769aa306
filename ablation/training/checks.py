"""What a run looks at in itself before it trains: mistakes of data handling that no result would show.

Each finding is a code and what was seen; they are stored with the run, and the report says what to do about them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ablation.data.sources import ImageSet
from ablation.training.data import Loader

TOLERANCE = 1e-3
"""Of a mean in grey levels 0..255."""
FEW = 8
"""Images that a network is asked about twice."""


def self_checks(model: nn.Module, loader: Loader, images: ImageSet) -> dict[str, str]:
    """Code -> what was seen, for every check that fails. The model is left in evaluation mode."""
    found = {
        "duplicate_images": _duplicates(images.twins, loader),
        "augmented_validation": _augmented(images.images, loader),
        "leaked_normalisation": _leaked(images, loader),
        "unstable_evaluation": _unstable(model, loader),
    }
    return {code: message for code, message in found.items() if message}


def _duplicates(twins: Tensor, loader: Loader) -> str:
    """Validation images that are, to the byte, also trained on."""
    count = int(torch.isin(twins[loader.split.val], twins[loader.split.train]).sum())
    return f"{count} of {len(loader.split.val)} validation images are also trained on" if count else ""


def _augmented(images: Tensor, loader: Loader) -> str:
    """A first validation batch that does not hold the images as they are."""
    batch, _ = next(iter(loader.val()))
    chosen = images[loader.split.val[: len(batch)]]
    if batch.shape[2:] != chosen.shape[2:]:
        return ""  # resized: its pixels are others
    shift, scale = (each.cpu().view(1, -1, 1, 1) for each in (loader.view.shift, loader.view.scale))
    restored = (batch.cpu() / scale + shift).round().to(torch.uint8)
    return (
        ""
        if torch.equal(restored, chosen.expand_as(restored))
        else "validation images are changed before the network sees them"
    )


def _leaked(images: ImageSet, loader: Loader) -> str:
    """A normalisation that is not that of the images trained on."""
    if not loader.fitted:
        return ""
    pixels = len(loader.split.train) * images.images.shape[2] * images.images.shape[3]
    mean = images.sums[loader.split.train, :, 0].sum(0).double() / pixels
    if (mean - loader.view.shift.cpu()).abs().max() > TOLERANCE:
        return "pixels are normalised with statistics of other images than those trained on"
    return ""


@torch.no_grad()
def _unstable(model: nn.Module, loader: Loader) -> str:
    """A model whose output differs when asked again, or for a smaller batch."""
    model.eval()
    images = next(iter(loader.val()))[0][:FEW]
    first, again, alone = model(images), model(images), model(images[:1])
    if torch.equal(first, again) and torch.allclose(first[:1], alone, rtol=1e-2, atol=1e-3):
        return ""
    return "the network gives two answers to the same image while it is evaluated"
