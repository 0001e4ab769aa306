"""Heartbeats of code that reports nothing while it works: a process that uses the processor does not hang."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ablation._util.process_tree import cpu_seconds

LOOK_SECONDS = 2.0
"""Between two looks at the processor time of a run."""
LEAST_SHARE = 0.05
"""Of a core that a run uses at least while it works; one that waits for something that never comes uses less."""


@contextmanager
def beating(beat: Callable[[], None]) -> Iterator[None]:
    """Call `beat` for as long as this process and those that it has started compute something."""
    ended = threading.Event()

    def watch() -> None:
        used, then = cpu_seconds(os.getpid()), time.monotonic()
        while not ended.wait(LOOK_SECONDS):
            now, before = time.monotonic(), used
            used = cpu_seconds(os.getpid())
            if used - before > LEAST_SHARE * (now - then):
                beat()
            then = now

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
