"""The two-sided Dunnett distribution."""

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from ablation.stats.dunnett import critical_value, log_chi_nodes, p_value


@pytest.mark.parametrize(
    ("k", "df", "expected"), [(2, 10, 2.568), (3, 10, 2.759), (5, 20, 2.735), (8, 16, 2.974), (8, 32, 2.806)]
)
def test_critical_values_are_those_of_the_tables(k: int, df: int, expected: float) -> None:
    assert critical_value(0.05, k, df) == pytest.approx(expected, abs=5.1e-4)


def test_the_example_of_dunnett_1955_has_its_exact_p() -> None:
    control = np.array([55.0, 47.0, 48.0])
    treated = np.array([[55.0, 64.0, 64.0], [55.0, 49.0, 52.0], [50.0, 44.0, 41.0]])
    pooled = np.vstack([control, treated]).var(axis=1, ddof=1).mean()
    t = (treated.mean(axis=1) - control.mean()) / np.sqrt(2 * pooled / 3)
    np.testing.assert_allclose(t, [3.09073, 0.56195, -1.40488], atol=5e-6)
    assert p_value(t, 3, 8)[0] == pytest.approx(0.036622, abs=5e-7)


@pytest.mark.parametrize("df", [0.5, 1, 2, 3.5, 16, 100, 1e4, 1e8])
def test_one_comparison_is_student_t(df: float) -> None:
    t = np.array([0.0, 0.1, 1.0, 2.0, 5.0, 10.0, 30.0, 1e3, 1e8])
    np.testing.assert_allclose(p_value(t, 1, df), 2 * stats.t.sf(t, df), rtol=1e-11)


def test_one_comparison_with_known_variance_is_the_normal() -> None:
    t = np.array([0.5, 2.0, 8.0, 25.0])
    np.testing.assert_allclose(p_value(t, 1, np.inf), 2 * stats.norm.sf(t), rtol=1e-9)


@pytest.mark.parametrize("k", [2, 8, 300, 5000])
def test_a_family_with_known_variance_agrees_with_a_finer_integral(k: int) -> None:
    """One minus the mean over Z_0 of P(|Z_i - Z_0| < sqrt(2) t)^k, without a table and with four times the nodes."""
    t = np.array([*np.linspace(0.05, 6, 60), 9.0, 20.0, 35.0])
    z = np.linspace(-45, 45, 2881)
    miss = special.ndtr(z - math.sqrt(2) * t[:, None]) + special.ndtr(-z - math.sqrt(2) * t[:, None])
    with np.errstate(divide="ignore"):
        expected = -np.expm1(k * np.log1p(-miss)) @ stats.norm.pdf(z) * (z[1] - z[0])
    np.testing.assert_allclose(p_value(t, k, np.inf), expected, rtol=2e-11)


@pytest.mark.parametrize(("t", "k", "df"), [(0.7, 4, 3), (2.5, 8, 16), (3.2, 30, 5), (2.9, 300, 40)])
def test_agrees_with_adaptive_double_integration(t: float, k: int, df: int) -> None:
    def given_s(s: float) -> float:
        def inner(z: float) -> float:
            inside = special.ndtr(z + np.sqrt(2) * t * s) - special.ndtr(z - np.sqrt(2) * t * s)
            return float(inside**k * math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi))

        return integrate.quad(inner, -9, 9, epsabs=1e-11)[0]

    def weighted(s: float) -> float:
        """The density of s = sqrt(chi-squared / df), times P(max |t_i| < t) given s."""
        log = (df - 1) * math.log(s) - df * s * s / 2 + df / 2 * math.log(df / 2) - math.lgamma(df / 2) + math.log(2)
        return given_s(s) * math.exp(log)

    below = integrate.quad(weighted, 0, 6, epsabs=1e-9)[0]
    assert p_value(t, k, df) == pytest.approx(1 - below, abs=1e-8)


def test_a_large_family_lies_between_one_test_and_bonferroni() -> None:
    t = np.array([2.0, 4.0, 6.0])
    single = 2 * stats.t.sf(t, 20)
    p = p_value(t, 300, 20)
    assert np.all(single < p)
    assert np.all(p < np.minimum(1, 300 * single))


def test_critical_value_inverts_p_value() -> None:
    for alpha, k, df in [(0.5, 2, 1), (0.05, 1, 2), (0.05, 200, 7), (1e-6, 12, 30), (0.05, 8, np.inf), (0.95, 1, 5)]:
        assert p_value(critical_value(alpha, k, df), k, df) == pytest.approx(alpha, rel=1e-9)


def test_p_falls_as_t_grows_and_ignores_the_sign() -> None:
    t = np.linspace(0, 40, 400)
    p = p_value(t, 8, 6)
    assert p[0] == 1
    assert np.all(p <= 1)
    assert np.all(np.diff(p[t > 0.5]) < 0)
    np.testing.assert_array_equal(p, p_value(-t, 8, 6))


def test_no_difference_has_a_p_of_exactly_one() -> None:
    for k in (1, 2, 3, 8, 30, 200):
        for df in (0.5, 1, 2, 3, 7, 16, 40, 100, 1e4, np.inf):
            assert p_value(0.0, k, df) == 1


def test_extremes_give_limits_and_nan_stays() -> None:
    np.testing.assert_array_equal(p_value([np.nan, np.inf, -np.inf], 3, 5), [np.nan, 0, 0])
    assert p_value(1e5, 3, 1e5) == 0
    assert 0 < p_value(1e12, 3, 1) < 1e-11


def test_shape_is_kept_and_a_value_does_not_depend_on_its_company() -> None:
    t = np.array([[0.5, 2.0], [3.0, 9.0]])
    p = p_value(t, 5, 8)
    assert p.shape == (2, 2)
    np.testing.assert_allclose(p[0, 1], p_value(2.0, 5, 8), rtol=1e-11)


def test_the_same_input_gives_the_same_bits() -> None:
    first = p_value([0.3, 2.2, 4.1], 7, 12), critical_value(0.05, 7, 12)
    critical_value.cache_clear()
    second = p_value([0.3, 2.2, 4.1], 7, 12), critical_value(0.05, 7, 12)
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1] == second[1]


@pytest.mark.parametrize("shift", [0.0, 5.0])
@pytest.mark.parametrize("df", [1, 4, 30, 1e6])
def test_chi_nodes_integrate_moments(df: float, shift: float) -> None:
    s, weight = log_chi_nodes(df, shift)
    for power in (0.0, 1.0, 2.0, 4.0):
        moment = math.exp(special.gammaln((df + power) / 2) - special.gammaln(df / 2)) * (2 / df) ** (power / 2)
        assert weight @ s**power == pytest.approx(moment, rel=1e-9 if df > 100 else 1e-12)


@pytest.mark.parametrize(("k", "df"), [(0, 5), (3, 0), (3, -1), (3, np.nan)])
def test_impossible_designs_are_refused(k: int, df: float) -> None:
    with pytest.raises(ValueError, match="k >= 1"):
        p_value(1.0, k, df)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, np.nan])
def test_impossible_levels_are_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        critical_value(alpha, 3, 5)
