"""The wire format of protocol buffers, as far as event files and offline logs need it, without the library.

Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """Bytes that are no message."""


def fields(message: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """Each field of a message as (number, wire type, value): an int of a varint, bytes of any other.

    Raises WireError where the bytes are no message.
    """
    place, end = 0, len(message)
    while place < end:
        key, place = varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, place = varint(message, place)
            yield number, kind, value
            continue
        if kind == LENGTH:
            size, place = varint(message, place)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise WireError(f"wire type {kind}")
        if place + size > end:
            raise WireError("a field is longer than its message")
        yield number, kind, message[place : place + size]
        place += size


def varint(message: bytes, place: int) -> tuple[int, int]:
    """The whole number that begins at a byte, and the place after it."""
    value = shift = 0
    while place < len(message):
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            break
    raise WireError("a whole number has no end")


def parts(message: bytes, number: int) -> list[bytes]:
    """The values of a field that holds text, bytes or messages, in their order."""
    return [value for own, _, value in fields(message) if own == number and isinstance(value, bytes)]


def text(message: bytes, number: int) -> str:
    """The text in a field; the last one counts, and none is ''."""
    found = parts(message, number)
    return found[-1].decode("utf-8", "replace") if found else ""


def signed(value: int) -> int:
    """A varint as the int64 that it stands for."""
    return value - (1 << 64) if value >= 1 << 63 else value


def float32(value: bytes) -> float:
    """Four bytes as a number."""
    return float(struct.unpack("<f", value)[0])


def float64(value: bytes) -> float:
    """Eight bytes as a number."""
    return float(struct.unpack("<d", value)[0])


def whole(message: bytes, number: int) -> int:
    """The whole number in a field, 0 where there is none."""
    found = [value for own, _, value in fields(message) if own == number and isinstance(value, int)]
    return signed(found[-1]) if found else 0
