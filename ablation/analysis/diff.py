"""What differs between two variants, or between two studies: in options and in results."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablation._util.formatting import ABSENT
from ablation._util.hashing import canonical_json
from ablation._util.nested import leaves
from ablation.analysis.describe import describe
from ablation.analysis.measure import Measure
from ablation.analysis.types import Analysis, Effect
from ablation.results.runs import Results
from ablation.stats import paired_t
from ablation.storage.manifest import Manifest, StoredVariant


@dataclass(frozen=True)
class OptionDiff:
    """An option by its dotted path, and its value on both sides; `ABSENT` where a side lacks it."""

    path: str
    first: Any
    second: Any


@dataclass(frozen=True)
class PairedDifference:
    """The second variant minus the first, over the seeds that both finished; metrics as stored, None where unknown.

    `declared` comparisons are those with the baseline: their interval and p are those of the report, simultaneous over
    the study. Any other one is a paired t-test of its own, which nothing adjusts for having been chosen afterwards.
    """

    declared: bool
    pairs: Mapping[int, tuple[float, float]]
    """Seed -> value of the first and of the second."""
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    method: str
    words: str = ""


@dataclass(frozen=True)
class VariantDiff:
    """Two variants; `comparison` is None where they are of different studies, whose runs are not paired."""

    first: str
    second: str
    options: tuple[OptionDiff, ...]
    means: tuple[float | None, float | None]
    measure: Measure
    level: float
    """Of the interval, in per cent."""
    comparison: PairedDifference | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class CommonVariant:
    """A variant that two studies have: what differs in its options, and its effects in each of them."""

    name: str
    options: tuple[OptionDiff, ...]
    shared: int
    """Runs that both studies use."""
    effects: tuple[Effect, Effect]


@dataclass(frozen=True)
class StudyDiff:
    """Two studies: settings that differ, variants that only one of them has, and those that both have."""

    settings: tuple[OptionDiff, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]
    common: tuple[CommonVariant, ...]
    runs: tuple[int, int, int]
    """Run folders of the first alone, of the second alone, and of both."""
    measures: tuple[Measure, Measure]
    levels: tuple[float, float]


def differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[OptionDiff, ...]:
    """The options in which two nested mappings differ, in the order in which they come."""
    one, other = dict(leaves(first)), dict(leaves(second))
    paths = dict.fromkeys((*one, *other))
    pairs = ((path, one.get(path, ABSENT), other.get(path, ABSENT)) for path in paths)
    return tuple(OptionDiff(*own) for own in pairs if canonical_json(own[1]) != canonical_json(own[2]))


def diff_variants(results: Results, first: str, second: str) -> VariantDiff:
    """Two variants of one study. Raises KeyError for a name that is no variant."""
    analysis = describe(results)
    one, other = analysis.effect(first), analysis.effect(second)
    recipes = {variant.name: variant.recipe for variant in results.manifest.variants}
    return VariantDiff(
        first,
        second,
        differing(recipes[first], recipes[second]),
        (one.mean, other.mean),
        analysis.measure,
        _level(analysis),
        _compare(analysis, one, other),
    )


def diff_across(first: tuple[Results, StoredVariant], second: tuple[Results, StoredVariant]) -> VariantDiff:
    """Two variants of different studies: their options and means; nothing pairs their runs."""
    analyses = tuple(describe(results) for results, _ in (first, second))
    means = tuple(own.effect(variant.name).mean for own, (_, variant) in zip(analyses, (first, second), strict=True))
    one, other = (own.measure for own in analyses)
    notices = [] if one.column == other.column else [f"their metrics differ: {one.name} and {other.name}"]
    if first[0].manifest.fingerprints != second[0].manifest.fingerprints:
        notices.append("they were trained on different data")
    options = differing(first[1].recipe, second[1].recipe)
    one_name, other_name = (f"{results.manifest.name}:{variant.name}" for results, variant in (first, second))
    return VariantDiff(
        one_name,
        other_name,
        options,
        (means[0], means[1]),
        one,
        _level(analyses[0]),
        notices=tuple(notices),
    )


def _compare(analysis: Analysis, first: Effect, second: Effect) -> PairedDifference:
    values = [{run.seed: run.value for run in own.runs if run.value is not None} for own in (first, second)]
    pairs = {seed: (value, values[1][seed]) for seed, value in values[0].items() if seed in values[1]}
    base = analysis.baseline.variant
    if base in (first.variant, second.variant):
        own, sign = (second, 1) if first.variant == base else (first, -1)
        low, high = (own.low, own.high) if sign > 0 else (_negative(own.high), _negative(own.low))
        difference = own.difference if sign > 0 else _negative(own.difference)
        words = own.words if sign > 0 else ""
        return PairedDifference(True, pairs, difference, low, high, own.p, own.method or own.reason or "", words)
    test = paired_t([other - one for one, other in pairs.values()], analysis.alpha)
    known = [value if math.isfinite(value) else None for value in (test.difference, test.low, test.high, test.p)]
    return PairedDifference(False, pairs, known[0], known[1], known[2], known[3], "paired t-test")


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


def _level(analysis: Analysis) -> float:
    return 100 * (1 - analysis.alpha)


def diff_studies(first: Results, second: Results) -> StudyDiff:
    """Two studies."""
    analyses = describe(first), describe(second)
    one, other = first.manifest, second.manifest
    names = [{variant.name: variant for variant in own.variants} for own in (one, other)]
    folders = [{name for seeds in own.folders.values() for name in seeds.values()} for own in (one, other)]
    return StudyDiff(
        settings=differing(_settings(one), _settings(other)),
        only=(_lacking(names[0], names[1]), _lacking(names[1], names[0])),
        common=tuple(_common(names[0], names[1], (one, other), analyses)),
        runs=(len(folders[0] - folders[1]), len(folders[1] - folders[0]), len(folders[0] & folders[1])),
        measures=(analyses[0].measure, analyses[1].measure),
        levels=(_level(analyses[0]), _level(analyses[1])),
    )


def _lacking(own: Mapping[str, object], other: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(name for name in own if name not in other)


def _common(
    one: Mapping[str, StoredVariant],
    other: Mapping[str, StoredVariant],
    studies: tuple[Manifest, Manifest],
    analyses: tuple[Analysis, Analysis],
) -> Iterator[CommonVariant]:
    for name in one:
        if name in other:
            runs = [set(study.folders[name].values()) for study in studies]
            options = differing(one[name].recipe, other[name].recipe)
            effects = analyses[0].effect(name), analyses[1].effect(name)
            yield CommonVariant(name, options, len(runs[0] & runs[1]), effects)


def _settings(study: Manifest) -> dict[str, Any]:
    """What a study decides beside its variants."""
    return {
        "seeds": list(study.seeds),
        "baseline": study.baseline.name,
        "task": dict(study.task),
        "analysis": dict(study.analysis),
        "metrics": list(study.metrics),
        "design": list(study.design),
        "data": _fingerprints(study),
        "smoke": study.smoke,
        "overrides": list(study.overrides),
    }


def _fingerprints(study: Manifest) -> Sequence[str]:
    return sorted(set(study.fingerprints.values()))
