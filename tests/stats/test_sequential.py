"""What is decided at the looks of a sequential study, on tables whose outcome is known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ablation.stats import (
    Decision,
    SeedTable,
    SequentialDesign,
    at_some_look,
    bias_adjusted,
    compare,
    dunnett,
    expected_runs,
    replay,
)
from ablation.stats.adjusted import expected_difference, going_on
from ablation.stats.sequential import boundaries, futility_bounds, last_width

LOOKS = (3, 5, 8, 12)
OBF = SequentialDesign(LOOKS)
POCOCK = SequentialDesign(LOOKS, spending="pocock")


def table(effects: tuple[float, ...], seed: int = 0, seeds: int = 12) -> np.ndarray:
    """Runs of SD 1 beside what a seed shares, plus the effects of the variants."""
    rng = np.random.default_rng([seed, len(effects)])
    y = rng.normal(size=seeds) + rng.normal(size=(len(effects) + 1, seeds))
    y[1:] += np.array(effects)[:, None]
    return y


def decided(y: np.ndarray, design: SequentialDesign) -> list[tuple[Decision | None, int]]:
    """The decision on each variant, and the look it came to."""
    found = replay(SeedTable.complete(y), design)
    looks = [found.last_look(i) for i in range(len(y) - 1)]
    return [(found.decision(i), look.number if look else 0) for i, look in enumerate(looks)]


@pytest.mark.parametrize(
    ("spending", "spent"),
    [
        ("obrien_fleming", (8.857e-5, 0.005575, 0.02362, 0.05)),  # 2 - 2 Phi(1.96 / sqrt t)
        ("pocock", (0.017869, 0.031006, 0.041399, 0.05)),  # .05 ln(1 + (e - 1) t)
    ],
)
def test_the_levels_are_those_of_lan_and_demets(spending: str, spent: tuple[float, ...]) -> None:
    design = SequentialDesign((3, 6, 9, 12), spending=spending)  # type: ignore[arg-type]
    assert np.cumsum(design.shares) == pytest.approx(spent, rel=1e-3)
    assert sum(design.shares) == pytest.approx(0.05, rel=1e-12)


def test_every_look_has_a_level_however_early_it_is() -> None:
    shares = SequentialDesign((2, 3, 100_000)).shares
    assert min(shares) > 0
    assert sum(shares) == pytest.approx(0.05, rel=1e-12)


@pytest.mark.parametrize(
    ("looks", "alpha"), [((5,), 0.05), ((1, 5), 0.05), ((5, 5), 0.05), ((5, 3), 0.05), ((3, 5), 0.0), ((3, 5), 1.0)]
)
def test_a_design_that_cannot_be_is_refused(looks: tuple[int, ...], alpha: float) -> None:
    with pytest.raises(ValueError):
        SequentialDesign(looks, alpha)


def test_a_table_without_the_seeds_of_the_last_look_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 12 seeds"):
        replay(SeedTable.complete(table((0.0,), seeds=11)), OBF)


def test_large_effects_stop_at_the_first_look_and_null_variants_go_to_the_last() -> None:
    y = table((12.0, 0.0, -12.0, 0.1))
    found = replay(SeedTable.complete(y), POCOCK)
    assert [found.decision(i) for i in range(4)] == [Decision.DETECTED, None, Decision.DETECTED, None]
    assert found.required.sum(axis=1).tolist() == [12, 3, 12, 3, 12]
    assert [look.variants for look in found.looks] == [(0, 1, 2, 3), (1, 3), (1, 3), (1, 3)]
    assert (found.go_on, found.next_look) == ((), None)


def test_every_look_tests_the_whole_family_on_the_error_of_those_under_way() -> None:
    y = table((12.0, 0.0, -12.0, 0.1))
    second = replay(SeedTable.complete(y), POCOCK).looks[1]
    assert second.comparison is not None
    assert (second.comparison.k, second.comparison.pool.df) == (4, 2 * 4)
    assert second.comparison.critical_value == dunnett.critical_value(POCOCK.shares[1], 4, 8)
    alone = compare(y[[0, 2, 4], :5], POCOCK.shares[1], absent=2)
    assert [own.p for own in alone.effects] == [second.effects[i].p for i in (1, 3)]


@pytest.mark.parametrize("method", ["bonferroni", "holm"])
def test_comparisons_that_are_not_in_the_table_count(method: str) -> None:
    y = table((6.0, *[0.0] * 7), seeds=6)
    if method == "bonferroni":
        y[1, 0] = math.nan  # a variant of its own
    else:
        y[1] += 300
        y[0] *= 20  # the baseline is an outlier, and nothing is pooled
    few, many = compare(y), compare(y, absent=4)
    assert few.effects[0].method == f"paired t, {method.title()}"
    assert many.effects[0].p == pytest.approx(few.effects[0].p * 12 / 8, rel=1e-9)
    assert many.effects[0].p < 1
    assert many.effects[0].high - many.effects[0].low > few.effects[0].high - few.effects[0].low


def test_without_checks_only_what_no_decision_rests_on_is_left_out() -> None:
    y = table((1.0, 2.0), seeds=12)
    whole, bare = compare(y).effects, compare(y, checks=False).effects
    assert all(math.isnan(own.paired_p) and math.isnan(own.sign_flip_p) for own in bare)
    assert [(own.p, own.low, own.high) for own in bare] == [(own.p, own.low, own.high) for own in whole]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("futility", ["none", "conditional_power"])
def test_a_study_that_is_run_look_by_look_decides_as_one_that_is_known_whole(seed: int, futility: str) -> None:
    """Only required runs are there at any time, and what is decided stays so."""
    design = SequentialDesign(LOOKS, spending="pocock", futility=futility, margin=2.5)  # type: ignore[arg-type]
    whole = SeedTable.complete(table((0.0, 3.0, -4.0, 0.5, 6.0), seed))
    ended = np.zeros(whole.values.shape, dtype=bool)
    before: dict[int, Decision] = {}
    for _ in range(len(LOOKS) + 1):
        found = replay(replace(whole, values=np.where(ended, whole.values, np.nan), ended=ended), design)
        assert {i: found.decision(i) for i in before} == before
        before = {i: own for i in range(5) if (own := found.decision(i))}
        if not found.go_on:
            break
        ended = ended | found.required
    assert not found.go_on
    expected = replay(whole, design)
    assert np.array_equal(found.required, expected.required)
    assert np.array_equal(ended, expected.required)
    assert [found.decision(i) for i in range(5)] == [expected.decision(i) for i in range(5)]
    assert [found.path(i) for i in range(5)] == [expected.path(i) for i in range(5)]


def test_runs_that_no_look_requires_change_nothing() -> None:
    y = table((12.0, 0.0, -4.0))
    found = replay(SeedTable.complete(y), POCOCK)
    other = np.where(found.required, y, 1e6)
    again = replay(SeedTable.complete(other), POCOCK)
    assert [again.path(i) for i in range(3)] == [found.path(i) for i in range(3)]
    assert np.array_equal(again.required, found.required)


def test_a_look_waits_for_every_run_that_it_requires() -> None:
    whole = SeedTable.complete(table((0.0, 12.0)))
    ended = whole.ended.copy()
    ended[0, 4] = False
    found = replay(replace(whole, ended=ended), POCOCK)
    assert (len(found.looks), found.go_on, found.next_look) == (1, (0,), 5)
    assert found.required[2].sum() == 3
    ended = whole.ended.copy()
    ended[2, 7] = False  # the variant was decided before
    assert len(replay(replace(whole, ended=ended), POCOCK).looks) == 4
    nothing = replay(replace(whole, ended=np.zeros_like(ended)), POCOCK)
    assert (nothing.looks, nothing.next_look, nothing.required.sum()) == ((), 3, 9)
    assert (nothing.last_look(0), nothing.effect(0), nothing.path(0)) == (None, None, ())


def test_a_variant_with_a_failed_run_is_stopped_and_one_without_a_value_is_not() -> None:
    y = table((0.0, 0.0, 0.0))
    y[1, 1] = y[2, 1] = math.nan
    whole = SeedTable.complete(y)
    failed = whole.failed.copy()
    failed[2] = False  # given up
    found = replay(replace(whole, failed=failed), OBF)
    assert [found.decision(i) for i in range(3)] == [Decision.UNSTABLE, None, None]
    assert found.required.sum(axis=1).tolist() == [12, 3, 12, 12]


def test_an_identical_variant_is_decided_at_the_first_look_and_is_not_pooled() -> None:
    y = table((0.0, 0.0))
    y[1] = y[0]
    whole = SeedTable.complete(y)
    same = np.zeros_like(whole.identical)
    same[1] = True
    found = replay(replace(whole, identical=same), OBF)
    assert (found.decision(0), found.effect(0), found.path(0)) == (Decision.IDENTICAL, None, ())
    assert found.looks[0].comparison is not None
    assert (found.looks[0].comparison.k, found.looks[0].comparison.pool.df) == (2, 2)
    same[1, 2] = False  # another training under one seed
    assert replay(replace(whole, identical=same), OBF).decision(0) is None
    same[1:] = True
    every = replay(replace(whole, values=np.tile(y[0], (3, 1)), identical=same), OBF)
    assert (len(every.looks), every.go_on, every.looks[0].comparison) == (1, (), None)


def test_a_control_goes_on_as_long_as_others_and_is_not_decided_by_the_margin() -> None:
    design = replace(POCOCK, margin=50.0)
    y = table((0.0, 0.0))
    whole = replace(SeedTable.complete(y), controls=(False, True))
    found = replay(whole, design)
    assert [found.decision(i) for i in range(2)] == [Decision.EQUIVALENT, None]
    assert found.required.sum(axis=1).tolist() == [3, 3, 3]
    long = replay(whole, POCOCK)
    assert long.required.sum(axis=1).tolist() == [12, 12, 12]
    moved = replay(replace(whole, values=y + np.array([[0.0], [0.0], [12.0]])), POCOCK)
    assert (moved.decision(1), moved.required[2].sum()) == (Decision.DETECTED, 3)
    alone = replay(replace(whole, controls=(True, True)), design)
    assert [alone.decision(i) for i in range(2)] == [Decision.EQUIVALENT] * 2


def test_a_variant_is_equivalent_when_its_whole_interval_is_inside_the_margin() -> None:
    y = table((0.0, 0.0), seed=3)
    (point, *_) = replay(SeedTable.complete(y), POCOCK).path(0)
    reach = max(-point.low, point.high)
    assert point.boundary == pytest.approx((point.high - point.low) / 2)
    assert decided(y, replace(POCOCK, margin=1.001 * reach))[0] == (Decision.EQUIVALENT, 1)
    assert decided(y, replace(POCOCK, margin=0.999 * reach))[0] != (Decision.EQUIVALENT, 1)


def test_an_outlier_in_spread_is_not_decided() -> None:
    y = table((0.0,) * 6, seeds=12)
    y[1] = y[0] + 60 + 20 * (y[1] - y[0])
    found = replay(SeedTable.complete(y), POCOCK)
    assert found.looks[0].effects[0].screened
    assert found.decision(0) is None
    assert found.required[1].sum() == 12


def test_futility_stops_what_the_last_look_would_hardly_detect() -> None:
    design = replace(OBF, futility="conditional_power")
    bounds = futility_bounds(design, 8)
    assert bounds[0] == bounds[-1] == 0
    assert bounds[1] <= bounds[2]
    assert 0 < bounds[2] < boundaries(design, 8)[2]
    y = table((0.0,) * 8)
    found = replay(SeedTable.complete(y), design)
    for i in range(8):
        look = found.last_look(i)
        assert look is not None
        if found.decision(i) is Decision.FUTILE:
            assert abs(look.effects[i].t) < bounds[look.number - 1]
    futile = [found.decision(i) is Decision.FUTILE for i in range(8)]
    assert any(futile)
    assert not any(own is Decision.FUTILE for own, _ in decided(y, OBF))


def test_the_conditional_power_at_the_bound_is_the_limit() -> None:
    """From the definition: the last statistic, given the one at the bound, under the planned drift."""
    design, family = replace(OBF, futility="conditional_power"), 8
    rng = np.random.default_rng(1)
    critical, n, seeds = boundaries(design, family)[-1], LOOKS[-1], LOOKS[2]
    from ablation.stats.power import smallest_detectable_effect

    effect = smallest_detectable_effect(n, family, design.shares[-1]) / math.sqrt(2)  # SDs of a difference
    now = futility_bounds(design, family)[2] * math.sqrt(seeds)
    later = now + (n - seeds) * effect + math.sqrt(n - seeds) * rng.normal(size=200_000)
    assert np.mean(later / math.sqrt(n) > critical) == pytest.approx(0.2, abs=0.005)


def test_with_a_margin_nothing_is_futile_that_may_yet_be_equivalent() -> None:
    y = table((0.0,) * 8)
    futile = replace(OBF, futility="conditional_power")
    stopped = [i for i, own in enumerate(decided(y, futile)) if own[0] is Decision.FUTILE]
    wide = decided(y, replace(futile, margin=3.0))
    assert all(wide[i][0] is not Decision.FUTILE for i in stopped)
    narrow = decided(y, replace(futile, margin=0.01))
    assert narrow == decided(y, futile)
    assert last_width(OBF, 8)[-1] == 1
    assert all(own < 1 for own in last_width(OBF, 8)[:-1])


def test_p_values_are_at_most_alpha_exactly_where_a_look_detects() -> None:
    for seed in range(20):
        y = table((0.0, 2.0, 3.0, -5.0), seed)
        found = replay(SeedTable.complete(y), POCOCK)
        for i in range(4):
            own = found.effect(i)
            assert own is not None
            assert (own.p <= 0.05) == (found.decision(i) is Decision.DETECTED)
            assert (own.low > 0 or own.high < 0) == (own.p <= 0.05)
            assert own.pairs == found.last_look(i).seeds  # type: ignore[union-attr]


def test_a_sign_flip_check_is_left_out_where_it_cannot_reach_the_level() -> None:
    early = SequentialDesign((10, 100))
    y = table((0.0, 0.0), seeds=100)
    first = replay(replace(SeedTable.complete(y), ended=np.arange(100) < 10 * np.ones((3, 1))), early)
    assert math.isnan(first.effect(0).sign_flip_p)  # type: ignore[union-attr]
    assert replay(SeedTable.complete(y), early).effect(0).sign_flip_p <= 1  # type: ignore[union-attr]


def test_what_no_level_is_spent_on_is_divided_by_the_looks() -> None:
    y = table((1.0, 2.0), seeds=8)
    found, plain = at_some_look(y, 0.05, 4), compare(y, 0.0125)
    for own, same in zip(found.effects, plain.effects, strict=True):
        assert (own.low, own.high, own.p) == (same.low, same.high, min(1.0, 4 * same.p))
    assert found.alpha == 0.05


def test_the_expected_difference_is_that_of_simulated_paths() -> None:
    """Sums of normal differences that stop outside of the regions, drawn directly."""
    rng = np.random.default_rng(5)
    for design, margin in ((POCOCK, math.inf), (replace(OBF, futility="conditional_power"), 2.0)):
        regions = going_on(design, 8, margin)
        steps = rng.normal(size=(100_000, 12))
        for theta in (0.0, 0.7, 2.0):
            sums = np.cumsum(steps + theta, axis=1)
            ended = np.zeros(len(sums))
            open_ = np.ones(len(sums), dtype=bool)
            for seeds, region in zip(LOOKS, regions, strict=True):
                mean = sums[:, seeds - 1] / seeds
                inside = np.any([(low < abs(mean)) & (abs(mean) < high) for low, high in region] or [open_ & False], 0)
                ended[open_ & ~inside] = mean[open_ & ~inside]
                open_ &= inside
            assert not open_.any()
            assert expected_difference(theta, LOOKS, regions) == pytest.approx(ended.mean(), abs=0.01)


def test_an_early_stop_is_adjusted_towards_zero_and_an_overwhelming_one_is_not() -> None:
    y = table((4.5, 0.0, 40.0, 0.0), seed=2)
    found = replay(SeedTable.complete(y), POCOCK)
    first, null, huge, _ = (found.effect(i) for i in range(4))
    assert first is not None
    assert null is not None
    assert huge is not None
    adjusted = bias_adjusted(first, POCOCK, 4)
    assert 0 < adjusted < first.difference
    assert bias_adjusted(replace(first, difference=-first.difference, t=-first.t), POCOCK, 4) == -adjusted
    assert bias_adjusted(huge, POCOCK, 4) == pytest.approx(huge.difference, rel=1e-3)
    assert abs(bias_adjusted(null, POCOCK, 4)) < 1.5 * abs(null.difference) + 0.1
    assert bias_adjusted(replace(null, difference=0.0, t=0.0), POCOCK, 4) == 0


def test_what_was_not_tested_has_no_adjusted_estimate() -> None:
    y = np.ones((3, 12))
    found = replay(SeedTable.complete(y), POCOCK)
    own = found.effect(0)
    assert own is not None
    assert not own.estimable
    assert math.isnan(bias_adjusted(own, POCOCK, 2))


def test_the_expected_runs_fall_with_the_effect_and_are_the_same_each_time() -> None:
    none, some, huge = (expected_runs(POCOCK, 4, effect) for effect in (0.0, 3.0, 30.0))
    assert 55 < none <= 60
    assert huge == pytest.approx(15, abs=0.5)  # an outlier in spread goes on
    assert huge < some < none
    assert expected_runs(POCOCK, 4, 3.0) == some
    assert expected_runs(replace(POCOCK, futility="conditional_power"), 4, 0.0) < none
