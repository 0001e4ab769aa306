"""In which order runs are handed out, and how busy that keeps the workers."""

from __future__ import annotations

import heapq
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablation.execution.scheduling import order_runs
from ablation.execution.study import plan_study
from ablation.planning.run import Run
from ablation.study.load import load_study

from .conftest import ROOT


def runs(lengths: list[list[int]]) -> tuple[list[Run], dict[str, float]]:
    """Runs of as many seeds as there are lists, with these costs."""
    some = plan_study(load_study(ROOT / "studies" / "smoke.yaml")).runs[0]
    places = [(seed, variant) for seed, variants in enumerate(lengths) for variant in range(len(variants))]
    made = [replace(some, block=seed, variant=str(variant), key=f"{seed} {variant}") for seed, variant in places]
    return made, {f"{seed} {variant}": lengths[seed][variant] for seed, variant in places}


def end(ordered: list[Run], costs: dict[str, float], workers: int) -> float:
    """When the last of them is done, if each worker takes the next one as soon as it is free."""
    free = [0.0] * workers
    for run in ordered:
        heapq.heapreplace(free, free[0] + costs[run.key])
    return max(free)


def test_seed_by_seed_and_the_longest_first() -> None:
    made, costs = runs([[1, 3, 2], [1, 3, 2]])
    assert [run.key for run in order_runs(made, costs, 1)] == ["0 1", "0 2", "0 0", "1 1", "1 2", "1 0"]


def test_a_long_run_of_a_later_seed_does_not_come_last() -> None:
    made, costs = runs([[100, *[10] * 5]] * 3)
    assert end(order_runs(made, costs, 2), costs, 2) == 230
    by_seed = sorted(made, key=lambda run: (run.block, -costs[run.key]))
    assert end(by_seed, costs, 2) == 250


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 5])
@given(lengths=st.lists(st.lists(st.integers(1, 100), min_size=1, max_size=6), min_size=1, max_size=4))
def test_all_runs_once_and_no_worker_waits_longer_than_a_run(workers: int, lengths: list[list[int]]) -> None:
    made, costs = runs(lengths)
    ordered = order_runs(made, costs, workers)
    assert sorted(run.key for run in ordered) == sorted(run.key for run in made)
    least = max(sum(costs.values()) / workers, max(costs.values()))
    assert end(ordered, costs, workers) <= 2 * least
