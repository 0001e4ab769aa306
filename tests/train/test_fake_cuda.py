"""A whole training pass traced with fake CUDA tensors: no two devices are mixed, and nothing waits for the device.

Fake tensors have a device, a shape and no values. Mixing devices raises, and so does every read of a value (`.item()`,
`bool()`, a boolean mask as index), each of which would make the host wait for the GPU at every step; copies to the host
are looked for as well. Not traced are what needs a driver: the backward pass, generators of CUDA (the CPU's stand in),
autocast and loss scaling, which torch turns off without one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from ablation import rng
from ablation.data import sources
from ablation.planning.job import Job
from ablation.tasks.hooks import Hooks
from ablation.training import data, device
from ablation.training.data import Loader
from ablation.training.loop import Training
from ablation.training.models.pretrained import AveragePool

CUDA = torch.device("cuda:0")


def fakes_need_a_driver() -> bool:
    """Whether this torch makes fake tensors on CUDA only where there is a driver, as 2.7 does."""
    real = torch.zeros(1)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            real.to(CUDA)
    except RuntimeError:
        return True
    return False


pytestmark = pytest.mark.skipif(fakes_need_a_driver(), reason=f"torch {torch.__version__} needs a driver to trace this")

STUDY = """\
baseline:
  data: {name: synthetic, shape: [3, 24, 32], samples: 60, classes: 3, validation: 0.2}
  model: {name: lenet5, norm: batch, dropout: 0.3, feature_dropout: 0.1, input_dropout: 0.1, dropconnect: 0.1}
  optimizer: {name: sgd, lr: 0.1, momentum: 0.9, weight_decay: 1e-3}
  schedule: {name: cosine, warmup_epochs: 1}
  train: {epochs: 2, batch_size: 16, clip_norm: 1, label_smoothing: 0.1, mixup: 0.4}
seeds: [0]
"""
AUGMENT = "data.augment=[crop, flip, cutout, random_resized_crop, color_jitter, noise]"
RECIPES = {
    "everything": [AUGMENT],
    "plain": ["train.mixup=0", "train.clip_norm=null"],
    "adam": [AUGMENT, "optimizer=adam"],
    "adamw": [AUGMENT, "optimizer=adamw"],
    "rmsprop": [AUGMENT, "optimizer={name: rmsprop, momentum: 0.5}"],
    "head": [AUGMENT, "optimizer.head_lr_multiplier=3"],
    "grey": [AUGMENT, "data.shape=[1, 24, 32]"],
    "resnet9": [AUGMENT, "model={name: resnet9, width: 0.1}"],
    "resnet18, large stem": [AUGMENT, "model={name: resnet18, width: 0.1, norm: group, stem: large}"],
    "vgg11, instance": [
        AUGMENT,
        "model={name: vgg11, width: 0.1, norm: instance, pool: avg}",
        "data.shape=[3, 32, 32]",
    ],
    "resized": [AUGMENT, "model={name: 'torchvision:shufflenet_v2_x0_5', input_size: 40}"],
}


class PassEndedError(Exception):
    """Raised where the loop waits for the device on purpose: at the end of a pass."""


class HostCopies(TorchDispatchMode):
    """Within it, a copy from the GPU to the host raises.

    Fused SGD, which torch cannot trace, is only asked for the devices of its tensors.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (torch.ops.aten._fused_sgd_.default, torch.ops.aten._fused_sgd_.tensor_lr):
            assert {each.device for tensors in args for each in tensors} == {CUDA}
            return None
        out = func(*args, **(kwargs or {}))
        sources = [value for value in args if isinstance(value, Tensor)]
        if isinstance(out, Tensor) and out.device.type == "cpu" and any(each.device == CUDA for each in sources):
            raise AssertionError(f"{func} copies from the GPU to the host")
        return out


class GeneratorOfCuda(torch.Generator):
    """One of the CPU that says it is on the GPU."""

    device = CUDA  # type: ignore[assignment]


@pytest.fixture
def _generators_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def generator(seed: int, *names: str | int, device: object = "cpu") -> torch.Generator:
        return GeneratorOfCuda().manual_seed(rng.derive(seed, *names))

    for module in ("augment", "targets"):
        monkeypatch.setattr(f"ablation.training.{module}.generator", generator)


def to_fake_cuda(network: nn.Module, fake: FakeTensorMode) -> None:
    """`Module.to` for fake tensors."""
    for module in network.modules():
        for name, value in module._parameters.items():
            if value is not None:
                module._parameters[name] = nn.Parameter(fake.from_tensor(value.detach()).to(CUDA))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = fake.from_tensor(buffer).to(CUDA)


def on_fake_cuda(job: Job, fake: FakeTensorMode, monkeypatch: pytest.MonkeyPatch) -> Training:
    """A run whose network, data and optimizer are on a GPU that is not there; gradients come from nowhere."""
    training = Training(job)
    images, recipe = replace(sources.load(job.data), digest=""), training.recipe  # not kept for the next test
    parts = training.loader.split  # which images are where is decided on the host, by values
    monkeypatch.setattr(data, "split", lambda *_: parts)
    monkeypatch.setattr(device, "free_memory", lambda _: math.inf)
    monkeypatch.setattr(device, "record", lambda work: work)  # a recorded step is traced as what it records
    monkeypatch.setattr(device, "synchronize", lambda _: (_ for _ in ()).throw(PassEndedError))
    network = training.model

    def backward(loss: Tensor) -> None:
        assert loss.device == CUDA
        assert loss.dtype == torch.float32
        for parameter in network.parameters():
            parameter.grad = torch.empty_like(parameter)

    monkeypatch.setattr(Tensor, "backward", backward)
    with fake:
        given = training.loader.view._input
        training.device = CUDA
        training.loader = Loader(images, recipe.data, recipe.train, job.run.seed, CUDA, given)
        to_fake_cuda(network, fake)
        training._enter(training.stages[0])
    return training


def trace(training: Training, fake: FakeTensorMode) -> int:
    """The number of steps of one traced pass."""
    steps: list[int] = []
    original = training.step

    class Counted:
        def __getattr__(self, name: str) -> Any:
            return getattr(original, name)

        def __call__(self, *batch: Any) -> None:
            steps.append(1)
            original(*batch)

    training.step = Counted()  # type: ignore[assignment]
    with fake, HostCopies(), pytest.raises(PassEndedError):
        training.train_pass(1, Hooks(lambda *_: None, lambda *_: None, lambda: False))
    return len(steps)


@pytest.mark.slow
@pytest.mark.usefixtures("_generators_of_the_cpu")
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_training_pass_mixes_no_devices_and_never_waits_for_the_gpu(recipe: str, study, jobs, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    training = on_fake_cuda(jobs(study(*RECIPES[recipe]))[0], fake, monkeypatch)
    assert trace(training, fake) == 3


@pytest.mark.usefixtures("_generators_of_the_cpu")
def test_validation_batches_are_on_the_gpu_and_made_without_waiting_for_it(study, jobs, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    training = on_fake_cuda(jobs(study())[0], fake, monkeypatch)
    training.model.eval()
    with fake, HostCopies(), torch.no_grad():
        found = [(training.model(images).device, labels.device) for images, labels in training.loader.val()]
    assert found == [(CUDA, CUDA)]


def test_a_pool_that_does_not_divide_stays_on_the_gpu() -> None:
    with FakeTensorMode(), HostCopies():
        images = torch.empty(2, 8, 9, 7, device=CUDA)
        out = AveragePool((6, 6))(images)
    assert (out.device, tuple(out.shape)) == (CUDA, (2, 8, 6, 6))


MISTAKES: dict[str, tuple[Callable[[Tensor], Tensor], type[Exception]]] = {
    "a value read": (lambda logits: logits * logits.sum().item(), DataDependentOutputException),
    "a truth": (lambda logits: logits if logits.sum() > 0 else -logits, DataDependentOutputException),
    "another device": (lambda logits: logits + torch.ones(16, 1), RuntimeError),
    "a copy to the host": (lambda logits: logits + logits.cpu().to(CUDA), AssertionError),
}


@pytest.mark.usefixtures("_generators_of_the_cpu")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_trace_finds_what_it_looks_for(mistake: str, study, jobs, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    change, error = MISTAKES[mistake]
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    training = on_fake_cuda(jobs(study())[0], fake, monkeypatch)
    network = training.step.forward
    training.step.forward = lambda images: change(network(images))
    with fake, HostCopies(), pytest.raises(error) as raised:
        training.train_pass(1, Hooks(lambda *_: None, lambda *_: None, lambda: False))
    assert raised.type is not PassEndedError
