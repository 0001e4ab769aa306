"""Worker processes on this machine, forked from a server that has imported torch once. No torch is imported here."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from ablation.protocol import Task
from ablation.runner.entry import serve

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess


def worker_context() -> ForkServerContext | SpawnContext:
    """Where workers come from: a fork server, which makes a new one cheap, or fresh processes where it cannot fork."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ablation.runner.shield", "ablation.train.worker"])
    return context


@dataclass
class Worker:
    """A worker process, the device that its runs go to, the run that it has, and when it last said something."""

    process: ForkServerProcess | SpawnProcess
    pipe: Connection
    device: str
    task: Task | None = None
    heard: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, context: ForkServerContext | SpawnContext, device: str, threads: int) -> Worker:
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, threads), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours, device)

    def end(self) -> str:
        """Make sure that it is gone, and say what it died of."""
        self.process.join(timeout=0)
        if self.process.exitcode is None:
            self.process.kill()
        self.process.join()
        self.pipe.close()
        code = self.process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
