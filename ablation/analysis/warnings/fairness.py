"""What else differs between a variant and the baseline: budget, size and time, and undeclared changes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

import ablation.stats.pooling as pooling
from ablation._util.formatting import count
from ablation._util.language import commas, current, tr, tr_noop
from ablation.analysis.compare import Table
from ablation.analysis.measure import Measure
from ablation.analysis.types import Confound, Effect, StudyWarning
from ablation.analysis.warnings.catalogue import warn
from ablation.results.runs import Results
from ablation.stats import Comparison
from ablation.storage.manifest import Manifest, StoredVariant
from ablation.storage.record import RunRecord

TOLERANCE = 0.1
"""Sizes and times that differ by more than this share are named."""
SHORTEST_TIMED = timedelta(seconds=10)
"""Times of shorter runs say more about the moment than about the variant."""
SPREAD_ALPHA = 0.05
MOST_SEEDS = 5
_BUDGET = ("epochs", "steps", "images seen")
_SIZE = ("parameters", "MACs")
_QUANTITIES: Mapping[str, str] = {
    "epochs": tr_noop("epochs"),
    "steps": tr_noop("steps"),
    "images seen": tr_noop("images seen"),
    "parameters": tr_noop("parameters"),
    "MACs": tr_noop("MACs"),
    "time": tr_noop("time per epoch"),
}
_DECLARES: Mapping[str, tuple[str, ...]] = {
    "data": (*_BUDGET, *_SIZE, "time"),
    "data.name": (*_BUDGET, *_SIZE, "time"),
    "data.fraction": ("steps", "images seen", "time"),
    "data.limit": ("steps", "images seen", "time"),
    "data.validation": ("steps", "images seen", "time"),
    "train.epochs": (*_BUDGET, "time"),
    "train.steps": (*_BUDGET, "time"),
    "train.patience": (*_BUDGET, "time"),
    "train.hold": (*_BUDGET, "time"),
    "train.stages": (*_BUDGET, "time"),
    "train.batch_size": ("steps", "epochs", "images seen", "time"),
    "train.precision": ("time",),
    "train.compile": ("time",),
    "data.size": (*_SIZE, "time"),
    "data.shape": (*_SIZE, "time"),
    "model": (*_SIZE, "time"),
    "model.name": (*_SIZE, "time"),
    "model.width": (*_SIZE, "time"),
    "model.channels": (*_SIZE, "time"),
    "model.hidden": (*_SIZE, "time"),
    "model.kernel_size": (*_SIZE, "time"),
    "model.stem": (*_SIZE, "time"),
}
"""Which quantities a change is, or plainly entails."""


def with_confounds(results: Results, effects: Sequence[Effect]) -> tuple[Effect, ...]:
    """The effects, the baseline first, each variant with the quantities in which it differs beside its change."""
    variants = {variant.name: variant for variant in results.manifest.variants}
    amounts, times = _amounts(results), side_by_side(results)
    base = amounts[effects[0].variant]
    found = []
    for own in effects[1:]:
        variant = variants[own.variant]
        confounds = (*_differing(variant, amounts[variant.name], base), *_slower(variant, times.get(variant.name, ())))
        found.append(replace(own, confounds=confounds))
    return (effects[0], *found)


def _amounts(results: Results) -> dict[str, dict[str, list[float]]]:
    """Variant -> quantity -> its amount for each finished run, by seed."""
    runs = results.runs[["variant", "seed", "parameters", "macs", "train_images"]]
    done = runs[results.runs["status"] == "finished"]
    rows = results.epochs.merge(done[["variant", "seed"]], on=["variant", "seed"])
    last = rows.groupby(["variant", "seed"]).agg(epochs=("epoch", "max"), steps=("step", "max"))
    table = done.set_index(["variant", "seed"]).join(last, how="left").sort_index()
    found: dict[str, dict[str, list[float]]] = {}
    parts = {str(name): part for name, part in table.groupby(level="variant", sort=False)}
    for variant in results.manifest.variants:
        own = parts.get(variant.name, table.iloc[:0])
        found[variant.name] = {
            "epochs": _floats(own["epochs"]),
            "steps": _floats(own["steps"]),
            "images seen": _images_seen(own, results.manifest.train_of(variant)),
            "parameters": _floats(own["parameters"]),
            "MACs": _floats(own["macs"]),
        }
    return found


def _floats(column: pd.Series[float]) -> list[float]:
    return [float(value) for value in column]


def _images_seen(own: pd.DataFrame, train: Mapping[str, Any]) -> list[float]:
    """Training images times epochs, or steps times the size of a batch where the budget is in steps."""
    if train.get("steps") is not None and isinstance(batch := train.get("batch_size"), int):
        return [steps * batch for steps in _floats(own["steps"])]
    return _floats(own["train_images"] * own["epochs"])


def _differing(
    variant: StoredVariant, amounts: Mapping[str, Sequence[float]], base: Mapping[str, Sequence[float]]
) -> Iterator[Confound]:
    for quantity, own in amounts.items():
        first, second = _typical(own), _typical(base[quantity])
        tolerance = 0.0 if quantity in _BUDGET else TOLERANCE
        if first > 0 and second > 0 and abs(first - second) > tolerance * second:
            yield Confound(quantity, first, second, quantity in _entailed(variant))


def _entailed(variant: StoredVariant) -> frozenset[str]:
    """The quantities that the change of a variant is, or plainly entails."""
    return frozenset(quantity for path in variant.changes for quantity in _DECLARES.get(path, ()))


def _typical(amounts: Sequence[float]) -> float:
    known = sorted(amount for amount in amounts if math.isfinite(amount))
    return known[len(known) // 2] if known else math.nan


def _slower(variant: StoredVariant, times: Sequence[tuple[float, float]]) -> Iterator[Confound]:
    """The time per epoch, where every pair of runs that was trained side by side differs by 10 % in one direction."""
    ratios = [own / base for own, base in times if own > 0 and base > 0]
    if len(ratios) > 1 and (min(ratios) > 1 + TOLERANCE or max(ratios) < 1 - TOLERANCE):
        own, base = (_typical(column) for column in zip(*times, strict=True))
        yield Confound("time", own, base, "time" in _entailed(variant), len(ratios))


def side_by_side(results: Results) -> dict[str, list[tuple[float, float]]]:
    """Variant -> seconds per epoch of its runs and of a baseline run that was trained at the same time beside each.

    Other times are not comparable: the machine may have done other work. A pair is of one seed, on one machine, device
    and number of threads, never interrupted, not too short, and overlaps for at least half of the shorter run.
    """
    paces = results.epochs.groupby(["variant", "seed"], as_index=False)["seconds"].mean()
    seconds = {(str(own.variant), int(own.seed)): float(own.seconds) for own in paces.itertuples(index=False)}
    base = results.manifest.baseline.name
    found: dict[str, list[tuple[float, float]]] = {}
    for (variant, seed), record in results.records.items():
        other = results.records.get((base, seed))
        if variant != base and other and _beside(record, other):
            found.setdefault(variant, []).append((seconds[variant, seed], seconds[base, seed]))
    return found


def _beside(first: RunRecord, second: RunRecord) -> bool:
    places = [(own.host, own.environment.device, own.environment.threads) for own in (first, second)]
    if not first.host or places[0] != places[1] or first.resumed or second.resumed:
        return False
    (start, end), (other_start, other_end) = _span(first), _span(second)
    shorter = min(end - start, other_end - other_start)
    overlap = min(end, other_end) - max(start, other_start)
    return shorter >= SHORTEST_TIMED and overlap >= shorter / 2


def _span(record: RunRecord) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(record.started), datetime.fromisoformat(record.finished)


def unequal(effects: Sequence[Effect]) -> Iterator[StudyWarning]:
    """The confounds that no declared change entails."""
    for own in effects[1:]:
        alarming = [confound for confound in own.confounds if not confound.declared]
        for code, quantities in (("unequal_budget", _BUDGET), ("unequal_size", _SIZE), ("unequal_time", ("time",))):
            found = [confound for confound in alarming if confound.quantity in quantities]
            if found and not (code == "unequal_time" and len(found) < len(alarming)):
                listing = commas([in_words(confound) for confound in found])
                yield warn(code, own.variant, f"{own.variant}{current().colon}{listing}")


def in_words(confound: Confound, *, amounts: bool = True) -> str:
    """As `12 % more parameters (1,200 against 1,000)`, or without the amounts."""
    change = _change(confound)
    if not amounts:
        return change
    own, baseline = (
        f"{amount:.3g} s" if confound.quantity == "time" else count(amount)
        for amount in (confound.own, confound.baseline)
    )
    if not confound.pairs:
        return tr("{change} ({own} against {baseline})", change=change, own=own, baseline=baseline)
    return tr(
        "{change} ({own} against {baseline} in {pairs} pairs of runs trained side by side)",
        change=change,
        own=own,
        baseline=baseline,
        pairs=confound.pairs,
    )


def _change(confound: Confound) -> str:
    """As `12 % more parameters`."""
    quantity, percent = tr(_QUANTITIES[confound.quantity]), 100 * abs(confound.share - 1)
    if confound.share >= 2:
        return tr("{times:.1f} times the {quantity}", times=confound.share, quantity=quantity)
    if confound.share > 1:
        return tr("{percent:.2g} % more {quantity}", percent=percent, quantity=quantity)
    if confound.quantity == "time":
        return tr("{percent:.2g} % less {quantity}", percent=percent, quantity=quantity)
    return tr("{percent:.2g} % fewer {quantity}", percent=percent, quantity=quantity)


def undeclared(manifest: Manifest) -> Iterator[StudyWarning]:
    """Variants whose recipe differs from the baseline's in parts that they do not declare."""
    base = manifest.baseline
    for variant in manifest.variants[1:]:
        declared = {path.partition(".")[0] for path in variant.changes}
        own, other = (
            {path: value for path, value in each.options.items() if path.partition(".")[0] not in declared}
            for each in (variant, base)
        )
        differing = sorted(path for path in {*own, *other} if own.get(path) != other.get(path))
        if differing:
            message = tr(
                "{variant} also differs from the baseline in {options}",
                variant=variant.name,
                options=commas(differing),
            )
            yield warn("undeclared_change", variant.name, message)


def spread(effects: Sequence[Effect], y: Table, found: Comparison, measure: Measure) -> Iterator[StudyWarning]:
    """Spreads over seeds that are too unequal to share one error, though not so much that they were screened out."""
    if found.baseline_screened:
        base = effects[0]
        message = tr("the baseline's spread over seeds is an outlier")
        if base.sd is not None:
            message = tr("the baseline's spread over seeds (SD {sd}) is an outlier", sd=measure.size(base.sd))
        yield warn("baseline_spread", base.variant, message)
    kept = [i for i, is_kept in enumerate(found.pool.kept) if is_kept]
    n = found.pool.n
    if not 2 <= n <= MOST_SEEDS or len(kept) < 3:
        return
    block = y[kept][:, list(found.pool.seeds)]
    variance = block.var(axis=1, ddof=1)
    widest = int(variance.argmax())
    others = math.sqrt((variance.sum() - variance[widest]) / (len(kept) - 1))
    limit = pooling.cochran_critical_value(len(kept), n, SPREAD_ALPHA)
    sd = math.sqrt(variance[widest])
    if variance[widest] > limit * variance.sum():  # and so more than twice the SD of the others
        own = [effect.variant for effect in effects if not effect.identical][kept[widest]]
        message = tr(
            "unequal spread: {variant} has SD {sd} over {n} seeds, the others {others}",
            variant=own,
            sd=measure.size(sd),
            n=n,
            others=measure.size(others),
        )
        yield warn("unequal_spread", own, message)
