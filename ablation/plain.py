"""Text of unknown origin as text that a terminal, a file or a page can hold."""

from __future__ import annotations

import re

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """Text without what acts instead of being shown: controls, also of direction, and lone surrogates become U+FFFD.

    Tabs and the ends of lines stay.
    """
    return _CONTROLS.sub("\ufffd", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """`clean` text with every stretch of white space as one blank."""
    return clean(" ".join(text.split()))
