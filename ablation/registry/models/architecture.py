"""What all models have: options, and a network that is built from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from ablation.errors import UserError

if TYPE_CHECKING:
    from ablation.registry.models.layers import NamedLayers, Network

Norm = Literal["none", "batch", "group", "instance", "layer"]
NormPosition = Literal["before", "after"]
Activation = Literal["relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu"]
Pool = Literal["max", "avg"]
Stem = Literal["small", "large"]


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """A classifier and everything about it that a study can vary; the defaults are those of its class.

    - `kernel_size`: odd; of the convolutions, except 1x1 projections and a large stem; one for each of `kernels`.
    - `channels`: of the stages of convolutions (LeNet-5: of the convolutions).
    - `norm`, `norm_position`: the normalisation that goes with a convolution, before or after the activation.
    - `hidden`: widths of the hidden layers of the classifier.
    - `stem`: how it begins, where there is a choice: `small` (3x3, stride 1) or `large` (7x7, stride 2, then a pool of
      stride 2).
    - `width`: multiplies every number of channels; the hidden layers of the classifier keep theirs.
    - `dropout`: in the classifier, after each hidden layer; without hidden layers, before the output layer.
    - `feature_dropout`: after each stage of the feature layers, element by element.
    - `input_dropout`: on the pixels of the input.
    - `dropconnect`: probability that a weight of the classifier is dropped while training.
    """

    name: ClassVar[str]
    smallest: ClassVar[int] = 8
    """The least side of an image, in pixels, whatever the options."""
    kernels: ClassVar[int] = 1
    """How many kernel sizes can be given one by one, convolution by convolution."""

    kernel_size: int | tuple[int, ...] = 3
    channels: tuple[int, ...]
    norm: Norm = "batch"
    hidden: tuple[int, ...] = ()
    stem: Stem | None = None
    norm_position: NormPosition = "before"
    activation: Activation = "relu"
    pool: Pool = "max"
    width: float = 1.0
    dropout: float = 0.0
    feature_dropout: float = 0.0
    input_dropout: float = 0.0
    dropconnect: float = 0.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The model with these options, which may be lists, and may hold others too."""
        own: dict[str, Any] = {field.name: options[field.name] for field in fields(cls) if field.name in options}
        return cls(**own | {key: tuple(value) for key, value in own.items() if isinstance(value, list)})

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Its own defaults by the name of the option, as plain values."""
        own = {field.name: field.default for field in fields(cls)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in own.items()}

    @property
    def smallest_side(self) -> int:
        """The least height and width of an image, in pixels, that it can be trained on."""
        return self.smallest

    def build(self, image: tuple[int, int, int], classes: int) -> Network:
        """The network for images of (channels, height, width): (N, C, H, W) -> logits (N, classes).

        Its weights are torch's own until they are initialised. Under `torch.device("meta")` it takes no memory. Raises
        UserError where the images are too small for it.
        """
        least = self.smallest_side
        if min(image[1:]) < least:
            raise UserError(
                f"model {self.name} with norm {self.norm} needs images of at least {least}x{least}, "
                f"not {image[1]}x{image[2]}",
                "enlarge the images (data.size), or choose another model",
            )
        from ablation.registry.models import layers as own

        layers, features = self.features(image)
        return own.Network(own.named(layers), own.classifier(features, classes, self), self.input_dropout)

    @abstractmethod
    def features(self, image: tuple[int, int, int]) -> tuple[NamedLayers, int]:
        """The layers before the classifier, for images of (channels, height, width), and how many numbers they give."""

    def kernel(self, number: int = 0) -> int:
        """The kernel size of convolution `number`, of those whose kernels can be given one by one."""
        return self.kernel_size if isinstance(self.kernel_size, int) else self.kernel_size[number]
