"""The guarded blocked Dunnett comparison of variants with one baseline over common seeds.

Seeds are blocks: the error is the variant x seed interaction, pooled over the groups whose variances pass Cochran's
screen. Variants that cannot share the pool are tested on their own differences, at a Bonferroni share of alpha. No
value is ever imputed.

A pooled error is too small for a variant, or a baseline, that varies more than the others, and with few seeds the
screen seldom finds it. Two guards hold the family-wise error there. The standard error is at least that of the
variant's own differences. And the interval is at least as wide as a t interval, on n - 1 degrees of freedom, from the
larger spread of the two rows that are compared: how much a row departs from the mean of all others
(`pooling.spreads`). Its level is 1 - alpha / `own_factor`, calibrated by simulation so that the family-wise error is at
most alpha where one or several rows have up to five times the spread of the others (`python -m benchmarks.spreads`;
docs/statistics.md has its table).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

import ablation.stats.dunnett as dunnett
from ablation.stats.arrays import FloatArray, as_table, check_alpha, negligible_variance
from ablation.stats.effects import Comparison, Effect, Method, Reason, describe
from ablation.stats.paired import holm, paired_t, sign_flip_max_t, t_critical
from ablation.stats.pooling import PooledError, pooled_error

MIN_DF_TWO_SEEDS = 4
"""With two seeds the pooled error must have this many degrees of freedom; with fewer there is no claim."""
MIN_OWN_SEEDS = 3
"""An incomplete variant, or the sensitivity column, needs this many seeds for a test of its own."""
MIN_FLIP_SEEDS = 10
"""Seeds from which the sign-flip check can reach .05 in a family of usual size."""

_NAN = float("nan")


class _Test(NamedTuple):
    difference: float
    low: float = _NAN
    high: float = _NAN
    t: float = _NAN
    p: float = _NAN


def compare(
    y: npt.ArrayLike, alpha: float = 0.05, guard: bool = True, absent: int = 0, checks: bool = True
) -> Comparison:
    """Compare every variant with the baseline.

    y has shape (variants + 1, seeds): the metric of each run, the baseline in row 0, NaN or inf for a run that is
    missing or diverged. guard=False leaves out both guards. absent counts the comparisons of the family that are not in
    the table; checks=False leaves out the p-values that no claim rests on. Raises ValueError for fewer than two rows,
    no seeds, or alpha outside (0, 1). Dunnett 1955 (JASA 50) on randomised blocks; Cochran 1941 for the screen.
    """
    check_alpha(alpha)
    table = as_table(y, "Y", 2)
    pool = pooled_error(table)
    differences = table[1:] - table[0]
    pooled = _pooled_method(table, pool)
    plan = [_method(i, differences[i], pool, pooled) for i in range(len(differences))]
    methods = [method for method, _ in plan]
    k = _comparisons(methods)
    k += absent if k else 0
    critical = dunnett.critical_value(alpha, k, pool.df) if k else _NAN
    tests = _own_tests(differences, methods, alpha, absent)
    tests |= _dunnett_tests(differences, methods, pool, k, alpha, guard)
    effects = _effects(table, plan, [tests[i] for i in range(len(plan))], pool, checks)
    return Comparison(alpha, describe(table[0]), effects, pool, k, critical, pool.screened[0])


def _method(
    i: int, d: FloatArray, pool: PooledError, pooled: tuple[Method, Reason | None]
) -> tuple[Method, Reason | None]:
    """How variant i, with differences d, is to be tested, or why it cannot be; `pooled` is that of all in the pool."""
    pairs = int(np.isfinite(d).sum())
    if pairs < 2:
        return Method.NONE, Reason.ONE_SEED if pairs else Reason.NO_RUNS
    if not pool.complete[i + 1] and pairs < MIN_OWN_SEEDS:
        return Method.NONE, Reason.FEW_SEEDS
    if pool.kept[0] and pool.kept[i + 1]:
        return pooled
    if np.isnan(paired_t(d).p):
        return Method.NONE, Reason.NO_VARIATION
    return (Method.BONFERRONI if pool.kept[0] else Method.HOLM), None


def _pooled_method(table: FloatArray, pool: PooledError) -> tuple[Method, Reason | None]:
    """The method of all variants in the pool."""
    if pool.mse <= negligible_variance(table):
        return Method.NONE, Reason.NO_VARIATION
    if pool.n == 2 and pool.df < MIN_DF_TWO_SEEDS:
        return Method.NONE, Reason.FEW_DF
    return Method.DUNNETT, None


def _comparisons(methods: Sequence[Method]) -> int:
    """Comparisons of the Dunnett distribution: all variants that are tested, those on their own error among them.

    Their Bonferroni shares would otherwise come on top of alpha, and neither missing runs nor outlying variances are
    rare events where nothing has an effect.
    """
    return sum(method is not Method.NONE for method in methods) if Method.DUNNETT in methods else 0


def own_factor(n: int, k: int) -> float:
    """By how much the p-value of the t test on a row's own spread is multiplied, with n seeds and k comparisons.

    With two seeds, one: the test itself is weak then. It grows with the seeds, up to the Bonferroni factor.
    """
    return min(float(k), max(n / 2.0, n - 2.0))


def _dunnett_tests(
    differences: FloatArray, methods: Sequence[Method], pool: PooledError, k: int, alpha: float, guard: bool
) -> dict[int, _Test]:
    """Tests of the pooled variants, by their index; t is that of SE = sqrt(max(2 MSE, var d) / n)."""
    members = [i for i, method in enumerate(methods) if method is Method.DUNNETT]
    if not members:
        return {}
    d = differences[members][:, np.array(pool.seeds)]
    mean, variance = d.mean(axis=1), np.full(len(d), 2.0 * pool.mse)
    if guard:
        variance = np.maximum(variance, d.var(axis=1, ddof=1))
    error = np.sqrt(variance) / math.sqrt(pool.n)
    t = mean / error
    p = dunnett.p_value(t, k, pool.df)
    half = dunnett.critical_value(alpha, k, pool.df) * error
    if guard:
        own = np.sqrt(np.maximum(pool.own[0], np.array(pool.own)[1:][members])) / math.sqrt(pool.n)
        own_t = np.divide(np.abs(mean), own, out=np.full_like(mean, np.inf), where=own > 0)
        factor, df = own_factor(pool.n, k), pool.n - 1
        p = np.maximum(p, np.minimum(1.0, factor * 2.0 * special.stdtr(df, -own_t)))
        half = np.maximum(half, t_critical(alpha / factor, df) * own)
    columns = mean, mean - half, mean + half, t, p
    return {i: _Test(*row) for i, row in zip(members, np.stack(columns, axis=1).tolist(), strict=True)}


def _own_tests(differences: FloatArray, methods: Sequence[Method], alpha: float, absent: int) -> dict[int, _Test]:
    """Tests of the other variants on their own differences, by their index; untested ones get the difference only.

    Intervals at alpha / family; p times the family, or Holm's, which applies to all variants together.
    """
    family = max(1, absent + sum(method is not Method.NONE for method in methods))
    own = {i: paired_t(differences[i], alpha / family) for i, m in enumerate(methods) if m is not Method.DUNNETT}
    tests = {i: _Test(result.difference) for i, result in own.items()}
    tested = [i for i in own if methods[i] is not Method.NONE]
    p = np.array([own[i].p for i in tested])
    adjusted = holm(np.append(p, np.ones(absent)))[: len(p)] if Method.HOLM in methods else np.minimum(1.0, family * p)
    for i, q in zip(tested, adjusted.tolist(), strict=True):
        tests[i] = _Test(own[i].difference, own[i].low, own[i].high, own[i].t, q)
    return tests


def _effects(
    table: FloatArray,
    plan: Sequence[tuple[Method, Reason | None]],
    tests: Sequence[_Test],
    pool: PooledError,
    checks: bool,
) -> tuple[Effect, ...]:
    """The record of each variant."""
    differences = table[1:] - table[0]
    pairs = np.isfinite(differences).sum(axis=1).tolist()
    unknown = [_NAN] * len(differences)
    paired, flips = _sensitivity(differences, pool) if checks else (unknown, unknown)
    screened = pool.screened
    effects = []
    for i, ((method, reason), test) in enumerate(zip(plan, tests, strict=True)):
        own = describe(table[i + 1])
        effect = Effect(
            n=own.n,
            mean=own.mean,
            sd=own.sd,
            pairs=pool.n if method is Method.DUNNETT else pairs[i],
            **test._asdict(),
            method=method,
            reason=reason,
            screened=screened[i + 1],
            incomplete=not pool.complete[i + 1],
            paired_p=paired[i],
            sign_flip_p=flips[i],
        )
        effects.append(effect)
    return tuple(effects)


def _sensitivity(differences: FloatArray, pool: PooledError) -> tuple[list[float], list[float]]:
    """Holm-adjusted paired t and sign-flip max-T p-values of all variants, NaN where they have too few seeds."""
    enough = np.isfinite(differences).sum(axis=1) >= MIN_OWN_SEEDS
    own = [paired_t(d).p if ok else _NAN for d, ok in zip(differences, enough, strict=True)]
    flips = np.full(len(differences), _NAN)
    if pool.n >= MIN_FLIP_SEEDS:
        flips = sign_flip_max_t(differences[:, np.array(pool.seeds)])
    return holm(own).tolist(), flips.tolist()
