"""The studies that are measured, in one place for both sides: a study file for us, options for the rivals' scripts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from ablation.data import sources
from ablation.execution.study import plan_study
from ablation.planning.plan import Plan
from ablation.study.load import study_of
from ablation.training.data import split


@dataclass(frozen=True)
class Work:
    """One study: networks that differ in their dropout, under several seeds."""

    name: str
    model: str
    data: dict[str, object]
    padding: int
    flip: bool
    epochs: int
    batch_size: int
    dropouts: tuple[float, ...]
    seeds: tuple[int, ...]

    @property
    def runs(self) -> int:
        return len(self.dropouts) * len(self.seeds)

    @property
    def label(self) -> str:
        return f"{self.name}, {self.runs} runs"

    def study(self, precision: str = "fp32") -> str:
        """The text of the study file."""
        first, *others = self.dropouts
        augment: list[object] = [{"name": "crop", "padding": self.padding}, *(["flip"] if self.flip else [])]
        baseline = {
            "data": {**self.data, "augment": augment},
            "model": {"name": self.model, "norm": "batch", "dropout": first},
            "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4},
            "schedule": {"name": "cosine"},
            "train": {"epochs": self.epochs, "batch_size": self.batch_size, "precision": precision},
        }
        seeds = list(self.seeds)
        return yaml.safe_dump(
            {"study": self.model, "baseline": baseline, "seeds": seeds, "vary": {"model.dropout": others}}
        )

    def plan(self, precision: str = "fp32") -> Plan:
        return plan_study(study_of(self.study(precision), Path("study.yaml")))

    def prepare(self, cache: Path) -> tuple[Path, int]:
        """A folder with images.npy (n, height, width, channels) and labels.npy, and how many are held out."""
        data = self.plan().runs[0].recipe.data
        folder = sources.prepare(data, "benchmark", cache, lambda *_: None)
        return folder, len(split(sources.load(folder).labels, data, 0).val)


def noise(train: int, val: int) -> dict[str, object]:
    """Synthetic images of the size of CIFAR's."""
    return {"name": "synthetic", "shape": [3, 32, 32], "samples": train + val, "validation": val / (train + val)}


LENET = Work("LeNet-5, CIFAR-size images", "lenet5", noise(6000, 1000), 4, True, 3, 128, (0.0, 0.2, 0.3, 0.5), (0, 1))
RESNET = Work("ResNet-9, CIFAR-size images", "resnet9", noise(500, 100), 4, True, 2, 64, (0.0, 0.2), (0, 1))
DIGITS = Work(
    "LeNet-5 on 8x8 digits",
    "lenet5",
    {"name": "digits", "validation": 0.2},
    padding=1,
    flip=False,
    epochs=10,
    batch_size=32,
    dropouts=(0.0, 0.2, 0.3, 0.5),
    seeds=(0, 1, 2),
)


def shortened(work: Work) -> Work:
    """A few images and two runs, to see that everything works."""
    small = replace(work, epochs=1, dropouts=work.dropouts[:2], seeds=(0,))
    return small if work is DIGITS else replace(small, data=noise(100, 50))
