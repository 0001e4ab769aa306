"""Custom models: their code is run, and what it returns is checked to be a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ablation.rng import seed_foreign
from ablation.study.custom_code import Code
from ablation.study.import_code import explained, load_attribute
from ablation.training import determinism

_PROBE = 2
"""Images of the trial pass."""


def own_network(
    code: Code, name: str, options: Mapping[str, Any], image: tuple[int, int, int], classes: int
) -> nn.Module:
    """Call `module:attribute` with classes, in_channels and `options`; images are (channels, height, width).

    Raises UserError with the place in the user's code where it fails, or says what it should return: an `nn.Module`
    from (N, C, H, W) to logits (N, classes). The generators of Python and NumPy are set from torch's, which the caller
    has set, so that the weights depend on the seed alone.
    """
    attribute = name.partition(":")[2]
    start = int(torch.randint(2**31, ()))
    seed_foreign(start)
    with explained(code, name, f"classes, in_channels and {dict(options)}"):
        build = load_attribute(code, name)
        network: nn.Module = build(classes=classes, in_channels=image[0], **options)
        if not isinstance(network, nn.Module):
            raise TypeError(f"{attribute} returned {type(network).__name__}, not a torch.nn.Module")
        try:
            _try_out(network, image, classes)
        except RuntimeError as error:
            if not determinism.refused(error):
                raise
            raise determinism.explain(error, network, name, lambda: network(torch.zeros(_PROBE, *image))) from error
    return network


def _try_out(network: nn.Module, image: tuple[int, int, int], classes: int) -> None:
    """One small batch, which also gives lazy layers their shapes; the network is left in training mode."""
    network.eval()
    with torch.no_grad():
        logits = network(torch.zeros(_PROBE, *image))
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != (_PROBE, classes):
        shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(f"for {_PROBE} images it returns {shape}, not logits of the shape {(_PROBE, classes)}")
    network.train()
