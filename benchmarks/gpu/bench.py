"""What the checks share: a folder to run `ablate` in, the GPUs of the machine, and how a check ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ablation.storage.record import RunRecord
from ablation.storage.store import Store

ROOT = Path(__file__).parent.parent.parent
PATH = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
"""Where commands find this package, and whatever this process found elsewhere."""
LIMIT = 1800.0
"""Seconds after which a command has hung."""


class FailedError(Exception):
    """A check does not hold: what was seen."""


@dataclass(frozen=True)
class Outcome:
    """How a check ended, and what it saw."""

    status: Literal["passed", "failed", "not checked"]
    detail: str


def passed(detail: str) -> Outcome:
    return Outcome("passed", detail)


def not_checked(detail: str) -> Outcome:
    return Outcome("not checked", detail)


def require(holds: bool, seen: str) -> None:
    """Raise FailedError with what was seen unless the check holds."""
    if not holds:
        raise FailedError(seen)


@dataclass
class Bench:
    """A machine with `gpus`, and a folder for studies; in a dry run the CPU plays the GPUs, and studies are smaller."""

    folder: Path
    dry: bool
    gpus: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def place(self, name: str) -> Path:
        """A new folder for a check."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        return folder

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, "NO_COLOR": "1", "PYTHONPATH": PATH, **self.environment, **(extra or {})}

    def ablate(self, place: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """`ablate ARGUMENTS...` in a folder, to its end."""
        command = [sys.executable, "-m", "ablation", *arguments]
        return subprocess.run(
            command, cwd=place, env=self.environ(extra), capture_output=True, text=True, timeout=LIMIT, check=False
        )

    def train(self, place: Path, *arguments: str, **extra: str) -> dict[str, RunRecord]:
        """Train `study.yaml` of a folder: the records by run folder. Raises FailedError where a run failed."""
        result = self.ablate(place, "run", "study.yaml", *arguments, **extra)
        require(result.returncode == 0, last_lines(result))
        return records(place)

    def kill(self, place: Path, runs: int, *arguments: str) -> None:
        """Train the study, and kill the command and its workers once each of `runs` has saved two epochs."""
        command = [sys.executable, "-m", "ablation", "run", "study.yaml", *arguments]
        process = subprocess.Popen(
            command,
            cwd=place,
            env=self.environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + LIMIT
        while process.poll() is None and time.monotonic() < end:
            rows = [path.read_bytes().count(b"\n") for path in place.glob("results/runs/*/epochs.jsonl")]
            if sum(count >= 2 for count in rows) == runs:
                break
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def inside(self, what: str, gpu: str) -> dict[str, Any]:
        """What a check in a process of its own found on a GPU. Raises FailedError where it raised."""
        command = [sys.executable, "-m", "benchmarks.gpu.inside", what, gpu]
        result = subprocess.run(
            command, cwd=ROOT, env=self.environ(), capture_output=True, text=True, timeout=LIMIT, check=False
        )
        require(result.returncode == 0, last_lines(result))
        return dict(json.loads(result.stdout.splitlines()[-1]))


def records(place: Path, results: str = "results") -> dict[str, RunRecord]:
    """The records of the finished runs of a folder, by run folder."""
    store = Store(place / results)
    found = {path.name: store.run(path.name).record() for path in (store.root / "runs").iterdir()}
    return {name: record for name, record in found.items() if record}


def digests(found: Mapping[str, RunRecord]) -> dict[str, str | None]:
    return {name: record.weights_sha256 for name, record in found.items()}


def require_same(first: Mapping[str, RunRecord], second: Mapping[str, RunRecord], what: str) -> None:
    """Raise FailedError unless both have the same runs with the same weights."""
    one, other = digests(first), digests(second)
    differ = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
    require(bool(one) and not differ, f"{what}: {len(differ)} of {len(one)} runs differ, such as {differ[:2]}")


def last_lines(result: subprocess.CompletedProcess[str]) -> str:
    """The end of what a command printed."""
    lines = (result.stdout + result.stderr).strip().splitlines()
    return f"exit code {result.returncode}: " + " | ".join(line.strip() for line in lines[-4:])
