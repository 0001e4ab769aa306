"""The operators that a training step calls, held to those that raise on CUDA in deterministic mode.

Networks are audited on the meta device, where nothing is computed, so that all of them take seconds; the same function
runs them on a real one: `audit(case.build(), case.image, device)`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from ablation.registry.models import KINDS as MODELS
from ablation.registry.models.architecture import Architecture
from ablation.registry.models.options import Activation, Norm, NormPosition, Pool, Stem
from ablation.registry.torchvision_names import SPECS
from ablation.training.models.pretrained import MetaParameters, torchvision_network

CLASSES = 7

OF_TORCH = (2, 14)
"""The torch that has this list; an older one has another."""
DOCUMENTED: dict[str, tuple[str, ...]] = {
    "torch.nn.AvgPool3d when attempting to differentiate a CUDA tensor": ("avg_pool3d_backward",),
    "torch.nn.AdaptiveAvgPool2d when attempting to differentiate a CUDA tensor": ("_adaptive_avg_pool2d_backward",),
    "torch.nn.AdaptiveAvgPool3d when attempting to differentiate a CUDA tensor": ("_adaptive_avg_pool3d_backward",),
    "torch.nn.AdaptiveMaxPool2d when attempting to differentiate a CUDA tensor": ("adaptive_max_pool2d_backward",),
    "torch.nn.FractionalMaxPool2d when attempting to differentiate a CUDA tensor": ("fractional_max_pool2d_backward",),
    "torch.nn.FractionalMaxPool3d when attempting to differentiate a CUDA tensor": ("fractional_max_pool3d_backward",),
    "torch.nn.MaxUnpool1d": ("max_unpool2d",),
    "torch.nn.MaxUnpool2d": ("max_unpool2d",),
    "torch.nn.MaxUnpool3d": ("max_unpool3d",),
    "torch.nn.functional.interpolate when attempting to differentiate a CUDA tensor"
    " and one of the following modes is used: linear bilinear bicubic trilinear": (
        "upsample_linear1d_backward",
        "upsample_bilinear2d_backward",
        "_upsample_bilinear2d_aa_backward",
        "upsample_bicubic2d_backward",
        "_upsample_bicubic2d_aa_backward",
        "upsample_trilinear3d_backward",
    ),
    "torch.nn.ReflectionPad1d when attempting to differentiate a CUDA tensor": ("reflection_pad1d_backward",),
    "torch.nn.ReflectionPad2d when attempting to differentiate a CUDA tensor": ("reflection_pad2d_backward",),
    "torch.nn.ReflectionPad3d when attempting to differentiate a CUDA tensor": ("reflection_pad3d_backward",),
    # Of the two operators only that for images of labels raises; (n, classes) goes through `nll_loss_forward`.
    "torch.nn.NLLLoss when called on a CUDA tensor": ("nll_loss2d_forward",),
    "torch.nn.CTCLoss when attempting to differentiate a CUDA tensor": (
        "_ctc_loss_backward",
        "_cudnn_ctc_loss",
    ),
    "torch.nn.EmbeddingBag when attempting to differentiate a CUDA tensor when mode='max'": (
        "_embedding_bag_dense_backward",
    ),
    "torch.Tensor.put_ when accumulate=False": ("put_", "put"),
    "torch.Tensor.put_ when accumulate=True and called on a CUDA tensor": ("put_", "put"),
    "torch.histc when called on a CUDA tensor": ("histc",),
    "torch.bincount when called on a CUDA tensor and weights tensor is given": ("bincount",),
    "torch.median with indices output when called on a CUDA tensor": ("median", "nanmedian"),
    "torch.nn.functional.grid_sample when attempting to differentiate a CUDA tensor": (
        "grid_sampler_2d_backward",
        "grid_sampler_3d_backward",
    ),
    "torch.Tensor.scatter_reduce when reduce='prod' and called on CUDA tensor": ("scatter_reduce", "scatter_reduce_"),
    "torch.Tensor.resize_ when called with a quantized tensor": (),
}
"""What torch documents to raise -> the aten operators that do; some of them only with some of their arguments."""

UNDOCUMENTED = ("kthvalue", "adaptive_max_pool3d_backward")
"""Operators that raise although no documentation says so."""

RAISING = frozenset(f"aten::{name}" for names in (*DOCUMENTED.values(), UNDOCUMENTED) for name in names)


def documented() -> list[str]:
    """The entries of torch's own list of what raises in deterministic mode, without their markup."""
    text = torch.use_deterministic_algorithms.__doc__ or ""
    section = text.split("operations will throw a")[1].partition("In addition")[0]
    entries = re.split(r"\n\s+\* ", section)[1:]
    plain = (re.sub(r":\w+:|`|^\s*-\s+", "", entry, flags=re.MULTILINE) for entry in entries)
    return [" ".join(entry.split()) for entry in plain]


class OperatorLog(TorchDispatchMode):
    """Within it, the names of all aten operators that are called, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.seen.add(func._schema.name)
        return func(*args, **(kwargs or {}))


def audit(network: nn.Module, image: tuple[int, int, int], device: str = "meta", batch: int = 2) -> set[str]:
    """The operators of a forward and backward pass of the network, with mixup's two losses and label smoothing."""
    network = network.to(device).train()
    images = torch.zeros(batch, *image, device=device, requires_grad=True)
    labels = torch.zeros(batch, dtype=torch.long, device=device)
    with OperatorLog() as log:
        functional.cross_entropy(network(images), labels, label_smoothing=0.1).backward()
    return log.seen


ACTIVATIONS, NORM_POSITIONS, NORMS, POOLS, STEMS = map(get_args, (Activation, NormPosition, Norm, Pool, Stem))


@dataclass(frozen=True)
class Case:
    """A network to audit, and the images that it is given."""

    name: str
    build: Callable[[], nn.Module]
    image: tuple[int, int, int]


def _options(name: str, **changes: Any) -> Architecture:
    drops = dict.fromkeys(("dropout", "feature_dropout", "input_dropout", "dropconnect"), 0.1)
    return MODELS[name](**{"norm": "batch", "kernel_size": 3, "width": 1 / 8, "hidden": (16,), **drops, **changes})


def _own(options: Architecture, varied: tuple[object, ...] = ()) -> Case:
    """The network at an image that its pools do not divide."""

    side = options.smallest_side + 13
    image = (3, side, side)

    def build() -> nn.Module:
        with torch.device("meta"):
            return options.build(image, CLASSES)

    return Case("-".join(str(part) for part in (options.name, *varied)), build, image)


def own_cases() -> Iterator[Case]:
    """One model of each family, with every norm, position of it, activation, pool, kernel size and stem, one by one."""
    for name in ("lenet5", "vgg11", "resnet9", "resnet18"):
        changes: list[dict[str, Any]] = [{"norm": norm} for norm in NORMS]
        changes += [{"norm_position": position} for position in NORM_POSITIONS]
        changes += [{"pool": pool} for pool in POOLS]
        changes += [{"activation": activation} for activation in ACTIVATIONS]
        changes += [{"kernel_size": size} for size in (1, 5, 7)]
        changes += [{"stem": "large", "pool": pool} for pool in POOLS] if name == "resnet18" else []
        changes += [{"kernel_size": (5, 3), "norm": "none"}] if name == "lenet5" else [{"hidden": ()}]
        for change in changes:
            yield _own(_options(name, **change), tuple(change.values()))


def all_own_cases() -> Iterator[Case]:
    """Every model with every combination of norm, position of it, pool and stem."""
    for name in MODELS:
        for norm, position, pool, stem in itertools.product(NORMS, NORM_POSITIONS, POOLS, STEMS):
            if stem == "small" or name in ("resnet18", "resnet34"):
                varied = (norm, position, pool, stem)
                yield _own(_options(name, norm=norm, norm_position=position, pool=pool, stem=stem), varied)


def torchvision_cases(name: str) -> Iterator[Case]:
    """A network of torchvision at a size that no pool divides, where it takes it, and at that of its weights."""
    spec = SPECS[name]
    for side in (spec.size,) if spec.one_size else (max(spec.smallest, 75), spec.size):

        def build(name: str = name, side: int = side) -> nn.Module:
            with MetaParameters():
                return torchvision_network(f"torchvision:{name}", CLASSES, side)[0]

        yield Case(f"{name}-{side}", build, (3, side, side))
