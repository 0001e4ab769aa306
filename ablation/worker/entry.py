"""Where a worker process, or an actor, begins. A module of its own, so that it can be named without importing torch."""

from __future__ import annotations

import os
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from ablation.worker.protocol import CannotStart


def serve(pipe: Connection, threads: int, images: bool) -> None:
    """Run a worker at the other end of `pipe`; where torch cannot be loaded or used, its last word says why."""
    server = sys.modules.get("ablation.execution.preload_torch")
    if failure := getattr(server, "failure", ""):  # a second import of half a library would fail in another way
        pipe.send(CannotStart(failure))
        return
    try:
        from ablation.worker import worker

        worker.set_up(threads, images=images)
    except Exception:
        pipe.send(CannotStart(traceback.format_exc()))
        return
    worker.serve(pipe)


class Remote:
    """What a Ray actor is: a `Trainer`, imported where it runs; `folder` is its working folder where one is given."""

    def __init__(self, threads: int, folder: str | None = None) -> None:
        from ablation.worker.remote import Trainer

        if folder:
            os.chdir(folder)
        self._trainer = Trainer(threads)

    def call(self, method: str, *arguments: Any) -> Any:
        """The answer of one of the trainer's methods."""
        return getattr(self._trainer, method)(*arguments)
