"""What can be run in a time: studies that differ in seeds, variants or epochs, and which of them to take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

CLEAR_SEEDS = 3
"""Seeds from which on claims are not called tentative."""
Kind = Literal["whole", "fewer variants", "fewer epochs"]
KINDS: tuple[Kind, ...] = ("whole", "fewer variants", "fewer epochs")
"""In the order in which they are recommended: what asks the same as the study goes first."""


@dataclass(frozen=True)
class Goal:
    """The seconds that there are, and the effect to detect in residual SDs; None where none is asked for."""

    limit: float
    effect: float | None = None


@dataclass(frozen=True)
class Choice:
    """A study that could be run: what of it is left to train, how long that takes, and what it then detects.

    `length` is that of the baseline, in epochs or steps, where it is not that of the study file. The seconds are an
    estimate with its range. `smallest` is the smallest detectable effect in residual SDs, infinite without a claim.
    """

    kind: Kind
    seeds: tuple[int, ...]
    variants: tuple[str, ...]
    left_out: tuple[str, ...]
    length: int | None
    runs: int
    seconds: float
    low: float
    high: float
    smallest: float
    goal: Goal

    @property
    def fits(self) -> Literal["yes", "perhaps", "no"]:
        """Perhaps, where the estimate is within the time, and the upper end of its range is not."""
        return "yes" if self.high <= self.goal.limit else "perhaps" if self.seconds <= self.goal.limit else "no"

    @property
    def reaches(self) -> bool:
        """Whether it detects the effect that is asked for."""
        return self.goal.effect is not None and self.smallest <= self.goal.effect


def recommended(choices: Sequence[Choice]) -> Choice | None:
    """The choice to take of those that fit.

    The cheapest that detects the effect that is asked for, or else the one that detects most, of the first kind that
    has one, with as few variants left out and as many epochs as can be. Two seeds go after three, but before fewer
    epochs, which ask another question. None where nothing that fits allows a claim.
    """
    fitting = [choice for choice in choices if choice.fits == "yes" and math.isfinite(choice.smallest)]
    for kind in KINDS:
        reaching = [choice for choice in fitting if choice.kind == kind and choice.reaches]
        if reaching:
            return min(reaching, key=lambda choice: (*_kept(choice), choice.seconds))
    for kinds in (KINDS[:-1], KINDS[-1:]):
        for least in (CLEAR_SEEDS, 1):
            for kind in kinds:
                own = [choice for choice in fitting if choice.kind == kind and len(choice.seeds) >= least]
                if own:
                    return min(own, key=lambda choice: (*_kept(choice), choice.smallest, choice.seconds))
    return None


def _kept(choice: Choice) -> tuple[int, int]:
    """How much of the study it lacks, for sorting."""
    return len(choice.left_out), -(choice.length or 0)
