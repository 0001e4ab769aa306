"""When checkpoints are saved: after every epoch, unless that would take much of the time of short epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ablation.training.evaluation import Evaluation

MOST_SAVING = 0.1
"""Share of the time that saving may take. On a GPU, saving a large network can take longer than its epoch."""
CHEAP = 0.02
"""A save that takes fewer seconds is never skipped."""


@dataclass
class Saving:
    """What the next save writes, and how long saves have taken in this process."""

    result: Evaluation | None = None
    """Of the last epoch; None once it is saved."""
    best: dict[str, Any] | None = None
    """The best checkpoint, where the one on the disk is older."""
    fastest: float = 0.0
    """Seconds of the fastest save; 0 before the first."""
    ended: float = -math.inf
    """When the last save ended, on the monotonic clock."""

    def due(self) -> bool:
        """Whether the checkpoints are saved after this epoch."""
        return self.fastest < CHEAP or self.fastest < MOST_SAVING * (time.monotonic() - self.ended)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measure a save."""
        start = time.monotonic()
        yield
        self.ended = time.monotonic()
        self.fastest = min(self.fastest or math.inf, self.ended - start)
