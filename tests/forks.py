"""Fork `ablate` from a process that has already imported its libraries, which saves seconds a command.

Run as a program, this file is that fork server. Each command is a process of its own, with its own working directory,
environment, arguments and streams, and runs what `python -m ablation` runs. The fork server of its workers is forked
before the command begins, and waits until one with torch is asked for; other processes start as usual.
Linux only: elsewhere, forking a process with these libraries loaded is not safe.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing import util
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NoReturn

from ablation._util.threads import THREAD_LIMITS

AVAILABLE = sys.platform == "linux"
PRELOAD = "ablation.execution.preload_torch"
"""In the code that starts a fork server whose workers use torch."""
LIBRARIES = (
    "ablation.cli.main",
    "ablation.worker.images",
    "jinja2",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg",
    "pandas",
    "scipy.interpolate",
    "scipy.optimize",
)
AT_START = (
    "PYTHON", "LD_", "LANG", "LC_", "TZ", "HOME", "XDG_", "TMPDIR", "PATH", "CUDA_VISIBLE", "OMP_", "OPENBLAS_", "MKL_",
    "MPL", "FONTCONFIG", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM",
)  # fmt: skip
"""Prefixes of the environment variables that Python or a library reads at start-up."""
_MESSAGE = 1 << 20
"""Most bytes of a message."""
_FREE = 500
"""File descriptors from here on are unused right after a fork."""


class Commands:
    """Forks commands. The fork server starts with the first one, in the environment given here."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._requests, self._accepted = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def can_run(self, environment: Mapping[str, str]) -> bool:
        """Whether the variables that are read at start-up are those of the fork server."""
        return _for_imports(environment) == _for_imports(self._environment)

    def run(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """`ablate WORDS...` in a folder. Raises TimeoutExpired as `subprocess.run` does."""
        command = ["ablate", *words]
        request = {"words": words, "folder": str(folder), "environment": dict(environment)}
        answers, other = socket.socketpair()
        with answers, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with self._lock, other:
                self._server = self._server or self._start()
                _send(self._requests, request, [0, out.fileno(), err.fileno(), other.fileno()])
            with answers.makefile() as lines:
                process = _number(lines.readline())
                answers.settimeout(timeout)
                try:
                    code = _number(lines.readline())
                except TimeoutError:
                    os.kill(process, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(command, timeout, _text(out), _text(err)) from None
            return subprocess.CompletedProcess(command, code, _text(out), _text(err))

    def stop(self) -> None:
        """End the fork server. Commands that still run go on."""
        self._requests.close()
        self._accepted.close()
        if self._server:
            self._server.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        threads = dict.fromkeys(THREAD_LIMITS, "1")  # a process with threads cannot be forked
        requests = self._accepted.fileno()
        server = subprocess.Popen(
            [sys.executable, __file__, str(requests)], env=self._environment | threads, pass_fds=[requests]
        )
        self._accepted.close()
        return server


def _for_imports(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that are read at start-up."""
    return {name: value for name, value in environment.items() if name.startswith(AT_START)}


def _number(answer: str) -> int:
    if not answer:
        raise RuntimeError("the fork server has died, see stderr; `pytest --fresh` does without it")
    return int(answer)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")


def _send(to: socket.socket, message: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    socket.send_fds(to, [json.dumps(message).encode()], descriptors)


def _receive(source: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """A message with its descriptors; None at the end."""
    message, descriptors, _, _ = socket.recv_fds(source, _MESSAGE, 16)
    return (json.loads(message), descriptors) if message else None


def serve(requests: socket.socket) -> None:
    """Import the libraries, then fork a process for each request."""
    for name in LIBRARIES:
        importlib.import_module(name)
    if len([*Path("/proc/self/task").iterdir()]) > 1:
        raise RuntimeError("a library has started threads, so this process cannot be forked")
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies of the processes that answer
    while received := _receive(requests):
        request, (*streams, answer) = received
        if not os.fork():
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if process := os.fork():
                _answer(answer, process)
            return _run(request, streams)
        for descriptor in (*streams, answer):
            os.close(descriptor)
    return None


def _answer(to: int, process: int) -> NoReturn:
    """Report the PID of a command, then its exit code."""
    os.write(to, f"{process}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.write(to, f"{code}\n".encode())
    os._exit(0)


def _run(request: Mapping[str, Any], streams: Sequence[int]) -> None:
    """Become the command; it ends with SystemExit. Python has written nothing to its streams before."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(len(streams), _FREE)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    _fork_worker_server()
    sys.argv = ["ablate", *request["words"]]
    sys.orig_argv = [sys.executable, "-m", "ablation", *request["words"]]
    sys.path.insert(0, request["folder"])
    runpy.run_module("ablation", run_name="__main__", alter_sys=True)


def _fork_worker_server() -> None:
    """Fork what may become the fork server of the workers: a child of the command, as it would be."""
    mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = os.fork()
    if not process:
        mine.close()
        _wait_to_serve(other)
    other.close()
    start = util.spawnv_passfds

    def start_or_wake(program: bytes, arguments: Sequence[str], passed: Sequence[int]) -> int:
        if PRELOAD not in arguments[-1] or mine.fileno() < 0:
            return int(start(program, arguments, passed))
        message = {"code": arguments[-1], "numbers": [*passed], "environment": dict(os.environ)}
        with mine:
            _send(mine, message, passed)
        return process

    util.spawnv_passfds = start_or_wake  # type: ignore[assignment]


def _wait_to_serve(messages: socket.socket) -> NoReturn:
    """Run the code of a fork server, with the descriptors at the numbers that the code names; then exit."""
    code = 0
    if received := _receive(messages):
        message, descriptors = received
        moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, _FREE) for descriptor in descriptors]
        os.closerange(3, _FREE)
        for descriptor, number in zip(moved, message["numbers"], strict=True):
            os.dup2(descriptor, number, inheritable=False)
            os.close(descriptor)
        os.environ.clear()
        os.environ.update(message["environment"])
        sys.argv = ["-c"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            exec(message["code"], {"__name__": "__main__"})
        except SystemExit:
            pass
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    del sys.path[0]  # the folder of this file
    serve(socket.socket(fileno=int(sys.argv[1])))
