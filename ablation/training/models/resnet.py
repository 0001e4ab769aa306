"""The residual networks: ResNet-18 and ResNet-34, and the small ResNet-9."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

from ablation.training.models.layers import (
    NamedLayers,
    Network,
    activated,
    activation,
    classifier,
    convolution,
    dropout,
    named,
    norm2d,
    pool2,
    pooled,
    scaled,
)
from ablation.training.models.options import ModelOptions

CHANNELS = (64, 128, 256, 512)
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut: (N, inputs, H, W) -> (N, outputs, H / stride, W / stride), rounded up.

    The block of He et al. (2016), figure 5 left, with option B: a 1x1 convolution on the shortcut where the shape
    changes. `norm_position` moves the first normalisation only: the second and the shortcut's stand before the sum,
    with no activation of their own.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, options: ModelOptions) -> None:
        super().__init__()
        self.norm_first = options.norm_position == "before"
        self.conv1 = convolution(inputs, outputs, options, stride)
        self.norm1 = norm2d(outputs, options)
        self.act1 = activation(options)
        self.conv2 = convolution(outputs, outputs, options)
        self.norm2 = norm2d(outputs, options)
        self.shortcut = shortcut(inputs, outputs, stride, options)
        self.act2 = activation(options)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.conv1(x)
        branch = self.act1(self.norm1(branch)) if self.norm_first else self.norm1(self.act1(branch))
        branch = self.norm2(self.conv2(branch))
        out: Tensor = self.act2(self.shortcut(x) + branch)
        return out


def shortcut(inputs: int, outputs: int, stride: int, options: ModelOptions) -> nn.Module:
    """The shortcut of a block: the identity, or a 1x1 convolution with its normalisation where the shape changes."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    conv = nn.Conv2d(inputs, outputs, 1, stride, bias=options.norm == "none")
    return named([("conv", conv), ("norm", norm2d(outputs, options))])


class GlobalPool(nn.Module):
    """One number for each feature map, its mean or its maximum: (N, C, H, W) -> (N, C, 1, 1)."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        # Not AdaptiveMaxPool2d: its gradient has no deterministic form on CUDA.
        return functional.max_pool2d(x, x.shape[2:]) if self.kind == "max" else x.mean((2, 3), keepdim=True)

    def extra_repr(self) -> str:
        return self.kind


def resnet(options: ModelOptions, image: tuple[int, int, int], classes: int) -> Network:
    """ResNet-18 or ResNet-34 (He et al. 2016) with the basic block, four stages and a global average pool.

    With the large stem it is the published network for ImageNet; with the small one, the form usual for CIFAR.
    """
    channels = options.channels or CHANNELS
    width = scaled(channels[0], options)
    layers: NamedLayers = [("stem", stem(image[0], width, options))]
    for stage, (base, count) in enumerate(zip(channels, BLOCKS[options.name], strict=True), start=1):
        blocks: NamedLayers = []
        for number in range(1, count + 1):
            stride = 2 if stage > 1 and number == 1 else 1
            blocks.append((f"block{number}", BasicBlock(width, scaled(base, options), stride, options)))
            width = scaled(base, options)
        layers += [(f"stage{stage}", named(blocks)), (f"dropout{stage}", dropout(options.feature_dropout))]
    layers.append(("pool", GlobalPool("avg")))
    return Network(named(layers), classifier(width, classes, options), options.input_dropout)


def stem(inputs: int, outputs: int, options: ModelOptions) -> nn.Sequential:
    """The first layers: one convolution, or a 7x7 convolution and a 3x3 pool, which both halve the image."""
    if options.stem == "small":
        return named(activated(convolution(inputs, outputs, options), options))
    conv = nn.Conv2d(inputs, outputs, 7, stride=2, padding=3, bias=options.norm == "none")
    # The mean at the edge is taken over the pixels that are there.
    mean = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)
    pool = nn.MaxPool2d(3, stride=2, padding=1) if options.pool == "max" else mean
    return named(pooled(activated(conv, options), "pool", pool))


class Residual(nn.Sequential):
    """Adds what its layers make of the input to the input: (N, C, H, W) -> (N, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        branch = input
        for layer in self:
            branch = layer(branch)
        return input + branch


def resnet9(options: ModelOptions, image: tuple[int, int, int], classes: int) -> Network:
    """ResNet-9: prep 64; 128, pool, residual; 256, pool; 512, pool, residual; global pool; linear.

    The shallow network of the DAWNBench entries for CIFAR-10 (Page 2018), in the variant that ends in a maximum: over
    the 4x4 feature maps of a 32x32 image, and over whatever is left of other sizes.
    """
    prep, *widths = (scaled(base, options) for base in options.channels or CHANNELS)
    layers: NamedLayers = [("prep", named(activated(convolution(image[0], prep, options), options)))]
    inputs = prep
    for stage, outputs in enumerate(widths, start=1):
        parts = pooled(activated(convolution(inputs, outputs, options), options), "pool", pool2(options))
        if stage != 2:
            branch = [layer for n in "12" for layer in activated(convolution(outputs, outputs, options), options, n)]
            parts.append(("residual", Residual(OrderedDict(branch))))
        layers += [(f"stage{stage}", named(parts)), (f"dropout{stage}", dropout(options.feature_dropout))]
        inputs = outputs
    layers.append(("pool", GlobalPool(options.pool)))
    return Network(named(layers), classifier(inputs, classes, options), options.input_dropout)
