"""Damage to stored files: a value changed, a key deleted, files swapped or cut off, bytes changed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 7, 7.5, 0.95, -0.5, 1e308, 10**30, "", "x", "7", "../../..", "a" * 300, "\x1b[2J"),
    *([], {}, [1], {"a": 1}, [[]], "2026-01-01", "0001-01-01T00:00:00+14:00", "baseline", "last", "lower", "best"),
)
HOSTILE = (
    *(b"1e999", b"-1e999", b"9" * 5000, b"NaN", b"-Infinity", b"[" * 3000, b'{"a":' * 3000, b"null", b"\\ud800"),
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\n", b"\r\n", b"\n\n", b"}", b'"', b",", b"-", b"0", b"1", b" ", b"//"),
    b"\xed\xa0\x80",
)
TEXTS = (".json", ".jsonl")
FILES = (".json", ".jsonl", ".npz", ".pt")


def damage(root: Path, chance: random.Random) -> str:
    """Damage one file below `root`, and say what was done to which one."""
    files = sorted(path for path in root.rglob("*") if path.suffix in FILES and "data" not in path.parts)
    name = chance.choice(sorted({path.name for path in files}))
    path = chance.choice([path for path in files if path.name == name])
    kinds: list[Callable[[Path, random.Random], str]] = [_cut_off, _flipped]
    kinds += [_changed] * 6 + [_deleted] * 2 if path.suffix in TEXTS else []
    twins = [other for other in files if other.name == path.name and other != path]
    if twins and chance.random() < 0.15:
        other = chance.choice(twins)
        first, second = path.read_bytes(), other.read_bytes()
        path.write_bytes(second)
        other.write_bytes(first)
        return f"{path.relative_to(root)} swapped with {other.relative_to(root)}"
    return f"{path.relative_to(root)}: {chance.choice(kinds)(path, chance)}"


def _cut_off(path: Path, chance: random.Random) -> str:
    content = path.read_bytes()
    length = chance.choice([0, len(content) - 1, chance.randrange(len(content))]) if content else 0
    path.write_bytes(content[:length])
    return f"cut off after {length} bytes"


def _flipped(path: Path, chance: random.Random) -> str:
    content = bytearray(path.read_bytes())
    place, bit = chance.randrange(len(content)), 1 << chance.randrange(8)
    content[place] ^= bit
    path.write_bytes(content)
    return f"bit {bit} of byte {place} flipped"


def _changed(path: Path, chance: random.Random) -> str:
    value = chance.choice(VALUES)
    holder, key, write = _place(path, chance)
    if isinstance(holder[key], int | float) and chance.random() < 0.5:
        value = holder[key] + chance.choice([1, -1, 0.1])
    holder[key] = value
    write()
    return f"{key} = {value!r:.60}"


def _deleted(path: Path, chance: random.Random) -> str:
    holder, key, write = _place(path, chance)
    del holder[key]
    write()
    return f"{key} deleted"


def _place(path: Path, chance: random.Random) -> tuple[Any, Any, Callable[[], object]]:
    """A container in a file, a key of it, and what writes the file again."""
    if path.suffix == ".jsonl":
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if chance.random() < 0.2:
            return lines, chance.randrange(len(lines)), lambda: path.write_text(_lines(lines), encoding="utf-8")
        line = chance.choice(lines)
        return line, chance.choice(sorted(line)), lambda: path.write_text(_lines(lines), encoding="utf-8")
    values = json.loads(path.read_text(encoding="utf-8"))
    holder, key = chance.choice([*_places(values)])
    return holder, key, lambda: path.write_text(json.dumps(values, indent=1), encoding="utf-8")


def _lines(values: list[Any]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a value, with each of its keys."""
    for key, value in list(values.items() if isinstance(values, dict) else enumerate(values)):
        yield values, key
        if isinstance(value, dict | list):
            yield from _places(value)


def damaged_json(content: bytes, chance: random.Random) -> bytes:
    """A JSON object, or lines of them, with a changed value, key or line, other white space, or damaged bytes."""
    kind = chance.random()
    if kind < 0.3:
        return damaged_bytes(content, chance)
    values = [json.loads(line) for line in content.splitlines()] if content.count(b'{"') > 1 else [json.loads(content)]
    indent = 1 if len(values) == 1 else None
    places = [*_places(values)] if kind < 0.9 else []
    if places:
        holder, key = chance.choice(places)
        if kind < 0.4:
            del holder[key]
        elif kind < 0.5:
            other, place = chance.choice(places)
            holder[key] = other[place]
        else:
            holder[key] = chance.choice(VALUES)
    elif kind < 0.95:
        chance.shuffle(values)
        values = [_shuffled(value, chance) for value in values]
    try:
        text = "\n".join(json.dumps(value, indent=indent, ensure_ascii=kind > 0.97) for value in values) + "\n"
    except ValueError:  # a container inside itself
        return b""
    return text.encode("utf-8", "surrogatepass")


def _shuffled(value: Any, chance: random.Random) -> Any:
    return dict(chance.sample([*value.items()], len(value))) if isinstance(value, dict) else value


def damaged_bytes(content: bytes, chance: random.Random) -> bytes:
    """The bytes with some flipped, cut off, left out, repeated, or hostile ones put in."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 3, 10))):
        place = chance.randrange(len(found) + 1)
        match chance.randrange(6):
            case 0 | 1 if place < len(found):
                found[place] ^= 1 << chance.randrange(8)
            case 2:
                del found[place:]
            case 3:
                del found[place : place + chance.randrange(1, 40)]
            case 4:
                found[place:place] = found[place : place + chance.randrange(1, 40)]
            case _:
                found[place : place + chance.choice((0, 1, 4))] = chance.choice(HOSTILE)
    return bytes(found)
