"""The options that all models have."""

from __future__ import annotations

from typing import Any, Literal

Norm = Literal["none", "batch", "group", "instance", "layer"]
NormPosition = Literal["before", "after"]
Activation = Literal["relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu"]
Pool = Literal["max", "avg"]
Stem = Literal["small", "large"]


class ModelOptions:
    """Everything about a classifier that a study can vary; an option that is not given has the default of the class.

    - `kernel_size`: odd; of the convolutions, except 1x1 projections and a large stem; one for each of `kernels`.
    - `channels`: of the stages of convolutions (LeNet-5: of the convolutions).
    - `norm`, `norm_position`: the normalisation that goes with a convolution, before or after the activation.
    - `hidden`: widths of the hidden layers of the classifier.
    - `stem`: how it begins, where there is a choice: `small` (3x3, stride 1) or `large` (7x7, stride 2, then a pool of
      stride 2).
    - `width`: multiplies every number of channels; the hidden layers of the classifier keep theirs.
    - `dropout`: in the classifier, after each hidden layer; without hidden layers, before the output layer.
    - `feature_dropout`: after each stage of the feature layers, element by element.
    - `input_dropout`: on the pixels of the input.
    - `dropconnect`: probability that a weight of the classifier is dropped while training.
    """

    kernel_size: int | tuple[int, ...] = 3
    channels: tuple[int, ...] = ()
    norm: Norm = "batch"
    hidden: tuple[int, ...] = ()
    stem: Stem | None = None
    norm_position: NormPosition = "before"
    activation: Activation = "relu"
    pool: Pool = "max"
    width: float = 1.0
    dropout: float = 0.0
    feature_dropout: float = 0.0
    input_dropout: float = 0.0
    dropconnect: float = 0.0

    def __init__(self, **options: Any) -> None:
        if unknown := options.keys() - ModelOptions.__annotations__.keys():
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        vars(self).update(options)

    def kernel(self, number: int = 0) -> int:
        """The kernel size of convolution `number`, of those whose kernels can be given one by one."""
        return self.kernel_size if isinstance(self.kernel_size, int) else self.kernel_size[number]
