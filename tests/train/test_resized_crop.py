"""Random resized crops in batch against torchvision, box by box."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.transforms import functional as torchvision
from torchvision.transforms.v2 import functional as exact

from ablation.registry.resized_crop import random_boxes, random_resized_crop, resize_boxes
from ablation.rng import generator

SIZES = [(32, 32), (12, 20)]


def stream(place: torch.device) -> torch.Generator:
    return generator(0, "x", device=place)


@pytest.mark.parametrize("size", SIZES)
def test_each_box_is_resized_as_torchvision_does(size: tuple[int, int], place: torch.device) -> None:
    images = torch.randint(0, 256, (64, 3, *size), dtype=torch.uint8).to(place)
    boxes = random_boxes(64, size, (0.08, 1.0), (0.75, 1.33), stream(place))
    resized = resize_boxes(images, boxes)
    assert resized.dtype == torch.uint8
    assert resized.shape == images.shape
    for image, box, result in zip(images, boxes.T.tolist(), resized, strict=True):
        precise = torchvision.resized_crop(image.float(), *box, list(size), antialias=True)
        assert (result.float() - precise).abs().max() <= 0.501
        rounded = exact.resized_crop(image, *box, list(size), antialias=True)
        assert (result.int() - rounded.int()).abs().max() <= 1


def test_the_whole_image_stays_as_it_is(place: torch.device) -> None:
    images = torch.randint(0, 256, (8, 1, 8, 8), dtype=torch.uint8).to(place)
    assert torch.equal(random_resized_crop(images, (1.0, 1.0), (1.0, 1.0), stream(place)), images)


@pytest.mark.parametrize("size", SIZES)
def test_boxes_lie_inside_and_keep_to_scale_and_ratio(size: tuple[int, int], place: torch.device) -> None:
    height, width = size
    top, left, h, w = random_boxes(5000, size, (0.2, 0.6), (0.5, 2.0), stream(place)).cpu()
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + h <= height).all()
    assert (left + w <= width).all()
    share = h * w / (height * width)
    assert share.min() > 0.15
    assert share.max() < 0.7
    ratio = w / h
    assert ratio.min() > 0.4
    assert ratio.max() < 2.5


def test_boxes_are_distributed_as_torchvision_draws_them(place: torch.device) -> None:
    from torchvision.transforms import RandomResizedCrop

    scale, ratio = (0.08, 1.0), (3 / 4, 4 / 3)
    image = torch.zeros(3, 32, 32)
    torch.manual_seed(0)
    theirs = torch.tensor([RandomResizedCrop.get_params(image, list(scale), list(ratio)) for _ in range(3000)]).float()
    ours = random_boxes(3000, (32, 32), scale, ratio, stream(place)).T.cpu().float()
    for column in range(4):
        error = math.sqrt(2 / 3000) * theirs[:, column].std().item()
        assert abs(ours[:, column].mean() - theirs[:, column].mean()).item() < 4 * error
        assert (ours[:, column].std() / theirs[:, column].std()).item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("size", "expected"), [((8, 100), [0, 44, 8, 11]), ((100, 8), [44, 0, 11, 8])])
def test_where_no_box_fits_the_middle_is_taken(size: tuple[int, int], expected: list[int], place: torch.device) -> None:
    """As torchvision: the largest box of an allowed ratio."""
    boxes = random_boxes(4, size, (1.0, 1.0), (3 / 4, 4 / 3), stream(place))
    assert boxes.T.tolist() == [expected] * 4


def test_every_draw_takes_a_place_of_its_own(place: torch.device) -> None:
    top, left, *_ = random_boxes(500, (32, 32), (0.1, 0.3), (1.0, 1.0), stream(place))
    assert len(top.unique()) > 15
    assert len(left.unique()) > 15
