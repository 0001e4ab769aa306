"""How a study is executed: what the command line and the library both fill in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ablation.errors import UserError
from ablation.study.schema import LogTarget

if TYPE_CHECKING:
    from ablation.execution.cluster import RayPool
    from ablation.execution.in_process import InProcess
    from ablation.execution.local import LocalPool, TaskCode


@dataclass(frozen=True)
class WorkerOptions:
    """Where to train: devices, workers per device (None: automatic), CPU threads per worker, and the backend.

    A worker that reports no progress for `hang_after` seconds is ended. `address` is that of a Ray cluster.
    """

    device: str = "auto"
    per_device: int | None = None
    threads: int = 1
    hang_after: float = 30 * 60.0
    backend: Literal["local", "ray"] = "local"
    address: str | None = None
    in_process: bool = False
    """Train in this very process, one run after another, as a debugger needs it."""

    def open_pool(
        self, trained_on: Collection[str] = (), code: TaskCode | None = None
    ) -> LocalPool | RayPool | InProcess:
        """The workers; `trained_on` are the models of the devices of finished runs. Raises UserError.

        `code` says what a function or a command needs; None for image classifiers.
        """
        if self.in_process:
            if code is None:
                what = "--workers 0 is for studies of a function or a command"
                raise UserError(what, "leave it out: image classifiers are trained by workers")
            if self.backend != "local":
                raise UserError("--workers 0 and --backend ray exclude each other", "leave one of them out")
            from ablation.execution.in_process import InProcess

            return InProcess(self.device, self.threads)
        if self.backend == "ray":
            from ablation.execution.cluster import RayPool

            return RayPool(self.address, self.device, self.per_device, self.threads, self.hang_after)
        if self.address:
            raise UserError("--address names a Ray cluster", "add --backend ray")
        from ablation.execution.local import LocalPool

        return LocalPool(self.device, self.per_device, self.threads, self.hang_after, trained_on, code)


@dataclass(frozen=True)
class RunOptions:
    """What to train: `only` these variants, on changed data (`new_data`), runs that failed too often (`retry_failed`).

    `log` names what runs are logged to (None: what the study file says). `command` is what reproduces the results, as
    the report shows it.
    """

    workers: WorkerOptions = WorkerOptions()
    only: tuple[str, ...] = ()
    new_data: bool = False
    retry_failed: bool = False
    command: str = ""
    log: tuple[LogTarget, ...] | None = None


@dataclass(frozen=True)
class EvaluationOptions:
    """How to evaluate on the test set: without unfinished runs (`partial`), or once more (`again`)."""

    workers: WorkerOptions = WorkerOptions()
    partial: bool = False
    again: bool = False
    command: str = ""
