"""Which layer of a network torch refuses to run in deterministic mode, and what to use instead.

Training is deterministic, so that torch raises where an operator has no deterministic implementation. It names the
operator only; the user knows layers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ablation.errors import UserError

_REFUSAL = re.compile(r"(\S+) does not have a deterministic implementation")
_INSTEAD = {
    "adaptive_avg_pool": "use x.mean((2, 3)), or AvgPool2d with a kernel that divides its input",
    "adaptive_max_pool": "use x.amax((2, 3)), or MaxPool2d with a fixed kernel",
    "fractional_max_pool": "use MaxPool2d",
    "upsample": "use mode='nearest', or ConvTranspose2d",
    "grid_sampler": "detach its input, or use interpolate(mode='nearest')",
    "reflection_pad": "use padding_mode='zeros' or 'replicate'",
    "max_unpool": "use Upsample(mode='nearest') or ConvTranspose2d",
    "avg_pool3d": "use AvgPool2d on each slice",
    "put_": "use index_put or torch.where",
}
"""Part of an operator's name -> what has a deterministic implementation."""


def refused(error: BaseException) -> str:
    """The operator that torch refused to run in deterministic mode; empty for any other error."""
    found = _REFUSAL.search(str(error)) if isinstance(error, RuntimeError) else None
    return found[1] if found else ""


def explain(error: RuntimeError, network: nn.Module, what: str, again: Callable[[], object]) -> UserError:
    """The error for a layer of `network`, which `what` names, that torch refused to run; `again` repeats the pass."""
    operator = refused(error)
    with _Following(network) as following, suppress(RuntimeError):
        again()
    kind = type(network.get_submodule(following.layer)).__name__
    layer = f"layer {following.layer!r} ({kind})" if following.layer else f"{kind}.forward"
    message = f"{what}: {layer} cannot be trained reproducibly: {operator} has no deterministic implementation"
    hint = next((text for part, text in _INSTEAD.items() if part in operator), "replace the layer by one that has it")
    return UserError(message, hint)


def gradient_pass(network: nn.Module, images: Tensor, labels: Tensor) -> None:
    """A forward and backward pass in training mode; the gradients are left in the parameters."""
    network.train()
    functional.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]


class _Following:
    """Within it, `layer` is the path of the innermost module whose forward or backward operations are being run.

    After each module, what it has added to the graph of gradients is marked as its own; what was added before it is
    its parent's.
    """

    def __init__(self, network: nn.Module) -> None:
        self.layer = ""
        self._network = network
        self._stack = [""]
        self._marked: set[object] = set()
        self._hooks: list[Any] = []

    def __enter__(self) -> _Following:
        for name, module in self._network.named_modules():
            self._hooks.append(module.register_forward_pre_hook(self._begin(name), with_kwargs=True))
            self._hooks.append(module.register_forward_hook(self._end))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _begin(self, name: str) -> Callable[..., None]:
        def begin(_: nn.Module, args: Any, kwargs: Any) -> None:
            self._mark((args, kwargs))
            self._stack.append(name)
            self.layer = name

        return begin

    def _end(self, _: nn.Module, __: Any, output: Any) -> None:
        self._mark(output)
        self._stack.pop()
        self.layer = self._stack[-1]

    def _mark(self, value: Any) -> None:
        """Mark every node of the graph that leads to the tensors of `value` and has no mark yet."""
        tensors = (leaf for leaf in torch.utils._pytree.tree_leaves(value) if isinstance(leaf, Tensor))
        waiting = [tensor.grad_fn for tensor in tensors if tensor.grad_fn]
        while waiting:
            node = waiting.pop()
            if node in self._marked:
                continue
            self._marked.add(node)
            self._hooks.append(node.register_prehook(self._run(self._stack[-1])))
            waiting += [following for following, _ in node.next_functions if following]

    def _run(self, name: str) -> Callable[[Any], None]:
        def run(_: Any) -> None:
            self.layer = name

        return run
