"""What the terminal shows: live progress of a study, tables, and errors."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ablation._util.formatting import ABSENT, plural
from ablation._util.sanitize import clean
from ablation.errors import UserError
from ablation.planning.plan import Run
from ablation.storage.record import EpochRow, RunRecord
from ablation.worker.protocol import Busy, Done, EpochDone, Event, Failed, Noticed, Preparing, Started, Stepped, Stopped

SMOKE = "smoke run: a tiny subset of the data, its numbers are meaningless"
QUIET_SECONDS = 30.0
"""Without a terminal, a run in progress prints a line at most this often."""


class PlainConsole(Console):
    """A console on which names are text: no control sequence in them reaches the terminal, and `:x:` is no emoji."""

    def __init__(self, *, stderr: bool, width: int | None = None) -> None:
        super().__init__(stderr=stderr, highlight=False, emoji=False, width=width)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """What rich writes, cleaned but for the control sequences that are rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(clean(segment.text), segment.style)


def make_console(*, stderr: bool = False) -> Console:
    """A console that never cuts or wraps lines where the output is not a terminal."""
    console = PlainConsole(stderr=stderr)
    return console if console.is_terminal else PlainConsole(stderr=stderr, width=200)


def print_error(error: UserError) -> None:
    """One red heading, what is wrong, and how to fix it."""
    console = make_console(stderr=True)
    console.print(Text("error", style="bold red"), end=": ")
    console.print(Text(error.message), soft_wrap=True)
    if error.hint:
        console.print(Text(error.hint, style="cyan"), soft_wrap=True)


def study_size(variants: int, seeds: int) -> str:
    """`3 variants x 1 seed`."""
    return f"{plural(variants, 'variant')} x {plural(seeds, 'seed')}"


def print_notice(message: str) -> None:
    """One line that is no error, on standard error: what is printed there is no part of the result."""
    console = make_console(stderr=True)
    console.print(Text("notice", style="bold yellow"), end=": ")
    console.print(Text(message), soft_wrap=True)


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def percent(fraction: float) -> str:
    """An accuracy as `91.2 %`; a dash where there is none."""
    return f"{100 * fraction:.1f} %" if math.isfinite(fraction) else ABSENT


@dataclass
class _Active:
    """What is known of a run in progress."""

    run: Run
    device: str
    since: float
    epoch: int = 0
    epochs: int = 0
    share: float = 0.0
    speed: float = 0.0
    loss: float = math.nan
    accuracy: float = math.nan
    printed: float = 0.0


@dataclass
class StudyProgress:
    """Follows the events of a study; shows them live on a terminal, and as plain lines elsewhere."""

    console: Console
    name: str
    total: int
    done_before: int
    runs: Iterable[Run]
    workers: int
    started: float = field(default_factory=time.monotonic)
    finished: int = 0
    _active: dict[str, _Active] = field(default_factory=dict)
    _seconds: dict[str, list[float]] = field(default_factory=dict)
    _waiting: dict[str, str] = field(default_factory=dict)
    _live: Live | None = None
    _stopping: bool = False

    def __post_init__(self) -> None:
        self._waiting = {run.key: run.variant for run in self.runs}

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Keep the display up to date while the block runs."""
        if not self.console.is_terminal:
            yield
            return
        with Live(get_renderable=self._render, console=self.console, refresh_per_second=5, transient=True) as live:
            self._live = live
            yield

    def stopping(self) -> None:
        """The user asked to stop."""
        self._stopping = True
        self.console.print(
            "[yellow]stopping after the current epochs; finished work is kept (Ctrl-C again to stop immediately)[/]"
        )

    def __call__(self, event: Event) -> None:
        """Take an event in."""
        run = event.run
        match event:
            case Started(device=device):
                now = time.monotonic()
                self._active[run.key] = _Active(run, device, now, epochs=_planned_epochs(run), printed=now)
            case Stepped() if run.key in self._active:
                active = self._active[run.key]
                active.epoch, active.share, active.speed = event.epoch, event.step / event.steps, event.speed
            case EpochDone() if run.key in self._active:
                self._epoch_done(self._active[run.key], event)
            case Done(record=record, selected=selected):
                self._end(run, record, selected)
            case Failed(message=message):
                self._active.pop(run.key, None)
                self.console.print(f"[red]failed[/]   {escape(run.label)}: {escape(message)}", soft_wrap=True)
            case Noticed(message=message):
                self.console.print(f"[yellow]notice[/]   {escape(run.label)}: {escape(message)}", soft_wrap=True)
            case Stopped():
                self._active.pop(run.key, None)
                self.console.print(f"[yellow]stopped[/]  {escape(run.label)}: saved; the same command resumes it")
            case Busy():
                self.console.print(f"[dim]waiting  {escape(run.label)}: another process is training it[/]")
            case _:
                pass

    def _epoch_done(self, active: _Active, event: EpochDone) -> None:
        row = event.row
        active.epoch, active.epochs, active.share = row.epoch, event.epochs, 0.0
        active.loss, active.accuracy, active.speed = row.train_loss, row.val_accuracy, row.images_per_second
        if not self.console.is_terminal and time.monotonic() - active.printed > QUIET_SECONDS:
            active.printed = time.monotonic()
            self.console.print(
                f"{'':9}{escape(active.run.label)}: epoch {row.epoch}/{event.epochs}, loss {row.train_loss:.3f}, "
                f"validation {percent(row.val_accuracy)}, {row.images_per_second:,.0f} images/s"
            )

    def _end(self, run: Run, record: RunRecord, selected: EpochRow | None) -> None:
        active = self._active.pop(run.key, None)
        self._waiting.pop(run.key, None)
        self.finished += 1
        seconds = time.monotonic() - active.since if active else 0.0
        self._seconds.setdefault(run.variant, []).append(seconds)
        count = f"{self.done_before + self.finished:>{len(str(self.total))}}/{self.total}"
        if selected is None:
            what = f"[magenta]diverged[/] in epoch {record.epochs}"
        else:
            what = f"validation {percent(selected.val_accuracy)} (epoch {selected.epoch} of {record.epochs})"
        self.console.print(f"[green]{count}[/]  {escape(run.label)}: {what}, {duration(seconds)}")

    @property
    def elapsed(self) -> float:
        """Seconds since the display began."""
        return time.monotonic() - self.started

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
        for column, justify in (
            ("run", "left"),
            ("", "left"),
            ("epoch", "right"),
            ("loss", "right"),
            ("validation", "right"),
            ("images/s", "right"),
        ):
            table.add_column(column, justify=justify, style=None, header_style="dim")  # type: ignore[arg-type]
        for active in self._active.values():
            epochs = active.epochs or 1
            complete = (
                min(1.0, (max(0, active.epoch - (active.share > 0)) + active.share) / epochs) if active.epochs else 0.0
            )
            table.add_row(
                Text(active.run.label, overflow="ellipsis", no_wrap=True),
                ProgressBar(total=1.0, completed=complete, width=24),
                f"{active.epoch}/{active.epochs}" if active.epochs else ABSENT,
                ABSENT if math.isnan(active.loss) else f"{active.loss:.3f}",
                percent(active.accuracy),
                f"{active.speed:,.0f}" if active.speed else ABSENT,
            )
        done = self.done_before + self.finished
        left = self.time_left()
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(self.name, style="bold"),
            ProgressBar(total=max(1, self.total), completed=done, width=30),
            f"{done}/{self.total} runs",
            f"{duration(self.elapsed)} elapsed",
            f"about {duration(left)} left" if left is not None else "",
            Text("stopping", style="yellow") if self._stopping else "",
        )
        return Group("", head, table)


def _planned_epochs(run: Run) -> int:
    """The epochs that a run will have, 0 where only its worker knows: with a budget in steps, or steps held equal."""
    recipe = run.recipe
    held = recipe.train.hold == "steps" and recipe.data.fraction < 1
    return 0 if held else recipe.train.epochs or 0


@dataclass
class Preparer:
    """Prints the progress of preparing data, at most once every two seconds."""

    console: Console
    _last: float = field(default_factory=time.monotonic)

    def __call__(self, event: Preparing) -> None:
        if event.notice:
            self.console.print(f"[dim]data[/]     {escape(event.notice)}", soft_wrap=True)
        elif time.monotonic() - self._last > 2.0:
            self._last = time.monotonic()
            self.console.print(f"[dim]{escape(event.what)}: {event.done:,} of {event.total:,} images[/]")
