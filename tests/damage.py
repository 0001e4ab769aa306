"""One-value damage to a results folder: a value changed, a key deleted, files swapped, cut off, or a byte flipped."""

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
