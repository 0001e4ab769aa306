"""The size of a model: parameters and multiply-accumulates."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.overrides import TorchFunctionMode


def count_parameters(model: nn.Module) -> int:
    """The number of trainable and frozen parameters; running statistics are none."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, image: tuple[int, int, int]) -> int:
    """Multiply-accumulates of one forward pass of one image of (channels, height, width).

    Counts convolutions and linear layers, as the figures in the literature do; products with padding count, additions
    of biases, normalisations, activations and pools do not. The pass runs where the model is: on the meta device no
    memory is allocated and nothing is computed. The model is left as it was.
    """
    counts: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts.append(output.numel() * products[module])

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    # What one number of a layer's output takes.
    products: dict[nn.Module, int] = {layer: layer.weight[0].numel() for layer in layers}
    hooks = [layer.register_forward_hook(count) for layer in layers]
    training = [module for module in model.modules() if module.training]
    tensors = dict([*model.named_parameters(), *model.named_buffers()])
    on_meta = any(tensor.is_meta for tensor in tensors.values())
    if on_meta:
        stand_ins = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
    else:
        stand_ins = {name: buffer.clone() for name, buffer in model.named_buffers()}
    where = "meta" if on_meta else next((tensor.device for tensor in tensors.values()), None)
    try:
        model.eval()  # batch normalisation cannot train on one image
        with torch.no_grad(), _ShapesOnly() if on_meta else nullcontext():
            functional_call(model, stand_ins, torch.zeros(1, *image, device=where))
    finally:
        for hook in hooks:
            hook.remove()
        for module in training:
            module.training = True
    return sum(counts)


_NORMS = ("batch_norm", "group_norm", "instance_norm", "layer_norm")
_ACTIVATIONS = ("relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "hardswish", "hardsigmoid")


class _ShapesOnly(TorchFunctionMode):
    """Gives what torch would compute on the meta device the shape that it has. torch loads its compiler for that."""

    _same = frozenset(getattr(functional, name) for name in (*_NORMS, *_ACTIVATIONS)) | {torch.sigmoid, torch.tanh}
    _sums = frozenset({torch.Tensor.add, torch.Tensor.add_, torch.Tensor.__add__, torch.Tensor.__iadd__})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self._same or (func in self._sums and args[0].shape == args[1].shape):
            return args[0]
        if func is functional.linear:
            return args[0].new_empty(*args[0].shape[:-1], args[1].shape[0])
        if func is torch.Tensor.mean and len(args) > 1:  # over some axes, as the maximum
            func = torch.amax
        return func(*args, **(kwargs or {}))
