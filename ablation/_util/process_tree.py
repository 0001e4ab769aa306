"""Which processes are below another, as far as /proc tells."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> set[int]:
    """The processes that `pid` and its children have started and that are still below it; none without /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found: set[int] = set()
    more = {pid}
    while more:
        more = {child for parent in more for child in children.get(parent, ())} - found
        found |= more
    return found


def cpu_seconds(pid: int) -> float:
    """The processor time that `pid` and the processes below it have used so far; of `pid` alone without /proc."""
    ticks = 0
    for each in {pid, *descendants(pid)}:
        with suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text(errors="replace").rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # its own, and of children that have ended
    return ticks / os.sysconf("SC_CLK_TCK") if ticks else time.process_time()


def kill_all(pids: set[int]) -> None:
    """Kill processes immediately; those that are gone already are left out."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
