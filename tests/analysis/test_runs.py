"""Warnings about single variants, at their limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ablation.analysis.cautions.runs import _rises, ceilings, states
from ablation.analysis.types import SeedResult
from ablation.results import Results
from tests.analysis.made import ACCURACY, arm, effect, manifest


def accuracies(*found: float | None) -> tuple[SeedResult, ...]:
    return tuple(SeedResult(seed, "finished", own, own, None, 6, 6) for seed, own in enumerate(found))


@pytest.mark.parametrize(
    ("accuracy", "images", "warned"),
    [(0.995, 10_000, True), (0.9949, 10_000, False), (0.9801, 250, True), (0.98, 250, False), (0.9, 40, True)],
)
def test_the_ceiling_is_half_a_per_cent_of_error_or_fewer_than_five_errors(
    accuracy: float, images: int, warned: bool
) -> None:
    runs = pd.DataFrame({"variant": ["a"], "val_images": [images]})
    results = Results(manifest([arm("a", "baseline")]), runs, pd.DataFrame(), {}, {})
    own = effect("a", runs=accuracies(accuracy, None, accuracy))
    assert bool(list(ceilings(results, [own], ACCURACY))) is warned
    assert list(ceilings(results, [effect("a", runs=accuracies(None))], ACCURACY)) == []


@pytest.mark.parametrize(
    ("loss", "best", "rises"),
    [
        ([1.0, 0.9, 0.8], 3, True), ([1.0, 0.9, 0.8], 2, False), ([1.0, 0.9], 2, False),
        ([1.0, 0.5, 0.496], 3, False), ([1.0, 0.5, 0.494], 3, True), ([1.0, 0.4, 0.6], 3, False),
        ([0.9] * 17 + [0.8, 0.792, 0.785], 20, True), ([0.9] * 17 + [0.79, 0.80, 0.789], 20, False),
    ],
)  # fmt: skip
def test_a_run_was_cut_short_where_its_last_loss_is_the_lowest_by_one_per_cent(
    loss: list[float], best: int, rises: bool
) -> None:
    """Against a tenth of the run ago: one epoch of three to nineteen, two of twenty."""
    history = pd.DataFrame({"epoch": np.arange(1, len(loss) + 1), "val_loss": loss})
    assert _rises(history.sample(frac=1, random_state=0), best) is rises


def test_missing_runs_are_counted_and_the_first_six_named() -> None:
    runs = tuple(SeedResult(seed, "missing", None, None, None, 0, None) for seed in range(8))
    done = SeedResult(8, "finished", 0.9, 0.9, None, 6, 6)
    found = [own.message for own in states([effect("b", runs=(done,)), effect("a", runs=(*runs, done))], ACCURACY)]
    (message,) = found
    assert message.startswith("a lacks 8 of 9 seeds: seed 0 has not started; ")
    assert message.endswith("seed 5 has not started and 2 more")
    six = effect("a", runs=(*runs[:6], done))
    assert [own.message[-24:] for own in states([effect("b", runs=(done,)), six], ACCURACY)] == [
        "; seed 5 has not started"
    ]


def test_failed_runs_are_counted_with_their_seeds() -> None:
    lost = SeedResult(3, "diverged", None, None, None, 2, None)
    idle = SeedResult(5, "finished", 0.1, None, None, 6, 6, chance=True)
    own = effect("a", runs=(lost, idle), diverged=1, at_chance=1)
    found = {caution.code: caution.message for caution in states([own], ACCURACY)}
    assert found["diverged"] == "a: 1/2 diverged (seed 3)"
    assert found["at_chance"].startswith("a: 1/2 at chance (seed 5)")
