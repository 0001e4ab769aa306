"""Interactions and trends."""

import math

import numpy as np
import pytest
from scipy import stats

from ablation.stats.contrasts import contrast_family, interactions, orthogonal_weights, page_trend, trends
from ablation.stats.paired import holm

PAGE_EXAMPLE = np.array(
    [[3, 4, 3], [2, 2, 4], [3, 3, 5], [1, 3, 2], [2, 3, 2], [2, 4, 5], [1, 2, 4], [3, 4, 4], [2, 4, 5], [1, 3, 4]]
)


def cells(interaction: float, seeds: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    means = np.array([90.0, 91.0, 92.0, 93.0 + interaction])
    return means[:, None] + rng.normal(size=seeds) + 0.1 * rng.normal(size=(4, seeds))


def test_the_interaction_is_what_the_pair_adds_beyond_the_sum() -> None:
    y = cells(-2.0, 5)
    result = interactions([y], mse=0.01, df=30)[0]
    c = y[3] - y[1] - y[2] + y[0]
    error = math.sqrt(max(4 * 0.01, c.var(ddof=1)) / 5)
    assert (result.n, result.estimate, result.t) == (5, pytest.approx(c.mean()), pytest.approx(c.mean() / error))
    assert result.p == pytest.approx(2 * stats.t.sf(abs(result.t), 30))
    assert result.high - result.estimate == pytest.approx(stats.t.isf(0.025, 30) * error)


def test_the_guard_uses_the_larger_of_pooled_and_own_error() -> None:
    small, large = (interactions([cells(0.0, 5)], mse, 30)[0] for mse in (1e-12, 9.0))
    own = cells(0.0, 5)
    c = own[3] - own[1] - own[2] + own[0]
    assert abs(small.estimate / small.t) == pytest.approx(c.std(ddof=1) / 5**0.5)
    assert abs(large.estimate / large.t) == pytest.approx(6 / 5**0.5)


def test_holm_runs_over_the_interactions_and_intervals_share_alpha() -> None:
    family = interactions([cells(x, 4, i) for i, x in enumerate((0.0, -0.4, 1.0))], 0.01, 24)
    np.testing.assert_allclose([c.p for c in family], holm([c.p_alone for c in family]))
    alone = interactions([cells(0.0, 4)], 0.01, 24)[0]
    assert alone.p == alone.p_alone == family[0].p_alone
    assert family[0].high - family[0].low > alone.high - alone.low


def test_a_seed_with_a_gap_is_left_out_of_its_contrast() -> None:
    y = cells(0.5, 5)
    y[2, 3] = np.nan
    assert interactions([y], 0.01, 24) == interactions([np.delete(y, 3, axis=1)], 0.01, 24)


def test_two_seeds_without_four_degrees_of_freedom_make_no_claim() -> None:
    result = interactions([cells(9.0, 2)], 0.01, 3)[0]
    assert result.estimate == pytest.approx(9, abs=1)
    assert math.isnan(result.p)
    assert math.isnan(result.low)
    assert interactions([cells(9.0, 2)], 0.01, 4)[0].p < 0.05


def test_no_variation_at_all_makes_no_claim() -> None:
    for value in (0.1, 0.0):
        assert math.isnan(interactions([np.full((4, 3), value)], 0.0, 9)[0].p)


def test_an_error_of_zero_leaves_the_contrasts_own_and_one_degree_of_freedom_is_enough() -> None:
    y = cells(0.0, 5)
    result = interactions([y], 0.0, 1, alpha=0.1)[0]
    c = y[3] - y[1] - y[2] + y[0]
    error = c.std(ddof=1) / 5**0.5
    assert result.p == result.p_alone == pytest.approx(2 * stats.t.sf(abs(c.mean()) / error, 1))
    assert result.low == pytest.approx(c.mean() - stats.t.isf(0.05, 1) * error)
    assert interactions([cells(0.0, 3)], 0.01, 2)[0].p < 1


def test_three_seeds_need_no_four_degrees_of_freedom() -> None:
    assert math.isfinite(interactions([cells(0.0, 3)], 0.01, 3)[0].p)


def test_a_seed_common_to_all_and_a_shift_of_a_row_leave_an_interaction_and_a_trend_as_they_are() -> None:
    y = cells(1.0, 4)
    assert interactions([y + 7], 0.01, 9)[0].p == pytest.approx(interactions([y], 0.01, 9)[0].p)
    x = [0.0, 1.0, 3.0, 4.0]
    shifted = y + np.array([3.0, -1.0, 2.0, 9.0])
    for first, second in zip(trends([(x, y)], 0.01, 9), trends([(x, shifted)], 0.01, 9), strict=True):
        assert second.linear.t == pytest.approx(first.linear.t)
        assert second.quadratic.p == pytest.approx(first.quadratic.p)  # type: ignore[union-attr]


def test_sweeps_of_two_and_of_more_levels_keep_their_own_tests() -> None:
    rng = np.random.default_rng(5)
    two, four = rng.normal(size=(2, 4)), rng.normal(size=(4, 4))
    short, long = trends([([1, 3], two), ([0, 1, 2, 5], four)], 1.0, 12)
    assert short.linear.estimate == pytest.approx((two[1] - two[0]).mean() / 2)
    linear, quadratic = np.polyfit([0, 1, 2, 5], four.mean(axis=1), 1)[0], np.polyfit([0, 1, 2, 5], four.mean(1), 2)[0]
    assert long.linear.estimate == pytest.approx(linear)
    assert long.quadratic is not None
    assert long.quadratic.estimate == pytest.approx(quadratic)
    assert short.quadratic is None
    half = stats.t.isf(0.05 / 3 / 2, 12) * math.sqrt(max(0.5, (two[1] - two[0]).var(ddof=1) / 4) / 4)
    assert short.linear.high - short.linear.estimate == pytest.approx(half)


def test_a_family_has_a_level() -> None:
    for alpha in (0.0, 1.0):
        with pytest.raises(ValueError, match="alpha"):
            contrast_family([], 1.0, 5, alpha)


def test_the_level_of_a_family_is_five_per_cent_unless_asked_otherwise() -> None:
    y, x = cells(0.0, 5), [0.0, 1.0, 2.0, 4.0]
    assert contrast_family([(x, y)], 0.01, 9) == contrast_family([(x, y)], 0.01, 9, 0.05)
    assert interactions([y], 0.01, 9) == interactions([y], 0.01, 9, 0.05)
    assert trends([(x, y)], 0.01, 9) == trends([(x, y)], 0.01, 9, 0.05)


def test_levels_that_only_rounding_sets_apart_have_no_curve() -> None:
    for x in ([0.0, 0.3, 0.1 + 0.2], [0.0, 1.0, 1.0 + 3e-13]):
        assert len(orthogonal_weights(x)) == 1


def test_an_empty_family_is_empty() -> None:
    assert contrast_family([], 1.0, 5) == ()


@pytest.mark.parametrize(
    ("y", "mse", "df"),
    [(np.ones((4, 1)), 1.0, 5), (np.ones((3, 4)), 1.0, 5), (np.ones((5, 4)), 1.0, 5),
     (np.ones((4, 4)), math.nan, 5), (np.ones((4, 4)), 1.0, 0)],
)  # fmt: skip
def test_contrasts_without_seeds_weights_or_error_are_refused(y: np.ndarray, mse: float, df: int) -> None:
    with pytest.raises(ValueError, match="contrast"):
        interactions([y], mse, df)


@pytest.mark.parametrize("x", [[0, 1, 2, 3], [0.0, 0.1, 0.3, 0.5, 0.9], [5e-4, 0.0, 5e-2, 1e-2], [-1e6, 3, 1e6]])
def test_weights_recover_the_coefficients_of_a_parabola_at_any_spacing(x: list[float]) -> None:
    levels = np.array(x)
    linear, quadratic = orthogonal_weights(levels)
    scale = np.ptp(levels)
    assert linear.sum() * scale == pytest.approx(0, abs=1e-12)
    assert quadratic.sum() * scale**2 == pytest.approx(0, abs=1e-9)
    assert linear @ quadratic * scale**3 == pytest.approx(0, abs=1e-9)
    y = 3 + 2 * levels / scale + 5 * (levels / scale) ** 2
    assert quadratic @ y * scale**2 == pytest.approx(5)
    assert linear @ y == pytest.approx(np.polyfit(levels / scale, y, 1)[0] / scale)


def test_equal_spacing_gives_the_tabled_orthogonal_polynomials() -> None:
    linear, quadratic = orthogonal_weights([0, 1, 2, 3, 4])
    np.testing.assert_allclose(linear * 10, [-2, -1, 0, 1, 2], atol=1e-12)
    np.testing.assert_allclose(quadratic * 14, [2, -1, -2, -1, 2], atol=1e-12)


def test_a_sloping_sweep_shows_a_line_and_a_bent_one_a_curve() -> None:
    rng = np.random.default_rng(0)
    x = np.array([0.0, 0.1, 0.3, 0.5])
    straight = 90 + 4 * x[:, None] + 0.1 * rng.normal(size=(4, 5))
    bent = 90 - 20 * (x[:, None] - 0.25) ** 2 + 0.1 * rng.normal(size=(4, 5))
    line, curve = trends([(x, straight), (x, bent)], 0.01, 28)
    assert curve.quadratic is not None
    assert line.quadratic is not None
    assert line.page is not None
    assert (line.linear.p < 0.01, line.quadratic.p > 0.05) == (True, True)
    assert curve.quadratic.p < 0.01
    assert line.linear.low <= 4 <= line.linear.high
    assert curve.quadratic.low <= -20 <= curve.quadratic.high
    assert line.page.p_rise < 0.01
    p_alone = [c.p_alone for t in (line, curve) for c in (t.linear, t.quadratic)]
    np.testing.assert_allclose([line.linear.p, line.quadratic.p], holm(p_alone)[:2])


def test_two_levels_have_a_slope_only() -> None:
    result = trends([([0, 2], [[1.0, 1.2, 0.9], [3.0, 3.1, 3.3]])], 0.01, 6)[0]
    assert result.linear.estimate == pytest.approx(1.05)
    assert result.quadratic is None
    assert result.page is None


@pytest.mark.parametrize("levels", [[1], [1, 1, 2], [0, np.inf], [[0, 1]]])
def test_levels_that_form_no_sweep_are_refused(levels: list[float]) -> None:
    with pytest.raises(ValueError, match="distinct"):
        orthogonal_weights(levels)


def test_page_has_the_statistic_and_p_of_the_documented_example() -> None:
    result = page_trend([1, 2, 3], PAGE_EXAMPLE.T)
    assert (result.statistic, result.n) == (133.5, 10)
    assert result.p_rise == pytest.approx(0.00181912, abs=5e-9)
    assert result.p == pytest.approx(2 * 0.00181912, abs=1e-8)


def test_page_has_no_p_above_one_where_the_seeds_contradict_each_other() -> None:
    """Of the 36 pairs of orders, L is at its mean of 24 in some: either side has more than half of them."""
    result = page_trend([1, 2, 3], [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]])
    assert result.p_rise == pytest.approx(result.p_fall)
    assert result.p_rise > 0.5
    assert result.p == 1


def test_page_follows_the_levels_and_not_the_rows() -> None:
    turned = page_trend([3, 1, 2], PAGE_EXAMPLE.T[[2, 0, 1]])
    assert turned == page_trend([1, 2, 3], PAGE_EXAMPLE.T)
    fall = page_trend([-1, -2, -3], PAGE_EXAMPLE.T)
    assert fall.p_fall == page_trend([1, 2, 3], PAGE_EXAMPLE.T).p_rise


def test_page_on_constant_data_sees_nothing() -> None:
    assert page_trend([1, 2, 3], np.ones((3, 4))).p == pytest.approx(1)


@pytest.mark.parametrize(
    ("levels", "shape"), [([1, 2], (2, 4)), ([1, 2, 3], (3, 1)), ([1, 2], (3, 4)), ([1, 2, 3], (4, 4))]
)
def test_page_refuses_too_little(levels: list[float], shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="Page"):
        page_trend(levels, np.ones(shape))
