"""Networks that torch compiles: one for each architecture in a process, set back in place for every further run."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor

from ablation.planning.run import Run
from ablation.training import device
from ablation.training.sizes import Classifier, build_options, input_shape

MOST_KEPT = 16
"""Compiled networks that a process keeps."""

Forward = Callable[[Tensor], Tensor]

_kept: OrderedDict[str, tuple[Classifier, Forward]] = OrderedDict()


def for_training(
    classifier: Classifier, run: Run, image: tuple[int, int, int], classes: int
) -> tuple[Classifier, Forward]:
    """The classifier to train, on the device of `classifier`, and what computes its logits in training steps.

    Without `train.compile` these are `classifier` and its network. Otherwise they are a network of the same
    architecture that an earlier run has left compiled, with the weights and buffers of `classifier`, if there is one.
    A custom model may hold more than these, and is compiled for each run.
    """
    kind = run.image_recipe.train.compile
    if kind == "none":
        return classifier, classifier.network
    if run.model_code:
        return classifier, device.compiled(classifier.network, kind)
    place = str(next(classifier.network.parameters()).device)
    key = json.dumps(
        [
            kind,
            run.image_recipe.train.precision,
            place,
            input_shape(run.image_recipe, image),
            classes,
            build_options(run.image_recipe),
        ]
    )
    if key in _kept:
        earlier = _kept[key][0].network
        earlier.load_state_dict(classifier.network.state_dict())
        earlier.zero_grad(set_to_none=True)
    else:
        _kept[key] = classifier, device.compiled(classifier.network, kind)
    _kept.move_to_end(key)
    while len(_kept) > MOST_KEPT:
        _kept.popitem(last=False)
    return _kept[key]
