"""Damaged images and archives, byte by byte: whatever they hold, they are read or refused by name."""

from __future__ import annotations

import io
import random
import shutil
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablation.data import sources
from ablation.data.image_folder import list_images
from ablation.data.pixels import decode
from ablation.errors import UserError
from ablation.registry.datasets import ImageFolder

FAST, SLOW = 200, 3000


def _saved(kind: str, mode: str, **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize((48, 40)).convert(mode).save(stream, format=kind, **options)
    return stream.getvalue()


def originals() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[274] = 6
    deep = io.BytesIO()
    Image.fromarray(np.arange(4800, dtype=np.uint16).reshape(60, 80) * 13).save(deep, format="PNG")
    return {
        "x.jpg": _saved("JPEG", "RGB", exif=exif),
        "progressive.jpg": _saved("JPEG", "RGB", progressive=True),
        "cmyk.jpg": _saved("JPEG", "CMYK"),
        "x.png": _saved("PNG", "RGB"),
        "alpha.png": _saved("PNG", "RGBA"),
        "deep.png": deep.getvalue(),
        "palette.png": _saved("PNG", "P"),
        "x.gif": _saved("GIF", "P"),
        "x.bmp": _saved("BMP", "RGB"),
        "x.webp": _saved("WEBP", "RGB"),
        "x.tif": _saved("TIFF", "RGB", compression="tiff_lzw"),
        "float.tif": _saved("TIFF", "F"),
        "x.ppm": _saved("PPM", "RGB"),
    }


def mutated(content: bytes, stream: random.Random) -> bytes:
    """The bytes with some flipped, cut off, left out, doubled or swapped; half of the time near the front."""
    found = bytearray(content)
    for _ in range(stream.choice((1, 1, 2, 5, 20))):
        place = stream.randrange(min(len(found), 120) if stream.random() < 0.5 else len(found))
        match stream.randrange(6):
            case 0:
                found[place] ^= 1 << stream.randrange(8)
            case 1:
                found[place] = stream.choice((0, 1, 127, 128, 255))
            case 2:
                del found[max(1, place) :]
            case 3:
                del found[place : place + stream.randrange(1, 40)]
            case 4:
                found[place:place] = found[place : place + stream.randrange(1, 40)]
            case _:
                found[place : place + 4] = stream.randbytes(4)
        if not found:
            return b"x"
    return bytes(found)


def mutations(count: int) -> Iterator[tuple[str, bytes]]:
    stream, files = random.Random(7), list(originals().items())
    for number in range(count):
        name, content = files[number % len(files)]
        yield f"{number:05}{name}", mutated(content, stream)


def check_images(count: int, root: Path) -> tuple[int, int]:
    """Prepare a folder of damaged images: all that cannot be decoded are refused in one error, each by its name."""
    for label in ("cat", "dog"):
        (root / "images" / "train" / label).mkdir(parents=True)
        for name in ("whole.png", "whole.bmp"):
            (root / "images" / "train" / label / name).write_bytes(originals()["x" + name[-4:]])
    readable = {}
    for name, content in mutations(count):
        (root / "images" / "train" / "cat" / name).write_bytes(content)
        readable[name] = _decodes(content)
    data = ImageFolder(name="image_folder", path=str(root / "images"), size=16)
    refused = [name for name, own in readable.items() if not own]
    with pytest.raises(UserError) as caught:
        sources.prepare(data, data.fingerprint(), root / "cache", lambda *_: None)
    assert f"{len(refused)} unreadable images in {root}/images: train/cat/{refused[0]} (" in caught.value.message
    for name in refused:
        (root / "images" / "train" / "cat" / name).unlink()
    message = ""
    try:
        folder = sources.prepare(data, data.fingerprint(), root / "cache", lambda *_: None)
    except UserError as error:
        message = error.message
    if message:  # a damaged float may be in another range than the others
        assert "values of different ranges: train/" in message
    else:
        assert len(sources.load(folder).labels) == count - len(refused) + 4
    return len(refused), count


def _decodes(content: bytes) -> bool:
    try:
        decode(content, 16)
    except Exception:
        return False
    return True


def check_archives(count: int, root: Path) -> tuple[int, int]:
    """Damaged archives are read, or refused by an error that names the archive."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for label in ("cat", "dog"):
            archive.writestr(f"train/{label}/", b"")
            for number in range(3):
                archive.writestr(f"train/{label}/{number}.png", originals()["x.png"])
            archive.writestr(f"train/{label}/x.bmp", originals()["x.bmp"])
    stream, refused = random.Random(3), 0
    path = root / "images.zip"
    data = ImageFolder(name="image_folder", path=str(path), size=8)
    for _ in range(count):
        content = whole.getvalue()
        directory = content.rindex(b"PK\1\2")
        head, tail = content[:directory], content[directory:]
        changed = mutated(content, stream) if stream.random() < 0.5 else head + mutated(tail, stream)
        path.write_bytes(changed)
        found: UserError | None = None
        try:
            assert list_images(path, "train").images
            data.fingerprint()
            folder = sources.prepare(data, "x", root / "cache", lambda *_: None)
            shutil.rmtree(folder)
        except UserError as error:
            found = error
        if found:
            refused += 1
            assert "images.zip" in found.message
            assert found.hint
    return refused, count


def fuzz(check: Callable[[int, Path], tuple[int, int]], count: int, root: Path) -> None:
    """Some of the damaged files are refused, and others are still read."""
    began = time.process_time()
    refused, tried = check(count, root)
    print(f"{tried:,} {check.__name__[6:]}, {refused:,} refused, {time.process_time() - began:.0f} s of CPU")
    assert count / 4 < refused < tried == count


@pytest.fixture(autouse=True)
def _quiet(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """As in a worker process, where `pixels` has nothing printed of damaged metadata; libtiff prints what it likes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    assert "Traceback" not in capfd.readouterr().err


def test_damaged_images_are_refused_by_name(tmp_path: Path) -> None:
    fuzz(check_images, FAST, tmp_path)


def test_damaged_archives_are_refused_by_name(tmp_path: Path) -> None:
    fuzz(check_archives, FAST // 2, tmp_path)


@pytest.mark.slow
def test_thousands_of_damaged_images_are_refused_by_name(tmp_path: Path) -> None:
    fuzz(check_images, SLOW, tmp_path)


@pytest.mark.slow
def test_thousands_of_damaged_archives_are_refused_by_name(tmp_path: Path) -> None:
    fuzz(check_archives, SLOW // 2, tmp_path)
