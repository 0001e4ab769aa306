"""A worker's side of the pipe to its parent. Imports no torch."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablation.worker.protocol import Alive, Preparing, Warm

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

BEAT_SECONDS = 0.25
"""Between two heartbeats."""
WATCH_SECONDS = 1.0
"""Between two looks at how far a download is."""


class Channel:
    """The pipe to the parent; heartbeats may be sent from any thread."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self._said = time.monotonic()
        self._prepared = -math.inf

    def send(self, message: object) -> None:
        with self._lock:
            self._pipe.send(message)
            self._said = time.monotonic()

    def beat(self) -> None:
        """Say that the work goes on, unless something was said a moment ago."""
        if time.monotonic() - self._said > BEAT_SECONDS:
            self.send(Alive())

    def receive(self) -> Any:
        return self._pipe.recv()

    def waiting(self) -> bool:
        """Whether the parent has said something."""
        return self._pipe.poll()

    def preparing(self, what: str, done: int, total: int) -> None:
        """Report progress, unless that was done a moment ago."""
        if time.monotonic() - self._prepared > BEAT_SECONDS:
            self._prepared = time.monotonic()
            self.send(Preparing(what, done, total))

    def notice(self, line: str) -> None:
        """Have a line shown to the user."""
        self.send(Preparing("", 0, 0, line))

    def wait_for_others(self) -> None:
        """Wait until all workers that measure together have come to this point."""
        self.send(Warm())
        self.receive()  # Go

    @contextmanager
    def watching(self, folder: Path | None) -> Iterator[None]:
        """Send heartbeats for as long as the files in `folder` grow: a slow download is no hanging one."""
        if folder is None:
            yield
            return
        ended = threading.Event()

        def watch() -> None:
            before = _size(folder)
            while not ended.wait(WATCH_SECONDS):
                now = _size(folder)
                if now != before:
                    before = now
                    self.beat()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()


def _size(folder: Path) -> int:
    """Bytes of the files in a folder; -1 where it is not there, or changes while it is looked at."""
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except OSError:
        return -1
