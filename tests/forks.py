"""`ablate` without the seconds of its imports: a server has made them, and forks a process for each command.

Started as a program, this file is that server. The process of a command is a real one, with a working folder, an
environment, arguments and streams of its own; it runs what `python -m ablation` runs. The server of its workers is
forked before it begins, and waits until one is wanted that has imported torch; all else is started as always.
Where a fork of a process with such libraries is not safe, on other systems than Linux, nothing of this is used.
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

AVAILABLE = sys.platform == "linux"
PRELOAD = "ablation.execution.preload_torch"
"""Named in the code that starts a server of workers with torch."""
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
"""How the names of variables begin that are read when Python or a library starts, and not when something is needed."""
_MESSAGE = 1 << 20
"""Bytes of a message at most."""
_FREE = 500
"""From this number on, a process that was just forked uses no file descriptor."""


class Commands:
    """Forks commands; the server, which has the environment of the creation, starts with the first of them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._requests, self._accepted = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def can_run(self, environment: Mapping[str, str]) -> bool:
        """Whether its libraries would be imported in the same way: only what is read later may differ."""
        return _for_imports(environment) == _for_imports(self._environment)

    def run(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """`ablate WORDS...` in a folder. Raises TimeoutExpired, as `subprocess.run` does."""
        command = ["ablate", *words]
        request = {"words": words, "folder": str(folder), "environment": dict(environment)}
        answers, other = socket.socketpair()
        with answers, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            with self._lock, other:
                self._server = self._server or self._start()
                _send(self._requests, request, [0, out.fileno(), err.fileno(), other.fileno()])
            lines = answers.makefile()
            process = _number(lines.readline())
            answers.settimeout(timeout)
            try:
                code = _number(lines.readline())
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                raise subprocess.TimeoutExpired(command, timeout, _text(out), _text(err)) from None
            return subprocess.CompletedProcess(command, code, _text(out), _text(err))

    def stop(self) -> None:
        """End the server. Commands that still run are left alone."""
        self._requests.close()
        self._accepted.close()
        if self._server:
            self._server.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        requests = self._accepted.fileno()
        server = subprocess.Popen(
            [sys.executable, __file__, str(requests)], env=self._environment | threads, pass_fds=[requests]
        )
        self._accepted.close()
        return server


def _for_imports(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that Python and the libraries read when they start."""
    return {name: value for name, value in environment.items() if name.startswith(AT_START)}


def _number(answer: str) -> int:
    if not answer:
        raise RuntimeError("no commands can be forked here, see the standard error; `pytest --fresh` does without")
    return int(answer)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")


def _send(to: socket.socket, message: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    socket.send_fds(to, [json.dumps(message).encode()], descriptors)


def _receive(source: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """A message with its descriptors; None where no more come."""
    message, descriptors, _, _ = socket.recv_fds(source, _MESSAGE, 16)
    return (json.loads(message), descriptors) if message else None


def serve(requests: socket.socket) -> None:
    """Import the libraries, and fork a process for each request until no more come."""
    for name in LIBRARIES:
        importlib.import_module(name)
    if len([*Path("/proc/self/task").iterdir()]) > 1:
        raise RuntimeError("a library has started threads: the process cannot be forked")
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that answer
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
    """Tell the process of a command, and how it ended."""
    os.write(to, f"{process}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.write(to, f"{code}\n".encode())
    os._exit(0)


def _run(request: Mapping[str, Any], streams: Sequence[int]) -> None:
    """Be the process of a command, which ends by SystemExit. Nothing was written to the streams of Python before."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(len(streams), _FREE)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    _fork_server_of_workers()
    sys.argv = ["ablate", *request["words"]]
    sys.orig_argv = [sys.executable, "-m", "ablation", *request["words"]]
    sys.path.insert(0, request["folder"])
    runpy.run_module("ablation", run_name="__main__", alter_sys=True)


def _fork_server_of_workers() -> None:
    """Fork the process that is to be the server of workers, a child of this one as it would be."""
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
    """Run the code of a server of workers, with its descriptors at the numbers that it names; then end."""
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
