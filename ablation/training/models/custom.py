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
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from ablation.errors import UserError
from ablation.study.custom_models import Code
from ablation.training import determinism
from ablation.training.models.counting import count_macs

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
        try:
            _try_out(network, image, classes)
        except RuntimeError as error:
            if not determinism.refused(error):
                raise
            raise determinism.explain(error, network, name, lambda: network(torch.zeros(_PROBE, *image))) from error
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # code that calls sys.exit() fails as any other
        last = traceback.format_exc().rstrip()
        hint = f"fix it and run the same command again; it is called with classes, in_channels and {dict(options)}"
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
    """The innermost line of the user's files that was being run, or could not be read."""
    files = {own.file for own in (code, *code.helpers)}
    frames = traceback.extract_tb(error.__traceback__)
    places = [(frame.filename, frame.lineno) for frame in frames if frame.filename in files]
    if isinstance(error, SyntaxError) and error.filename in files:
        places.append((error.filename, error.lineno))
    return f"fails at {Path(places[-1][0]).name}:{places[-1][1]}" if places else "cannot be built"


@cache
def _module(code: Code) -> ModuleType:
    """The module, run once in this process; what is run is what was digested."""
    if code.release:
        _source(code)
        return importlib.import_module(code.module)
    helpers = {helper.module: helper for helper in code.helpers}
    if helpers not in [finder.helpers for finder in sys.meta_path if isinstance(finder, _Beside)]:
        sys.meta_path.append(_Beside(helpers))  # the last to be asked: nothing beside the study file replaces a library
    alias = f"ablation_own_{code.sha256[:16]}"  # beside the study file there may be a torch.py
    spec = importlib.util.spec_from_loader(alias, _Loader(code), origin=code.file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[alias] = module
    _Loader(code).exec_module(module)
    return module


class _Beside(MetaPathFinder):
    """Finds the modules beside a custom model that it imports, and no others."""

    def __init__(self, helpers: Mapping[str, Code]) -> None:
        self.helpers = helpers

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        helper = self.helpers.get(fullname)
        return importlib.util.spec_from_loader(fullname, _Loader(helper), origin=helper.file) if helper else None


class _Loader(Loader):
    """Runs the code of a file as it was digested, and leaves nothing beside it."""

    def __init__(self, code: Code) -> None:
        self.code = code

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self.code.file
        exec(compile(_source(self.code), self.code.file, "exec"), module.__dict__)


def _source(code: Code) -> bytes:
    source = Path(code.file).read_bytes()
    if hashlib.sha256(source).hexdigest() != code.sha256:
        raise RuntimeError(f"{code.file} has changed since the study was planned; run the same command again")
    return source
