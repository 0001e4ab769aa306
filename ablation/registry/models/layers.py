"""The parts that the models are put together from. Imported where a network is built: this imports torch."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ablation.registry.models.options import ModelOptions

ACTIVATION_LAYERS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}

NamedLayers = list[tuple[str, nn.Module]]


def named(layers: Iterable[tuple[str, nn.Module]]) -> nn.Sequential:
    """A sequence whose layers go by name, so that leaving one out does not rename the others."""
    return nn.Sequential(OrderedDict(layers))


def scaled(channels: int, options: ModelOptions) -> int:
    """The number of channels at the width of the options, at least one."""
    return max(1, round(channels * options.width))


def activation(options: ModelOptions) -> nn.Module:
    """The non-linearity of the options, never in place."""
    return ACTIVATION_LAYERS[options.activation]()


def groups_of(channels: int) -> int:
    """The number of groups for group normalisation: 32 as in Wu & He (2018), or as many as suit the channels.

    The largest power of two up to 32 that divides `channels`, but no group of one channel where two can be had: that
    would be instance normalisation. An odd number of channels makes a single group, which is layer normalisation.
    """
    groups = math.gcd(32, channels)
    return groups // 2 if 1 < groups == channels else groups


def norm2d(channels: int, options: ModelOptions) -> nn.Module:
    """The normalisation of (N, C, H, W), with a learned scale and shift for each channel; `none` is the identity.

    Batch: Ioffe & Szegedy (2015). Group: Wu & He (2018). Instance: Ulyanov et al. (2016), with the image's own
    statistics also in evaluation. Layer: Ba et al. (2016) over (C, H, W), in the form that Wu & He give it for
    convolutions: group normalisation with one group.
    """
    if options.norm == "none":
        return nn.Identity()
    if options.norm == "batch":
        return nn.BatchNorm2d(channels)
    if options.norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return nn.GroupNorm(1 if options.norm == "layer" else groups_of(channels), channels)


def convolution(inputs: int, outputs: int, options: ModelOptions, stride: int = 1) -> nn.Conv2d:
    """A convolution of a residual network, padded to keep the image's size; a stride of 2 halves it, rounded up.

    It has a bias only without normalisation, wherever that stands: both positions have the same parameters.
    """
    size = options.kernel()
    return nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=options.norm == "none")


def activated(conv: nn.Conv2d, options: ModelOptions, suffix: str = "") -> NamedLayers:
    """A convolution with its normalisation and activation, in the order of `norm_position`."""
    norm = (f"norm{suffix}", norm2d(conv.out_channels, options))
    act = (f"act{suffix}", activation(options))
    return [(f"conv{suffix}", conv), *((norm, act) if options.norm_position == "before" else (act, norm))]


class MaxPool2d(nn.MaxPool2d):
    """torch's own; a CPU takes a narrow map in bfloat16 as float32, which holds the same numbers and is faster.

    torch's kernel for the CPU works on whole vectors of channels; with fewer, it is slow, and slowest in bfloat16.
    """

    VECTOR = 16

    def forward(self, input: Tensor) -> Tensor:
        narrow = input.device.type == "cpu" and input.dtype == torch.bfloat16 and input.shape[1] < self.VECTOR
        out: Tensor = super().forward(input.float() if narrow else input)
        return out.to(input.dtype)


def pool2(options: ModelOptions) -> nn.Module:
    """A 2x2 pool of stride 2; an odd last row or column is left out."""
    return MaxPool2d(2) if options.pool == "max" else nn.AvgPool2d(2)


def pooled(layers: NamedLayers, name: str, pool: nn.Module) -> NamedLayers:
    """Layers of `activated` with a pool behind them.

    A ReLU goes behind a maximum: the same values and gradients to the bit, of a quarter of the numbers.
    """
    if isinstance(layers[-1][1], nn.ReLU) and isinstance(pool, nn.MaxPool2d):
        return [*layers[:-1], (name, pool), layers[-1]]
    return [*layers, (name, pool)]


def dropout(probability: float) -> nn.Module:
    """Dropout (Srivastava et al. 2014); at probability 0 the identity, which draws no random numbers."""
    return nn.Dropout(probability) if probability > 0 else nn.Identity()


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut: (N, inputs, H, W) -> (N, outputs, H / stride, W / stride), rounded up.

    The block of He et al. (2016), figure 5 left, with option B: a 1x1 convolution on the shortcut where the shape
    changes. `norm_position` moves the first normalisation only: the second and the shortcut's are before the sum,
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


class DropConnectLinear(nn.Linear):
    """A linear layer that drops weights, not activations, while training: (N, in) -> (N, out).

    DropConnect of Wan et al. (2013), with two simplifications: one mask for the batch instead of one an image, and
    kept weights are divided by 1 - p while training (as in inverted dropout), so that evaluation uses the plain
    weights, which is the expectation of the layer, instead of sampling from a Gaussian. Biases are never dropped.
    """

    def __init__(self, in_features: int, out_features: int, probability: float) -> None:
        super().__init__(in_features, out_features)
        self.probability = probability

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, functional.dropout(self.weight, self.probability, self.training), self.bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, probability={self.probability}"


def linear(inputs: int, outputs: int, options: ModelOptions) -> nn.Linear:
    """A linear layer of the classifier, with DropConnect where the options ask for it."""
    if options.dropconnect > 0:
        return DropConnectLinear(inputs, outputs, options.dropconnect)
    return nn.Linear(inputs, outputs)


def classifier(inputs: int, classes: int, options: ModelOptions) -> nn.Sequential:
    """The linear layers: (N, inputs) -> logits (N, classes); the last is `output` however many are hidden.

    Dropout follows each hidden layer, as in Simonyan & Zisserman (2015); a classifier without hidden layers has it on
    its input.
    """
    layers: NamedLayers = [] if options.hidden else [("dropout", dropout(options.dropout))]
    for number, units in enumerate(options.hidden, start=1):
        layers += [(f"linear{number}", linear(inputs, units, options)), (f"act{number}", activation(options))]
        layers.append((f"dropout{number}", dropout(options.dropout)))
        inputs = units
    return named([*layers, ("output", linear(inputs, classes, options))])


class Network(nn.Module):
    """An image classifier: images (N, C, H, W) -> logits (N, classes).

    `features` are the convolutional layers (what fine-tuning freezes), `classifier` the linear ones, and `head` the
    last of these, the layer that a new set of classes replaces.
    """

    def __init__(self, features: nn.Module, classifier: nn.Sequential, input_dropout: float) -> None:
        super().__init__()
        self.input_dropout = dropout(input_dropout)
        self.features = features
        self.classifier = classifier

    @property
    def head(self) -> nn.Linear:
        """The output layer; its parameters are `classifier.output.weight` and `classifier.output.bias`."""
        output = self.classifier[-1]
        assert isinstance(output, nn.Linear)
        return output

    def forward(self, images: Tensor) -> Tensor:
        features = self.features(self.input_dropout(images))
        logits: Tensor = self.classifier(torch.flatten(features, 1))
        return logits
