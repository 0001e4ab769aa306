"""Paired tests and adjustments."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from ablation.stats.paired import benjamini_hochberg, holm, mcnemar, mcnemar_counts, paired_t, sign_flip_max_t

BH_1995 = [
    0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
    0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
]  # fmt: skip


def test_paired_t_is_scipys() -> None:
    d = np.random.default_rng(0).normal(0.4, 1, size=7)
    expected = stats.ttest_1samp(d, 0)
    result = paired_t([*d, np.nan], alpha=0.1)
    assert (result.n, result.t, result.p) == (7, pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    interval = expected.confidence_interval(0.9)
    assert (result.low, result.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


DARWIN = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]) / 8
"""Heights of cross- minus self-fertilised maize in inches (Fisher 1935, "The Design of Experiments", section 17)."""


def test_darwins_maize_has_the_t_that_fisher_gives() -> None:
    result = paired_t(DARWIN)
    assert (result.n, result.difference) == (15, pytest.approx(20.93 / 8, abs=5e-4))
    assert result.t == pytest.approx(2.148, abs=5e-4)
    assert result.p == pytest.approx(0.0497, abs=5e-5)
    assert result.low == pytest.approx(0.0036, abs=5e-4)


def test_darwins_maize_has_the_share_of_sign_patterns_that_fisher_counted() -> None:
    """1,726 of the 32,768 patterns; 15 seeds are one too many to enumerate, so that the sample is within its error."""
    (p,) = sign_flip_max_t([DARWIN])
    assert p == pytest.approx(1726 / 2**15, abs=3 * math.sqrt(0.05 * 0.95 / 20_000))
    assert (p * 20_000) == pytest.approx(round(p * 20_000), abs=1e-9)


@pytest.mark.parametrize("n", [4, 9, 14])
def test_up_to_fourteen_seeds_every_sign_pattern_is_counted_and_ties_are_kept(n: int) -> None:
    """Integers have exact sums, tenths of them do not: rounding must not break a tie."""
    whole = np.random.default_rng(n).integers(-4, 9, size=n)
    patterns = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    expected = np.mean(np.abs(patterns @ whole) >= abs(whole.sum()))
    np.testing.assert_allclose(sign_flip_max_t([0.1 * whole]), [expected], rtol=1e-12)


@pytest.mark.parametrize("n", [14, 20])
def test_a_family_too_large_for_one_batch_has_the_same_p(n: int) -> None:
    d = np.random.default_rng(4).normal(0.3, 1, size=(3, n))
    np.testing.assert_array_equal(sign_flip_max_t(np.tile(d, (100, 1))), np.tile(sign_flip_max_t(d), 100))


@pytest.mark.parametrize("shape", [(1, 600), (3000, 14)])
def test_sign_flips_need_little_memory_however_many_seeds_or_variants_there_are(shape: tuple[int, int]) -> None:
    """All patterns of 600 seeds take 96 MB, the sums of all patterns for 3,000 variants 197 MB."""
    d = np.random.default_rng(0).normal(size=shape)
    tracemalloc.start()
    sign_flip_max_t(d)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6


@pytest.mark.parametrize(("seeds", "patterns"), [(7_001, 14_283), (100_001, 1000)])
def test_many_thousand_seeds_have_fewer_patterns_and_a_thousand_at_least(seeds: int, patterns: int) -> None:
    """A hundred million signs are drawn in all."""
    assert sign_flip_max_t([np.linspace(1, 2, seeds)]) == pytest.approx(1 / patterns)


def test_the_sampled_patterns_are_the_same_in_every_version() -> None:
    """The report of stored results keeps its p-values."""
    assert sign_flip_max_t([DARWIN]) == pytest.approx(1035 / 20_000)


@pytest.mark.parametrize(
    ("d", "n", "mean"),
    [([], 0, math.nan), ([2.0], 1, 2.0), ([0.5, 0.5, 0.5], 3, 0.5), ([0.0, 0.0], 2, 0.0)],
)
def test_paired_t_without_spread_makes_no_claim(d: list[float], n: int, mean: float) -> None:
    result = paired_t(d)
    assert result.n == n
    assert result.difference == pytest.approx(mean, nan_ok=True)
    assert all(math.isnan(x) for x in (result.low, result.high, result.t, result.p))


def test_holm_rejects_three_and_benjamini_hochberg_four_of_the_1995_example() -> None:
    assert np.sum(holm(BH_1995) <= 0.05) == 3
    assert np.sum(benjamini_hochberg(BH_1995) <= 0.05) == 4
    np.testing.assert_allclose(benjamini_hochberg(BH_1995), stats.false_discovery_control(BH_1995))


def test_holm_steps_down_and_stays_monotone() -> None:
    np.testing.assert_allclose(holm([0.04, 0.01, 0.03, 0.5]), [0.09, 0.04, 0.09, 0.5])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1.0, 1.0])
    np.testing.assert_allclose(holm([0.0, 1.0]), [0.0, 1.0])


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_undefined_p_values_are_outside_the_family(adjust) -> None:  # type: ignore[no-untyped-def]
    with_gap = adjust([0.02, np.nan, 0.01])
    np.testing.assert_array_equal(np.delete(with_gap, 1), adjust([0.02, 0.01]))
    assert np.isnan(with_gap[1])
    assert np.isnan(adjust([np.nan])).all()
    assert len(adjust([])) == 0


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
@pytest.mark.parametrize("p", [[1.2], [-0.1], [[0.5]], [0.5, 1.2], [math.nan, -0.1]])
def test_other_than_p_values_are_refused(adjust, p) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="p-values"):
        adjust(p)


def test_a_paired_t_test_has_a_level() -> None:
    for alpha in (0.0, 1.0):
        with pytest.raises(ValueError, match="alpha"):
            paired_t([0.1, 0.2], alpha)


def test_two_seeds_have_a_paired_t_test_with_one_degree_of_freedom() -> None:
    """t on one degree of freedom is Cauchy's: p = 1 - 2 arctan(t) / pi."""
    result = paired_t([1.0, 3.0])
    assert (result.n, result.difference, result.t) == (2, 2.0, pytest.approx(2.0))
    assert result.p == pytest.approx(1 - 2 * math.atan(2) / math.pi)
    assert result.high - 2 == pytest.approx(math.tan(math.pi * 0.475))


def test_the_smallest_numbers_have_a_standard_error_above_zero() -> None:
    """Their variance is the smallest float; a third of it is zero."""
    result = paired_t([-2e-162, 0.0, 2e-162])
    assert (result.t, result.p) == (0, pytest.approx(1))
    assert result.low < 0 < result.high


def test_mcnemar_has_the_exact_p_of_the_reference_table() -> None:
    assert mcnemar_counts(121, 59).p == pytest.approx(4.43445e-06, rel=1e-6)
    first = np.repeat([True, True, False, False], [101, 121, 59, 33])
    second = np.repeat([True, False, True, False], [101, 121, 59, 33])
    assert mcnemar(first, second) == mcnemar_counts(121, 59)
    assert mcnemar(second, first).p == mcnemar(first, second).p


def test_mcnemar_is_a_sign_test() -> None:
    for only_first, only_second in [(0, 6), (7, 2), (30, 18)]:
        expected = stats.binomtest(only_first, only_first + only_second).pvalue
        result = mcnemar_counts(only_first, only_second)
        assert (result.only_first, result.only_second) == (only_first, only_second)
        assert result.p == pytest.approx(expected)


def test_mcnemar_without_discordance_has_p_one() -> None:
    assert mcnemar([True, False], [True, False]).p == 1
    assert mcnemar_counts(4, 4).p == 1
    assert mcnemar_counts(1, 0).p == 1


def test_mcnemar_refuses_other_examples_and_negative_counts() -> None:
    with pytest.raises(ValueError, match="same examples"):
        mcnemar([True], [True, False])
    with pytest.raises(ValueError, match="negative"):
        mcnemar_counts(-1, 2)


def test_sign_flips_are_enumerated_exactly() -> None:
    d = np.random.default_rng(1).normal(0.5, 1, size=(3, 6))

    def largest(table: np.ndarray) -> np.ndarray:
        return np.abs(table.mean(axis=1) / table.std(axis=1, ddof=1))

    observed = largest(d)
    maxima = [largest(d * np.array(signs)).max() for signs in itertools.product((1, -1), repeat=6)]
    expected = [np.mean(np.array(maxima) >= t - 1e-9) for t in observed]
    np.testing.assert_allclose(sign_flip_max_t(d), expected)


def test_sign_flips_reach_two_in_two_to_the_n_and_no_lower() -> None:
    d = np.full((2, 10), 3.0) + 0.1 * np.random.default_rng(0).normal(size=(2, 10))
    np.testing.assert_allclose(sign_flip_max_t(d), 2 / 2**10)
    np.testing.assert_allclose(sign_flip_max_t(d[:, :3]), 2 / 2**3)


def test_many_seeds_are_sampled_from_a_fixed_generator() -> None:
    d = np.random.default_rng(2).normal(size=(4, 30))
    d[0] += 5
    p = sign_flip_max_t(d)
    assert p.tobytes() == sign_flip_max_t(d).tobytes()
    assert p[0] == pytest.approx(1 / 20_000)
    assert np.all(p[1:] > 0.01)


def test_sign_flips_leave_out_incomplete_and_do_not_fear_identical_variants() -> None:
    d = np.random.default_rng(3).normal(size=(4, 10))
    d[1, 4], d[2] = np.nan, 0.0
    p = sign_flip_max_t(d)
    assert np.isnan(p[1])
    assert p[2] == 1
    np.testing.assert_array_equal(np.delete(p, 1), sign_flip_max_t(np.delete(d, 1, axis=0)))
    assert np.isnan(sign_flip_max_t([[np.nan, 1.0]])).all()
