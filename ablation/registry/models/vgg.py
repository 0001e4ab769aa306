"""The VGG networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ablation.registry.models.architecture import Architecture

if TYPE_CHECKING:
    from ablation.registry.models.layers import NamedLayers


class _Vgg(Architecture):
    """At 224x224 with hidden layers 4096, 4096 the published network; the pools halve five times.

    The classifier sees all 512 x (height // 32) x (width // 32) features, which at 32x32 is 512. The convolutions keep
    their bias also where a normalisation follows, as in torchvision. Layers are numbered by stage, as in the paper
    (`conv3_1`), so that networks of different depth share the names of the layers that they share.
    """

    convolutions: ClassVar[tuple[int, ...]]
    """In each of the five stages."""
    smallest = 32
    channels = (64, 128, 256, 512, 512)
    hidden = (512, 512)

    def features(self, image: tuple[int, int, int]) -> tuple[NamedLayers, int]:
        from torch import nn

        import ablation.registry.models.layers as own

        layers: NamedLayers = []
        inputs = image[0]
        for stage, (base, count) in enumerate(zip(self.channels, self.convolutions, strict=True), start=1):
            outputs = own.scaled(base, self)
            for number in range(1, count + 1):
                conv = nn.Conv2d(inputs, outputs, self.kernel(), padding=self.kernel() // 2)
                layers += own.activated(conv, self, f"{stage}_{number}")
                inputs = outputs
            layers = own.pooled(layers, f"pool{stage}", own.pool2(self))
            layers.append((f"dropout{stage}", own.dropout(self.feature_dropout)))
        return layers, inputs * (image[1] // 32) * (image[2] // 32)


class Vgg11(_Vgg):
    """VGG-11 (Simonyan and Zisserman 2015), 11 weight layers."""

    name = "vgg11"
    convolutions = (1, 1, 2, 2, 2)  # configuration A of the paper


class Vgg13(_Vgg):
    """VGG-13 (Simonyan and Zisserman 2015), 13 weight layers."""

    name = "vgg13"
    convolutions = (2, 2, 2, 2, 2)  # B


class Vgg16(_Vgg):
    """VGG-16 (Simonyan and Zisserman 2015), 16 weight layers."""

    name = "vgg16"
    convolutions = (2, 2, 3, 3, 3)  # D


class Vgg19(_Vgg):
    """VGG-19 (Simonyan and Zisserman 2015), 19 weight layers."""

    name = "vgg19"
    convolutions = (2, 2, 4, 4, 4)  # E
