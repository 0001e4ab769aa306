"""All that a study file can name, with its options, from the registry."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from ablation.registry import augmentations, catalog, datasets, initial_weights, optimizers, schedules
from ablation.registry.metrics import EXTRAS, METRICS
from ablation.registry.options import summary

from .tables import cell, table
from .values import key_table

KINDS: Mapping[str, Mapping[str, type[BaseModel]]] = {
    "Data sets": datasets.KINDS,
    "Augmentations": augmentations.KINDS,
    "Optimizers": optimizers.KINDS,
    "Schedules": schedules.KINDS,
}


def lines() -> Iterator[str]:
    """A section for each kind of component."""
    yield from _models()
    for heading, kinds in KINDS.items():
        yield from ("", f"## {heading}")
        for name, kind in kinds.items():
            yield from ("", f"### `{name}`", "", inspect.getdoc(kind) or "")
            yield from key_table(kind.model_json_schema())
    yield from ("", "## Initial weights")
    yield from table(
        ("name", "what it is"), [(f"`{n}`", cell(summary(kind))) for n, kind in initial_weights.KINDS.items()]
    )
    yield from ("", "## Metrics")
    yield from table(
        ("name", "better", "unit"),
        [(f"`{name}`", str(metric.direction), metric.unit) for name, metric in {**METRICS, **EXTRAS}.items()],
    )


def _models() -> Iterator[str]:
    yield from ("## Models", "", "Options that a model has in common with others: [study files](study-files.md#model).")
    for name, kind in catalog.MODELS.items():
        yield from ("", f"### `{name}`", "", f"{summary(kind)}.")
        yield from table(
            ("option", "default"),
            [(f"`{key}`", f"`{json.dumps(value)}`") for key, value in kind.defaults().items() if value is not None],
        )
    yield from ("", "### torchvision", "", "Classifiers of torchvision, with the file of their `DEFAULT` weights.")
    yield from table(
        ("name", "image", "weights"),
        [(f"`{name}`", f"{spec.size} x {spec.size}", f"`{spec.file}`") for name, spec in catalog.TORCHVISION.items()],
    )
