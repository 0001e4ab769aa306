"""The networks of torchvision, with a new last layer, and the weights that torchvision has for them."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torchvision.models import get_model, get_model_weights

from ablation.errors import UserError
from ablation.planning.weights import hub_folder
from ablation.registry.torchvision_names import PREFIX, SPECS

IMAGENET_CLASSES = 1000
GREY_LEVELS = 255


class Pretrained(NamedTuple):
    """Weights by name, the classes that they distinguish, and the mean and deviation (grey levels) of their images."""

    state: Mapping[str, Tensor]
    classes: tuple[str, ...]
    mean: Tensor
    deviation: Tensor


class MetaParameters(TorchFunctionMode):
    """Within it, tensors that are made empty, or full of one number, take no memory; all arithmetic is done.

    RegNets compute their widths with tensors, so that `torch.device("meta")` would be too much for them.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.empty, torch.zeros, torch.ones):
            kwargs.setdefault("device", "meta")
        return func(*args, **kwargs)


def torchvision_network(name: str, classes: int, side: int) -> tuple[nn.Module, str]:
    """The network `torchvision:...` for `classes`, and the name of its head: its last linear layer, which is new.

    `side` is that of its images; only vision transformers are built for it. All weights are torchvision's own initial
    ones, drawn from the global generator. Raises UserError where there is no last linear layer.
    """
    network = _original(name, side)
    head = find_head(network, name)
    parent, _, last = head.rpartition(".")
    old = network.get_submodule(head)
    assert isinstance(old, nn.Linear)
    setattr(network.get_submodule(parent), last, nn.Linear(old.in_features, classes, bias=old.bias is not None))
    _make_pools_deterministic(network)
    return network, head


def _original(name: str, side: int) -> nn.Module:
    plain = name.removeprefix(PREFIX)
    own = {"image_size": side} if plain.startswith("vit") else {}
    network: nn.Module = get_model(plain, weights=None, **own)
    return network


def find_head(network: nn.Module, name: str) -> str:
    """The name of the last linear layer, if it is the one that distinguishes the classes of ImageNet."""
    linear = [(key, layer) for key, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    if not linear or linear[-1][1].out_features != IMAGENET_CLASSES:
        raise UserError(f"{name} has no last linear layer that could be replaced", "`ablate list torchvision`")
    return str(linear[-1][0])


class AveragePool(nn.Module):
    """`nn.AdaptiveAvgPool2d` with a gradient that is deterministic on CUDA: (N, C, H, W) -> (N, C, *size).

    Where the output's size divides the input's it is a plain average pool. Elsewhere it is a product with an averaging
    matrix on either side, except on a CPU, where torch's own gradient is deterministic.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if height % self.size[0] or width % self.size[1]:
            return functional.adaptive_avg_pool2d(x, self.size) if x.device.type == "cpu" else self.by_matrices(x)
        kernel = (height // self.size[0], width // self.size[1])
        return x if kernel == (1, 1) else functional.avg_pool2d(x, kernel)

    def by_matrices(self, x: Tensor) -> Tensor:
        """The pool as rows @ x @ columns, computed in float32 whatever the precision of the network."""
        rows, columns = (averaging_matrix(*sides, x.device) for sides in zip(x.shape[2:], self.size, strict=True))
        kind = x.device.type
        known = torch.amp.is_autocast_available(kind)  # sizes are computed on the meta device, which has none
        with torch.autocast(kind, enabled=False) if known else contextlib.nullcontext():
            return (rows @ x.float() @ columns.T).to(x.dtype)


def averaging_matrix(inputs: int, outputs: int, device: torch.device) -> Tensor:
    """(outputs, inputs) in float32: each row averages the pixels that adaptive pooling gives to that output."""
    number, pixel = torch.arange(outputs, device=device)[:, None], torch.arange(inputs, device=device)
    first, end = number * inputs // outputs, ((number + 1) * inputs + outputs - 1) // outputs
    return ((pixel >= first) & (pixel < end)) / (end - first)


def _make_pools_deterministic(network: nn.Module) -> None:
    """Replace the pools of AlexNet and the VGGs; an output of one pixel is a mean, which torch does by itself."""
    for module in list(network.modules()):
        for key, child in module.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2d):
                size = child.output_size
                height, width = size if isinstance(size, tuple) else (size, size)
                if height and width and (height, width) != (1, 1):
                    setattr(module, key, AveragePool((height, width)))


def default_weights(name: str) -> Pretrained:
    """The DEFAULT weights of a network of torchvision, downloaded (and their SHA-256 verified) if they are not here.

    Raises UserError that names the file and its folder where they cannot be had, or are those of another network.
    """
    plain = name.removeprefix(PREFIX)
    file = SPECS[plain].file
    weights = next((entry for entry in get_model_weights(plain) if entry.url.endswith(f"/{file}")), None)
    if weights is None:
        raise UserError(f"this torchvision has no weights {file}", "install torchvision 0.19 or newer")
    folder = hub_folder()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # torch.hub prints
            state = weights.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is cut off raises almost anything
        hint = f"download {weights.url} elsewhere and put {file} into {folder}/"
        if (folder / file).exists():
            raise UserError(f"{folder / file} cannot be read: {_first_line(error)}", hint) from None
        what = f"the weights of {name} are not in {folder}/ and could not be downloaded"
        raise UserError(f"{what}: {_first_line(error)}", hint) from None
    donor = _original(name, SPECS[plain].size)
    try:
        donor.load_state_dict(renamed(plain, state))
    except (RuntimeError, AttributeError, TypeError) as error:
        hint = f"download {weights.url} again and put {file} into {folder}/"
        raise UserError(f"{folder / file} does not fit {name}: {_first_line(error)}", hint) from None
    return Pretrained(donor.state_dict(), tuple(weights.meta["categories"]), *_statistics(weights))


def default_statistics(name: str) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, in grey levels, that the DEFAULT weights of a network want their images to have."""
    return _statistics(get_model_weights(name.removeprefix(PREFIX)).DEFAULT)


def _statistics(weights: Any) -> tuple[Tensor, Tensor]:
    transforms = weights.transforms()
    return torch.tensor(transforms.mean) * GREY_LEVELS, torch.tensor(transforms.std) * GREY_LEVELS


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])[:300]}"


def renamed(plain: str, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The weights of a DenseNet under the names that its layers have now, as torchvision renames them; others as is."""
    if not plain.startswith("densenet"):
        return state
    old = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$")
    return {old.sub(r"\1\2", key): value for key, value in state.items()}
