"""Stored JSON: written with a SHA-256 of its own content, and read into the types of our dataclasses, or refused."""

from __future__ import annotations

import functools
import hashlib
import json
import reprlib
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from ablation._util.hashing import sha256
from ablation.errors import UnreadableError

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256"
"""The key under which an object keeps the SHA-256 of all its other keys."""
RETRAIN = "`ablate run` sets it aside and trains the run again"


T = TypeVar("T")


@dataclass(frozen=True)
class FileStamp:
    """What a file was when it was last written: its size in bytes, and its SHA-256 in hexadecimal digits."""

    bytes: Annotated[int, Field(ge=0)]
    sha256: str


def stamp(path: Path) -> FileStamp:
    """The stamp of a file as it is now."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileStamp(file.tell(), digest)


def seal(values: Mapping[str, Any]) -> dict[str, Any]:
    """The object with the digest of its content; the order of its keys and its white space do not matter."""
    content = {key: value for key, value in values.items() if key != DIGEST}
    return {**content, DIGEST: _digest(content)}


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256(text.encode())


def verify(value: Mapping[str, Any], what: str, hint: str = RETRAIN) -> None:
    """Raise UnreadableError for an object that is not the one that was written; earlier versions wrote no digest."""
    if DIGEST in value and value[DIGEST] != _digest({key: own for key, own in value.items() if key != DIGEST}):
        raise UnreadableError(f"{what} has changed since it was written: its SHA-256 does not match", hint)


def typed(kind: type[T], values: Mapping[str, Any], what: str, hint: str = RETRAIN) -> T:
    """An object as the dataclass `kind`. Keys that it does not know are left out: a later version may have added them.

    Raises UnreadableError for a value of another type, or outside of its range.
    """
    try:
        return typed_list(kind, [json.dumps(values).encode()])[0]
    except ValidationError as error:
        raise UnreadableError(f"{what} cannot be read: {_problem(error, 1)}", hint) from None


def typed_lines(kind: type[T], lines: list[bytes], what: str, hint: str = RETRAIN) -> list[T]:
    """JSON lines as dataclasses of `kind`. Raises UnreadableError with the number of the first line that is none."""
    try:
        return typed_list(kind, lines)
    except ValidationError as error:
        place = error.errors(include_url=False)[0]["loc"]
        line = f"line {int(place[0]) + 1} of {what}" if place else what  # no place: the text is no JSON at all
        raise UnreadableError(f"{line} cannot be read: {_problem(error, 1)}", hint) from None


def typed_list(kind: type[T], items: list[bytes]) -> list[T]:
    """JSON texts as dataclasses of `kind`. Raises pydantic's ValidationError."""
    found: list[T] = _adapter(cast(Hashable, kind)).validate_json(b"[%s]" % b",".join(items))
    return found


@functools.cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(list[kind], config=ConfigDict(strict=True, allow_inf_nan=False))  # type: ignore[valid-type]


def _problem(error: ValidationError, skip: int) -> str:
    """The first problem as `key.key: what is wrong (value)`, without the first `skip` parts of its place."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"][skip:]))
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if first["type"] not in ("missing", "json_invalid", "metric"):
        message += f", not {reprlib.repr(first['input'])}"
    return f"{place}: {message}" if place else message
