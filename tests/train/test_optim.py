"""Learning rates and optimisers against torch's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as torch_schedules

from ablation.registry import schedules
from ablation.registry.optimizers import Adam, AdamW, RmsProp, Sgd
from ablation.registry.schedules import (
    Constant,
    Cosine,
    Exponential,
    MultiStep,
    OneCycle,
    Plateau,
    Schedule,
    Step,
)

PER_EPOCH, EPOCHS = 5, 8
TOTAL = PER_EPOCH * EPOCHS


LOSSES = [2.0, 1.5, 1.6, 1.49999, 1.4, 1.5, 1.5, 1.3]
"""Validation losses after each epoch; the fourth is not lower by enough to count."""
WARMUP = 2 * PER_EPOCH

Make = Callable[[torch.optim.Optimizer], torch_schedules.LRScheduler]


def ours(schedule: Schedule) -> list[float]:
    return [schedule.rate(0.1, step, PER_EPOCH, TOTAL, LOSSES[: step // PER_EPOCH]) for step in range(TOTAL)]


def theirs(make: Make, every: int) -> list[float]:
    """The learning rates of a torch schedule that is stepped every so many steps."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = make(optimizer)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in range(TOTAL):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if (step + 1) % every == 0:
                loss = [LOSSES[step // PER_EPOCH]] if isinstance(schedule, torch_schedules.ReduceLROnPlateau) else []
                schedule.step(*loss)
    return rates


def constant(optimizer: torch.optim.Optimizer) -> torch_schedules.LRScheduler:
    return torch_schedules.ConstantLR(optimizer, 1.0)


def warmed(make: Make) -> Make:
    """Torch's linear warm-up before another schedule."""

    def chain(optimizer: torch.optim.Optimizer) -> torch_schedules.LRScheduler:
        rise = torch_schedules.LinearLR(optimizer, 1 / WARMUP, 1.0, WARMUP - 1)
        return torch_schedules.SequentialLR(optimizer, [rise, make(optimizer)], [WARMUP])

    return chain


EVERY_SCHEDULE: dict[str, tuple[Schedule, Make, int]] = {
    "constant": (Constant(), constant, 1),
    "step": (
        Step(name="step", step_size=3, gamma=0.2),
        lambda o: torch_schedules.StepLR(o, 3, 0.2),
        PER_EPOCH,
    ),
    "multistep": (
        MultiStep(name="multistep", milestones=(2, 5), gamma=0.3),
        lambda o: torch_schedules.MultiStepLR(o, [2, 5], 0.3),
        PER_EPOCH,
    ),
    "cosine": (
        Cosine(name="cosine", min_lr=0.001),
        lambda o: torch_schedules.CosineAnnealingLR(o, TOTAL, 0.001),
        1,
    ),
    "exponential": (
        Exponential(name="exponential", gamma=0.7),
        lambda o: torch_schedules.ExponentialLR(o, 0.7),
        PER_EPOCH,
    ),
    "one_cycle": (
        OneCycle(name="one_cycle"),
        lambda o: torch_schedules.OneCycleLR(o, 0.1, total_steps=TOTAL, cycle_momentum=False),
        1,
    ),
    "one_cycle, all options": (
        OneCycle(name="one_cycle", pct_start=0.42, div_factor=7, final_div_factor=30),
        lambda o: torch_schedules.OneCycleLR(
            o, 0.1, total_steps=TOTAL, pct_start=0.42, div_factor=7, final_div_factor=30, cycle_momentum=False
        ),
        1,
    ),
    "plateau": (
        Plateau(name="plateau", factor=0.5, patience=1),
        lambda o: torch_schedules.ReduceLROnPlateau(o, factor=0.5, patience=1),
        PER_EPOCH,
    ),
    "plateau, all options": (
        Plateau(name="plateau", factor=0.2, patience=0, threshold=0.3, min_lr=0.01),
        lambda o: torch_schedules.ReduceLROnPlateau(o, factor=0.2, patience=0, threshold=0.3, min_lr=0.01),
        PER_EPOCH,
    ),
    "constant, warmed up": (Constant(warmup_epochs=2), warmed(constant), 1),
    "cosine, warmed up": (
        Cosine(name="cosine", warmup_epochs=2),
        warmed(lambda o: torch_schedules.CosineAnnealingLR(o, TOTAL - WARMUP)),
        1,
    ),
}


@pytest.mark.parametrize("name", EVERY_SCHEDULE)
def test_every_schedule_equals_torch_step_by_step(name: str) -> None:
    schedule, make, every = EVERY_SCHEDULE[name]
    assert ours(schedule) == pytest.approx(theirs(make, every), rel=1e-9)


def test_no_schedule_is_left_out() -> None:
    assert {schedule.name for schedule, _, _ in EVERY_SCHEDULE.values()} == set(schedules.KINDS)


def test_the_plateau_was_lowered_more_than_once() -> None:
    assert len(set(ours(EVERY_SCHEDULE["plateau"][0]))) == 3


@pytest.mark.parametrize("name", ["step", "multistep", "cosine", "exponential", "plateau"])
def test_a_warm_up_rises_in_equal_steps_to_the_learning_rate(name: str) -> None:
    schedule = EVERY_SCHEDULE[name][0].model_copy(update={"warmup_epochs": 2})
    assert ours(schedule)[:WARMUP] == pytest.approx([0.1 * (step + 1) / WARMUP for step in range(WARMUP)])


def test_the_exponential_decay_begins_after_the_warm_up() -> None:
    warm = ours(Exponential(name="exponential", gamma=0.7, warmup_epochs=2))[WARMUP:]
    assert warm == ours(Exponential(name="exponential", gamma=0.7))[: TOTAL - WARMUP]


def test_a_plateau_cannot_be_lowered_below_its_least() -> None:
    assert min(ours(EVERY_SCHEDULE["plateau, all options"][0])) == 0.01


@pytest.mark.parametrize("total", [1, 2, 3, 10])
def test_one_cycle_lasts_for_any_number_of_steps(total: int) -> None:
    for share in (0.01, 0.1, 0.3, 0.5, 0.99):
        schedule = OneCycle(name="one_cycle", pct_start=share)
        rates = [schedule.rate(0.1, step, 1, total) for step in range(total)]
        assert all(0 < rate <= 0.1 for rate in rates)


@pytest.mark.parametrize(
    ("options", "kind", "expected"),
    [
        (Sgd(name="sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01), torch.optim.SGD, {"nesterov": True}),
        (Adam(name="adam", lr=0.1, beta1=0.8, weight_decay=0.01), torch.optim.Adam, {"betas": (0.8, 0.999)}),
        (AdamW(name="adamw", lr=0.1, eps=1e-6), torch.optim.AdamW, {"eps": 1e-6}),
        (
            RmsProp(name="rmsprop", lr=0.1, alpha=0.9, eps=1e-5, momentum=0.8, weight_decay=0.01),
            torch.optim.RMSprop,
            {"alpha": 0.9, "eps": 1e-5, "momentum": 0.8},
        ),
    ],
)
def test_optimisers_get_their_options(options, kind, expected) -> None:  # type: ignore[no-untyped-def]
    optimizer = options.build([nn.Parameter(torch.zeros(1))])
    assert isinstance(optimizer, kind)
    defaults = optimizer.defaults | {}
    assert defaults | expected == defaults
    assert defaults["weight_decay"] == options.weight_decay
