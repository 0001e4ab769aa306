"""One cell of a simulation: many sequential studies of runs whose truth is known, each judged by `stats.replay`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np

from ablation import stats
from ablation.stats import Decision, SeedTable, SequentialDesign

RHO = 0.5
"""The part of the variance of a run that all variants have in common under a seed."""
CHUNK = 500
"""Replicates of one stream, so that the number of processes changes nothing."""


@dataclass(frozen=True)
class Cell:
    """Studies of one kind: their design, the true effect of each variant and the SD of each row, in residual SDs.

    sds has the baseline first; a row that is not in it has 1. With `estimates` the estimates at the end are kept.
    """

    design: SequentialDesign
    effects: tuple[float, ...]
    sds: tuple[float, ...] = ()
    estimates: bool = False


@dataclass(frozen=True)
class Found:
    """Shares of studies, or means over them.

    false: a null variant was detected, or another in the wrong direction. misplaced: a variant was called equivalent
    whose effect is not inside the margin. covered: every interval at every look holds the truth. detected: of each
    variant. runs: over the most that the study may need. raw and adjusted: mean estimates of each variant where it
    stopped; stopped_raw and stopped_adjusted: of those that were detected before the last look.
    """

    false: float
    misplaced: float
    covered: float
    detected: tuple[float, ...]
    runs: float
    raw: tuple[float, ...] = ()
    adjusted: tuple[float, ...] = ()
    stopped_raw: tuple[float, ...] = ()
    stopped_adjusted: tuple[float, ...] = ()


def simulate(cell: Cell, replicates: int, processes: int = 1) -> Found:
    """What came of so many studies; the same numbers for any number of processes."""
    chunks = [(cell, min(CHUNK, replicates - start), start) for start in range(0, replicates, CHUNK)]
    if processes == 1:
        parts = [_chunk(chunk) for chunk in chunks]
    else:
        with ProcessPoolExecutor(processes, get_context("forkserver")) as pool:
            parts = list(pool.map(_chunk, chunks))
    rows = np.concatenate(parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where no variant was detected early, there is no mean
        mean = np.nanmean(rows, axis=0)
    k = len(cell.effects)
    found = Found(*mean[:3].tolist(), tuple(mean[4 : 4 + k].tolist()), float(mean[3]))
    if not cell.estimates:
        return found
    raw, adjusted, early, early_adjusted = (tuple(part.tolist()) for part in np.split(mean[4 + k :], 4))
    return replace(found, raw=raw, adjusted=adjusted, stopped_raw=early, stopped_adjusted=early_adjusted)


def _chunk(chunk: tuple[Cell, int, int]) -> np.ndarray:
    cell, replicates, start = chunk
    rng = np.random.default_rng([start, *cell.design.looks, len(cell.effects)])
    return np.array([_study(cell, y) for y in _tables(cell, replicates, rng)])


def _tables(cell: Cell, replicates: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Runs of SD 1, the part RHO of the variance common to a seed, times the SD of their row."""
    rows, seeds = len(cell.effects) + 1, cell.design.looks[-1]
    scale = np.ones((rows, 1))
    scale[: len(cell.sds), 0] = cell.sds
    shift = np.array([0.0, *cell.effects])[:, None]
    for _ in range(replicates):
        common = math.sqrt(RHO / (1 - RHO)) * rng.normal(size=seeds)
        yield common + scale * rng.normal(size=(rows, seeds)) + shift


def _study(cell: Cell, y: np.ndarray) -> list[float]:
    """false, misplaced, covered, runs; then for each variant whether it was detected, and its estimates."""
    found = stats.replay(SeedTable.complete(y), cell.design, checks=False)
    k = len(cell.effects)
    decisions = [found.decision(i) for i in range(k)]
    paths = [found.path(i) for i in range(k)]
    detected = [decision is Decision.DETECTED for decision in decisions]
    false = misplaced = False
    covered = True
    for effect, decision, path in zip(cell.effects, decisions, paths, strict=True):
        false |= decision is Decision.DETECTED and path[-1].difference * effect <= 0
        margin = cell.design.margin or math.inf
        misplaced |= decision is Decision.EQUIVALENT and abs(effect) >= margin
        covered &= all(point.low <= effect <= point.high for point in path)
    head = [false, misplaced, covered, found.required.sum() / found.required.size, *detected]
    return [float(value) for value in head] + (_estimates(found, cell) if cell.estimates else [])


def _estimates(found: stats.SequentialResult, cell: Cell) -> list[float]:
    """The raw and the adjusted estimates of all variants, and those again of the ones that were detected early."""
    k = len(cell.effects)
    ends = [found.effect(i) for i in range(k)]
    raw = [math.nan if effect is None else effect.difference for effect in ends]
    adjusted = [math.nan if effect is None else stats.bias_adjusted(effect, cell.design, k) for effect in ends]
    last = len(cell.design.looks)
    early = [
        found.decision(i) is Decision.DETECTED and (look := found.last_look(i)) is not None and look.number < last
        for i in range(k)
    ]
    kept = [[own[i] if early[i] else math.nan for i in range(k)] for own in (raw, adjusted)]
    return [*raw, *adjusted, *kept[0], *kept[1]]
