"""The typed study: what a study file may say (pydantic models), and the variants that it declares.

The models are frozen and hold no derived values. `None` for an option of a model means "the model's own default"; it is
filled in by `Recipe.canonical`, which is what gets trained and hashed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

from ablation import registry

Path = tuple[str | int, ...]


def _known_model(name: str) -> str:
    if name not in registry.MODELS:
        hint = registry.suggestion(name, registry.MODELS)
        raise PydanticCustomError("unknown_name", "unknown model '{name}'", {"name": name, "hint": hint})
    return name


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise PydanticCustomError("odd", "the kernel size must be odd", {"hint": "use 3, 5 or 7"})
    return value


def _count_to_list(value: object) -> object:
    return list(range(value)) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else value


def _increasing(values: tuple[int, ...]) -> tuple[int, ...]:
    if list(values) != sorted(set(values)):
        raise PydanticCustomError("order", "the milestones must increase", {"hint": "for example [10, 20]"})
    return values


def _distinct(values: tuple[int, ...]) -> tuple[int, ...]:
    twice = sorted({v for v in values if values.count(v) > 1})
    if twice:
        raise PydanticCustomError(
            "distinct", "seed {seed} stands twice", {"seed": twice[0], "hint": "list each seed once"}
        )
    return values


Probability = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=8, le=224)]
Choice = Annotated[str, AfterValidator(_known_model), WithJsonSchema({"enum": list(registry.MODELS)})]


class Section(BaseModel):
    """A part of the study file: frozen, strict about types, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class Crop(Section):
    """A random window of the zero-padded image."""

    name: Literal["crop"] = "crop"
    padding: Annotated[int, Field(ge=1, le=64)] = 4


class Flip(Section):
    """A random mirror image, left to right."""

    name: Literal["flip"] = "flip"
    probability: Annotated[float, Field(gt=0, le=1)] = 0.5


class Cutout(Section):
    """A random square set to zero (DeVries and Taylor 2017)."""

    name: Literal["cutout"] = "cutout"
    size: Count = 8


Augmentation = Annotated[
    Annotated[Crop | Flip | Cutout, Field(discriminator="name")],
    BeforeValidator(_named, json_schema_input_type=Crop | Flip | Cutout | Literal["crop", "flip", "cutout"]),
]


class _Data(Section):
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    augment: Annotated[tuple[Augmentation, ...], Strict(False)] = ()
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    limit: Annotated[int | None, Field(ge=20)] = None


class BuiltinData(_Data):
    """A data set known by name; `path` is the folder that holds it, or to which it is downloaded (default: data)."""

    name: Literal["digits", "mnist", "fashion_mnist", "cifar10", "cifar100"]
    path: str | None = None


class ImageFolder(_Data):
    """Own images, `<path>/train/<class>/...`, in a folder or a zip file, scaled and cut to `size` pixels square."""

    name: Literal["image_folder"]
    path: str
    size: Side = 32


class Synthetic(_Data):
    """Noisy patterns of `shape` (channels, height, width), one for each class."""

    name: Literal["synthetic"]
    shape: Annotated[tuple[Literal[1, 3], Side, Side], Strict(False)] = (3, 32, 32)
    classes: Annotated[int, Field(ge=2, le=1000)] = 10
    samples: Annotated[int, Field(ge=20, le=1_000_000)] = 1000


Data = Annotated[BuiltinData | ImageFolder | Synthetic, Field(discriminator="name")]


class Model(Section):
    """A network. `width` multiplies its channels; `hidden` are the widths of the classifier's hidden layers."""

    name: Choice
    norm: Literal["none", "batch", "group", "instance", "layer"] | None = None
    norm_position: Literal["before", "after"] = "before"
    activation: Literal["relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu"] = "relu"
    pool: Literal["max", "avg"] = "max"
    kernel_size: Annotated[int, Field(ge=1, le=9), AfterValidator(_odd)] | None = None
    width: Annotated[float, Field(gt=0, le=8)] = 1.0
    hidden: Annotated[tuple[Count, ...], Strict(False)] | None = None
    dropout: Probability = 0.0
    feature_dropout: Probability = 0.0
    input_dropout: Probability = 0.0
    dropconnect: Probability = 0.0
    init: Literal["kaiming", "xavier", "default"] = "kaiming"
    stem: Literal["small", "large"] | None = None


class _Optimizer(Section):
    lr: Positive = 0.01
    weight_decay: NotNegative = 0.0


class Sgd(_Optimizer):
    """Stochastic gradient descent; `weight_decay` is the lambda of L2."""

    name: Literal["sgd"]
    momentum: Probability = 0.0
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            hint = "set optimizer.momentum, for example 0.9"
            raise PydanticCustomError("nesterov", "Nesterov needs a momentum above 0", {"hint": hint})
        return self


class _AdamLike(_Optimizer):
    beta1: Probability = 0.9
    beta2: Probability = 0.999
    eps: Positive = 1e-8


class Adam(_AdamLike):
    """Adam (Kingma and Ba 2015)."""

    name: Literal["adam"]


class AdamW(_AdamLike):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    name: Literal["adamw"]


Optimizer = Annotated[Sgd | Adam | AdamW, Field(discriminator="name")]


class _Schedule(Section):
    warmup_epochs: NotNegative = 0.0


class Constant(_Schedule):
    """The same learning rate throughout."""

    name: Literal["constant"] = "constant"


class Step(_Schedule):
    """Multiplied by `gamma` every `step_size` epochs."""

    name: Literal["step"]
    step_size: Count
    gamma: Positive = 0.1


class MultiStep(_Schedule):
    """Multiplied by `gamma` at each of the `milestones` (epochs)."""

    name: Literal["multistep"]
    milestones: Annotated[tuple[Count, ...], Strict(False), Field(min_length=1), AfterValidator(_increasing)]
    gamma: Positive = 0.1


class Cosine(_Schedule):
    """Half a cosine from `lr` down to `min_lr` (Loshchilov and Hutter 2017)."""

    name: Literal["cosine"]
    min_lr: NotNegative = 0.0


Schedule = Annotated[Constant | Step | MultiStep | Cosine, Field(discriminator="name")]


class Train(Section):
    """The budget, in `epochs` or in `steps`, and how each step is made; `select` says which epoch is reported."""

    epochs: Count | None = None
    steps: Count | None = None
    eval_every: Count | None = None
    batch_size: Count = 128
    label_smoothing: Probability = 0.0
    clip_norm: Positive | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    select: Literal["best", "last"] = "best"

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            what = "both epochs and steps are given" if self.epochs else "neither epochs nor steps is given"
            raise PydanticCustomError(
                "budget", f"{what}: the budget is one of them", {"hint": "for example epochs: 30"}
            )
        if self.eval_every and self.steps is None:
            hint = "remove it, or give the budget as steps"
            raise PydanticCustomError("budget", "eval_every goes with a budget in steps", {"hint": hint})
        return self


class Recipe(Section):
    """One complete configuration of a training, without its seed."""

    data: Data
    model: Model
    optimizer: Optimizer
    schedule: Schedule = Constant()
    train: Train

    def flat(self) -> dict[str, object]:
        """Every option by its dotted path, as plain values."""
        sections = self.model_dump(mode="json")
        return {f"{part}.{key}": value for part, options in sections.items() for key, value in options.items()}

    def canonical(self) -> dict[str, dict[str, Any]]:
        """What is trained: a model's own defaults filled in, options without effect on it unset, no place of the data.

        Two recipes are the same training exactly when these are equal.
        """
        sections = self.model_dump(mode="json")
        sections["data"].pop("path", None)
        own = registry.MODELS[self.model.name].defaults
        model = {key: own.get(key) if value is None else value for key, value in sections["model"].items()}
        model["stem"] = model["stem"] if own["stem"] else None
        model["pool"] = "max" if model["stem"] == "small" else model["pool"]
        model["norm_position"] = "before" if model["norm"] == "none" else model["norm_position"]
        return sections | {"model": model}


class StudyFile(Section):
    """The whole study file, as written."""

    study: Annotated[str, Field(min_length=1, max_length=200)] = ""
    title: str = ""
    question: str = ""
    baseline: Recipe
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...],
        Strict(False),
        BeforeValidator(_count_to_list, json_schema_input_type=int | list[int]),
        Field(min_length=1),
        AfterValidator(_distinct),
    ]
    vary: dict[str, list[Any]] = {}
    combine: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Variant:
    """One arm of the study: its name, the options that it changes (path -> value), and the recipe that results."""

    name: str
    changes: Mapping[str, object]
    recipe: Recipe
    kind: Literal["baseline", "vary", "combine"] = "vary"
    where: Path = ()
    """Where the study file declares it."""


@dataclass(frozen=True)
class Study:
    """A checked study: the baseline first, then every variant, each under every seed."""

    name: str
    title: str
    question: str
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    source: str
    """The text of the study file."""
    overrides: tuple[str, ...] = ()
    """Settings of the command line that stand above the file (`--set`)."""
    smoke: bool = False

    @property
    def baseline(self) -> Variant:
        return self.variants[0]


def changed(first: Recipe, second: Recipe) -> list[str]:
    """Paths of the options in which two recipes differ, as declared (a model's own defaults are not filled in)."""
    a, b = first.flat(), second.flat()
    return [path for path in {**a, **b} if a.get(path) != b.get(path)]
