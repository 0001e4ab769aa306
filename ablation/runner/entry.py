"""Where a worker process, or an actor, begins. A module of its own, so that it can be named without importing torch."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Any


def serve(pipe: Connection, threads: int) -> None:
    """Run a worker at the other end of `pipe`."""
    from ablation.train import worker

    worker.serve(pipe, threads)


class Remote:
    """What a Ray actor is: a `Trainer`, imported where it runs."""

    def __init__(self, threads: int) -> None:
        from ablation.train.remote import Trainer

        self._trainer = Trainer(threads)

    def call(self, method: str, *arguments: Any) -> Any:
        """The answer of one of the trainer's methods."""
        return getattr(self._trainer, method)(*arguments)
