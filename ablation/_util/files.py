"""Files that are replaced as a whole: written beside their place, then moved there."""

from __future__ import annotations

import itertools
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ablation.errors import StorageError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn whatever the system has against writing `path` into a StorageError."""
    try:
        yield
    except OSError as error:
        hint = "what is trained is kept; free some space or fix the folder, and run the same command again"
        raise StorageError(f"{path} cannot be written: {error.strerror or error}", hint) from error


def replace(path: Path, write: Callable[[IO[bytes]], object], *, durable: bool = False) -> None:
    """Write a file so that `path` holds either its old or its whole new content; `durable` also survives power loss.

    Its folder is there already: one that has vanished is not made again. Raises StorageError.
    """
    with writing(path):
        _replace(path, write, durable)


def _replace(path: Path, write: Callable[[IO[bytes]], object], durable: bool) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            write(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_text(path: Path, text: str) -> None:
    """`replace` for a text file in UTF-8."""
    replace(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """`replace` for a value as indented JSON."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    replace(path, lambda file: file.write(text.encode()), durable=durable)


def set_aside(path: Path) -> Path:
    """Move a file that cannot be trusted to `<name>.unreadable`, `<name>.unreadable-2`, ...; nothing is deleted."""
    names = (f"{path.name}.unreadable{f'-{count}' if count > 1 else ''}" for count in itertools.count(1))
    place = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    path.rename(place)
    return place
