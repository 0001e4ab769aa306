"""The terminal of `ablate watch`: the runs under way with their curves, and what is done, waiting and failed."""

from __future__ import annotations

import math
import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ablation._util.formatting import ABSENT, plural
from ablation.cli.console import make_console
from ablation.cli.watch_pace import sleep_after
from ablation.execution.phrases import SMOKE, SMOKE_TASK, duration, percent
from ablation.execution.watching import FAULTY, RunView, Snapshot, Watcher

_BARS = "▁▂▃▄▅▆▇█"
_MOST_POINTS = 24
_MOST_FAULTS = 5
NOTE = "curves of single runs, each on its own scale: comparisons are for the report"


def show(watcher: Watcher, every: float) -> None:
    """Show the study until all of its runs are finished; lines of what has changed where there is no terminal."""
    console = make_console()
    if not console.is_terminal:
        _show_lines(watcher, every, console)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            started = time.monotonic()
            snapshot = watcher.look()
            live.update(_view(snapshot, console), refresh=True)
            if snapshot.complete:
                break
            sleep_after(started, every)
    _say_end(snapshot, console)


def _show_lines(watcher: Watcher, every: float, console: Console) -> None:
    said = ""
    while True:
        started = time.monotonic()
        snapshot = watcher.look()
        if (line := counts_line(snapshot)) != said:
            said = line
            console.print(Text(line), soft_wrap=True)
        if snapshot.complete:
            break
        sleep_after(started, every)
    _say_end(snapshot, console)


def _say_end(snapshot: Snapshot, console: Console) -> None:
    diverged = snapshot.counts["diverged"]
    said = f"; {diverged} of them diverged" if diverged else ""
    console.print(Text(f"{snapshot.study} is finished: {plural(snapshot.ended, 'run')}{said}"))
    console.print("next: ablate report --open")


def counts_line(snapshot: Snapshot) -> str:
    """`12 of 25 runs finished, 2 running, 11 waiting`."""
    counts = snapshot.counts
    parts = [f"{snapshot.ended} of {plural(len(snapshot.runs), 'run')} finished"]
    parts += [f"{counts[state]} {state}" for state in ("running", "waiting", "interrupted", *FAULTY) if counts[state]]
    return ", ".join([*parts, *([snapshot.look] if snapshot.look else [])])


def _view(snapshot: Snapshot, console: Console) -> RenderableType:
    smoke = (SMOKE if snapshot.of_images else SMOKE_TASK) if snapshot.smoke else ""
    left = snapshot.seconds_left
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(snapshot.study, style="bold"),
        ProgressBar(total=max(1, len(snapshot.runs)), completed=snapshot.ended, width=30),
        Text(f"about {duration(left)} left" if left is not None else ""),
    )
    parts: list[RenderableType] = [*([Text(smoke, style="yellow")] if smoke else []), head, Text(counts_line(snapshot))]
    running = snapshot.of("running")
    parts.append(_running(snapshot, running, console) if running else Text("no run is being trained now", style="dim"))
    faults = snapshot.of(*FAULTY)
    for run in faults[:_MOST_FAULTS]:
        parts.append(Text(f"{run.variant} · seed {run.seed} {run.state}: {run.reason}", style="red"))
    if len(faults) > _MOST_FAULTS:
        parts.append(Text(f"and {len(faults) - _MOST_FAULTS} more: ablate status", style="red"))
    return Group(*parts, Text(NOTE, style="dim"))


def _running(snapshot: Snapshot, running: list[RunView], console: Console) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("run", "", "epoch", "training loss", snapshot.metric, "images/s"):
        table.add_column(name, no_wrap=True)
    plain = console.options.ascii_only
    for run in running[: max(3, console.height - 10)]:
        table.add_row(
            Text(f"{run.variant} · seed {run.seed}", overflow="ellipsis"),
            ProgressBar(total=1.0, completed=run.share, width=16) if run.share is not None else Text(""),
            f"{run.epochs}/{run.planned}" if run.planned else str(run.epochs or ABSENT),
            _curve(run.loss, "" if plain else sparkline(run.loss), share=False),
            _curve(run.metric, "" if plain else sparkline(run.metric), share=snapshot.share),
            f"{run.speed:,.0f}" if run.speed and math.isfinite(run.speed) else ABSENT,
        )
    return table


def _curve(values: tuple[float, ...], drawn: str, *, share: bool) -> Text:
    return Text(f"{drawn} {shown(values, share=share)}".strip())


def shown(values: tuple[float, ...], *, share: bool) -> str:
    """The last value of a curve."""
    if not values or not math.isfinite(values[-1]):
        return ABSENT
    return percent(values[-1]) if share else f"{values[-1]:.4g}"


def sparkline(values: tuple[float, ...]) -> str:
    """A curve in one line of text, from its own least to its greatest value; the last points where it is long."""
    last = values[-_MOST_POINTS:]
    finite = [value for value in last if math.isfinite(value)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    steps = (high - low) / (len(_BARS) - 1)
    return "".join(
        " " if not math.isfinite(value) else _BARS[round((value - low) / steps) if steps else 0] for value in last
    )
