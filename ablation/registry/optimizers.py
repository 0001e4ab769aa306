"""Optimizers by name: one class each, which carries its options, its summary, and how it is built.

A new optimizer is one more class here and in `KINDS`. torch is imported when one is built.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

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


class _OfTorch(Optimizer):
    """One of `torch.optim`, whose options have the names that torch gives them."""

    torch_name: ClassVar[str]
    has_fused: ClassVar[bool] = True

    def build(self, parameters: Parameters, *, fused: bool = False) -> torch.optim.Optimizer:
        import torch

        from ablation.registry.eager_optimizers import eager

        # fused=False would choose torch's slowest implementation
        kernel: dict[str, Any] = {"fused": True} if fused and self.has_fused else {}
        return eager(getattr(torch.optim, self.torch_name))(parameters, **self._keywords(), **kernel)

    def _keywords(self) -> dict[str, Any]:
        return self.model_dump(exclude={"name", "head_lr_multiplier"})


class Sgd(_OfTorch):
    """Stochastic gradient descent with momentum, Nesterov and L2 weight decay."""

    torch_name = "SGD"

    name: Literal["sgd"]
    momentum: Probability = 0.0
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            hint = "set optimizer.momentum, for example 0.9"
            raise PydanticCustomError("nesterov", "Nesterov needs a momentum above 0", {"hint": hint})
        return self


class _AdamLike(_OfTorch):
    beta1: Probability = 0.9
    beta2: Probability = 0.999
    eps: Positive = 1e-8

    def _keywords(self) -> dict[str, Any]:
        own = super()._keywords()
        return {"betas": (own.pop("beta1"), own.pop("beta2")), **own}


class Adam(_AdamLike):
    """Adam (Kingma and Ba 2015); weight decay is L2."""

    torch_name = "Adam"

    name: Literal["adam"]


class AdamW(_AdamLike):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    torch_name = "AdamW"

    name: Literal["adamw"]


class RmsProp(_OfTorch):
    """RMSprop (Hinton 2012) with momentum; weight decay is L2.

    `alpha` is the share of the old mean square that is kept.
    """

    torch_name = "RMSprop"
    has_fused = False

    name: Literal["rmsprop"]
    alpha: Probability = 0.99
    eps: Positive = 1e-8
    momentum: Probability = 0.0


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
