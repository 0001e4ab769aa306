"""pydantic's validation errors in the words of the study file: what is wrong, where, and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ablation import registry, sections, study
from ablation.designs import Component
from ablation.networks import Init, Model, used_options
from ablation.stages import Stage
from ablation.study import Path

_KINDS: Mapping[str, Mapping[str, type[BaseModel]]] = {
    section: {
        name: kind for kind in get_args(get_args(union)[0]) for name in get_args(kind.model_fields["name"].annotation)
    }
    for section, union in {
        "data": study.Data,
        "optimizer": sections.Optimizer,
        "schedule": sections.Schedule,
        "augment": sections.Augmentation,
    }.items()
}
_AUGMENTATIONS = _KINDS["augment"]
_SINGLE: Mapping[str, type[BaseModel]] = {"model": Model, "train": study.Train}
SECTIONS = tuple(study.Recipe.model_fields)
OWN_KEYWORDS = "model.options."

_BOUNDS = {
    "greater_than": "above",
    "greater_than_equal": "at least",
    "less_than": "below",
    "less_than_equal": "at most",
}
_TYPES = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "finite_number": "a finite number",
}


_ELSEWHERE = {"mixup": "mixup changes the labels too: it is the option train.mixup, for example mixup: 0.2"}
"""Names that are looked for where they are not."""


def option_names(section: str, name: object) -> tuple[str, ...]:
    """The options of `section` of the kind `name`; of every kind where `name` is none of them."""
    if section == "model":
        return used_options(name)
    if section in _SINGLE:
        return tuple(_SINGLE[section].model_fields)
    kinds = _KINDS[section]
    chosen = [kinds[name]] if isinstance(name, str) and name in kinds else list(kinds.values())
    return tuple(dict.fromkeys(option for kind in chosen for option in kind.model_fields))


def known_paths() -> list[str]:
    """Every path that `vary` and `combine` may name: sections and their options."""
    options = [f"{section}.{option}" for section in SECTIONS for option in option_names(section, None)]
    return [*SECTIONS, *options, *(f"model.init.{part}" for part in Init.model_fields)]


def is_known_path(path: str) -> bool:
    """Whether `vary` and `combine` may name it; a network of the user's own has keywords of any name."""
    return path in known_paths() or (path.startswith(OWN_KEYWORDS) and len(path) > len(OWN_KEYWORDS))


def faults(error: ValidationError, raw: Any) -> list[tuple[Path, bool, str, str | None]]:
    """Each fault as (place in `raw`, whether its key is meant rather than its value, message, hint)."""
    found = [_fault(dict(item), raw) for item in error.errors(include_url=False)]
    return list(dict.fromkeys(found))


def real_path(loc: Sequence[Any], raw: Any) -> Path:
    """`loc` without the parts that pydantic adds for unions, and without a missing key at its end."""
    path: list[str | int] = []
    for part in loc:
        inside = isinstance(raw, list | tuple) and isinstance(part, int) and part < len(raw)
        if inside or (isinstance(raw, Mapping) and part in raw):
            raw = raw[part]
            path.append(part)
    return tuple(path)


def _fault(item: dict[str, Any], raw: Any) -> tuple[Path, bool, str, str | None]:
    kind, ctx = item["type"], item.get("ctx", {})
    path = real_path([*item["loc"], *ctx.get("place", ())], raw)
    what = dotted(path) or "the study"
    value = item["input"]
    if kind == "extra_forbidden":
        hint = _other_kinds(path) or registry.suggestion(path[-1], _siblings(path, raw))
        return path, True, f"unknown key {path[-1]!r}{_inside(path[:-1], raw)}", hint
    if kind == "missing":
        return path, bool(path), f"{what} has no {item['loc'][-1]!r}", _missing_hint(path, str(item["loc"][-1]))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _tag_fault(kind, path, value)
    if kind == "literal_error":
        known = [part.strip(" '") for part in ctx["expected"].replace(" or ", ", ").split(",")]
        return path, False, f"{what} is {_show(value)}", registry.suggestion(value, known)
    if kind in _BOUNDS:
        limit = next(ctx[key] for key in ("gt", "ge", "lt", "le") if key in ctx)
        return path, False, f"{what} is {_show(value)}; it must be {_BOUNDS[kind]} {limit:g}", None
    if kind in _TYPES:
        return path, False, f"{what} is {_show(value)}; it must be {_TYPES[kind]}", _type_hint(kind, value)
    if kind in ("too_short", "string_too_short"):
        return path, False, f"{what} is empty", "give at least one value"
    if kind in ("too_long", "string_too_long"):
        return path, False, f"{what} is too long", f"at most {ctx['max_length']:,}"
    return path, False, f"{what}: {item['msg']}", ctx.get("hint")


def _tag_fault(kind: str, path: Path, value: Any) -> tuple[Path, bool, str, str | None]:
    section = str(path[-1]) if path and isinstance(path[-1], str) else "augment"
    known = _AUGMENTATIONS if section == "augment" else _KINDS[section]
    singular = {"augment": "augmentation", "data": "data set"}.get(section, section)
    if kind == "union_tag_not_found" or not isinstance(value, Mapping):
        what = "has no name" if isinstance(value, Mapping) else f"is {_show(value)}; it must be a mapping with a name"
        return path, True, f"{dotted(path)} {what}", f"choose one: {', '.join(known)}"
    name = value["name"]
    hint = _ELSEWHERE.get(str(name)) or registry.suggestion(name, known)
    return (*path, "name"), False, f"unknown {singular} {_show(name)}", hint


def _siblings(path: Path, raw: Any) -> tuple[str, ...]:
    """The keys that may stand where `path` stands."""
    parents, node = path[:-1], raw
    for part in parents:
        node = node[part]
    name = node.get("name") if isinstance(node, Mapping) else None
    if parents[:1] == ("components",):
        return tuple(Component.model_fields)
    if "augment" in parents:
        return tuple(_AUGMENTATIONS[str(name)].model_fields)
    if parents[-2:] == ("model", "init"):
        return tuple(Init.model_fields)
    if parents[-2:-1] == ("stages",):
        return tuple(Stage.model_fields)
    if parents and parents[-1] in SECTIONS:
        return option_names(str(parents[-1]), name)
    return SECTIONS if parents == ("baseline",) else tuple(study.StudyFile.model_fields)


def _other_kinds(path: Path) -> str | None:
    """Which other kinds of the same section know the option at `path`."""
    section = "augment" if "augment" in path[:-1] else str(path[-2]) if len(path) > 1 else ""
    owners = [name for name, kind in _KINDS.get(section, {}).items() if path[-1] in kind.model_fields]
    return f"it is an option of {' and '.join(owners)}" if owners else None


def _inside(parents: Path, raw: Any) -> str:
    for part in parents:
        raw = raw[part]
    name = raw.get("name") if isinstance(raw, Mapping) else None
    return (f" in {dotted(parents)}" if parents else "") + (f" ({name})" if isinstance(name, str) else "")


def _missing_hint(path: Path, key: str) -> str | None:
    hints = {
        "name": f"choose one: {', '.join(registry.MODELS)}" if path[-1:] == ("model",) else None,
        "baseline": "declare data, model, optimizer and train below it",
        "seeds": "for example seeds: [0, 1, 2]",
        "train": "for example train: {epochs: 30, batch_size: 128}",
        "optimizer": "for example optimizer: {name: sgd, lr: 0.05, momentum: 0.9}",
        "data": "for example data: {name: digits}",
        "model": "for example model: {name: lenet5}",
        "path": "the folder that holds train/<class>/",
    }
    return hints.get(key)


def _type_hint(kind: str, value: object) -> str | None:
    if kind == "bool_type" and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off"):
        return "write true or false"
    if kind in ("float_type", "int_type") and isinstance(value, str):
        return "write the number without quotes or units"
    return None


def dotted(path: Path) -> str:
    """`("vary", "model.norm", 0)` -> `vary.model.norm[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _show(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
