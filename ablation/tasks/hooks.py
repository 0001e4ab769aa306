"""What a trainer reports while it trains a run, and what it asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ablation.storage.record import EpochRow


def _nothing(*_: object) -> None: ...


@dataclass(frozen=True)
class Hooks:
    """What a trainer reports and asks: an epoch or steps done, whether to stop, what is worth a notice.

    `on_step` gets the epoch, the steps done, those of the epoch, and the images a second; while the epoch is evaluated
    it is called too, with all steps done. `on_beat` says that the work goes on where there is nothing else to report.
    """

    on_epoch: Callable[[EpochRow, int], None]
    on_step: Callable[[int, int, int, float], None]
    should_stop: Callable[[], bool]
    on_notice: Callable[[str], None] = _nothing
    on_beat: Callable[[], None] = _nothing
