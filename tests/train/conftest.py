"""Tests of the training code run in this process, on whatever device there is, with one thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ablation.data import sources
from ablation.execution.devices import choose_devices
from ablation.execution.study import plan_study
from ablation.planning.job import Job
from ablation.study.load import load_study
from ablation.study.schema import Study
from ablation.training import device


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    device.set_up_process(1)


@pytest.fixture(scope="session")
def place() -> torch.device:
    """The first accelerator, or the CPU where there is none."""
    return device.open_device(choose_devices("auto", device.accelerators()[0])[0])


@pytest.fixture
def study(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Study]:
    """The study file `STUDY` of the module of a test, with overrides of the baseline and more lines."""

    def make(*overrides: str, more: str = "") -> Study:
        path = tmp_path / "study.yaml"
        path.write_text(request.module.STUDY + more)
        return load_study(path, overrides=overrides)

    return make


@pytest.fixture
def jobs(tmp_path: Path, place: torch.device) -> Callable[..., list[Job]]:
    """The runs of a study as jobs, with their data prepared."""

    def make(study: Study, folder: str = "runs") -> list[Job]:
        made = []
        for run in plan_study(study).runs:
            data = sources.prepare(run.recipe.data, run.data_fingerprint, tmp_path / "data", lambda *_: None)
            made.append(Job(run, tmp_path / folder / run.folder, data, str(place), 1))
        return made

    return make
