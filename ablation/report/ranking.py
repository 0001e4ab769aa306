"""The order in which variants are shown: by their effect."""

from __future__ import annotations

from collections.abc import Sequence

from ablation.analysis import Analysis, Effect


def ranked(analysis: Analysis) -> tuple[Effect, ...]:
    """The variants, the largest improvement first.

    The levels of one numeric hyperparameter stay together in their order, at the place of the level with the largest
    effect. Variants without a difference come after those with one, controls last.
    """
    groups = [_group(names, analysis) for names in _levels(analysis)]
    together = {own.variant for group in groups for own in group}
    groups += [(own,) for own in analysis.variants if own.variant not in together]
    order = {own.variant: place for place, own in enumerate(analysis.variants)}

    def key(group: Sequence[Effect]) -> tuple[int, float, int]:
        own = max(group, key=lambda effect: abs(effect.difference or 0.0))
        last = 2 if own.kind == "control" else 1 if own.difference is None or own.failed else 0
        return last, -(own.difference or 0.0) * analysis.measure.sign, order[group[0].variant]

    return tuple(own for group in sorted(groups, key=key) for own in group)


def _levels(analysis: Analysis) -> list[list[str]]:
    """The variants of each numeric sweep in the order of their levels, each in the first sweep that has it."""
    seen = {analysis.baseline.variant}
    found = []
    for sweep in analysis.sweeps:
        names = [variant for _, variant in sweep.levels if variant not in seen]
        seen.update(names)
        found.append(names)
    return [names for names in found if names]


def _group(names: Sequence[str], analysis: Analysis) -> tuple[Effect, ...]:
    return tuple(analysis.effect(name) for name in names)
