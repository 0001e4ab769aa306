"""What the options of components are made of: types with bounds, and the choice of one component by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Strict,
    Tag,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

from ablation.registry.custom_names import CUSTOM, SCHEMA, checked, is_custom, plugins


def _single_precision(value: float) -> float:
    if value and not 1e-38 <= value <= 1e38:
        context = {"value": f"{value:g}", "hint": "use a number from 1e-38 to 1e+38"}
        raise PydanticCustomError("precision", "{value} is too large or too small for single precision", context)
    return value


Probability = Annotated[float, Field(ge=0, lt=1), AfterValidator(_single_precision)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), AfterValidator(_single_precision)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_single_precision)]
Share = Annotated[float, Field(gt=0, le=1), AfterValidator(_single_precision)]
Factor = Annotated[float, Field(ge=1, allow_inf_nan=False), AfterValidator(_single_precision)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of the study file: frozen, strict about types, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)

    version: ClassVar[int] = 1
    """Raised where a component with the same options comes to train other weights; from 2 on part of run keys."""


class Custom(Section):
    """A component of custom code: `name` is its `module:attribute`, and what is not declared here are its own options.

    Those are known once its code has run: `training.components` checks them and sets what the component calls.
    """

    model_config = ConfigDict(extra="allow")

    _call: Callable[..., Any] = PrivateAttr()

    @property
    def options(self) -> dict[str, Any]:
        """Its own options, as written."""
        return dict(self.model_extra or {})

    def calling(self, call: Callable[..., Any]) -> Self:
        """The component with what it calls."""
        bound = self.model_copy()
        bound._call = call
        return bound

    @model_validator(mode="after")
    def _plain_values(self) -> Self:
        checked(self.options, ("code",))  # `code` is what identifies it in the keys of runs
        return self


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise PydanticCustomError("odd", "the kernel size must be odd", {"hint": "use 3, 5 or 7"})
    return value


def _one_or_each(value: object) -> str:
    return "each" if isinstance(value, list | tuple) else "one"


Kernel = Annotated[int, Field(ge=1, le=9), AfterValidator(_odd)]
Kernels = Annotated[
    Annotated[Kernel, Tag("one")] | Annotated[tuple[Kernel, ...], Strict(False), Field(min_length=1), Tag("each")],
    Discriminator(_one_or_each),
]
"""One kernel size for all convolutions, or one for each."""


def named(value: object) -> object:
    """`crop` as `{name: crop}`: a part that is given by its name alone has the defaults of its other options."""
    return {"name": value} if isinstance(value, str) else value


Kind = TypeVar("Kind", bound=type[BaseModel])


def name_of(kind: type[BaseModel]) -> str:
    """The name by which a study file asks for a component."""
    return str(get_args(kind.model_fields["name"].annotation)[0])


def by_name(*kinds: Kind) -> dict[str, Kind]:
    """The components of one kind by their names, in this order."""
    return {name_of(kind): kind for kind in kinds}


def summary(kind: type) -> str:
    """The first line of its docstring, as a phrase."""
    return (inspect.getdoc(kind) or "").partition("\n")[0].removesuffix(".")


def one_of(kinds: Sequence[type[BaseModel]], custom: type[BaseModel], kind: str) -> Any:
    """The type of a field that holds one of `kinds` or custom code, by its name alone or as a mapping with options.

    Names of installed plug-ins of this kind are short for their `module:attribute`.
    """
    tags = {**by_name(*kinds), CUSTOM: custom}
    choice: Any = reduce(or_, (Annotated[kind, Tag(tag)] for tag, kind in tags.items()))
    names: Any = Literal[tuple(map(name_of, kinds))] | Annotated[str, WithJsonSchema(SCHEMA)]
    schema: Any = reduce(or_, tags.values(), names)

    def whole(value: object) -> object:
        value = named(value)
        name = value.get("name") if isinstance(value, dict) else None
        if isinstance(value, dict) and isinstance(name, str) and name not in tags and not is_custom(name):
            return {**value, "name": plugins(kind).get(name, name)}
        return value

    return Annotated[choice, Discriminator(_tag), BeforeValidator(whole, json_schema_input_type=schema)]


def _tag(value: object) -> str | None:
    """The tag by the name of a mapping, or of a component that is checked already; studies ask this very often."""
    if isinstance(value, dict):
        if "name" not in value:
            return None
        name = value["name"]
    else:
        name = getattr(value, "name", None)
    return CUSTOM if is_custom(name) else str(name)
