"""The guarded blocked Dunnett comparison."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from ablation.stats.blocked import compare, own_factor
from ablation.stats.dunnett import critical_value, p_value
from ablation.stats.effects import Comparison, Method, Reason
from ablation.stats.paired import holm, paired_t, sign_flip_max_t, t_critical

REFERENCE = [[91.8, 92.1, 91.5], [92.4, 92.9, 92.2], [90.9, 91.0, 90.3], [91.9, 92.0, 91.6]]
NAN = math.nan


def noise(rows: int, seeds: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 90 + rng.normal(size=seeds) + rng.normal(size=(rows, seeds))


def column(result: Comparison, name: str) -> np.ndarray:
    return np.array([getattr(effect, name) for effect in result.effects])


def test_the_reference_case_to_its_digits() -> None:
    result = compare(REFERENCE, guard=False)
    assert result.pool.mse == pytest.approx(0.014444, abs=5e-7)
    assert (result.pool.df, result.k) == (6, 3)
    np.testing.assert_allclose(column(result, "t"), [7.133, -10.870, 0.340], atol=5e-4)
    assert column(result, "p").tolist() == [
        pytest.approx(0.00096, abs=5e-6),
        pytest.approx(0.000091, abs=5e-7),
        pytest.approx(0.97216, abs=5e-6),
    ]
    np.testing.assert_allclose((column(result, "high") - column(result, "low")) / 2, 0.3041, atol=5e-5)
    assert {effect.method for effect in result.effects} == {Method.DUNNETT}


def test_rows_are_described_by_their_own_runs() -> None:
    result = compare(REFERENCE)
    assert (result.baseline.n, result.baseline.mean) == (3, pytest.approx(91.8))
    assert result.effects[0].sd == pytest.approx(np.std(REFERENCE[1], ddof=1))
    np.testing.assert_allclose(column(result, "difference"), [0.7, -1.0666667, 0.0333333], atol=1e-6)


@pytest.mark.parametrize("guard", [True, False])
def test_one_variant_is_the_paired_t_test(guard: bool) -> None:
    y = noise(2, 6)
    effect = compare(y, guard=guard).effects[0]
    expected = stats.ttest_rel(y[1], y[0])
    interval = expected.confidence_interval()
    assert (effect.t, effect.p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert (effect.low, effect.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_the_guard_only_widens_and_never_under_the_variants_own_error() -> None:
    y = noise(9, 5)
    guarded, bare = compare(y), compare(y, guard=False)
    widths = [column(r, "high") - column(r, "low") for r in (guarded, bare)]
    assert np.all(widths[0] >= widths[1])
    own = (y[1:] - y[0]).std(axis=1, ddof=1) / 5**0.5
    assert np.all(widths[0] / 2 / guarded.critical_value >= own * (1 - 1e-12))


@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_interval_and_p_agree_on_detection(seeds: int) -> None:
    for seed in range(20):
        y = noise(9, seeds, seed)
        y[1:] += np.linspace(-6, 6, 8)[:, None]
        result = compare(y)
        covers = (column(result, "low") <= 0) & (column(result, "high") >= 0)
        np.testing.assert_array_equal(covers, [not effect.detected(0.05) for effect in result.effects])


def test_a_baseline_that_varies_more_than_the_variants_widens_every_interval() -> None:
    """A spread that the screen lets pass: the pooled error is mostly that of the quiet variants."""
    y = noise(9, 3)
    y[0] = y.mean(axis=0) + np.array([-2.5, 0.5, 2.0])
    result = compare(y)
    assert not result.baseline_screened
    own = t_critical(0.05 / own_factor(3, 8), 2) * math.sqrt(result.pool.own[0] / 3)
    assert np.all((column(result, "high") - column(result, "low")) / 2 >= own * (1 - 1e-12))
    assert np.all(column(result, "p") >= column(compare(y, guard=False), "p"))


def test_a_common_shift_of_a_seed_changes_nothing() -> None:
    y = noise(5, 4)
    moved = y + np.array([0.0, 5.0, -3.0, 11.0])
    np.testing.assert_allclose(column(compare(moved), "p"), column(compare(y), "p"), rtol=1e-9)


def test_a_smaller_alpha_widens_the_intervals_and_leaves_p() -> None:
    strict, usual = compare(noise(4, 4), alpha=0.01), compare(noise(4, 4))
    assert np.all(column(strict, "high") > column(usual, "high"))
    np.testing.assert_array_equal(column(strict, "p"), column(usual, "p"))


def test_a_single_seed_gives_differences_and_no_claim() -> None:
    result = compare([[90.0], [91.0], [89.5]])
    np.testing.assert_array_equal(column(result, "difference"), [1.0, -0.5])
    assert not any(effect.estimable or effect.detected(1.0) for effect in result.effects)
    assert {effect.reason for effect in result.effects} == {Reason.ONE_SEED}
    assert np.isnan(column(result, "p")).all()
    assert result.k == 0


def test_two_seeds_need_four_residual_degrees_of_freedom() -> None:
    few, enough = compare(noise(4, 2)), compare(noise(5, 2))
    assert {effect.reason for effect in few.effects} == {Reason.FEW_DF}
    assert {effect.method for effect in enough.effects} == {Method.DUNNETT}


def test_sensitivity_columns_come_with_three_and_with_ten_seeds() -> None:
    two, three, ten = (compare(noise(6, n)) for n in (2, 3, 10))
    assert np.isnan(column(two, "paired_p")).all()
    assert np.isnan(column(three, "sign_flip_p")).all()
    assert np.isfinite(column(ten, "sign_flip_p")).all()
    y = noise(6, 3)
    np.testing.assert_allclose(column(three, "paired_p"), holm([stats.ttest_rel(v, y[0]).pvalue for v in y[1:]]))


@pytest.mark.parametrize(("rows", "seeds"), [(6, 2), (5, 3), (9, 10)])
def test_every_number_is_that_of_a_recomputation(rows: int, seeds: int) -> None:
    y = noise(rows, seeds, seed=rows)
    y[1] += 9
    result = compare(y, alpha=0.1)
    residual = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean()
    df = (rows - 1) * (seeds - 1)
    mse = (residual**2).sum() / df
    d = y[1:] - y[0]
    error = np.sqrt(np.maximum(2 * mse, d.var(axis=1, ddof=1)) / seeds)
    half = critical_value(0.1, rows - 1, df) * error
    apart = np.array([y[i] - np.delete(y, i, axis=0).mean(axis=0) for i in range(rows)]).var(axis=1, ddof=1)
    own = np.sqrt(np.maximum(apart[1:], apart[0]) / seeds)
    factor = min(rows - 1, max(seeds / 2, seeds - 2))
    half = np.maximum(half, stats.t.isf(0.1 / factor / 2, seeds - 1) * own)
    own_p = np.minimum(1, factor * 2 * stats.t.sf(np.abs(d.mean(axis=1)) / own, seeds - 1))
    expected = {
        **{"mean": y[1:].mean(axis=1), "sd": y[1:].std(axis=1, ddof=1), "difference": d.mean(axis=1)},
        **{"low": d.mean(axis=1) - half, "high": d.mean(axis=1) + half, "t": d.mean(axis=1) / error},
        "p": np.maximum(p_value(d.mean(axis=1) / error, rows - 1, df), own_p),
        "paired_p": holm(stats.ttest_1samp(d, 0, axis=1).pvalue) if seeds > 2 else np.full(rows - 1, NAN),
        "sign_flip_p": sign_flip_max_t(d) if seeds > 9 else np.full(rows - 1, NAN),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(column(result, name), values, rtol=1e-10, err_msg=name)
    assert (result.alpha, result.k, result.critical_value) == (0.1, rows - 1, critical_value(0.1, rows - 1, df))
    assert (result.pool.mse, result.pool.df, result.pool.n) == (pytest.approx(mse), df, seeds)
    assert {(e.n, e.pairs, e.reason, e.screened, e.incomplete) for e in result.effects} == {
        (seeds, seeds, None, False, False)
    }


def test_three_seeds_of_one_variant_are_enough_for_a_test() -> None:
    """Two degrees of freedom: the four that two seeds need are no condition here."""
    result = compare(noise(2, 3))
    assert (result.effects[0].method, result.pool.df) == (Method.DUNNETT, 2)


def test_nine_seeds_have_no_sign_flip_check() -> None:
    assert np.isnan(column(compare(noise(5, 9)), "sign_flip_p")).all()


def test_an_incomplete_variant_needs_three_pairs() -> None:
    y = noise(6, 6)
    y[4, :3], y[5, :4] = NAN, NAN
    three, two = compare(y).effects[3:]
    assert (three.pairs, three.method, two.pairs, two.reason) == (3, Method.BONFERRONI, 2, Reason.FEW_SEEDS)
    assert math.isfinite(three.paired_p)
    assert math.isnan(two.paired_p)
    assert math.isnan(two.t)


def test_a_variant_that_is_tested_alone_pays_for_no_family() -> None:
    y = np.tile(noise(1, 5), (3, 1)) + np.array([[0.0], [1.0], [2.0]])
    y[2, :2], y[2, 2:] = NAN, [92.0, 95.0, 91.0]
    first, second = compare(y).effects
    own = paired_t(y[2] - y[0])
    assert (first.reason, second.method) == (Reason.NO_VARIATION, Method.BONFERRONI)
    assert (second.low, second.high, second.p) == (own.low, own.high, own.p)
    assert compare(y).k == 0


def test_nothing_is_screened_where_there_is_one_seed() -> None:
    result = compare([[90.0], [91.0], [1e9]])
    assert not result.baseline_screened
    assert not any(effect.screened or effect.incomplete for effect in result.effects)
    assert [effect.pairs for effect in result.effects] == [1, 1]


def test_a_baseline_with_a_gap_is_not_called_unstable() -> None:
    y = noise(4, 3)
    y[0, 1:] = NAN
    assert not compare(y).baseline_screened


def test_a_screened_and_an_incomplete_variant_share_alpha_with_the_pool() -> None:
    y = noise(8, 6)
    y[3] = 90 + 50 * np.random.default_rng(7).normal(size=6)
    y[7, 0] = NAN
    result = compare(y)
    assert (result.k, result.pool.df) == (7, 25)
    for row in (3, 7):
        own = paired_t(y[row] - y[0], 0.05 / 7)
        effect = result.effects[row - 1]
        assert (effect.low, effect.p) == (own.low, min(1.0, 7 * own.p))


def test_an_unstable_variant_is_screened_and_tested_on_its_own() -> None:
    y = noise(9, 6)
    y[3] = 90 + 50 * np.random.default_rng(7).normal(size=6)
    result = compare(y)
    wild = result.effects[2]
    assert [effect.screened for effect in result.effects].index(True) == 2
    assert (wild.method, result.k, result.pool.df) == (Method.BONFERRONI, 8, 35)
    own = paired_t(y[3] - y[0], 0.05 / 8)
    assert (wild.low, wild.high, wild.p) == (own.low, own.high, min(1.0, 8 * own.p))
    others, alone = np.delete(column(result, "p"), 2), compare(np.delete(y, 3, axis=0))
    np.testing.assert_array_less(column(alone, "p") * (1 - 1e-12), others)  # the family has one more, the error none
    assert alone.pool.mse == result.pool.mse


def test_an_unstable_baseline_sends_all_to_paired_t_with_holm() -> None:
    y = noise(7, 6)
    y[0] = 90 + 80 * np.random.default_rng(7).normal(size=6)
    result = compare(y)
    assert result.baseline_screened
    assert {effect.method for effect in result.effects} == {Method.HOLM}
    np.testing.assert_allclose(column(result, "p"), holm([stats.ttest_rel(v, y[0]).pvalue for v in y[1:]]))
    own = paired_t(y[2] - y[0], 0.05 / 6)
    assert (result.effects[1].low, result.effects[1].high) == (own.low, own.high)
    assert math.isnan(result.critical_value)


def test_an_unstable_baseline_is_named_with_two_seeds_and_beside_an_incomplete_variant() -> None:
    y = noise(7, 2)
    y[0] = [50.0, 1000.0]
    assert compare(y).baseline_screened
    assert not any(effect.screened for effect in compare(y).effects)
    assert not compare(noise(7, 2)).baseline_screened
    y = noise(7, 2)
    y[3] = [50.0, 1000.0]
    assert [effect.screened for effect in compare(y).effects] == [False, False, True, False, False, False]
    y = noise(7, 5)
    y[0], y[1, 2] = 90 + 80 * np.random.default_rng(7).normal(size=5), NAN
    result = compare(y)
    assert result.baseline_screened
    assert result.effects[0].incomplete


def test_a_variant_that_lost_a_seed_leaves_the_pool_and_joins_the_family() -> None:
    y = noise(9, 5)
    y[8, 1] = NAN
    result = compare(y)
    lost = result.effects[7]
    assert (lost.incomplete, lost.screened, lost.method) == (True, False, Method.BONFERRONI)
    assert (lost.n, lost.pairs) == (4, 4)
    own = paired_t(np.delete(y[8] - y[0], 1), 0.05 / 8)
    assert (lost.difference, lost.low, lost.p) == (own.difference, own.low, min(1.0, 8 * own.p))
    assert (result.k, result.pool.df, result.pool.n) == (8, 28, 5)


def test_diverged_runs_are_never_given_a_value() -> None:
    y = noise(6, 4)
    y[2, 0], y[2, 1], y[5, :] = np.inf, -np.inf, NAN
    result = compare(y)
    assert (result.effects[1].reason, result.effects[4].reason) == (Reason.FEW_SEEDS, Reason.NO_RUNS)
    assert result.effects[1].mean == pytest.approx(y[2, 2:].mean())
    assert (result.effects[4].n, result.k) == (0, 3)
    assert math.isnan(result.effects[4].mean)
    assert math.isnan(result.effects[4].difference)
    assert math.isnan(result.effects[4].sign_flip_p)


def test_seeds_that_the_baseline_lacks_do_not_count() -> None:
    y = noise(5, 5)
    y[0, 4] = NAN
    result, shorter = compare(y), compare(y[:, :4])
    np.testing.assert_array_equal(column(result, "p"), column(shorter, "p"))
    assert result.effects[0].n == 5
    assert result.effects[0].pairs == 4


def test_a_baseline_without_runs_leaves_nothing_to_estimate() -> None:
    y = noise(4, 3)
    y[0] = NAN
    result = compare(y)
    assert {effect.reason for effect in result.effects} == {Reason.NO_RUNS}
    assert not result.baseline_screened
    assert result.baseline.n == 0


def test_a_variant_with_spare_seeds_is_compared_on_those_of_the_pool() -> None:
    y = noise(6, 6)
    y[2:, 3:] = NAN
    result = compare(y)
    assert result.pool.n == 3
    assert (result.effects[0].n, result.effects[0].pairs) == (6, 3)
    assert result.effects[0].difference == pytest.approx((y[1] - y[0])[:3].mean())


@pytest.mark.parametrize("value", [0.0, 0.9, 0.1 + 0.2])
def test_runs_without_any_variation_support_no_claim(value: float) -> None:
    y = np.full((5, 3), value)
    y[1] += 0.1
    result = compare(y)
    assert {effect.reason for effect in result.effects} == {Reason.NO_VARIATION}
    assert result.effects[0].difference == pytest.approx(0.1)


def test_rounding_noise_is_no_variation() -> None:
    seeds = np.array([0.1, 0.2, 0.7])
    result = compare(np.stack([seeds, seeds + 0.1, seeds + 0.3, seeds - 0.2]))
    assert {effect.reason for effect in result.effects} == {Reason.NO_VARIATION}


def test_equal_differences_under_an_unstable_baseline_are_no_certainty() -> None:
    y = noise(20, 6)
    y[0] = 90 + 80 * np.random.default_rng(7).normal(size=6)
    y[1] = y[0] + 1
    result = compare(y)
    assert result.baseline_screened
    assert result.effects[0].reason is Reason.NO_VARIATION
    assert {effect.method for effect in result.effects[1:]} == {Method.HOLM}


def test_one_constant_variant_among_noisy_ones_is_compared_as_usual() -> None:
    y = noise(6, 5, seed=3)
    y[1] = 90.0
    assert compare(y).effects[0].method is Method.DUNNETT


def test_an_identical_variant_has_no_difference_and_p_one() -> None:
    y = noise(6, 3)
    y[3] = y[0]
    effect = compare(y).effects[2]
    assert (effect.difference, effect.t, effect.p) == (0, 0, 1)
    assert effect.low < 0 < effect.high


def test_huge_effects_give_tiny_p_without_overflow() -> None:
    y = noise(6, 5)
    y[1] += 1e12
    y[2] -= 1e4
    effects = compare(y).effects
    assert 0 <= effects[0].p < 1e-20
    assert effects[1].detected(1e-6)
    assert effects[1].high < 0


def test_the_order_of_variants_does_not_matter() -> None:
    y = noise(7, 4)
    order = [3, 0, 5, 1, 4, 2]
    turned = compare(np.vstack([y[:1], y[1:][order]]))
    np.testing.assert_allclose(column(turned, "p"), column(compare(y), "p")[order], rtol=1e-9)


def test_the_same_input_gives_the_same_bits_and_is_left_alone() -> None:
    y = noise(9, 11)
    y[4, 2] = NAN
    before = y.copy()
    first, second = (repr(dataclasses.asdict(compare(y))) for _ in range(2))
    assert first == second
    np.testing.assert_array_equal(y, before)


def test_results_are_plain_python_numbers_and_frozen() -> None:
    effect = compare(noise(6, 10)).effects[0]
    for name in ("n", "pairs"):
        assert type(getattr(effect, name)) is int
    for name in ("mean", "sd", "difference", "low", "high", "t", "p", "paired_p", "sign_flip_p"):
        assert type(getattr(effect, name)) is float
    assert type(effect.screened) is bool
    with pytest.raises(dataclasses.FrozenInstanceError):
        effect.p = 0.0  # type: ignore[misc]


@pytest.mark.parametrize("y", [[[1.0, 2.0]], [1.0, 2.0], [[], []]])
def test_other_shapes_are_refused(y: object) -> None:
    with pytest.raises(ValueError, match="shape"):
        compare(np.array(y))


@pytest.mark.parametrize("alpha", [0, 1, 5])
def test_impossible_levels_are_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        compare(REFERENCE, alpha=alpha)
