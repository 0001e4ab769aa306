"""What the statistics say of each variant, beside what was measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

import ablation.stats as stats
from ablation.analysis import compare
from ablation.analysis.classification.networks import Predicted, with_networks
from tests.analysis.made import effect

NAN = math.nan


def noise(rows: int, seeds: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.9 + 0.01 * rng.normal(size=seeds) + 0.01 * rng.normal(size=(rows, seeds))


def test_the_table_has_a_row_for_each_variant_and_a_gap_for_each_missing_run() -> None:
    found = compare.table(["a", "b"], [3, 5], {("a", 3): 0.1, ("b", 5): 0.2, ("c", 3): 0.9})
    np.testing.assert_array_equal(found, [[0.1, NAN], [NAN, 0.2]])
    assert compare.table(["a", "b", "c"], [], {}).shape == (3, 0)


def test_a_baseline_alone_is_not_compared() -> None:
    assert compare.compare(noise(1, 3), 0.05) is None
    assert repr(compare.compare(noise(2, 3), 0.1)) == repr(stats.compare(noise(2, 3), 0.1))


def test_the_design_states_the_plan_and_what_was_reached() -> None:
    y = noise(6, 5)
    y[5, 2:] = NAN
    found = stats.compare(y, 0.1)
    design = compare.design(found, 5, 5, False)
    residual = math.sqrt(found.pool.mse)
    assert (design.seeds, design.comparisons, design.n, design.k, design.df) == (5, 5, 5, 4, 16)
    assert design.residual_sd == residual
    assert design.critical_value == found.critical_value
    assert design.detectable_sds == stats.smallest_detectable_effect(5, 5, 0.1, 0.8)
    assert design.detectable == pytest.approx(residual * stats.smallest_detectable_effect(5, 4, 0.1, 0.8))


def test_a_design_without_a_test_detects_nothing() -> None:
    one = compare.design(stats.compare(noise(4, 1)), 1, 3, True)
    assert (one.critical_value, one.residual_sd, one.detectable_sds, one.detectable) == (None, None, None, None)
    assert (one.n, one.k, one.df, one.networks, one.baseline_screened) == (1, 0, 0, True, False)
    none = compare.design(None, 3, 0, False)
    assert (none.seeds, none.n, none.k, none.df, none.detectable) == (3, 0, 0, 0, None)
    assert none.baseline_screened is False
    two = compare.design(stats.compare(noise(4, 2)), 2, 3, False)
    assert (two.df, two.detectable_sds, two.detectable) == (3, None, None)
    assert two.residual_sd is not None


@pytest.mark.parametrize("shift", [0.0, 0.05])
def test_the_sign_flip_check_agrees_where_it_comes_to_the_same(shift: float) -> None:
    y = noise(4, 10)
    y[1] += shift
    found = stats.compare(y)
    own = compare.with_claims([effect(name) for name in "bxyz"], found, math.inf)[1]
    assert own.flips_agree is True
    assert (own.p is not None and own.p <= 0.05) is bool(shift)
    assert own.sign_flip_p is not None
    assert (own.sign_flip_p <= 0.05) is bool(shift)


def test_claims_are_those_of_the_statistics_in_the_order_of_the_variants() -> None:
    y = noise(4, 3)
    found = stats.compare(y)
    baseline, *rest = compare.with_claims([effect(name) for name in "bxyz"], found, math.inf)
    assert (baseline.p, baseline.method) == (None, None)
    for own, its in zip(rest, found.effects, strict=True):
        assert (own.difference, own.low, own.high, own.p, own.pairs) == (its.difference, its.low, its.high, its.p, 3)
        assert (own.method, own.reason, own.paired_p) == ("blocked Dunnett", None, its.paired_p)
        assert (own.sign_flip_p, own.flips_agree) == (None, None)


def test_no_interval_leaves_the_range_of_the_metric() -> None:
    found = stats.compare(noise(2, 3))
    low, high = found.effects[0].low, found.effects[0].high
    for farthest, clipped in [
        (1.1 * max(-low, high), False),
        (0.9 * min(-low, high), True),
        (0.99 * max(-low, high), True),
    ]:
        own = compare.with_claims([effect("b"), effect("x")], found, farthest)[1]
        assert (own.low, own.high, own.clipped) == (max(low, -farthest), min(high, farthest), clipped)


def test_a_variant_identical_to_the_baseline_is_not_tested_and_the_others_keep_their_order() -> None:
    found = stats.compare(noise(3, 3))
    effects = [effect("b"), effect("same", identical=True), effect("x"), effect("y")]
    _, same, *rest = compare.with_claims(effects, found, math.inf)
    assert (same.p, same.method, same.clipped, same.screened, same.incomplete) == (None, None, False, False, False)
    assert [own.p for own in rest] == [its.p for its in found.effects]


def test_a_variant_without_a_test_has_a_reason_and_no_numbers() -> None:
    y = noise(3, 2)
    own = compare.with_claims([effect(name) for name in "bxy"], stats.compare(y), math.inf)[1]
    assert (own.method, own.low, own.p) == (None, None, None)
    assert own.reason == "two seeds and fewer than four residual degrees of freedom"
    assert own.difference == pytest.approx((y[1] - y[0]).mean())


def predicted(correct: list[int], shift: int = 0) -> Predicted:
    right = np.array(correct)
    return Predicted(np.arange(len(right)) + shift, np.zeros(len(right)), 1.0 - right)


def test_one_seed_compares_two_networks_by_mcnemar_and_the_family_by_holm() -> None:
    first, second, third = [1] * 30 + [0] * 10, [1] * 20 + [0] * 20, [1] * 22 + [0] * 18
    known = {("b", 7): predicted(first), ("x", 7): predicted(second), ("y", 7): predicted(third)}
    effects = [effect("b"), effect("x", {7: 0.1}), effect("y", {7: 0.1}), effect("z", {7: 0.1}), effect("w")]
    found = [own.networks_p for own in with_networks(effects, known)]
    p = [stats.mcnemar_counts(10, 0).p, stats.mcnemar_counts(8, 0).p]
    assert found == [None, pytest.approx(2 * p[0]), pytest.approx(p[1]), None, None]


def test_networks_that_saw_other_images_are_not_compared() -> None:
    known = {("b", 0): predicted([1, 1, 0]), ("x", 0): predicted([1, 0, 0], shift=1)}
    assert [own.networks_p for own in with_networks([effect("b"), effect("x", {0: 0.1})], known)] == [None] * 2
    other = Predicted(np.arange(3), np.ones(3), np.ones(3))
    assert not predicted([1, 1, 0]).same_images(other)
    assert predicted([1, 1, 0]).correct.tolist() == [True, True, False]
