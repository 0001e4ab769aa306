"""What a comparison returns."""

import math

import pytest

from ablation.stats.effects import Effect, Group, Method, describe

TESTED = Effect(3, 1.0, 0.1, 3, 0.5, 0.1, 0.9, 5.0, 0.05, Method.DUNNETT, None, False, False, 0.1, math.nan)


def test_a_p_value_of_just_alpha_is_a_detection() -> None:
    assert TESTED.detected(0.05)
    assert not TESTED.detected(0.0499)
    assert TESTED.estimable


def test_a_group_is_described_by_its_finite_values() -> None:
    group = describe([2.0, math.nan, 4.0, math.inf, 9.0])
    assert (group.n, group.mean, group.sd) == (3, 5.0, pytest.approx(math.sqrt(13)))
    assert describe([1.0, 2.0]) == Group(2, 1.5, pytest.approx(math.sqrt(0.5)))


def test_one_value_has_no_spread_and_none_has_no_mean() -> None:
    one, none = describe([7.0, math.nan]), describe([math.nan])
    assert (one.n, one.mean, none.n) == (1, 7.0, 0)
    assert math.isnan(one.sd)
    assert math.isnan(none.mean)
    assert math.isnan(none.sd)
