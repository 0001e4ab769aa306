"""Initial weights: what the schemes draw, and what variants of one seed share."""

import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from ablation.registry.models import KINDS as MODELS
from ablation.registry.models.layers import Network
from ablation.study.networks import Init, Scheme
from ablation.training.models.initial import initialise

SCHEMES = get_args(Scheme)


def network(name: str = "vgg13", **changes: Any) -> Network:
    return MODELS[name](**{"norm": "batch", "width": 0.125, "hidden": (32,), **changes}).build((3, 32, 32), 10)


def both(scheme: Any) -> Init:
    """The scheme for convolutions and linear layers."""
    return Init(conv=scheme, linear=scheme)


def weights(seed: int = 0, scheme: str = "kaiming", init: Init | None = None, **changes: Any) -> dict[str, Tensor]:
    model = network(**changes)
    initialise(model, seed, init or both(scheme))
    return dict(model.named_parameters())


def shared_and_equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> int:
    shared = left.keys() & right.keys()
    assert all(torch.equal(left[name], right[name]) for name in shared)
    return len(shared)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "change",
    [
        {"norm": "none"},
        {"norm": "group"},
        {"norm_position": "after"},
        {"activation": "tanh"},
        {"pool": "avg"},
        {"dropout": 0.5, "feature_dropout": 0.1, "input_dropout": 0.1},
        {"dropconnect": 0.5},
        {"name": "vgg11"},
        {"name": "vgg19"},
    ],
)
def test_variants_of_one_seed_start_from_the_same_weights(change: dict[str, Any], scheme: str) -> None:
    baseline, variant = weights(scheme=scheme), weights(scheme=scheme, **change)
    shared = shared_and_equal(baseline, variant)
    assert shared == min(len(baseline), len(variant))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_deeper_resnet_starts_from_the_weights_of_the_shallow_one(scheme: str) -> None:
    shallow = weights(scheme=scheme, name="resnet18", hidden=())
    deep = weights(scheme=scheme, name="resnet34", hidden=())
    assert shared_and_equal(shallow, deep) == len(shallow)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_seeds_and_names_give_different_weights(scheme: str) -> None:
    first, second = weights(0, scheme), weights(1, scheme)
    for name in first:
        if name.endswith("weight") and "norm" not in name:
            assert not torch.equal(first[name], second[name]), name
    assert not torch.equal(first["features.conv5_1.weight"], first["features.conv5_2.weight"])


def test_initialising_again_resets_a_trained_model() -> None:
    model = network()
    initialise(model, 3, both("kaiming"))
    fresh = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(torch.randn(4, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    assert not torch.equal(model.state_dict()["features.norm1_1.running_mean"], fresh["features.norm1_1.running_mean"])
    initialise(model, 3, both("kaiming"))
    assert all(torch.equal(tensor, fresh[name]) for name, tensor in model.state_dict().items())


def test_initialising_draws_nothing_from_the_global_generator() -> None:
    model = network()
    state = torch.get_rng_state()
    initialise(model, 0, both("default"))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_memory_format_and_precision_do_not_change_the_weights(scheme: str) -> None:
    model = network().to(memory_format=torch.channels_last)
    initialise(model, 0, both(scheme))
    assert shared_and_equal(dict(model.named_parameters()), weights(0, scheme)) > 20
    double = network().double()
    initialise(double, 0, both(scheme))
    assert torch.equal(double.head.weight.float(), model.head.weight)


def test_kaiming_has_the_variance_of_the_paper_and_a_small_head() -> None:
    drawn = weights(width=1.0, hidden=(512,))
    for name in ("features.conv2_1.weight", "features.conv5_2.weight", "classifier.linear1.weight"):
        weight = drawn[name]
        assert weight.std().item() == pytest.approx(math.sqrt(2 / weight[0].numel()), rel=0.02)
    assert drawn["classifier.output.weight"].std().item() == pytest.approx(0.01, rel=0.05)
    assert not drawn["features.conv2_1.bias"].any()


def test_xavier_has_the_bounds_of_the_paper() -> None:
    drawn = weights(scheme="xavier", width=1.0)
    for name, fan_in, fan_out in (
        ("features.conv2_1.weight", 64 * 9, 128 * 9),
        ("classifier.linear1.weight", 512, 32),
        ("classifier.output.weight", 32, 10),
    ):
        bound = math.sqrt(6 / (fan_in + fan_out))
        assert 0.97 * bound < drawn[name].abs().max().item() <= bound
        assert drawn[name].std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert not drawn["classifier.linear1.bias"].any()


SMALL = 0.01


def spread(weight: Tensor, scheme: str, kind: str) -> float:
    """The standard deviation that docs/study-files.md states for a scheme and a kind of layer."""
    fan_in, fan_out = weight[0].numel(), weight.numel() // weight.shape[1]
    if scheme == "normal" or (scheme == "kaiming" and kind == "output"):
        return SMALL
    return {
        "kaiming": math.sqrt(2 / fan_in),
        "xavier": math.sqrt(2 / (fan_in + fan_out)),
        "default": math.sqrt(1 / (3 * fan_in)),
    }[scheme]


KINDS = {"conv": "features.conv3_2", "hidden": "classifier.linear1", "output": "classifier.output"}


@pytest.mark.parametrize("conv", SCHEMES)
@pytest.mark.parametrize("linear", SCHEMES)
def test_each_kind_of_layer_has_the_spread_of_its_scheme(conv: Any, linear: Any) -> None:
    drawn = weights(init=Init(conv=conv, linear=linear), width=0.5, hidden=(512,))
    for kind, name in KINDS.items():
        scheme, weight, bias = conv if kind == "conv" else linear, drawn[f"{name}.weight"], drawn[f"{name}.bias"]
        assert weight.mean().abs() < 0.1 * weight.std()
        assert weight.std().item() == pytest.approx(spread(weight, scheme, kind), rel=0.04), kind
        uniform = scheme in ("xavier", "default")
        assert (weight.abs().max() < 1.8 * weight.std()) == uniform, kind
        assert bias.any() == (scheme == "default"), kind
        if scheme == "default":
            assert bias.abs().max() <= 1 / math.sqrt(weight[0].numel())
    norms = [name for name in drawn if "norm" in name]
    assert norms
    assert all(torch.all(drawn[name] == (1 if name.endswith("weight") else 0)) for name in norms)


def test_a_scheme_for_one_kind_of_layer_leaves_the_weights_of_the_other_as_they_are() -> None:
    both_kaiming, mixed = weights(), weights(init=Init(conv="xavier"))
    assert shared_and_equal(*({k: v for k, v in each.items() if "conv" not in k} for each in (both_kaiming, mixed))) > 4
    assert not torch.equal(both_kaiming["features.conv1_1.weight"], mixed["features.conv1_1.weight"])


@pytest.mark.parametrize("conv", ["kaiming", "normal"])
def test_without_hidden_layers_kaiming_and_normal_linear_layers_are_the_same(conv: Any) -> None:
    first, second = (weights(init=Init(conv=conv, linear=s), name="resnet9", hidden=()) for s in ("kaiming", "normal"))
    assert shared_and_equal(first, second) == len(first)


def test_default_has_the_distribution_of_torch_layers() -> None:
    torch.manual_seed(0)
    ours, theirs = (
        weights(scheme="default", width=1.0),
        dict(network(width=1.0).named_parameters()),
    )
    for name in (
        "features.conv2_1.weight",
        "features.conv2_1.bias",
        "classifier.linear1.weight",
        "classifier.linear1.bias",
    ):
        assert ours[name].abs().max().item() == pytest.approx(theirs[name].abs().max().item(), rel=0.1)
        assert ours[name].std().item() == pytest.approx(theirs[name].std().item(), rel=0.3)


@pytest.mark.parametrize("name", ["resnet9", "resnet18", "resnet34"])
def test_residual_networks_without_norm_keep_their_scale(name: str) -> None:
    model = network(name=name, norm="none", hidden=())
    initialise(model, 0, both("kaiming"))
    scales: list[float] = []
    for module in model.features:
        module.register_forward_hook(lambda _, __, out: scales.append(out.square().mean().sqrt().item()))
    logits = model(torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    assert all(0.2 < scale < 10 for scale in scales), scales
    assert logits.abs().max().item() < 3


@pytest.mark.parametrize("name", ["resnet9", "resnet18"])
def test_without_norm_only_the_last_convolution_of_a_branch_is_scaled(name: str) -> None:
    with_norm, without = weights(name=name, hidden=()), weights(name=name, hidden=(), norm="none")
    for parameter in with_norm.keys() & without.keys():
        scale = 0.1 if "conv2" in parameter else 1.0
        assert torch.equal(without[parameter], with_norm[parameter] * scale), parameter


def test_without_norm_every_branch_learns_from_the_first_step() -> None:
    model = network(name="resnet9", norm="none", hidden=())
    initialise(model, 0, both("kaiming"))
    model(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_a_layer_without_a_rule_is_refused() -> None:
    with pytest.raises(TypeError, match=r"no rule for the initial weights of 0 \(PReLU\)"):
        initialise(nn.Sequential(nn.PReLU()), 0, both("kaiming"))
