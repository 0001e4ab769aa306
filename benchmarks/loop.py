"""The training loop over a bare one: forward, backward and update on one fixed batch that lies ready.

Both run in one process, one after the other in every round: the same network, memory layout, precision, threads and
allocator. What the engine does besides - drawing, augmenting and normalising batches, adding up metrics, setting the
learning rate, reporting - is what the ratio shows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from ablation.data import sources
from ablation.planning.job import Job
from ablation.planning.run import Run
from ablation.registry.augmentations import Crop, Flip
from ablation.registry.datasets import Synthetic
from ablation.registry.optimizers import Sgd
from ablation.study.networks import Model
from ablation.study.schema import Recipe, Train
from ablation.tasks.hooks import Hooks
from ablation.training import device
from ablation.training.loop import Training
from ablation.training.precision import autocast
from benchmarks.rows import Part, row

CIFAR, DIGITS = (3, 32, 32), (1, 8, 8)
SGD = Sgd(name="sgd", lr=0.01, momentum=0.9, weight_decay=5e-4)
PRECISIONS = ("fp32", "bf16")
ROUNDS = 15


@dataclass(frozen=True)
class Case:
    """A network, the (channels, height, width) of its images, its batches, the steps of a round, and the goal."""

    name: str
    model: str
    image: tuple[int, int, int]
    batch: int
    steps: int
    goal: float


CASES = (
    Case("LeNet-5, batch 128", "lenet5", CIFAR, 128, 30, 1.05),
    Case("ResNet-9, batch 64", "resnet9", CIFAR, 64, 4, 1.05),
    Case("LeNet-5 on 8x8 digits, batch 32", "lenet5", DIGITS, 32, 150, 1.10),
)
NOTES = (
    "Ratio of the seconds of a training pass over those of forward, backward and update on one fixed batch that lies"
    " ready, each time the same number of steps, one after the other in one process with one thread: the same network,"
    " memory layout, precision and allocator. Medians of the rounds with their quartiles.",
)


def ratios(case: Case, precision: str, rounds: int) -> list[float]:
    """Seconds of the engine over seconds of the bare loop, `case.steps` steps each, for every round."""
    hooks = Hooks(lambda *_: None, lambda *_: None, lambda: False)
    with ready(case, precision, rounds + 1) as (training, bare):
        assert len(training.loader.split.train) == case.batch * case.steps
        pairs = []
        for number in range(1, rounds + 2):
            pairs.append((_seconds(lambda n=number: training.train_pass(n, hooks)), _seconds(bare)))
    return [engine / plain for engine, plain in pairs[1:]]


@contextmanager
def ready(case: Case, precision: str, epochs: int) -> Iterator[tuple[Training, Callable[[], None]]]:
    """A run of the engine on just enough images for the steps of an epoch, and the bare loop over its network."""
    held_out = 50
    data = Synthetic(name="synthetic", shape=case.image, classes=10, samples=case.batch * case.steps + held_out)
    data = data.model_copy(
        update={"validation": held_out / data.samples, "augment": (Crop(name="crop"), Flip(name="flip"))}
    )
    train = Train(epochs=epochs, batch_size=case.batch, precision=precision)
    recipe = Recipe(data=data, model=Model(name=case.model, norm="batch"), optimizer=SGD, train=train)
    with tempfile.TemporaryDirectory() as folder:
        prepared = sources.prepare(data, "benchmark", Path(folder), lambda *_: None)
        run = Run("benchmark", 0, 0, recipe, "benchmark", "benchmark", "benchmark")
        training = Training(Job(run, Path(folder) / "run", prepared, "cpu", 1))
        yield training, _bare(training, case)


def _bare(training: Training, case: Case) -> Callable[[], None]:
    """A plain loop over the very network of `training`."""
    images = torch.randn(case.batch, *case.image).to(memory_format=torch.channels_last)
    labels = torch.arange(case.batch) % 10
    model, optimizer = training.model, SGD.build(training.model.parameters())

    def loop() -> None:
        model.train()
        for _ in range(case.steps):
            with autocast(training.recipe.train.precision, training.device):
                loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return loop


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(quick: bool) -> Part:
    """Every case in both precisions; `quick` shows only that it works."""
    device.set_up_process(1)
    rows = []
    for case in CASES:
        for precision in PRECISIONS:
            found = ratios(replace(case, steps=2) if quick else case, precision, 1 if quick else ROUNDS)
            rows.append(row(f"{case.name}, {precision}", found, "x", case.goal, against="bare loop"))
            print(f"{case.name}, {precision}: {rows[-1].value:.3f}", flush=True)
    return Part("The training loop", NOTES, rows)
