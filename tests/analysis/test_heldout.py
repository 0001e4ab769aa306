"""Accuracies on the test set, recounted run by run."""

from __future__ import annotations

import pytest

from ablation.analysis.heldout import test_set as held_out
from tests.analysis.made import manifest, results, run, variant

STUDY = manifest([variant("b"), variant("x"), variant("y")])
ROWS = [
    run("b", 0, 0.9, test_accuracy=0.80), run("b", 1, 0.9, test_accuracy=0.84), run("b", 2, 0.9),
    run("x", 0, 0.9, test_accuracy=0.90), run("x", 1, 0.9, "diverged", test_accuracy=0.1),
    run("x", 2, 0.9, test_accuracy=0.70), run("y", 0, status="missing"),
]  # fmt: skip


def test_nothing_is_known_before_the_test_set_was_evaluated() -> None:
    assert held_out(results(STUDY, ROWS)) is None


def test_each_variant_has_the_mean_of_its_runs_and_its_difference_over_common_seeds() -> None:
    opened = ({"time": "2026-04-02", "images": 10}, {"time": "2026-04-01", "images": 20})
    found = held_out(results(STUDY, ROWS, test_evaluations=opened))
    assert found is not None
    assert (found.images, found.times) == (20, ("2026-04-01", "2026-04-02"))
    base, x, y = found.rows
    assert (base.variant, base.n, base.difference, base.pairs) == ("b", 2, None, 0)
    assert (base.mean, base.sd) == (pytest.approx(0.82), pytest.approx(0.04 / 2**0.5))
    assert (x.variant, x.n, x.pairs) == ("x", 2, 1)
    assert (x.mean, x.sd, x.difference) == tuple(pytest.approx(v) for v in (0.8, 0.2 / 2**0.5, 0.1))
    assert (y.n, y.mean, y.sd, y.difference, y.pairs) == (0, None, None, None, 0)


def test_one_run_has_no_standard_deviation() -> None:
    found = held_out(results(STUDY, ROWS[:1], test_evaluations=({"time": "", "images": 10},)))
    assert found is not None
    assert (found.rows[0].n, found.rows[0].mean, found.rows[0].sd) == (1, 0.8, None)
