"""What the report says of the test set."""

from __future__ import annotations

import statistics

import pandas as pd
import pytest

from ablation.analysis.heldout import test_set as summary
from ablation.analysis.types import HeldOut
from ablation.results.runs import Results
from tests.analysis.made import manifest, variant

OPENINGS = ({"time": "2026-02-01", "images": 10}, {"time": "2026-01-01", "images": 60})
ACCURACIES: dict[tuple[str, int], float | None] = {
    ("base", 0): 0.9, ("base", 1): 0.8, ("base", 2): None,
    ("a", 0): 0.95, ("a", 1): 0.86, ("a", 2): 0.7,
    ("b", 0): None, ("b", 1): 0.8, ("b", 2): None,
}  # fmt: skip


def results(test_evaluations: tuple[dict[str, object], ...] = OPENINGS, status: str = "finished") -> Results:
    own = manifest([variant("base", "baseline"), variant("a"), variant("b"), variant("c")])
    rows = [
        {"variant": v, "seed": s, "status": status, "val_accuracy": 0.5, "test_accuracy": value}
        for (v, s), value in ACCURACIES.items()
    ]
    return Results(own, pd.DataFrame(rows), pd.DataFrame(), {}, {}, test_evaluations)


def test_a_study_that_was_not_evaluated_has_no_test_set() -> None:
    assert summary(results(())) is None


def test_each_variant_is_described_over_its_runs_and_the_seeds_that_it_shares_with_the_baseline() -> None:
    found = summary(results())
    assert found is not None
    assert (found.images, found.times) == (60, ("2026-01-01", "2026-02-01"))
    base, a, b, c = found.rows
    assert base == HeldOut("base", 2, pytest.approx(0.85), pytest.approx(statistics.stdev([0.9, 0.8])), None, 0)
    spread = statistics.stdev([0.95, 0.86, 0.7])
    assert a == HeldOut("a", 3, pytest.approx(2.51 / 3), pytest.approx(spread), pytest.approx(0.055), 2)
    assert b == HeldOut("b", 1, 0.8, None, pytest.approx(0.0), 1)
    assert c == HeldOut("c", 0, None, None, None, 0)


def test_runs_that_did_not_succeed_are_left_out() -> None:
    found = summary(results(status="diverged"))
    assert found is not None
    assert [row.n for row in found.rows] == [0, 0, 0, 0]
