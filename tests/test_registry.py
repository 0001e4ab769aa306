"""The plain tables of the registry agree with the code that they speak of."""

from __future__ import annotations

from typing import get_args

import pytest

from ablation.registry import catalog
from ablation.registry.custom_names import CUSTOM
from ablation.registry.metrics import METRICS
from ablation.study import validation_errors
from ablation.study.networks import Scheme
from ablation.study.validation_errors import option_names

LISTS = {"data": "data", "optimizer": "optimizers", "schedule": "schedules", "augment": "augmentations"}


@pytest.mark.parametrize("section", LISTS)
def test_every_choice_is_listed_and_can_be_made(section: str) -> None:
    assert set(catalog.choices()[LISTS[section]]) == set(validation_errors._KINDS[section])
    for name in catalog.choices()[LISTS[section]]:
        assert "name" in option_names(section, name)


def test_models_and_metrics_are_listed_with_those_of_your_own() -> None:
    listed = catalog.choices()
    assert listed["models"].keys() == {*catalog.MODELS, CUSTOM}
    assert listed["metrics"].keys() == {*METRICS, CUSTOM}


def test_every_initialisation_is_listed() -> None:
    assert tuple(catalog.choices()["init"]) == get_args(Scheme)


@pytest.mark.parametrize(
    ("word", "expected"), [("VGG-16", "vgg16"), ("resnet 18", "resnet18"), ("lenet", "lenet5"), ("transformer", None)]
)
def test_misspelt_names_find_the_nearest(word: str, expected: str | None) -> None:
    assert catalog.nearest(word, catalog.MODELS) == expected
