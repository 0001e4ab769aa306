"""A page in a real headless Chromium: what it runs and what it asks the network for, over the DevTools protocol."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import F_DUPFD, fcntl
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
]
# The protocol is spoken over the file descriptors 3 and 4, which Python does not hand down under these numbers.
LAUNCHER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
PATIENCE = 30.0


@dataclass
class Visit:
    """What a page did: `ran` is all that it logged, threw or asked in dialogs, `asked` the addresses that it wanted."""

    ran: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class Browser:
    """A running Chromium."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._buffer = b""
        self._events: list[dict[str, Any]] = []
        self._number = 0

    def visit(self, url: str, **questions: str) -> Visit:
        """Load a page, unfold all that is folded, click all that can be clicked, and note what it does meanwhile.

        `questions` are JavaScript expressions, which the browser answers in the page whatever its policy says.
        """
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable", session=session)
        self._events.clear()
        self._call("Page.navigate", {"url": url}, session)
        self._until("Page.loadEventFired")
        everything = "document.querySelectorAll('details').forEach(d => { d.open = true })"
        self._ask(everything, session)
        self._ask("document.querySelectorAll('a').forEach(a => { if (!/^http/.test(a.href)) a.click() })", session)
        self._settle(1.0)
        visit = Visit(facts={name: self._ask(question, session) for name, question in questions.items()})
        for event in self._events:
            if event.get("sessionId") == session:
                _note(visit, event)
        self._call("Target.closeTarget", {"targetId": target})
        return visit

    def _ask(self, expression: str, session: str) -> Any:
        answer = self._call(
            "Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True}, session
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def _call(self, method: str, parameters: dict[str, Any] | None = None, session: str | None = None) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._read(deadline)
            assert answer is not None, f"no answer to {method}"
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                return answer["result"]

    def _until(self, method: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while all(event["method"] != method for event in self._events):
            assert self._read(deadline) is not None, f"no {method}"

    def _settle(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._read(deadline) is not None:
            pass

    def _read(self, deadline: float) -> dict[str, Any] | None:
        """The next message, kept if it is an event; None where none comes in time."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._back], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            read = os.read(self._back, 1 << 16)
            assert read, "the browser died"
            self._buffer += read
        first, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        if "method" in message:
            self._events.append(message)
        return message


def _note(visit: Visit, event: dict[str, Any]) -> None:
    parameters = event["params"]
    match event["method"]:
        case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Page.javascriptDialogOpening":
            visit.ran.append(json.dumps(parameters)[:500])
        case "Log.entryAdded":
            visit.ran.append(parameters["entry"]["text"])
        case "Network.requestWillBeSent":
            visit.asked.append(parameters["request"]["url"])
        case "Page.windowOpen" | "Page.frameRequestedNavigation":
            visit.asked.append(parameters["url"])
        case _:
            pass


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """A fresh browser whose profile lies in `folder`."""
    assert CHROMIUM
    ours = [os.pipe(), os.pipe()]
    theirs = [fcntl(ours[0][0], F_DUPFD, 10), fcntl(ours[1][1], F_DUPFD, 10)]
    command = [sys.executable, "-c", LAUNCHER, *map(str, theirs), CHROMIUM, *FLAGS, f"--user-data-dir={folder}"]
    process = subprocess.Popen(command, pass_fds=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for number in (ours[0][0], ours[1][1], *theirs):
        os.close(number)
    try:
        browser = Browser(ours[0][1], ours[1][0])
        yield browser
        browser._call("Browser.close")
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
        os.close(ours[0][1])
        os.close(ours[1][0])
