"""What a study file may name, and what a misspelt name was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ablation.registry import models, torchvision_names

MODELS = models.KINDS
TORCHVISION: Mapping[str, torchvision_names.TorchvisionSpec] = MappingProxyType(
    {f"{torchvision_names.PREFIX}{name}": spec for name, spec in torchvision_names.SPECS.items()}
)
"""The networks of torchvision, under the names that a study gives them."""

TORCHVISION_OPTIONS = ("name", "weights", "freeze", "input_size", "init")
"""The options of a model that such a network has."""


def choices() -> Mapping[str, Mapping[str, str]]:
    """What `ablate list` prints: name -> summary, by kind of component."""
    # and with them pydantic, which `ablate --help` does without
    from ablation.registry import augmentations, datasets, initial_weights, optimizers, schedules
    from ablation.registry.custom_names import CUSTOM, plugins
    from ablation.registry.metrics import METRICS
    from ablation.registry.options import summary

    kinds = {"optimizers": optimizers.KINDS, "schedules": schedules.KINDS, "augmentations": augmentations.KINDS}
    custom = {CUSTOM: "your own code"}

    return {
        "models": {name: summary(kind) for name, kind in MODELS.items()} | {**plugins("model"), **custom},
        "torchvision": {
            name: f"{spec.size}x{spec.size}; its DEFAULT weights: {spec.file}" for name, spec in TORCHVISION.items()
        },
        "data": {name: kind.summary for name, kind in datasets.KINDS.items()}
        | {**plugins("data"), CUSTOM: datasets.CustomData.summary},
        "init": {name: summary(kind) for name, kind in initial_weights.KINDS.items()},
        **{
            kind: {name: summary(own) for name, own in known.items()} | {**plugins(kind[:-1]), **custom}
            for kind, known in kinds.items()
        },
        "metrics": {name: metric.label for name, metric in METRICS.items()} | {**plugins("metric"), **custom},
    }


def smallest_side(model: str, options: Mapping[str, object]) -> int:
    """The smallest image side, in pixels, that `model` with `options` can take."""
    if model in TORCHVISION:
        return TORCHVISION[model].smallest
    return MODELS[model].of(options).smallest_side if model in MODELS else 1  # a custom model


def model_suggestion(name: str) -> str:
    """The hint for a network that is not known."""
    plain = name.removeprefix(torchvision_names.PREFIX)
    if name != plain and plain in torchvision_names.REFUSED:
        return f"torchvision's {plain} cannot be trained here: {torchvision_names.REFUSED[plain]}"
    if f"{torchvision_names.PREFIX}{plain}" in TORCHVISION:
        return f"did you mean '{torchvision_names.PREFIX}{plain}'?"
    if name == plain:
        from ablation.registry.custom_names import plugins  # and with it pydantic

        return suggestion(name, [*MODELS, *plugins("model")])
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
