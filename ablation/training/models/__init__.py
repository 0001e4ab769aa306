"""The image classifiers, built from options, initialised by name, and measured."""

from __future__ import annotations

from ablation.training.models.counting import count_macs, count_parameters
from ablation.training.models.initial import initialise
from ablation.training.models.layers import Network
from ablation.training.models.lenet import lenet5
from ablation.training.models.options import ModelOptions, check, smallest_input
from ablation.training.models.resnet import resnet, resnet9
from ablation.training.models.vgg import vgg

__all__ = [
    "ModelOptions",
    "Network",
    "build_model",
    "count_macs",
    "count_parameters",
    "initialise",
    "smallest_input",
]

BUILDERS = {
    "lenet5": lenet5,
    "vgg11": vgg,
    "vgg13": vgg,
    "vgg16": vgg,
    "vgg19": vgg,
    "resnet9": resnet9,
    "resnet18": resnet,
    "resnet34": resnet,
}


def build_model(options: ModelOptions, image: tuple[int, int, int], classes: int) -> Network:
    """The classifier of the options for images of (channels, height, width): (N, C, H, W) -> logits (N, classes).

    Its weights are torch's own until `initialise` sets them. Under `torch.device("meta")` it takes no memory.
    Raises `UserError` if an option is out of range or the images are too small for the model.
    """
    check(options, image, classes)
    return BUILDERS[options.name](options, image, classes)
