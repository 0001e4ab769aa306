"""Optimisers, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from ablation.study import Adam, AdamW, Cosine, MultiStep, Optimizer, Schedule, Sgd, Step


def build_optimizer(parameters: Iterable[nn.Parameter], options: Optimizer) -> torch.optim.Optimizer:
    """The torch optimiser that `options` describe."""
    match options:
        case Sgd():
            return torch.optim.SGD(
                parameters,
                lr=options.lr,
                momentum=options.momentum,
                nesterov=options.nesterov,
                weight_decay=options.weight_decay,
            )
        case Adam() | AdamW():
            kind = torch.optim.AdamW if isinstance(options, AdamW) else torch.optim.Adam
            betas = (options.beta1, options.beta2)
            return kind(parameters, lr=options.lr, betas=betas, eps=options.eps, weight_decay=options.weight_decay)
        case _:
            raise AssertionError(options)


def learning_rate(schedule: Schedule, base: float, step: int, steps_per_epoch: int, total_steps: int) -> float:
    """The learning rate of `step` (from 0).

    A linear warm-up ends at `base` after `warmup_epochs`; the schedule proper runs from there to the end. `step` and
    `multistep` change at epoch boundaries counted from the start, `cosine` at every step (Loshchilov and Hutter 2017:
    without restarts).
    """
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return base * (step + 1) / warmup
    epoch = step // steps_per_epoch
    match schedule:
        case Step():
            return base * schedule.gamma ** (epoch // schedule.step_size)
        case MultiStep():
            return base * schedule.gamma ** sum(epoch >= milestone for milestone in schedule.milestones)
        case Cosine():
            done = (step - warmup) / max(1, total_steps - warmup)
            return schedule.min_lr + (base - schedule.min_lr) * (1 + math.cos(math.pi * done)) / 2
        case _:
            return base
