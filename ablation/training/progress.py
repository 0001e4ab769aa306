"""How far a run is: what it reports while it trains, what it carries from epoch to epoch, whether it can go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from ablation.errors import UnreadableError
from ablation.storage.store import RunFolder
from ablation.training import checkpoint

TICK = 0.25
"""Seconds between two heartbeats inside an epoch."""

T = TypeVar("T")


def ticking(batches: Iterable[T], report: Callable[[int], None]) -> Iterator[T]:
    """The batches as they come; every TICK seconds, `report` is called with how many are done."""
    last = time.perf_counter()
    for number, batch in enumerate(batches, start=1):
        yield batch
        now = time.perf_counter()
        if now - last > TICK:
            last = now
            report(number)


@dataclass
class Progress:
    """What a run carries from epoch to epoch besides its weights; it is saved with every checkpoint."""

    epoch: int = 0
    best_epoch: int | None = None
    best_accuracy: float = -1.0
    train_seconds: float = 0.0
    resumed: int = 0
    diverged: bool = False
    val_losses: list[float] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    """Device, threads and version of torch that epochs were trained with, each once and in their order."""
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def integrity_error(saved: dict[str, Any], folder: RunFolder, key: str) -> str:
    """Why the run `key` cannot go on from the last checkpoint `saved`; empty where it can."""
    epoch, best = saved["progress"]["epoch"], saved["progress"]["best_epoch"]
    if saved["key"] != key:
        return "its checkpoint is that of another run"
    try:
        epochs = [row.epoch for row in folder.epochs()]
    except UnreadableError as error:
        return error.message
    if epochs[:epoch] != list(range(1, epoch + 1)):
        return "its epochs.jsonl lacks epochs"
    if best is None:
        return ""
    chosen = checkpoint.load(folder.best)
    found = chosen["epoch"] if chosen else 0  # a crash may have come between the best and the last checkpoint
    return "" if found == best or found > epoch else "its best checkpoint is not the one that it names"
