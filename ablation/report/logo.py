"""The logo on the title of a report: a PNG or JPEG file that the study names."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablation._util.sanitize import read_file
from ablation.errors import UserError

_MOST_BYTES = 500_000
_HINT = "name a PNG or JPEG file, relative to where you start `ablate`"


@dataclass(frozen=True)
class Logo:
    """The bytes of an image, and its format."""

    data: bytes
    format: Literal["png", "jpeg"]

    @property
    def file(self) -> str:
        """Its place beside a Markdown report."""
        return f"figures/logo.{'png' if self.format == 'png' else 'jpg'}"

    @property
    def uri(self) -> str:
        return f"data:image/{self.format};base64,{base64.b64encode(self.data).decode('ascii')}"


def read_logo(path: str | None) -> Logo | None:
    """The logo in a file; None where the study names none. Raises UserError for what is no small PNG or JPEG file."""
    if path is None:
        return None
    if not Path(path).exists():
        raise UserError(f"report.logo: there is no file {path!r}", _HINT)
    data = read_file(Path(path), _MOST_BYTES)
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "JPEG"]) as image:
            image.verify()
            form = image.format
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise UserError(f"report.logo: {path} is no PNG or JPEG image", _HINT) from None
    return Logo(data, "png" if form == "PNG" else "jpeg")
