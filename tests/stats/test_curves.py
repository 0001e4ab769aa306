"""The data curve."""

import numpy as np
import pytest

from ablation.stats.curves import PowerLaw, fit_power_law

FRACTIONS = [0.01, 0.1, 0.5, 0.8, 1.0]


def runs(a: float = 0.08, b: float = 0.5, c: float = 0.05, sd: float = 0.002, seeds: int = 5) -> np.ndarray:
    rng = np.random.default_rng(4)
    mean = a * np.array(FRACTIONS) ** -b + c
    return mean[:, None] + sd * (rng.normal(size=seeds) + rng.normal(size=(len(mean), seeds)))


def test_an_exact_curve_is_found() -> None:
    fit = fit_power_law(FRACTIONS, runs(sd=1e-7))
    assert (fit.a.value, fit.b.value, fit.c.value) == pytest.approx((0.08, 0.5, 0.05), abs=1e-5)
    assert fit.predict(2.0).value == pytest.approx(0.08 * 2**-0.5 + 0.05, abs=1e-5)
    assert fit.on_bound == ()


@pytest.mark.parametrize(("a", "b", "c"), [(0.3, 0.1, 0.02), (0.01, 1.5, 0.3), (5.0, 0.3, 20.0)])
def test_slow_fast_and_percent_curves_are_found(a: float, b: float, c: float) -> None:
    fit = fit_power_law(FRACTIONS, runs(a, b, c, sd=1e-9))
    assert (fit.a.value, fit.b.value, fit.c.value) == pytest.approx((a, b, c), rel=1e-3)


def test_intervals_hold_the_truth_and_use_the_seeds_as_sample() -> None:
    fit = fit_power_law(FRACTIONS, runs())
    assert (fit.n, fit.df) == (5, 4)
    for interval, truth in ((fit.a, 0.08), (fit.b, 0.5), (fit.c, 0.05), (fit.predict(1.5), 0.08 * 1.5**-0.5 + 0.05)):
        assert interval.low < truth < interval.high


def test_the_prediction_where_data_lie_is_about_as_wide_as_the_mean_there() -> None:
    y = runs(sd=0.01, seeds=40)
    width = fit_power_law(FRACTIONS, y).predict(1.0)
    spread = 2 * 2.02 * y[-3:].mean(axis=0).std(ddof=1) / 40**0.5
    assert width.high - width.low == pytest.approx(spread, rel=0.25)


def test_a_curve_without_floor_says_that_c_sits_on_its_bound() -> None:
    fit = fit_power_law(FRACTIONS, np.array(FRACTIONS)[:, None] ** -0.4 * 0.1 * np.array([0.99, 1.0, 1.01]))
    assert fit.floor_on_bound
    assert fit.c.value == pytest.approx(0, abs=1e-5)


def test_a_flat_curve_says_that_nothing_is_determined() -> None:
    flat = np.full((5, 3), 0.2) + np.array([0.0, 0.01, -0.01])
    assert fit_power_law(FRACTIONS, flat).on_bound != ()


def test_extrapolation_stops_at_twice_the_data() -> None:
    fit = fit_power_law(FRACTIONS, runs())
    fit.predict(0.01)
    for fraction in (2.001, 0.009, np.nan):
        with pytest.raises(ValueError, match="holds from"):
            fit.predict(fraction)


def test_incomplete_seeds_do_not_count() -> None:
    y = runs(seeds=4)
    y[0, 2] = np.nan
    assert fit_power_law(FRACTIONS, y) == fit_power_law(FRACTIONS, np.delete(y, 2, axis=1))


def test_fewer_than_four_fractions_or_three_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="4 fractions and 3"):
        fit_power_law(FRACTIONS[:3], runs()[:3])
    with pytest.raises(ValueError, match="4 fractions and 3"):
        fit_power_law(FRACTIONS, runs(seeds=2))


@pytest.mark.parametrize("fractions", [[0, 0.1, 0.5, 0.8, 1], [0.1, 0.1, 0.5, 0.8, 1], [0.1, 0.5, 0.8, 1]])
def test_other_fractions_are_refused(fractions: list[float]) -> None:
    with pytest.raises(ValueError, match="positive, distinct"):
        fit_power_law(fractions, runs())


def test_errors_that_are_negative_or_zero_are_refused() -> None:
    for value in (-0.1, 0.0):
        y = runs()
        y[4] = value
        with pytest.raises(ValueError, match="negative"):
            fit_power_law(FRACTIONS, y)


def test_the_same_input_gives_the_same_bits() -> None:
    first, second = (fit_power_law(FRACTIONS, runs()) for _ in range(2))
    assert isinstance(first, PowerLaw)
    assert repr(first) == repr(second)
