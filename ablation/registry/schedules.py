"""Learning-rate schedules by name: one class each, which carries its options, its summary, and the rate of a step.

A new schedule is one more class here and in `KINDS`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field, Strict
from pydantic_core import PydanticCustomError

from ablation.registry.custom_names import PartName
from ablation.registry.options import (
    Count,
    Custom,
    Factor,
    NotNegative,
    Positive,
    Probability,
    Section,
    by_name,
    one_of,
)


def _increasing(values: tuple[int, ...]) -> tuple[int, ...]:
    if list(values) != sorted(set(values)):
        raise PydanticCustomError("order", "the milestones must increase", {"hint": "for example [10, 20]"})
    return values


class Moment(NamedTuple):
    """What a schedule goes by: the step (from 0) of a training with `total_steps`, of which `warmup` are the warm-up.

    `base` is the optimizer's `lr`; `losses` are the validation losses of all evaluations since the warm-up.
    """

    base: float
    step: int
    steps_per_epoch: int
    total_steps: int
    warmup: int
    losses: Sequence[float]

    @property
    def epoch(self) -> int:
        """The epoch of the step, from 0 and counted from the start."""
        return self.step // self.steps_per_epoch

    @property
    def progress(self) -> float:
        """How much of the training after the warm-up is done: 0 at its first step, and just below 1 at the last."""
        return (self.step - self.warmup) / max(1, self.total_steps - self.warmup)


class Schedule(Section):
    """A learning rate as a pure function of the step; subclasses say what it is after a linear warm-up."""

    name: str

    @property
    def warmup(self) -> float:
        """Epochs of linear rise before the schedule proper."""
        return 0.0

    def warmup_steps(self, steps_per_epoch: int) -> int:
        """The length of the warm-up in steps."""
        return round(self.warmup * steps_per_epoch)

    def rate(
        self, base: float, step: int, steps_per_epoch: int, total_steps: int, losses: Sequence[float] = ()
    ) -> float:
        """The learning rate of `step` (from 0); the warm-up ends at `base`."""
        warmup = self.warmup_steps(steps_per_epoch)
        if step < warmup:
            return base * (step + 1) / warmup
        return self.after_warmup(Moment(base, step, steps_per_epoch, total_steps, warmup, losses))

    @abstractmethod
    def after_warmup(self, at: Moment) -> float:
        """The learning rate of a step that follows the warm-up."""


class WithWarmup(Schedule):
    """A schedule that may begin with `warmup_epochs` of linear rise."""

    warmup_epochs: NotNegative = 0.0

    @property
    def warmup(self) -> float:
        return self.warmup_epochs


class Constant(WithWarmup):
    """The same learning rate throughout."""

    name: Literal["constant"] = "constant"

    def after_warmup(self, at: Moment) -> float:
        return at.base


class Step(WithWarmup):
    """Multiplied by gamma every step_size epochs."""

    name: Literal["step"]
    step_size: Count
    gamma: Positive = 0.1

    def after_warmup(self, at: Moment) -> float:
        return at.base * self.gamma ** (at.epoch // self.step_size)


class MultiStep(WithWarmup):
    """Multiplied by gamma at each of the milestones (epochs)."""

    name: Literal["multistep"]
    milestones: Annotated[tuple[Count, ...], Strict(False), Field(min_length=1), AfterValidator(_increasing)]
    gamma: Positive = 0.1

    def after_warmup(self, at: Moment) -> float:
        return at.base * self.gamma ** sum(at.epoch >= milestone for milestone in self.milestones)


class Cosine(WithWarmup):
    """Half a cosine from lr down to min_lr (Loshchilov and Hutter 2017)."""

    name: Literal["cosine"]
    min_lr: NotNegative = 0.0

    def after_warmup(self, at: Moment) -> float:
        return _half_cosine(at.base, self.min_lr, at.progress)


class Exponential(WithWarmup):
    """Multiplied by gamma after every epoch that follows the warm-up."""

    name: Literal["exponential"]
    gamma: Annotated[float, Field(gt=0, le=1)]

    def after_warmup(self, at: Moment) -> float:
        return float(at.base * self.gamma ** ((at.step - at.warmup) // at.steps_per_epoch))


class OneCycle(Schedule):
    """Up to lr and down to almost nothing, at every step (Smith and Topin 2019).

    The top is at the share `pct_start` of the steps. It starts at lr / `div_factor` and ends at that /
    `final_div_factor`; both ways are half a cosine, as torch has it.
    """

    name: Literal["one_cycle"]
    pct_start: Annotated[float, Field(gt=0, lt=1)] = 0.3
    div_factor: Factor = 25.0
    final_div_factor: Factor = 1e4

    def after_warmup(self, at: Moment) -> float:
        """As torch's `OneCycleLR` with cosine annealing: the peak is at step `pct_start * total_steps - 1`."""
        first = at.base / self.div_factor
        top, end = self.pct_start * at.total_steps - 1, at.total_steps - 1
        if at.step < top:
            return _half_cosine(first, at.base, at.step / top)
        return _half_cosine(at.base, first / self.final_div_factor, (at.step - top) / (end - top))


class Plateau(WithWarmup):
    """Multiplied by factor when the validation loss stops falling.

    That is once it was not lowered for more than `patience` evaluations in a row, where lowered means by more than the
    share `threshold` of the lowest loss so far.
    """

    name: Literal["plateau"]
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: Annotated[int, Field(ge=0)] = 10
    threshold: Probability = 1e-4
    min_lr: NotNegative = 0.0

    def after_warmup(self, at: Moment) -> float:
        """As torch's `ReduceLROnPlateau` in relative mode without cooldown, after it has seen the losses."""
        rate, lowest, waited = at.base, math.inf, 0
        for loss in at.losses:
            if loss < lowest * (1 - self.threshold):
                lowest, waited = loss, 0
            else:
                waited += 1
            if waited > self.patience:
                lowered = max(rate * self.factor, self.min_lr)
                rate = lowered if rate - lowered > SMALLEST_CUT else rate
                waited = 0
        return rate


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


SMALLEST_CUT = 1e-8
"""A plateau does not lower the learning rate by less than this (`eps` of torch's)."""


class CustomSchedule(WithWarmup, Custom):
    """A schedule of custom code, after a linear warm-up as the others have it."""

    name: PartName

    def after_warmup(self, at: Moment) -> float:
        rate: float = self._call(at)
        return rate


KINDS = by_name(Constant, Step, MultiStep, Cosine, Exponential, OneCycle, Plateau)
if TYPE_CHECKING:
    AnySchedule = Schedule
else:
    AnySchedule = one_of([*KINDS.values()], CustomSchedule, "schedule")
