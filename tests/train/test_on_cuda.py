"""What is done on CUDA only, as far as a machine without it can say: fused optimizers, memory layout, pools."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from ablation.registry.models.layers import MaxPool2d
from ablation.registry.optimizers import Adam, AdamW, Optimizer, RmsProp, Sgd
from ablation.training import device
from ablation.training.checkpoint import load_optimizer

OPTIMIZERS: tuple[Optimizer, ...] = (
    Sgd(name="sgd", lr=0.1, momentum=0.9, weight_decay=1e-3),
    Adam(name="adam", weight_decay=1e-3),
    AdamW(name="adamw", weight_decay=1e-3),
)
IDS = [options.name for options in OPTIMIZERS]


def steps(network: nn.Module, optimizer: torch.optim.Optimizer, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        images = torch.randn(8, 6, generator=torch.Generator().manual_seed(number))
        optimizer.zero_grad()
        network(images).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("options", OPTIMIZERS, ids=IDS)
@pytest.mark.parametrize("fused", [False, True])
def test_the_state_of_an_optimizer_goes_on_in_one_that_is_fused_or_not(options: Optimizer, fused: bool) -> None:
    """As when a checkpoint is moved between a CPU and CUDA: torch has its fused optimizers on a CPU too."""
    whole = nn.Linear(6, 4)
    parts, again = copy.deepcopy(whole), copy.deepcopy(whole)
    steps(whole, options.build(whole.parameters()), 6)
    before = options.build(parts.parameters(), fused=fused)
    steps(parts, before, 3)
    again.load_state_dict(parts.state_dict())
    after = options.build(again.parameters(), fused=not fused)
    load_optimizer(after, copy.deepcopy(before.state_dict()))
    assert bool(after.param_groups[0]["fused"]) is not fused
    steps(again, after, 3, first=3)
    for name, value in whole.named_parameters():
        torch.testing.assert_close(value, again.get_parameter(name), rtol=1e-5, atol=1e-6)


def test_an_optimizer_without_a_fused_form_is_built_and_loaded_as_it_is() -> None:
    network = nn.Linear(6, 4)
    first, second = (RmsProp(name="rmsprop").build(network.parameters(), fused=True) for _ in range(2))
    steps(network, first, 1)
    load_optimizer(second, first.state_dict())
    assert second.state_dict()["param_groups"] == first.state_dict()["param_groups"]


def test_optimizers_are_fused_on_cuda_only() -> None:
    assert device.has_fused_optimizers(torch.device("cuda:0"))
    assert not device.has_fused_optimizers(torch.device("cpu"))
    assert not OPTIMIZERS[0].build(nn.Linear(2, 2).parameters()).param_groups[0]["fused"]


@pytest.mark.parametrize(
    ("norm", "on_cuda"),
    [
        (nn.BatchNorm2d(8), torch.channels_last),
        (nn.Identity(), torch.channels_last),
        (nn.GroupNorm(2, 8), torch.contiguous_format),
        (nn.InstanceNorm2d(8), torch.contiguous_format),
    ],
    ids=lambda value: type(value).__name__,
)
def test_networks_whose_norms_need_the_plain_layout_have_it_on_cuda(norm: nn.Module, on_cuda: Any) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), norm)
    assert device.layout(network, "cuda") == on_cuda
    assert device.layout(network, "cpu") == torch.channels_last


@pytest.mark.parametrize("plain", [True, False])
def test_a_network_gets_its_images_in_its_own_layout(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8))
    network[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].is_contiguous()))
    if plain:
        monkeypatch.setattr(device, "layout", lambda *_: torch.contiguous_format)
    device.place(network, torch.device("cpu"))
    images = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    out = network(images)
    assert seen == [plain]
    assert network[0].weight.is_contiguous() is plain
    assert out.is_contiguous() is plain


def test_a_narrow_pool_in_bf16_goes_through_float_on_a_cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []
    original = torch.nn.functional.max_pool2d

    def pool(input: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        seen.append(input.dtype)
        out: torch.Tensor = original(input, *args, **kwargs)
        return out

    monkeypatch.setattr(torch.nn.functional, "max_pool2d", pool)
    for where in ("cpu", "meta"):
        MaxPool2d(2)(torch.empty(2, 6, 8, 8, dtype=torch.bfloat16, device=where))
    assert seen == [torch.float32, torch.bfloat16]
