"""Initial weights, each drawn from a stream of its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from ablation.rng import generator
from ablation.study.networks import Init
from ablation.training.models.layers import Network
from ablation.training.models.resnet import BasicBlock, Residual

SMALL_DEVIATION = 0.01
BRANCH_SCALE = 0.1

_Weighted = nn.Conv2d | nn.Linear


@torch.no_grad()
def initialise(model: nn.Module, seed: int, init: Init, head: nn.Module | None = None) -> None:
    """Set every parameter in place, each from (seed, its own name), and reset running statistics.

    Models that differ in some layers therefore agree in all others. The numbers are drawn on the CPU, whatever the
    device of the model, and do not depend on the activation. `init` has a scheme for convolutions and one for linear
    layers, the head included:

    - `kaiming`: He et al. (2015), normal with variance 2 / fan_in; the head normal with standard deviation 0.01, as
      Goyal et al. (2017) have it; biases 0. Without normalisation, the last convolution of each residual branch
      starts at a tenth of that: otherwise shortcut and branch would add up, and the variance about double with every
      block. A tenth is the residual scaling of Szegedy et al. (2017), here of the initial weights only; Hanin & Rolnick
      (2018) show why a bounded sum of such factors is enough. Zero, as in Fixup (Zhang et al. 2019), would never
      leave zero where a ReLU ends the branch, as in ResNet-9.
    - `xavier`: Glorot & Bengio (2010), uniform with variance 2 / (fan_in + fan_out); biases 0.
    - `normal`: normal with standard deviation 0.01, as Krizhevsky et al. (2012) have it; biases 0.
    - `default`: what torch's layers start with: weights and biases uniform within 1 / sqrt(fan_in).

    `head` is the last linear layer; a `Network` knows its own. Raises `TypeError` for a layer that it has no rule for.
    """
    head = model.head if isinstance(model, Network) else head
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            scheme = init.conv if isinstance(module, nn.Conv2d) else init.linear
            _initialise_weighted(name, module, seed, scheme, head=module is head)
        elif isinstance(module, nn.GroupNorm | nn.LayerNorm | _NormBase):
            _reset_norm(module)
        elif not _has_rule(module):
            raise TypeError(f"no rule for the initial weights of {name} ({type(module).__name__})")
    if init.conv == "kaiming":
        _shrink_branches_without_norm(model)


def knows(model: nn.Module) -> bool:
    """Whether `initialise` has a rule for every layer of the model."""
    return all(_has_rule(module) for module in model.modules())


def _has_rule(module: nn.Module) -> bool:
    known = isinstance(module, nn.Conv2d | nn.Linear | nn.GroupNorm | nn.LayerNorm | _NormBase)
    return known or next(module.parameters(recurse=False), None) is None


@torch.no_grad()
def initialise_head(name: str, head: nn.Linear, seed: int, scheme: str) -> None:
    """Set the parameters of the last linear layer alone, from (seed, `name`), as `initialise` would."""
    _initialise_weighted(name, head, seed, scheme, head=True)


def _initialise_weighted(name: str, module: _Weighted, seed: int, scheme: str, *, head: bool) -> None:
    fan_in = module.weight[0].numel()
    fan_out = module.weight.numel() // max(1, module.weight.shape[1])
    weight = torch.empty(module.weight.shape, device="cpu")
    stream = generator(seed, "init", f"{name}.weight")
    if scheme == "normal" or (scheme == "kaiming" and head):
        weight.normal_(0, SMALL_DEVIATION, generator=stream)
    elif scheme == "kaiming":
        weight.normal_(0, math.sqrt(2 / fan_in), generator=stream)
    else:
        bound = math.sqrt(6 / (fan_in + fan_out)) if scheme == "xavier" else 1 / math.sqrt(fan_in)
        weight.uniform_(-bound, bound, generator=stream)
    module.weight.copy_(weight)
    if module.bias is not None:
        module.bias.copy_(_initial_bias(module.bias, fan_in, f"{name}.bias", seed, scheme))


def _initial_bias(bias: Tensor, fan_in: int, name: str, seed: int, scheme: str) -> Tensor:
    if scheme != "default":
        return torch.zeros_like(bias)
    bound = 1 / math.sqrt(fan_in)
    return torch.empty(bias.shape, device="cpu").uniform_(-bound, bound, generator=generator(seed, "init", name))


def _reset_norm(module: nn.GroupNorm | nn.LayerNorm | _NormBase) -> None:
    if isinstance(module, _NormBase):
        module.reset_running_stats()
    if module.weight is not None:
        module.weight.fill_(1)
    if module.bias is not None:
        module.bias.fill_(0)


def _shrink_branches_without_norm(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, BasicBlock | Residual) and isinstance(module.norm2, nn.Identity):
            module.get_parameter("conv2.weight").mul_(BRANCH_SCALE)
