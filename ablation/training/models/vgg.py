"""The VGG networks."""

from __future__ import annotations

from torch import nn

from ablation.training.models.layers import (
    NamedLayers,
    Network,
    activated,
    classifier,
    dropout,
    named,
    pool2,
    pooled,
    scaled,
)
from ablation.training.models.options import ModelOptions

CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {  # in each of the five stages; configurations A, B, D and E of the paper
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}


def vgg(options: ModelOptions, image: tuple[int, int, int], classes: int) -> Network:
    """VGG-11, 13, 16 or 19 (Simonyan & Zisserman 2015); at 224x224 with hidden layers 4096, 4096 the published one.

    The classifier sees all 512 x (height // 32) x (width // 32) features, which at 32x32 is 512. The convolutions keep
    their bias also where a normalisation follows, as in torchvision. Layers are numbered by stage, as in the paper
    (`conv3_1`), so that networks of different depth share the names of the layers that they share.
    """
    channels = options.channels or CHANNELS
    layers: NamedLayers = []
    inputs = image[0]
    for stage, (base, count) in enumerate(zip(channels, CONVOLUTIONS[options.name], strict=True), start=1):
        outputs = scaled(base, options)
        for number in range(1, count + 1):
            conv = nn.Conv2d(inputs, outputs, options.kernel(), padding=options.kernel() // 2)
            layers += activated(conv, options, f"{stage}_{number}")
            inputs = outputs
        layers = pooled(layers, f"pool{stage}", pool2(options))
        layers.append((f"dropout{stage}", dropout(options.feature_dropout)))
    flat = inputs * (image[1] // 32) * (image[2] // 32)
    return Network(named(layers), classifier(flat, classes, options), options.input_dropout)
