"""How long a run would take: a few of its steps, timed, and reckoned up to its whole budget."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ablation.data import sources
from ablation.planning.job import Job
from ablation.storage.record import EpochRow
from ablation.study.schema import Recipe
from ablation.tasks.hooks import Hooks
from ablation.training.budget import make_budget
from ablation.training.data import split
from ablation.training.loop import train

STEPS = 4
"""Of a row; the first row warms up."""
MOST_ROWS = 10_000


class Probed(NamedTuple):
    """Estimated seconds of a run: for training and validation, for all its checkpoints, and until its first step."""

    seconds: float
    checkpoints: float
    start: float


def probe(
    job: Job, least: float = 0.0, beat: Callable[[], None] = lambda: None, warm: Callable[[], None] = lambda: None
) -> Probed:
    """What a run would take on the device of the job.

    The steps have the run's own network and batch size; stages and what they freeze are ignored, and so is what a run
    writes at its end. The first row warms up: `warm` is called after it, and what follows is measured, for `least`
    seconds. `beat` is called at each sign of progress. Nothing is kept.
    """
    recipe, labels = job.run.image_recipe, sources.load(job.prepared).labels
    parts = split(labels, recipe.data, job.run.seed)
    budget = make_budget(recipe.train, len(parts.train), parts.available)
    short = _shortened(recipe, len(parts.train))
    validated = len(split(labels, short.data, job.run.seed).val)
    rows: list[EpochRow] = []
    started = time.monotonic()
    first = begun = last = end = math.inf

    def on_epoch(row: EpochRow, _: int) -> None:
        nonlocal first, begun, last, end
        last = time.monotonic()
        rows.append(row)
        beat()
        if len(rows) == 1:
            first = last
            warm()
            begun = time.monotonic()
            end = begun + least

    hooks = Hooks(
        on_epoch=on_epoch,
        on_step=lambda *_: beat(),
        should_stop=lambda: len(rows) > 1 and time.monotonic() > end,
    )
    with tempfile.TemporaryDirectory() as folder:
        train(replace(job, run=replace(job.run, recipe=short), folder=Path(folder) / "run"), hooks)
    step = statistics.mean(row.seconds for row in rows[1:]) / STEPS
    image = statistics.mean(row.eval_seconds for row in rows[1:]) / validated
    whole = (last - begun) / (len(rows) - 1)
    checkpoint = max(0.0, whole - statistics.mean(row.seconds + row.eval_seconds for row in rows[1:]))
    seconds = budget.total * step + budget.rows * len(parts.val) * image
    return Probed(seconds, budget.rows * checkpoint, max(0.0, first - started - whole))


def _shortened(recipe: Recipe, images: int) -> Recipe:
    """The recipe on just enough images for its batches, for ever so many short epochs."""
    batch = min(recipe.train.batch_size, images)
    enough = max(20, math.ceil(2 * batch / (1 - recipe.data.validation)))
    budget = {
        "epochs": None,
        "steps": MOST_ROWS * STEPS,
        "eval_every": STEPS,
        "stages": (),
        "patience": None,
        "hold": "epochs",
    }
    data = recipe.data.model_copy(update={"fraction": 1.0, "limit": min(enough, recipe.data.limit or enough)})
    return recipe.model_copy(update={"data": data, "train": recipe.train.model_copy(update=budget)})
