"""How large the networks of a study are, without training or even allocating them."""

from __future__ import annotations

import torch

from ablation.study import Recipe
from ablation.train.models import ModelOptions, count_macs, count_parameters
from ablation.train.models import build_model as build
from ablation.train.models.layers import Network


def build_model(recipe: Recipe, image: tuple[int, int, int], classes: int) -> Network:
    """The network of a recipe for images of (channels, height, width), with torch's own initial weights."""
    options = dict(recipe.canonical()["model"])
    options.pop("init")
    hidden, stem = tuple(options.pop("hidden")), options.pop("stem") or "small"
    return build(ModelOptions(**options, hidden=hidden, stem=stem), image, classes)


def model_size(recipe: Recipe, image: tuple[int, int, int], classes: int) -> tuple[int, int]:
    """(parameters, multiply-accumulates of one image forward) of the network of a recipe."""
    with torch.device("meta"):
        model = build_model(recipe, image, classes)
    return count_parameters(model), count_macs(model, image)
