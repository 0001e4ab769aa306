"""Where a worker process begins. A module of its own, so that the parent can name it without importing torch."""

from __future__ import annotations

from multiprocessing.connection import Connection


def serve(pipe: Connection, threads: int) -> None:
    """Run a worker at the other end of `pipe`."""
    from ablation.train import worker

    worker.serve(pipe, threads)
