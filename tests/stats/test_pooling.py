"""Which runs share an error estimate."""

import numpy as np
import pytest

from ablation.stats.pooling import block_mse, cochran_critical_value, complete_block, pooled_error, screen, spreads


def rows(text: str) -> np.ndarray:
    """A mask from rows such as 'x.x xxx'."""
    return np.array([[c == "x" for c in row] for row in text.split()])


@pytest.mark.parametrize(("groups", "n", "expected"), [(3, 3, 0.9423), (5, 5, 0.6329), (10, 3, 0.5358)])
def test_cochran_critical_values_are_those_of_the_one_percent_table(groups: int, n: int, expected: float) -> None:
    assert cochran_critical_value(groups, n) == pytest.approx(expected, abs=6e-4)


def test_a_wild_group_is_screened_out_and_tame_ones_stay() -> None:
    y = np.random.default_rng(0).normal(size=(9, 5))
    assert screen(y).all()
    y[4] *= 40
    np.testing.assert_array_equal(np.flatnonzero(~screen(y)), [4])


def test_screening_goes_on_but_never_below_two_groups() -> None:
    y = np.random.default_rng(1).normal(size=(6, 6)) * np.array([1e8, 1, 1, 1e4, 1, 1])[:, None]
    np.testing.assert_array_equal(screen(y), [False, True, True, False, True, True])
    assert screen(np.random.default_rng(2).normal(size=(5, 8)) * 1e4 ** np.arange(5)[:, None]).sum() == 2


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_screening_does_not_depend_on_the_unit(unit: float) -> None:
    y = np.random.default_rng(1).normal(size=(6, 6)) * np.array([1e8, 1, 1, 1e4, 1, 1])[:, None]
    np.testing.assert_array_equal(screen(unit * y), screen(y))


def test_two_groups_are_not_screened() -> None:
    assert screen(np.array([[0.0, 1e9, 5.0], [1.0, 1.1, 1.2]])).all()


def test_constant_groups_are_not_outliers() -> None:
    assert screen(np.full((4, 3), 0.5)).all()


def test_a_constant_group_is_no_outlier_in_any_unit() -> None:
    for unit in (1e-4, 1.0, 1e4):
        y = unit * np.random.default_rng(6).normal(size=(6, 5))
        y[3] = 0.7 * unit
        assert screen(y).all()


def test_rounding_among_constant_groups_is_no_outlier() -> None:
    y = np.full((4, 3), 0.3)
    y[2, 1] = 0.1 + 0.2
    assert y[2].var() > 0
    assert screen(y).all()


def test_mse_is_free_of_seed_and_variant_shifts() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=(5, 4))
    shifted = y + rng.normal(size=(5, 1)) + 100 * rng.normal(size=4)
    assert block_mse(shifted)[0] == pytest.approx(block_mse(y)[0])
    assert block_mse(y)[1] == 12


def test_mse_is_that_of_the_two_way_analysis_of_variance() -> None:
    """Least squares on indicators of row and column, as any textbook's randomised blocks."""
    y = np.random.default_rng(4).normal(size=(4, 3))
    row, column = (index.ravel() for index in np.indices(y.shape))
    design = np.column_stack([row[:, None] == np.arange(4), column[:, None] == np.arange(1, 3)]).astype(float)
    residual = y.ravel() - design @ np.linalg.lstsq(design, y.ravel(), rcond=None)[0]
    mse, df = block_mse(y)
    assert (mse, df) == (pytest.approx(residual @ residual / 6), 6)
    assert np.isnan(block_mse(y[:1])[0])
    assert block_mse(y[:, :1])[1] == 0


def test_a_spread_is_the_variance_of_the_departures_from_the_mean_of_the_others() -> None:
    y = np.random.default_rng(4).normal(size=(4, 3)) + np.array([5.0, -3.0, 11.0])
    departures = y[2] - y[[0, 1, 3]].mean(axis=0)
    assert spreads(y)[2] == pytest.approx(departures.var(ddof=1))
    assert pooled_error(y).own == pytest.approx(spreads(y))


def test_two_rows_have_the_variance_of_their_differences() -> None:
    y = np.random.default_rng(4).normal(size=(2, 5))
    assert spreads(y) == pytest.approx([(y[1] - y[0]).var(ddof=1)] * 2)
    assert np.isnan(spreads(y[:1])).all()


def test_a_row_that_is_not_pooled_has_no_spread() -> None:
    y = np.random.default_rng(0).normal(size=(9, 5))
    y[4] *= 40
    y[5, 1] = np.nan
    assert np.flatnonzero(np.isnan(pooled_error(y).own)).tolist() == [4, 5]


def test_one_row_or_one_seed_leaves_no_degrees_of_freedom() -> None:
    for y in ([[1.0, 2.0, 4.0]], [[1.0], [2.0]]):
        pool = pooled_error(y)
        assert (pool.df, np.isnan(pool.mse)) == (0, True)


def test_the_block_is_the_best_of_those_on_the_seeds_of_one_variant() -> None:
    rng = np.random.default_rng(5)
    for _ in range(100):
        present = rng.random((5, 4)) < 0.7
        variants, seeds = complete_block(present)
        best = (-1, 0)
        for own in {tuple(np.flatnonzero(row & present[0])) for row in present} - {()}:
            sharing = sum(all(row[s] for s in own) for row in present)
            best = max(best, ((sharing - 1) * (len(own) - 1), len(own)))
        if best == (-1, 0):
            assert not variants.any()
            assert not seeds.any()
        else:
            assert ((variants.sum() - 1) * (seeds.sum() - 1), seeds.sum()) == best
            np.testing.assert_array_equal(variants, present[:, seeds].all(axis=1))


def test_a_tie_goes_to_more_seeds_and_then_to_the_earlier_seeds_whatever_the_order_of_the_variants() -> None:
    variants, seeds = complete_block(rows("xxxxx xxxxx xxx.."))
    assert (variants.tolist(), seeds.sum()) == ([True, True, False], 5)
    for table, kept in (("xxxx xx.. ..xx", [True, True, False]), ("xxxx ..xx xx..", [True, False, True])):
        variants, seeds = complete_block(rows(table))
        assert variants.tolist() == kept
        assert seeds.tolist() == [True, True, False, False]


def test_two_seeds_are_screened_and_pooled() -> None:
    pool = pooled_error([[1.0, 1.1], [2.0, 2.2], [3.0, 3.2], [4.0, 4.1], [5.0, 1e6]])
    assert pool.kept == (True, True, True, True, False)
    assert (pool.n, pool.df) == (2, 3)


def test_the_screen_stops_at_its_critical_value() -> None:
    """Cochran's C of these three groups is just under, and then just over, the value for three groups of three."""
    limit = cochran_critical_value(3, 3)
    share = np.sqrt(limit / (1 - limit) * 2)
    unit = np.array([-1.0, 0.0, 1.0])
    assert screen(np.array([unit, share * 0.9999 * unit, unit])).all()
    np.testing.assert_array_equal(screen(np.array([unit, share * 1.0001 * unit, unit])), [True, False, True])


def test_the_block_takes_the_most_residual_degrees_of_freedom() -> None:
    variants, seeds = complete_block(rows("xxx xxx xx. xxx"))
    np.testing.assert_array_equal(variants, [True, True, False, True])
    assert seeds.all()
    variants, seeds = complete_block(rows("xxxxx xxx.. xxx.. xxx.."))
    assert variants.all()
    np.testing.assert_array_equal(seeds, [True, True, True, False, False])


def test_the_block_uses_only_seeds_of_the_baseline() -> None:
    variants, seeds = complete_block(rows(".xxx xxxx xxxx"))
    assert variants.all()
    np.testing.assert_array_equal(seeds, [False, True, True, True])


def test_a_baseline_without_runs_leaves_no_block() -> None:
    pool = pooled_error([[np.nan, np.nan], [1.0, 2.0]])
    assert (pool.df, pool.n, pool.kept) == (0, 0, (False, False))
    assert np.isnan(pool.mse)


def test_a_single_row_without_runs_is_no_block() -> None:
    assert pooled_error([[np.nan, np.nan]]).complete == (False,)
    variants, seeds = complete_block(np.zeros((3, 2), dtype=np.bool_))
    assert not variants.any()
    assert not seeds.any()


def test_infinite_runs_count_as_missing() -> None:
    pool = pooled_error([[1.0, 2.0, 3.0], [2.0, 2.5, 4.5], [np.inf, 1.0, 2.0]])
    assert pool.complete == (True, True, False)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        pooled_error(np.zeros(shape))
