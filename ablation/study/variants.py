"""The variants of a study: each declared change applied to the baseline, checked to be a single one, and named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ablation._util.hashing import canonical_json
from ablation.registry import catalog
from ablation.registry.augmentations import Cutout
from ablation.registry.datasets import Data
from ablation.registry.options import named
from ablation.study.networks import Model, init_parts
from ablation.study.schema import AnyRecipe, Recipe, Variant, changed
from ablation.study.validation_errors import option_names

_OWN_PARAMETERS = ("optimizer", "schedule")
"""Sections whose choice is one variable together with the parameters that belong to it."""


class VariantTable:
    """The variants of a study in their order, found by their name and by what they train; no two train the same."""

    def __init__(self, baseline: Variant) -> None:
        self.names: set[str] = set()
        self._by_training: dict[str, Variant] = {}
        self.put(baseline)

    def __iter__(self) -> Iterator[Variant]:
        return iter(self._by_training.values())

    @property
    def baseline(self) -> Variant:
        return next(iter(self))

    def put(self, variant: Variant) -> None:
        """Add a variant, or put it in the place of the one that trains the same."""
        self.names.add(variant.name)
        self._by_training[canonical_json(variant.recipe.canonical())] = variant

    def twin(self, recipe: AnyRecipe) -> Variant | None:
        """The variant that trains what `recipe` does, if there is one."""
        return self._by_training.get(canonical_json(recipe.canonical()))


def with_change(sections: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """`sections` with the option at `path` (`section.option`, or a whole `section`) set to `value`.

    Where the kind of a section changes (`schedule: {name: step, ...}`), the options that the new kind shares with the
    old one keep their values unless `value` names them.
    """
    section, _, option = path.partition(".")
    own = named(sections.get(section) or {})
    if not isinstance(own, Mapping) and option:
        return dict(sections)  # no section that could have options: the schema says so
    current = dict(own) if isinstance(own, Mapping) else {}
    outer, _, keyword = option.partition(".")
    if keyword:  # a part of `init`, or a keyword of a network of the user's own
        inner = current.get(outer, {})
        inner = init_parts(inner) if f"{section}.{outer}" == "model.init" else inner
        value = {**(inner if isinstance(inner, Mapping) else {}), keyword: value}
    if option and option != "name":
        return {**sections, section: {**current, outer: value}}
    new: Any = {"name": value} if option or isinstance(value, str) else value
    if not isinstance(new, Mapping):
        return {**sections, section: new}
    name = new.get("name", current.get("name"))
    if name != current.get("name"):
        current = {key: kept for key, kept in current.items() if key in option_names(section, name)}
    return {**sections, section: {**current, **new}}


def extra_variables(baseline: Recipe, variant: Recipe, path: str) -> list[str]:
    """The options that `variant` changes although `path` is the only declared variable."""
    section = path.partition(".")[0]
    paths = changed(baseline, variant)
    if f"{section}.name" not in paths:
        return paths if len(paths) > 1 else []
    if section in _OWN_PARAMETERS:
        return [p for p in paths if not p.startswith(f"{section}.")]
    before, after = baseline.flat(), variant.flat()
    shared = [p for p in paths if p in before and p in after and p != f"{section}.name"]
    return [f"{section}.name", *shared] if shared else []


def label(path: str, value: object, recipe: Recipe) -> str:
    """A short name for one change: `dropout=0.3`, `norm=none`, `model=vgg11`, `schedule=step`."""
    section, _, option = path.partition(".")
    if option in ("", "name"):
        chosen = str(getattr(getattr(recipe, section), "name", show(value)))
        short = chosen.rpartition(":")[2] if section in _OWN_PARAMETERS else chosen  # `optimizer=Lion`, wherever it is
        return f"{section}={short}"
    if path == "model.weights":
        return f"{option}={Path(str(value)).name}"
    return f"{option.removeprefix('options.')}={show(value)}"


def long_label(path: str, value: object) -> str:
    """A name that states the whole change, for when the short one is taken."""
    return f"{path}={show(value)}"


def show(value: object) -> str:
    """A value as one reads it aloud: lists as a+b, mappings as name(option=value)."""
    if isinstance(value, Mapping):
        rest = ", ".join(f"{key}={show(item)}" for key, item in value.items() if key != "name")
        name = str(value.get("name", ""))
        return f"{name}({rest})" if rest else name
    if isinstance(value, list | tuple):
        return "+".join(show(item) for item in value) or "none"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def without_effect(recipe: Recipe) -> list[tuple[str, str, str]]:
    """Options that the recipe sets although its network has no use for them, each as (path, message, hint)."""
    name, asked, used = recipe.model.name, recipe.model, recipe.model.canonical()
    found: list[tuple[str, str, str]] = []
    if name not in catalog.MODELS:
        return found
    if asked.stem and not used["stem"]:
        found.append(("model.stem", f"{name} has no option stem", "remove it; only resnet18 and resnet34 have one"))
    if asked.pool != used["pool"]:
        found.append(("model.pool", f"{name} with stem: small has no pool", "remove it, or set stem: large"))
    if asked.norm_position != used["norm_position"]:
        found.append(
            ("model.norm_position", "norm_position has no effect without a norm", "remove it, or choose a norm")
        )
    return found


def _image_side(data: Data) -> int | None:
    """The shorter side of the images, in pixels; None where custom code would have to run for that."""
    shape = data.image_shape()
    return min(shape[1:]) if shape else None


def input_side(recipe: Recipe) -> int | None:
    """The shorter side of what the network is given, in pixels, if known: images are resized to `model.input_size`."""
    size = recipe.model.canonical()["input_size"]
    return _image_side(recipe.data) if size == "none" else int(size)


def _contradictions_of_size(recipe: Recipe, side: int) -> list[tuple[str, str, str]]:
    network = catalog.TORCHVISION.get(recipe.model.name)
    if network and network.one_size and side != network.size:
        message = f"{recipe.model.name} takes images of {network.size}x{network.size} pixels only, not {side}x{side}"
        return [("model.input_size", message, "remove input_size")]
    return []


def contradictions(recipe: Recipe) -> list[tuple[str, str, str]]:
    """What a schema cannot see: options that cannot go together, each as (path, message, hint)."""
    found = []
    canonical = recipe.model.canonical()
    side = input_side(recipe)
    smallest = catalog.smallest_side(recipe.model.name, canonical)
    if side is not None and side < smallest:
        fitting = [name for name, spec in catalog.MODELS.items() if spec.smallest <= side]
        size = "data.size" if "size" in type(recipe.data).model_fields else "data"
        need = f"{recipe.model.name} needs images of at least {smallest}x{smallest} pixels"
        whose = "model.input_size" if canonical["input_size"] != "none" else recipe.data.name
        message = f"{need}; {whose} has {side}x{side}"
        found.append(("model.name", message, f"enlarge {size}, or use one of: {', '.join(fitting)}"))
    found += _contradictions_of_size(recipe, side) if side is not None else []
    for stage in recipe.stages(recipe.train.epochs) if recipe.train.epochs else ():
        epochs, warmup = stage.last - stage.first + 1, stage.schedule.warmup
        if warmup >= epochs:
            whole = f"all {epochs} epochs" + (f" of stage {stage.number}" if recipe.train.stages else "")
            found.append(("schedule.warmup_epochs", f"the warm-up of {warmup:g} epochs fills {whole}", "shorten it"))
    return [*found, *_unknown_head(recipe), *_wrong_layers(recipe.model), *_wrong_augmentation(recipe.data)]


def _unknown_head(recipe: Recipe) -> list[tuple[str, str, str]]:
    """What takes a network apart, asked of one of the user's own."""
    if not recipe.model.is_custom:
        return []
    found = []
    message = f"the last layer of {recipe.model.name}, which is custom code, is not known"
    if recipe.optimizer.head_lr_multiplier != 1:
        found.append(("optimizer.head_lr_multiplier", message, "remove head_lr_multiplier"))
    if any(stage.freeze == "features" for stage in recipe.train.stages):
        found.append(("train.stages", message, "remove freeze"))
    return found


def _wrong_layers(model: Model) -> list[tuple[str, str, str]]:
    """Lists with a number for each convolution or stage that do not suit the network."""
    spec = catalog.MODELS.get(model.name)
    if spec is None:
        return []
    found = []
    own = spec.defaults()["channels"]
    if model.channels is not None and len(model.channels) != len(own):
        message = f"{model.name} has {len(own)} stages of convolutions, not {len(model.channels)}"
        found.append(("model.channels", message, f"give {len(own)} numbers; the default is {own}"))
    kernels = model.kernel_size
    if isinstance(kernels, tuple) and len(kernels) != spec.kernels:
        message = f"{model.name} takes {spec.kernels} kernel sizes, not {len(kernels)}"
        if spec.kernels == 1:
            message = f"{model.name} takes one kernel size for all its convolutions"
        found.append(("model.kernel_size", message, "give one number, for example 3"))
    return found


def _wrong_augmentation(data: Data) -> list[tuple[str, str, str]]:
    found = []
    side = _image_side(data)
    for place, part in enumerate(data.augment):
        if isinstance(part, Cutout) and side is not None and part.size >= side:
            hint = f"use a size below {side}"
            found.append(("data.augment", f"cutout of {part.size} pixels covers the {side}x{side} image", hint))
        if part.normalised and not all(later.normalised for later in data.augment[place:]):
            message = f"{part.name} is applied to the normalised pixels, after all other augmentations"
            found.append(("data.augment", message, "put it last"))
    return found
