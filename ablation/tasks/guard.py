"""Ends what a command has started when the worker that started it is gone, however that came.

A worker starts this file as a program of its own beside each command, and tells it on its standard input what to end: a
line with the process group, 0 while that is not known, and the run folder in hexadecimal; an empty one once the command
has ended. When the input closes, the last line counts. Only the standard library is imported, so that it starts in a
moment.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

FOLDER = "ABLATE_RUN_DIR"
"""The environment variable by which the processes of a run are known, also those that have left the process group."""


def end_processes(group: int, folder: str) -> None:
    """End a process group (0: none), and on Linux every process whose environment names the run folder."""
    if group:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    ended = {os.getpid()}
    while found := _marked(f"{FOLDER}={folder}") - ended:  # again: one of them may just have started another
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        ended |= found


def _marked(mark: str) -> set[int]:
    """The processes that have `mark` in their environment."""
    wanted, found = os.fsencode(mark), set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it is gone, or another user's
            if wanted in path.read_bytes().split(b"\0"):
                found.add(int(path.parent.name))
    return found


def main() -> None:
    """Wait until the worker is gone, as a process that is none of its children: those are ended with it."""
    if os.fork():
        os._exit(0)
    running = b""
    for line in sys.stdin.buffer:
        running = line.strip()
    if running:
        group, folder = running.split()
        end_processes(int(group), os.fsdecode(bytes.fromhex(folder.decode())))


if __name__ == "__main__":
    main()
