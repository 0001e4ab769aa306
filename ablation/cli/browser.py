"""`--open`: a page that a command has made, in the user's browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from ablation._util.sanitize import clean
from ablation.errors import UserError


def add_open(parser: argparse.ArgumentParser, what: str) -> None:
    """`--open`: open `what`."""
    parser.add_argument("--open", action="store_true", help=f"open {what} in a browser")


def open_page(page: Path | str) -> None:
    """Open a file, or an address. Raises UserError where no browser can be started."""
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri() if isinstance(page, Path) else page):
        raise UserError("no browser could be started", f"open {clean(str(page))} yourself")
