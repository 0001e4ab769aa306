"""Intervals and p-values as tables and captions show them."""

from __future__ import annotations

from ablation._util.formatting import ABSENT
from ablation.analysis import Analysis


def interval_caption(analysis: Analysis) -> str:
    """What an interval is, for captions: level, method, family."""
    design = analysis.design
    if design.networks:
        return "One seed: no intervals."
    used = [effect.method for effect in analysis.variants if effect.method]
    if not used:
        return "No intervals yet."
    level = f"simultaneous {100 * (1 - analysis.alpha):g} % intervals"
    own = sum(method != "blocked Dunnett" for method in used)
    if own == len(used):
        return f"{level} ({used[0]}, family of {len(used)})"
    text = f"{level} (guarded blocked Dunnett, family of k = {design.k})"
    return text + (f"; {own} by paired t at a Bonferroni share" if own else "")


def short_p(value: float | None) -> str:
    """A p-value without its sign of equality."""
    if value is None:
        return ABSENT
    return "<.001" if value < 0.001 else f"{value:.3f}".lstrip("0") if value < 0.0995 else f"{value:.2f}".lstrip("0")
