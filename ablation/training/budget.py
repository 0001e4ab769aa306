"""The length of a run, and which images each of its steps sees."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ablation.rng import Seed, generator
from ablation.study.schema import Train

MOST_EVALUATIONS = 100
"""Of a budget in steps that does not say `eval_every`."""


@dataclass(frozen=True)
class Budget:
    """`total` steps, cut into `rows` ("epochs") of `every` steps, after each of which the run is evaluated and saved.

    `per_pass` steps see each training image once, and `per_epoch` are an epoch to the schedule. With a budget in epochs
    a row is an epoch; with a budget in steps it is `eval_every` steps. An epoch is a pass, except that with
    `hold: steps` it is a pass through the images of a `data.fraction` of 1.
    """

    total: int
    every: int
    per_pass: int
    per_epoch: int

    @property
    def rows(self) -> int:
        return math.ceil(self.total / self.every)

    def steps(self, row: int) -> range:
        """The steps (from 0) of a row (from 1)."""
        return range((row - 1) * self.every, min(row * self.every, self.total))


def make_budget(train: Train, images: int, available: int | None = None) -> Budget:
    """The budget of a recipe over `images` training images, out of `available` (default: these are all)."""
    per_pass = steps_per_pass(images, train.batch_size)
    per_epoch = steps_per_pass(available or images, train.batch_size) if train.hold == "steps" else per_pass
    if train.epochs is not None:
        return Budget(train.epochs * per_epoch, per_epoch, per_pass, per_epoch)
    assert train.steps is not None
    every = train.eval_every or max(per_epoch, math.ceil(train.steps / MOST_EVALUATIONS))
    return Budget(train.steps, min(every, train.steps), per_pass, per_epoch)


def steps_per_pass(images: int, batch_size: int) -> int:
    """Batches that `images` make.

    The last batch of a pass holds what is left; a single image left over is not trained on in that pass, since batch
    normalisation has no variance to take from one image.
    """
    size = min(batch_size, images)
    return max(1, images // size + (images % size > 1))


def batches(indices: Tensor, budget: Budget, row: int, batch_size: int, seed: Seed) -> Iterator[Tensor]:
    """The image indices of each step of a row. Every pass has an order of its own, from the stream `order`."""
    size = min(batch_size, len(indices))
    current, order = -1, indices
    for step in budget.steps(row):
        number, position = divmod(step, budget.per_pass)
        if number != current:
            current = number
            order = indices[torch.randperm(len(indices), generator=generator(seed, "order", number))]
        yield order[position * size : (position + 1) * size]
