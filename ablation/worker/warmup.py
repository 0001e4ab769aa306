"""A throw-away run, so that what torch loads at its first step counts neither as memory nor as time of a real one."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from ablation.data import sources
from ablation.planning.job import Job
from ablation.planning.run import Run
from ablation.registry.datasets import Synthetic
from ablation.registry.optimizers import Sgd
from ablation.study.networks import Model
from ablation.study.schema import Recipe, Train
from ablation.tasks.hooks import Hooks
from ablation.training.loop import train

_DATA = Synthetic(name="synthetic", shape=(1, 8, 8), classes=2, samples=40)
_RECIPE = Recipe(
    data=_DATA,
    model=Model(name="lenet5", norm="batch"),
    optimizer=Sgd(name="sgd", momentum=0.9),
    train=Train(epochs=1, batch_size=16),
)


def warm_up(threads: int, device: str = "cpu") -> None:
    """Train a tiny network on a few random images, in a folder that is gone afterwards."""
    run = Run("warm-up", 0, 0, _RECIPE, "none", "none", "none")
    with tempfile.TemporaryDirectory() as folder:
        job = Job(run, Path(folder) / "run", sources.arrays_of(_DATA), device, threads)
        train(job, Hooks(lambda *_: None, lambda *_: None, lambda: False))


@functools.cache
def warm_up_once(device: str, threads: int) -> None:
    """Warm up on a device at its first run in this process, which makes its context and loads its libraries.

    A worker has warmed up on the CPU already when it starts.
    """
    if device != "cpu":
        warm_up(threads, device)
