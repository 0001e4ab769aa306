"""What an analysis says of the looks of a sequential study, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ablation.stats import PathPoint


@dataclass(frozen=True)
class VariantLooks:
    """How far a variant came: its last complete look (from 1; 0 before the first) at so many seeds.

    `decision` is a `stats.Decision`, None where nothing was decided; a variant without one that does not go on has
    come to the last look. `adjusted` is its difference without the bias of stopping, in the unit of the metric, None
    while it goes on and where it was not tested. `path` has its difference at each look.
    """

    look: int
    seeds: int
    decision: str | None
    goes_on: bool
    adjusted: float | None
    path: tuple[PathPoint, ...]


@dataclass(frozen=True)
class Sequential:
    """The looks of a study: the numbers of seeds, and the level of each; `done` of them are complete.

    `next_look` is the number of seeds that is waited for; None where no more runs are needed.
    """

    looks: tuple[int, ...]
    levels: tuple[float, ...]
    spending: str
    futility: str
    done: int
    next_look: int | None
    variants: Mapping[str, VariantLooks]

    @property
    def decided(self) -> int:
        """How many variants are decided."""
        return sum(own.decision is not None for own in self.variants.values())

    @property
    def going_on(self) -> int:
        """How many variants need the seeds of the next look."""
        return sum(own.goes_on for own in self.variants.values())
