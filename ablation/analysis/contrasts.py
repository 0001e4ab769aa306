"""What the study says beyond one change at a time: interactions, trends over a sweep, the data curve, selection."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

import ablation.stats as stats
from ablation.analysis.compare import Run, Table, table
from ablation.analysis.measure import Measure
from ablation.analysis.types import DataCurve, Effect, Interaction, Selection, Sweep, TrendTest
from ablation.registry.metrics import SELECTION
from ablation.results.runs import Results
from ablation.stats import Comparison, Contrast
from ablation.storage.manifest import Manifest, StoredVariant

_FRACTION = "data.fraction"
_DOUBLE = 2.0


def pairs_of_changes(manifest: Manifest) -> list[tuple[StoredVariant, StoredVariant, StoredVariant]]:
    """Arms of exactly two changes with the two variants that make one of these each: (both, first, second)."""
    alone = [variant for variant in manifest.variants if len(variant.changes) == 1]
    found = []
    for variant in manifest.variants:
        if variant.kind == "combine" and len(variant.changes) == 2:
            parts = [next((a for a in alone if dict(a.changes) == {p: v}), None) for p, v in variant.changes.items()]
            if parts[0] and parts[1]:
                found.append((variant, parts[0], parts[1]))
    return found


def interactions(
    manifest: Manifest, effects: Mapping[str, Effect], values: Mapping[Run, float], found: Comparison, looks: int = 1
) -> tuple[Interaction, ...]:
    """The interactions that can be tested: all four variants have trustworthy values under two common seeds.

    `looks` is the number of those that may have ended the study: levels and p-values are adjusted for it (Bonferroni).
    """
    if not found.pool.df:
        return ()
    base = manifest.baseline.name
    triples, cells = [], []
    for both, first, second in pairs_of_changes(manifest):
        cell = table([base, first.name, second.name, both.name], manifest.seeds, values)
        if _trusted(effects, first, second, both) and _complete(cell) >= 2:
            triples.append((both.name, (first.name, second.name)))
            cells.append(cell)
    level = found.alpha / looks
    tested = stats.interactions(cells, found.pool.mse, found.pool.df, level)
    return tuple(
        Interaction(
            name, parts, c.n, c.estimate, _or_none(c.low), _or_none(c.high), _over_looks(c.p, looks), c.p <= level
        )
        for (name, parts), c in zip(triples, tested, strict=True)
    )


def _trusted(effects: Mapping[str, Effect], *variants: StoredVariant) -> bool:
    return all(effects[variant.name].verdict != "unstable" for variant in variants)


def _complete(cell: Table) -> int:
    return int(np.isfinite(cell).all(axis=0).sum())


def trends(
    sweeps: Sequence[Sweep],
    effects: Mapping[str, Effect],
    seeds: Sequence[int],
    values: Mapping[Run, float],
    found: Comparison,
    looks: int = 1,
) -> tuple[TrendTest, ...]:
    """Linear and quadratic trends of every sweep but that over the data fraction, one family; Page's test beside.

    `looks` is as in `interactions`.
    """
    if not found.pool.df:
        return ()
    shown = [sweep for sweep in sweeps if sweep.path != _FRACTION]
    kept = [[level for level in sweep.levels if effects[level[1]].verdict != "unstable"] for sweep in shown]
    rows = [table([variant for _, variant in levels], seeds, values) for levels in kept]
    usable = [i for i, own in enumerate(rows) if len(own) >= 3 and _complete(own) >= 2]
    items = [([value for value, _ in kept[i]], rows[i]) for i in usable]
    tested = stats.trends(items, found.pool.mse, found.pool.df, found.alpha / looks)
    return tuple(_trend(shown[i], kept[i], own, looks) for i, own in zip(usable, tested, strict=True))


def _trend(sweep: Sweep, kept: Sequence[tuple[float, str]], own: stats.Trend, looks: int) -> TrendTest:
    levels = tuple(value for value, _ in kept)
    span = levels[-1] - levels[0]
    bent = own.quadratic
    return TrendTest(
        path=sweep.path,
        name=sweep.name,
        levels=levels,
        left_out=tuple(value for value, _ in sweep.levels if value not in levels),
        n=own.linear.n,
        rise=_scaled(own.linear, span, looks),
        bow=_scaled(bent, -((span / 2) ** 2), looks) if bent else None,
        page_p=_over_looks(own.page.p, looks) if own.page else None,
    )


def _scaled(own: Contrast, factor: float, looks: int) -> tuple[float, float, float, float] | None:
    if not math.isfinite(own.p):
        return None
    low, high = sorted((factor * own.low, factor * own.high))
    return (factor * own.estimate, low, high, min(1.0, looks * own.p))


def data_curve(
    sweeps: Sequence[Sweep],
    effects: Mapping[str, Effect],
    seeds: Sequence[int],
    values: Mapping[Run, float],
    measure: Measure,
    alpha: float,
) -> DataCurve | None:
    """The power law through the errors at each fraction of the data; None with too few fractions or seeds.

    Spreads may differ along the curve, so that levels with an outlying one stay in; those with failed runs do not.
    """
    sweep = next((own for own in sweeps if own.path == _FRACTION), None)
    levels = [level for level in sweep.levels if not effects[level[1]].failed] if sweep else []
    metric = table([variant for _, variant in levels], seeds, values)
    error = 1 - metric if measure.share else metric
    if len(levels) < 4 or _complete(error) < 3 or (measure.higher != measure.share):
        return None
    try:
        law = stats.fit_power_law([value for value, _ in levels], error, alpha)
    except ValueError:
        return None
    fractions = np.array([value for value, _ in levels])
    fitted = law.a.value * fractions**-law.b.value + law.c.value
    miss = np.abs(error[:, np.isfinite(error).all(axis=0)].mean(axis=1) - fitted)
    return DataCurve(
        fractions=tuple(value for value, _ in levels),
        n=law.n,
        a=_interval(law.a),
        b=_interval(law.b),
        c=_interval(law.c),
        double=_interval(law.predict(_DOUBLE * law.largest)),
        miss=float(miss.max()),
        miss_at=float(fractions[miss.argmax()]),
        on_bound=law.on_bound,
    )


def _interval(own: stats.Interval) -> tuple[float, float, float]:
    return (own.value, own.low, own.high)


def selection(results: Results, y: Table, found: Comparison | None, measure: Measure) -> Selection:
    """The optimism of choosing the best epoch of a run and the best variant of the study."""
    curves = _selected_curves(results, measure)
    epochs = stats.best_of_epochs(measure.sign * curves).expected if len(curves) else None
    pooled = measure.sign * y[np.array(found.pool.kept)] if found else y[:0]
    enough = len(pooled) >= 2 and _complete(pooled) >= 2
    winner = stats.best_of_variants(pooled).expected if enough else None
    return Selection(epochs, curves.shape[1], winner, len(pooled) if enough else 0)


def _selected_curves(results: Results, measure: Measure) -> Table:
    """Curves of validation accuracy, shape (runs, epochs), of the runs that report their best epoch.

    Empty where the metric is not what epochs are chosen by; of several numbers of epochs, the commonest counts.
    """
    if measure.column != SELECTION:
        return np.zeros((0, 0))
    best = {
        variant.name
        for variant in results.manifest.variants
        if results.manifest.train_of(variant).get("select") == "best"
    }
    done = results.runs[(results.runs["status"] == "finished") & results.runs["variant"].isin(best)]
    rows = results.epochs.merge(done[["variant", "seed"]], on=["variant", "seed"])
    curves = [_curve(own) for _, own in rows.groupby(["variant", "seed"], sort=False)]
    lengths = [len(curve) for curve in curves]
    usual = max(sorted(set(lengths)), key=lengths.count, default=0)
    same = [curve for curve in curves if len(curve) == usual and np.isfinite(curve).all()]
    return np.array(same) if same and usual >= stats.selection.MIN_EPOCHS else np.zeros((0, 0))


def _curve(rows: pd.DataFrame) -> Table:
    return rows.sort_values("epoch")[SELECTION].to_numpy(dtype=np.float64)


def _over_looks(p: float, looks: int) -> float | None:
    """A p-value adjusted for the looks, None for NaN."""
    return min(1.0, looks * p) if math.isfinite(p) else None


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
