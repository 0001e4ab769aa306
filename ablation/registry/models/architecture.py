"""What all models have: options, and a network that is built from them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ablation.errors import UserError
from ablation.registry.models.options import ModelOptions

if TYPE_CHECKING:
    from ablation.registry.models.layers import NamedLayers, Network


class Architecture(ModelOptions, ABC):
    """A classifier; the defaults of its options are those of its class."""

    name: ClassVar[str]
    smallest: ClassVar[int] = 8
    """The least side of an image, in pixels, whatever the options."""
    kernels: ClassVar[int] = 1
    """How many kernel sizes can be given one by one, convolution by convolution."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The model with these options, which may be lists, and may hold others too."""
        own: dict[str, Any] = {key: options[key] for key in ModelOptions.__annotations__ if key in options}
        return cls(**own | {key: tuple(value) for key, value in own.items() if isinstance(value, list)})

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Its own defaults by the name of the option, as plain values."""
        own = {key: getattr(cls, key) for key in ModelOptions.__annotations__}
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
        import ablation.registry.models.layers as own

        layers, features = self.features(image)
        return own.Network(own.named(layers), own.classifier(features, classes, self), self.input_dropout)

    @abstractmethod
    def features(self, image: tuple[int, int, int]) -> tuple[NamedLayers, int]:
        """The layers before the classifier, for images of (channels, height, width), and how many numbers they give."""
