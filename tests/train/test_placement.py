"""Images on the device or on the host: the bits are the same. How many operators a batch costs."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ablation.data import sources
from ablation.data.sources import ImageSet
from ablation.planning.job import Job
from ablation.registry.datasets import Data, Digits, Synthetic
from ablation.study.load import load_study
from ablation.study.schema import Train
from ablation.tasks.hooks import Hooks
from ablation.training import device, placement
from ablation.training.budget import make_budget
from ablation.training.data import Loader
from ablation.training.loop import train
from ablation.training.placement import Resident, Streamed, place

CPU = torch.device("cpu")
STUDY = """\
baseline:
  data: {name: digits, validation: 0.2, limit: 150, AUGMENT, fraction: FRACTION}
  model: {name: lenet5, norm: batch, dropout: 0.3, hidden: [16]}
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
  train: {epochs: 2, batch_size: 16, mixup: MIXUP}
seeds: [0]
"""
AUGMENTED = "augment: [{name: crop, padding: 1}, flip, {name: cutout, size: 2}NOISE]"
HOOKS = Hooks(lambda *_: None, lambda *_: None, lambda: False)


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    placement.release()
    yield
    placement.release()


def prepare(data: Data, folder: Path) -> ImageSet:
    return sources.load(sources.prepare(data, data.fingerprint(), folder, lambda *_: None))


@pytest.mark.parametrize(
    ("augmented", "noisy", "mixup", "fraction"),
    list(itertools.product((True, False), (True, False), (0, 0.3), (1, 0.5))),
)
def test_images_on_the_host_give_the_weights_of_images_on_the_device(
    augmented: bool,
    noisy: bool,
    mixup: float,
    fraction: float,
    tmp_path: Path,
    jobs: Callable[..., list[Job]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = "{name: noise, sd: 0.2}"
    augment = AUGMENTED.replace("NOISE", f", {noise}" if noisy else "") if augmented else f"augment: [{noise * noisy}]"
    text = STUDY.replace("AUGMENT", augment).replace("FRACTION", str(fraction)).replace("MIXUP", str(mixup))
    (tmp_path / "study.yaml").write_text(text)
    study, found = load_study(tmp_path / "study.yaml"), {}
    monkeypatch.setattr("ablation.training.data.block_size", lambda _: device.BlockSize(2500, 5000))
    for free in (10**9, 0):
        monkeypatch.setenv("ABLATION_FREE_BYTES", str(free))
        placement.release()
        (job,) = jobs(study, f"runs{free}")
        record = train(job, HOOKS)
        assert record is not None
        found[record.environment.streamed] = record.weights_sha256
    assert found.keys() == {False, True}
    assert found[False] == found[True]


@pytest.mark.parametrize(("free", "kind"), [(1000, Resident), (999, Streamed)])
def test_images_are_streamed_where_they_need_more_than_a_share_of_the_free_memory(
    free: int, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABLATION_FREE_BYTES", str(free))
    assert placement.RESIDENT_SHARE == 0.4
    images = ImageSet(torch.zeros(100, 1, 2, 2, dtype=torch.uint8), torch.zeros(100).long(), (), *[torch.zeros(0)] * 2)
    assert isinstance(place(images, CPU), kind)


def test_on_a_cpu_images_are_never_copied(tmp_path: Path) -> None:
    images = prepare(Digits(name="digits"), tmp_path)
    placed = place(images, CPU)
    assert isinstance(placed, Resident)
    assert placed._images.data_ptr() == images.images.data_ptr()


def test_images_stay_on_the_device_for_the_next_run_and_leave_it_with_the_data_set(tmp_path: Path) -> None:
    digits, others = (
        sources.prepare(data, data.fingerprint(), tmp_path, lambda *_: None)
        for data in (Digits(name="digits"), Synthetic(name="synthetic", shape=(1, 8, 8), samples=40, classes=2))
    )
    first = place(sources.load(digits), CPU)
    assert place(sources.load(digits), CPU) is first
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is not None
    second = place(sources.load(others), CPU)
    gc.collect()
    assert gone() is None
    assert place(sources.load(others), CPU) is second


def test_images_that_no_folder_identifies_are_not_kept() -> None:
    arrays = sources.arrays_of(Digits(name="digits"))
    assert place(sources.load(arrays), CPU) is not place(sources.load(arrays), CPU)


class Operators(TorchDispatchMode):
    """Counts the operators that start work on a device; views and copies between devices are counted apart."""

    def __init__(self) -> None:
        super().__init__()
        self.launches = self.transfers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        views = [value.alias_info is not None and not value.alias_info.is_write for value in func._schema.returns]
        self.launches += not any(views)
        if isinstance(out, torch.Tensor) and args and isinstance(args[0], torch.Tensor):
            self.transfers += args[0].device != out.device
        return out


def launches(size: device.BlockSize, images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> float:
    """Operators of the loader for each batch of an epoch of 40 batches of CIFAR-10's shape, cropped and flipped."""
    monkeypatch.setattr("ablation.training.data.block_size", lambda _: size)
    data = Synthetic.model_validate({"name": "synthetic", "augment": ["crop", "flip"], "validation": 0.1})
    settings = Train(epochs=1, batch_size=128)
    loader = Loader(images, data, settings, 0, CPU)
    budget = make_budget(settings, len(loader.split.train))
    with Operators() as counted:
        batches = sum(1 for _ in loader.train(budget, 1))
    assert batches == 40
    return counted.launches / batches


def test_blocks_of_cuda_cost_a_tenth_of_the_launches_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.zeros((5689, 32, 32, 3), np.uint8)
    sums = torch.zeros((len(pixels), 3, 2), dtype=torch.int64)
    images = ImageSet(
        torch.from_numpy(pixels).permute(0, 3, 1, 2),
        torch.arange(len(pixels)) % 10,
        (),
        sums,
        torch.arange(len(pixels)),
    )
    on_cpu, on_cuda = (launches(size, images, monkeypatch) for size in (device.CPU_BLOCK, device.CUDA_BLOCK))
    print(f"\nlaunches a batch: {on_cpu:.2f} in blocks of a CPU, {on_cuda:.2f} in blocks of CUDA")
    assert on_cpu > 20
    assert on_cuda < 2.5


def test_each_kind_of_device_has_blocks_of_its_own() -> None:
    assert device.block_size(CPU) == device.BlockSize(2**18, 2**22)
    assert device.block_size(torch.device("cuda:0")) == device.CUDA_BLOCK


def test_validation_moves_nothing_to_a_device_that_has_the_images(tmp_path: Path) -> None:
    """`meta` stands in for a device: operators run on it without values."""
    images = prepare(Digits(name="digits"), tmp_path)
    meta = torch.device("meta")
    loader = Loader(images, Digits(name="digits"), Train(epochs=1), 0, meta)
    with Operators() as counted:
        found = list(loader.val())
    assert {x.device for batch in found for x in batch} == {meta}
    assert counted.launches > 0
    assert counted.transfers == 0
