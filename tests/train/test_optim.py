"""Learning rates and optimisers against torch's own."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as torch_schedules

from ablation.study import Adam, AdamW, Constant, Cosine, MultiStep, Schedule, Sgd, Step, Train
from ablation.train.budget import batches, make_budget
from ablation.train.optim import build_optimizer, learning_rate

PER_EPOCH, EPOCHS = 5, 8
TOTAL = PER_EPOCH * EPOCHS


def ours(schedule: Schedule) -> list[float]:
    return [learning_rate(schedule, 0.1, step, PER_EPOCH, TOTAL) for step in range(TOTAL)]


def theirs(make, every: int) -> list[float]:  # type: ignore[no-untyped-def]
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
                schedule.step()
    return rates


def test_constant() -> None:
    assert ours(Constant()) == [0.1] * TOTAL


def test_step_equals_torch() -> None:
    expected = theirs(lambda o: torch_schedules.StepLR(o, 3, 0.2), PER_EPOCH)
    assert ours(Step(name="step", step_size=3, gamma=0.2)) == pytest.approx(expected, rel=1e-12)


def test_multistep_equals_torch() -> None:
    expected = theirs(lambda o: torch_schedules.MultiStepLR(o, [2, 5], 0.3), PER_EPOCH)
    assert ours(MultiStep(name="multistep", milestones=(2, 5), gamma=0.3)) == pytest.approx(expected, rel=1e-12)


def test_cosine_equals_torch() -> None:
    expected = theirs(lambda o: torch_schedules.CosineAnnealingLR(o, TOTAL, 0.001), 1)
    assert ours(Cosine(name="cosine", min_lr=0.001)) == pytest.approx(expected, rel=1e-9)


def test_warm_up_then_cosine_equals_torch() -> None:
    warmup = 2 * PER_EPOCH

    def make(optimizer: torch.optim.Optimizer) -> torch_schedules.LRScheduler:
        first = torch_schedules.LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1)
        second = torch_schedules.CosineAnnealingLR(optimizer, TOTAL - warmup)
        return torch_schedules.SequentialLR(optimizer, [first, second], [warmup])

    assert ours(Cosine(name="cosine", warmup_epochs=2)) == pytest.approx(theirs(make, 1), rel=1e-9)


@pytest.mark.parametrize(
    ("options", "kind", "expected"),
    [
        (Sgd(name="sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01), torch.optim.SGD, {"nesterov": True}),
        (Adam(name="adam", lr=0.1, beta1=0.8, weight_decay=0.01), torch.optim.Adam, {"betas": (0.8, 0.999)}),
        (AdamW(name="adamw", lr=0.1, eps=1e-6), torch.optim.AdamW, {"eps": 1e-6}),
    ],
)
def test_optimisers_get_their_options(options, kind, expected) -> None:  # type: ignore[no-untyped-def]
    optimizer = build_optimizer([nn.Parameter(torch.zeros(1))], options)
    assert type(optimizer) is kind
    defaults = optimizer.defaults | {}
    assert defaults | expected == defaults
    assert defaults["weight_decay"] == options.weight_decay


@pytest.mark.parametrize(
    ("images", "size", "per_pass"), [(100, 32, 4), (96, 32, 3), (97, 32, 3), (10, 32, 1), (1, 32, 1)]
)
def test_a_pass_leaves_no_batch_of_one(images: int, size: int, per_pass: int) -> None:
    budget = make_budget(Train(epochs=2, batch_size=size), images)
    assert (budget.per_pass, budget.total, budget.rows) == (per_pass, 2 * per_pass, 2)
    sizes = [len(b) for b in batches(torch.arange(images), budget, 1, size, 0)]
    assert len(sizes) == per_pass
    assert min(sizes) > 1 or images == 1


def test_a_budget_in_steps_is_evaluated_every_so_many() -> None:
    budget = make_budget(Train(steps=25, eval_every=10, batch_size=10), 100)
    assert budget.rows == 3
    assert [list(budget.steps(row))[-1] for row in (1, 2, 3)] == [9, 19, 24]


def test_a_budget_in_steps_goes_through_the_images_pass_by_pass() -> None:
    budget = make_budget(Train(steps=9, eval_every=2, batch_size=10), 30)
    drawn = [b for row in range(1, budget.rows + 1) for b in batches(torch.arange(30), budget, row, 10, 0)]
    for start in (0, 3, 6):
        assert sorted(torch.cat(drawn[start : start + 3]).tolist()) == list(range(30))
