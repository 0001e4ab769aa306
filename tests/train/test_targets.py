"""Mixup against the formulas of its paper."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ablation.training.targets import Mixup, Targets


def batch(place: torch.device, size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, 3, 8, 8, generator=generator)
    return images.to(place), torch.randint(0, 10, (size,), generator=generator).to(place)


def test_images_and_partners_are_mixed_by_one_share(place: torch.device) -> None:
    images, labels = torch.arange(16, device=place).view(16, 1, 1, 1).double(), torch.arange(16, device=place)
    mixed, targets = Mixup(0.4, 0, 1, place)(images, labels)
    assert targets.partners is not None
    assert sorted(targets.partners.tolist()) == list(range(16))
    expected = targets.share * labels + (1 - targets.share) * targets.partners
    assert torch.allclose(mixed.flatten(), expected.double())


def test_the_loss_is_that_of_mixed_one_hot_labels(place: torch.device) -> None:
    """Equation 1 of Zhang et al. 2018: the cross-entropy with the mixed label vector, smoothed or not."""
    images, labels = batch(place)
    _, targets = Mixup(0.4, 0, 1, place)(images, labels)
    assert targets.partners is not None
    logits = torch.randn(16, 10, device=place)
    first, second = (functional.one_hot(y, 10).float() for y in (targets.labels, targets.partners))
    soft = targets.share * first + (1 - targets.share) * second
    for smoothing in (0.0, 0.2):
        expected = functional.cross_entropy(logits, soft, label_smoothing=smoothing)
        assert targets.loss(logits, smoothing).item() == pytest.approx(expected.item(), rel=1e-5)


def test_an_answer_counts_as_much_as_its_label_has_a_share(place: torch.device) -> None:
    logits = functional.one_hot(torch.tensor([0, 1, 2, 3], device=place), 4).float()
    labels, partners = torch.tensor([[0, 0, 0, 3], [1, 1, 1, 3]], device=place)
    assert Targets(labels, partners, 0.75).hits(logits).item() == 0.75 + 0.25 + 0 + 1
    assert Targets(labels).hits(logits).item() == 2


def test_without_mixup_nothing_is_touched(place: torch.device) -> None:
    images, labels = batch(place)
    same, targets = Mixup(0.0, 0, 1, place)(images, labels)
    assert same is images
    assert targets.labels is labels
    assert targets.partners is None


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_follow_the_beta_distribution(alpha: float, place: torch.device) -> None:
    images, labels = batch(place, 2)
    mixup = Mixup(alpha, 0, 1, place)
    shares = torch.tensor([mixup(images, labels)[1].share for _ in range(4000)])
    variance = 1 / (4 * (2 * alpha + 1))
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
    assert shares.var().item() == pytest.approx(variance, rel=0.1)


def test_every_epoch_and_seed_mixes_anew_and_repeatably(place: torch.device) -> None:
    images, labels = batch(place)

    def mixed(seed: int, epoch: int) -> torch.Tensor:
        return Mixup(0.4, seed, epoch, place)(images, labels)[0]

    assert torch.equal(mixed(0, 1), mixed(0, 1))
    assert not torch.equal(mixed(0, 1), mixed(0, 2))
    assert not torch.equal(mixed(0, 1), mixed(1, 1))
