"""What the tables of all commands have in common."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text


def make_table(*columns: tuple[str, str]) -> Table:
    """An empty table; each column has a name and says how it is justified."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=justify == "right")  # type: ignore[arg-type]
    return table


def print_heading(console: Console, name: str, title: str, *, smoke: str) -> None:
    """The name of a study, with its title where it has one; `smoke` is said of a smoke run."""
    console.print(Text(name if title == name else f"{name}: {title}", style="bold"))
    if smoke:
        console.print(smoke, style="yellow")
