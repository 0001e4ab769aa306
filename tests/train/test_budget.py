"""How long a run is, and what its steps see."""

from __future__ import annotations

import pytest
import torch

from ablation.study.schema import Train
from ablation.training.budget import batches, make_budget


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


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 1.0])
def test_with_steps_held_less_data_trains_as_many_steps_and_is_evaluated_as_often(fraction: float) -> None:
    """The schedule counts the epochs of the full data, so that it lies over the same steps too."""
    train = Train(epochs=3, batch_size=10, hold="steps")
    full, part = make_budget(train, 1000, 1000), make_budget(train, int(1000 * fraction), 1000)
    assert (part.total, part.every, part.rows, part.per_epoch) == (full.total, full.every, full.rows, full.per_epoch)
    assert part.per_pass == 100 * fraction


def test_with_epochs_held_less_data_trains_fewer_steps() -> None:
    budget = make_budget(Train(epochs=3, batch_size=10), 100, 1000)
    assert (budget.total, budget.every, budget.per_epoch) == (30, 10, 10)


def test_with_steps_held_the_passes_through_the_part_follow_each_other() -> None:
    train = Train(epochs=2, batch_size=10, hold="steps")
    budget = make_budget(train, 30, 80)
    drawn = [b for row in range(1, budget.rows + 1) for b in batches(torch.arange(30), budget, row, 10, 0)]
    assert len(drawn) == 16
    for start in range(0, 15, 3):
        assert sorted(torch.cat(drawn[start : start + 3]).tolist()) == list(range(30))


def test_a_budget_in_steps_with_steps_held_is_evaluated_as_often_as_with_all_data() -> None:
    train = Train(steps=40, batch_size=10, hold="steps")
    assert make_budget(train, 30, 80).every == make_budget(train, 80, 80).every == 8
