"""Unequal spreads at few seeds: the family-wise error and the power of the comparison beside those of other tests.

    python -m benchmarks.spreads [--replicates 20000]

Every cell is a null study with normal errors: k variants and a baseline, one run of each under each of n seeds. The
last column is the power where all spreads are equal, for a difference of `EFFECTS[n]` residual SDs in one variant.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

import ablation.stats.dunnett as dunnett
from ablation.stats import compare
from ablation.stats.blocked import MIN_DF_TWO_SEEDS, own_factor
from ablation.stats.paired import t_critical
from ablation.stats.pooling import cochran_critical_value

Array = np.ndarray[tuple[Any, ...], np.dtype[np.float64]]
ALPHA = 0.05
SEEDS = (2, 3, 5, 10)
VARIANTS = (2, 8, 20)
EFFECTS = {2: 5.1, 3: 3.6, 5: 2.6, 10: 1.7}
"""What the pooled error with the first guard alone detects with 80 % power, in residual SDs, with eight variants."""
_BATCH = 4000


def patterns(k: int) -> dict[str, Array]:
    """The spreads of the baseline (first) and of k variants, by name."""

    def row(**at: float) -> Array:
        spread = np.ones(k + 1)
        for name, value in at.items():
            spread[0 if name == "baseline" else 1] = value
        return spread

    half = np.ones(k + 1)
    half[1 : 1 + max(1, k // 2)] = 3.0
    return {
        "equal": row(),
        "one variant x 3": row(variant=3.0),
        "one variant x 5": row(variant=5.0),
        "baseline x 3": row(baseline=3.0),
        "baseline x 5": row(baseline=5.0),
        "half of them x 3": half,
        "1 to 3": np.linspace(1.0, 3.0, k + 1),
        "3 to 1": np.linspace(3.0, 1.0, k + 1),
    }


class Tables:
    """Many studies at once, shape (studies, rows, seeds), with what the tests share."""

    def __init__(self, y: Array) -> None:
        self.n, self.k = y.shape[2], y.shape[1] - 1
        d = y[:, 1:] - y[:, :1]
        self.size, self.variance = np.abs(d.mean(axis=2)), d.var(axis=2, ddof=1)
        self.kept = _screen(y)
        self.groups = self.kept.sum(axis=1, keepdims=True)
        centred = y - y.mean(axis=2, keepdims=True)
        inside = self.kept[:, :, None]
        residual = (centred - (centred * inside).sum(axis=1, keepdims=True) / self.groups[:, :, None]) * inside
        df = (self.groups - 1) * (self.n - 1)
        squares = (residual**2).sum(axis=2)
        self.mse = squares.sum(axis=1, keepdims=True) / np.maximum(df, 1)
        own = squares / (self.n - 1) * (self.groups / np.maximum(self.groups - 1, 1)) ** 2
        self.own = np.maximum(own[:, 1:], own[:, :1])
        self.pooled = self.kept[:, :1] & self.kept[:, 1:]
        self.enough = (self.n > 2) | (df >= MIN_DF_TWO_SEEDS)
        self.critical = np.array([_critical(self.k, int(g), self.n) for g in self.groups[:, 0]])[:, None]

    def guarded(self, variance: Array) -> Array:
        """Whether the pooled differences pass the second guard as well, a t test on these variances."""
        bar = _t_critical(own_factor(self.n, self.k), self.n) * np.sqrt(variance / self.n)
        return np.asarray(one_guard(self) & ((self.size > bar) | ~self.pooled))


def paired_t(tables: Tables) -> Array:
    return np.asarray(tables.size > _t_critical(tables.k, tables.n) * np.sqrt(tables.variance / tables.n))


def one_guard(tables: Tables) -> Array:
    """The pooled error, at least that of the variant's own differences."""
    error = np.sqrt(np.maximum(2.0 * tables.mse, tables.variance) / tables.n)
    found = (tables.size > tables.critical * error) & tables.enough
    return np.asarray(np.where(tables.pooled, found, paired_t(tables)))


def own_differences(tables: Tables) -> Array:
    """The second guard on the variance of the differences."""
    return tables.guarded(tables.variance)


def own_spread(tables: Tables) -> Array:
    """What `compare` does: the second guard on how a row departs from all others."""
    return tables.guarded(tables.own)


TESTS: dict[str, Callable[[Tables], Array]] = {
    "paired t, Bonferroni": paired_t,
    "pooled, one guard": one_guard,
    "pooled, second guard on the differences": own_differences,
    "pooled, second guard on the rows (ours)": own_spread,
}


@lru_cache
def _t_critical(factor: float, n: int) -> float:
    return t_critical(ALPHA / factor, n - 1)


@lru_cache
def _critical(k: int, groups: int, n: int) -> float:
    return dunnett.critical_value(ALPHA, k, (groups - 1) * (n - 1)) if groups > 1 else np.inf


def _screen(y: Array) -> Array:
    """`pooling.screen` of each study."""
    variance = y.var(axis=2, ddof=1)
    kept = np.ones(variance.shape, dtype=np.bool_)
    going = np.ones(len(y), dtype=np.bool_)
    for groups in range(y.shape[1], 2, -1):
        inside = np.where(kept, variance, 0.0)
        going = going & (inside.max(axis=1) > inside.sum(axis=1) * cochran_critical_value(groups, y.shape[2]))
        kept[going, inside[going].argmax(axis=1)] = False
    return kept


def studies(k: int, n: int, spread: Array, replicates: int, effect: float = 0.0) -> Iterator[Array]:
    """Batches of studies; the first variant has the effect."""
    rng = np.random.default_rng([k, n, round(1000 * effect)])
    for start in range(0, replicates, _BATCH):
        y = rng.normal(size=(min(_BATCH, replicates - start), k + 1, n)) * spread[:, None]
        y[:, 1] += effect
        yield y


def rates(k: int, n: int, spread: Array, replicates: int, effect: float = 0.0) -> dict[str, float]:
    """By test: how often anything is detected; with an effect, how often it is."""
    found = dict.fromkeys(TESTS, 0)
    for y in studies(k, n, spread, replicates, effect):
        tables = Tables(y)
        for name, test in TESTS.items():
            detected = test(tables)
            found[name] += int((detected[:, 0] if effect else detected.any(axis=1)).sum())
    return {name: count / replicates for name, count in found.items()}


def check(k: int, n: int, spread: Array, number: int = 50) -> None:
    """Raise RuntimeError unless the test of many studies at once decides as `compare` does."""
    y = next(studies(k, n, spread, number, effect=2.0))
    ours = own_spread(Tables(y))
    for table, detected in zip(y, ours, strict=True):
        if [effect.detected(ALPHA) for effect in compare(table, ALPHA).effects] != detected.tolist():
            raise RuntimeError(f"the simulated test and compare disagree for k={k}, n={n}, spreads {spread.tolist()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=20_000)
    replicates = parser.parse_args().replicates
    error = 2.0 * np.sqrt(ALPHA * (1 - ALPHA) / replicates)
    print(f"family-wise error at alpha = {ALPHA}; {replicates:,} studies a figure, right to about {error:.3f}")
    for k in VARIANTS:
        spreads = patterns(k)
        for n in SEEDS:
            check(k, n, spreads["1 to 3"])
            columns = [rates(k, n, spread, replicates) for spread in spreads.values()]
            columns.append(rates(k, n, spreads["equal"], replicates, EFFECTS[n]))
            print(f"\n| k = {k}, n = {n} | {' | '.join(spreads)} | power at {EFFECTS[n]} SD |")
            print("|---" * (len(columns) + 1) + "|")
            for test in TESTS:
                print(f"| {test} | {' | '.join(f'{column[test]:.3f}' for column in columns)} |", flush=True)


if __name__ == "__main__":
    main()
