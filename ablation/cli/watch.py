"""`ablate watch`: how far a study is while it is trained, in the terminal or in a browser."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ablation._util.sanitize import clean
from ablation.cli.arguments import above_zero, add_results, add_stored_study
from ablation.cli.browser import add_open, open_page
from ablation.cli.watch_pace import EVERY_SECONDS
from ablation.errors import UserError

if TYPE_CHECKING:
    from ablation.execution.watching import Watcher


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.epilog = "It only reads the results folder. Ctrl-C ends it, and not the training."
    add_results(parser)
    add_stored_study(parser)
    parser.add_argument("--browser", action="store_true", help="serve a page on 127.0.0.1, and print its address")
    add_open(parser, "that page")
    parser.add_argument("--port", type=_port, default=0, metavar="N", help="of the page (default: any that is free)")
    parser.add_argument(
        "--every",
        type=above_zero,
        default=EVERY_SECONDS,
        metavar="SECONDS",
        help=f"how often to look in the terminal (default: {EVERY_SECONDS:g})",
    )


def main(arguments: argparse.Namespace, _command: str) -> int:
    """Show the study until it is finished, or until Ctrl-C."""
    from ablation.cli.console import stored_study
    from ablation.execution.watching import Watcher
    from ablation.storage.store import Store

    store = Store(arguments.results)
    watcher = Watcher(store, stored_study(store, arguments.study))
    try:
        if arguments.browser or arguments.open or arguments.port:
            _serve(watcher, arguments.port, open_it=arguments.open)
        else:
            from ablation.cli.watch_terminal import show

            show(watcher, arguments.every)
    except KeyboardInterrupt:
        pass
    return 0


def _serve(watcher: Watcher, port: int, *, open_it: bool) -> None:
    from ablation.cli.watch_server import WatchServer

    watcher.look()  # what cannot be read is an error here, and not on the page
    try:
        server = WatchServer(watcher, port)
    except OSError as error:
        raise UserError(f"port {port} cannot be used: {error.strerror}", "leave out --port to get a free one") from None
    with server:
        print(clean(f"watching {watcher.manifest.name}: {server.address}  (Ctrl-C ends this, and not the training)"))
        if open_it:
            open_page(server.address)
        server.serve_forever(poll_interval=0.2)


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; write a number from 1 to 65535")
    return int(text)
