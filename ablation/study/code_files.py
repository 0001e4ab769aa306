"""The files of the code that a task runs, and one digest of them all: changed code is trained again."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from ablation._util.hashing import file_sha256
from ablation.errors import UserError
from ablation.study.tasks import CommandTask, Task

MOST_FILES = 10_000
SKIPPED = ("__pycache__", "node_modules")


def script_of(task: CommandTask) -> str:
    """The first word of the command that is a file, such as train.py; empty where there is none."""
    words = [word for word in shlex.split(task.command) if not word.startswith(("-", "{"))]
    return next((word for word in words if Path(word).is_file() and Path(word).suffix), "")


def code_digest(task: Task, packages: Sequence[Path] = ()) -> str:
    """The SHA-256 of all code files of a task, by their paths as the study names them; empty where it names none.

    `packages` are folders whose Python files belong to them. Hidden files and caches in a
    folder are left out. Raises UserError where a file cannot be read.
    """
    files = code_files(task)
    files += [
        (f"{own.name}/{file.relative_to(own).as_posix()}", file) for own in packages for file in own.rglob("*.py")
    ]
    files = sorted(files)
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
    """The files that the study lists as code, and the script of a command, each with its name in the digest.

    Raises UserError where one is not there.
    """
    named = list(task.code)
    if isinstance(task, CommandTask) and (script := script_of(task)) and script not in named:
        named.append(script)
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
