"""Analysis -> analysis.json: plain values that are the same, to the byte, for the same results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ablation._util.language import tr
from ablation.analysis.look_types import Sequential
from ablation.analysis.types import Analysis, Effect, Factorial, Secondary

SCHEMA_VERSION = 1
_INTERVAL = ("estimate", "low", "high")


def to_json(analysis: Analysis, study: str) -> dict[str, Any]:
    """The claims of a study, documented in docs/analysis.md. Metrics are in their own unit; NaN becomes null."""
    design, measure, before = analysis.design, analysis.measure, analysis.follow_up
    values = {
        "schema_version": SCHEMA_VERSION,
        "study": study,
        "metric": measure.column,
        "direction": measure.metric.direction,
        "unit": measure.metric.unit,
        "baseline": analysis.baseline.variant,
        "method": analysis.method,
        "alpha": analysis.alpha,
        "margin": analysis.margin,
        "detectable": design.detectable,
        "looks": analysis.looks,
        "family_wise_bound": analysis.family_wise_bound,
        "follow_up": {**before.model_dump(mode="json"), "bound": analysis.bound_with_earlier} if before else None,
        "verdict": analysis.headline,
        "seeds": list(analysis.facts.seeds),
        "design": asdict(design),
        "baseline_runs": _group(analysis.baseline),
        "effects": [_effect(own) for own in analysis.variants],
        "interactions": [asdict(own) for own in analysis.interactions],
        "factorial": _factorial(analysis.factorial) if analysis.factorial else None,
        "trends": [_trend(asdict(own)) for own in analysis.trends],
        "data_curve": asdict(analysis.data_curve) if analysis.data_curve else None,
        "selection": asdict(analysis.selection),
        "test_set": asdict(analysis.test) if analysis.test else None,
        "warnings": [asdict(own) for own in analysis.warnings],
    }
    if analysis.secondary:
        values["metrics"] = [_secondary(own) for own in analysis.secondary]
    if analysis.sequential:
        values["sequential"] = _sequential(analysis.sequential)
    plain: dict[str, Any] = _plain(values)
    return plain


def _sequential(own: Sequential) -> dict[str, Any]:
    """The looks, and each variant with its path and boundaries."""
    values = asdict(own)
    for name, variant in own.variants.items():
        for point, plain in zip(variant.path, values["variants"][name]["path"], strict=True):
            plain["boundary"] = point.boundary
    return values


def _secondary(own: Secondary) -> dict[str, Any]:
    head = {"metric": own.measure.column, "direction": own.measure.metric.direction, "unit": own.measure.metric.unit}
    keys = ("variant", "n", "mean", "sd", "pairs", "difference", "low", "high", "p")
    return head | {"effects": [{key: getattr(effect, key) for key in keys} for effect in own.effects]}


def _group(own: Effect) -> dict[str, Any]:
    keys = ("n", "mean", "sd", "diverged", "at_chance", "crashed", "unfinished")
    return {key: getattr(own, key) for key in keys} | {"values": {str(run.seed): run.value for run in own.runs}}


def _effect(own: Effect) -> dict[str, Any]:
    claims = ("pairs", "difference", "low", "high", "p", "verdict", "words", "method", "reason", "paired_p")
    checks = ("sign_flip_p", "flips_agree", "networks_p", "screened", "incomplete", "exploratory", "clipped")
    head = {"variant": own.variant, "kind": own.kind, "change": own.change}
    body = {key: getattr(own, key) for key in (*claims, *checks)} | {"reason": tr(own.reason) if own.reason else None}
    return head | _group(own) | body | {"confounds": [asdict(confound) for confound in own.confounds]}


def _trend(values: dict[str, Any]) -> dict[str, Any]:
    names = ("estimate", "low", "high", "p")
    named = {key: dict(zip(names, values[key], strict=True)) if values[key] else None for key in ("rise", "bow")}
    return values | named


def _factorial(own: Factorial) -> dict[str, Any]:
    total = dict(zip(_INTERVAL, own.total, strict=True)) if own.total else None
    values = [{**asdict(value), "share": _share(value.share)} for value in own.values]
    cells = [{"variant": variant, "on": on} for variant, on in own.cells]
    return {**asdict(own), "cells": cells, "total": total, "values": values, "reason": own.reason or None}


def _share(share: tuple[float, float, float] | None) -> dict[str, float] | None:
    return dict(zip(_INTERVAL, share, strict=True)) if share else None


def _plain(value: Any) -> Any:
    """Lists and dicts of JSON values; what JSON cannot hold becomes null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
