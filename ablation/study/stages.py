"""A training in stages: what a study file may say of each, and what each then is.

Each stage has its own budget, learning rate, schedule and frozen parts, and starts from weights of those before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from ablation.registry import optimizers
from ablation.registry.optimizers import AnyOptimizer
from ablation.registry.options import Count, Section
from ablation.registry.schedules import AnySchedule

Freeze = Literal["none", "features"]


class Stage(Section):
    """A stage as written. What it does not say is as in the recipe.

    `optimizer` names the options that differ from the recipe's; `schedule` replaces the recipe's, and restarts in
    each stage. It starts from the `best` weights of all epochs before it, or from the `last` ones; the first stage
    from the weights of the model.
    """

    epochs: Count
    freeze: Freeze | None = None
    optimizer: dict[str, Any] = Field(default_factory=dict)
    schedule: AnySchedule | None = None
    start: Literal["best", "last"] = "best"


class ResolvedStage(Section):
    """A stage with everything said: epochs numbered `first` to `last` (from 1) of the whole run."""

    number: int
    first: int
    last: int
    freeze: Freeze
    optimizer: AnyOptimizer
    schedule: AnySchedule
    start: Literal["best", "last"]


def merged_optimizer(optimizer: Any, changes: Mapping[str, Any]) -> Any:
    """The optimiser with some options changed; with another name, it keeps the options that both kinds have.

    Raises pydantic's ValidationError for an option that it does not have.
    """
    own = optimizer.model_dump()
    if changes.get("name", own["name"]) != own["name"]:
        kind = optimizers.KINDS.get(str(changes["name"]), optimizers.Optimizer)
        own = {key: value for key, value in own.items() if key in kind.model_fields}
    return _any_optimizer().validate_python({**own, **changes})


@cache
def _any_optimizer() -> TypeAdapter[Any]:
    return TypeAdapter(AnyOptimizer)  # takes milliseconds, which commands that train nothing need not wait for


def check_stages(stages: Sequence[Stage], optimizer: Any) -> None:
    """Raise an error that names the place of the first option that the optimiser of a stage cannot have."""
    for index, stage in enumerate(stages):
        try:
            merged_optimizer(optimizer, stage.optimizer)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            keys = [part for part in fault["loc"] if part in stage.optimizer] or ["name"]
            kind = stage.optimizer.get("name", optimizer.name)
            unknown = fault["type"] == "extra_forbidden"
            what = f"{kind} has no option {keys[0]!r}" if unknown else f"{keys[0]}: {fault['msg']}"
            place = ("train", "stages", index, "optimizer", *keys)
            context = {"place": place, "what": what, "number": index + 1, "hint": "see the options of the optimizer"}
            raise PydanticCustomError("stage", "stage {number}: {what}", context) from None


def resolve_stages(
    stages: Sequence[Stage], epochs: int, freeze: Freeze, optimizer: Any, schedule: Any
) -> tuple[ResolvedStage, ...]:
    """The stages of a recipe: one over all `epochs` where it declares none."""
    if not stages:
        stages = (Stage(epochs=epochs),)
    found: list[ResolvedStage] = []
    for number, stage in enumerate(stages, start=1):
        first = found[-1].last + 1 if found else 1
        found.append(
            ResolvedStage(
                number=number,
                first=first,
                last=first + stage.epochs - 1,
                freeze=stage.freeze or freeze,
                optimizer=merged_optimizer(optimizer, stage.optimizer),
                schedule=stage.schedule or schedule,
                start=stage.start if found else "best",  # of the first it says nothing
            )
        )
    return tuple(found)
