"""Optimizers of torch that do without torch._dynamo, which takes about as long to load as torch itself.

Their methods load it only to tell it where its graphs must end. Here networks are compiled, never optimizers, so the
functions inside those wrappers are called directly; they compute the same.
"""

from __future__ import annotations

import functools
import inspect

import torch
from torch.optim import Optimizer

_METHODS = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


@functools.cache
def eager(kind: type[Optimizer]) -> type[Optimizer]:
    """A subclass of an optimizer of torch, for networks only: no gradient flows through its steps."""
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _METHODS}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**methods, "step": step})
