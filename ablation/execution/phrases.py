"""Wording that several commands share: smoke runs, the size of a study, times and accuracies."""

from __future__ import annotations

import math

from ablation._util.formatting import ABSENT, plural

SMOKE = "smoke run: a tiny subset of the data, its numbers are meaningless"
SMOKE_TASK = "smoke run: with the `smoke` options of the task, its numbers are meaningless"


def study_size(variants: int, seeds: int, *, at_most: bool = False) -> str:
    """`3 variants x 1 seed`; with `at_most`, as `3 variants x up to 12 seeds`."""
    return f"{plural(variants, 'variant')} x {'up to ' if at_most else ''}{plural(seeds, 'seed')}"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def percent(fraction: float) -> str:
    """An accuracy as `91.2 %`; a dash where there is none."""
    return f"{100 * fraction:.1f} %" if math.isfinite(fraction) else ABSENT
