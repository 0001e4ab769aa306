"""What the network is to answer to a batch: one label for each image, or two where mixup has mixed two images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ablation.rng import Seed, derive, generator


@dataclass(frozen=True)
class Targets:
    """Labels (n,), and where images were mixed the labels of their partners, with `share` the part of the first."""

    labels: Tensor
    partners: Tensor | None = None
    share: float = 1.0

    def loss(self, logits: Tensor, label_smoothing: float) -> Tensor:
        """Mean cross-entropy of logits (n, classes) in nats; for mixed images the mix of both labels' losses."""
        loss = functional.cross_entropy(logits, self.labels, label_smoothing=label_smoothing)
        if self.partners is None:
            return loss
        other = functional.cross_entropy(logits, self.partners, label_smoothing=label_smoothing)
        return self.share * loss + (1 - self.share) * other

    def hits(self, logits: Tensor) -> Tensor:
        """The number of right answers, as float64.

        To a mixed image the answer counts `share` where it is the first label, and the rest where it is the second.
        """
        answers = logits.argmax(1)
        right = (answers == self.labels).sum(dtype=torch.float64)
        if self.partners is None:
            return right
        return self.share * right + (1 - self.share) * (answers == self.partners).sum(dtype=torch.float64)


class Mixup:
    """Mixup (Zhang et al. 2018) for the batches of one epoch, in their order; with `alpha` 0 they stay as they are.

    As in the authors' code, each batch has one share, drawn from Beta(alpha, alpha), and each of its images a partner
    from the same batch, which may be the image itself. The shares come from the stream `mixup share`, drawn on the CPU,
    the partners from the stream `mixup partners`, drawn on the device.
    """

    def __init__(self, alpha: float, seed: Seed, epoch: int, device: torch.device) -> None:
        self._alpha = alpha
        self._shares = np.random.default_rng(derive(seed, "mixup share", epoch))
        self._partners = generator(seed, "mixup partners", epoch, device=device)

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Targets]:
        """Images (n, c, h, w) as floats and labels (n,) -> the images to train on, and what to answer to them."""
        if self._alpha == 0:
            return images, Targets(labels)
        share = float(self._shares.beta(self._alpha, self._alpha))
        order = torch.randperm(len(images), generator=self._partners, device=images.device)
        return share * images + (1 - share) * images[order], Targets(labels, labels[order], share)
