"""Initial weights by name: one class each, which carries its summary and how weights are drawn.

A new scheme is one more class here and in `KINDS`. Nothing here imports torch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from torch import Generator, Tensor

SMALL_DEVIATION = 0.01


class Layer(NamedTuple):
    """A convolution or a linear layer: how many inputs reach one output, and the reverse; whether it is the head."""

    fan_in: int
    fan_out: int
    head: bool


class Scheme:
    """Weights are drawn in place, uniform within `spread` or normal with that standard deviation; biases are 0."""

    name: ClassVar[str]
    uniform: ClassVar[bool] = False
    biases: ClassVar[bool] = False
    """Whether biases are drawn like weights."""

    def spread(self, layer: Layer) -> float:
        return SMALL_DEVIATION

    def draw(self, tensor: Tensor, layer: Layer, stream: Generator) -> None:
        spread = self.spread(layer)
        tensor.uniform_(-spread, spread, generator=stream) if self.uniform else tensor.normal_(
            0, spread, generator=stream
        )


class Kaiming(Scheme):
    """Normal, sd sqrt(2 / fan_in) (He et al. 2015); the output layer normal with sd 0.01.

    The output layer is that of Goyal et al. (2017).
    """

    name = "kaiming"

    def spread(self, layer: Layer) -> float:
        return SMALL_DEVIATION if layer.head else math.sqrt(2 / layer.fan_in)


class Xavier(Scheme):
    """Uniform, sd sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""

    name = "xavier"
    uniform = True

    def spread(self, layer: Layer) -> float:
        return math.sqrt(6 / (layer.fan_in + layer.fan_out))


class Normal(Scheme):
    """Normal, sd 0.01 (Krizhevsky et al. 2012)."""

    name = "normal"


class Default(Scheme):
    """torch's own: uniform, sd sqrt(1 / (3 fan_in)), and so are the biases, which are 0 otherwise."""

    name = "default"
    uniform = biases = True

    def spread(self, layer: Layer) -> float:
        return 1 / math.sqrt(layer.fan_in)


KINDS = {kind.name: kind for kind in (Kaiming, Xavier, Normal, Default)}
