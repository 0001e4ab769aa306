"""The networks of torchvision: named as plain data, given a new head, and started from torchvision's own files."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from ablation.errors import UserError
from ablation.execution.study import plan_study
from ablation.planning.job import Job
from ablation.planning.weights import hub_folder, weights_digest
from ablation.registry import catalog, torchvision_names
from ablation.storage.record import RunRecord
from ablation.storage.store import RunFolder
from ablation.study.load import load_study
from ablation.study.networks import Model
from ablation.study.schema import Study
from ablation.tasks.hooks import Hooks
from ablation.training import checkpoint, finetune
from ablation.training.loop import train
from ablation.training.models.counting import count_macs, count_parameters
from ablation.training.models.pretrained import AveragePool, MetaParameters, renamed, torchvision_network
from ablation.training.sizes import model_size
from tests.test_imports import loaded

SMALL = "shufflenet_v2_x0_5"
FAMILIES = ("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "mnasnet0_5", "mobilenet_v3_small",
            "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "vgg13_bn")  # fmt: skip
STUDY = """\
baseline:
  data: {name: synthetic, shape: [3, 16, 16], classes: 3, samples: 60, validation: 0.2}
  model: {name: "torchvision:shufflenet_v2_x0_5", input_size: 32, MODEL}
  optimizer: {name: sgd, lr: 0.01, momentum: 0.9, head_lr_multiplier: 10}
  train: {epochs: 2, batch_size: 16}
seeds: [0]
"""


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Study]:
    def make(model: str = "weights: none", *overrides: str) -> Study:
        path = tmp_path / "study.yaml"
        path.write_text(STUDY.replace("MODEL", model))
        return load_study(path, overrides=overrides)

    return make


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder where torch.hub looks for weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    assert hub_folder() == folder == Path(torch.hub.get_dir()) / "checkpoints"
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path], None]:
    """Lets torchvision download the small network's weights from a file of this machine."""

    def place(source: Path) -> None:
        weights = torchvision.models.get_model_weights(SMALL).DEFAULT.value
        monkeypatch.setattr(weights, "url", source.as_uri())

    return place


def weights_file(folder: Path) -> Path:
    """Random weights of the small network under the name of torchvision's own."""
    torch.manual_seed(1)
    path = folder / torchvision_names.SPECS[SMALL].file
    torch.save(torchvision.models.get_model(SMALL, weights=None).state_dict(), path)
    return path


def run(job: Job, epochs: int | None = None) -> RunRecord | None:
    done: list[object] = []
    stop = lambda: epochs is not None and len(done) >= epochs  # noqa: E731
    return train(job, Hooks(lambda row, _: done.append(row), lambda *_: None, stop))


def begun(study: Study) -> finetune.Start:
    return finetune.start(plan_study(study).runs[0], (3, 16, 16), ("class 0", "class 1", "class 2"))


# The names, as plain data


def test_every_classifier_of_torchvision_is_known_or_refused() -> None:
    listed = set(torchvision.models.list_models(module=torchvision.models))
    assert set(torchvision_names.SPECS) | set(torchvision_names.REFUSED) == listed
    assert not set(torchvision_names.SPECS) & set(torchvision_names.REFUSED)


@pytest.mark.parametrize("name", torchvision_names.SPECS)
def test_the_files_and_sizes_are_those_of_the_default_weights(name: str) -> None:
    weights, spec = torchvision.models.get_model_weights(name).DEFAULT, torchvision_names.SPECS[name]
    assert spec.file == weights.url.rpartition("/")[2]
    assert [spec.size] == weights.transforms().crop_size
    assert spec.one_size or spec.smallest >= min(32, weights.meta["min_size"][0])


MISSPELT = {
    "torchvision:resnet81": "did you mean 'torchvision:resnet18'?",
    "torchvision:vgg-13-bn": "did you mean 'torchvision:vgg13_bn'?",
    "resnet50": "did you mean 'torchvision:resnet50'?",
    "torchvision:squeezenet1_0": "it ends in a convolution",
    "torchvision:transformer": "`ablate list torchvision` lists them all",
}


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_network_is_told_the_nearest_name(name: str, study: Callable[..., Study]) -> None:
    with pytest.raises(UserError) as raised:
        study("weights: none", f"model.name={name}")
    assert MISSPELT[name] in str(raised.value)


def test_options_that_only_our_own_networks_have_are_refused(study: Callable[..., Study]) -> None:
    with pytest.raises(UserError, match="torchvision:shufflenet_v2_x0_5 has no option 'dropout'"):
        study("dropout: 0.5")


def test_a_network_of_one_size_takes_no_other(study: Callable[..., Study]) -> None:
    with pytest.raises(UserError, match="takes images of 224x224 pixels only, not 32x32"):
        study("weights: none", "model.name=torchvision:vit_b_16")


def test_a_whole_change_from_our_network_to_one_of_torchvision_is_one_variable(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    own = STUDY.replace('"torchvision:shufflenet_v2_x0_5", input_size: 32, MODEL', "resnet18, stem: large, norm: group")
    path.write_text(f"{own}vary:\n  model.name: ['torchvision:resnet18']\n")
    (_, variant) = load_study(path).variants
    assert variant.recipe.model == Model(name="torchvision:resnet18")


def test_validation_loads_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("MODEL", "weights: DEFAULT"))
    assert loaded(["validate", str(path)], tmp_path) == set()
    assert loaded(["list", "torchvision"], tmp_path) == set()


# The networks


@pytest.mark.parametrize("name", FAMILIES)
def test_the_size_is_that_which_torchvision_states_but_for_the_head(name: str) -> None:
    spec, meta = torchvision_names.SPECS[name], torchvision.models.get_model_weights(name).DEFAULT.meta
    with MetaParameters():
        network, head = torchvision_network(f"torchvision:{name}", 10, spec.size)
    layer = network.get_submodule(head)
    assert isinstance(layer, nn.Linear)
    assert layer.out_features == 10
    missing = 990 * layer.in_features
    assert count_parameters(network) == meta["num_params"] - missing - (990 if layer.bias is not None else 0)
    assert (count_macs(network, (3, spec.size, spec.size)) + missing) / 1e9 == pytest.approx(meta["_ops"], abs=6e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", torchvision_names.SPECS)
def test_every_network_gets_a_new_head(name: str) -> None:
    with MetaParameters():
        network, head = torchvision_network(f"torchvision:{name}", 7, torchvision_names.SPECS[name].size)
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert linear[-1] is network.get_submodule(head)
    assert linear[-1].out_features == 7


def test_a_network_without_a_last_linear_layer_is_refused() -> None:
    with pytest.raises(UserError, match="has no last linear layer"):
        torchvision_network("torchvision:squeezenet1_1", 10, 224)


def test_the_size_of_a_network_is_told_without_building_it(study: Callable[..., Study]) -> None:
    parameters, macs = model_size(study().baseline.recipe, (3, 16, 16), 3)
    classifier = begun(study()).classifier
    assert parameters == count_parameters(classifier.network)
    assert macs == count_macs(classifier.network, (3, 32, 32))


@pytest.mark.parametrize("shape", [(14, 14), (7, 7), (9, 8)])
def test_the_average_pool_is_torch_s(shape: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *shape, requires_grad=True)
    ours, theirs = AveragePool((7, 7))(x), nn.AdaptiveAvgPool2d((7, 7))(x)
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("shape", [(9, 8), (1, 1), (3, 10), (13, 7)])
def test_an_average_pool_that_does_not_divide_is_torch_s_by_matrices_too(shape: tuple[int, int]) -> None:
    """As CUDA computes it; on a CPU such a pool is torch's own, to the bit."""
    x = torch.randn(2, 3, *shape, dtype=torch.float64).float()
    weights = torch.randn(2, 3, 6, 7)
    outputs, gradients = [], []
    for pool in (AveragePool((6, 7)).by_matrices, AveragePool((6, 7)), nn.AdaptiveAvgPool2d((6, 7))):
        input = x.clone().requires_grad_()
        output = pool(input)
        (output * weights).sum().backward()
        outputs.append(output.detach())
        gradients.append(input.grad)
    for found in (outputs, gradients):
        torch.testing.assert_close(found[0], found[2], rtol=1e-5, atol=1e-6)
        assert torch.equal(found[1], found[2])


def test_an_average_pool_by_matrices_keeps_the_precision_of_its_input() -> None:
    x = torch.randn(2, 3, 9, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = AveragePool((7, 7)).by_matrices(x.bfloat16())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, nn.AdaptiveAvgPool2d((7, 7))(x.bfloat16().float()).bfloat16())


def test_old_names_of_densenets_are_those_of_today() -> None:
    name = "features.denseblock1.denselayer2"
    old = {f"{name}.norm.1.weight": 1, f"{name}.conv.2.weight": 2, "features.norm5.weight": 3}
    new = {f"{name}.norm1.weight": 1, f"{name}.conv2.weight": 2, "features.norm5.weight": 3}
    assert renamed("densenet121", old) == new  # type: ignore[arg-type]
    assert renamed("resnet18", old) == old  # type: ignore[arg-type]


# Initial weights


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "convnext_tiny"])
def test_without_weights_the_seed_decides_the_start(name: str, study: Callable[..., Study]) -> None:
    digests = []
    for seed in (0, 0, 1):
        torch.rand(5)
        started = begun(study("weights: none", f"model.name=torchvision:{name}", f"seeds=[{seed}]"))
        digests.append(checkpoint.sha256(started.classifier.network.state_dict()))
        assert started.input.statistics is None
        assert started.input.side == 32
    assert digests[0] == digests[1] != digests[2]


def test_the_initial_weights_come_from_the_streams_of_their_names(study: Callable[..., Study]) -> None:
    """The same layer names in a wider network of the family: what has the same shape has the same values."""
    states = [
        begun(study("weights: none", f"model.name=torchvision:{name}")).classifier.network.state_dict()
        for name in ("resnet18", "resnet34")
    ]
    shared = [key for key in states[0] if key in states[1] and states[0][key].shape == states[1][key].shape]
    assert len(shared) > 60
    assert all(torch.equal(states[0][key], states[1][key]) for key in shared)


# torchvision's weights


def test_the_file_in_the_hub_folder_is_loaded_but_for_the_head(study: Callable[..., Study], hub: Path) -> None:
    saved = torch.load(weights_file(hub), weights_only=True)
    scratch = begun(study()).classifier.network.state_dict()
    started = begun(study("weights: DEFAULT"))
    for key, value in started.classifier.network.state_dict().items():
        assert torch.equal(value, scratch[key] if key.startswith("fc.") else saved[key]), key
    assert started.input.statistics is not None
    mean, deviation = started.input.statistics
    assert torch.allclose(mean / 255, torch.tensor([0.485, 0.456, 0.406]))
    assert torch.allclose(deviation / 255, torch.tensor([0.229, 0.224, 0.225]))


def test_frozen_pretrained_features_keep_every_bit(
    study: Callable[..., Study], hub: Path, jobs: Callable[..., list[Job]]
) -> None:
    saved = torch.load(weights_file(hub), weights_only=True)
    made = study("weights: DEFAULT, freeze: features")
    (whole,), (parts,) = jobs(made, "a"), jobs(made, "b")
    record = run(whole)
    run(parts, epochs=1)
    again = run(parts)
    assert record is not None
    assert again is not None
    assert record.weights_sha256 == again.weights_sha256
    assert record.trainable_parameters == 1024 * 3 + 3
    after = checkpoint.load(RunFolder(whole.folder).last)
    assert after is not None
    for key, value in after["model"].items():
        assert key.startswith("fc.") or torch.equal(value, saved[key]), key


def test_our_checkpoint_of_a_torchvision_network_starts_another(
    study: Callable[..., Study], jobs: Callable[..., list[Job]], tmp_path: Path
) -> None:
    (job,) = jobs(study())
    run(job)
    shutil.copy(RunFolder(job.folder).last, tmp_path / "last.pt")
    saved = torch.load(tmp_path / "last.pt", weights_only=True)["model"]
    network = begun(study(f"weights: {tmp_path}/last.pt")).classifier.network
    assert all(torch.equal(value, saved[key]) for key, value in network.state_dict().items())


def test_a_missing_file_names_itself_and_its_folder(study: Callable[..., Study], hub: Path, offline, tmp_path) -> None:  # type: ignore[no-untyped-def]
    offline(tmp_path / "nowhere" / torchvision_names.SPECS[SMALL].file)
    with pytest.raises(UserError) as raised:
        begun(study("weights: DEFAULT"))
    message = str(raised.value)
    assert "could not be downloaded" in message
    assert f"put shufflenetv2_x0.5-f707e7126e.pth into {hub}/" in message


def test_a_download_with_another_hash_is_refused(study: Callable[..., Study], hub: Path, offline, tmp_path) -> None:  # type: ignore[no-untyped-def]
    offline(weights_file(tmp_path))
    with pytest.raises(UserError, match="invalid hash value"):
        begun(study("weights: DEFAULT"))
    assert not list(hub.iterdir())


BAD = {"cut off": "cannot be read", "of another network": "does not fit torchvision:shufflenet_v2_x0_5"}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_named(case: str, study: Callable[..., Study], hub: Path) -> None:
    path = weights_file(hub)
    if case == "cut off":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=BAD[case]) as raised:
        begun(study("weights: DEFAULT"))
    assert str(path) in str(raised.value)


def test_the_key_holds_the_name_of_the_weights_or_the_digest_of_a_stranger_under_that_name(hub: Path) -> None:
    model = Model(name=f"torchvision:{SMALL}", weights="DEFAULT")
    file = catalog.TORCHVISION[model.name].file
    assert weights_digest(model) == file
    path = weights_file(hub)
    assert weights_digest(model) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_the_command_says_where_to_put_weights_before_it_trains(ablate, hub: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    (tmp_path / "offline.yaml").write_text(STUDY.replace("MODEL", "weights: DEFAULT"))
    result = ablate("run", "offline.yaml", "--per-device", "1")
    assert result.returncode == 1
    text: Any = " ".join((result.stdout + result.stderr).split())
    assert "could not be downloaded" in text
    assert f"put shufflenetv2_x0.5-f707e7126e.pth into {hub}/" in text
    assert not list((tmp_path / "results" / "runs").glob("*"))


def test_grey_images_are_given_in_three_channels(jobs: Callable[..., list[Job]], tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace("MODEL", "weights: none"))
    (job,) = jobs(load_study(path, overrides=["train.epochs=1", "data={name: digits, limit: 60}"]))
    record = run(job)
    assert record is not None
    assert record.image == (1, 8, 8)
    assert record.status == "finished"
