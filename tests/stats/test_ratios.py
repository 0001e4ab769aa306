"""What past estimates say about the next one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ablation.stats import correction
from ablation.stats.ratios import COVERAGE, PRIOR_SD


def test_without_any_past_the_estimate_stands_and_its_range_is_the_guess() -> None:
    found = correction([])
    assert found.factor == 1
    assert found.high == pytest.approx(math.exp(1.885618 * PRIOR_SD * math.sqrt(2)), rel=1e-6)  # t of 2 df, .90
    assert found.low * found.high == pytest.approx(1)


def test_the_factor_is_the_posterior_mean() -> None:
    assert correction([2.0]).factor == pytest.approx(2 ** (1 / 2))
    assert correction([1.2, 1.2, 1.2]).factor == pytest.approx(1.2 ** (3 / 4))


def test_a_range_of_three_ratios_by_hand() -> None:
    logs = [0.1, 0.2, 0.3]
    centre = 0.6 / 4
    squares = 0.02 + 0.04 * 3 / 4
    spread = math.sqrt((2 * PRIOR_SD**2 + squares) / 5 * (1 + 1 / 4))
    found = correction([math.exp(log) for log in logs])
    assert math.log(found.factor) == pytest.approx(centre)
    assert math.log(found.high) - centre == pytest.approx(1.475884 * spread, rel=1e-6)  # t of 5 df, .90
    assert centre - math.log(found.low) == pytest.approx(1.475884 * spread, rel=1e-6)


def test_many_equal_ratios_are_believed() -> None:
    found = correction([1.3] * 200)
    assert found.factor == pytest.approx(1.3, rel=0.01)
    assert 1.2 < found.low < found.high < 1.4


@pytest.mark.parametrize("known", [1, 3, 10])
def test_the_range_holds_about_as_many_of_the_next_ratios_as_it_says(known: int) -> None:
    """Machines whose estimates are off by some factor of their own, and by 15 % from command to command."""
    draw = np.random.default_rng(5)
    logs = draw.normal(0, 0.15, (2000, 1)) + draw.normal(0, 0.15, (2000, known + 1))
    hits = 0
    for *past, following in np.exp(logs):
        found = correction(past)
        hits += found.low <= following <= found.high
    assert COVERAGE - 0.03 < hits / len(logs) < COVERAGE + 0.1  # wider than need be while few are known


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.inf, math.nan])
def test_what_is_no_ratio_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        correction([1.0, ratio])
