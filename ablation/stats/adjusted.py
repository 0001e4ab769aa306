"""The estimate of a variant that was tested at several looks, adjusted for the bias of stopping.

A difference that is detected early was large by chance too, so that the mean at the look at which a variant stops, D,
is too far from 0 on average. Whitehead's estimate (1986, "On the bias of maximum likelihood estimation following a
sequential test", Biometrika 73) is the difference theta for which D is expected where it was found: E_theta(D) = d. It
needs no order of the outcomes, so that it is defined for variants too that stop by their margin, for futility or at
the last look.

The sums of differences are taken as normal with a known SD and independent increments, and the boundaries are those
of a study in which no run is missing and no variant decided.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from ablation.stats.arrays import FloatArray
from ablation.stats.effects import Effect
from ablation.stats.sequential import SequentialDesign, boundaries, futility_bounds, last_width

Region = tuple[tuple[float, float], ...]
"""Intervals of the size of a mean difference, in SDs of a single difference, in which a variant goes on."""
_REACH = 8.0
"""SDs around its mean in which a sum is looked for."""
_PER_SD = 4.0
_FEWEST_NODES, _MOST_NODES = 16, 512


def bias_adjusted(own: Effect, design: SequentialDesign, family: int) -> float:
    """The bias-adjusted difference of a variant at the look at which it stopped, in the unit of the metric.

    own is its effect there, family the number of variants of the study. NaN where it was not tested.
    """
    if not own.estimable:
        return math.nan
    if own.difference == 0 or own.t == 0:
        return own.difference
    sd = abs(own.difference / own.t) * math.sqrt(own.pairs)
    regions = going_on(design, family, math.inf if design.margin is None else design.margin / sd)
    seen = abs(own.difference) / sd

    def miss(theta: float) -> float:
        return expected_difference(theta, design.looks, regions) - seen

    high = seen
    while miss(high) < 0:
        high *= 1.5
    return math.copysign(sd * float(optimize.brentq(miss, 0.0, high, xtol=1e-6 * seen)), own.difference)


@lru_cache(maxsize=256)
def going_on(design: SequentialDesign, family: int, margin: float) -> tuple[Region, ...]:
    """Where a variant goes on after each look; margin in SDs of a single difference, inf for none."""
    widths = zip(
        design.looks,
        boundaries(design, family),
        last_width(design, family),
        futility_bounds(design, family),
        strict=True,
    )
    regions: list[Region] = []
    for seeds, critical, narrower, futile in widths:
        half = critical / math.sqrt(seeds)
        bound = futile / math.sqrt(seeds) if design.futility == "conditional_power" else 0.0
        regions.append(_region(half, margin, bound, narrower * half))
    return (*regions[:-1], ())


def _region(half: float, margin: float, futile: float, last: float) -> Region:
    """The sizes that are neither detected nor equivalent nor futile; `last` is half an interval of the last look."""
    ends = {0.0, half, margin - half, futile} | ({margin - last} if math.isfinite(margin) else set())
    edges = sorted(edge for edge in ends if 0.0 <= edge <= half)

    def stops(size: float) -> bool:
        equivalent = math.isfinite(margin) and size + half < margin
        beyond = math.isinf(margin) or size + last >= margin
        return equivalent or (size < futile and beyond)

    pairs = itertools.pairwise(edges)
    return tuple((low, high) for low, high in pairs if not stops((low + high) / 2.0))


def expected_difference(theta: float, looks: Sequence[int], regions: Sequence[Region]) -> float:
    """The expectation of the mean difference at the look at which a variant stops; theta in SDs of a difference.

    With S the sum up to a look, E(S; stops there) = E(S; reaches it) - E(S; goes on), and E(S; reaches it) is known
    from the look before, so that only the bounded regions of going on are integrated over (Gauss and Legendre).
    """
    expected, before, inside, moment = 0.0, 0, 1.0, 0.0
    grid: tuple[FloatArray, FloatArray] | None = None
    following = [*(after - own for own, after in itertools.pairwise(looks)), 1]
    for seeds, region, after in zip(looks, regions, following, strict=True):
        step = seeds - before
        reached = moment + step * theta * inside
        nodes, weights = _nodes(region, seeds, theta, math.sqrt(min(step, after)))
        mass = weights * _density(nodes, step, theta, grid)
        inside, moment = float(mass.sum()), float(mass @ nodes)
        expected += (reached - moment) / seeds
        grid, before = (nodes, mass), seeds
    return expected


def _nodes(region: Region, seeds: int, theta: float, width: float) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights over the sums in a region, on both sides of 0, as far as the density is not negligible."""
    low, high = (seeds * theta + side * _REACH * math.sqrt(seeds) for side in (-1.0, 1.0))
    both = [(seeds * a, seeds * b) for a, b in region] + [(-seeds * b, -seeds * a) for a, b in region]
    clipped = [(max(a, low), min(b, high)) for a, b in both if max(a, low) < min(b, high)]
    if not clipped:
        return np.zeros(0), np.zeros(0)
    parts = [_scaled(a, b, width) for a, b in clipped]
    return np.concatenate([x for x, _ in parts]), np.concatenate([w for _, w in parts])


def _scaled(low: float, high: float, width: float) -> tuple[FloatArray, FloatArray]:
    needed = _FEWEST_NODES * math.ceil(1.0 + _PER_SD * (high - low) / width / _FEWEST_NODES)
    x, w = _legendre(min(needed, _MOST_NODES))
    half = (high - low) / 2.0
    return low + half * (x + 1.0), half * w


@lru_cache(maxsize=64)
def _legendre(count: int) -> tuple[FloatArray, FloatArray]:
    x, w = special.roots_legendre(count)
    return x, w


def _density(x: FloatArray, step: int, theta: float, grid: tuple[FloatArray, FloatArray] | None) -> FloatArray:
    """The density of the sums that reach a look; `grid` has those that went on after the look before, with mass."""
    if grid is None:
        return _normal(x - step * theta, step)
    nodes, mass = grid
    return np.asarray(_normal(x[:, None] - nodes[None, :] - step * theta, step) @ mass)


def _normal(x: FloatArray, variance: float) -> FloatArray:
    return np.asarray(np.exp(-0.5 * x**2 / variance) / math.sqrt(2.0 * math.pi * variance))
