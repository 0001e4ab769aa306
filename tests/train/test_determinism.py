"""A layer that torch refuses to run in deterministic mode is named, whether it fails forward or backward."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ablation.training.determinism import explain, gradient_pass, refused
from tests.conftest import Ablate

CODE = """\
import torch
from torch import nn


class Put(torch.autograd.Function):
    # The identity; its gradient is copied by put_, which torch runs in no deterministic way, on a CPU too.
    @staticmethod
    def forward(context, x):
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        places = torch.arange(gradient.numel())
        return torch.zeros_like(gradient).put_(places, gradient.flatten())


class Middle(nn.Module):
    def forward(self, x):
        return Put.apply(x)


class Unpool(nn.Module):
    def forward(self, x):
        small, places = nn.functional.max_pool2d(x, 2, return_indices=True)
        return nn.functional.max_unpool2d(small, places, 2)


class Net(nn.Module):
    def __init__(self, classes, in_channels, middle):
        super().__init__()
        layers = {"put": Middle(), "unpool": Unpool(), "none": nn.Identity()}
        self.features = nn.Sequential(nn.Conv2d(in_channels, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.features.add_module("middle", layers[middle])
        self.features.add_module("end", nn.ReLU())
        self.head = nn.LazyLinear(classes)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))
"""
STUDY = """\
study: refused
baseline:
  data: {name: digits, validation: 0.2, limit: 100}
  model: {name: "nets:Net", options: {middle: none}}
  optimizer: {name: sgd, lr: 0.05}
  train: {epochs: 1, batch_size: 32}
seeds: [0]
vary:
  model.options.middle: [put]
"""


@pytest.mark.slow
def test_a_layer_without_a_deterministic_gradient_is_named_with_what_to_use_instead(
    ablate: Ablate, tmp_path: Path
) -> None:
    (tmp_path / "nets.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "refused.yaml").write_text(STUDY, encoding="utf-8")
    result = ablate("run", "refused.yaml")
    assert result.returncode == 2, result.stdout + result.stderr
    said = " ".join((result.stdout + result.stderr).split())
    layer = "nets:Net: layer 'features.middle' (Middle) cannot be trained reproducibly"
    assert f"{layer}: put_ has no deterministic implementation; use index_put or torch.where" in said
    assert "RuntimeError" not in said


@pytest.mark.slow
def test_a_layer_without_a_deterministic_forward_pass_is_named_before_anything_is_trained(
    ablate: Ablate, tmp_path: Path
) -> None:
    (tmp_path / "nets.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "refused.yaml").write_text(STUDY.replace("[put]", "[unpool]"), encoding="utf-8")
    result = ablate("run", "refused.yaml")
    assert result.returncode == 1, result.stdout + result.stderr
    assert (
        "error: nets:Net: layer 'features.middle' (Unpool) cannot be trained reproducibly: max_unpool" in result.stderr
    )
    assert "use Upsample(mode='nearest') or ConvTranspose2d" in result.stderr


class Refuses(torch.autograd.Function):
    """The identity; its backward pass fails as an operator of CUDA does."""

    @staticmethod
    def forward(_: object, x: Tensor) -> Tensor:  # type: ignore[override]
        return x.clone()

    @staticmethod
    def backward(_: object, *__: Tensor) -> Tensor:  # type: ignore[override]
        raise RuntimeError("adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation, but you")


class Functional(nn.Module):
    """An operation between two layers, in the forward method of their parent."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(torch.relu(Refuses.apply(self.first(x))))  # type: ignore[no-untyped-call]
        return logits


def explained(network: nn.Module) -> str:
    images, labels = torch.randn(4, 6), torch.zeros(4, dtype=torch.long)
    with pytest.raises(RuntimeError) as raised:
        gradient_pass(network, images, labels)
    assert refused(raised.value) == "adaptive_avg_pool2d_backward_cuda"
    return str(explain(raised.value, network, "Net", lambda: gradient_pass(network, images, labels)))


def test_an_operation_outside_of_any_layer_is_that_of_the_module_whose_forward_calls_it() -> None:
    message = explained(nn.Sequential(nn.Linear(6, 6), Functional()))
    assert "layer '1' (Functional) cannot be trained" in message
    assert "Functional.forward cannot be trained" in explained(Functional())
    assert "use x.mean((2, 3)), or AvgPool2d" in message


def test_another_error_is_not_taken_for_a_refusal() -> None:
    assert refused(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) == ""
    assert refused(ValueError("put_ does not have a deterministic implementation")) == ""
