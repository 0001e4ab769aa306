"""The studies and the custom model that the checks run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

NET = """\
import os
from pathlib import Path
import torch
from torch import nn

HERE = Path({folder!r})

def once():
    "Whether no process has called this before."
    try:
        (HERE / "once").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True

def identity(device):
    "The UUID of a GPU; the name of another device."
    return str(torch.cuda.get_device_properties(device).uuid) if device.type == "cuda" else str(device)

class Net(nn.Module):
    def __init__(self, classes, in_channels):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(in_channels, 16, 3, padding=1), nn.ReLU(), nn.Flatten(),
                                    nn.LazyLinear(classes))

    def forward(self, x):
        if self.training:
            with (HERE / "used").open("a") as file:
                file.write(f"{{os.getpid()}} {{identity(x.device)}}\\n")
            {fault}
        return self.layers(x)
"""


TRAIN = """\
import argparse
import os
import torch
from torch import nn

def fit(lr, seed, device, epochs=range(12), saved=None, keep=None):
    "Fit a line to noise: a row of metrics for each epoch."
    device = device if torch.cuda.is_available() else "cpu"  # which plays the GPU in a dry run
    torch.manual_seed(seed)
    x = torch.randn(256, 8).to(device)
    y = x @ torch.ones(8, 1, device=device)
    model = nn.Linear(8, 1).to(device)
    if saved:
        model.load_state_dict(saved)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in epochs:
        for _ in range(200):
            optimizer.zero_grad()
            loss = (model(x) - y).square().mean()
            loss.backward()
            optimizer.step()
        row = {"val_loss": loss.item(), "gpus": torch.cuda.device_count()}
        assert model.weight.device == torch.device(device)
        if keep:
            keep(row, model.state_dict())
    return row

def main(options, run):
    def keep(row, state):
        run.log(**row)
        run.save(state)
    fit(options["lr"], run.seed, run.device, run.epochs(12), run.resume(), keep)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    for key, value in fit(options.lr, options.seed, os.environ["ABLATE_DEVICE"]).items():
        print(f"{key}: {value}")
"""


def write_study(place: Path, baseline: dict[str, Any], *, seeds: int = 1, **more: Any) -> None:
    """`study.yaml` of a baseline, whose parts replace the usual ones, and what else a study file may have."""
    usual = {
        "data": {
            "name": "synthetic",
            "shape": [3, 32, 32],
            "samples": 600,
            "validation": 0.2,
            "augment": ["crop", "flip"],
        },
        "model": {"name": "lenet5", "norm": "batch", "dropout": 0.1},
        "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9},
        "train": {"epochs": 3, "batch_size": 64},
    }
    study = {"study": "check", "baseline": {**usual, **baseline}, "seeds": list(range(seeds)), **more}
    (place / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")


def write_custom(place: Path, fault: str, *, seeds: int) -> None:
    """A study of a custom model that writes which process computes on which GPU, and does `fault` in each step."""
    (place / "mine.py").write_text(NET.format(folder=str(place), fault=fault), encoding="utf-8")
    write_study(place, {"model": {"name": "mine:Net"}}, seeds=seeds)


def write_task(place: Path, kind: str, *, seeds: int) -> None:
    """A study of `train.py`, as a function or as a command: 2 learning rates under `seeds` seeds."""
    (place / "train.py").write_text(TRAIN, encoding="utf-8")
    task = {"function": "train:main"} if kind == "function" else {"command": "python train.py {args}", "seed": "--seed"}
    study = {
        "study": kind,
        "task": task,
        "metrics": {"val_loss": {"direction": "lower"}, "gpus": {"direction": "lower"}},
        "baseline": {"lr": 0.01},
        "seeds": list(range(seeds)),
        "vary": {"lr": [0.02]},
    }
    (place / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")


def used(place: Path) -> dict[int, set[str]]:
    """Process -> the GPUs on which the custom model has computed there."""
    found: dict[int, set[str]] = {}
    for line in (place / "used").read_text().splitlines():
        process, gpu = line.split(maxsplit=1)
        found.setdefault(int(process), set()).add(gpu)
    return found
