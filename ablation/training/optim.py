"""Optimisers, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from ablation.registry.options import (
    Adam,
    AdamW,
    Constant,
    Cosine,
    Exponential,
    MultiStep,
    OneCycle,
    Optimizer,
    Plateau,
    RmsProp,
    Schedule,
    Sgd,
    Step,
)

Parameters = Iterable[nn.Parameter] | Iterable[dict[str, Any]]


def build_optimizer(parameters: Parameters, options: Optimizer, *, fused: bool = False) -> torch.optim.Optimizer:
    """The torch optimizer that `options` describe; `fused` updates all weights in one kernel, where torch has one."""
    own: dict[str, Any] = {"fused": True} if fused else {}
    match options:
        case Sgd():
            return torch.optim.SGD(
                parameters,
                lr=options.lr,
                momentum=options.momentum,
                nesterov=options.nesterov,
                weight_decay=options.weight_decay,
                **own,
            )
        case Adam() | AdamW():
            kind = torch.optim.AdamW if isinstance(options, AdamW) else torch.optim.Adam
            betas = (options.beta1, options.beta2)
            decay = options.weight_decay
            return kind(parameters, lr=options.lr, betas=betas, eps=options.eps, weight_decay=decay, **own)
        case RmsProp():
            return torch.optim.RMSprop(
                parameters,
                lr=options.lr,
                alpha=options.alpha,
                eps=options.eps,
                momentum=options.momentum,
                weight_decay=options.weight_decay,
            )
        case _:
            raise AssertionError(options)


def load_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load the state of an optimizer that was fused, or not, into one that may differ in that.

    A checkpoint may come from another kind of device. The new optimizer's own choice also decides where the step
    counters of Adam are kept: torch takes them to the device only where it is fused.
    """
    pairs = zip(state["param_groups"], optimizer.param_groups, strict=True)
    groups = [saved | {key: own[key] for key in ("fused",) if key in own} for saved, own in pairs]
    optimizer.load_state_dict(state | {"param_groups": groups})


def learning_rate(
    schedule: Schedule, base: float, step: int, steps_per_epoch: int, total_steps: int, losses: Sequence[float] = ()
) -> float:
    """The learning rate of `step` (from 0).

    A linear warm-up ends at `base` after `warmup_epochs`; the schedule proper runs from there to the end. `step` and
    `multistep` change at epoch boundaries counted from the start, `exponential` once for each epoch after the warm-up,
    `cosine` and `one_cycle` at every step. `plateau` goes by `losses`, the validation losses of all evaluations since
    the warm-up. Sources: Loshchilov and Hutter 2017 (cosine, without restarts), Smith and Topin 2019 (one cycle).
    """
    warmup = warmup_steps(schedule, steps_per_epoch)
    if step < warmup:
        return base * (step + 1) / warmup
    epoch = step // steps_per_epoch
    match schedule:
        case Constant():
            return base
        case Step():
            return base * schedule.gamma ** (epoch // schedule.step_size)
        case MultiStep():
            return base * schedule.gamma ** sum(epoch >= milestone for milestone in schedule.milestones)
        case Cosine():
            return _half_cosine(base, schedule.min_lr, (step - warmup) / max(1, total_steps - warmup))
        case Exponential():
            return float(base * schedule.gamma ** ((step - warmup) // steps_per_epoch))
        case OneCycle():
            return _one_cycle(schedule, base, step, total_steps)
        case Plateau():
            return _plateau(schedule, base, losses)
        case _:
            raise AssertionError(schedule)


def warmup_steps(schedule: Schedule, steps_per_epoch: int) -> int:
    """The length of the warm-up in steps."""
    return round(schedule.warmup * steps_per_epoch)


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _one_cycle(schedule: OneCycle, highest: float, step: int, total_steps: int) -> float:
    """As torch's `OneCycleLR` with cosine annealing: the top lies at step `pct_start * total_steps - 1`."""
    first = highest / schedule.div_factor
    top, end = schedule.pct_start * total_steps - 1, total_steps - 1
    if step < top:
        return _half_cosine(first, highest, step / top)
    return _half_cosine(highest, first / schedule.final_div_factor, (step - top) / (end - top))


SMALLEST_CUT = 1e-8
"""A plateau does not lower the learning rate by less than this (`eps` of torch's)."""


def _plateau(schedule: Plateau, base: float, losses: Sequence[float]) -> float:
    """As torch's `ReduceLROnPlateau` in relative mode without cooldown, after it has seen `losses`."""
    rate, lowest, waited = base, math.inf, 0
    for loss in losses:
        if loss < lowest * (1 - schedule.threshold):
            lowest, waited = loss, 0
        else:
            waited += 1
        if waited > schedule.patience:
            lowered = max(rate * schedule.factor, schedule.min_lr)
            rate = lowered if rate - lowered > SMALLEST_CUT else rate
            waited = 0
    return rate
