"""What marks custom code as an optimizer, a schedule or an augmentation.

Each returns what it decorates as it is, so that code can be called and tested without ablate. The first arguments are
passed by ablate; all others are options of the study file, by their names. A mark is needed for `normalised` only; it
lets ablate and type checkers find code that is used in the wrong place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, TypeVar, overload

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    Optimizer = TypeVar("Optimizer", bound=Callable[..., torch.optim.Optimizer])
    Schedule = TypeVar("Schedule", bound=Callable[Concatenate[float, ...], float])
    Augmentation = TypeVar("Augmentation", bound=Callable[Concatenate[Tensor, torch.Generator, ...], Tensor])

Code = TypeVar("Code")
KIND, NORMALISED = "__ablation_kind__", "__ablation_normalised__"
"""The attributes that the decorators set."""


def optimizer(code: Optimizer) -> Optimizer:
    """Mark a `torch.optim.Optimizer` class, or a function that returns one, for `optimizer: {name: "module:name"}`.

    It is called with the parameters as any torch optimizer, the keywords `lr` and, where it has that, `weight_decay` (0
    unless the study file sets it), and its options. The parameters are a list, or with `head_lr_multiplier` groups as
    torch knows them. The schedule sets the `lr` of each group at each step; groups that begin with rates of their own
    keep the ratio to the `lr` of the study file. Its state holds tensors and plain values, for resuming::

        @ablation.optimizer
        class SignSgd(torch.optim.Optimizer):
            def __init__(self, params, lr: float, weight_decay: float = 0.0):
                super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

            @torch.no_grad()
            def step(self, closure=None):
                for group in self.param_groups:
                    for parameter in group["params"]:
                        if parameter.grad is not None:
                            parameter.mul_(1 - group["lr"] * group["weight_decay"])
                            parameter.sub_(parameter.grad.sign(), alpha=group["lr"])
    """
    return _marked(code, "optimizer")


def schedule(code: Schedule) -> Schedule:
    """Mark a function from progress to a factor of the learning rate, for `schedule: {name: "module:name"}`.

    The progress is 0 at the first step after the warm-up and just below 1 at the last step of the stage; the rate is
    `lr` times the factor, which is at least 0. A schedule that needs more than the progress subclasses
    `ablation.Schedule`::

        @ablation.schedule
        def sqrt_decay(progress: float, *, power: float = 0.5) -> float:
            return (1 - progress) ** power
    """
    return _marked(code, "schedule")


@overload
def augmentation(code: Augmentation) -> Augmentation: ...
@overload
def augmentation(*, normalised: bool) -> Callable[[Augmentation], Augmentation]: ...
def augmentation(code: Any = None, *, normalised: bool = False) -> Any:
    """Mark a function from a batch of training images to another, for `augment: [{name: "module:name"}]`.

    The images (n, channels, height, width) are uint8, or with `normalised=True` float32 after the normalisation, and on
    the device that trains. It returns new ones of the same shape, type and device, and draws from the
    `torch.Generator`, which is on that device too::

        @ablation.augmentation
        def solarize(images: Tensor, generator: torch.Generator, *, threshold: float = 0.5) -> Tensor:
            return torch.where(images >= 255 * threshold, 255 - images, images)
    """
    if code is None:
        return lambda decorated: _marked(decorated, "augmentation", normalised)
    return _marked(code, "augmentation")


def _marked(code: Code, kind: str, normalised: bool = False) -> Code:
    setattr(code, KIND, kind)
    setattr(code, NORMALISED, normalised)
    return code
