"""When checkpoints are saved: at most a tenth of the time goes into it, and one that takes no time is never skipped."""

from __future__ import annotations

import pytest

from ablation.training import saving
from ablation.training.saving import Saving


class Clock:
    """Stands in for `time.monotonic`."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(saving, "time", clock)
    return clock


def saved_in(seconds: float, found: Saving, clock: Clock) -> None:
    with found.timed():
        clock.now += seconds


@pytest.mark.parametrize(
    ("seconds", "epoch", "saves"),
    [(0.5, 60.0, 10), (0.5, 1.0, 2), (0.5, 0.1, 1), (0.01, 0.001, 10)],
    ids=["long epochs", "one in five", "short epochs", "cheap"],
)
def test_of_ten_epochs_as_many_are_saved_as_their_time_allows(
    seconds: float, epoch: float, saves: int, clock: Clock
) -> None:
    found, count = Saving(), 0
    for _ in range(10):
        clock.now += epoch
        if found.due():
            saved_in(seconds, found, clock)
            count += 1
    assert count == saves


def test_one_slow_save_does_not_put_off_the_next(clock: Clock) -> None:
    found = Saving()
    saved_in(0.1, found, clock)
    saved_in(30.0, found, clock)
    clock.now += 1.1
    assert found.due()
