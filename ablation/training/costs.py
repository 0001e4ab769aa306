"""How long runs will take, relative to each other, before any of them is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

from ablation.data import sources
from ablation.planning.run import Run
from ablation.study.schema import Recipe
from ablation.training.budget import make_budget
from ablation.training.sizes import model_size

STEP = 10_000_000
"""Multiply-accumulates that take as long as what a step costs whatever its size (measured on one CPU core)."""
PASSES = 3
"""Forward passes that a training step comes to: one forward, and two for the gradients of inputs and weights."""


def costs(runs: Iterable[tuple[Run, Path]], beat: Callable[[], None] = lambda: None) -> tuple[float, ...]:
    """Multiply-accumulates of each run on its prepared data, the fixed cost of its steps among them.

    `beat` is called after each of them.

    A network that cannot be built costs as much as the longest run: what is wrong with it shows early.
    """
    found = []
    for run, data in runs:
        found.append(_cost(run.image_recipe, data))
        beat()
    longest = max((cost for cost in found if cost is not None), default=1.0)
    return tuple(longest if cost is None else cost for cost in found)


def _cost(recipe: Recipe, folder: Path) -> float | None:
    data, train = recipe.data, recipe.train
    total, image, classes = _data(folder)
    used = min(data.limit or total, total)
    validation = round(used * data.validation)
    available = used - validation
    try:
        _, macs = model_size(recipe, image, classes)
    except Exception:
        return None
    images = max(classes, round(available * data.fraction))
    budget = make_budget(train, images, available)
    seen = budget.total * min(train.batch_size, images)
    return budget.total * STEP + macs * (PASSES * seen + budget.rows * validation)


@lru_cache(maxsize=32)
def _data(folder: Path) -> tuple[int, tuple[int, int, int], int]:
    """(images, shape of one, classes)."""
    images = sources.load(folder)
    channels, height, width = images.images.shape[1:]
    return len(images.labels), (int(channels), int(height), int(width)), len(images.classes)
