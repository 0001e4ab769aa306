"""`python -m benchmarks.gpu.inside CHECK DEVICE`: checks that look into a process that trains; prints JSON.

Where the CPU plays the device, everything runs but what only CUDA has; `cuda` says which of both it was.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from ablation.data import sources
from ablation.planning.job import Job
from ablation.planning.run import Run
from ablation.registry.augmentations import Crop, Flip
from ablation.registry.datasets import Synthetic
from ablation.registry.optimizers import AdamW, Sgd
from ablation.registry.schedules import Cosine
from ablation.study.networks import Model
from ablation.study.schema import Recipe, Train
from ablation.tasks.hooks import Hooks
from ablation.training import checkpoint, device
from ablation.training.loop import Training
from ablation.training.precision import autocast, set_float32_arithmetic
from ablation.training.targets import Targets

SAMPLES, RECORDED = (400, 5000) if torch.cuda.is_available() else (96, 500)
"""Images for the checks; on a CPU just enough to run them."""
HOOKS = Hooks(lambda *_: None, lambda *_: None, lambda: False)
RECIPE = Recipe(
    data=Synthetic(name="synthetic", samples=SAMPLES, augment=(Crop(name="crop"), Flip(name="flip"))),
    model=Model(name="resnet9", norm="batch", dropout=0.1),
    optimizer=AdamW(name="adamw", lr=0.001),
    train=Train(epochs=4, batch_size=32, clip_norm=1.0),
)
_DATA = Synthetic(name="synthetic", shape=(3, 32, 32), samples=RECORDED, validation=0.1, augment=RECIPE.data.augment)
_COSINE = Cosine(name="cosine")
IMAGES, CHANNELS, SIDE = 16, 64, 32
"""Of the convolution whose error is measured."""


@contextmanager
def ready(name: str) -> Iterator[Training]:
    """A run on a device whose first epoch is trained already."""
    run = Run("check", 0, 0, RECIPE, "check", "check", "check")
    with tempfile.TemporaryDirectory() as folder:
        training = Training(Job(run, Path(folder) / "run", sources.arrays_of(RECIPE.data), name, 1))
        training.train_pass(1, HOOKS)
        yield training


def steps(training: Training, number: int) -> int:
    """Train the steps of an epoch, with nothing between them: how many."""
    count = 0
    for images, labels in training.loader.train(training.budget, number):
        training.step(images, Targets(labels), 0.001)
        count += 1
    return count


def synchronisation(name: str) -> dict[str, Any]:
    """Train the steps of an epoch where each wait for the GPU raises."""
    with ready(name) as training:
        cuda = training.device.type == "cuda"
        if cuda:
            torch.cuda.set_sync_debug_mode("error")
        try:
            count = steps(training, 2)
        finally:
            if cuda:
                torch.cuda.set_sync_debug_mode("default")
    return {"cuda": cuda, "steps": count}


def numbers(name: str) -> dict[str, Any]:
    """Kernel launches of a step; relative errors of a convolution against float64 in the precisions of the device."""
    with ready(name) as training:
        where = training.device
        activity = torch.profiler.ProfilerActivity
        kinds = [activity.CPU, activity.CUDA] if where.type == "cuda" else [activity.CPU]
        with torch.profiler.profile(activities=kinds) as profile:
            count = steps(training, 2)
            device.synchronize(where)
    launches = sum(each.count for each in profile.key_averages() if "launchkernel" in each.key.lower())
    stream = torch.Generator().manual_seed(0)
    images = torch.randn(IMAGES, CHANNELS, SIDE, SIDE, generator=stream)
    weights = torch.randn(CHANNELS, CHANNELS, 3, 3, generator=stream)
    exact = functional.conv2d(images.double(), weights.double())
    errors = {}
    for precision in ("fp32", "tf32", "bf16", "fp16") if where.type == "cuda" else ("fp32", "bf16"):
        set_float32_arithmetic(precision)
        with autocast(precision, where):
            found = functional.conv2d(images.to(where), weights.to(where))
        errors[precision] = ((found.double().cpu() - exact).norm() / exact.norm()).item()
    return {"cuda": where.type == "cuda", "launches": launches / count, "errors": errors}


def hold(name: str) -> dict[str, Any]:
    """Take memory of a GPU until 95 % is full, say so, and hold it until the standard input ends."""
    where = device.open_device(name)
    free, total = torch.cuda.mem_get_info(where)
    block = torch.empty(max(0, free - total // 20), dtype=torch.uint8, device=where)
    print("full", flush=True)
    sys.stdin.read()
    return {"cuda": True, "bytes": block.nbytes}


def recording(name: str) -> dict[str, Any]:
    """Weights and milliseconds of steps launched kernel by kernel, and of recorded ones; the CPU records none."""
    found = {}
    for label, recipe in _recorded_recipes():
        digests, times = [], []
        for record in (False, True):
            with patched(device, "can_record", device.can_record if record else lambda *_: False):
                digest, seconds = _train(recipe, name)
            digests.append(digest)
            times.append(1000 * seconds)
        found[label] = {"same": digests[0] == digests[1], "launched": times[0], "recorded": times[1]}
    return {"cuda": device.find_device(name).type == "cuda", "found": found}


def _recorded_recipes() -> Iterator[tuple[str, Recipe]]:
    sgd = Sgd(name="sgd", lr=0.05, momentum=0.9, weight_decay=5e-4)
    adamw, nesterov = AdamW(name="adamw", lr=0.001), Sgd(name="sgd", lr=0.05, momentum=0.9, nesterov=True)
    for model, optimizer, precision, clip in (
        ("lenet5", sgd, "fp32", None), ("lenet5", adamw, "fp32", 1.0), ("lenet5", nesterov, "fp16", 1.0),
        ("resnet9", sgd, "fp32", None), ("resnet9", sgd, "tf32", None), ("resnet9", sgd, "bf16", None),
        ("resnet9", adamw, "fp16", 1.0),
    ):  # fmt: skip
        if not torch.cuda.is_available() and (model, precision) != ("lenet5", "fp32"):
            continue
        train = Train(epochs=4, batch_size=64, precision=precision, clip_norm=clip)
        model_options = Model(name=model, norm="batch", dropout=0.1)
        changes = {"optimizer": optimizer, "train": train, "model": model_options, "data": _DATA, "schedule": _COSINE}
        yield f"{model} {optimizer.name} {precision}", RECIPE.model_copy(update=changes)


def _train(recipe: Recipe, name: str) -> tuple[str, float]:
    """The digest of the weights after all epochs, and the seconds of a step in the last one."""
    run = Run("check", 0, 0, recipe, "check", "check", "check")
    with tempfile.TemporaryDirectory() as folder:
        training = Training(Job(run, Path(folder) / "run", sources.arrays_of(recipe.data), name, 1))
        for number in range(1, 5):
            start = time.perf_counter()
            training.train_pass(number, HOOKS)
            seconds = time.perf_counter() - start
        return checkpoint.sha256(training.model.state_dict()), seconds / len(training.budget.steps(4))


@contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    """An attribute has another value within it."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


CHECKS: dict[str, Callable[[str], dict[str, Any]]] = {
    "recording": recording,
    "synchronisation": synchronisation,
    "numbers": numbers,
    "hold": hold,
}

if __name__ == "__main__":
    device.set_up_process(1)
    print(json.dumps(CHECKS[sys.argv[1]](sys.argv[2])))
