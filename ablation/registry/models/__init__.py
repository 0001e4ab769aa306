"""Models by name: one class each, which carries its options, its summary, and how it is built.

A new model is a file here, and its name in `KINDS`. `layers`, which imports torch, is imported where one is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ablation.registry.models.architecture import Architecture
from ablation.registry.models.lenet import LeNet5
from ablation.registry.models.resnet import ResNet9, ResNet18, ResNet34
from ablation.registry.models.vgg import Vgg11, Vgg13, Vgg16, Vgg19

KINDS: Mapping[str, type[Architecture]] = MappingProxyType(
    {kind.name: kind for kind in (LeNet5, Vgg11, Vgg13, Vgg16, Vgg19, ResNet9, ResNet18, ResNet34)}
)
