"""Networks of the user's own: their code run, and what it returns held to what a classifier is."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import random
import sys
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from ablation.errors import UserError
from ablation.own_models import Code
from ablation.train.models.counting import count_macs

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
    random.seed(start)
    np.random.seed(start)
    try:
        build = getattr(_module(code), attribute)
        network = build(classes=classes, in_channels=image[0], **options)
        if not isinstance(network, nn.Module):
            raise TypeError(f"{attribute} returned {type(network).__name__}, not a torch.nn.Module")
        _try_out(network, image, classes)
    except (Exception, SystemExit) as error:  # code that calls sys.exit() fails as any other
        last = traceback.format_exc().rstrip()
        hint = f"mend it and run the same command again; it is called with classes, in_channels and {dict(options)}"
        raise UserError(f"{name} {_place(error, code)}: {type(error).__name__}: {error}\n{last}", hint) from error
    return network


def _try_out(network: nn.Module, image: tuple[int, int, int], classes: int) -> None:
    """One small batch, which also gives lazy layers their shapes; the network is left in training mode."""
    network.eval()
    with torch.no_grad():
        logits = network(torch.zeros(_PROBE, *image))
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != (_PROBE, classes):
        shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise ValueError(f"for {_PROBE} images it returns {shape}, not logits of the shape {(_PROBE, classes)}")
    count_macs(network, image)  # needs a forward pass that makes its tensors on the device of its input
    network.train()


def _place(error: BaseException, code: Code) -> str:
    """The innermost line of the user's file that was being run, or could not be read."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == code.file]
    if isinstance(error, SyntaxError) and error.filename == code.file:
        lines = [error.lineno]
    return f"fails at {Path(code.file).name}:{lines[-1]}" if lines else "cannot be built"


@cache
def _module(code: Code) -> ModuleType:
    """The module, run once in this process; what is run is what was digested."""
    source = Path(code.file).read_bytes()
    if hashlib.sha256(source).hexdigest() != code.sha256:
        raise RuntimeError(f"{code.file} has changed since the study was planned; run the same command again")
    if code.release:
        return importlib.import_module(code.module)
    alias = f"ablation_own_{code.sha256[:16]}"  # beside the study file there may be a torch.py
    spec = importlib.util.spec_from_loader(alias, None, origin=code.file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = code.file
    sys.modules[alias] = module
    exec(compile(source, code.file, "exec"), module.__dict__)
    return module
