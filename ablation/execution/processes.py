"""Worker processes on this machine, forked from a server that has imported torch once. No torch is imported here."""

from __future__ import annotations

import math
import multiprocessing
import multiprocessing.process
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from ablation._util.process_tree import descendants, kill_all
from ablation.errors import UserError
from ablation.execution.server import safe_start
from ablation.planning.job import Job
from ablation.worker.entry import serve
from ablation.worker.protocol import Alive, Broken, CannotStart, Preparing

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess

END_SECONDS = 5.0
"""In which a process that was killed must be gone; only the kernel, or a driver, can hold it for longer."""
START_SECONDS = 60.0
"""In which a worker must have started, however short `hang_after` is."""
MOST_STARTS = 2
"""Of one worker: the server that starts it may be killed too."""


@dataclass
class Worker:
    """A worker process, the device that its runs go to, the run that it has, and when it last said something.

    It is `ready` once it has said so; one that is `broken` must be replaced before it gets another run, and one that
    says nothing for `hang_after` seconds of its work (None: ever) hangs.
    """

    process: ForkServerProcess | SpawnProcess
    pipe: Connection
    device: str
    hang_after: float | None = None
    job: Job | None = None
    heard: float = field(default_factory=time.monotonic)
    ready: bool = False
    broken: bool = False

    @classmethod
    def start(
        cls,
        context: ForkServerContext | SpawnContext,
        device: str,
        threads: int,
        hang_after: float | None = None,
        *,
        images: bool = True,
    ) -> Worker:
        """A new worker, for image classifiers or for functions and commands.

        Raises UserError where the system, or the server that forks workers, cannot start one.
        """
        for attempt in range(1, MOST_STARTS + 1):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, threads, images), daemon=images)
            try:
                with safe_start(None if images else threads):
                    process.start()
                return cls(process, ours, device, hang_after)
            except (EOFError, OSError) as error:
                ours.close()
                if attempt == MOST_STARTS:
                    why = "the server that starts them died" if isinstance(error, EOFError) else error
                    raise UserError(f"no worker process can be started: {why}", memory_hint()) from None
            finally:
                theirs.close()
        raise AssertionError

    @property
    def patience(self) -> float | None:
        """Seconds in which it must say something; loading torch may take longer than any step of a run."""
        return self.hang_after if self.ready or not self.hang_after else max(self.hang_after, START_SECONDS)

    @property
    def hangs(self) -> bool:
        """Whether its run has sent no heartbeat for too long."""
        return self.job is not None and time.monotonic() - self.heard > (self.patience or math.inf)

    @property
    def died(self) -> bool:
        """Whether it died at its run while processes that its code has started keep the pipe open."""
        return self.job is not None and self.process.exitcode is not None and not self.pipe.poll()

    def send(self, message: object) -> None:
        """Ask it something; a worker that has died is found when its answer is read."""
        with suppress(OSError):
            self.pipe.send(message)

    def receive(self) -> object:
        """What it says next of its work; None where it says something of itself.

        Raises EOFError or another OSError where it has died, UserError where it says that it cannot start.
        """
        message = self.pipe.recv()
        self.ready, self.heard = True, time.monotonic()
        match message:
            case CannotStart(details):
                raise UserError(f"a worker cannot start: {details.strip().splitlines()[-1]}", memory_hint())
            case Broken():
                self.broken = True
            case Alive():
                pass
            case _:
                return message
        return None

    def answer(self, progress: Callable[[Preparing], None]) -> object:
        """What it answers to a call. Raises TimeoutError where it hangs, and what `receive` raises."""
        while self.pipe.poll(self.patience):
            message = self.receive()
            if isinstance(message, Preparing):
                progress(message)
            elif message is not None:
                return message
        raise TimeoutError

    def kill(self) -> None:
        """End it immediately, with what the code of its runs has started."""
        self.process.join(timeout=0)
        if self.process.exitcode is None:
            started = descendants(self.process.pid or 0) if not self.process.daemon else set()
            self.process.kill()
            kill_all(started)

    def end(self) -> str:
        """Make sure that it is gone, and say what it died of."""
        self.kill()
        self.process.join(timeout=END_SECONDS)
        self.pipe.close()
        code = self.process.exitcode
        if code is None:
            # Otherwise Python would wait for it, without end, when this process exits.
            multiprocessing.process._children.discard(self.process)  # type: ignore[attr-defined]
            return "it cannot be ended: the system or a driver holds it"
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def memory_hint() -> str:
    """What to do where processes end without a word: mostly there is too little memory for them."""
    if sys.platform != "win32":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            return f"this shell allows a process {limit >> 20} MiB of addresses (`ulimit -v`): raise that limit"
    return "is there enough memory? `dmesg` shows whether the system ended it"
