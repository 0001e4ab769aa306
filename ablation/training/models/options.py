"""What a model is built from, and what it asks of its input."""

from __future__ import annotations

from dataclasses import dataclass

from ablation.errors import UserError

MODELS = ("lenet5", "vgg11", "vgg13", "vgg16", "vgg19", "resnet9", "resnet18", "resnet34")
NORMS = ("none", "batch", "group", "instance", "layer")
NORM_POSITIONS = ("before", "after")
ACTIVATIONS = ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu")
POOLS = ("max", "avg")
STEMS = ("small", "large")
LENET_CONVOLUTIONS = 2


@dataclass(frozen=True)
class ModelOptions:
    """A classifier and everything about it that a study can vary.

    - `name`: one of `MODELS`.
    - `norm`, `norm_position`: the normalisation that goes with a convolution, before or after the activation.
    - `activation`: the non-linearity.
    - `pool`: the kind of the pools, except that ResNet-18/34 end in a mean in any case.
    - `kernel_size`: odd; of the convolutions, except 1x1 projections and a large stem. For LeNet-5 also one for each.
    - `channels`: of the stages of convolutions (LeNet-5: of the convolutions); empty for the published ones.
    - `width`: multiplies every number of channels; the hidden layers of the classifier keep theirs.
    - `dropout`: in the classifier, after each hidden layer; without hidden layers, before the output layer.
    - `feature_dropout`: after each stage of the feature layers, element by element.
    - `input_dropout`: on the pixels of the input.
    - `dropconnect`: probability that a weight of the classifier is dropped while training.
    - `hidden`: widths of the hidden layers of the classifier.
    - `stem`: how ResNet-18/34 begin: `small` (3x3, stride 1) or `large` (7x7, stride 2, then a pool of stride 2).
    """

    name: str
    norm: str
    norm_position: str
    activation: str
    pool: str
    kernel_size: int | tuple[int, ...]
    width: float
    dropout: float
    feature_dropout: float
    input_dropout: float
    dropconnect: float
    hidden: tuple[int, ...]
    stem: str
    channels: tuple[int, ...] = ()

    def kernel(self, number: int = 0) -> int:
        """The kernel size of convolution `number`, of those whose kernels can be stated one by one."""
        return self.kernel_size if isinstance(self.kernel_size, int) else self.kernel_size[number]


def stages(name: str) -> int:
    """The number of stages of convolutions, each with its own number of channels."""
    return LENET_CONVOLUTIONS if name == "lenet5" else 5 if name.startswith("vgg") else 4


def smallest_input(options: ModelOptions) -> int:
    """The least height and width of an image, in pixels, that the model can be trained on.

    The pools of a VGG halve five times, so 32. The others take 8x8, except that instance normalisation needs more than
    one pixel a channel wherever it stands, also in the last stage of a ResNet, which is 8 (ResNet-9, small stem) or 32
    (large stem) times smaller than the input. Padded strides round up, pools round down: hence 9 and 33, but 16.
    """
    if options.name.startswith("vgg"):
        return 32
    if options.norm != "instance" or options.name == "lenet5":
        return 8
    if options.name == "resnet9":
        return 16
    return 33 if options.stem == "large" else 9


def check(options: ModelOptions, image: tuple[int, int, int], classes: int) -> None:
    """Raise `UserError` where no model can be built from the options for images of (channels, height, width)."""
    _check_choices(options)
    _check_numbers(options)
    if min(image) < 1 or classes < 1:
        raise UserError(f"a model needs channels, height, width and classes of at least 1, not {image} and {classes}")
    least = smallest_input(options)
    if min(image[1:]) < least:
        raise UserError(
            f"model {options.name} with norm {options.norm} needs images of at least {least}x{least}, "
            f"not {image[1]}x{image[2]}",
            "enlarge the images (data.size), or choose another model",
        )


def _check_choices(options: ModelOptions) -> None:
    choices = {
        "name": MODELS,
        "norm": NORMS,
        "norm_position": NORM_POSITIONS,
        "activation": ACTIVATIONS,
        "pool": POOLS,
        "stem": STEMS,
    }
    for key, allowed in choices.items():
        value = getattr(options, key)
        if value not in allowed:
            raise UserError(f"model.{key} is {value!r}", f"choose one of {', '.join(allowed)}")


def _check_numbers(options: ModelOptions) -> None:
    kernels = (options.kernel_size,) if isinstance(options.kernel_size, int) else options.kernel_size
    if any(size < 1 or size % 2 == 0 for size in kernels):
        raise UserError(f"model.kernel_size is {options.kernel_size}", "choose an odd number: 1, 3, 5, 7, ...")
    if isinstance(options.kernel_size, tuple) and (options.name != "lenet5" or len(kernels) != LENET_CONVOLUTIONS):
        raise UserError(f"{options.name} cannot have the kernel sizes {list(kernels)}", "give one number")
    if options.channels and (len(options.channels) != stages(options.name) or min(options.channels) < 1):
        raise UserError(
            f"model.channels is {list(options.channels)}",
            f"{options.name} needs {stages(options.name)} numbers of at least 1",
        )
    if not 0 < options.width < float("inf"):
        raise UserError(f"model.width is {options.width}", "choose a number above 0; 1 is the published width")
    if any(units < 1 for units in options.hidden):
        raise UserError(f"model.hidden is {list(options.hidden)}", "each hidden layer needs at least one unit")
    for key in ("dropout", "feature_dropout", "input_dropout", "dropconnect"):
        if not 0 <= getattr(options, key) < 1:
            raise UserError(f"model.{key} is {getattr(options, key)}", "choose a probability from 0 to below 1")
