"""The files of the code that a task runs, and one digest of them all: changed code is trained again."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from ablation._util.hashing import file_sha256
from ablation.errors import UserError
from ablation.study.custom_code import Code, beside
from ablation.study.tasks import CommandTask, Task

MOST_FILES = 10_000
SKIPPED = ("__pycache__", "node_modules")
CODE = (".py", ".sh", ".yaml", ".yml", ".toml", ".cfg", ".ini")
"""Files that count as code where a command names them; others may be its data, or what it writes."""


def script_of(task: CommandTask) -> str:
    """The script that the command starts: its first word that is a Python file, else the first file."""
    files = _named(task)
    return next((name for name in files if name.endswith(".py")), next(iter(files), ""))


def _named_code(task: CommandTask) -> list[str]:
    """The script that the command starts, and what else it names of scripts and configuration."""
    script = script_of(task)
    return [name for name in _named(task) if name == script or Path(name).suffix in CODE]


def _named(task: CommandTask) -> list[str]:
    """The files that the command names, as words of its own or after an equals sign."""
    words = [word for word in shlex.split(task.command) if not word.startswith("{")]
    parts = [part for word in words for part in (word, word.partition("=")[2])]
    return [part for part in dict.fromkeys(parts) if part and Path(part).suffix and Path(part).is_file()]


def code_digest(task: Task, code: Iterable[Code] = ()) -> str:
    """The SHA-256 of all code files of a task, by their paths as the study names them; empty where it names none.

    `code` is that of its function, the packages beside which belong to it. Hidden files and caches in a folder are
    left out. Raises UserError where a file cannot be read.
    """
    files = code_files(task)
    files += [(path.relative_to(Path(own.file).parent).as_posix(), path) for own in code for path in beside(own)]
    files = sorted(set(files))
    if len(files) > MOST_FILES:
        hint = "name the folders that hold the code only"
        raise UserError(f"task.code has {len(files):,} files; the limit is {MOST_FILES:,}", hint)
    digest = hashlib.sha256()
    for name, file in files:
        try:
            digest.update(f"{name}\0{file_sha256(file)}\n".encode())
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror}", "it is code of the study (task.code)") from None
    return digest.hexdigest() if files else ""


def code_files(task: Task) -> list[tuple[str, Path]]:
    """The files that the study lists as code, and the code that a command names, each with its name in the digest.

    Raises UserError where one is not there.
    """
    named = dict.fromkeys([*task.code, *(_named_code(task) if isinstance(task, CommandTask) else ())])
    return [(name, file) for own in named for name, file in _files(own)]


def _files(name: str) -> Iterator[tuple[str, Path]]:
    """The files that one entry of `code` stands for, each with its name in the digest."""
    path = Path(name)
    if path.is_file():
        yield path.name if path.is_absolute() else path.as_posix(), path
    elif path.is_dir():
        for file in path.rglob("*"):
            inside = file.relative_to(path)
            hidden = any(part.startswith(".") or part in SKIPPED for part in inside.parts)
            if file.is_file() and not hidden:
                yield inside.as_posix(), file
    else:
        raise UserError(f"there is no {name!r}, which is code of the study", "a path is relative to where you start it")
