"""Which options are part of a run's key, so that an option added to a component leaves the keys of stored runs alone.

The options in `RECORDED` always are. Any other option is only where it differs from its default, and a component whose
default comes to mean something else raises its `version`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ablation.registry.options import Section

RECORDED: Mapping[str, str] = MappingProxyType(
    {
        "data.digits": "validation augment fraction limit",
        "data.mnist": "validation augment fraction limit",
        "data.fashion_mnist": "validation augment fraction limit",
        "data.cifar10": "validation augment fraction limit",
        "data.cifar100": "validation augment fraction limit",
        "data.image_folder": "validation augment fraction limit size",
        "data.synthetic": "validation augment fraction limit shape classes samples",
        "data": "validation augment fraction limit options",
        "optimizer": "lr weight_decay head_lr_multiplier",
        "optimizer.sgd": "lr weight_decay head_lr_multiplier momentum nesterov",
        "optimizer.adam": "lr weight_decay head_lr_multiplier beta1 beta2 eps",
        "optimizer.adamw": "lr weight_decay head_lr_multiplier beta1 beta2 eps",
        "optimizer.rmsprop": "lr weight_decay head_lr_multiplier alpha eps momentum",
        "schedule": "warmup_epochs",
        "schedule.constant": "warmup_epochs",
        "schedule.step": "warmup_epochs step_size gamma",
        "schedule.multistep": "warmup_epochs milestones gamma",
        "schedule.cosine": "warmup_epochs min_lr",
        "schedule.exponential": "warmup_epochs gamma",
        "schedule.one_cycle": "pct_start div_factor final_div_factor",
        "schedule.plateau": "warmup_epochs factor patience threshold min_lr",
        "augment.crop": "padding",
        "augment.flip": "probability",
        "augment.cutout": "size",
        "augment.random_resized_crop": "scale ratio",
        "augment.color_jitter": "brightness contrast saturation",
        "augment.noise": "sd",
        "model": "norm norm_position activation pool kernel_size channels width hidden dropout "
        "feature_dropout input_dropout dropconnect init stem weights freeze input_size options",
        "train": "epochs steps eval_every hold patience batch_size label_smoothing mixup "
        "clip_norm precision compile select stages",
        "stages": "number first last freeze optimizer schedule start",
    }
)
"""Component -> its options that are in every key, whatever their values. Part of stored keys: never change a line."""


_NAME = frozenset({"name"})
_RECORDED = {part: _NAME.union(options.split()) for part, options in RECORDED.items()}


def lasting(section: str, part: Section, values: Mapping[str, Any]) -> dict[str, Any]:
    """The plain `values` of a part of a recipe without options that were added later and have their default.

    `part` is the typed form of `values`, which holds no other keys than its options.
    """
    name = getattr(part, "name", None)
    recorded = _RECORDED.get(f"{section}.{name}") or _RECORDED.get(section, _NAME)
    kept = {key: value for key, value in values.items() if key in recorded or not _is_default(part, key)}
    for key in kept.keys() & {"augment", "stages"}:
        kept[key] = [lasting(key, *pair) for pair in zip(getattr(part, key), kept[key], strict=True)]
    for key in kept.keys() & {"optimizer", "schedule"}:  # of a stage
        kept[key] = lasting(key, getattr(part, key), kept[key])
    return kept if part.version == 1 else kept | {"version": part.version}


def _is_default(part: Section, key: str) -> bool:
    field = type(part).model_fields.get(key)
    return field is not None and bool(getattr(part, key) == field.get_default(call_default_factory=True))
