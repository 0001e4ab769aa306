"""What commands write to the terminal with, and how they say what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from ablation._util.sanitize import clean
from ablation.errors import UserError

if TYPE_CHECKING:
    from ablation.storage.manifest import Manifest
    from ablation.storage.store import Store


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


def print_notice(message: str) -> None:
    """One line that is no error, on standard error: what is printed there is no part of the result."""
    console = make_console(stderr=True)
    console.print(Text("notice", style="bold yellow"), end=": ")
    console.print(Text(message), soft_wrap=True)


def stored_study(store: Store, wanted: str | None) -> Manifest:
    """The study that the command line names; where it names none, the most recent one, and stderr says which."""
    from ablation.storage.find import find_study

    manifest = find_study(store, wanted, print_notice)
    if wanted is None:
        smoke = " (smoke run: its numbers are meaningless)" if manifest.smoke else ""
        print(clean(f"most recent study: {manifest.name}{smoke}"), file=sys.stderr)
    return manifest
