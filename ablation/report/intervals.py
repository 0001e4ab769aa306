"""Intervals and p-values as tables and captions show them."""

from __future__ import annotations

from ablation._util.formatting import ABSENT
from ablation._util.language import tr, tr_noop
from ablation.analysis import Analysis

_ALONE = (tr_noop("paired t, Bonferroni"), tr_noop("paired t, Holm"))
"""The methods other than blocked Dunnett, by their names in the analysis."""


def interval_caption(analysis: Analysis) -> str:
    """What an interval is, for captions: level, method, family, and the variants with another method."""
    if analysis.design.networks:
        return tr("One seed: no intervals.")
    used = _methods(analysis)
    if not used:
        return tr("No intervals yet.")
    text, own = family_intervals(analysis), _own(used)
    if own in (0, len(used)):
        return text
    return tr("{intervals}; {number} by paired t at a Bonferroni share", intervals=text, number=own)


def family_intervals(analysis: Analysis) -> str:
    """Level, method and family of the intervals; empty where there are none."""
    used, level = _methods(analysis), 100 * (1 - analysis.alpha)
    if not used:
        return ""
    if _own(used) == len(used):
        return tr(
            "simultaneous {level:g} % intervals ({method}, family of {size})",
            level=level,
            method=tr(used[0]),
            size=len(used),
        )
    return tr(
        "simultaneous {level:g} % intervals (guarded blocked Dunnett, family of k = {k})",
        level=level,
        k=analysis.design.k,
    )


def _methods(analysis: Analysis) -> list[str]:
    return [effect.method for effect in analysis.variants if effect.method]


def _own(methods: list[str]) -> int:
    """How many were compared on their own variance."""
    return sum(method != "blocked Dunnett" for method in methods)


def short_p(value: float | None) -> str:
    """A p-value without its sign of equality."""
    if value is None:
        return ABSENT
    return "<.001" if value < 0.001 else f"{value:.3f}".lstrip("0") if value < 0.0995 else f"{value:.2f}".lstrip("0")
