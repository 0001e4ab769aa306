"""Test images that are training images too, copied or saved again, are told; different photographs are not."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablation.data import decoding, sources
from ablation.data.arrays import Arrays, read_arrays
from ablation.data.duplicates import overlap
from ablation.registry.datasets import Digits, ImageFolder
from tests.conftest import Ablate

STUDY = """\
study: folder
baseline:
  data: {name: image_folder, path: images, size: 32, validation: 0.25}
  model: {name: lenet5, hidden: [8]}
  optimizer: {name: sgd, lr: 0.01}
  train: {epochs: 1, batch_size: 16}
seeds: [0]
"""


def scene(number: int, side: int = 48) -> Image.Image:
    """A picture of coarse and fine structure, as photographs have it."""
    stream = np.random.default_rng(number)
    layers = [
        np.asarray(
            Image.fromarray(stream.integers(0, 256, (n, n, 3), np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
        )
        for n in (3, 6, 12, 24)
    ]
    weights = (0.4, 0.3, 0.2, 0.1)
    return Image.fromarray(sum(w * layer for w, layer in zip(weights, layers, strict=True)).astype(np.uint8))


def saved(image: Image.Image, kind: str = "PNG", **options: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "saved as JPEG": lambda image: saved(image, "JPEG", quality=60),
    "made smaller": lambda image: saved(image.resize((40, 40), Image.Resampling.LANCZOS)),
    "made larger": lambda image: saved(image.resize((200, 200), Image.Resampling.BICUBIC), "JPEG", quality=80),
    "brighter": lambda image: saved(image.point(lambda value: min(255, value * 1.15))),
    "grey": lambda image: saved(image.convert("L")),
}


def write(root: Path, part: str, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = root / "images" / part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes of twelve training images, and test images that are others."""
    write(tmp_path, "train", {f"{'cat' if n % 2 else 'dog'}/{n}.png": saved(scene(n)) for n in range(24)})
    write(tmp_path, "test", {f"{'cat' if n % 2 else 'dog'}/{n}.png": saved(scene(n)) for n in range(100, 108)})
    (tmp_path / "folder.yaml").write_text(STUDY)
    return tmp_path / "images"


def parts(images: Path, size: int = 32) -> tuple[Arrays, Arrays]:
    data = ImageFolder(name="image_folder", path=str(images), size=size)
    cache = images.parent / "cache"
    train = sources.prepare(data, data.fingerprint(), cache, lambda *_: None)
    test = sources.prepare(data, data.fingerprint("test"), cache, lambda *_: None, "test")
    return read_arrays(train), read_arrays(test)


def test_different_images_are_not_told(images: Path) -> None:
    found = overlap(*parts(images))
    assert (found.copies, found.near) == ((), ())


@pytest.mark.parametrize("what", CHANGES)
def test_a_training_image_that_was_changed_a_little_is_told(what: str, images: Path) -> None:
    (images / "test" / "cat" / "109.img.png").write_bytes(CHANGES[what](scene(5)))
    found = overlap(*parts(images))
    assert found.copies == ()
    assert found.near == ((4, 9),)  # by name: the last of the cats in test/, and cat/5.png in train/


def test_a_copy_is_told_whatever_its_name_and_class(images: Path) -> None:
    shutil.copy(images / "train" / "cat" / "3.png", images / "test" / "dog" / "000.png")
    found = overlap(*parts(images))
    assert len(found.copies) == 1
    assert found.near == ()


def test_of_small_images_only_copies_are_told(images: Path) -> None:
    (images / "test" / "cat" / "109.png").write_bytes(CHANGES["saved as JPEG"](scene(5)))
    shutil.copy(images / "train" / "cat" / "3.png", images / "test" / "dog" / "000.png")
    found = overlap(*parts(images, size=24))
    assert len(found.copies) == 1
    assert found.near == ()


def test_blank_images_are_copies_only_where_they_are_equal(images: Path) -> None:
    for part, shade in (("train", 10), ("test", 200)):
        (images / part / "cat" / "blank.png").write_bytes(saved(Image.new("RGB", (32, 32), (shade,) * 3)))
    found = overlap(*parts(images))
    assert (found.copies, found.near) == ((), ())


def test_digits_are_not_taken_for_one_another(tmp_path: Path) -> None:
    """Coarse pictures of few shapes are the hardest case: of 360 digits, made as large as photographs, one is."""
    digits = Digits(name="digits")
    train, test = (sources.arrays_of(digits, part) for part in ("train", "test"))  # type: ignore[arg-type]
    larger = [
        np.stack([np.asarray(Image.fromarray(own[..., 0]).resize((32, 32), Image.Resampling.BILINEAR)) for own in part])
        for part in (train.images, test.images)
    ]
    large = [
        Arrays(own[..., None], part.labels, part.classes, decoding.sums(own[..., None]), part.twins)
        for own, part in zip(larger, (train, test), strict=True)
    ]
    assert len(overlap(*large).near) <= 2


@pytest.mark.slow
def test_a_test_set_that_is_the_training_set_is_told_by_the_command_and_the_report(
    images: Path, tmp_path: Path, ablate: Ablate
) -> None:
    shutil.copytree(images / "train", images / "test", dirs_exist_ok=True)
    (images / "test" / "cat" / "109.jpg").write_bytes(CHANGES["saved as JPEG"](scene(5)))
    assert ablate("run", "folder.yaml", "--device", "cpu").returncode == 0
    answer = ablate("test", "folder", "--device", "cpu")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "warning: 24 of 33 test images are also training images (test/cat/1.png = train/cat/1.png" in answer.stdout
    assert (
        "1 of 33 test images are nearly the same as a training image (test/cat/109.jpg = train/cat/5.png)"
        in answer.stdout
    )
    assert ablate("report").returncode == 0
    analysis = json.loads((tmp_path / "reports" / "folder" / "analysis.json").read_text())
    (told,) = [own for own in analysis["warnings"] if own["code"] == "test_overlap"]
    assert told["message"].startswith("24 of 33 test images are also training images")


@pytest.mark.slow
def test_a_test_set_of_its_own_gets_no_warning(images: Path, ablate: Ablate) -> None:
    assert ablate("run", "folder.yaml", "--device", "cpu").returncode == 0
    answer = ablate("test", "folder", "--device", "cpu")
    assert answer.returncode == 0
    assert "warning" not in answer.stdout
