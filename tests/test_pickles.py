"""Files in the results folder that would run code if they were believed: none does, and the user is told."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import ABLATE, TINY

CANARY = "canary"


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def study(trained: Path, tmp_path: Path) -> Path:
    """The tiny study, trained, in a folder that may be spoilt."""
    return Path(shutil.copytree(trained, tmp_path / "study"))


def call(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {**os.environ, "COLUMNS": "300", "NO_COLOR": "1", **environment}
    command = [*ABLATE, *arguments]
    result = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in result.stderr
    assert not (folder / CANARY).exists()
    return result


def as_pickle(path: Path, bait: Touch) -> None:
    path.write_bytes(pickle.dumps(bait))


def as_torch(path: Path, bait: Touch) -> None:
    torch.save({"schema_version": 1, "epoch": 3, "model": bait}, path)


def as_array(path: Path, bait: Touch) -> None:
    with path.open("wb") as file:
        np.save(file, np.array([bait], dtype=object), allow_pickle=True)


def as_arrays(path: Path, bait: Touch) -> None:
    names = ("index", "label", "predicted", "confidence", "true_probability")
    with path.open("wb") as file:
        np.savez(file, **dict.fromkeys(names, np.array([bait], dtype=object)))  # type: ignore[arg-type]


def runs(study: Path) -> list[Path]:
    return sorted((study / "results" / "runs").iterdir())


def test_the_bait_works(tmp_path: Path) -> None:
    as_torch(tmp_path / "x.pt", Touch(tmp_path / "torch"))
    torch.load(tmp_path / "x.pt", weights_only=False)
    as_array(tmp_path / "x.npy", Touch(tmp_path / "numpy"))
    np.load(tmp_path / "x.npy", allow_pickle=True)
    assert (tmp_path / "torch").exists()
    assert (tmp_path / "numpy").exists()


@pytest.mark.slow
@pytest.mark.parametrize("write", [as_pickle, as_torch])
def test_a_last_checkpoint_that_would_run_code_is_set_aside_and_the_run_trained_anew(
    write: Callable[[Path, Touch], None], study: Path
) -> None:
    folder = runs(study)[0]
    weights = json.loads((folder / "run.json").read_text(encoding="utf-8"))["weights_sha256"]
    (folder / "run.json").unlink()
    for name in ("last.pt", "best.pt"):
        (folder / name).unlink()
        write(folder / name, Touch(study / CANARY))
    assert call(study, "run", "tiny.yaml", "--device", "cpu").returncode == 0
    assert (folder / "last.pt.unreadable").exists()
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["weights_sha256"] == weights


@pytest.mark.parametrize("write", [as_pickle, as_torch])
def test_a_best_checkpoint_that_would_run_code_is_not_tested(write: Callable[[Path, Touch], None], study: Path) -> None:
    path = runs(study)[0] / "best.pt"
    path.unlink()
    write(path, Touch(study / CANARY))
    result = call(study, "test", "tiny", "--device", "cpu")
    assert result.returncode == 1
    assert "1 of them damaged" in result.stderr
    assert "best.pt has changed since the run ended" in result.stderr


@pytest.mark.parametrize("write", [as_pickle, as_array, as_arrays])
def test_predictions_that_would_run_code_are_left_out_of_the_report(
    write: Callable[[Path, Touch], None], study: Path
) -> None:
    for folder in runs(study):
        write(folder / "predictions.npz", Touch(study / CANARY))
    assert call(study, "report").returncode == 0
    assert not (study / "reports" / "tiny" / "classes.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize("write", [as_pickle, as_array])
@pytest.mark.parametrize("name", ["images.npy", "labels.npy"])
def test_images_that_would_run_code_are_not_trained_on(
    name: str, write: Callable[[Path, Touch], None], study: Path
) -> None:
    (data,) = (study / "results" / "data").iterdir()
    write(data / name, Touch(study / CANARY))
    result = call(study, "run", "tiny.yaml", "--set", "train.epochs=1", "--only", "baseline", "--device", "cpu")
    assert result.returncode == 0
    assert f"was damaged ({name} has" in result.stdout
    assert data.with_name(f"{data.name}.unreadable").is_dir()
    assert call(study, "report").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("write", [as_pickle, as_torch])
def test_weights_that_would_run_code_are_refused(write: Callable[[Path, Touch], None], tmp_path: Path) -> None:
    write(tmp_path / "evil.pt", Touch(tmp_path / CANARY))
    (tmp_path / "s.yaml").write_text(TINY.replace("dropout: 0.1", "dropout: 0.1, weights: evil.pt"), encoding="utf-8")
    result = call(tmp_path, "run", "s.yaml", "--device", "cpu")
    assert result.returncode == 1
    assert "evil.pt is no checkpoint" in result.stderr


@pytest.mark.slow
def test_downloaded_weights_that_would_run_code_are_refused(tmp_path: Path) -> None:
    hub = tmp_path / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    as_torch(hub / "resnet18-f37072fd.pth", Touch(tmp_path / CANARY))
    model = "{name: 'torchvision:resnet18', weights: DEFAULT, input_size: 32}"
    text = TINY.replace("{name: lenet5, norm: batch, dropout: 0.1, hidden: [16]}", model).partition("vary:")[0]
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    result = call(tmp_path, "run", "s.yaml", "--device", "cpu", TORCH_HOME=str(tmp_path))
    assert result.returncode == 1
    assert "resnet18-f37072fd.pth cannot be read" in result.stderr
