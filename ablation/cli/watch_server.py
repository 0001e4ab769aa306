"""The page of `ablate watch --browser`: three fixed texts and the state of the study, on 127.0.0.1 alone.

No path of a request ever names a file. Requests for another host are refused, so that no page of another site can read
the state by having its name resolve to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import json
import math
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from ablation._util.formatting import plural
from ablation._util.sanitize import clean
from ablation.cli.watch_pace import EVERY_SECONDS, pause_after
from ablation.cli.watch_terminal import counts_line, shown
from ablation.errors import UserError
from ablation.execution.phrases import SMOKE, SMOKE_TASK, duration
from ablation.execution.watching import FAULTY, RunView, Snapshot, Watcher

HOST = "127.0.0.1"
MOST_POINTS = 200
"""Of a curve on the page: of longer ones, every so many points are shown, and the last one."""
MOST_SHOWN = 100
"""Runs under way, and failed ones, that the page shows."""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/watch.css": ("watch.css", "text/css; charset=utf-8"),
    "/watch.js": ("watch.js", "text/javascript; charset=utf-8"),
}


class WatchServer(ThreadingHTTPServer):
    """Serves the state of one study; it is looked at when a page asks, and at most every two seconds."""

    daemon_threads = True

    def __init__(self, watcher: Watcher, port: int) -> None:
        super().__init__((HOST, port), _Handler)
        self._watcher, self._lock = watcher, threading.Lock()
        self._due, self._state = 0.0, b""
        texts = files("ablation.cli") / "watch_page"
        self.pages = {path: ((texts / name).read_bytes(), kind) for path, (name, kind) in _PAGES.items()}

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.server_port}/"

    def hosts(self) -> tuple[str, ...]:
        """What the header Host of a request may be."""
        return tuple(f"{name}:{self.server_port}" for name in (HOST, "localhost"))

    def state(self) -> bytes:
        """The state of the study as JSON; an error of its files in words."""
        with self._lock:
            started = time.monotonic()
            if started >= self._due:
                try:
                    state = page_state(self._watcher.look())
                except UserError as error:
                    state = {"error": clean(f"{error.message}. {error.hint or ''}")}
                self._state = json.dumps(state, allow_nan=False).encode()
                self._due = time.monotonic() + pause_after(time.monotonic() - started, EVERY_SECONDS / 2)
            return self._state


class _Handler(BaseHTTPRequestHandler):
    server: WatchServer
    server_version, sys_version = "ablate", ""
    timeout = 30

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.hosts():
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, b"this page is served on 127.0.0.1 only\n", "text/plain")
        elif self.path == "/state.json":
            self._answer(HTTPStatus.OK, self.server.state(), "application/json")
        elif found := self.server.pages.get(self.path):
            self._answer(HTTPStatus.OK, *found)
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"there is only one page here: /\n", "text/plain")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Requests are not shown."""


def page_state(snapshot: Snapshot) -> dict[str, Any]:
    """What the page shows, as plain values; texts are ready to be shown."""
    left, counts = snapshot.seconds_left, snapshot.counts
    running, faults = snapshot.of("running"), snapshot.of(*FAULTY)
    speed = sum(run.speed for run in running if math.isfinite(run.speed))
    variants: dict[str, dict[str, Any]] = {}
    for run in snapshot.runs:
        own = variants.setdefault(run.variant, {"name": clean(run.variant), "finished": 0, "running": 0, "other": 0})
        own[
            "finished" if run.state in ("finished", "diverged") else run.state if run.state == "running" else "other"
        ] += 1
    return {
        "study": clean(snapshot.study),
        "title": clean(snapshot.title),
        "note": (SMOKE if snapshot.of_images else SMOKE_TASK) if snapshot.smoke else "",
        "summary": counts_line(snapshot),
        "ended": snapshot.ended,
        "total": len(snapshot.runs),
        "counts": {state: counts[state] for state in counts},
        "left": f"about {duration(left)}" if left is not None else "",
        "speed": f"{speed:,.0f} images/s" if speed else "",
        "look": snapshot.look,
        "complete": snapshot.complete,
        "metric": clean(snapshot.metric),
        "running": [_run_state(run, snapshot) for run in running[:MOST_SHOWN]],
        "hidden": len(running) - len(running[:MOST_SHOWN]),
        "faults": [{"name": _name(run), "what": f"{run.state}: {clean(run.reason)}"} for run in faults[:MOST_SHOWN]],
        "variants": list(variants.values()),
        "runs": plural(len(snapshot.runs), "run"),
    }


def _name(run: RunView) -> str:
    return clean(f"{run.variant} · seed {run.seed}")


def _run_state(run: RunView, snapshot: Snapshot) -> dict[str, Any]:
    share = run.share
    return {
        "name": _name(run),
        "share": share,
        "epochs": _progress(run),
        "speed": f"{run.speed:,.0f} images/s" if run.speed and math.isfinite(run.speed) else "",
        "metric": _points(run.metric),
        "metric_now": shown(run.metric, share=snapshot.share),
        "loss": _points(run.loss),
        "loss_now": shown(run.loss, share=False),
    }


def _progress(run: RunView) -> str:
    if run.planned:
        return f"epoch {run.epochs} of {run.planned}"
    return f"{plural(run.epochs, 'row')} so far" if run.epochs else "started"


def _points(values: tuple[float, ...]) -> list[float | None]:
    """The values of a curve, thinned where they are many; None for what is not finite."""
    every = -(-len(values) // MOST_POINTS) or 1
    chosen = [*values[: len(values) - 1 : every], *values[-1:]]
    return [value if math.isfinite(value) else None for value in chosen]
