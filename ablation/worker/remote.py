"""Training for a driver on another machine: a run's folder is made here, and what changes in it is sent as it comes."""

from __future__ import annotations

import os
import queue
import shutil
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ablation._util import files
from ablation.data.arrays import Arrays
from ablation.planning.job import Job
from ablation.planning.weights import hub_folder
from ablation.storage.store import RunFolder
from ablation.storage.sync import Mirror, write
from ablation.tasks.hooks import Hooks
from ablation.training import device
from ablation.versions import __version__
from ablation.worker.protocol import Ending, EpochDone, Event, Noticed, RemoteEvent, Stepped, WeightsFile
from ablation.worker.warmup import warm_up
from ablation.worker.worker import ending_of, until_end

LEAD = 2
"""Events that may wait for the driver to ask; then training waits too, so that little is lost with a machine."""
PATIENCE = 1.0
"""Seconds that a call waits for an event."""


class Trainer:
    """Trains one run at a time, in a thread that was set up as a worker process is; the calls here return soon."""

    def __init__(self, threads: int) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="ablation-"))
        os.environ["TORCH_HOME"] = str(self._home / "torch")
        self._events: queue.Queue[RemoteEvent] = queue.Queue(maxsize=LEAD)
        self._stopping = threading.Event()
        self._thread = ThreadPoolExecutor(1)
        self._thread.submit(_set_up, threads).result()

    def version(self) -> str:
        """That of the package on this machine."""
        return __version__

    def begin(
        self, job: Job, data: Arrays | None, weights: WeightsFile | None, files: Mapping[str, bytes]
    ) -> list[RemoteEvent]:
        """Train a run, from the files of its folder where there are any."""
        self._stopping.clear()
        job = replace(job, folder=self._home / job.run.folder, data=data)
        self._training = self._thread.submit(self._train, job, weights, files)
        return []

    def poll(self, stop: bool) -> list[RemoteEvent]:
        """What happened since the last call, soon after it happens; `stop` asks to end the run after its epoch."""
        if stop:
            self._stopping.set()
        events: list[RemoteEvent] = []
        with suppress(queue.Empty):
            events.append(self._events.get(timeout=PATIENCE))
            while True:
                events.append(self._events.get_nowait())
        if not events and self._training.done():
            self._training.result()  # a run that ended without a word has raised
        return events

    def leave(self) -> None:
        """Remove what was written on this machine."""
        shutil.rmtree(self._home, ignore_errors=True)

    def _train(self, job: Job, weights: WeightsFile | None, files: Mapping[str, bytes]) -> None:
        folder = RunFolder(job.folder)
        mirror = Mirror(folder)

        def report(event: Event) -> None:
            self._events.put(RemoteEvent(event, mirror.changes()))

        def on_step(epoch: int, step: int, steps: int, speed: float) -> None:
            with suppress(queue.Full):  # the next one says more
                self._events.put_nowait(RemoteEvent(Stepped(job.run, epoch, step, steps, speed), {}))

        def work() -> Ending:
            folder.path.mkdir(parents=True, exist_ok=True)
            write(folder, files)
            mirror.changes()
            if weights:
                _keep(weights)
            hooks = Hooks(
                on_epoch=lambda row, epochs: report(EpochDone(job.run, row, epochs)),
                on_step=on_step,
                should_stop=self._stopping.is_set,
                on_notice=lambda message: report(Noticed(job.run, message)),
            )
            return until_end(replace(job, model=device.describe(job.device)[0]), report, hooks)

        ending, reason = ending_of(job.run, work)
        self._events.put(RemoteEvent(ending, mirror.changes(), broken=bool(reason)))
        shutil.rmtree(folder.path, ignore_errors=True)


def _set_up(threads: int) -> None:
    device.set_up_process(threads)
    warm_up(threads)


def _keep(weights: WeightsFile) -> None:
    path = hub_folder() / weights.name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, lambda file: file.write(memoryview(weights.content)))
