"""Optimizers by name: one class each, which carries its options, its summary, and how it is built.

A new optimizer is one more class here and in `KINDS`. torch is imported when one is built.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from ablation.registry.custom_names import PartName
from ablation.registry.options import (
    Custom,
    NotNegative,
    Positive,
    Probability,
    Section,
    by_name,
    one_of,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

    Parameters = Iterable[nn.Parameter] | Iterable[dict[str, Any]]


class Optimizer(Section):
    """The options that every optimizer has. `lr` is the rate that the schedule starts from."""

    name: str
    lr: Positive = 0.01
    weight_decay: NotNegative = 0.0
    head_lr_multiplier: Positive = 1.0

    @abstractmethod
    def build(self, parameters: Parameters, *, fused: bool = False) -> torch.optim.Optimizer:
        """The torch optimizer of `parameters`; `fused` updates all weights in one kernel, where it has one."""


class Sgd(Optimizer):
    """Stochastic gradient descent with momentum, Nesterov and L2 weight decay."""

    name: Literal["sgd"]
    momentum: Probability = 0.0
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            hint = "set optimizer.momentum, for example 0.9"
            raise PydanticCustomError("nesterov", "Nesterov needs a momentum above 0", {"hint": hint})
        return self

    def build(self, parameters: Parameters, *, fused: bool = False) -> torch.optim.Optimizer:
        from torch.optim import SGD

        own = _options(self, "lr", "momentum", "nesterov", "weight_decay")
        return SGD(parameters, **own, **_fused(fused))


class _AdamLike(Optimizer):
    beta1: Probability = 0.9
    beta2: Probability = 0.999
    eps: Positive = 1e-8

    def _options(self, fused: bool) -> dict[str, Any]:
        return {"betas": (self.beta1, self.beta2), **_options(self, "lr", "eps", "weight_decay"), **_fused(fused)}


class Adam(_AdamLike):
    """Adam (Kingma and Ba 2015); weight decay is L2."""

    name: Literal["adam"]

    def build(self, parameters: Parameters, *, fused: bool = False) -> torch.optim.Optimizer:
        from torch.optim import Adam

        return Adam(parameters, **self._options(fused))


class AdamW(_AdamLike):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    name: Literal["adamw"]

    def build(self, parameters: Parameters, *, fused: bool = False) -> torch.optim.Optimizer:
        from torch.optim import AdamW

        return AdamW(parameters, **self._options(fused))


class RmsProp(Optimizer):
    """RMSprop (Hinton 2012) with momentum; weight decay is L2.

    `alpha` is the share of the old mean square that is kept.
    """

    name: Literal["rmsprop"]
    alpha: Probability = 0.99
    eps: Positive = 1e-8
    momentum: Probability = 0.0

    def build(self, parameters: Parameters, *, fused: bool = False) -> torch.optim.Optimizer:
        from torch.optim import RMSprop  # has no fused kernel

        return RMSprop(parameters, **_options(self, "lr", "alpha", "eps", "momentum", "weight_decay"))


def _options(optimizer: Optimizer, *names: str) -> dict[str, Any]:
    return {name: getattr(optimizer, name) for name in names}


def _fused(fused: bool) -> dict[str, Any]:
    return {"fused": True} if fused else {}  # False would choose torch's slowest implementation


class CustomOptimizer(Optimizer, Custom):
    """An optimizer of custom code; the default of `weight_decay` is 0 and not that of the code."""

    name: PartName
    lr: Positive

    def build(self, parameters: Parameters, *, fused: bool = False) -> torch.optim.Optimizer:
        built: torch.optim.Optimizer = self._call(parameters)
        return built


KINDS = by_name(Sgd, Adam, AdamW, RmsProp)
if TYPE_CHECKING:
    AnyOptimizer = Optimizer
else:
    AnyOptimizer = one_of([*KINDS.values()], CustomOptimizer, "optimizer")
