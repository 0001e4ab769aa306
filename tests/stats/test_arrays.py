"""Reductions that the other modules share."""

import numpy as np
import pytest

from ablation.stats.arrays import as_table, check_alpha, complete_seeds, negligible_variance

NAN = float("nan")


def test_a_table_is_a_copy_of_floats_in_which_the_infinite_is_missing() -> None:
    y = np.array([[1, np.inf], [-np.inf, 2]])
    table = as_table(y)
    np.testing.assert_array_equal(table, [[1, NAN], [NAN, 2]])
    assert np.isinf(y).sum() == 2
    assert as_table([[1, 2]]).dtype == np.float64


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_one_row_and_one_seed_are_a_table(shape: tuple[int, int]) -> None:
    assert as_table(np.ones(shape)).shape == shape


def test_as_many_rows_as_asked_for_are_enough() -> None:
    assert as_table(np.ones((2, 1)), "Y", 2).shape == (2, 1)
    with pytest.raises(ValueError, match=r"error must have shape \(rows >= 3, seeds >= 1\), not \(2, 1\)"):
        as_table(np.ones((2, 1)), "error", 3)


def test_only_seeds_with_every_row_are_complete() -> None:
    y = [[1.0, 2.0, 3.0, NAN], [4.0, NAN, 6.0, 7.0]]
    np.testing.assert_array_equal(complete_seeds(y), [[1, 3], [4, 6]])
    np.testing.assert_array_equal(complete_seeds([[1.0, NAN, 2.0]]), [[1, 2]])
    with pytest.raises(ValueError, match="two seeds on which every row has a value, not 1"):
        complete_seeds([[1.0, 2.0], [NAN, 1.0]])


def test_rounding_is_negligible_and_a_billionth_is_not() -> None:
    for size in (1e-12, 0.9, 97.3, 1e9):
        seeds = size * np.array([0.1, 0.2, 0.7, 1.0])
        rounding = (seeds + size / 3) - (seeds + size / 7)
        assert 0 < np.var(rounding, ddof=1) <= negligible_variance(seeds + size / 3)
        assert np.var(1e-9 * seeds, ddof=1) > negligible_variance(seeds + size / 3)


def test_what_is_negligible_is_sixteen_roundings_of_the_largest_finite_value() -> None:
    expected = (16 * 2.0**-52 * 8) ** 2
    for y in ([1.0, -8.0, 3.0], [[8.0], [NAN]], [8.0, np.inf, -np.inf]):
        assert negligible_variance(y) == expected
    assert negligible_variance([0.0, 0.0]) == negligible_variance([]) == 0


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 1.1, NAN])
def test_a_level_lies_strictly_between_zero_and_one(alpha: float) -> None:
    check_alpha(1e-300)
    check_alpha(1 - 1e-12)
    with pytest.raises(ValueError, match="alpha"):
        check_alpha(alpha)
