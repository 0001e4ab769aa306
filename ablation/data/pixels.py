"""The bytes of an image file -> RGB pixels, converted by what the values of the file mean, or refused.

Pillow's own conversion to RGB clips 16-bit, integer and float values, drops transparency and ignores how a camera was
held. Images with such values are converted here; all others exactly as Pillow does.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from ablation.data.image_folder import is_plain

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")
"""What Pillow may take a file for, whatever its name: others, such as EPS, are handed on to other programs."""
MOST_PIXELS = 89_478_485
"""Of an image as it is stored: a quarter of a GiB as RGB."""
MOST_SCALED = 2**24
"""Of an image once it is scaled, before its middle is cut out: a long strip becomes longer when its width is scaled."""
ALONE = 2**24
"""Pixels above which images are decoded one at a time, whatever the number of threads."""
BACKGROUND = (255, 255, 255)
"""White, behind transparent pixels: drawings are dark on a transparent ground more often than light."""
EITHER = (("float 0 to 1", "float 0 to 255"), ("integer 0 to 255", "integer 0 to 65,535"))
"""Conversions that exclude each other within a data set: the same value would mean two shades."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image upright, by the orientation of its EXIF data."""
_large = threading.Lock()
warnings.filterwarnings("ignore", module=r"PIL\.")  # sizes are checked below; damaged metadata do not matter here


class PixelError(ValueError):
    """Why an image is refused; the caller knows its name."""


@dataclass(frozen=True)
class Decoded:
    """An image as RGB, (size, size, 3), and what it was: its format, its width and height, how it was converted."""

    pixels: NDArray[np.uint8]
    format: str
    shape: tuple[int, int]
    conversions: tuple[str, ...] = ()


def decode(content: bytes, size: int) -> Decoded:
    """An image file as RGB: its shorter side scaled to `size`, and the middle cut out.

    Raises PixelError where its values have no clear meaning or it is too large, and whatever Pillow raises for a file
    that it cannot read.
    """
    with _open(content) as image:
        _check_size(image, size)
        kind, shape = (image.format or "").replace("MPO", "JPEG"), image.size
        with _large if shape[0] * shape[1] > ALONE else nullcontext():
            if is_plain(content):
                rgb, conversions = image.convert("RGB"), _named(image.mode)
            else:
                rgb, conversions = _converted(image)
            return Decoded(_cut(rgb, size), kind, shape, conversions)


def image_size(content: bytes) -> tuple[int, int]:
    """Width and height in pixels, by the header of an image file. Raises PixelError where Pillow cannot read it."""
    try:
        with _open(content) as image:
            return image.size
    except Exception as error:  # Pillow raises anything for a damaged file
        raise PixelError(str(error) or type(error).__name__) from error


def is_converted(content: bytes) -> bool:
    """Whether `decode` gives other pixels than Pillow's conversion to RGB alone. False for a file it cannot read."""
    if is_plain(content):
        return False
    try:
        with _open(content) as image:
            if image.mode[0] in "IF" or _orientation(image) > 1:
                return True
            _check_size(image, 1)
            return _is_transparent(image)
    except Exception:  # Pillow raises anything for a damaged file; `decode` will, too, and the file is named then
        return False


def _open(content: bytes) -> Image.Image:
    return Image.open(BytesIO(content), formats=FORMATS)


def _check_size(image: Image.Image, size: int) -> None:
    """Raise PixelError where an image would fill the memory: its header says so before anything is decoded."""
    width, height = image.size
    if min(width, height) < 1:
        raise PixelError(f"it has {width:,} x {height:,} pixels")
    if width * height > MOST_PIXELS:
        raise PixelError(f"it has {width:,} x {height:,} pixels; the limit is {MOST_PIXELS:,} in all")
    scale = size / min(width, height)
    if width * height * scale**2 > MOST_SCALED:
        long = round(max(width, height) * scale)
        what = f"its {width:,} x {height:,} pixels would be scaled to {size} x {long:,}"
        raise PixelError(f"{what}; the limit is {MOST_SCALED:,} in all")


def _named(mode: str) -> tuple[str, ...]:
    return (mode,) if mode in ("CMYK", "YCbCr", "HSV") else ()


def _converted(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The image as RGB, upright, and how it was converted."""
    turn = _TURNS.get(_orientation(image))
    image.load()
    rgb, conversions = _as_rgb(image)
    return (rgb, conversions) if turn is None else (rgb.transpose(turn), (*conversions, "turned as EXIF says"))


def _orientation(image: Image.Image) -> int:
    """How the camera was held, 2 to 8; 1 where it is upright, and for a TIFF, which Pillow turns when it is loaded."""
    if image.format == "TIFF":
        return 1
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises anything for damaged metadata, without which the image is as good
        return 1
    return found if found in _TURNS else 1


def _as_rgb(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    if image.mode.startswith("I;16"):
        return _grey_16(image)
    if image.mode in ("I", "F"):
        return _by_range(image)
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        rgb = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert rgb is not None
        return rgb, ("LAB",)
    if _is_transparent(image):
        ground = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        return Image.alpha_composite(ground, _with_alpha(image)).convert("RGB"), ("transparent pixels made white",)
    if image.mode in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"):
        image.info.pop("transparency", None)  # of no pixel; Pillow would warn of it
        return image.convert("RGB"), _named(image.mode)
    raise PixelError(f"its mode {image.mode} is not known")


def _has_alpha(image: Image.Image) -> bool:
    """Whether there may be transparent pixels."""
    own = image.info.get("transparency")
    if isinstance(own, tuple) and max(own) > 255:  # a colour of 16 bits per channel, which was lost on loading
        return False
    palette = image.palette.mode if image.mode == "P" and image.palette else ""
    return own is not None or image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or palette.endswith("A")


def _is_transparent(image: Image.Image) -> bool:
    """Whether any pixel is. Where all are, wholly, the channel is no transparency: some programs leave it at zero."""
    if not _has_alpha(image):
        return False
    low, high = _with_alpha(image).getextrema()[3]  # type: ignore[misc]
    return low < 255 and high > 0


def _with_alpha(image: Image.Image) -> Image.Image:
    return image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")


def _grey(values: NDArray[Any]) -> Image.Image:
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")


def _tag(image: Image.Image, number: int) -> Any:
    """A tag of a TIFF; None where there is none."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(number)


def _grey_16(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """The upper 8 bits of each value, as Pillow takes those of 16-bit colours: 65,535 becomes 255."""
    _refuse_inverted(image)
    bits = (_tag(image, ExifTags.Base.BitsPerSample) or (16,))[0]
    return _grey(np.asarray(image) >> (bits - 8)), (f"{bits}-bit grey",)


def _by_range(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Values without a declared range: by the one that they are in. Raises PixelError where they are in none."""
    _refuse_inverted(image)
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F":
        if not np.isfinite(values).all() or low < 0 or high > 255:
            raise PixelError(f"its float values range from {low:g} to {high:g}; known are 0 to 1 and 0 to 255")
        kind = "float 0 to 1" if high <= 1 else "float 0 to 255"
        return _grey(np.rint(values * 255.0 if high <= 1 else values)), (kind if high > 0 else "float, all zero",)
    if image.format in ("PPM", "PNG"):  # by these formats the values are scaled to 16 bits
        return _grey(values >> 8), ("16-bit grey",)
    if low < 0 or high > 65_535:
        raise PixelError(f"its integer values range from {low:,} to {high:,}; known are 0 to 255 and 0 to 65,535")
    if high <= 255:
        return _grey(values), ("integer 0 to 255" if high > 0 else "integer, all zero",)
    return _grey(values >> 8), ("integer 0 to 65,535",)


def _refuse_inverted(image: Image.Image) -> None:
    if image.format == "TIFF" and _tag(image, ExifTags.Base.PhotometricInterpretation) == 0:
        raise PixelError(f"its mode {image.mode} has white as zero, which is not read here")


def _cut(rgb: Image.Image, size: int) -> NDArray[np.uint8]:
    if rgb.size != (size, size):
        scale = size / min(rgb.size)
        width, height = (max(size, round(side * scale)) for side in rgb.size)
        left, top = (width - size) // 2, (height - size) // 2
        resized = rgb.resize((width, height), Image.Resampling.BILINEAR)
        rgb = resized.crop((left, top, left + size, top + size))
    return np.asarray(rgb)
