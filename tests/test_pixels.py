"""Image files of every mode that Pillow opens: converted by what their values mean, or refused; never clipped."""

from __future__ import annotations

import io
import json
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image

from ablation.data import pixels, sources
from ablation.errors import UserError
from ablation.registry.datasets import ImageFolder
from tests.conftest import Ablate

SIDE = 8
RAMP = np.arange(SIDE * SIDE, dtype=np.float64).reshape(SIDE, SIDE) / (SIDE * SIDE - 1)
"""0 to 1 from the first pixel to the last."""


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def ramp(most: float, kind: Any) -> Image.Image:
    return Image.fromarray((RAMP * most).astype(kind))


def as_before(content: bytes) -> np.ndarray:  # type: ignore[type-arg]
    """What versions before made of an image that has the right size already."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def colours() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def opaque(mode: str) -> Image.Image:
    image = colours().convert(mode)
    image.putalpha(255)
    return image


def palette_with_opaque_entry() -> bytes:
    image = colours().quantize(16)
    return encoded(image, transparency=200)  # a colour that no pixel has


UNCHANGED: dict[str, Callable[[], bytes]] = {
    "1": lambda: encoded(colours().convert("1")),
    "L": lambda: encoded(colours().convert("L")),
    "P": lambda: encoded(colours().quantize(16)),
    "P gif": lambda: encoded(colours().quantize(16), "GIF"),
    "P with an unused transparent colour": palette_with_opaque_entry,
    "RGB png": lambda: encoded(colours()),
    "RGB jpeg": lambda: encoded(colours(), "JPEG"),
    "RGB bmp": lambda: encoded(colours(), "BMP"),
    "RGB webp": lambda: encoded(colours(), "WEBP", lossless=True),
    "RGB tiff": lambda: encoded(colours(), "TIFF"),
    "RGB ppm": lambda: encoded(colours(), "PPM"),
    "opaque RGBA": lambda: encoded(opaque("RGB")),
    "opaque LA": lambda: encoded(opaque("L")),
    "RGBA without a visible pixel": lambda: encoded(Image.new("RGBA", (SIDE, SIDE), (9, 8, 7, 0))),
    "CMYK jpeg": lambda: encoded(colours().convert("CMYK"), "JPEG"),
    "CMYK tiff": lambda: encoded(colours().convert("CMYK"), "TIFF"),
    "upright EXIF": lambda: encoded(colours(), "JPEG", exif=_oriented(1)),
    "RGBX tiff": lambda: encoded(colours().convert("RGBX"), "TIFF"),
    "grey, 4 bits": lambda: encoded(colours().convert("L").quantize(16), bits=4),
    "tiff turned by its tag": lambda: encoded(colours(), "TIFF", tiffinfo={274: 6}),
}

if int(PIL.__version__.split(".")[0]) >= 13:  # older ones cannot read what they write
    UNCHANGED["YCbCr tiff"] = lambda: encoded(colours().convert("YCbCr"), "TIFF")


def _oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = value
    return exif


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
@pytest.mark.parametrize("what", UNCHANGED)
def test_images_that_were_read_rightly_keep_their_bits_and_their_fingerprint(what: str) -> None:
    content = UNCHANGED[what]()
    assert np.array_equal(pixels.decode(content, SIDE).pixels, as_before(content))
    assert not pixels.is_converted(content)


def grey(most: float, kind: Any, save: str = "PNG") -> Callable[[], bytes]:
    return lambda: encoded(ramp(most, kind), save)


def pgm() -> bytes:
    """A portable grey map of 16 bits, which old versions of Pillow cannot write."""
    height, width = RAMP.shape
    return f"P5 {width} {height} 65535\n".encode() + np.round(RAMP * 65_535).astype(">u2").tobytes()


CONVERTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "16-bit png": (grey(65_535, np.uint16), "16-bit grey"),
    "16-bit tiff": (grey(65_535, np.uint16, "TIFF"), "16-bit grey"),
    "16-bit pgm": (pgm, "16-bit grey"),
    "int32 to 65,535": (grey(65_535, np.int32, "TIFF"), "integer 0 to 65,535"),
    "int32 to 255": (grey(255, np.int32, "TIFF"), "integer 0 to 255"),
    "float to 1": (grey(1, np.float32, "TIFF"), "float 0 to 1"),
    "float to 255": (grey(255, np.float32, "TIFF"), "float 0 to 255"),
}


@pytest.mark.parametrize("what", CONVERTED)
def test_values_of_more_than_8_bits_are_scaled_from_black_to_white(what: str) -> None:
    make, kind = CONVERTED[what]
    found = pixels.decode(make(), SIDE)
    assert found.conversions == (kind,)
    assert found.pixels[0, 0].tolist() == [0, 0, 0]
    assert found.pixels[-1, -1].tolist() == [255, 255, 255]
    assert np.abs(found.pixels[..., 0] - 255 * RAMP).max() <= 1
    assert pixels.is_converted(make())


def test_a_big_endian_tiff_of_16_bits_is_the_little_endian_one() -> None:
    values = (RAMP * 65_535).astype(np.uint16)
    little, big = (encoded(Image.frombytes(mode, (SIDE, SIDE), values.astype(order).tobytes()), "TIFF")
                   for mode, order in (("I;16", "<u2"), ("I;16B", ">u2")))  # fmt: skip
    assert np.array_equal(pixels.decode(little, SIDE).pixels, pixels.decode(big, SIDE).pixels)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "float above 255": (grey(1000, np.float32, "TIFF"), "float values range from 0 to 1000"),
    "float below 0": (lambda: encoded(Image.fromarray((RAMP - 0.5).astype(np.float32)), "TIFF"), "from -0.5 to 0.5"),
    "float with a NaN": (lambda: encoded(Image.fromarray((RAMP / 0).astype(np.float32)), "TIFF"), "from nan to nan"),
    "int32 above 65,535": (grey(1e6, np.int32, "TIFF"), "integer values range from 0 to 1,000,000"),
    "int32 below 0": (lambda: encoded(Image.fromarray((RAMP - 1).astype(np.int32)), "TIFF"), "from -1 to 0"),
}


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize("what", REFUSED)
def test_values_without_a_clear_range_are_refused_by_the_name_of_the_file(what: str, tmp_path: Path) -> None:
    make, message = REFUSED[what]
    data = write_folder(tmp_path, {"cat/odd.tif": make()})
    with pytest.raises(UserError) as caught:
        prepare(data, tmp_path)
    assert "train/cat/odd.tif" in caught.value.message
    assert message in caught.value.message


def test_16_bits_with_white_as_zero_are_refused(tmp_path: Path) -> None:
    content = bytearray(encoded(ramp(65_535, np.uint16), "TIFF"))
    entry = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
    place = content.index(entry)
    content[place + 8] = 0
    with pytest.raises(pixels.PixelError, match="white as zero"):
        pixels.decode(bytes(content), SIDE)


def test_one_range_holds_for_a_whole_data_set(tmp_path: Path) -> None:
    files = {"cat/0.tif": grey(1, np.float32, "TIFF")(), "dog/0.tif": grey(255, np.float32, "TIFF")()}
    with pytest.raises(UserError) as caught:
        prepare(write_folder(tmp_path, files), tmp_path)
    expected = "values of different ranges: train/cat/0.tif (float 0 to 1) and train/dog/0.tif (float 0 to 255)"
    assert expected in caught.value.message


def test_transparent_pixels_are_put_on_white() -> None:
    image = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))  # black ink on a transparent ground, black beneath
    image.paste((0, 0, 0, 255), (2, 2, 6, 6))
    image.putpixel((0, 0), (200, 100, 0, 128))
    for content in (encoded(image), encoded(image.convert("LA")), encoded(image, "WEBP", lossless=True)):
        found = pixels.decode(content, SIDE)
        assert found.conversions == ("transparent pixels made white",)
        assert found.pixels[7, 7].tolist() == [255, 255, 255]
        assert found.pixels[3, 3].tolist() == [0, 0, 0]
        assert pixels.is_converted(content)
    assert pixels.decode(encoded(image), SIDE).pixels[0, 0].tolist() == pytest.approx([227, 177, 127], abs=1)


def test_a_transparent_colour_of_a_palette_or_of_rgb_is_white() -> None:
    palette = Image.new("P", (SIDE, SIDE), 0)
    palette.putpalette([0, 0, 0, 250, 0, 0])
    palette.putpixel((1, 1), 1)
    colour = Image.new("RGB", (SIDE, SIDE), (0, 0, 0))
    colour.putpixel((1, 1), (250, 0, 0))
    for content in (
        encoded(palette, transparency=0),
        encoded(palette, "GIF", transparency=0),
        encoded(palette, transparency=b"\0\xff"),
        encoded(colour, transparency=(0, 0, 0)),
    ):
        found = pixels.decode(content, SIDE).pixels
        assert found[0, 0].tolist() == [255, 255, 255]
        assert found[1, 1].tolist() == [250, 0, 0]
        assert pixels.is_converted(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("value", range(2, 9))
def test_a_photograph_is_turned_as_its_camera_was_held(value: int, kind: str) -> None:
    image = Image.new("RGB", (16, 16), (255, 255, 255))
    image.paste((200, 0, 0), (0, 0, 8, 8))
    image.paste((0, 0, 200), (8, 0, 16, 8))
    turned = image
    for step in {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
                 7: "TRANSVERSE", 8: "ROTATE_270"}[value],:  # fmt: skip
        turned = turned.transpose(Image.Transpose[step])  # as the sensor saw it
    content = encoded(turned, kind, exif=_oriented(value), quality=95)
    found = pixels.decode(content, 16)
    assert np.abs(found.pixels.astype(int) - np.asarray(image)).mean() < 12
    assert found.conversions == ("turned as EXIF says",)
    assert pixels.is_converted(content)


def test_lab_is_read_as_colours() -> None:
    lab = Image.frombytes("LAB", (SIDE, SIDE), bytes([137, 80, 67]) * 64)  # L 53.7, a 80, b 67: pure red
    red = pixels.decode(encoded(lab, "TIFF"), SIDE).pixels[0, 0]
    assert red.tolist() == pytest.approx([255, 0, 0], abs=12)


def test_damaged_exif_data_do_not_matter() -> None:
    content = encoded(colours(), "JPEG", exif=b"Exif\0\0not a TIFF at all")
    assert np.array_equal(pixels.decode(content, SIDE).pixels, as_before(content))
    assert not pixels.is_converted(content)


def write_folder(root: Path, files: dict[str, bytes]) -> ImageFolder:
    """Two classes of ordinary images, and these files in train/."""
    for name in ("cat", "dog"):
        for number in range(4):
            path = root / "images" / "train" / name / f"plain{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(Image.new("RGB", (SIDE, SIDE), (number, 50 * number, len(name)))))
    for name, content in files.items():
        (root / "images" / "train" / name).write_bytes(content)
    return ImageFolder(name="image_folder", path=str(root / "images"), size=SIDE)


def prepare(data: ImageFolder, root: Path) -> sources.ImageSet:
    return sources.load(sources.prepare(data, data.fingerprint(), root / "cache", lambda *_: None))


def test_the_fingerprint_says_that_images_are_decoded_by_their_meaning(tmp_path: Path) -> None:
    plain = write_folder(tmp_path / "a", {"cat/x.png": encoded(colours())}).fingerprint()
    deep = write_folder(tmp_path / "b", {"cat/x.png": encoded(ramp(65_535, np.uint16))}).fingerprint()
    assert plain.endswith("-8px")
    assert deep.endswith("-8px-d2")


@pytest.mark.slow
def test_a_study_whose_images_were_decoded_otherwise_is_told_so(tmp_path: Path, ablate: Ablate) -> None:
    write_folder(tmp_path, {"cat/x.png": encoded(ramp(65_535, np.uint16))})
    (tmp_path / "odd.yaml").write_text(STUDY)
    assert ablate("run", "odd.yaml", "--device", "cpu").returncode == 0
    path = tmp_path / "results" / "studies" / "odd" / "study.json"
    earlier = json.loads(path.read_text().replace("8px-d2", "8px"))
    del earlier["sha256"]  # an earlier version wrote none
    path.write_text(json.dumps(earlier))
    answer = ablate("run", "odd.yaml", "--device", "cpu")
    assert answer.returncode == 1
    assert "some images of odd are decoded differently now than when 1 run started" in answer.stderr
    assert "--new-data" in answer.stderr


@pytest.mark.slow
def test_networks_that_were_trained_on_images_decoded_otherwise_are_not_tested(tmp_path: Path, ablate: Ablate) -> None:
    images = {f"{name}/{number}.png": encoded(ramp(65_535, np.uint16)) for name in ("cat", "dog") for number in (1, 2)}
    write_folder(tmp_path, images)
    shutil.copytree(tmp_path / "images" / "train", tmp_path / "images" / "test")
    (tmp_path / "odd.yaml").write_text(STUDY)
    assert ablate("run", "odd.yaml", "--device", "cpu").returncode == 0
    (path,) = (tmp_path / "results" / "runs").glob("*/run.json")
    earlier = json.loads(path.read_text().replace("8px-d2", "8px"))
    del earlier["sha256"], earlier["files"]  # an earlier version wrote none
    path.write_text(json.dumps(earlier))
    answer = ablate("test", "odd", "--device", "cpu")
    assert answer.returncode == 1
    assert "'odd' was trained by a version that decoded some of its images differently" in answer.stderr


def _png(width: int, height: int) -> bytes:
    """The head of a PNG and no more: whoever decodes it first has an empty image of this size in memory."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = zlib.compress(bytes((1 + width) * min(height, 10_000)))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


SIZES = {
    "a strip": (1, 60_000_000, "its 1 x 60,000,000 pixels would be scaled to 8 x 480,000,000; the limit is 16,777,216"),
    "a wide strip": (3_000_000, 1, "its 3,000,000 x 1 pixels would be scaled to 8 x 24,000,000"),
    "no pixels": (0, 5, "cannot identify image file"),
}


@pytest.mark.parametrize("what", SIZES)
def test_an_extreme_size_is_refused_by_name_before_anything_is_decoded(what: str, tmp_path: Path) -> None:
    width, height, message = SIZES[what]
    data = write_folder(tmp_path, {"dog/extreme.png": _png(width, height)})
    with pytest.raises(UserError) as caught:
        prepare(data, tmp_path)
    assert f"train/dog/extreme.png ({message}" in caught.value.message


def test_a_long_image_within_the_limits_is_read(tmp_path: Path) -> None:
    content = encoded(Image.new("RGB", (4, 30_000), (1, 2, 3)))
    assert pixels.decode(content, SIDE).pixels.tolist() == [[[1, 2, 3]] * SIDE] * SIDE


STUDY = """\
study: odd
baseline:
  data: {name: image_folder, path: images, size: 8, validation: 0.25}
  model: {name: lenet5, hidden: [8]}
  optimizer: {name: sgd, lr: 0.01}
  train: {epochs: 1, batch_size: 16}
seeds: [0]
"""


@pytest.mark.slow
def test_the_command_names_a_strip_of_sixty_million_pixels_in_one_error(tmp_path: Path, ablate: Ablate) -> None:
    write_folder(tmp_path, {"dog/strip.png": _png(1, 60_000_000)})
    (tmp_path / "odd.yaml").write_text(STUDY)
    answer = ablate("run", "odd.yaml", "--device", "cpu")
    assert answer.returncode == 1
    assert answer.stderr.count("error") == 1
    assert "train/dog/strip.png" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not list((tmp_path / "results").rglob("*.npy"))
