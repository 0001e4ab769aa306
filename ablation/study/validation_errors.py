"""pydantic's validation errors in terms of the study file: what is wrong, where, and how to fix it."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from ablation.registry import augmentations, catalog, custom_names, datasets, optimizers, schedules
from ablation.registry.custom_names import CUSTOM, is_custom
from ablation.study import schema
from ablation.study.designs import Component
from ablation.study.follow_up import FollowUp
from ablation.study.networks import Init, Model, used_options
from ablation.study.report_options import ReportOptions
from ablation.study.schema import Path
from ablation.study.seeds import Looks
from ablation.study.stages import Stage
from ablation.study.task_file import TaskAnalysis, TaskStudyFile
from ablation.study.tasks import CommandTask, FunctionTask, MetricOptions

_KINDS: Mapping[str, Mapping[str, type[BaseModel]]] = {
    "data": {**datasets.KINDS, CUSTOM: datasets.CustomData},
    "optimizer": {**optimizers.KINDS, CUSTOM: optimizers.CustomOptimizer},
    "schedule": {**schedules.KINDS, CUSTOM: schedules.CustomSchedule},
    "augment": {**augmentations.KINDS, CUSTOM: augmentations.CustomAugmentation},
}
_SINGLE: Mapping[str, type[BaseModel]] = {"model": Model, "train": schema.Train}
SECTIONS = tuple(schema.Recipe.model_fields)
OPEN = ("optimizer", "schedule")
"""Sections in which the options of custom code are next to its name."""
CUSTOM_OPTIONS = ("model.options.", "data.options.")

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
"""Names that people write in another place."""

_ALIASES = {
    "data": "dataset",
    "data.augment": "augmentation augmentations aug transform transforms",
    "data.path": "root folder directory",
    "data.size": "image_size img_size resize",
    "data.validation": "val val_split val_fraction valid validation_split",
    "model": "net network arch architecture",
    "model.activation": "act activation_fn nonlinearity",
    "model.dropout": "drop drop_rate dropout_rate p_dropout",
    "model.init": "initialization initialisation weight_init",
    "model.kernel_size": "kernel kernels filter_size",
    "model.norm": "batch_norm bn norm_layer normalization normalisation",
    "model.weights": "checkpoint pretrained",
    "optimizer": "opt optim optimiser",
    "optimizer.lr": "base_lr initial_lr learning_rate",
    "optimizer.weight_decay": "l2 l2_lambda l2_reg lambda regularization regularisation wd",
    "schedule": "lr_schedule lr_scheduler scheduler",
    "schedule.warmup_epochs": "warmup warm_up",
    "train.batch_size": "batch bs mini_batch",
    "train.clip_norm": "clip clip_grad_norm grad_clip gradient_clipping max_grad_norm max_norm",
    "train.epochs": "epoch max_epochs n_epochs num_epochs",
    "train.label_smoothing": "label_smooth smoothing",
    "train.patience": "early_stopping",
    "train.precision": "amp fp16 mixed_precision",
    "train.steps": "iterations iters max_steps n_steps num_steps",
    "seeds": "n_seeds num_seeds seed",
    "vary": "ablate ablations sweep variants",
}
"""Path -> other names that people give it."""
_BY_ALIAS = {alias.replace("_", ""): path for path, aliases in _ALIASES.items() for alias in aliases.split()}
_BY_ALIAS |= {path.rpartition(".")[2].replace("_", ""): path for path in _ALIASES}


def plugins(section: str) -> Mapping[str, str]:
    """The names of installed plug-ins that the section may have."""
    return custom_names.plugins("augmentation" if section == "augment" else section)


def option_names(section: str, name: object) -> tuple[str, ...]:
    """The options of `section` of the kind `name`; of every kind where `name` is none of them."""
    if section == "model":
        return used_options(name)
    if section in _SINGLE:
        return tuple(_SINGLE[section].model_fields)
    kinds = _KINDS[section]
    if isinstance(name, str) and name not in kinds and (is_custom(name) or name in plugins(section)):
        name = CUSTOM
    chosen = [kinds[name]] if isinstance(name, str) and name in kinds else list(kinds.values())
    return tuple(dict.fromkeys(option for kind in chosen for option in kind.model_fields))


@functools.cache
def known_paths() -> tuple[str, ...]:
    """Every path that `vary` and `combine` may name: sections and their options."""
    options = [f"{section}.{option}" for section in SECTIONS for option in option_names(section, None)]
    return (*SECTIONS, *options, *(f"model.init.{part}" for part in Init.model_fields))


def is_known_path(path: str) -> bool:
    """Whether `vary` and `combine` may name it."""
    return path in known_paths() or any(path.startswith(own) and len(path) > len(own) for own in CUSTOM_OPTIONS)


def may_be_custom(path: str) -> bool:
    """Whether it may be an option of custom code, which has options of any name; variants find a wrong one."""
    section, _, option = path.partition(".")
    return section in OPEN and option.isidentifier()


def names_code(raw: object) -> bool:
    """Whether a value in it reads as the name of a custom component."""
    if isinstance(raw, Mapping | list | tuple):
        return any(map(names_code, raw.values() if isinstance(raw, Mapping) else raw))
    named = isinstance(raw, str) and custom_names.FORM.fullmatch(raw) is not None
    return named or any(raw in plugins(section) for section in OPEN if isinstance(raw, str))


def meant_paths(word: object) -> list[str]:
    """The paths that a wrong key was meant to be: those of an option with this name, or what it is an alias of."""
    plain = re.sub(r"[^a-z0-9.]", "", str(word).lower())
    alias = _BY_ALIAS.get(plain.rpartition(".")[2])
    return [path for path in known_paths() if path.endswith(f".{word}")] or ([alias] if alias else [])


def faults(error: ValidationError, raw: Any) -> list[tuple[Path, bool, str, str | None]]:
    """Each error as (place in `raw`, whether its key is meant rather than its value, message, hint)."""
    found = [_fault(dict(item), raw) for item in error.errors(include_url=False)]
    return list(dict.fromkeys(found))


def task_faults(error: ValidationError, raw: Any) -> list[tuple[Path, bool, str, str | None]]:
    """`faults` for the study file of a function or a command."""
    return list(dict.fromkeys(_task_fault(dict(item), raw) for item in error.errors(include_url=False)))


def _task_fault(item: dict[str, Any], raw: Any) -> tuple[Path, bool, str, str | None]:
    kind, loc = item["type"], list(item["loc"])
    if loc[:1] == ["task"] and len(loc) > 1:
        del loc[1]  # pydantic's tag of the union, which may be a key of the file too
    item["loc"] = tuple(loc)
    path = real_path([*loc, *item.get("ctx", {}).get("place", ())], raw)
    if kind == "extra_forbidden":
        known = _task_keys(path[:-1])
        return (
            path,
            True,
            f"unknown key {path[-1]!r}{_inside(path[:-1], raw)}",
            catalog.suggestion(str(path[-1]), known),
        )
    if kind == "missing":
        key = str(item["loc"][-1])
        return path, bool(path), f"{dotted(path) or 'the study'} has no {key!r}", _TASK_EXAMPLES.get(key)
    return _fault(item, raw)


_TASK_EXAMPLES = {
    "baseline": "for example baseline: {lr: 0.1, dropout: 0.2}",
    "metrics": "for example metrics: {val_accuracy: {direction: higher, unit: share}}",
    "direction": "for example direction: higher",
    "seeds": "for example seeds: 5",
    "looks": "for example looks: [3, 5, 8, 12]",
    "seed": "the name by which the command takes the seed, for example seed: --seed",
}


def _task_keys(path: Path) -> tuple[str, ...]:
    """The keys that are allowed at a place of the study file of a function or a command."""
    match path:
        case ():
            return tuple(field.alias or name for name, field in TaskStudyFile.model_fields.items())
        case ("task",):
            return tuple(f.alias or n for own in (FunctionTask, CommandTask) for n, f in own.model_fields.items())
        case ("metrics", _):
            return tuple(MetricOptions.model_fields)
        case ("analysis",):
            return tuple(TaskAnalysis.model_fields)
        case ("follow_up",):
            return tuple(FollowUp.model_fields)
        case ("report",):
            return tuple(ReportOptions.model_fields)
        case ("seeds",):
            return tuple(Looks.model_fields)
        case _:
            return tuple(Component.model_fields)


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
        hint = _other_kinds(path) or _key_hint(path, _siblings(path, raw))
        return path, True, f"unknown key {path[-1]!r}{_inside(path[:-1], raw)}", hint
    if kind == "missing":
        return path, bool(path), f"{what} has no {item['loc'][-1]!r}", _missing_hint(path, str(item["loc"][-1]))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _tag_fault(kind, path, value)
    if kind == "literal_error":
        known = [part.strip(" '") for part in ctx["expected"].replace(" or ", ", ").split(",")]
        return path, False, f"{what} is {_show(value)}", catalog.suggestion(value, known)
    if kind in _BOUNDS:
        limit = next(ctx[key] for key in ("gt", "ge", "lt", "le") if key in ctx)
        return path, False, f"{what} is {_show(value)}; it must be {_BOUNDS[kind]} {limit:g}", None
    if kind in _TYPES:
        return path, False, f"{what} is {_show(value)}; it must be {_TYPES[kind]}", _type_hint(kind, path, value)
    if kind in ("too_short", "string_too_short"):
        return path, False, f"{what} is empty", "give at least one value"
    if kind in ("too_long", "string_too_long"):
        return path, False, f"{what} is too long", f"at most {ctx['max_length']:,}"
    return path, False, f"{what}: {item['msg']}", ctx.get("hint")


def _tag_fault(kind: str, path: Path, value: Any) -> tuple[Path, bool, str, str | None]:
    section = str(path[-1]) if path and isinstance(path[-1], str) else "augment"
    known = [*_KINDS[section], *plugins(section)]
    singular = {"augment": "augmentation", "data": "data set"}.get(section, section)
    if kind == "union_tag_not_found" or not isinstance(value, Mapping):
        what = (
            "has no name"
            if isinstance(value, Mapping)
            else f"is {_show(value)}; it must be a name, or a mapping with one"
        )
        return path, isinstance(value, Mapping), f"{dotted(path)} {what}", f"choose one: {', '.join(known)}"
    name = value["name"]
    hint = _ELSEWHERE.get(str(name)) or catalog.suggestion(name, known)
    return (*path, "name"), False, f"unknown {singular} {_show(name)}", hint


def _key_hint(path: Path, siblings: Sequence[str]) -> str:
    """What an unknown key was probably meant to be, among its siblings or elsewhere in the file."""
    key = str(path[-1])
    if re.match(r"[\w.]+\s*[:{[]", key) and "." not in siblings:
        return "write it as key: value, with a colon and a space"
    if catalog.nearest(key, siblings) or path[:1] == ("components",):
        return catalog.suggestion(key, siblings)
    meant = meant_paths(key)
    sections = [own.partition(".")[0] for own in meant]
    here = [own.rpartition(".")[2] for own in meant if own.rpartition(".")[2] in siblings]
    if not meant:
        return catalog.suggestion(key, siblings)
    if here and (len(path) < 2 or path[-2] in sections or "." not in meant[0]):
        return f"did you mean {here[0]!r}?"
    if "." not in meant[0]:
        return (
            f"did you mean {meant[0]!r}? it is a key of {'the baseline' if meant[0] in SECTIONS else 'the whole file'}"
        )
    where = "" if "stages" in path else "in the baseline, "
    return f"write it {where}as " + " or ".join("{}: {{{}: ...}}".format(*own.split(".", 1)) for own in meant)


def _siblings(path: Path, raw: Any) -> tuple[str, ...]:
    """The keys that are allowed where `path` is."""
    parents, node = path[:-1], raw
    for part in parents:
        node = node[part]
    name = node.get("name") if isinstance(node, Mapping) else None
    if parents[:1] == ("components",):
        return tuple(Component.model_fields)
    if parents == ("seeds",):
        return tuple(Looks.model_fields)
    if "augment" in parents:
        return tuple(_KINDS["augment"][str(name)].model_fields)
    if parents[-2:] == ("model", "init"):
        return tuple(Init.model_fields)
    if parents[-2:-1] == ("stages",):
        return tuple(Stage.model_fields)
    if parents and parents[-1] in SECTIONS:
        return option_names(str(parents[-1]), name)
    if parents == ("follow_up",):
        return tuple(FollowUp.model_fields)
    if parents in (("analysis",), ("report",)):
        return tuple((schema.AnalysisOptions if parents == ("analysis",) else ReportOptions).model_fields)
    return SECTIONS if parents == ("baseline",) else tuple(schema.StudyFile.model_fields)


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
        "name": f"choose one: {', '.join(catalog.MODELS)}" if path[-1:] == ("model",) else None,
        "lr": "for example lr: 0.001",
        "baseline": "declare data, model, optimizer and train below it",
        "seeds": "for example seeds: [0, 1, 2]",
        "looks": "for example looks: [3, 5, 8, 12]",
        "train": "for example train: {epochs: 30, batch_size: 128}",
        "optimizer": "for example optimizer: {name: sgd, lr: 0.05, momentum: 0.9}",
        "data": "for example data: {name: digits}",
        "model": "for example model: {name: lenet5}",
        "path": "the folder that holds train/<class>/",
    }
    return hints.get(key)


def _type_hint(kind: str, path: Path, value: object) -> str | None:
    if kind == "bool_type" and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off"):
        return "write true or false"
    if kind in ("float_type", "int_type") and isinstance(value, str):
        return "write the number without quotes or units"
    if kind in ("list_type", "tuple_type") and isinstance(value, str | int | float) and not isinstance(value, bool):
        return f"write {path[-1] if path else 'it'}: [{_list_of(str(value))}]"
    return None


def _list_of(text: str) -> str:
    """The entries that a value without brackets was meant to have: `0, 1`, or a range such as `0-4`."""
    ends = re.fullmatch(r"([0-9]{1,4})\s*(?:-|\.\.|to)\s*([0-9]{1,4})", text.strip())
    if ends and 0 <= int(ends[2]) - int(ends[1]) < 20:
        return ", ".join(map(str, range(int(ends[1]), int(ends[2]) + 1)))
    return ", ".join(part for part in re.split(r"[\s,;]+", text.strip("[]() ")) if part)


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
