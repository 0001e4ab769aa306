"""How often `ablate watch` reads the results folder."""

from __future__ import annotations

import time

EVERY_SECONDS = 2.0
MOST_WORK = 0.05
"""Share of the time that is spent on reading: large studies are looked at less often."""


def pause_after(seconds: float, every: float) -> float:
    """How long to wait after a look that took so many seconds."""
    return max(every, seconds / MOST_WORK)


def sleep_after(started: float, every: float) -> None:
    """Wait until the next look is due; `started` is when this one was, by `time.monotonic`."""
    time.sleep(pause_after(time.monotonic() - started, every))
