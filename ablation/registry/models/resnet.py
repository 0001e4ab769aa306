"""The residual networks: ResNet-18 and ResNet-34, and the small ResNet-9.

Instance normalisation needs more than one pixel a channel wherever it is used, also in the last stage, which is 8
(ResNet-9, small stem) or 32 (large stem) times smaller than the input. Padded strides round up, pools round down: hence
a smallest side of 9 and 33, but 16.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar

from ablation.registry.models.architecture import Architecture
from ablation.registry.models.options import Stem

if TYPE_CHECKING:
    from ablation.registry.models.layers import NamedLayers


class _ResNet(Architecture):
    """ResNet with the basic block, four stages and a global average pool.

    With the large stem it is the published network for ImageNet; with the small one, the form usual for CIFAR.
    """

    blocks: ClassVar[tuple[int, ...]]
    """In each of the four stages."""
    channels = (64, 128, 256, 512)
    stem: Stem | None = "small"

    @property
    def smallest_side(self) -> int:
        if self.norm != "instance":
            return self.smallest
        return 33 if self.stem == "large" else 9

    def features(self, image: tuple[int, int, int]) -> tuple[NamedLayers, int]:
        import ablation.registry.models.layers as own

        width = own.scaled(self.channels[0], self)
        layers: NamedLayers = [("stem", own.stem(image[0], width, self))]
        for stage, (base, count) in enumerate(zip(self.channels, self.blocks, strict=True), start=1):
            blocks: NamedLayers = []
            for number in range(1, count + 1):
                stride = 2 if stage > 1 and number == 1 else 1
                blocks.append((f"block{number}", own.BasicBlock(width, own.scaled(base, self), stride, self)))
                width = own.scaled(base, self)
            layers += [(f"stage{stage}", own.named(blocks)), (f"dropout{stage}", own.dropout(self.feature_dropout))]
        layers.append(("pool", own.GlobalPool("avg")))
        return layers, width


class ResNet18(_ResNet):
    """ResNet-18 (He et al. 2016), eight basic blocks."""

    name = "resnet18"
    blocks = (2, 2, 2, 2)


class ResNet34(_ResNet):
    """ResNet-34 (He et al. 2016), sixteen basic blocks."""

    name = "resnet34"
    blocks = (3, 4, 6, 3)


class ResNet9(Architecture):
    """ResNet-9 (after Page 2018), two residual blocks.

    Prep 64; 128, pool, residual; 256, pool; 512, pool, residual; global pool; linear. The shallow network of the
    DAWNBench entries for CIFAR-10, in the variant that ends in a maximum: over the 4x4 feature maps of a 32x32 image,
    and over whatever is left of other sizes.
    """

    name = "resnet9"
    channels = (64, 128, 256, 512)

    @property
    def smallest_side(self) -> int:
        return 16 if self.norm == "instance" else self.smallest

    def features(self, image: tuple[int, int, int]) -> tuple[NamedLayers, int]:
        import ablation.registry.models.layers as own

        prep, *widths = (own.scaled(base, self) for base in self.channels)
        layers: NamedLayers = [("prep", own.named(own.activated(own.convolution(image[0], prep, self), self)))]
        inputs = prep
        for stage, outputs in enumerate(widths, start=1):
            parts = own.pooled(own.activated(own.convolution(inputs, outputs, self), self), "pool", own.pool2(self))
            if stage != 2:
                branch = [
                    layer for n in "12" for layer in own.activated(own.convolution(outputs, outputs, self), self, n)
                ]
                parts.append(("residual", own.Residual(OrderedDict(branch))))
            layers += [(f"stage{stage}", own.named(parts)), (f"dropout{stage}", own.dropout(self.feature_dropout))]
            inputs = outputs
        layers.append(("pool", own.GlobalPool(self.pool)))
        return layers, inputs
