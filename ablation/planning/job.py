"""What a trainer is given: a run, where it goes, and what it may use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ablation.planning.run import Run

if TYPE_CHECKING:
    from ablation.data.arrays import Arrays


@dataclass(frozen=True)
class Job:
    """A run to train: where its folder is, its prepared data or their folder, and on what to train it.

    A run of a function or a command has no `data`.
    """

    run: Run
    folder: Path
    data: Path | Arrays | None
    device: str
    threads: int
    model: str = ""
    """The model of the device where it is known, such as NVIDIA H100."""
    alone: bool = False
    """Whether nothing else may run on its device meanwhile."""

    @property
    def prepared(self) -> Path | Arrays:
        """The data of a run that has some."""
        assert self.data is not None
        return self.data
