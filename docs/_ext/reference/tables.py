"""Tables of the reference, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence


def cell(text: str) -> str:
    """A text as the content of a cell: its markup, except code, is shown as it is written."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    shown = [part if part.startswith("`") else re.sub(r"([\\*_<\[\]])", r"\\\1", part) for part in parts]
    return "".join(shown).replace("|", "\\|")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table of cells that are Markdown already; nothing where there are no rows."""
    rows = list(rows)
    if rows:
        yield from ("", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}")
        yield from (f"| {' | '.join(row)} |" for row in rows)
        yield ""
