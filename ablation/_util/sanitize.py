"""Text of unknown origin as text that a terminal, a file or a page can hold."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from ablation.errors import UserError

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """Text without what acts instead of being shown: controls, also of direction, and lone surrogates become U+FFFD.

    Tabs and the ends of lines stay.
    """
    return _CONTROLS.sub("\ufffd", text.replace("\r\n", "\n"))


def read_file(path: Path, most: int) -> bytes:
    """The content of a file that a user wrote, of at most `most` bytes.

    Raises UserError for a folder, a pipe, a larger file, or one that cannot be read; none of these is opened.
    """
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            kind = "a folder" if stat.S_ISDIR(info.st_mode) else "a pipe or device"
            raise UserError(f"{path} is {kind}, not a file", "name a text file")
        if info.st_size > most:
            raise UserError(f"{path} has {info.st_size:,} bytes; the limit is {most:,}", "is it the right file?")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", "check its permissions") from None


def one_line(text: str) -> str:
    """`clean` text with every stretch of white space as one blank."""
    return clean(" ".join(text.split()))
