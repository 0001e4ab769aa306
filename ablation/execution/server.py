"""The server that worker processes are forked from. It loads next to nothing here, so that it can start early."""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import ablation.safe_path as safe_path
from ablation._util.threads import THREAD_LIMITS
from ablation.errors import UserError

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

SHORT_FOLDERS = ("/tmp", "/var/tmp")
LONGEST_FOLDER = 70
"""Bytes of a folder in which multiprocessing can still make a Unix socket (its address has 104 or 108 in all)."""
_MOST_BYTES = 2**20
"""Of a study file that is looked into before it is read."""


def worker_context(*, torch: bool = True) -> ForkServerContext | SpawnContext:
    """Where workers come from: a fork server, which makes a new one cheap, or fresh processes where it cannot fork.

    The server imports `torch` once for all of them, unless their runs do without. A process has one server: the first.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    preload = "ablation.execution.preload_torch" if torch else "ablation.execution.preload_worker"
    context.set_forkserver_preload(["ablation.execution.ignore_signals", preload])
    return context


@contextmanager
def safe_start(threads: int | None = None) -> Iterator[None]:
    """Within it, processes start that import nothing from the working folder, nor the script of the process here.

    The libraries of linear algebra that they load use so many `threads`, where that is given.
    That holds for Python's own helpers too: the fork server and the resource tracker. Sockets are made in a folder
    whose name is short enough for them. Raises UserError where there is none.
    """
    wanted = safe_path.environment()
    if threads is not None:
        wanted |= dict.fromkeys(THREAD_LIMITS, str(threads))
    before = {name: os.environ.get(name) for name in wanted}
    main, path, folder = sys.modules["__main__"], sys.path, tempfile.tempdir
    sys.path = safe_path.clean(path)
    sys.modules["__main__"] = ModuleType("__main__")
    os.environ.update(wanted)
    try:
        tempfile.tempdir = short_folder()
        yield
    finally:
        sys.modules["__main__"], sys.path, tempfile.tempdir = main, path, folder
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def short_folder(longest: int = LONGEST_FOLDER) -> str:
    """The folder for temporary files, or another where its name has more than `longest` bytes: too many for a socket.

    Raises UserError where none can be written to.
    """
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError as error:
        raise UserError(str(error), "set TMPDIR to a folder that you can write to") from None
    if len(os.fsencode(folder)) <= longest:
        return folder
    for short in SHORT_FOLDERS:
        if os.access(short, os.W_OK | os.X_OK):
            return short
    hint = "set TMPDIR to a folder that you can write to, with a shorter name"
    raise UserError(f"the name of TMPDIR is too long for a socket ({longest} bytes at most): {folder}", hint)


def start_early(study: Path, threads: int) -> None:
    """Start the server of a study whose code certainly does without torch, while the study is still being read.

    That is a command, or a function where no file beside the study speaks of torch; any other study has it started
    with the first worker. What is wrong with the file is said by what reads it.
    """
    if not study.is_file() or study.stat().st_size > _MOST_BYTES:
        return
    text = study.read_bytes()
    if not re.search(rb"^task:", text, re.MULTILINE):
        return
    function = b"function:" in text
    if function and any(b"torch" in file.read_bytes() for file in study.parent.glob("*.py")):
        return
    if not isinstance(worker_context(torch=False), multiprocessing.context.SpawnContext):
        with safe_start(threads):
            forkserver.ensure_running()
