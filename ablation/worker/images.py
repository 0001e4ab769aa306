"""What a worker that trains image classifiers loads and does: the only way from a worker to torch."""

from __future__ import annotations

from ablation.planning.job import Job
from ablation.storage.record import RunRecord
from ablation.tasks.hooks import Hooks
from ablation.training import device, loop
from ablation.worker.warmup import warm_up, warm_up_once


def set_up(threads: int) -> None:
    """Set the process up for training, and load what torch loads at its first step."""
    device.set_up_process(threads)
    warm_up(threads)


def train(job: Job, hooks: Hooks) -> RunRecord | None:
    """Train a run to its end; None when asked to stop before."""
    warm_up_once(job.device, job.threads)
    return loop.train(job, hooks)
