"""Archives and downloads that are not what they should be: nothing leaves its folder, and the user is told."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from ablation.data import archives, sources
from ablation.data.image_folder import list_images
from ablation.errors import UserError
from ablation.registry.datasets import KINDS, ImageFolder, Mnist
from tests.hostile import picture

Change = Callable[[zipfile.ZipFile], None]


def write_zip(path: Path, change: Change = lambda _: None) -> ImageFolder:
    """A sound archive of two classes, and what `change` adds to it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for label, name in enumerate(("red", "blue")):
            for number in range(12):
                archive.writestr(f"train/{name}/{number}.png", picture(label, number))
        change(archive)
    return ImageFolder(name="image_folder", path=str(path), size=8)


def prepare(data: ImageFolder | Mnist, folder: Path) -> sources.ImageSet:
    return sources.load(sources.prepare(data, data.fingerprint(), folder / "cache", lambda *_: None))


def _link(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("train/red/link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    archive.writestr(info, "/etc/passwd")


def _twice(archive: zipfile.ZipFile) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("train/red/0.png", b"another")


def _bomb(archive: zipfile.ZipFile) -> None:
    with archive.open("train/red/bomb.png", "w") as file:
        for _ in range(257):
            file.write(bytes(2**20))


REFUSED: dict[str, tuple[Change, str]] = {
    "a way up": (lambda a: a.writestr("train/../../red/1.png", b"x"), "leads outside of it"),
    "a class that is the folder above": (lambda a: a.writestr("train/../1.png", b"x"), "leads outside of it"),
    "an absolute path": (lambda a: a.writestr("/etc/cron.d/1.png", b"x"), "leads outside of it"),
    "a link": (_link, "is a link"),
    "a name twice": (_twice, "'train/red/0.png' occurs twice"),
    "a bomb": (_bomb, "has 269,484,032 bytes unpacked; the limit is 268,435,456"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_archive_with_such_a_member_is_refused(what: str, tmp_path: Path) -> None:
    change, fault = REFUSED[what]
    data = write_zip(tmp_path / "images.zip", change)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=fault):
        data.fingerprint()
    assert set(tmp_path.rglob("*")) == before


def _in_the_directory(path: Path, name: str, offset: int, value: bytes) -> None:
    """Change what the archive's directory says of a member, `offset` bytes into its entry."""
    content = bytearray(path.read_bytes())
    start = content.rindex(name.encode()) - 46
    assert content[start : start + 4] == b"PK\1\2"
    content[start + offset : start + offset + len(value)] = value
    path.write_bytes(content)


DECLARED = {
    "a password": (8, b"\1\0", "is encrypted"),
    "an unknown method": (10, struct.pack("<H", 99), r"is compressed by a method \(99\)"),
    "four gigabytes": (24, struct.pack("<I", 2**32 - 2), "has 4,294,967,294 bytes unpacked"),
    "another check sum": (16, bytes(4), "is damaged: 'train/red/3.png' cannot be read"),
}


@pytest.mark.parametrize("what", DECLARED)
def test_an_archive_that_declares_what_cannot_be_read_is_refused(what: str, tmp_path: Path) -> None:
    offset, value, fault = DECLARED[what]
    data = write_zip(tmp_path / "images.zip")
    _in_the_directory(tmp_path / "images.zip", "train/red/3.png", offset, value)
    with pytest.raises(UserError, match=fault):
        data.fingerprint()


def test_a_member_that_unpacks_to_more_than_it_declares_is_not_read_on(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    data = write_zip(path, lambda a: a.writestr("train/red/x.png", bytes(10_000_000)))
    _in_the_directory(path, "train/red/x.png", 24, struct.pack("<I", 100))
    with archives.open_archive(path) as archive, pytest.raises(UserError, match="is damaged"):
        archives.read(archive, "train/red/x.png")
    with pytest.raises(UserError, match="is damaged"):
        data.fingerprint()


def test_a_torn_archive_is_refused(tmp_path: Path) -> None:
    data = write_zip(tmp_path / "images.zip")
    whole = (tmp_path / "images.zip").read_bytes()
    (tmp_path / "images.zip").write_bytes(whole[100:])
    with pytest.raises(UserError, match=r"images\.zip"):
        data.fingerprint()


def test_an_archive_of_another_kind_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        archive.add(__file__, "train/red/1.png")
    with pytest.raises(UserError, match="neither a folder nor a zip file"):
        list_images(tmp_path / "images.tar", "train")


def _huge_png() -> bytes:
    """A PNG of 20,000 x 20,000 pixels in a few hundred bytes; it would need 1.2 GB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _large_png() -> bytes:
    """One of 10,000 x 10,000 pixels: above the limit of Pillow, which it would only warn of."""
    stream = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(stream, format="PNG")
    return stream.getvalue()


@pytest.mark.parametrize("content", [_huge_png(), _large_png()], ids=["huge", "large"])
def test_an_image_that_would_fill_the_memory_is_named(content: bytes, tmp_path: Path) -> None:
    data = write_zip(tmp_path / "images.zip", lambda a: a.writestr("train/red/bomb.png", content))
    with pytest.raises(UserError, match=r"1 unreadable images in .*train/red/bomb\.png \(Image size"):
        prepare(data, tmp_path)


def test_a_file_that_only_calls_itself_an_image_is_handed_to_no_other_program(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    eps = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n({canary}) (w) file closefile\nshowpage\n"
    data = write_zip(tmp_path / "images.zip", lambda a: a.writestr("train/red/x.png", eps))
    with pytest.raises(UserError, match=r"train/red/x\.png \(cannot identify image file"):
        prepare(data, tmp_path)
    assert not canary.exists()


def test_a_class_may_have_any_name_that_a_disk_can_hold(tmp_path: Path) -> None:
    for label, name in enumerate((b"\xff\xfe", "<script>\n☃".encode())):
        folder = os.fsencode(tmp_path) + b"/images/train/" + name
        os.makedirs(folder)  # noqa: PTH103 (bytes that are no text)
        for number in range(12):
            with open(folder + b"/%d.png" % number, "wb") as file:
                file.write(picture(label, number))
    images = prepare(ImageFolder(name="image_folder", path=str(tmp_path / "images"), size=8), tmp_path)
    assert sorted(images.classes) == ["<script>\n☃", "\\xff\\xfe"]


WRONG = {
    "mnist": "MNIST/raw/train-images-idx3-ubyte.gz",
    "fashion_mnist": "FashionMNIST/raw/train-images-idx3-ubyte.gz",
    "cifar10": "cifar-10-python.tar.gz",
    "cifar100": "cifar-100-python.tar.gz",
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_in_the_place_of_a_download_is_refused_unless_it_is_the_one(name: str, tmp_path: Path) -> None:
    path = tmp_path / WRONG[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(b"something else", mtime=0))
    data = KINDS[name].model_validate({"name": name, "path": str(tmp_path)})
    with pytest.raises(UserError) as refused:
        prepare(data, tmp_path)
    assert f"{path} is not the file of {name}: its MD5 is not " in refused.value.message
    assert refused.value.hint
    assert path.read_bytes() == gzip.compress(b"something else", mtime=0)


def _idx(values: np.ndarray) -> bytes:  # type: ignore[type-arg]
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def test_unpacked_files_are_not_trusted_in_the_place_of_packed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    images, labels = np.arange(40 * 784, dtype=np.uint8).reshape(40, 28, 28), np.arange(40, dtype=np.uint8) % 10
    resources = []
    for name, values in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        packed = gzip.compress(_idx(values), mtime=0)
        (raw / f"{name}.gz").write_bytes(packed)
        (raw / name).write_bytes(b"not what was packed")
        resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(datasets.MNIST, "resources", resources)  # of the small files in the place of the 11 MB
    loaded = prepare(Mnist(name="mnist", path=str(tmp_path)), tmp_path)
    assert np.array_equal(loaded.images[:, 0], images)
    assert loaded.labels.tolist() == labels.tolist()
    assert loaded.classes[3] == "3 - three"
