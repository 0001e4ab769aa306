"""How long a run would take: a few of its steps, timed, and reckoned up to its whole budget."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path

from ablation.protocol import Task
from ablation.record import EpochRow
from ablation.study import Recipe
from ablation.train import sources
from ablation.train.budget import make_budget
from ablation.train.data import split
from ablation.train.loop import Hooks, train

STEPS = 4
"""Timed, after as many that warm up."""


def probe(task: Task) -> float:
    """Estimated seconds of a run, validation included and checkpoints left out, on the device of the task.

    The steps have the run's own network and batch size; stages and frozen parts are not told apart. Nothing is kept.
    """
    recipe = task.run.recipe
    parts = split(sources.load(task.data).labels, recipe.data, task.run.seed)
    budget = make_budget(recipe.train, len(parts.train), parts.available)
    rows: list[EpochRow] = []
    hooks = Hooks(lambda row, _: rows.append(row), lambda *_: None, lambda: False)
    with tempfile.TemporaryDirectory() as folder:
        short = replace(task.run, recipe=_shortened(recipe, len(parts.train)))
        record = train(replace(task, run=short, folder=Path(folder) / "run"), hooks)
    assert record is not None
    step, image = rows[-1].seconds / STEPS, rows[-1].eval_seconds / record.val_images
    return budget.total * step + budget.rows * len(parts.val) * image


def _shortened(recipe: Recipe, images: int) -> Recipe:
    """The recipe on just enough images for its batches, for two short epochs."""
    batch = min(recipe.train.batch_size, images)
    enough = max(20, math.ceil(2 * batch / (1 - recipe.data.validation)))
    budget = {"epochs": None, "steps": 2 * STEPS, "eval_every": STEPS, "stages": (), "patience": None, "hold": "epochs"}
    data = recipe.data.model_copy(update={"fraction": 1.0, "limit": min(enough, recipe.data.limit or enough)})
    return recipe.model_copy(update={"data": data, "train": recipe.train.model_copy(update=budget)})
