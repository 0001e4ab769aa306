"""Designs: which components are on in which variants. Their schema, and the sets of components."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict
from pydantic_core import PydanticCustomError

from ablation.registry.options import Section
from ablation.study.networks import Init

DesignName = Literal["leave_one_out", "add_one_in", "factorial"]
MOST_FACTORIAL = 5
"""Components of a factorial design: 32 variants."""
MOST_COMPONENTS = 50
MOST_POINTS = 100
"""Variants of one grid."""

Needs = Mapping[str, frozenset[str]]
"""Component -> the components that must be on when it is on, itself among them; in the order of the file."""


def _one_to_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _once(values: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        context = {"name": twice[0], "hint": "name each once"}
        raise PydanticCustomError("distinct", "'{name}' is listed twice", context)
    return values


class Component(Section):
    """A part of the recipe that can be on or off, and the options that either takes.

    A side that is not given is as in the baseline. `needs` names components without which it is never on.
    """

    on: dict[str, Any] = Field(default_factory=dict)
    off: dict[str, Any] = Field(default_factory=dict)
    needs: Annotated[
        tuple[str, ...],
        Strict(False),
        BeforeValidator(_one_to_list, json_schema_input_type=str | list[str]),
        AfterValidator(_once),
    ] = ()


Designs = Annotated[
    tuple[DesignName, ...],
    Strict(False),
    BeforeValidator(_one_to_list, json_schema_input_type=DesignName | list[DesignName]),
    AfterValidator(_once),
]
Components = Annotated[dict[str, Component], Field(max_length=MOST_COMPONENTS)]
Grids = dict[str, dict[str, Annotated[list[Any], Field(min_length=1)]]]


def closure(components: Mapping[str, Component]) -> Needs:
    """What each component needs, directly or through another, itself included. Unknown names are left out."""
    reached = {name: {name} for name in components}
    for _ in components:
        for on in reached.values():
            on |= {need for name in set(on) for need in components[name].needs if need in components}
    return {name: frozenset(on) for name, on in reached.items()}


def circle(components: Mapping[str, Component]) -> str | None:
    """A component that needs itself through others, or None."""
    needs = closure(components)
    return next((n for n in components if any(n in needs[m] for m in components[n].needs if m in components)), None)


def on_sets(design: DesignName, needs: Needs) -> dict[frozenset[str], str]:
    """The variants of a design: the set of components that are on -> the name of the variant, in report order.

    No set has a component without what it needs: leaving one out leaves out those that need it, adding one adds what
    it needs, and a factorial design has only the combinations that can be.
    """
    sets: dict[frozenset[str], str] = {}
    if design == "leave_one_out":
        sets[frozenset(needs)] = "everything"
        for name in needs:
            on = frozenset(other for other in needs if name not in needs[other])
            left_out = "+".join(other for other in needs if other not in on)
            sets.setdefault(on, f"without {left_out}" if on else "nothing")
    elif design == "add_one_in":
        for on in (frozenset[str](), *needs.values()):
            sets.setdefault(on, _joined(on, needs))
    else:
        for switches in product((False, True), repeat=len(needs)):
            on = frozenset(name for name, switch in zip(needs, switches, strict=True) if switch)
            if all(needs[name] <= on for name in on):
                sets[on] = _joined(on, needs)
    return sets


def _joined(on: frozenset[str], needs: Needs) -> str:
    """The name of a variant by what is on in it."""
    if not on:
        return "nothing"
    if len(on) == len(needs):
        return "everything"
    return f"{next(iter(on))} alone" if len(on) == 1 else "+".join(name for name in needs if name in on)


def options_of(changes: Mapping[str, object]) -> set[str]:
    """The single options that `changes` sets: a whole section stands for the options that it names."""
    found = set()
    for path, value in changes.items():
        if "." in path:
            found.add(path)
        else:
            found |= {f"{path}.{key}" for key in value} if isinstance(value, Mapping) else {f"{path}.name"}
    if "model.init" in found:
        found = found - {"model.init"} | {f"model.init.{part}" for part in Init.model_fields}
    return found


def in_order(changes: Mapping[str, Any]) -> dict[str, Any]:
    """`changes` with the kinds of sections first, so that the options of the new kind find it in place."""
    return dict(sorted(changes.items(), key=lambda item: 0 if item[0].endswith(".name") else item[0].count(".")))
