"""LeNet-5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablation.errors import UserError
from ablation.registry.models.architecture import Architecture

if TYPE_CHECKING:
    from ablation.registry.models.layers import NamedLayers

PUBLISHED_SIDE = 32
UNPADDED_FROM = 28


class LeNet5(Architecture):
    """LeNet-5 (LeCun et al. 1998), two convolutions and three linear layers.

    Its second convolution is fully connected and its output layer linear. At 32x32, and at 28x28, which the first
    convolution pads to 32x32: valid convolutions to 6 and 16 channels, each with a 2x2 pool, then 400-120-84-classes.
    Smaller images are padded further, down to 8x8. `build` raises UserError if the kernels leave nothing of the image.
    """

    name = "lenet5"
    kernels = 2
    kernel_size = 5
    channels = (6, 16)
    norm = "none"
    hidden = (120, 84)

    def features(self, image: tuple[int, int, int]) -> tuple[NamedLayers, int]:
        from torch import nn

        import ablation.registry.models.layers as own

        kernels = tuple(self.kernel(number) for number in range(self.kernels))
        paddings = [_paddings(side, kernels) for side in image[1:]]
        rows, columns = (_remaining(side, kernels) for side in image[1:])
        if min(rows, columns) < 1:
            raise UserError(
                f"a kernel size of {self.kernel_size} leaves nothing of images of {image[1]}x{image[2]} in lenet5",
                "choose a smaller model.kernel_size: up to 9 suits every image",
            )
        layers: NamedLayers = []
        inputs = image[0]
        for stage, base in enumerate(self.channels):
            outputs, suffix = own.scaled(base, self), str(stage + 1)
            padding = (paddings[0][stage], paddings[1][stage])
            convolved = own.activated(nn.Conv2d(inputs, outputs, kernels[stage], padding=padding), self, suffix)
            layers += own.pooled(convolved, f"pool{suffix}", own.pool2(self))
            layers.append((f"dropout{suffix}", own.dropout(self.feature_dropout)))
            inputs = outputs
        return layers, inputs * rows * columns


def _paddings(side: int, kernels: tuple[int, ...]) -> tuple[int, int]:
    """Pixels to pad on each side for the two convolutions: the first up to 32 pixels, the second only below 28."""
    missing = (max(0, PUBLISHED_SIDE - side) + 1) // 2
    return min(kernels[0] // 2, missing), 0 if side >= UNPADDED_FROM else kernels[1] // 2


def _remaining(side: int, kernels: tuple[int, ...]) -> int:
    """Height or width of the last feature maps for images of this height or width; 0 or less if there is none."""
    for kernel, padding in zip(kernels, _paddings(side, kernels), strict=True):
        side = (side + 2 * padding - kernel + 1) // 2
    return side
