"""The principles behind the techniques that a study varies, by the path of the option.

`PRINCIPLES` covers the options of built-in components; custom code has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ablation.analysis.changes import look_up
from ablation.report.principles.network import NETWORK
from ablation.report.principles.principle import Principle, marked
from ablation.report.principles.training import OPTIMIZATION
from ablation.storage.manifest import Manifest

__all__ = ["PRINCIPLES", "Principle", "Used", "key_of", "marked", "used"]

PRINCIPLES: Mapping[str, Principle] = NETWORK | OPTIMIZATION
_SAME = {
    "model.width": "model.channels",
    "data.limit": "data.fraction",
    "optimizer.beta1": "optimizer.name",
    "optimizer.beta2": "optimizer.name",
    "optimizer.eps": "optimizer.name",
    "optimizer.alpha": "optimizer.name",
}
"""Options that the principle of another one covers."""

Used = tuple[Principle, tuple[str, ...]]
"""A principle, and the kinds of it that a study uses."""


def key_of(path: str) -> str:
    """The path under which the principle of an option is found; there may be none."""
    if path in PRINCIPLES:
        return path
    part = path.partition(".")[0]
    for outer in ("schedule", "model.init", "data.augment"):
        if path == outer or path.startswith(f"{outer}."):
            return outer
    return _SAME.get(path, f"{part}.name" if path == part else path)


def used(study: Manifest) -> tuple[Used, ...]:
    """The principles of what a study varies, each once, in the order in which it varies them.

    None for functions and commands: what their options mean is not known.
    """
    if not study.of_images:
        return ()
    found: dict[int, tuple[Principle, dict[str, None]]] = {}
    first = study.baseline.recipe
    for variant in study.variants[1:]:
        for key in dict.fromkeys(key_of(path) for path in _changed(variant.changes, first)):
            principle = PRINCIPLES.get(key)
            if principle is None:
                continue
            kinds = found.setdefault(id(principle), (principle, {}))[1]
            for recipe in (first, variant.recipe):
                kinds.update(dict.fromkeys(kind for kind in _kinds(key, recipe) if kind in principle.kinds))
    return tuple((principle, tuple(kinds)) for principle, kinds in found.values())


def _changed(changes: Mapping[str, Any], first: Mapping[str, Any]) -> Iterator[str]:
    """The paths of single options; of a part that is given as a whole, those that differ from the baseline."""
    for path, value in changes.items():
        if isinstance(value, Mapping) and path.count(".") == 0:
            own = [f"{path}.{key}" for key in value if value[key] != look_up(first, f"{path}.{key}")]
            yield from own or [path]
        else:
            yield path


def _kinds(key: str, recipe: Mapping[str, Any]) -> Iterable[str]:
    """The names that a recipe has for what a principle tells apart."""
    if key == "schedule":
        return [str(look_up(recipe, "schedule.name"))]
    if key == "model.name":
        name = str(look_up(recipe, key)).rpartition("/")[2]
        if ":" in name and not name.startswith("torchvision:"):  # custom code may be anything
            return []
        return ["resnet9"] if name == "resnet9" else [kind for kind in ("lenet", "vgg", "resnet") if kind in name]
    value = look_up(recipe, key)
    if key == "model.init" and isinstance(value, Mapping):
        return [str(own) for own in value.values()]
    if key == "data.augment":
        return [str(own.get("name")) for own in value or ()]
    return [str(value)]
