"""The size of a model: parameters and multiply-accumulates."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call


def count_parameters(model: nn.Module) -> int:
    """The number of trainable and frozen parameters; running statistics are none."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, image: tuple[int, int, int]) -> int:
    """Multiply-accumulates of one forward pass of one image of (channels, height, width).

    Counts convolutions and linear layers, as the figures in the literature do; products with padding count, additions
    of biases, normalisations, activations and pools do not. The pass runs on the meta device: no memory is
    allocated and nothing is computed, wherever the model is. The model is left as it was.
    """
    counts: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts.append(output.numel() * products[module])

    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    # What one number of a layer's output takes.
    products: dict[nn.Module, int] = {layer: layer.weight[0].numel() for layer in layers}
    hooks = [layer.register_forward_hook(count) for layer in layers]
    training = [module for module in model.modules() if module.training]
    tensors = [*model.named_parameters(), *model.named_buffers()]
    shadows = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors}
    try:
        model.eval()  # batch normalisation cannot train on one image
        with torch.no_grad():
            functional_call(model, shadows, torch.empty(1, *image, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
        for module in training:
            module.training = True
    return sum(counts)
