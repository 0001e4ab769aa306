"""Custom optimizers, schedules and augmentations: their code is loaded and called, and what it returns is checked.

Each is a class or function that is called with what training passes (the parameters; the progress; images and a
generator) and with the options of the study file as keywords. `registry.decorators` says what it has to return.
"""

from __future__ import annotations

import inspect
import io
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from torch import Tensor

from ablation.errors import UserError
from ablation.registry import catalog
from ablation.registry.augmentations import CustomAugmentation, CustomNormalisedAugmentation
from ablation.registry.datasets import Data
from ablation.registry.decorators import KIND, NORMALISED
from ablation.registry.optimizers import CustomOptimizer, Optimizer
from ablation.registry.options import Custom, Section
from ablation.registry.schedules import CustomSchedule, Moment, Schedule
from ablation.rng import generator
from ablation.study.custom_code import Code
from ablation.study.import_code import explained, load_attribute
from ablation.training import checkpoint

Part = TypeVar("Part", bound=Section)
_PASSED = {"optimizer": ("parameters",), "schedule": ("progress",), "augmentation": ("images", "generator")}
"""The arguments that come before the options."""
_TRIED = 100
"""Steps of the training for which a schedule is tried."""


def bound(part: Part, codes: Mapping[str, Code]) -> Part:
    """A component that can be used: a built-in one as it is, a custom one with its code loaded.

    Raises UserError where the code is not of its kind or has other options, and whatever the code raises.
    """
    if isinstance(part, CustomOptimizer):
        return part.calling(_optimizer(part, codes))
    if isinstance(part, CustomSchedule):
        return part.calling(_schedule(part, codes))
    if isinstance(part, CustomAugmentation):
        return _augmentation(part, codes)  # type: ignore[return-value]
    return part


def bound_data(data: Data, codes: Mapping[str, Code]) -> Data:
    """The data set with augmentations that can be used. Raises UserError where they cannot be in this order."""
    parts = tuple(bound(part, codes) for part in data.augment)
    for part, later in itertools.pairwise(parts):
        if part.normalised and not later.normalised:
            what = f"{part.name} is applied to the normalised pixels, after {later.name}"
            raise UserError(f"data.augment: {what}", "put it last")
    return data.model_copy(update={"augment": parts})


class _Loaded:
    """Custom code and what it can be called with."""

    def __init__(self, part: Custom, codes: Mapping[str, Code], kind: str) -> None:
        self.name, self.kind = str(getattr(part, "name", "")), kind
        self.attribute = load_attribute(codes[self.name], self.name)
        self.is_schedule = isinstance(self.attribute, type) and issubclass(self.attribute, Schedule)
        marked = getattr(self.attribute, KIND, "schedule" if self.is_schedule else kind)
        if marked != kind or not callable(self.attribute):
            what = f"marked as {marked}" if marked != kind else type(self.attribute).__name__
            raise self.error(f"cannot be the {kind}: it is {what}", f"name a class or function for the {kind}")

    def error(self, fault: str, hint: str) -> UserError:
        """What is wrong with the code, with the line where it begins."""
        try:
            file, line = inspect.getsourcefile(self.attribute), inspect.getsourcelines(self.attribute)[1]
            place = f" ({Path(file or '').name}:{line})"
        except (TypeError, OSError):  # code without a source
            place = ""
        return UserError(f"{self.name}{place} {fault}", hint)

    @cached_property
    def known(self) -> dict[str, inspect.Parameter]:
        """Its parameters after those that training passes: the options by name. Raises UserError."""
        try:
            signature = inspect.signature(self.attribute, eval_str=True)
        except Exception:  # an annotation that only type checkers can read
            signature = inspect.signature(self.attribute)
        parameters, passed = list(signature.parameters.values()), () if self.is_schedule else _PASSED[self.kind]
        first = parameters[: len(passed)]
        if len(first) < len(passed) or any(own.kind in (own.KEYWORD_ONLY, own.VAR_KEYWORD) for own in first):
            what = f"does not take {', '.join(passed)} as its first arguments"
            raise self.error(what, f"ablate passes {', '.join(passed)} by position, and the options by name")
        return {own.name: own for own in parameters[len(passed) :] if (own.name, self.is_schedule) != ("name", True)}

    @property
    def any_option(self) -> bool:
        """Whether it takes options of any name (`**options`)."""
        return any(own.kind is own.VAR_KEYWORD for own in self.known.values())

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with the types that the code declares.

        Raises UserError for one that it does not have, needs, or refuses.
        """
        plain = {key: own for key, own in self.known.items() if own.kind not in (own.VAR_KEYWORD, own.VAR_POSITIONAL)}
        unknown = next((key for key in options if key not in plain and not self.any_option), None)
        if unknown is not None:
            raise self.error(f"has no option {unknown!r}", catalog.suggestion(unknown, plain) if plain else "remove it")
        lacking = [key for key, own in plain.items() if own.default is own.empty and key not in options]
        if lacking:
            raise self.error(f"needs the option {lacking[0]!r}", f"add {lacking[0]}: ... next to its name")
        return {key: self._converted(value, plain[key]) if key in plain else value for key, value in options.items()}

    def _converted(self, value: Any, option: inspect.Parameter) -> Any:
        """The value as the type that is declared for it: a list as a tuple, for example."""
        declared = option.annotation
        if declared is option.empty or isinstance(declared, str):
            return value
        try:
            return TypeAdapter(declared, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
        except PydanticUserError:  # a type that says nothing of plain values
            return value
        except ValidationError as error:
            what = error.errors(include_url=False)[0]["msg"]
            hint = f"it is declared as {inspect.formatannotation(declared)}"
            raise self.error(f"refuses {option.name}: {value!r}: {what}", hint) from None


def _optimizer(part: CustomOptimizer, codes: Mapping[str, Code]) -> Callable[[Iterable[Any]], torch.optim.Optimizer]:
    code = _Loaded(part, codes, "optimizer")
    decays = "weight_decay" in code.known or code.any_option or part.weight_decay
    common = {"lr": part.lr, **({"weight_decay": part.weight_decay} if decays else {})}
    options = code.checked({**common, **part.options})

    def build(groups: Iterable[Any]) -> torch.optim.Optimizer:
        groups = list(groups)
        optimizer = code.attribute(groups[0]["params"] if part.head_lr_multiplier == 1 else groups, **options)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise code.error(f"returned {type(optimizer).__name__}", "return a torch.optim.Optimizer")
        for group in optimizer.param_groups:
            if "lr" not in group:
                raise code.error("has a parameter group without lr", "pass lr on to torch.optim.Optimizer")
            group.setdefault("lr_multiplier", float(group["lr"]) / part.lr)
        return optimizer

    return build


def _schedule(part: CustomSchedule, codes: Mapping[str, Code]) -> Callable[[Moment], float]:
    code = _Loaded(part, codes, "schedule")

    def number(value: Any, at: Moment) -> float:
        if not isinstance(value, Real) or not 0 <= float(value) < math.inf:
            shown = value if isinstance(value, Real) else type(value).__name__
            raise code.error(f"returned {shown} at the progress {at.progress:g}", "return a finite number, at least 0")
        return float(value)

    if code.is_schedule:
        own = code.attribute(name=part.name, **code.checked(part.options))
        return lambda at: number(own.after_warmup(at), at)
    options = code.checked(part.options)
    return lambda at: at.base * number(code.attribute(at.progress, **options), at)


def _augmentation(part: CustomAugmentation, codes: Mapping[str, Code]) -> CustomAugmentation:
    code = _Loaded(part, codes, "augmentation")
    kind = CustomNormalisedAugmentation if getattr(code.attribute, NORMALISED, False) else CustomAugmentation
    options = code.checked(part.options)

    def apply(images: Tensor, stream: torch.Generator) -> Tensor:
        augmented = code.attribute(images, stream, **options)
        if not isinstance(augmented, Tensor) or _form(augmented) != _form(images):
            shown = _form(augmented) if isinstance(augmented, Tensor) else type(augmented).__name__
            raise code.error(
                f"returned {shown} for {_form(images)}", "return images of the same shape, type and device"
            )
        return augmented

    return kind.model_validate(part.model_dump()).calling(apply)


def _form(images: Tensor) -> str:
    return f"{images.dtype} {tuple(images.shape)} on {images.device}"


def try_optimizer(part: Optimizer, codes: Mapping[str, Code], groups: list[dict[str, Any]]) -> None:
    """Build a custom optimizer, and let it make a step and save its state. Raises UserError."""
    if not isinstance(part, CustomOptimizer):
        return
    with explained(codes[part.name], part.name, "the parameters, lr, weight_decay and its options"):
        optimizer = bound(part, codes).build(groups)
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.full_like(parameter, 1e-3)
        optimizer.step()
        state = checkpoint.snapshot(optimizer.state_dict())
        try:
            torch.save(state, stored := io.BytesIO())
            stored.seek(0)
            state = torch.load(stored, weights_only=True)
        except Exception as error:
            hint = "keep tensors, numbers, text, lists and mappings in its state"
            raise UserError(f"the state of {part.name} cannot be stored in a checkpoint: {error}", hint) from error
        checkpoint.load_optimizer(bound(part, codes).build(groups), state)


def try_schedule(part: Schedule, codes: Mapping[str, Code]) -> None:
    """Ask a custom schedule for the learning rates of a training. Raises UserError."""
    if isinstance(part, CustomSchedule):
        with explained(codes[part.name], part.name, "the progress and its options"):
            schedule = bound(part, codes)
            for step in range(_TRIED):
                schedule.after_warmup(Moment(1.0, step, 1, _TRIED, 0, [1.0] * step))


def try_augmentations(data: Data, codes: Mapping[str, Code], images: Tensor) -> None:
    """Apply the custom augmentations of a recipe to uint8 images (n, c, h, w). Raises UserError."""
    for part in data.augment:
        if isinstance(part, CustomAugmentation):
            with explained(codes[part.name], part.name, "the images, a generator and its options"):
                ready = bound(part, codes)
                ready.apply(images.float() / 255 if ready.normalised else images.clone(), generator(0, "trial"))
    bound_data(data, codes)
