"""A run that a command trains: its process, its output, and where its metrics are found."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ablation._util.files import writing
from ablation._util.nested import leaves
from ablation._util.threads import THREAD_LIMITS
from ablation.errors import UserError
from ablation.planning.job import Job
from ablation.results.foreign.metric_files import numbers_of
from ablation.storage.record import RunRecord
from ablation.study.tasks import CommandTask
from ablation.tasks import guard
from ablation.tasks.arguments import Invocation, invocation
from ablation.tasks.hooks import Hooks
from ablation.tasks.metric_sources import JSON_LINES, METRICS, Found, find_metrics
from ablation.tasks.recording import Recorder, check_code, check_space, environment_of

LOOK_SECONDS = 0.05
"""Polling interval for the process; its metrics and output are polled a tenth as often."""
STOP_SECONDS = 10.0
"""That a command has to end after it was asked to."""
TAIL_LINES = 20
"""Of the output, shown where a command fails."""
_MEMORY = ("memoryerror", "out of memory", "t allocate memory", "bad_alloc")
"""What the output of a command that had no memory left ends with."""
_SIGKILL = 9
_KILLED = (-_SIGKILL, 128 + _SIGKILL)
"""Exit codes of a command that the kernel has ended, mostly for its memory; the second is that of a shell."""


def train(job: Job, hooks: Hooks) -> RunRecord | None:
    """Run the command of a run to its end; None when asked to stop before.

    Raises UserError with the end of its output where it fails, and where it reports no metrics.
    """
    task = job.run.task
    assert isinstance(task, CommandTask)
    check_code(job.run)
    recorder = Recorder(job, hooks)
    folder = job.folder / "files"
    interrupted = folder.exists()
    if interrupted:
        guard.end_processes(0, str(folder))  # an earlier try, where its guard was killed with it
    if interrupted and not task.resume:
        with writing(folder):
            shutil.rmtree(folder)
    recorder.start_over()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        started = invocation(task, recorder.recipe.values, job.run.seed, folder, job.device)
    if interrupted and task.resume:
        recorder.resumed = 1
        _drop_torn_row(folder / METRICS)
        started.environment["ABLATE_RESUME"] = str(folder)
    follower = _Follower(recorder, folder)
    with _guarded(folder) as set_group:
        process = start(started, job.folder / "log.txt", job.threads)
        set_group(process.pid)
        try:
            if not _wait(process, hooks, follower):
                return None
        finally:
            end(process, folder)
    if process.returncode:
        check_space(job.folder)
        raise _failure(process.returncode, started, job.folder / "log.txt")
    follower.look(ended=True)
    recipe = recorder.recipe
    found = find_metrics(folder, job.folder / "log.txt", recipe.primary, recipe.metrics)
    _record_rows(recorder, follower, found)
    recorder.checks["metrics_from"] = found.source
    return recorder.finish(None, environment_of(job))


def start(invocation: Invocation, log: Path, threads: int) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own, its output in `log`. Raises UserError where it is not there."""
    beside = str(Path(sys.executable).parent)
    environment = {**os.environ, **dict.fromkeys(THREAD_LIMITS, str(threads)), **invocation.environment}
    environment |= {"PATH": beside + os.pathsep + os.environ.get("PATH", ""), "PYTHONUNBUFFERED": "1"}
    environment.pop("PYTHONSAFEPATH", None)  # set for processes of ours
    if original := os.environ.get("ABLATE_PYTHONPATH"):
        environment["PYTHONPATH"] = original
    with writing(log), log.open("wb") as output:
        try:
            return subprocess.Popen(
                invocation.words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=_heed_signals,
            )
        except (FileNotFoundError, PermissionError) as error:
            hint = "is it installed, and is the path relative to where you start `ablate`?"
            raise UserError(f"the command cannot be started: {invocation.words[0]}: {error.strerror}", hint) from None


def _heed_signals() -> None:
    """Have a process heed the signals that the worker does not."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)


def end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Make sure that the command of a run folder and all that it has started are gone."""
    guard.end_processes(process.pid, str(folder))
    process.wait()


@contextmanager
def _guarded(folder: Path) -> Iterator[Callable[[int], None]]:
    """Within it, a process that outlives this one ends the command of `folder`, whose process group it is given."""
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert keeper.stdin is not None
    pipe = keeper.stdin

    def set_group(group: int) -> None:
        pipe.write(f"{group} {os.fsencode(folder).hex()}\n".encode())
        pipe.flush()

    set_group(0)
    try:
        yield set_group
    finally:
        with suppress(BrokenPipeError):
            pipe.write(b"\n")
            pipe.close()
        keeper.wait()


def _wait(process: subprocess.Popen[bytes], hooks: Hooks, follower: _Follower) -> bool:
    """Whether the command has ended by itself; False where it was asked to stop, and has."""
    asked, looks = 0.0, 0
    while True:
        try:
            process.wait(LOOK_SECONDS)
            follower.look()
            return not asked
        except subprocess.TimeoutExpired:
            looks += 1
        if looks % 10 == 0:
            follower.look()
            if not Path("/proc").is_dir():  # whether it computes cannot be seen: it lives
                hooks.on_beat()
        if not asked and hooks.should_stop():
            asked = time.monotonic()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        if asked and time.monotonic() - asked > STOP_SECONDS:
            end(process, follower.folder)


class _Follower:
    """Watches what a command writes: rows of metrics.jsonl are recorded as they come, output shows that it goes on."""

    def __init__(self, recorder: Recorder, folder: Path) -> None:
        self.recorder, self.folder = recorder, folder
        self._read, self._size = 0, -1
        self.rows = 0

    def look(self, *, ended: bool = False) -> None:
        """Take the whole rows that are new; of a command that has ended, also a last one without an end of line."""
        path = self.folder / METRICS
        if path.exists():
            with path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            if not ended:
                new = new[: new.rfind(b"\n") + 1]
            self._read += len(new)
            for line in new.splitlines():
                self._row(line)
        log = self.recorder.job.folder / "log.txt"
        size = log.stat().st_size if log.exists() else 0
        if size != self._size:
            self._size = size
            self.recorder.hooks.on_beat()

    def _row(self, line: bytes) -> None:
        try:
            values = json.loads(line) if line.strip() else {}
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            what = f"a line of {METRICS} is not a JSON object: {line.decode(errors='replace')[:80]}"
            raise UserError(what, 'write lines like {"step": 1, "loss": 0.5}')
        step, numbers = numbers_of(dict(leaves(values)))
        if numbers:
            self.rows += 1
            self.recorder.log(numbers, step)


def _record_rows(recorder: Recorder, follower: _Follower, found: Found) -> None:
    """The rows of a source that is read at the end only; they replace those that were followed without the metric."""
    if follower.rows and found.source == JSON_LINES and not recorder.resumed:
        return  # a resumed command may have written a step again: then the last row of each counts
    recorder.drop_rows()
    for step, metrics in found.rows:
        recorder.log(metrics, step, seconds=0.0)


def _drop_torn_row(path: Path) -> None:
    """Cut off the end of a file of rows that was being written when its command was killed."""
    if path.exists():
        with writing(path), path.open("r+b") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def _failure(code: int, started: Invocation, log: Path) -> UserError:
    """The error of a failed command, with the end of its output; its cause is a MemoryError where memory ran out."""
    what = f"signal {-code}" if code < 0 else f"exit code {code}"
    with log.open("rb") as file:
        tail = b"".join(deque(file, TAIL_LINES)).decode(errors="replace").rstrip()
    lines = [f"the command ended with {what}: {' '.join(started.words)}", *filter(str.strip, tail.splitlines())]
    error = UserError("\n".join(lines), "fix it and run the same command again")
    if code in _KILLED or any(text in tail.lower() for text in _MEMORY):
        error.__cause__ = MemoryError()
    return error
