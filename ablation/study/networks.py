"""The network of a recipe: what a study file may say of it, and what that comes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_serializer, model_validator
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

from ablation.registry import catalog, custom_names, initial_weights
from ablation.registry.custom_names import Options, is_custom
from ablation.registry.models.options import Activation, Norm, NormPosition, Pool, Stem
from ablation.registry.options import Count, Kernels, Probability, Section
from ablation.study.stages import Freeze


def _known_model(name: str) -> str:
    if name in catalog.MODELS or name in catalog.TORCHVISION:
        return name
    name = custom_names.plugins("model").get(name, name)
    if is_custom(name):
        return custom_names.well_formed(name, "model", "my_models:SmallNet")
    hint = catalog.model_suggestion(name)
    raise PydanticCustomError("unknown_name", "unknown model '{name}'", {"name": name, "hint": hint})


def _same(value: Any) -> Any:
    """The one number of a list that has no other."""
    return value[0] if isinstance(value, list) and len(set(value)) == 1 else value


def _checked(options: dict[str, Any]) -> Options:
    return custom_names.checked(options, ("classes", "in_channels"), "options: {width: 32}")


if TYPE_CHECKING:
    Scheme = str
else:
    Scheme = Literal[tuple(initial_weights.KINDS)]


class Init(Section):
    """How the initial weights of the convolutions and of the linear layers are drawn.

    A scheme alone, as in `init: xavier`, is meant for both; they are written and hashed like that where they agree.
    """

    conv: Scheme = "kaiming"
    linear: Scheme = "kaiming"

    @model_serializer
    def _short(self) -> str | dict[str, str]:
        return self.conv if self.conv == self.linear else {"conv": self.conv, "linear": self.linear}


def init_parts(value: Any) -> Any:
    """`model.init` as a mapping, also where a scheme alone is given."""
    return value if isinstance(value, Mapping | Init) else dict.fromkeys(Init.model_fields, value)


def _of_output_only(init: Init) -> Init:
    """One of the equal forms of `init` for a network without hidden linear layers: there, kaiming is normal."""
    if init.linear not in ("kaiming", "normal"):
        return init
    return init.model_copy(update={"linear": "normal" if init.conv == "normal" else "kaiming"})


InputSize = Annotated[int, Field(ge=8, le=1024)] | Literal["none"]
_CUSTOM_OPTIONS = ("name", "options", "input_size")
"""The options that a custom model has."""
_MODEL_NAMES = [*catalog.MODELS, *catalog.TORCHVISION]
_SCHEMA = {"anyOf": [{"enum": _MODEL_NAMES}, custom_names.SCHEMA]}
Choice = Annotated[str, AfterValidator(_known_model), WithJsonSchema(_SCHEMA)]


class Model(Section):
    """A network.

    `channels` are those of its stages of convolutions, which `width` multiplies; `hidden` are the widths of the
    classifier's hidden layers.
    `weights` is what it starts from: `none`, `DEFAULT` (torchvision's own), or the path of a checkpoint. `options` are
    the keywords of a network of the user's own, which has no other options but `input_size`.
    """

    name: Choice
    norm: Norm | None = None
    norm_position: NormPosition = "before"
    activation: Activation = "relu"
    pool: Pool = "max"
    kernel_size: Kernels | None = None
    channels: Annotated[tuple[Count, ...], Strict(False), Field(min_length=1)] | None = None
    width: Annotated[float, Field(gt=0, le=8)] = 1.0
    hidden: Annotated[tuple[Count, ...], Strict(False)] | None = None
    dropout: Probability = 0.0
    feature_dropout: Probability = 0.0
    input_dropout: Probability = 0.0
    dropconnect: Probability = 0.0
    init: Annotated[Init, BeforeValidator(init_parts, json_schema_input_type=Scheme | Init)] = Init()
    stem: Stem | None = None
    weights: Annotated[str, Field(min_length=1)] = "none"
    freeze: Freeze = "none"
    input_size: InputSize | None = None
    options: Annotated[dict[str, Any], AfterValidator(_checked)] = Field(default_factory=Options)

    @property
    def checkpoint(self) -> str | None:
        """The path of the checkpoint that it starts from, if it does."""
        return None if self.weights in ("none", "DEFAULT") else self.weights

    @property
    def is_custom(self) -> bool:
        """Whether it is code that the study names."""
        return is_custom(self.name)

    @property
    def used(self) -> tuple[str, ...]:
        """The options that a network of its kind has."""
        return used_options(self.name)

    @model_validator(mode="after")
    def _has_its_options(self) -> Self:
        if self.weights == "DEFAULT" and self.name in catalog.MODELS:
            hint = f"name a checkpoint, or use {catalog.model_suggestion(self.name).removeprefix('did you mean ')}"
            raise PydanticCustomError("weights", f"{self.name} has no DEFAULT weights", {"hint": hint})
        used = self.used
        for key, field in type(self).model_fields.items():
            if key not in used and getattr(self, key) != field.get_default(call_default_factory=True):
                hint = f"it has: {', '.join(used)}"
                if self.is_custom:
                    hint += f"; pass keywords of your code as options: {{{key}: ...}}"
                context = {"name": self.name, "key": key, "hint": hint}
                raise PydanticCustomError("option", "{name} has no option '{key}'", context)
        return self

    def flat(self) -> dict[str, object]:
        """Its options by name, as plain values; those of the user's own as `options.<keyword>`."""
        values = self.model_dump(mode="json")
        own = values.pop("options")
        return {k: values[k] for k in self.used if k in values} | {
            f"options.{key}": value for key, value in own.items()
        }

    def canonical(self) -> dict[str, Any]:
        """What is trained: its own defaults filled in, and options without effect on it unset."""
        options = self.model_dump(mode="json")
        own_options = options.pop("options")
        if self.is_custom:
            unused = {key: value if key in self.used else None for key, value in options.items()}
            return unused | {"input_size": self.input_size or "none", "options": own_options}
        torchvision = catalog.TORCHVISION.get(self.name)
        if torchvision:
            size = options["input_size"] or torchvision.size
            used = {key: value if key in catalog.TORCHVISION_OPTIONS else None for key, value in options.items()}
            return used | {"input_size": size}
        own = catalog.MODELS[self.name].defaults()
        model = {key: own.get(key) if value is None else value for key, value in options.items()}
        model["stem"] = model["stem"] if own["stem"] else None
        model["pool"] = "max" if model["stem"] == "small" else model["pool"]
        model["norm_position"] = "before" if model["norm"] == "none" else model["norm_position"]
        model["kernel_size"] = _same(model["kernel_size"])
        if not model["hidden"]:
            model["init"] = _of_output_only(self.init).model_dump()
        return model | {"input_size": model["input_size"] or "none"}


def used_options(name: object) -> tuple[str, ...]:
    """The options that a network of that name has; all that there are where it is unknown."""
    if not isinstance(name, str):
        return tuple(Model.model_fields)
    if name in catalog.TORCHVISION:
        return catalog.TORCHVISION_OPTIONS
    if is_custom(name) or (name not in catalog.MODELS and name in custom_names.plugins("model")):
        return _CUSTOM_OPTIONS
    return tuple(key for key in Model.model_fields if key != "options" or name not in catalog.MODELS)
