"""What a trainer is given. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ablation.data.arrays import Arrays
from ablation.planning.plan import Run


@dataclass(frozen=True)
class Task:
    """A run to train: where its folder is, its prepared data or their folder, and on what to train it."""

    run: Run
    folder: Path
    data: Path | Arrays
    device: str
    threads: int
    alone: bool = False
    """Whether nothing else may run on its device meanwhile."""
