"""Corrections of the training that change the weights of some recipes only; only their runs are trained again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ablation.study.schema import Recipe


@dataclass(frozen=True)
class Fix:
    """A correction, and the recipes whose weights it changes: `marker` joins the hash of their runs."""

    marker: str
    concerns: Callable[[Recipe], bool]
    what: str
    """What has changed, as `ablate run` says it."""


def _clips_after_freezing(recipe: Recipe) -> bool:
    """Whether gradients are clipped in a stage that freezes what an earlier one has trained."""
    if not (recipe.train.clip_norm and recipe.train.stages):
        return False
    freezes = [stage.freeze for stage in recipe.stages(0)]
    return "none" in freezes and "features" in freezes[freezes.index("none") :]


FIXES = (Fix("clip-trained", _clips_after_freezing, "clip_norm no longer counts gradients of frozen layers"),)
"""In the order in which they were made: append, and never remove one, since its marker is part of stored keys."""


def fixes_of(recipe: Recipe) -> tuple[Fix, ...]:
    """The corrections that change the weights of a recipe, in their order."""
    return tuple(fix for fix in FIXES if fix.concerns(recipe))
