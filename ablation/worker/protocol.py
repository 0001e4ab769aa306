"""What the parent and its workers say to each other. Plain values that pickle; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ablation.planning.job import Job
from ablation.planning.run import Run
from ablation.storage.record import EpochRow, RunRecord

# What a worker is asked.


@dataclass(frozen=True)
class Evaluate(Job):
    """A finished run to evaluate on the test part, which is prepared in the folder `data`."""


@dataclass(frozen=True)
class Stop:
    """Asks a worker to end its run after the epoch under way."""


# What a worker says of itself.


@dataclass(frozen=True)
class CannotStart:
    """A worker has loaded too little to work, and ends: the traceback."""

    details: str


@dataclass(frozen=True)
class Alive:
    """A heartbeat: a worker has started, or gets on with what it was asked."""


@dataclass(frozen=True)
class Broken:
    """A worker's process can do no more on its device: what it answers next is its last answer."""

    reason: str


# What a worker answers outside a run.


@dataclass(frozen=True)
class Preparing:
    """Images are being decoded: what, how many so far, and of how many; or a `notice`, a line to be shown."""

    what: str
    done: int
    total: int
    notice: str = ""


@dataclass(frozen=True)
class Warm:
    """A worker has warmed up for a probe, and waits for `Go`: until all that take part have."""


@dataclass(frozen=True)
class Go:
    """Asks a worker that has warmed up to measure now."""


# What is reported about a run.


@dataclass(frozen=True)
class Started:
    """A worker has begun, or gone on with, a run."""

    run: Run
    device: str


@dataclass(frozen=True)
class Stepped:
    """Steps done of the epoch under way, and its speed in images/s."""

    run: Run
    epoch: int
    step: int
    steps: int
    speed: float


@dataclass(frozen=True)
class Noticed:
    """Something about a run that its user should know of."""

    run: Run
    message: str


@dataclass(frozen=True)
class EpochDone:
    """An epoch is trained, evaluated and saved; `epochs` is how many the run will have."""

    run: Run
    row: EpochRow
    epochs: int


@dataclass(frozen=True)
class Done:
    """A run is finished, or has diverged, which is a result too."""

    run: Run
    record: RunRecord


FailureKind = Literal["error", "lost", "hung", "memory", "storage"]
"""An exception; a worker that died, or made no progress for too long; no memory; results that cannot be written."""


@dataclass(frozen=True)
class Failed:
    """A run came to no end: `details` is the traceback where there is one."""

    run: Run
    message: str
    details: str
    kind: FailureKind = "error"


@dataclass(frozen=True)
class Stopped:
    """A run was asked to stop, and has; `resumes` says whether it goes on from there, or starts again."""

    run: Run
    resumes: bool = True


@dataclass(frozen=True)
class Busy:
    """Another process is training this very run."""

    run: Run


@dataclass(frozen=True)
class Evaluated:
    """What came of a run on the test part; it is not on disk yet.

    `arrays` are index, label, predicted, confidence and true_probability, each (images,).
    """

    run: Run
    loss: float
    accuracy: float
    arrays: Mapping[str, Any]


Ending = Done | Failed | Stopped | Busy | Evaluated
Event = Started | Stepped | EpochDone | Noticed | Ending


# What passes between machines that share no folder.


@dataclass(frozen=True, eq=False)
class WeightsFile:
    """A file of weights to start from: its name in the hub's folder, and its content as uint8 (bytes,)."""

    name: str
    content: Any


@dataclass(frozen=True)
class RemoteEvent:
    """An event from a machine with a run folder of its own: `files` are those that changed there, in their order."""

    event: Event
    files: Mapping[str, bytes]
    broken: bool = False
    """Whether the process that says so can train no other run."""
