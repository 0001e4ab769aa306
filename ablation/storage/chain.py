"""Files of records that are only ever added to: JSON lines, each with its own digest and that of the line before it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablation._util.files import replace
from ablation._util.hashing import sha256
from ablation._util.strict_json import parse
from ablation.errors import UnreadableError, UserError
from ablation.storage.sealed import seal, verify
from ablation.storage.store import check_version


def read_lines(path: Path) -> tuple[list[bytes], bool]:
    """The lines of a file, and whether a torn one was left out: a last one without its end that is no JSON.

    None where there is no file.
    """
    *lines, last = path.read_bytes().split(b"\n") if path.exists() else [b""]
    try:
        if last:
            json.loads(last)
            lines.append(last)
    except (ValueError, RecursionError):
        return lines, True
    return lines, False


def parse_line(line: bytes, what: str, hint: str, version: int) -> dict[str, Any]:
    """The record in a line. Raises UnreadableError for one that was changed, UserError for one of another version."""
    values = parse(line, what, hint)
    try:
        check_version(values, what, (version,))
    except UnreadableError as error:  # its hint is that of a run
        raise UnreadableError(error.message, hint) from None
    verify(values, what, hint)
    return values


def check_order(values: Mapping[str, Any], before: Sequence[bytes], what: str, hint: str) -> None:
    """Raise UserError where a record does not follow the lines before it."""
    if values.get("previous", _link(before)) != _link(before):
        raise UserError(f"{what} does not follow the line before it: a record was removed or changed", hint)


def append(path: Path, version: int, *records: Mapping[str, Any]) -> None:
    """Add records; the file is replaced as a whole, so that the others are kept whatever happens.

    Raises StorageError.
    """
    lines = read_lines(path)[0]
    for own in records:
        content = seal({"schema_version": version, **own, "previous": _link(lines)})
        lines.append(json.dumps(content, ensure_ascii=False).encode())
    text = b"".join(line + b"\n" for line in lines)
    replace(path, lambda file: file.write(text), durable=True)


def _link(before: Sequence[bytes]) -> str:
    """What ties a line to the one before it."""
    return sha256(before[-1]) if before else ""
