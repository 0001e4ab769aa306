"""Models and initial weights by name: plain tables, without importing the code behind them.

Everything that validation needs to know about a model is here as data, so that `ablate validate` needs no torch.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ablation.registry import torchvision_names


@dataclass(frozen=True)
class ModelSpec:
    """A network: where it is described, its own defaults, and the smallest image side that its pools allow.

    `kernels` is how many kernel sizes can be stated one by one, convolution by convolution.
    """

    summary: str
    smallest: int
    defaults: Mapping[str, object] = field(default_factory=dict)
    kernels: int = 1
    larger: tuple[tuple[Mapping[str, str], int], ...] = ()
    """(options, side): where the options have these values, a larger side is needed."""


_VGG = {"kernel_size": 3, "channels": [64, 128, 256, 512, 512], "norm": "batch", "hidden": [512, 512], "stem": None}
_RESNET = {"kernel_size": 3, "channels": [64, 128, 256, 512], "norm": "batch", "hidden": [], "stem": "small"}
_RESNET_LARGER = (({"norm": "instance"}, 9), ({"norm": "instance", "stem": "large"}, 33))
_VGG_TEXT = "VGG-{0} (Simonyan and Zisserman 2015), {0} weight layers"

MODELS: Mapping[str, ModelSpec] = MappingProxyType(
    {
        "lenet5": ModelSpec(
            "LeNet-5 (LeCun et al. 1998), two convolutions and three linear layers",
            smallest=8,
            defaults={"kernel_size": 5, "channels": [6, 16], "norm": "none", "hidden": [120, 84], "stem": None},
            kernels=2,
        ),
        "vgg11": ModelSpec(_VGG_TEXT.format(11), smallest=32, defaults=_VGG),
        "vgg13": ModelSpec(_VGG_TEXT.format(13), smallest=32, defaults=_VGG),
        "vgg16": ModelSpec(_VGG_TEXT.format(16), smallest=32, defaults=_VGG),
        "vgg19": ModelSpec(_VGG_TEXT.format(19), smallest=32, defaults=_VGG),
        "resnet9": ModelSpec(
            "ResNet-9 (after Page 2018), two residual blocks",
            smallest=8,
            defaults=_RESNET | {"stem": None},
            larger=(({"norm": "instance"}, 16),),
        ),
        "resnet18": ModelSpec("ResNet-18 (He et al. 2016), eight basic blocks", 8, _RESNET, larger=_RESNET_LARGER),
        "resnet34": ModelSpec("ResNet-34 (He et al. 2016), sixteen basic blocks", 8, _RESNET, larger=_RESNET_LARGER),
    }
)

TORCHVISION: Mapping[str, torchvision_names.TorchvisionSpec] = MappingProxyType(
    {f"{torchvision_names.PREFIX}{name}": spec for name, spec in torchvision_names.SPECS.items()}
)
"""The networks of torchvision, under the names that a study gives them."""

TORCHVISION_OPTIONS = ("name", "weights", "freeze", "input_size", "init")
"""The options of a model that such a network has."""

INITIALISATIONS: Mapping[str, str] = MappingProxyType(
    {
        "kaiming": "normal, sd sqrt(2 / fan_in) (He et al. 2015); the output layer normal with sd 0.01",
        "xavier": "uniform, sd sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)",
        "normal": "normal, sd 0.01 (Krizhevsky et al. 2012)",
        "default": "torch's own: uniform, sd sqrt(1 / (3 fan_in)), and so are the biases, which are 0 otherwise",
    }
)


def choices() -> Mapping[str, Mapping[str, str]]:
    """What `ablate list` prints: name -> summary, by kind of component."""
    # and with them pydantic, which `ablate --help` does without
    from ablation.registry import augmentations, datasets, optimizers, schedules
    from ablation.registry.custom_names import CUSTOM, plugins
    from ablation.registry.options import summary

    kinds = {"optimizers": optimizers.KINDS, "schedules": schedules.KINDS, "augmentations": augmentations.KINDS}

    return {
        "models": {name: spec.summary for name, spec in MODELS.items()},
        "torchvision": {
            name: f"{spec.size}x{spec.size}; its DEFAULT weights: {spec.file}" for name, spec in TORCHVISION.items()
        },
        "data": {name: kind.summary for name, kind in datasets.KINDS.items()}
        | {**plugins("data"), CUSTOM: datasets.CustomData.summary},
        "init": INITIALISATIONS,
        **{
            kind: {name: summary(own) for name, own in known.items()} | {**plugins(kind[:-1]), CUSTOM: "your own code"}
            for kind, known in kinds.items()
        },
    }


def smallest_side(model: str, options: Mapping[str, object]) -> int:
    """The smallest image side, in pixels, that `model` with `options` can take."""
    if model in TORCHVISION:
        return TORCHVISION[model].smallest
    if model not in MODELS:
        return 1  # a custom model
    spec = MODELS[model]
    sides = [side for choice, side in spec.larger if all(options.get(key) == value for key, value in choice.items())]
    return max([spec.smallest, *sides])


def model_suggestion(name: str) -> str:
    """The hint for a network that is not known."""
    plain = name.removeprefix(torchvision_names.PREFIX)
    if name != plain and plain in torchvision_names.REFUSED:
        return f"torchvision's {plain} cannot be trained here: {torchvision_names.REFUSED[plain]}"
    if f"{torchvision_names.PREFIX}{plain}" in TORCHVISION:
        return f"did you mean '{torchvision_names.PREFIX}{plain}'?"
    if name == plain:
        return suggestion(name, MODELS)
    close = nearest(plain, torchvision_names.SPECS)
    return f"did you mean '{torchvision_names.PREFIX}{close}'?" if close else "`ablate list torchvision` lists them all"


SHORT_LIST = 16
"""Up to this many names are listed with the nearest one."""


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The known name that `word` was probably meant to be, or None where nothing comes close."""
    by_folded = {_folded(name): name for name in known}
    found = difflib.get_close_matches(_folded(str(word)), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def _folded(word: str) -> str:
    return word.lower().replace("-", "_").replace(" ", "_")


def suggestion(word: object, known: Iterable[str]) -> str:
    """The hint for a misspelt name: the nearest known one, and all of them."""
    names = list(known)
    close = nearest(word, names)
    listing = f"known: {', '.join(names)}"
    if close:
        return f"did you mean {close!r}?" + (f" ({listing})" if len(names) <= SHORT_LIST else "")
    return listing
