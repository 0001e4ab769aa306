"""Which runs share an error estimate."""

import numpy as np
import pytest

from ablation.stats.pooling import block_mse, cochran_critical_value, complete_block, pooled_error, screen


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


def test_two_groups_are_not_screened() -> None:
    assert screen(np.array([[0.0, 1e9, 5.0], [1.0, 1.1, 1.2]])).all()


def test_constant_groups_are_not_outliers() -> None:
    assert screen(np.full((4, 3), 0.5)).all()


def test_mse_is_free_of_seed_and_variant_shifts() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=(5, 4))
    shifted = y + rng.normal(size=(5, 1)) + 100 * rng.normal(size=4)
    assert block_mse(shifted)[0] == pytest.approx(block_mse(y)[0])
    assert block_mse(y)[1] == 12


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


def test_infinite_runs_count_as_missing() -> None:
    pool = pooled_error([[1.0, 2.0, 3.0], [2.0, 2.5, 4.5], [np.inf, 1.0, 2.0]])
    assert pool.complete == (True, True, False)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (3,)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        pooled_error(np.zeros(shape))
