"""Initial weights, each drawn from a stream of its own."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from ablation.registry.initial_weights import KINDS, Layer
from ablation.registry.models.layers import BasicBlock, Network, Residual
from ablation.rng import Seed, generator
from ablation.study.networks import Init

BRANCH_SCALE = 0.1

_Weighted = nn.Conv2d | nn.Linear


@torch.no_grad()
def initialise(model: nn.Module, seed: Seed, init: Init, head: nn.Module | None = None) -> None:
    """Set every parameter in place, each from (seed, its own name), and reset running statistics.

    Models that differ in some layers therefore agree in all others. The numbers are drawn on the CPU, whatever the
    device of the model, and do not depend on the activation. `init` has a scheme (`registry.initial_weights`) for
    convolutions and one for linear layers, the head included.

    With `kaiming` and without normalisation, the last convolution of each residual branch starts at a tenth of what is
    drawn: otherwise shortcut and branch would add up, and the variance about double with every block. A tenth is the
    residual scaling of Szegedy et al. (2017), here of the initial weights only; Hanin & Rolnick (2018) show why a
    bounded sum of such factors is enough. Zero, as in Fixup (Zhang et al. 2019), would never leave zero where a ReLU
    ends the branch, as in ResNet-9.

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
def initialise_head(name: str, head: nn.Linear, seed: Seed, scheme: str) -> None:
    """Set the parameters of the last linear layer alone, from (seed, `name`), as `initialise` would."""
    _initialise_weighted(name, head, seed, scheme, head=True)


def _initialise_weighted(name: str, module: _Weighted, seed: Seed, scheme: str, *, head: bool) -> None:
    own, layer = KINDS[scheme](), Layer(module.weight[0].numel(), module.weight[:, :1].numel(), head)
    weight = torch.empty(module.weight.shape, device="cpu")
    own.draw(weight, layer, generator(seed, "init", f"{name}.weight"))
    module.weight.copy_(weight)
    if module.bias is not None:
        bias = torch.zeros(module.bias.shape, device="cpu")
        if own.biases:
            own.draw(bias, layer, generator(seed, "init", f"{name}.bias"))
        module.bias.copy_(bias)


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
