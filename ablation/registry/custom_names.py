"""Names and options of custom components, `module:attribute`, as text: nothing is looked up, and nothing imported."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import AfterValidator
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError, PydanticKnownError

from ablation.registry.metrics import EXTRAS, METRICS
from ablation.registry.torchvision_names import PREFIX

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

FORM = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
SCHEMA = {"type": "string", "pattern": r"^[\w.]+:\w+$"}
CUSTOM = "module:attribute"
"""How the name of a custom component reads."""


def is_custom(name: object) -> bool:
    """Whether a component of that name is code that the study names."""
    return isinstance(name, str) and ":" in name and not name.startswith(PREFIX)


def well_formed(name: str, what: str, example: str) -> str:
    """The name, where it reads as `module:attribute`. Raises PydanticCustomError."""
    if not (FORM.fullmatch(name) and len(name) <= 200):
        hint = f"for example {example}, with {example.partition(':')[0]}.py next to the study file"
        raise PydanticCustomError("own_name", "a custom {what} is named module:attribute", {"what": what, "hint": hint})
    return name


@cache
def plugins(kind: str) -> Mapping[str, str]:
    """The names that installed packages give to components of a kind -> their `module:attribute`. Nothing is imported.

    They are entry points of the group `ablation.<kind>`, where the kind is the name of the decorator.
    """
    return {point.name: point.value for point in _entry_points().select(group=f"ablation.{kind}")}


@cache
def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points

    return cast("EntryPoints", entry_points())  # reads a file of every installed package


class Options(dict[str, Any]):
    """The options of a custom component: the keywords that its code is called with, as plain values."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True))


def checked(options: dict[str, Any], given: tuple[str, ...], example: str = "") -> Options:
    """The options, where they are plain values and none is `given` by ablate. Raises PydanticCustomError."""
    for key, value in options.items():
        fault = _fault(value)
        if key in given or not str(key).isidentifier():
            fault = f"{key!r} is passed by ablate" if key in given else f"{key!r} is not a keyword name"
        if fault:
            context = {"fault": fault, "hint": f"for example {example}" if example else None, "place": (key,)}
            raise PydanticCustomError("options", "{fault}", context)
    return Options(options)


def _fault(value: object) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a finite number"
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return next((fault for part in parts if (fault := _fault(part))), None)


PartName = Annotated[
    str, AfterValidator(lambda name: well_formed(name, "component", "my_parts:Lion")), WithJsonSchema(SCHEMA)
]


def _metric_name(name: str, allowed: Iterable[str]) -> str:
    if name in allowed:
        return name
    name = plugins("metric").get(name, name)
    if is_custom(name):
        return well_formed(name, "metric", "my_metrics:balanced_accuracy")
    expected = ", ".join(map(repr, [*allowed, *plugins("metric")]))
    raise PydanticKnownError("literal_error", {"expected": expected})


def _names(allowed: Iterable[str]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": "string", "enum": [*allowed]}, SCHEMA]})


ExtraMetric = Annotated[str, AfterValidator(lambda name: _metric_name(name, EXTRAS)), _names(EXTRAS)]
"""A metric that is computed from stored predictions."""
PrimaryMetric = Annotated[str, AfterValidator(lambda name: _metric_name(name, METRICS)), _names(METRICS)]
DataName = Annotated[
    str, AfterValidator(lambda name: well_formed(name, "data set", "my_data:Spectrograms")), WithJsonSchema(SCHEMA)
]
DataOptions = Annotated[
    dict[str, Any],
    AfterValidator(lambda options: checked(options, ("part",), "options: {bands: 64}")),
]
