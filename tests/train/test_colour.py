"""Colour jitter in batch against torchvision, image by image."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional as torchvision

from ablation.registry.colour import brightness, color_jitter, contrast, saturation
from ablation.rng import generator

PAIRS: list[tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, float], Tensor]]] = [
    (brightness, torchvision.adjust_brightness),
    (contrast, torchvision.adjust_contrast),
    (saturation, torchvision.adjust_saturation),
]


def pictures(channels: int, place: torch.device) -> Tensor:
    stream = generator(0, "pictures")
    return torch.randint(0, 256, (16, channels, 12, 10), generator=stream, dtype=torch.uint8).to(place)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_each_image_is_changed_as_torchvision_would_by_its_own_factor(ours, theirs, channels: int, place) -> None:  # type: ignore[no-untyped-def]
    images = pictures(channels, place)
    factors = torch.arange(16, device=place) / 8
    changed = ours(images, factors)
    assert changed.dtype == torch.uint8
    for image, factor, result in zip(images, factors.tolist(), changed, strict=True):
        assert torch.equal(result, theirs(image, factor))


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_any_factor_gives_what_torchvision_gives_but_for_rounding(ours, theirs, place) -> None:  # type: ignore[no-untyped-def]
    images = pictures(3, place)
    factors = torch.rand(16, generator=generator(0, "factors", device=place), device=place) * 2
    for image, factor, result in zip(images, factors.tolist(), ours(images, factors), strict=True):
        apart = (result.int() - theirs(image, factor).int()).abs()
        assert apart.max() <= 1
        assert (apart > 0).float().mean() < 0.01


def test_the_factors_fill_the_range_around_one(place: torch.device) -> None:
    images = torch.full((2000, 1, 8, 8), 100, dtype=torch.uint8, device=place)
    values = color_jitter(images, (0.4, 0, 0), generator(0, "x", device=place))[:, 0, 0, 0]
    assert values.min().item() == pytest.approx(60, abs=2)
    assert values.max().item() == pytest.approx(139, abs=2)
    assert values.float().mean().item() == pytest.approx(100, abs=2)


def test_a_factor_is_never_negative(place: torch.device) -> None:
    images = torch.full((500, 1, 8, 8), 50, dtype=torch.uint8, device=place)
    values = color_jitter(images, (3.0, 0, 0), generator(0, "x", device=place))[:, 0, 0, 0]
    assert values.min() <= 2
    assert values.max().item() == pytest.approx(200, abs=4)


def test_leaving_out_the_contrast_does_not_disturb_the_saturation(place: torch.device) -> None:
    images = pictures(3, place)
    draws = torch.rand((3, 16), generator=generator(0, "x", device=place), device=place)
    alone = color_jitter(images, (0, 0, 0.4), generator(0, "x", device=place))
    assert torch.equal(alone, saturation(images, 0.6 + 0.8 * draws[2]))
