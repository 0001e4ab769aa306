"""The classifiers: sizes, names, options, and the images that they take."""

import itertools
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from ablation.errors import UserError
from ablation.registry.models import KINDS as MODELS
from ablation.registry.models.architecture import Architecture
from ablation.registry.models.layers import DropConnectLinear, MaxPool2d, Network, activated, groups_of, named, pooled
from ablation.registry.models.options import Activation, Norm, NormPosition, Pool
from ablation.training.models.counting import count_macs, count_parameters

ACTIVATIONS, NORM_POSITIONS, NORMS, POOLS = map(get_args, (Activation, NormPosition, Norm, Pool))

FAMILIES = ("lenet5", "vgg11", "resnet9", "resnet18")  # one model of each


def options(name: str, **changes: Any) -> Architecture:
    """The published network, except for the changes."""
    return MODELS[name](**{"norm": "batch" if name.startswith("resnet") else "none", **changes})


def narrow(name: str, **changes: Any) -> Architecture:
    """A network of a sixteenth of the published width, quick to run."""
    return options(name, **{"width": 1 / 16, "hidden": (8,) if MODELS[name].hidden else (), **changes})


def on_meta(chosen: Architecture, image: tuple[int, int, int], classes: int = 10) -> Network:
    with torch.device("meta"):
        return chosen.build(image, classes)


def train_once(chosen: Architecture, image: tuple[int, int, int], batch: int = 2) -> Network:
    """One forward and backward pass; every parameter must get a finite gradient."""
    model = chosen.build(image, 3)
    logits = model(torch.randn(batch, *image))
    assert logits.shape == (batch, 3)
    assert torch.isfinite(logits).all()
    logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    return model


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


# Sizes


@pytest.mark.parametrize(
    ("chosen", "image", "parameters"),
    [
        (options("lenet5"), (1, 28, 28), 61_706),
        (options("lenet5"), (1, 32, 32), 61_706),
        (options("resnet9"), (3, 32, 32), 6_573_130),
        (options("resnet18"), (3, 32, 32), 11_173_962),
        (options("resnet34"), (3, 32, 32), 21_282_122),
        (options("vgg16", norm="batch", hidden=()), (3, 32, 32), 14_728_266),
    ],
)
def test_parameters_of_the_networks_for_small_images(
    chosen: Architecture, image: tuple[int, int, int], parameters: int
) -> None:
    assert count_parameters(on_meta(chosen, image)) == parameters


def test_resnet9_without_norm_has_biases_instead() -> None:
    channels = 64 + 128 + 2 * 128 + 256 + 512 + 2 * 512
    assert (
        count_parameters(on_meta(options("resnet9", norm="none"), (3, 32, 32))) == 6_573_130 - 2 * channels + channels
    )


def test_macs_of_lenet5_are_those_counted_by_hand() -> None:
    conv1, conv2 = 28 * 28 * 6 * (1 * 5 * 5), 10 * 10 * 16 * (6 * 5 * 5)
    linear = 400 * 120 + 120 * 84 + 84 * 10
    for side in (28, 32):
        assert count_macs(on_meta(options("lenet5"), (1, side, side)), (1, side, side)) == conv1 + conv2 + linear


def test_macs_of_resnet9_are_those_counted_by_hand() -> None:
    expected = 32 * 32 * 9 * (3 * 64 + 64 * 128) + 16 * 16 * 9 * (2 * 128 * 128 + 128 * 256)
    expected += 8 * 8 * 9 * 256 * 512 + 4 * 4 * 9 * 2 * 512 * 512 + 512 * 10
    assert count_macs(on_meta(options("resnet9"), (3, 32, 32)), (3, 32, 32)) == expected


def test_macs_are_counted_where_one_image_could_not_be_trained_on() -> None:
    model = on_meta(options("resnet18"), (3, 8, 8))
    assert count_macs(model, (3, 8, 8)) * 16 == count_macs(model, (3, 32, 32)) + 15 * 512 * 10


def test_counting_macs_leaves_the_model_as_it_was() -> None:
    model = narrow("resnet18").build((3, 32, 32), 10)
    model.features.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    macs = count_macs(model, (3, 32, 32))
    assert macs == count_macs(on_meta(narrow("resnet18"), (3, 32, 32)), (3, 32, 32)) > 0
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def lab_b(**changes: Any) -> Architecture:
    """LeNet-5 with more channels, a smaller second kernel and narrower hidden layers."""
    return options("lenet5", **{"channels": (16, 36), "kernel_size": (5, 3), "hidden": (128, 96), **changes})


def test_lenet5_takes_channels_and_the_kernels_of_each_convolution() -> None:
    """At 32x32: 5x5 to 28x28, pool to 14x14, 3x3 to 12x12, pool to 6x6, so 36 * 36 = 1296 features."""
    shapes = {name: tuple(value.shape) for name, value in on_meta(lab_b(), (3, 32, 32)).named_parameters()}
    assert shapes["features.conv1.weight"] == (16, 3, 5, 5)
    assert shapes["features.conv2.weight"] == (36, 16, 3, 3)
    assert shapes["classifier.linear1.weight"] == (128, 1296)
    assert shapes["classifier.linear2.weight"] == (96, 128)
    assert shapes["classifier.output.weight"] == (10, 96)
    by_hand = 16 * 3 * 25 + 16 + 36 * 16 * 9 + 36 + 1296 * 128 + 128 + 128 * 96 + 96 + 96 * 10 + 10
    assert count_parameters(on_meta(lab_b(), (3, 32, 32))) == by_hand


@pytest.mark.parametrize(
    ("changes", "linear"),
    [({"channels": (6, 16)}, (128, 576)), ({"hidden": (128,)}, (128, 1296)), ({"width": 0.5}, (128, 648))],
)
def test_one_option_of_lenet5_changes_by_itself(changes: dict[str, Any], linear: tuple[int, int]) -> None:
    model = on_meta(lab_b(**changes), (3, 32, 32))
    assert dict(model.named_parameters())["classifier.linear1.weight"].shape == linear


@pytest.mark.parametrize("image", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 20, 33)])
@pytest.mark.parametrize("kernels", [(5, 3), (3, 7), (1, 9), (9, 1)])
def test_lenet5_with_two_kernels_trains_on_images_of_any_size(
    kernels: tuple[int, int], image: tuple[int, int, int]
) -> None:
    train_once(narrow("lenet5", kernel_size=kernels), image)


@pytest.mark.parametrize("name", ["vgg11", "resnet9", "resnet18"])
def test_channels_are_those_of_the_stages(name: str) -> None:
    channels = (3, 5, 7, 4, 6) if name == "vgg11" else (3, 5, 7, 4)
    model = train_once(options(name, channels=channels, hidden=(8,)), (3, 32, 32))
    widths = {parameter.shape[0] for key, parameter in model.named_parameters() if "conv" in key}
    assert widths == set(channels)


def test_width_scales_channels_and_leaves_hidden_layers() -> None:
    model = on_meta(options("vgg11", width=0.5), (3, 32, 32))
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert shapes["features.conv1_1.weight"] == (32, 3, 3, 3)
    assert shapes["features.conv5_2.weight"] == (256, 256, 3, 3)
    assert shapes["classifier.linear1.weight"] == (512, 256)
    assert shapes["classifier.linear2.weight"] == (512, 512)


@pytest.mark.parametrize("name", ["resnet9", "resnet18", "vgg11"])
@pytest.mark.parametrize("width", [0.001, 0.03, 0.3])
def test_any_width_can_be_trained_with_group_norm(name: str, width: float) -> None:
    train_once(narrow(name, width=width, norm="group"), (1, 32, 32))


def test_groups_divide_the_channels_and_hold_two_where_they_can() -> None:
    for channels in range(1, 600):
        groups = groups_of(channels)
        assert channels % groups == 0
        assert groups <= 32
        assert channels // groups >= 2 or channels == 1
    assert [groups_of(channels) for channels in (6, 16, 64, 128, 512)] == [2, 8, 32, 32, 32]


# Every combination of options


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", MODELS)
def test_every_option_trains_on_the_smallest_images(name: str, norm: str) -> None:
    for activation, pool, position in itertools.product(ACTIVATIONS, POOLS, NORM_POSITIONS):
        if norm == "none" and position == "after":
            continue
        chosen = narrow(name, norm=norm, activation=activation, pool=pool, norm_position=position)
        side = chosen.smallest_side
        train_once(chosen, (1 if pool == "max" else 3, side, side))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("pool", POOLS)
def test_a_large_stem_trains_on_the_smallest_images(norm: str, pool: str) -> None:
    chosen = narrow("resnet18", norm=norm, pool=pool, stem="large")
    side = chosen.smallest_side
    train_once(chosen, (3, side, side))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_images_of_32_pixels_in_grey_and_colour(name: str, channels: int) -> None:
    for norm in NORMS:
        train_once(narrow(name, norm=norm), (channels, 32, 32))


@pytest.mark.parametrize("image", [(3, 64, 64), (1, 33, 47), (3, 224, 224)])
@pytest.mark.parametrize("name", FAMILIES)
def test_larger_and_oblong_images(name: str, image: tuple[int, int, int]) -> None:
    chosen = narrow(name, norm="batch", stem="large")
    assert on_meta(chosen, image)(torch.empty(2, *image, device="meta")).shape == (2, 10)


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7, 9])
@pytest.mark.parametrize("name", FAMILIES)
def test_kernel_sizes_from_1_to_9(name: str, kernel_size: int) -> None:
    chosen = narrow(name, kernel_size=kernel_size)
    side = chosen.smallest_side
    train_once(chosen, (1, side, side))


def test_lenet5_takes_every_size_from_8_to_224_with_kernels_up_to_9() -> None:
    for side, kernel_size in itertools.product([*range(8, 40), 64, 224], (1, 3, 5, 7, 9)):
        model = on_meta(narrow("lenet5", kernel_size=kernel_size), (1, side, side))
        assert model(torch.empty(2, 1, side, side, device="meta")).shape == (2, 10)


def test_lenet5_reports_kernels_that_leave_nothing() -> None:
    with pytest.raises(UserError, match="kernel size of 11 leaves nothing"):
        options("lenet5", kernel_size=11).build((1, 28, 28), 10)


@pytest.mark.parametrize(
    ("name", "stem", "side", "with_instance_norm"),
    [
        ("lenet5", "small", 8, 8),
        ("vgg11", "small", 32, 32),
        ("vgg19", "small", 32, 32),
        ("resnet9", "small", 8, 16),
        ("resnet18", "small", 8, 9),
        ("resnet34", "large", 8, 33),
    ],
)
def test_smallest_inputs(name: str, stem: str, side: int, with_instance_norm: int) -> None:
    for norm in NORMS:
        expected = with_instance_norm if norm == "instance" else side
        assert options(name, norm=norm, stem=stem).smallest_side == expected


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("stem", ["small", "large"])
@pytest.mark.parametrize("name", MODELS)
def test_one_pixel_less_than_the_smallest_input_is_reported(name: str, stem: str, norm: str) -> None:
    chosen = narrow(name, norm=norm, stem=stem)
    side = chosen.smallest_side
    with pytest.raises(UserError, match=f"at least {side}x{side}, not {side - 1}x{side}"):
        chosen.build((3, side - 1, side), 10)


@pytest.mark.parametrize(
    ("name", "stem", "side"), [("resnet9", "small", 15), ("resnet18", "small", 8), ("resnet18", "large", 32)]
)
def test_the_limit_of_instance_norm_is_where_torch_gives_up(name: str, stem: str, side: int) -> None:
    model = narrow(name, norm="batch", stem=stem).build((3, side, side), 10)
    for module in list(model.modules()):
        for child_name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, child_name, nn.InstanceNorm2d(child.num_features, affine=True))
    with pytest.raises(ValueError, match="more than 1 spatial element"):
        model(torch.randn(2, 3, side, side))


# Names


def names_of(chosen: Architecture) -> set[str]:
    return {name for name, _ in on_meta(chosen, (3, 64, 64)).named_parameters()}


@pytest.mark.parametrize("name", MODELS)
def test_toggles_rename_no_parameter(name: str) -> None:
    drops = {"dropout": 0.5, "feature_dropout": 0.1, "input_dropout": 0.1, "dropconnect": 0.2}
    toggles = {**drops, "norm": "batch", "norm_position": "after", "activation": "gelu", "pool": "avg", "stem": "large"}
    everything = narrow(name, **toggles)
    bare = names_of(narrow(name, norm="none"))
    gained, lost = names_of(everything) - bare, bare - names_of(everything)
    assert all(".norm" in parameter for parameter in gained)
    assert gained
    assert all(parameter.startswith("features.") and parameter.endswith(".bias") for parameter in lost)
    assert bool(lost) == name.startswith("resnet")
    for norm in ("group", "instance", "layer"):
        assert names_of(narrow(name, **{**toggles, "norm": norm})) == names_of(everything)


def shapes_of(chosen: Architecture) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in on_meta(chosen, (3, 32, 32)).named_parameters()}


@pytest.mark.parametrize(
    ("shallow", "deep"), [("vgg11", "vgg13"), ("vgg13", "vgg16"), ("vgg11", "vgg19"), ("resnet18", "resnet34")]
)
def test_networks_of_different_depth_share_names_and_shapes(shallow: str, deep: str) -> None:
    assert shapes_of(options(shallow, norm="batch")).items() < shapes_of(options(deep, norm="batch")).items()


def test_names_say_stage_block_and_layer() -> None:
    assert {"features.conv3_1.weight", "features.norm3_1.weight", "classifier.linear2.bias"} < names_of(
        narrow("vgg16", norm="batch", hidden=(8, 8))
    )
    assert {"features.stage2.block1.conv1.weight", "features.stage2.block1.shortcut.conv.weight"} < names_of(
        narrow("resnet18")
    )
    assert {"features.prep.conv.weight", "features.stage3.residual.norm2.bias"} < names_of(narrow("resnet9"))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("hidden", [(), (8,), (8, 8, 8)])
def test_the_head_goes_by_one_name_behind_any_number_of_hidden_layers(name: str, hidden: tuple[int, ...]) -> None:
    model = on_meta(narrow(name, hidden=hidden, dropconnect=0.5), (3, 32, 32), classes=7)
    assert model.get_submodule("classifier.output") is model.head
    assert model.head.out_features == 7
    linear = [module for module in model.classifier if isinstance(module, nn.Linear)]
    assert [layer.out_features for layer in linear] == [*hidden, 7]
    parts = {name.split(".")[0] for name, _ in model.named_parameters()}
    assert parts == {"features", "classifier"}


# Placement of the parts


def kinds(module: nn.Module, *wanted: type[nn.Module]) -> list[str]:
    return [type(part).__name__ for part in module.modules() if isinstance(part, wanted)]


def test_the_norm_stands_before_or_after_the_activation() -> None:
    for name in ("vgg11", "lenet5"):
        before = on_meta(narrow(name, norm="batch"), (3, 32, 32)).features
        after = on_meta(narrow(name, norm="batch", norm_position="after"), (3, 32, 32)).features
        parts = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU)
        assert kinds(before, *parts)[:3] == ["Conv2d", "BatchNorm2d", "ReLU"]
        assert kinds(after, *parts)[:3] == ["Conv2d", "ReLU", "BatchNorm2d"]


@pytest.mark.parametrize("channels", [6, 16])
def test_a_pool_gives_the_same_bits_of_few_channels_in_bfloat16(channels: int) -> None:
    images = torch.randn(4, channels, 14, 14).to(torch.bfloat16, memory_format=torch.channels_last).requires_grad_()
    found = []
    for pool in (nn.MaxPool2d(2), MaxPool2d(2)):
        out = pool(images)
        found.append((out, *torch.autograd.grad(out.square().sum(), images)))
    assert all(one.dtype == torch.bfloat16 and torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("norm_position", NORM_POSITIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, stride=2, padding=1), nn.AvgPool2d(2)])
def test_a_pool_gives_the_same_bits_wherever_its_layers_stand(
    pool: nn.Module, activation: str, norm_position: str
) -> None:
    chosen = options("lenet5", norm="batch", activation=activation, norm_position=norm_position)
    convolved = activated(nn.Conv2d(3, 8, 3), chosen)
    placed = pooled(convolved, "pool", pool)
    moved = [name for name, _ in placed] != ["conv", *(name for name, _ in convolved[1:]), "pool"]
    assert moved == (activation == "relu" and norm_position == "before" and isinstance(pool, nn.MaxPool2d))
    images, found = torch.randn(4, 3, 14, 14), []
    for layers in ([*convolved, ("pool", pool)], placed):
        model = named(layers)
        model.zero_grad()
        out = model(images.requires_grad_())
        found.append([out, *torch.autograd.grad(out.square().sum(), [images, *model.parameters()])])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_a_block_with_the_norm_after_the_activation_computes_so() -> None:
    model = narrow("resnet18", norm="layer", norm_position="after").build((3, 16, 16), 10)
    block = model.get_submodule("features.stage2.block1")
    x = torch.randn(2, 4, 16, 16)
    branch = block.norm2(block.conv2(block.norm1(torch.relu(block.conv1(x)))))
    assert torch.allclose(block(x), torch.relu(branch + block.shortcut.norm(block.shortcut.conv(x))))


def test_pools_are_of_the_chosen_kind() -> None:
    pools = (nn.MaxPool2d, nn.AvgPool2d)
    for name, stem, number in (
        ("lenet5", "small", 2),
        ("vgg11", "small", 5),
        ("resnet9", "small", 3),
        ("resnet18", "large", 1),
    ):
        assert kinds(on_meta(narrow(name, stem=stem), (3, 32, 32)), *pools) == ["MaxPool2d"] * number
        assert kinds(on_meta(narrow(name, stem=stem, pool="avg"), (3, 32, 32)), *pools) == ["AvgPool2d"] * number


def test_the_mean_of_a_large_stem_counts_no_padding() -> None:
    pool = on_meta(narrow("resnet18", stem="large", pool="avg"), (3, 32, 32)).get_submodule("features.stem.pool")
    assert torch.equal(pool(torch.ones(1, 4, 8, 8)), torch.ones(1, 4, 4, 4))


@pytest.mark.parametrize("pool", POOLS)
def test_resnet18_ends_in_the_mean_whatever_the_pool(pool: str) -> None:
    maps = torch.randn(2, 4, 3, 5)
    last = on_meta(narrow("resnet18", pool=pool), (3, 32, 32)).get_submodule("features.pool")
    assert torch.allclose(last(maps).flatten(1), maps.mean((2, 3)))


@pytest.mark.parametrize("pool", POOLS)
def test_resnet9_ends_in_a_global_pool_of_the_chosen_kind(pool: str) -> None:
    model = narrow("resnet9", pool=pool).build((3, 40, 40), 10).eval()
    maps = model.features[:-1](torch.randn(2, 3, 40, 40))
    assert maps.shape[2:] == (5, 5)
    expected = maps.amax((2, 3)) if pool == "max" else maps.mean((2, 3))
    assert torch.allclose(model.features[-1](maps).flatten(1), expected)


def test_layer_norm_is_taken_over_channels_rows_and_columns() -> None:
    model = narrow("vgg11", norm="layer").build((3, 32, 32), 10)
    maps = torch.randn(2, 4, 8, 8)
    expected = nn.functional.layer_norm(maps, (4, 8, 8))
    assert torch.allclose(model.get_submodule("features.norm1_1")(maps), expected, atol=1e-6)


# Dropout and DropConnect


def dropped(layer: nn.Module, shape: tuple[int, ...]) -> Tensor:
    return layer(torch.ones(shape)) == 0


@pytest.mark.parametrize("name", FAMILIES)
def test_dropout_stands_where_the_options_say(name: str) -> None:
    chosen = narrow(
        name, dropout=0.5, feature_dropout=0.25, input_dropout=0.125, hidden=(8, 8) if MODELS[name].hidden else ()
    )
    model = on_meta(chosen, (3, 32, 32))
    found = {part: module.p for part, module in model.named_modules() if isinstance(module, nn.Dropout)}
    stages = {"lenet5": 2, "vgg11": 5, "resnet9": 3, "resnet18": 4}[name]
    expected = {"input_dropout": 0.125} | {f"features.dropout{stage}": 0.25 for stage in range(1, stages + 1)}
    if MODELS[name].hidden:
        expected |= {"classifier.dropout1": 0.5, "classifier.dropout2": 0.5}
    else:
        expected |= {"classifier.dropout": 0.5}
    assert found == expected


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_dropout_drops_single_elements_with_its_probability(probability: float) -> None:
    model = narrow("vgg11", feature_dropout=probability).build((3, 32, 32), 10)
    drops = dropped(model.get_submodule("features.dropout1"), (8, 16, 16, 16))
    assert abs(drops.float().mean().item() - probability) < 0.01
    assert 0 < drops[0, 0].float().mean().item() < 1


def test_no_dropout_draws_no_random_numbers() -> None:
    model = narrow("vgg11", norm="batch").build((3, 32, 32), 10)
    state = torch.get_rng_state()
    model(torch.zeros(2, 3, 32, 32))
    assert torch.equal(state, torch.get_rng_state())


def test_dropout_is_off_in_evaluation_and_follows_the_global_seed_in_training() -> None:
    chosen = narrow("lenet5", dropout=0.3, feature_dropout=0.3, input_dropout=0.3, dropconnect=0.3)
    model, images = chosen.build((1, 28, 28), 10), torch.randn(4, 1, 28, 28)
    outputs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(model(images))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    model.eval()
    assert torch.equal(model(images), model(images))


def test_dropconnect_drops_weights_with_its_probability_and_keeps_the_expectation() -> None:
    layer = DropConnectLinear(50, 40, 0.3)
    inputs = torch.eye(50)
    samples = torch.stack([(layer(inputs) - layer.bias).detach() for _ in range(2000)])
    weights = layer.weight.detach().T
    # A kept weight is w / (1 - p), a dropped one 0; the mean over draws has a standard error of |w| sqrt(p/(1-p)/2000).
    assert abs((samples.abs() < 1e-6).float().mean().item() - 0.3) < 0.005
    assert torch.allclose(samples.mean(0), weights, atol=6 * weights.abs().max().item() * (0.3 / 0.7 / 2000) ** 0.5)
    assert torch.allclose(layer.eval()(inputs), weights + layer.bias)


def test_dropconnect_masks_weights_not_units() -> None:
    layer = DropConnectLinear(200, 200, 0.5)
    drops = (layer(torch.eye(200)) - layer.bias).abs() < 1e-6
    assert not drops.all(0).any()
    assert not drops.all(1).any()
    assert 0.4 < drops.float().mean().item() < 0.6


def test_dropconnect_gives_gradients_to_kept_weights_only() -> None:
    layer = DropConnectLinear(20, 20, 0.5)
    layer(torch.ones(1, 20)).sum().backward()
    assert layer.weight.grad is not None
    assert set(layer.weight.grad.unique().tolist()) == {0.0, 2.0}


# Precision and memory format


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", FAMILIES)
def test_channels_last_and_bf16_train(name: str, norm: str) -> None:
    model = narrow(name, norm=norm, dropconnect=0.2, dropout=0.2).build((3, 32, 32), 10)
    model = model.to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    assert logits.dtype == torch.bfloat16
    logits.float().square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", FAMILIES)
def test_channels_last_gives_the_same_logits(name: str, norm: str) -> None:
    model = narrow(name, norm=norm).build((3, 32, 32), 10)
    images = torch.randn(4, 3, 32, 32)
    expected = model(images)
    model = model.to(memory_format=torch.channels_last)
    assert torch.allclose(model(images.contiguous(memory_format=torch.channels_last)), expected, atol=1e-4)
