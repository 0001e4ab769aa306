"""No network calls an operator that raises on CUDA in deterministic mode; only torch's own list says which do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ablation.registry.torchvision_names import SPECS

from .operators import (
    DOCUMENTED,
    OF_TORCH,
    RAISING,
    Case,
    all_own_cases,
    audit,
    documented,
    own_cases,
    torchvision_cases,
)

FAMILIES = (
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "swin_t",
    "swin_v2_t",
    "vgg11",
    "vit_b_32",
)

LARGER = (
    *("convnext_base", "convnext_large", "densenet201", "efficientnet_v2_l", "regnet_x_32gf", "regnet_y_16gf"),
    *("regnet_y_32gf", "regnet_y_128gf", "resnet152", "resnext101_64x4d", "swin_b", "swin_v2_b", "vgg19", "vgg19_bn"),
    *("vit_h_14", "vit_l_16", "vit_l_32", "wide_resnet101_2"),
)
"""Networks with more and wider layers of the kinds that a smaller network of their family has."""


def raising(case: Case) -> set[str]:
    return audit(case.build(), case.image) & RAISING


def test_the_list_of_operators_is_that_of_this_torch() -> None:
    """A new torch with another list fails here: map its entries to their aten operators in `DOCUMENTED`."""
    if tuple(map(int, torch.__version__.split(".")[:2])) < OF_TORCH:
        pytest.skip("`DOCUMENTED` is the list of a newer torch")
    assert set(documented()) == set(DOCUMENTED)


def test_every_operator_of_the_list_exists_in_this_torch() -> None:
    known = {schema.name for schema in torch._C._jit_get_all_schemas()}
    assert known >= RAISING


@pytest.mark.parametrize(
    ("layer", "operator"),
    [
        (nn.AdaptiveAvgPool2d(2), "aten::_adaptive_avg_pool2d_backward"),
        (nn.AdaptiveMaxPool2d(2), "aten::adaptive_max_pool2d_backward"),
        (nn.ReflectionPad2d(1), "aten::reflection_pad2d_backward"),
        (nn.Upsample(scale_factor=2, mode="bicubic"), "aten::upsample_bicubic2d_backward"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_the_audit_finds_a_layer_that_raises(layer: nn.Module, operator: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), layer, nn.Flatten(), nn.LazyLinear(7))
    network(torch.zeros(2, 3, 9, 9))
    assert audit(network, (3, 9, 9)) & RAISING == {operator}


@pytest.mark.slow
def test_no_network_of_ours_has_an_operator_that_raises() -> None:
    assert {case.name: found for case in own_cases() if (found := raising(case))} == {}


@pytest.mark.slow
def test_no_combination_of_options_has_an_operator_that_raises() -> None:
    assert {case.name: found for case in all_own_cases() if (found := raising(case))} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_no_family_of_torchvision_has_an_operator_that_raises(name: str) -> None:
    assert raising(next(torchvision_cases(name))) == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_no_family_of_torchvision_has_one_at_the_size_of_its_weights(name: str) -> None:
    assert {case.name: found for case in [*torchvision_cases(name)][1:] if (found := raising(case))} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SPECS if name not in (*FAMILIES, *LARGER)])
def test_no_other_network_of_torchvision_has_an_operator_that_raises(name: str) -> None:
    assert {case.name: found for case in torchvision_cases(name) if (found := raising(case))} == {}
