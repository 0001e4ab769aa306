"""Tests of the training code run in this process, on whatever device there is, with one thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ablation.data import sources
from ablation.execution.devices import choose_devices
from ablation.execution.study import plan_study
from ablation.study.schema import Study
from ablation.training import device
from ablation.training.task import Task


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    device.set_up_process(1)


@pytest.fixture(scope="session")
def place() -> torch.device:
    """The first accelerator, or the CPU where there is none."""
    return device.open_device(choose_devices("auto", device.accelerators()[0])[0])


@pytest.fixture
def tasks(tmp_path: Path, place: torch.device) -> Callable[..., list[Task]]:
    """The runs of a study as tasks, with their data prepared."""

    def make(study: Study, folder: str = "runs") -> list[Task]:
        made = []
        for run in plan_study(study).runs:
            data = sources.prepare(run.recipe.data, run.data_fingerprint, tmp_path / "data", lambda *_: None)
            made.append(Task(run, tmp_path / folder / run.folder, data, str(place), 1))
        return made

    return make
