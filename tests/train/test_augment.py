"""Batched augmentation against what it means for a single image."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from ablation.registry.augmentations import ColorJitter, Crop, Cutout, Flip, Noise, RandomResizedCrop
from ablation.rng import generator
from ablation.training.augment import Augmenter


@pytest.fixture
def images(place: torch.device) -> torch.Tensor:
    return torch.randint(1, 256, (64, 3, 12, 10), dtype=torch.uint8).to(place)


def stream(place: torch.device, name: str = "x") -> torch.Generator:
    return generator(0, name, device=place)


def test_a_crop_is_a_window_of_the_padded_image(images: torch.Tensor, place: torch.device) -> None:
    cropped = Crop(padding=3).apply(images, stream(place))
    padded = functional.pad(images, (3, 3, 3, 3))
    offsets = set()
    for before, after in zip(padded, cropped, strict=True):
        windows = {(y, x) for y in range(7) for x in range(7) if torch.equal(before[:, y : y + 12, x : x + 10], after)}
        assert windows
        offsets |= windows
    assert len(offsets) > 20


def test_a_flip_mirrors_about_the_given_share(images: torch.Tensor, place: torch.device) -> None:
    flipped = Flip(probability=0.25).apply(images, stream(place))
    mirrored = sum(torch.equal(a.flip(2), b) for a, b in zip(images, flipped, strict=True))
    kept = sum(torch.equal(a, b) for a, b in zip(images, flipped, strict=True))
    assert mirrored + kept == 64
    assert 6 <= mirrored <= 28


def test_a_flip_with_probability_one_mirrors_all(images: torch.Tensor, place: torch.device) -> None:
    assert torch.equal(Flip(probability=1.0).apply(images, stream(place)), images.flip(3))


def test_cutout_blanks_one_square_that_may_reach_over_the_edge(images: torch.Tensor, place: torch.device) -> None:
    cut = Cutout(size=4).apply(images, stream(place))
    areas = []
    for before, after in zip(images, cut, strict=True):
        blank = (after == 0).all(0)
        rows, columns = blank.any(1).nonzero().flatten(), blank.any(0).nonzero().flatten()
        assert torch.equal(before * ~blank, after)
        assert int(blank.sum()) == len(rows) * len(columns)
        areas.append(int(blank.sum()))
    assert max(areas) == 16
    assert min(areas) < 16


def test_noise_has_the_given_deviation_and_no_mean(place: torch.device) -> None:
    pixels = torch.ones(64, 3, 32, 32, device=place)
    added = Noise(sd=0.3).apply(pixels, stream(place)) - pixels
    assert added.mean().item() == pytest.approx(0, abs=0.01)
    assert added.std().item() == pytest.approx(0.3, rel=0.02)
    assert not torch.equal(added[0], added[1])


def test_the_same_augmentation_twice_draws_twice(images: torch.Tensor, place: torch.device) -> None:
    once, twice = (Augmenter((Cutout(size=2),) * times, 5, place).epoch(1)(images) for times in (1, 2))
    assert (twice == 0).sum() > 1.5 * (once == 0).sum()


@pytest.mark.parametrize("other", [Crop(), Cutout(), RandomResizedCrop(), ColorJitter()])
def test_flips_are_the_same_whatever_else_is_drawn(other, images: torch.Tensor, place: torch.device) -> None:  # type: ignore[no-untyped-def]
    alone, after = Augmenter((Flip(),), 5, place), Augmenter((other, Flip()), 5, place)
    only = Augmenter((other,), 5, place).epoch(1)(images)
    flipped = (alone.epoch(1)(images) == images.flip(3)).flatten(1).all(1)
    assert torch.equal(after.epoch(1)(images), torch.where(flipped[:, None, None, None], only.flip(3), only))


def test_one_augmentation_does_not_disturb_another(images: torch.Tensor, place: torch.device) -> None:
    both = Augmenter((Flip(), Cutout(size=2)), 5, place).epoch(1)(images)
    alone = Augmenter((Flip(),), 5, place).epoch(1)(images)
    assert torch.equal(both * (both > 0), alone * (both > 0))


def test_every_epoch_is_augmented_anew_and_repeatably(images: torch.Tensor, place: torch.device) -> None:
    def augmented(seed: int, epoch: int) -> torch.Tensor:
        return Augmenter((Crop(), Flip()), seed, place).epoch(epoch)(images)

    assert torch.equal(augmented(0, 1), augmented(0, 1))
    assert not torch.equal(augmented(0, 1), augmented(0, 2))
    assert not torch.equal(augmented(0, 1), augmented(1, 1))
