"""The data curve."""

import math

import numpy as np
import pytest
from scipy import stats

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


def test_intervals_are_those_of_the_linearised_estimates_of_each_seed() -> None:
    """Each seed's errors, regressed on the gradient of the curve, give one estimate; t over the seeds does the rest."""
    y, alpha = runs(seeds=6), 0.1
    fit = fit_power_law(FRACTIONS, y, alpha)
    found = np.array([fit.a.value, fit.b.value, fit.c.value])

    def curve(p: np.ndarray, f: np.ndarray) -> np.ndarray:
        return np.asarray(p[0] * f ** -p[1] + p[2])

    def gradient(f: np.ndarray) -> np.ndarray:
        return np.stack([(curve(found + e, f) - curve(found - e, f)) / 2e-6 for e in 1e-6 * np.eye(3)], axis=1)

    f = np.array(FRACTIONS)
    estimates = np.stack([found + np.linalg.lstsq(gradient(f), own - curve(found, f), rcond=None)[0] for own in y.T])
    bar = stats.t.isf(alpha / 2, 5)
    expected = estimates.std(axis=0, ddof=1) / math.sqrt(6)
    deviations = np.array(fit.deviations)
    np.testing.assert_allclose(deviations @ deviations.T, np.cov(estimates.T) / 6, rtol=1e-5)
    for interval, error in zip((fit.a, fit.b, fit.c), expected, strict=True):
        assert interval.high - interval.value == pytest.approx(bar * error, rel=1e-5)
        assert interval.value - interval.low == pytest.approx(bar * error, rel=1e-5)
    at = fit.predict(0.3)
    predicted = estimates @ gradient(np.array([0.3]))[0]
    assert at.value == pytest.approx(curve(found, np.array([0.3]))[0])
    for half in (at.high - at.value, at.value - at.low):
        assert half == pytest.approx(bar * predicted.std(ddof=1) / math.sqrt(6), rel=1e-5)
    assert (fit.alpha, fit.smallest, fit.largest) == (0.1, 0.01, 1.0)


def test_no_other_curve_fits_the_means_better() -> None:
    y = runs(sd=0.01, seeds=3)
    fit, f, mean = fit_power_law(FRACTIONS, y), np.array(FRACTIONS), y.mean(axis=1)

    def loss(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        return np.asarray(((mean - a[:, None] * f ** -b[:, None] - c[:, None]) ** 2).sum(axis=1))

    found = np.array([[fit.a.value], [fit.b.value], [fit.c.value]])
    for reach in (1.0, 1e-1, 1e-2, 1e-3):
        other = found * np.exp(reach * np.random.default_rng(0).normal(size=(3, 20_000)))
        other[2] = np.minimum(other[2], mean.min())
        assert loss(*found) < loss(*other).min()


def test_the_order_of_the_fractions_and_the_unit_of_the_error_do_not_matter() -> None:
    fit, turned = fit_power_law(FRACTIONS, runs()), fit_power_law(FRACTIONS[::-1], runs()[::-1])
    percent = fit_power_law(FRACTIONS, 100 * runs())
    assert (turned.b.value, turned.b.low) == pytest.approx((fit.b.value, fit.b.low), rel=1e-6)
    assert (turned.smallest, turned.largest) == (0.01, 1.0)
    assert (percent.b.value, percent.b.low) == pytest.approx((fit.b.value, fit.b.low), rel=1e-6)
    assert (percent.c.high, percent.a.low) == pytest.approx((100 * fit.c.high, 100 * fit.a.low), rel=1e-6)


def exactly(f: list[float], a: float, b: float, c: float) -> np.ndarray:
    return np.tile((a * np.array(f) ** -b + c)[:, None], 3)


@pytest.mark.parametrize("unit", [1.0, 100.0])
@pytest.mark.parametrize(
    ("a", "b", "c", "names"),
    [
        (0.1, 0.5, 0.00005, ("c",)), (0.1, 0.5, 0.00012, ()), (0.1, 0.5, 0.0, ("c",)),
        (0.00005, 1.0, 0.1, ("a", "c")), (0.00012, 1.0, 0.1, ()),
        (0.1, 4.997, 0.05, ("b",)), (0.1, 4.99, 0.05, ()), (0.1, 0.5, 0.05, ()),
    ],
)  # fmt: skip
def test_a_parameter_within_a_thousandth_of_its_bound_is_named(
    unit: float, a: float, b: float, c: float, names: tuple[str, ...]
) -> None:
    """Of the smallest mean error, that at the whole data, for a and c; of its range of 5 for b."""
    fit = fit_power_law(FRACTIONS, unit * exactly(FRACTIONS, a, b, c))
    assert fit.on_bound == names
    assert fit.floor_on_bound == ("c" in names)


def test_parameters_stay_within_their_bounds() -> None:
    near = [0.5, 0.6, 0.8, 1.0]
    steep = fit_power_law(near, exactly(near, 0.1, 9.0, 0.05))
    assert steep.b.value == pytest.approx(5)
    assert "b" in steep.on_bound
    below_zero = fit_power_law(FRACTIONS, exactly(FRACTIONS, 0.1, 0.3, -0.05))
    assert below_zero.c.value == pytest.approx(0, abs=1e-4)
    rising = fit_power_law(FRACTIONS, np.tile([[0.1], [0.2], [0.3], [0.4], [0.5]], 3))
    assert rising.a.value == pytest.approx(0, abs=1e-3) or rising.b.value == pytest.approx(0, abs=1e-3)
    assert rising.c.value <= 0.1 * (1 + 1e-12)


def test_the_prediction_where_data_lie_is_about_as_wide_as_the_mean_there() -> None:
    y = runs(sd=0.01, seeds=40)
    width = fit_power_law(FRACTIONS, y).predict(1.0)
    spread = 2 * 2.02 * y[-3:].mean(axis=0).std(ddof=1) / 40**0.5
    assert width.high - width.low == pytest.approx(spread, rel=0.25)


def test_a_steep_curve_over_a_wide_range_is_found() -> None:
    """Errors from 1e8 down to 0.15: a search over all three parameters at once gives up here."""
    fit = fit_power_law(FRACTIONS, exactly(FRACTIONS, 0.1, 4.5, 0.05))
    assert fit.b.value == pytest.approx(4.5, rel=1e-6)


def test_a_curve_without_floor_says_that_c_sits_on_its_bound() -> None:
    fit = fit_power_law(FRACTIONS, np.array(FRACTIONS)[:, None] ** -0.4 * 0.1 * np.array([0.99, 1.0, 1.01]))
    assert fit.floor_on_bound
    assert fit.c.value == pytest.approx(0, abs=1e-5)


def test_a_flat_curve_says_that_nothing_is_determined() -> None:
    flat = np.full((5, 3), 0.2) + np.array([0.0, 0.01, -0.01])
    assert fit_power_law(FRACTIONS, flat).on_bound != ()


def test_the_level_is_five_per_cent_unless_asked_otherwise_and_lies_between_zero_and_one() -> None:
    assert fit_power_law(FRACTIONS, runs()) == fit_power_law(FRACTIONS, runs(), 0.05)
    for alpha in (0.0, 1.0):
        with pytest.raises(ValueError, match="alpha"):
            fit_power_law(FRACTIONS, runs(), alpha)


def test_extrapolation_stops_at_twice_the_largest_fraction_that_was_trained() -> None:
    fit = fit_power_law(FRACTIONS[:4], runs()[:4])
    assert fit.predict(1.6).value > 0
    with pytest.raises(ValueError, match=r"from 0.01 to 1.6, not at 1.7"):
        fit.predict(1.7)


def test_the_prediction_of_a_flat_curve_is_that_of_its_limit_a_parabola_in_the_log_of_the_fraction() -> None:
    """At b = 0 the gradient spans 1, log f and its square: a and c are undetermined, the error at a fraction is not."""
    log, at_bound = np.log(FRACTIONS), 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        y = 0.2 + 0.01 * (rng.normal(size=(5, 4)) + rng.normal(size=4))
        fit = fit_power_law(FRACTIONS, y)
        at_bound += fit.b.value < 1e-5 and fit.a.value > 1e-3
        for fraction in (0.01, 0.3, 2.0):
            found = fit.predict(fraction)
            assert 0 < found.high - found.low < 1
            if fit.b.value < 1e-5 and fit.a.value > 1e-3:
                limit = [np.polyval(np.polyfit(log, own, 2), math.log(fraction)) for own in y.T]
                expected = stats.t.isf(0.025, 3) * np.std(limit, ddof=1) / 2
                assert found.high - found.value == pytest.approx(expected, rel=0.02)
    assert at_bound >= 3


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


def test_four_fractions_and_three_seeds_are_enough_and_a_run_without_an_error_is_one() -> None:
    y = runs(seeds=3)[1:]
    y[3, 0] = 0.0
    fit = fit_power_law(FRACTIONS[1:], y)
    assert (fit.n, fit.df, fit.smallest) == (3, 2, 0.1)


@pytest.mark.parametrize(
    "fractions", [[np.nan, 0.1, 0.5, 0.8, 1], [0, 0.1, 0.5, 0.8, 1], [0.1, 0.1, 0.5, 0.8, 1], [0.1, 0.5, 0.8, 1]]
)
def test_other_fractions_are_refused(fractions: list[float]) -> None:
    with pytest.raises(ValueError, match="positive, distinct"):
        fit_power_law(fractions, runs())


def test_errors_that_are_negative_or_zero_are_refused() -> None:
    for value in (-0.1, 0.0):
        y = runs()
        y[4] = value
        with pytest.raises(ValueError, match="negative"):
            fit_power_law(FRACTIONS, y)
    y = runs()
    y[2, 1] = -1e-6
    with pytest.raises(ValueError, match="negative"):
        fit_power_law(FRACTIONS, y)


def test_the_same_input_gives_the_same_bits() -> None:
    first, second = (fit_power_law(FRACTIONS, runs()) for _ in range(2))
    assert isinstance(first, PowerLaw)
    assert repr(first) == repr(second)
