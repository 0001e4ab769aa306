"""Runs on a Ray cluster: long-lived actors train in folders of their own; what they save comes back to the store here.

An actor is asked again and again what happened; with the answer come the files that changed. Nodes need share nothing.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ablation._util.files import writing
from ablation._util.formatting import duration
from ablation.data.arrays import Arrays, read_arrays
from ablation.errors import UserError
from ablation.execution.devices import available_cores, check_threads
from ablation.execution.local import LocalPool
from ablation.execution.ray_cluster import connect, count_slots, start_actor
from ablation.planning.job import Job
from ablation.planning.run import Run
from ablation.planning.weights import weights_file
from ablation.storage.store import RunFolder
from ablation.storage.stored_run import Identity, read_run, set_damage_aside
from ablation.storage.sync import contents, write
from ablation.versions import __version__
from ablation.worker.calls import Call, Value
from ablation.worker.protocol import Busy, Done, Ending, Event, Failed, Noticed, Preparing, RemoteEvent, WeightsFile

PATIENCE = 0.1
"""Seconds after which the pool looks up from its actors, and signals are noticed."""
LOOK_SECONDS = 3.0
"""Between two looks at which nodes there are."""
BUSY_SECONDS = 2.0
"""Before a run that another command holds is tried again."""
NODE_SECONDS = 300.0
"""In which some node must have started an actor."""
LEAVE_SECONDS = 3.0
"""In which actors must have tidied up."""
MOST_DEATHS = 3
"""Of actors in a row before any has started."""


@dataclass(eq=False)
class _Actor:
    """`answer` is what it was last asked, None while it is idle; it is `ready` once it has sent its version.

    `heard` is when it last said something of its run.
    """

    handle: Any
    answer: Any
    ready: bool = False
    job: Job | None = None
    lock: FileLock | None = None
    heard: float = field(default_factory=time.monotonic)


class RayPool:
    """Actors on a Ray cluster. A context manager: leaving it ends them.

    One that says nothing for `hang_after` seconds of a run is ended.
    """

    def __init__(
        self, address: str | None, device: str, per_device: int | None, threads: int, hang_after: float = math.inf
    ) -> None:
        if not address:
            check_threads(threads)
        self.threads = threads
        self._hang_after = hang_after
        self._folder = None if address else str(Path.cwd())
        self._queue: deque[Job] = deque()
        self._busy_until: dict[str, float] = {}
        self._actors: list[_Actor] = []
        self._deaths = 0
        self._stopping = False
        self._shared: dict[Path, Any] = {}
        self._looked = self._alive = time.monotonic()
        self._ray = connect(address, max(available_cores(), (per_device or 1) * threads))
        try:
            self._choose(device, per_device)
            self._local: LocalPool | None = LocalPool("cpu", 1, min(threads, available_cores()), hang_after)
        except BaseException:
            self._ray.shutdown()
            raise

    def _choose(self, device: str, per_device: int | None) -> None:
        """What an actor needs, and how many there may be. Raises UserError for a device that the cluster lacks."""
        if device not in ("auto", "cpu", "cuda"):
            raise UserError(f"--device {device} names devices of one machine", "on a cluster, use auto, cpu or cuda")
        on_gpu = {"CPU": float(self.threads), "GPU": 1 / (per_device or 1)}
        gpus = 0 if device == "cpu" else count_slots(self._ray, on_gpu)
        if device == "cuda" and not gpus:
            raise UserError("--device cuda: no node of the cluster has a GPU free to Ray", "`ray status` shows them")
        self._device = "cuda:0" if gpus else "cpu"  # Ray shows an actor no GPU but its own
        self.models: tuple[str, ...] = () if gpus else ("cpu",)
        self.unusable: tuple[str, ...] = ()  # each node says which GPUs it has; only what Ray counts is used
        self._wanted = on_gpu if gpus else {"CPU": float(self.threads)}
        self._most = None if gpus else per_device
        self.places = [self._device] * self._slots()
        if not self.places:
            raise UserError(f"no node of the cluster has {self.threads} CPUs", "fewer --threads, or larger nodes")

    def __enter__(self) -> RayPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all actors immediately."""
        self._close_local()
        ready = [actor.handle.call.remote("leave") for actor in self._actors if actor.ready]
        if ready:
            self._ray.wait(ready, num_returns=len(ready), timeout=LEAVE_SECONDS)
        for actor in list(self._actors):
            self._drop(actor)
        self._ray.shutdown()

    @property
    def local_devices(self) -> tuple[str, ...]:
        """The CPU where runs go to those of the cluster; of a GPU only the actor that has it can say what it can do."""
        return ("cpu",) if self._device == "cpu" else ()

    def call(self, request: Call[Value], progress: Callable[[Preparing], None] = lambda _: None) -> Value:
        """What a function returns in a worker on this machine. Raises UserError where that or the worker fails."""
        assert self._local is not None
        return self._local.call(request, progress)

    def autotune_workers(self, longest: Job, runs: int) -> None:
        """How many actors share a GPU is said by `--per-device`; nothing is probed on a cluster."""

    def submit(self, job: Job) -> None:
        """Queue a run; its device is replaced by that of the actor that takes it."""
        self._queue.append(job)

    def stop(self) -> None:
        """Start no further run, and end those under way after their epoch. Safe to call from a signal handler."""
        self._stopping = True

    def events(self) -> Iterator[Event]:
        """What happens to the submitted runs, until each has ended, or been left in the queue by `stop`."""
        self._close_local()
        while True:
            if self._stopping:
                self._queue.clear()
            yield from self._assign()
            if not self._queue and not any(actor.job for actor in self._actors):
                return
            self._start_actors()
            for actor in self._answered():
                yield from self._take(actor)
            for actor in self._hanging():
                yield from self._end_hanging(actor)

    def _close_local(self) -> None:
        if self._local:
            self._local.close()
            self._local = None

    def _slots(self) -> int:
        slots = count_slots(self._ray, self._wanted)
        return min(slots, self._most or slots)

    def _start_actors(self) -> None:
        """As many actors as there are runs left and places for them; nodes come and go."""
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked = now
            self.places = [self._device] * self._slots()
        runs = len(self._queue) + sum(actor.job is not None for actor in self._actors)
        while len(self._actors) < min(runs, len(self.places)):
            handle = start_actor(self._ray, self._wanted, self.threads, self._folder)
            self._actors.append(_Actor(handle, handle.call.remote("version")))
        if any(actor.ready for actor in self._actors):
            self._alive = now
        elif now - self._alive > NODE_SECONDS:
            what = f"no node of the cluster has started a worker for {NODE_SECONDS / 60:.0f} min"
            raise UserError(what, "`ray status` shows what it has free; the same command resumes from here")

    def _assign(self) -> Iterator[Event]:
        """Give queued runs to idle actors."""
        idle = deque(actor for actor in self._actors if actor.ready and actor.job is None)
        now = time.monotonic()
        for job in list(self._queue):
            if not idle:
                return
            if self._busy_until.get(job.run.key, 0.0) <= now:
                self._queue.remove(job)
                yield from self._begin(idle, job)

    def _begin(self, idle: deque[_Actor], job: Job) -> Iterator[Event]:
        """Lock a run here, where its folder is, and give it to an actor; its end where it has come to one elsewhere."""
        folder = RunFolder(job.folder)
        with writing(folder.path):
            folder.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.path / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._busy_until[job.run.key] = time.monotonic() + BUSY_SECONDS
            yield Busy(job.run)
            return
        stored = read_run(folder, Identity.of(job.run))
        if notice := set_damage_aside(stored):
            yield Noticed(job.run, notice)
        if stored.record:
            lock.release()
            yield Done(job.run, stored.record)
            return
        actor = idle.popleft()
        actor.job, actor.lock, actor.heard = job, lock, time.monotonic()
        sent = replace(job, device=self._device)
        data, weights = self._share(job.data), self._share_weights(job.run)
        actor.answer = actor.handle.call.remote("begin", sent, data, weights, contents(folder))

    def _share(self, data: Path | Arrays | None) -> Any:
        """The reference of a data set, which is put into the object store at its first use; None for none."""
        if not isinstance(data, Path):
            return None
        if data not in self._shared:
            self._shared[data] = self._ray.put(read_arrays(data))
        return self._shared[data]

    def _share_weights(self, run: Run) -> Any:
        """The reference of the weights that a run starts from, None where there are none."""
        if not run.weights:
            return None
        path = weights_file(run.image_recipe.model, run.weights)
        if path not in self._shared:
            import numpy as np

            name = f"{run.weights}.pt" if run.image_recipe.model.checkpoint else path.name
            self._shared[path] = self._ray.put(WeightsFile(name, np.fromfile(path, np.uint8)))
        return self._shared[path]

    def _answered(self) -> list[_Actor]:
        """The actors whose answers are here; it waits for the first of them, but not for long."""
        asked = {actor.answer: actor for actor in self._actors if actor.answer is not None}
        if not asked:
            time.sleep(PATIENCE)
            return []
        first, _ = self._ray.wait(list(asked), timeout=PATIENCE)
        if not first:
            return []
        found, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0)
        return [asked[reference] for reference in found]

    def _take(self, actor: _Actor) -> Iterator[Event]:
        """What an actor answered: its files into the store first, then the word of it."""
        try:
            answer = self._ray.get(actor.answer)
        except self._ray.exceptions.RayTaskError as error:
            if actor.ready:
                raise
            raise _cannot_start(error) from None
        except self._ray.exceptions.RayError as error:
            yield from self._lost(actor, error)
            return
        if not actor.ready:
            self._greet(actor, answer)
            return
        for event in answer:
            actor.heard = time.monotonic()
            yield self._keep(actor, event)
        if any(event.broken for event in answer):
            self._drop(actor)
        elif actor.job:
            actor.answer = actor.handle.call.remote("poll", self._stopping)

    def _greet(self, actor: _Actor, version: str) -> None:
        if version != __version__:
            what = f"a node of the cluster has ablation-lab {version}, this machine {__version__}"
            raise UserError(what, "install the same version on all of them")
        actor.ready, actor.answer, self._deaths = True, None, 0

    def _keep(self, actor: _Actor, remote: RemoteEvent) -> Event:
        assert actor.job is not None
        write(RunFolder(actor.job.folder), remote.files)
        if isinstance(remote.event, Ending):
            self._free(actor)
        return remote.event

    def _free(self, actor: _Actor) -> None:
        if actor.lock:
            actor.lock.release()
        actor.job = actor.lock = actor.answer = None

    def _drop(self, actor: _Actor) -> None:
        self._free(actor)
        self._actors.remove(actor)
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(actor.handle)

    def _hanging(self) -> list[_Actor]:
        now = time.monotonic()
        return [actor for actor in self._actors if actor.job and now - actor.heard > self._hang_after]

    def _end_hanging(self, actor: _Actor) -> Iterator[Event]:
        job = actor.job
        assert job is not None
        self._drop(actor)
        what = f"its worker reported no progress for {duration(self._hang_after)} and was ended (--hang-after)"
        yield Failed(job.run, what, "", "hung")

    def _lost(self, actor: _Actor, error: Exception) -> Iterator[Event]:
        """An actor is gone, with its node or alone: its run goes on elsewhere from what came back."""
        job = actor.job
        self._drop(actor)
        if job:
            yield Failed(job.run, f"its worker on the cluster was lost ({type(error).__name__})", "", "lost")
        elif not actor.ready:
            self._deaths += 1
            if self._deaths == MOST_DEATHS:
                raise _cannot_start(error)


def _cannot_start(error: Exception) -> UserError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "Error" in line.partition(":")[0]]
    hint = "install this version of ablation-lab, with the same Python, on every node: docs/cluster.md"
    return UserError(f"the cluster cannot start a worker: {(named or lines)[-1][:300]}", hint)
