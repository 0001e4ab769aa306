"""How many runs a sequential study is expected to need, by simulation of the very decisions that `ablate run` makes."""

from __future__ import annotations

import numpy as np

from ablation.stats.sequential import SeedTable, SequentialDesign, replay

REPLICATES = 100
_MOST_CELLS = 200_000
"""Runs that are drawn in total, so that the plan of a large study takes seconds too."""
_FEWEST = 10


def expected_runs(design: SequentialDesign, variants: int, effect: float) -> float:
    """The mean number of runs, the baseline's among them, where all variants differ by `effect` residual SDs.

    The margin of the design is in residual SDs too. From a fixed stream: the same design gives the same number.
    """
    cells = (variants + 1) * design.looks[-1]
    replicates = min(REPLICATES, max(_FEWEST, _MOST_CELLS // cells))
    rng = np.random.default_rng([variants, *design.looks, round(1000 * effect)])
    return float(np.mean([_runs(design, variants, effect, rng) for _ in range(replicates)]))


def _runs(design: SequentialDesign, variants: int, effect: float, rng: np.random.Generator) -> int:
    y = rng.normal(size=(variants + 1, design.looks[-1]))
    y[1:] += effect
    return int(replay(SeedTable.complete(y), design, checks=False).required.sum())
