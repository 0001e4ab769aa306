"""The plain tables of the registry agree with the code that they speak of."""

from __future__ import annotations

import itertools
from typing import Any, get_args

import pytest
import torch

from ablation.registry import catalog
from ablation.study import schema, validation_errors
from ablation.study.networks import Scheme
from ablation.study.validation_errors import option_names
from ablation.training.models import ModelOptions, build_model, smallest_input


@pytest.mark.parametrize("name", catalog.MODELS)
def test_the_smallest_input_is_that_of_the_network(name: str) -> None:
    recipe_options = schema.Model(name=name).model_dump() | dict(catalog.MODELS[name].defaults)
    for other in ("init", "weights", "freeze", "input_size", "options"):
        recipe_options.pop(other, None)
    stems = ("small", "large") if recipe_options["stem"] else (None,)
    for norm, stem in itertools.product(("none", "batch", "group", "instance", "layer"), stems):
        options: dict[str, Any] = recipe_options | {"norm": norm, "stem": stem}
        built = ModelOptions(
            **options | {key: tuple(options[key]) for key in ("hidden", "channels")} | {"stem": stem or "small"}
        )
        assert catalog.smallest_side(name, options) == smallest_input(built)


@pytest.mark.parametrize("name", catalog.MODELS)
def test_the_channels_are_those_of_the_network(name: str) -> None:
    """Stating a model's own channels is no change: networks with and without them are alike."""
    recipe = schema.Model(name=name)
    own = catalog.MODELS[name].defaults["channels"]
    with torch.device("meta"):
        plain, stated = (build(name, channels) for channels in ((), tuple(own)))  # type: ignore[call-overload]
    assert [p.shape for p in plain.parameters()] == [p.shape for p in stated.parameters()]
    assert recipe.channels is None


def build(name: str, channels: tuple[int, ...]) -> torch.nn.Module:
    own = dict(catalog.MODELS[name].defaults)
    own |= {"hidden": tuple(own["hidden"]), "channels": channels, "stem": own["stem"] or "small"}  # type: ignore[arg-type]
    same = {"norm_position": "before", "activation": "relu", "pool": "max", "width": 1.0}
    none = dict.fromkeys(("dropout", "feature_dropout", "input_dropout", "dropconnect"), 0.0)
    options = ModelOptions(name=name, **own | same | none)  # type: ignore[arg-type]
    return build_model(options, (3, 32, 32), 10)


LISTS = {"data": "data", "optimizer": "optimizers", "schedule": "schedules", "augment": "augmentations"}


@pytest.mark.parametrize("section", LISTS)
def test_every_choice_is_listed_and_can_be_made(section: str) -> None:
    assert set(catalog.choices()[LISTS[section]]) == set(validation_errors._KINDS[section])
    for name in catalog.choices()[LISTS[section]]:
        assert "name" in option_names(section, name)


def test_every_initialisation_is_listed() -> None:
    assert tuple(catalog.choices()["init"]) == get_args(Scheme)


@pytest.mark.parametrize(
    ("word", "expected"), [("VGG-16", "vgg16"), ("resnet 18", "resnet18"), ("lenet", "lenet5"), ("transformer", None)]
)
def test_misspelt_names_find_the_nearest(word: str, expected: str | None) -> None:
    assert catalog.nearest(word, catalog.MODELS) == expected
