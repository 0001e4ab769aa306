"""The network of a recipe, and how large the networks of a study are, without training or even allocating them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ablation.registry.catalog import MODELS, TORCHVISION
from ablation.study.custom_code import Code
from ablation.study.schema import Recipe
from ablation.training.models.counting import count_macs, count_parameters

_NOT_OF_THE_NETWORK = ("init", "weights", "freeze", "input_size")
"""Options of a model that do not decide how its network is built."""


@dataclass(frozen=True)
class Classifier:
    """A network, (N, C, H, W) -> logits (N, classes), and the name of its last linear layer, empty if unknown."""

    network: nn.Module
    head: str

    @property
    def head_layer(self) -> nn.Linear:
        """The last linear layer, which a new set of classes replaces."""
        layer = self.network.get_submodule(self.head)
        assert isinstance(layer, nn.Linear)
        return layer


def input_shape(recipe: Recipe, image: tuple[int, int, int]) -> tuple[int, int, int]:
    """(channels, height, width) of what the network is given for images of the shape `image`."""
    size = recipe.canonical()["model"]["input_size"]
    channels = 3 if recipe.model.name in TORCHVISION else image[0]
    return (channels, *image[1:]) if size == "none" else (channels, int(size), int(size))


def network_input(recipe: Recipe, image: tuple[int, int, int]) -> tuple[int, int | None]:
    """(channels, side) that the network is given; the side is None where the images keep their size."""
    channels, *sides = input_shape(recipe, image)
    return channels, sides[0] if tuple(sides) != image[1:] else None


def build_options(recipe: Recipe) -> dict[str, Any]:
    """The options of a recipe's model that decide how its network is built for images of a given shape."""
    return {key: value for key, value in recipe.canonical()["model"].items() if key not in _NOT_OF_THE_NETWORK}


def build_network(recipe: Recipe, image: tuple[int, int, int], classes: int, code: Code | None = None) -> Classifier:
    """The network of a recipe for images of (channels, height, width), with torch's own initial weights.

    `code` is that of a custom model, whose head is not known: its name is empty.
    """
    shape = input_shape(recipe, image)
    if code:
        from ablation.training.models.custom import own_network

        return Classifier(own_network(code, recipe.model.name, recipe.model.options, shape, classes), "")
    if recipe.model.name in TORCHVISION:
        from ablation.training.models.pretrained import torchvision_network

        return Classifier(*torchvision_network(recipe.model.name, classes, shape[1]))
    network = MODELS[recipe.model.name].of(recipe.canonical()["model"]).build(shape, classes)
    return Classifier(network, "classifier.output")


def model_size(recipe: Recipe, image: tuple[int, int, int], classes: int) -> tuple[int, int]:
    """(parameters, multiply-accumulates of one image forward) of the network of a recipe."""
    with _without_memory(recipe):
        network = build_network(recipe, image, classes).network
    return count_parameters(network), count_macs(network, input_shape(recipe, image))


def _without_memory(recipe: Recipe) -> AbstractContextManager[object]:
    if recipe.model.name not in TORCHVISION:
        return torch.device("meta")
    from ablation.training.models.pretrained import MetaParameters

    return MetaParameters()
