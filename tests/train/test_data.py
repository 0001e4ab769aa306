"""Which images are used for what, and how they reach the network."""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablation.data import decoding, sources
from ablation.data.sources import ImageSet
from ablation.errors import UserError
from ablation.registry import augmentations
from ablation.registry.datasets import KINDS, Cifar10, Data, Digits, ImageFolder, Synthetic
from ablation.study.schema import Train
from ablation.training.budget import batches, make_budget
from ablation.training.data import Loader, channel_statistics, split
from ablation.training.device import BlockSize


def digits(**options: object) -> Digits:
    return Digits.model_validate({"name": "digits", **options})


def prepare(data: Data, folder: Path) -> ImageSet:
    return sources.load(sources.prepare(data, data.fingerprint(), folder, lambda *_: None))


def image_set(pixels: np.ndarray) -> ImageSet:  # type: ignore[type-arg]
    """Images (n, height, width, channels) as if they had been decoded."""
    parts = (torch.from_numpy(measure(pixels)) for measure in (decoding.sums, decoding.twins))
    return ImageSet(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.zeros(len(pixels)).long(), (), *parts)


LABELS = torch.arange(1000) % 10


def test_the_split_is_stratified_and_complete() -> None:
    parts = split(LABELS, digits(validation=0.2), seed=0)
    assert LABELS[parts.val].bincount().tolist() == [20] * 10
    assert LABELS[parts.train].bincount().tolist() == [80] * 10
    assert sorted([*parts.train.tolist(), *parts.val.tolist()]) == list(range(1000))


def test_the_seed_drives_the_split() -> None:
    first, again, other = (split(LABELS, digits(), seed) for seed in (0, 0, 1))
    assert torch.equal(first.val, again.val)
    assert not torch.equal(first.val, other.val)


def test_fractions_are_nested_stratified_and_leave_the_validation_part_alone() -> None:
    parts = [split(LABELS, digits(fraction=f), 3) for f in (0.01, 0.1, 0.5, 0.8, 1.0)]
    sizes = [len(part.train) for part in parts]
    assert sizes == [10, 90, 450, 720, 900]
    for small, large in itertools.pairwise(parts):
        assert set(small.train.tolist()) < set(large.train.tolist())
        assert torch.equal(small.val, large.val)
    assert LABELS[parts[0].train].bincount().tolist() == [1] * 10


def test_every_class_keeps_an_image_to_train_and_one_to_validate_on() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1])
    parts = split(labels, digits(validation=0.9, fraction=0.01), 0)
    assert labels[parts.train].tolist() == [0, 1]
    assert set(labels[parts.val].tolist()) == {0, 1}


def test_a_limit_keeps_the_shares_of_the_classes() -> None:
    labels = torch.tensor([0] * 800 + [1] * 200)
    parts = split(labels, digits(limit=100, validation=0.5), 0)
    used = torch.cat([parts.train, parts.val])
    assert labels[used].bincount().tolist() == [80, 20]


def test_normalisation_is_fitted_on_the_given_images_only() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
    pixels[25:] = 255
    images = image_set(pixels)
    mean, deviation = channel_statistics(images, torch.arange(25))
    pixels = images.images[:25].double()
    assert torch.allclose(mean.double(), pixels.mean((0, 2, 3)))
    assert torch.allclose(deviation.double(), pixels.std((0, 2, 3), correction=0))


def test_a_constant_channel_does_not_divide_by_zero() -> None:
    images = image_set(np.full((5, 8, 8, 1), 7, np.uint8))
    assert channel_statistics(images, torch.arange(5))[1].tolist() == [1.0]


def test_batches_are_normalised_and_cover_the_training_part_once(tmp_path: Path, place: torch.device) -> None:
    data, train = digits(validation=0.2), Train(epochs=2, batch_size=64)
    loader = Loader(prepare(data, tmp_path), data, train, 0, place)
    budget = make_budget(train, len(loader.split.train))
    found = list(loader.train(budget, 1))
    images = torch.cat([images for images, _ in found])
    assert len(images) == len(loader.split.train)
    assert images.mean().item() == pytest.approx(0, abs=1e-4)
    assert images.std().item() == pytest.approx(1, abs=1e-2)
    assert [len(x) for x, _ in found[:-1]] == [64] * (len(found) - 1)


@pytest.mark.parametrize(("block", "ahead"), [(1, 1), (1, 2**22), (5000, 5000), (5000, 2**22), (2**18, 2**22)])
def test_batches_are_the_same_however_many_are_made_ready_at_once(
    block: int, ahead: int, tmp_path: Path, place: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, train = digits(), Train(epochs=2, batch_size=32)
    images = prepare(data, tmp_path)
    monkeypatch.setattr("ablation.training.data.block_size", lambda _: BlockSize(block, ahead))
    loader = Loader(images, data, train, 0, place)
    budget = make_budget(train, len(loader.split.train))
    made = [(x.cpu(), y.cpu()) for x, y in loader.train(budget, 2)]
    chosen = list(batches(loader.split.train, budget, 2, 32, 0))
    assert [len(y) for _, y in made] == [len(indices) for indices in chosen]
    for (pixels, labels), indices in zip(made, chosen, strict=True):
        assert torch.equal(labels, images.labels[indices])
        assert torch.equal(pixels, loader.view.normalised(images.images[indices].to(place)).cpu())


def test_every_epoch_has_an_order_of_its_own_which_the_seed_fixes(tmp_path: Path, place: torch.device) -> None:
    data, train = digits(), Train(epochs=3, batch_size=32)
    images = prepare(data, tmp_path)

    def order(seed: int, epoch: int) -> list[int]:
        loader = Loader(images, data, train, seed, place)
        return torch.cat([y for _, y in loader.train(make_budget(train, len(loader.split.train)), epoch)]).tolist()

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_validation_images_are_never_augmented(tmp_path: Path, place: torch.device) -> None:
    images = prepare(digits(), tmp_path)
    plain, augmented = (
        Loader(images, digits(augment=augment), Train(epochs=1, mixup=0.4), 0, place)
        for augment in ([], list(augmentations.KINDS))
    )
    for (x, _), (y, _) in zip(plain.val(), augmented.val(), strict=True):
        assert torch.equal(x, y)


def test_noise_is_added_to_the_normalised_training_images_only(tmp_path: Path, place: torch.device) -> None:
    images, train = prepare(digits(), tmp_path), Train(epochs=1)
    plain, noisy = (
        Loader(images, digits(augment=augment), train, 0, place) for augment in ([], [{"name": "noise", "sd": 0.2}])
    )
    budget = make_budget(train, len(plain.split.train))
    for (clean, same), (changed, labels) in zip(plain.train(budget, 1), noisy.train(budget, 1), strict=True):
        assert torch.equal(labels, same)
        assert (changed - clean).std().item() == pytest.approx(0.2, rel=0.05)


def test_the_split_knows_how_many_images_a_whole_fraction_would_have() -> None:
    parts = [split(LABELS, digits(fraction=f), 3) for f in (0.01, 0.5, 1.0)]
    assert [part.available for part in parts] == [900] * 3
    assert len(parts[-1].train) == 900


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 224, 224)])
def test_synthetic_images_have_any_shape(shape: tuple[int, int, int], tmp_path: Path) -> None:
    data = Synthetic(name="synthetic", shape=shape, classes=3, samples=20)
    images = prepare(data, tmp_path)
    assert images.images.shape == (20, *shape)
    assert images.images.dtype == torch.uint8
    assert sorted(images.labels.unique().tolist()) == [0, 1, 2]


def picture(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (40, 30), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    picture(root / "train" / "red" / "1.png", (255, 0, 0))
    picture(root / "train" / "red" / "deeper" / "2.png", (250, 0, 0))
    picture(root / "train" / "blue" / "1.png", (0, 0, 255), (10, 90))
    picture(root / "train" / "blue" / "2.gif", (0, 0, 255), mode="P")
    (root / "train" / "blue" / "notes.txt").write_text("not an image")
    picture(root / "test" / "red" / "1.png", (9, 9, 9))
    return root


def test_an_image_folder_is_scaled_and_labelled_by_its_folders(folder: Path, tmp_path: Path) -> None:
    images = prepare(ImageFolder(name="image_folder", path=str(folder), size=16), tmp_path)
    assert images.classes == ("blue", "red")
    assert images.images.shape == (4, 3, 16, 16)
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert images.images[2, :, 8, 8].tolist() == [255, 0, 0]


@pytest.mark.parametrize(("long", "first"), [(8, 0), (9, 0), (12, 2), (13, 2)])
@pytest.mark.parametrize("tall", [False, True])
def test_the_middle_of_a_long_image_is_kept(long: int, first: int, tall: bool, tmp_path: Path) -> None:
    """The shorter side has the size already, so that every pixel stays as it is."""
    pixels = np.tile(10 * np.arange(long, dtype=np.uint8), (8, 1))
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        path = tmp_path / "images" / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.T.copy() if tall else pixels).save(path)
    images = prepare(ImageFolder(name="image_folder", path=str(tmp_path / "images"), size=8), tmp_path).images
    assert images[0, 0].select(1 if tall else 0, 3).tolist() == [10 * (first + n) for n in range(8)]


def test_the_test_part_of_a_folder_is_not_read(folder: Path, tmp_path: Path) -> None:
    (folder / "test" / "red" / "1.png").write_bytes(b"not an image at all")
    images = prepare(ImageFolder(name="image_folder", path=str(folder), size=16), tmp_path)
    assert len(images.images) == 4


@pytest.mark.parametrize("inside", ["", "photos/"])
def test_a_zip_file_is_as_good_as_a_folder(inside: str, folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.*")):
            file.write(path, f"{inside}{path.relative_to(folder)}")
    first, second = (ImageFolder(name="image_folder", path=str(path), size=16) for path in (folder, archive))
    assert first.fingerprint() == second.fingerprint()
    assert torch.equal(prepare(first, tmp_path / "a").images, prepare(second, tmp_path / "b").images)


def test_images_are_decoded_once(folder: Path, tmp_path: Path) -> None:
    data = ImageFolder(name="image_folder", path=str(folder), size=16)
    mark = data.fingerprint()
    first = sources.prepare(data, mark, tmp_path, lambda *_: None)
    stamp = (first / "images.npy").stat().st_mtime_ns
    assert sources.prepare(data, mark, tmp_path, lambda *_: None) == first
    assert (first / "images.npy").stat().st_mtime_ns == stamp


def test_unreadable_images_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "train" / "red" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    whole = (folder / "train" / "red" / "1.png").read_bytes()
    (folder / "train" / "red" / "torn.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError) as caught:
        prepare(ImageFolder(name="image_folder", path=str(folder), size=16), tmp_path)
    assert "2 unreadable images" in str(caught.value)
    assert "train/red/broken.jpg" in str(caught.value)
    assert "train/red/torn.png" in str(caught.value)


def test_a_folder_of_one_class_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "train" / "only" / "1.png", (1, 2, 3))
    with pytest.raises(UserError, match="fewer than two classes"):
        ImageFolder(name="image_folder", path=str(tmp_path)).fingerprint()


def test_a_data_set_that_cannot_be_downloaded_names_the_file_and_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import urllib.request

    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    for name, file in {"cifar10": "cifar-10-python.tar.gz", "mnist": "train-images-idx3-ubyte.gz"}.items():
        data = KINDS[name].model_validate({"name": name, "path": str(tmp_path / "place")})
        with pytest.raises(UserError) as caught:
            prepare(data, tmp_path)
        assert file in str(caught.value)
        assert str(tmp_path / "place") in str(caught.value)
    assert not list((tmp_path).glob("*-train"))


def test_cifar10_is_read_from_the_file_that_the_user_puts_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR10

    written = np.random.default_rng(0).integers(0, 256, (5, 20, 3072), dtype=np.uint8)
    write_cifar10(tmp_path / "data", written, monkeypatch)
    images = prepare(Cifar10.model_validate({"name": "cifar10", "path": str(tmp_path / "data")}), tmp_path)
    assert images.classes[0] == "airplane"
    assert torch.equal(images.images.flatten(1), torch.from_numpy(written.reshape(100, 3072)))
    assert CIFAR10.base_folder == "cifar-10-batches-py"


def write_cifar10(root: Path, batches: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small CIFAR-10 in the format of its authors, with torchvision's checksums set to it."""
    import hashlib
    import pickle

    from torchvision.datasets import CIFAR10

    folder = root / CIFAR10.base_folder
    folder.mkdir(parents=True)
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    files = {f"data_batch_{i + 1}": {"data": b, "labels": [j % 10 for j in range(20)]} for i, b in enumerate(batches)}
    files |= {"test_batch": {"data": batches[0], "labels": [0] * 20}, "batches.meta": {"label_names": names}}
    sums = {}
    for name, content in files.items():
        (folder / name).write_bytes(pickle.dumps(content))
        sums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in list(files)[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
