"""The tables of docs/sequential.md: false claims, coverage, power, runs and bias."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ablation import stats
from ablation.stats import SequentialDesign
from benchmarks.sequential.simulate import Cell, Found, simulate

REPLICATES, PROCESSES = 20_000, 2
LOOKS: tuple[tuple[int, ...], ...] = ((5, 10), (3, 5, 8, 12), (3, 4, 5, 6, 7, 8, 10, 12))
NULLS = (2, 8, 20)
RATIO = 3.0
SPREADS = {
    "equal": (),
    "one variant x 3": (1.0, RATIO),
    "baseline x 3": (RATIO,),
    "half of the variants x 3": None,
}
EFFECTS: dict[str, tuple[float, ...]] = {
    "3, -3, 2, five null": (3.0, -3.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "6, -5, 4, -3, 3, 2.5, two null": (6.0, -5.0, 4.0, -3.0, 3.0, 2.5, 0.0, 0.0),
    "1, -1, 2, -2, four null": (1.0, -1.0, 2.0, -2.0, 0.0, 0.0, 0.0, 0.0),
}
DESIGNS: dict[str, dict[str, object]] = {
    "O'Brien-Fleming": {},
    "Pocock": {"spending": "pocock"},
    "O'Brien-Fleming, futility": {"futility": "conditional_power"},
    "Pocock, margin 2.5": {"spending": "pocock", "margin": 2.5},
    "Pocock, futility, margin 2.5": {"spending": "pocock", "futility": "conditional_power", "margin": 2.5},
}


def nulls(replicates: int, processes: int) -> None:
    """What is claimed where there is nothing to find."""
    error = math.sqrt(0.05 * 0.95 / replicates)
    print("\nNull variants: family-wise error, coverage of all intervals at all looks, runs over the most possible")
    print(f"{replicates:,} replicates a cell; the Monte Carlo SD of a rate of .05 is {error:.4f}\n", flush=True)
    _print("variants", "looks", "spreads", "design", "error", "coverage", "runs")
    for k, looks, spread, name, cell in null_cells():
        found = simulate(cell, replicates, processes)
        _print(k, len(looks), spread, name, f"{found.false:.4f}", f"{found.covered:.4f}", f"{found.runs:.2f}")


def effects(replicates: int, processes: int) -> None:
    """What is found of effects, and what that takes."""
    print("\nEight variants with effects (residual SDs), looks 3, 5, 8, 12: power of each effect, runs, and the fixed")
    print(f"number of seeds with at least the power of the smallest effect; {replicates:,} replicates\n", flush=True)
    _print("effects", "design", "error", "coverage", "power", "runs", "fixed seeds", "its runs")
    for values, name, cell in effect_cells():
        _print(values, name, *_power_row(cell, simulate(cell, replicates, processes)))


def bias(replicates: int, processes: int) -> None:
    """How far estimates are off, where they were stopped."""
    print("\nBias in residual SDs, of the estimate where a variant stopped, and of those that were detected early")
    print(f"{replicates:,} replicates of four variants\n", flush=True)
    _print("design", "effect", "raw", "adjusted", "early raw", "early adjusted")
    for name, effect, cell in bias_cells():
        _print(name, f"{effect:g}", *_bias_row(effect, simulate(cell, replicates, processes)))


TABLES = {"nulls": nulls, "effects": effects, "bias": bias}


def null_cells() -> Iterator[tuple[int, tuple[int, ...], str, str, Cell]]:
    """Studies in which nothing has an effect."""
    for k in NULLS:
        for looks in LOOKS:
            for spread, sds in SPREADS.items():
                for name in DESIGNS if spread == "equal" else ("Pocock", "O'Brien-Fleming"):
                    own = (1.0, *([RATIO] * (k // 2))) if sds is None else sds
                    yield k, looks, spread, name, Cell(_design(looks, name), (0.0,) * k, own)


def effect_cells() -> Iterator[tuple[str, str, Cell]]:
    """Studies in which some variants have an effect."""
    for effects, values in EFFECTS.items():
        for name in DESIGNS:
            yield effects, name, Cell(_design((3, 5, 8, 12), name), values)


def bias_cells() -> Iterator[tuple[str, float, Cell]]:
    """Four variants of the same effect, so that each study has four estimates of it."""
    for name in DESIGNS:
        for effect in (0.5, 1.0, 2.0, 3.0, 4.0):
            yield name, effect, Cell(_design((3, 5, 8, 12), name), (effect,) * 4, estimates=True)


def _design(looks: tuple[int, ...], name: str) -> SequentialDesign:
    return SequentialDesign(looks, **DESIGNS[name])  # type: ignore[arg-type]


def _power_row(cell: Cell, found: Found) -> tuple[str, ...]:
    sizes = sorted({abs(effect) for effect in cell.effects if effect})
    power = {size: _of_size(cell, found.detected, size) for size in sizes}
    shown = ", ".join(f"{size:g}: {own:.2f}" for size, own in power.items())
    k, smallest = len(cell.effects), sizes[0]
    reached = (n for n in range(3, 100) if stats.detection_power(smallest, n, k) >= power[smallest])
    fixed = next(reached, None)
    most = (k + 1) * cell.design.looks[-1]
    runs = "" if fixed is None else f"{(k + 1) * fixed / most:.2f}"
    return f"{found.false:.4f}", f"{found.covered:.4f}", shown, f"{found.runs:.2f}", str(fixed), runs


def _of_size(cell: Cell, values: tuple[float, ...], size: float) -> float:
    own = [value for value, effect in zip(values, cell.effects, strict=True) if abs(effect) == size]
    return sum(own) / len(own)


def _bias_row(effect: float, found: Found) -> list[str]:
    columns = (found.raw, found.adjusted, found.stopped_raw, found.stopped_adjusted)
    means = [sum(own) / len(own) - effect for own in columns]
    return [f"{mean:+.3f}" for mean in means]


def _print(*cells: object) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
