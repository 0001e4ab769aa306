"""Whether a process holds a file lock, without taking it."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.platform == "win32":
    from filelock import FileLock, Timeout

    def is_locked(lock: Path) -> bool:
        """Whether another process holds the lock; False where there is no such file."""
        if not lock.exists():
            return False
        try:
            with FileLock(lock, timeout=0):
                return False
        except Timeout:
            return True

else:
    import fcntl

    def is_locked(lock: Path) -> bool:
        """Whether another process holds the lock; False where there is no such file.

        A shared lock is tried and released: nothing is written, and a process that asks for the lock then retries.
        """
        try:
            with lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False
