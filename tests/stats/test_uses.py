"""The error of a test that is used again and again."""

from __future__ import annotations

import math
from itertools import accumulate

import pytest

from ablation.stats import level_of_use


def test_the_levels_of_any_number_of_uses_sum_to_less_than_alpha() -> None:
    spent = list(accumulate(level_of_use(0.05, use) for use in range(1, 10_001)))
    assert spent[-1] < 0.05
    for use in (1, 10, 100, 10_000):
        assert spent[use - 1] == pytest.approx(0.05 * (1 - 1 / math.sqrt(use + 1)), rel=1e-9)


def test_the_level_falls_and_stays_exact_at_any_use() -> None:
    levels = [level_of_use(0.05, use) for use in (1, 2, 10, 100, 10**6, 10**12)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == pytest.approx(0.05 * (1 - 0.5**0.5))
    assert levels[-1] == pytest.approx(0.05 / (2 * 10**18), rel=1e-9)


def test_declared_uses_share_alpha_equally() -> None:
    assert [level_of_use(0.05, use, 4) for use in range(1, 5)] == [0.0125] * 4


@pytest.mark.parametrize(("alpha", "use", "uses"), [(0.05, 0, None), (0.05, 5, 4), (0.0, 1, None), (1.0, 1, 1)])
def test_what_is_no_use_has_no_level(alpha: float, use: int, uses: int | None) -> None:
    with pytest.raises(ValueError):
        level_of_use(alpha, use, uses)
