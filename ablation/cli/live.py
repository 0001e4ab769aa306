"""The progress of a study on the terminal: lines, and a live table of the runs under way."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ablation._util.formatting import ABSENT
from ablation.cli.console import make_console, print_notice
from ablation.execution.phrases import duration, percent
from ablation.execution.progress import LineProgress, Tone
from ablation.planning.run import Run
from ablation.registry.metrics import SELECTION
from ablation.storage.record import EpochRow
from ablation.study.tasks import TaskRecipe
from ablation.worker.protocol import Done, Ending, EpochDone, Evaluated, Event, Started, Stepped

_STYLES: dict[Tone, str] = {
    "plain": "",
    "title": "bold",
    "good": "green",
    "warning": "yellow",
    "error": "red",
    "dim": "dim",
}


@dataclass
class _Active:
    """What is known of a run in progress."""

    run: Run
    since: float
    epoch: int = 0
    epochs: int = 0
    share: float = 0.0
    speed: float = 0.0
    loss: float = math.nan
    accuracy: str = ABSENT


@dataclass
class TerminalProgress(LineProgress):
    """Lines with colours; on a terminal, with a live table of the runs in progress below them."""

    console: Console = field(default_factory=make_console)
    name: str = ""
    workers: int = 1
    started: float = field(default_factory=time.monotonic)
    _active: dict[str, _Active] = field(default_factory=dict)
    _seconds: dict[str, list[float]] = field(default_factory=dict)
    _waiting: dict[str, str] = field(default_factory=dict)
    _stopping: bool = False

    def say(self, text: str, tone: Tone = "plain", label: str = "") -> None:
        """Print a line; the tone is a colour, of the label where there is one."""
        if tone == "notice":
            print_notice(text)
            return
        style = _STYLES[tone]
        line = Text.assemble((label, style), text) if label else Text(text, style)
        self.console.print(line, soft_wrap=True)

    @contextmanager
    def training(self, study: str, runs: Sequence[Run], finished: int, workers: int) -> Iterator[None]:
        """Keep the table up to date while the block runs."""
        super().training(study, runs, finished, workers)
        self.name, self.workers, self.started = study, workers, time.monotonic()
        self._waiting = {run.key: run.variant for run in runs}
        if not self.console.is_terminal:
            yield
            return
        with Live(get_renderable=self._render, console=self.console, refresh_per_second=5, transient=True):
            yield

    def stopping(self) -> None:
        """Say so below the lines too."""
        self._stopping = True
        super().stopping()

    def event(self, event: Event) -> None:
        """Take an event into the table, and print a line where it deserves one."""
        run = event.run
        active = self._active.get(run.key)
        match event:
            case Started():
                self._active[run.key] = _Active(run, time.monotonic(), epochs=_planned_epochs(run))
            case Stepped() if active:
                active.epoch, active.share, active.speed = event.epoch, event.step / event.steps, event.speed
            case EpochDone(row=row) if active:
                active.epoch, active.epochs, active.share = row.epoch, event.epochs, 0.0
                active.loss = next((row.metrics[name] for name in _LOSSES if name in row.metrics), math.nan)
                active.accuracy, active.speed = _shown(run, row), row.images_per_second
            case Done() | Evaluated():
                self._waiting.pop(run.key, None)
                if active:
                    self._seconds.setdefault(run.variant, []).append(time.monotonic() - active.since)
        if isinstance(event, Ending):
            self._active.pop(run.key, None)
        if not (isinstance(event, EpochDone) and self.console.is_terminal):  # the table has it
            super().event(event)

    def time_left(self) -> float | None:
        """Seconds to the end, from the times that runs of the same or other variants took; None before the first."""
        known = [value for values in self._seconds.values() for value in values]
        if not known:
            return None
        mean = sum(known) / len(known)
        expected = {v: sum(s) / len(s) for v, s in self._seconds.items()}
        now = time.monotonic()
        spent = {key: now - active.since for key, active in self._active.items()}
        left = sum(max(0.0, expected.get(v, mean) - spent.get(key, 0.0)) for key, v in self._waiting.items())
        return left / max(1, self.workers)

    def _render(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), expand=False)
        for column in ("run", ""):
            table.add_column(column, header_style="dim")
        for column in ("epoch", "loss", "validation", "images/s"):
            table.add_column(column, justify="right", header_style="dim")
        for active in self._active.values():
            steps = max(0, active.epoch - (active.share > 0)) + active.share
            table.add_row(
                Text(active.run.label, overflow="ellipsis", no_wrap=True),
                ProgressBar(total=1.0, completed=min(1.0, steps / active.epochs) if active.epochs else 0.0, width=24),
                f"{active.epoch}/{active.epochs}" if active.epochs else str(active.epoch or ABSENT),
                ABSENT if math.isnan(active.loss) else f"{active.loss:.3f}",
                active.accuracy,
                f"{active.speed:,.0f}" if active.speed and math.isfinite(active.speed) else ABSENT,
            )
        left = self.time_left()
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(self.name, style="bold"),
            ProgressBar(total=max(1, self.total), completed=self.finished, width=30),
            f"{self.finished}/{self.total} runs",
            f"{duration(time.monotonic() - self.started)} elapsed",
            f"about {duration(left)} left" if left is not None else "",
            Text("stopping", style="yellow") if self._stopping else "",
        )
        return Group("", head, table)


_LOSSES = ("train_loss", "loss", "train/loss")


def _shown(run: Run, row: EpochRow) -> str:
    """The value of the primary metric, as the live table shows it."""
    if not isinstance(run.recipe, TaskRecipe):
        return percent(row.metrics[SELECTION])
    value = row.metrics.get(run.recipe.primary)
    return ABSENT if value is None else f"{value:.4g}"


def _planned_epochs(run: Run) -> int:
    """The epochs that a run will have, 0 where only its worker knows: with a budget in steps, or steps held equal."""
    if run.task:
        return 0
    recipe = run.image_recipe
    held = recipe.train.hold == "steps" and recipe.data.fraction < 1
    return 0 if held else recipe.train.epochs or 0
