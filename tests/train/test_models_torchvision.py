"""Our VGG and ResNet are torchvision's: the same parameters, and the same logits from the same weights."""

import gc
from collections.abc import Iterator

import pytest
import torch
import torchvision
from torch import nn

from ablation.registry.models import KINDS
from ablation.registry.models.layers import Network
from ablation.training.models.counting import count_macs, count_parameters

IMAGE = (3, 224, 224)
PARAMETERS = {  # as torchvision's documentation lists them
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
}
GIGA_MACS = {"vgg11": 7.61, "vgg13": 11.31, "vgg16": 15.47, "vgg19": 19.63, "resnet18": 1.81, "resnet34": 3.66}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    gc.collect()


def ours(name: str) -> Network:
    """Our counterpart of torchvision's network, without memory for its weights."""
    residual = name.startswith("resnet")
    options = KINDS[name.removesuffix("_bn")](
        norm="batch" if residual or name.endswith("_bn") else "none",
        dropout=0.0 if residual else 0.5,
        hidden=() if residual else (4096, 4096),
        stem="large",
    )
    with torch.device("meta"):
        return options.build(IMAGE, 1000)


def theirs(name: str) -> nn.Module:
    with torch.device("meta"):
        model: nn.Module = torchvision.models.get_model(name, weights=None)
    return model


@torch.no_grad()
def fill(model: nn.Module) -> None:
    """Weights, scales, shifts and running statistics that keep the signal at its size and none of them at rest."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if tensor.dim() > 1:
            bound = (6 / tensor[0].numel()) ** 0.5
            tensor.uniform_(-bound, bound, generator=generator)
        elif tensor.is_floating_point():
            low = 0.5 if name.endswith(("weight", "running_var")) else -0.1
            tensor.uniform_(low, low + 0.2, generator=generator)
        else:
            tensor.zero_()


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_are_those_of_torchvision(name: str) -> None:
    assert count_parameters(ours(name)) == count_parameters(theirs(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", GIGA_MACS)
def test_macs_are_those_of_torchvision(name: str) -> None:
    model = ours(name)
    assert count_macs(model, IMAGE) == count_macs(theirs(name), IMAGE)
    assert count_macs(model, IMAGE) / 1e9 == pytest.approx(GIGA_MACS[name], abs=0.006)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARAMETERS)
def test_logits_are_those_of_torchvision_for_the_same_weights(name: str) -> None:
    reference, model = theirs(name).to_empty(device="cpu").eval(), ours(name).eval()
    fill(reference)
    state = zip(model.state_dict(), reference.state_dict().values(), strict=True)
    model.load_state_dict(dict(state), assign=True)
    image = torch.randn(1, *IMAGE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, logits = reference(image), model(image)
    assert expected.std() > 1e-3
    assert torch.allclose(logits, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())
