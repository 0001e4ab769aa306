"""The plain tables of the registry agree with the code that they speak of."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ablation import registry, study
from ablation.explain import option_names
from ablation.train.models import ModelOptions, smallest_input


@pytest.mark.parametrize("name", registry.MODELS)
def test_the_smallest_input_is_that_of_the_network(name: str) -> None:
    recipe_options = study.Model(name=name).model_dump() | dict(registry.MODELS[name].defaults)
    recipe_options.pop("init")
    stems = ("small", "large") if recipe_options["stem"] else (None,)
    for norm, stem in itertools.product(("none", "batch", "group", "instance", "layer"), stems):
        options: dict[str, Any] = recipe_options | {"norm": norm, "stem": stem}
        built = ModelOptions(**options | {"hidden": tuple(options["hidden"]), "stem": stem or "small"})
        assert registry.smallest_side(name, options) == smallest_input(built)


@pytest.mark.parametrize("section", ["data", "optimizer", "schedule"])
def test_every_choice_is_listed_and_can_be_made(section: str) -> None:
    listed = registry.CHOICES[{"data": "data", "optimizer": "optimizers", "schedule": "schedules"}[section]]
    for name in listed:
        assert "name" in option_names(section, name)


@pytest.mark.parametrize(
    ("word", "expected"), [("VGG-16", "vgg16"), ("resnet 18", "resnet18"), ("lenet", "lenet5"), ("transformer", None)]
)
def test_misspelt_names_find_the_nearest(word: str, expected: str | None) -> None:
    assert registry.nearest(word, registry.MODELS) == expected
