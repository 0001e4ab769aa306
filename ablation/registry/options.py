"""The parts of a recipe that are chosen by name: augmentations, optimisers and schedules, each with its options."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError


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

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    version: ClassVar[int] = 1
    """Raised where a component with the same options comes to train other weights; from 2 on part of run keys."""


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


def _increasing(values: tuple[int, ...]) -> tuple[int, ...]:
    if list(values) != sorted(set(values)):
        raise PydanticCustomError("order", "the milestones must increase", {"hint": "for example [10, 20]"})
    return values


def _range(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        hint = f"write [{ends[1]:g}, {ends[0]:g}]"
        raise PydanticCustomError("range", "the range runs from high to low", {"hint": hint})
    return ends


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


class RandomResizedCrop(Section):
    """A random part of the image, `scale` of its area with a width to height in `ratio`, resized to the whole.

    Szegedy et al. 2015, with the defaults of torchvision.
    """

    name: Literal["random_resized_crop"] = "random_resized_crop"
    scale: Annotated[tuple[Share, Share], Strict(False), AfterValidator(_range)] = (0.08, 1.0)
    ratio: Annotated[tuple[Positive, Positive], Strict(False), AfterValidator(_range)] = (3 / 4, 4 / 3)


class ColorJitter(Section):
    """Brightness, contrast and saturation, each times a random factor from 1 - x to 1 + x, and never below 0."""

    name: Literal["color_jitter"] = "color_jitter"
    brightness: NotNegative = 0.4
    contrast: NotNegative = 0.4
    saturation: NotNegative = 0.4

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not (self.brightness or self.contrast or self.saturation):
            hint = "set brightness, contrast or saturation above 0, or leave color_jitter out"
            raise PydanticCustomError("nothing", "this colour jitter changes nothing", {"hint": hint})
        return self


class Noise(Section):
    """Gaussian noise on the normalised pixels, of standard deviation `sd` (1 is that of the training images)."""

    name: Literal["noise"] = "noise"
    sd: Positive = 0.1


_Augmentations = Crop | Flip | Cutout | RandomResizedCrop | ColorJitter | Noise
_AugmentationName = Literal["crop", "flip", "cutout", "random_resized_crop", "color_jitter", "noise"]
Augmentation = Annotated[
    Annotated[_Augmentations, Field(discriminator="name")],
    BeforeValidator(named, json_schema_input_type=_Augmentations | _AugmentationName),
]


class _Optimizer(Section):
    lr: Positive = 0.01
    weight_decay: NotNegative = 0.0
    head_lr_multiplier: Positive = 1.0


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


class RmsProp(_Optimizer):
    """RMSprop (Hinton 2012): `alpha` is the share of the old mean square that is kept."""

    name: Literal["rmsprop"]
    alpha: Probability = 0.99
    eps: Positive = 1e-8
    momentum: Probability = 0.0


_Optimizers = Sgd | Adam | AdamW | RmsProp
_OptimizerName = Literal["sgd", "adam", "adamw", "rmsprop"]
Optimizer = Annotated[
    Annotated[_Optimizers, Field(discriminator="name")],
    BeforeValidator(named, json_schema_input_type=_Optimizers | _OptimizerName),
]


class _Schedule(Section):
    @property
    def warmup(self) -> float:
        """Epochs of linear rise before the schedule proper."""
        return 0.0


class _WithWarmup(_Schedule):
    warmup_epochs: NotNegative = 0.0

    @property
    def warmup(self) -> float:
        return self.warmup_epochs


class Constant(_WithWarmup):
    """The same learning rate throughout."""

    name: Literal["constant"] = "constant"


class Step(_WithWarmup):
    """Multiplied by `gamma` every `step_size` epochs."""

    name: Literal["step"]
    step_size: Count
    gamma: Positive = 0.1


class MultiStep(_WithWarmup):
    """Multiplied by `gamma` at each of the `milestones` (epochs)."""

    name: Literal["multistep"]
    milestones: Annotated[tuple[Count, ...], Strict(False), Field(min_length=1), AfterValidator(_increasing)]
    gamma: Positive = 0.1


class Cosine(_WithWarmup):
    """Half a cosine from `lr` down to `min_lr` (Loshchilov and Hutter 2017)."""

    name: Literal["cosine"]
    min_lr: NotNegative = 0.0


class Exponential(_WithWarmup):
    """Multiplied by `gamma` after every epoch that follows the warm-up."""

    name: Literal["exponential"]
    gamma: Annotated[float, Field(gt=0, le=1)]


class OneCycle(_Schedule):
    """Up to `lr` in the first `pct_start` of the steps, then down to almost nothing (Smith and Topin 2019).

    It starts at lr / `div_factor` and ends at that / `final_div_factor`; both ways are half a cosine, as torch has it.
    """

    name: Literal["one_cycle"]
    pct_start: Annotated[float, Field(gt=0, lt=1)] = 0.3
    div_factor: Factor = 25.0
    final_div_factor: Factor = 1e4


class Plateau(_WithWarmup):
    """Multiplied by `factor` once the validation loss was not lowered for more than `patience` evaluations in a row.

    Lowered means by more than the share `threshold` of the lowest loss so far.
    """

    name: Literal["plateau"]
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: Annotated[int, Field(ge=0)] = 10
    threshold: Probability = 1e-4
    min_lr: NotNegative = 0.0


_Schedules = Constant | Step | MultiStep | Cosine | Exponential | OneCycle | Plateau
_ScheduleName = Literal["constant", "step", "multistep", "cosine", "exponential", "one_cycle", "plateau"]
Schedule = Annotated[
    Annotated[_Schedules, Field(discriminator="name")],
    BeforeValidator(named, json_schema_input_type=_Schedules | _ScheduleName),
]
