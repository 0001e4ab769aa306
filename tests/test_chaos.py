"""A study under fifty faults, one after another, ends with the results of a quiet one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from ablation._util.hashing import canonical_json
from ablation.errors import UnreadableError
from ablation.storage.store import RunFolder
from ablation.storage.stored_run import Identity, read_run

from .conftest import ABLATE, ROOT
from .test_run import results, same, start, workers_of

FAULTS = 50
OPTIONS = ("--seeds", "0-1", "--set", "train.epochs=60")
CHAOS = (*OPTIONS, "--hang-after", "0.05", "--retry", "failed")
STUDY = str(ROOT / "studies" / "smoke.yaml")


@dataclass
class Chaos:
    """What was done to the study, and what that cost."""

    folder: Path
    random: random.Random
    faults: Counter[str] = field(default_factory=Counter)
    spoilt: set[str] = field(default_factory=set)
    """Run folders of which a file was damaged, until they are trained to the end again."""
    finished: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Run folder -> inode and time of its run.json, when it was first seen."""
    lost: Counter[int] = field(default_factory=Counter)
    """Epochs that an unfinished run had written and will train again -> how often that was so."""
    stopped: list[int] = field(default_factory=list)
    """Workers that were stopped (SIGSTOP)."""
    retrained: int = 0

    def runs(self) -> list[RunFolder]:
        return [RunFolder(path) for path in sorted((self.folder / "results" / "runs").glob("*"))]

    def look(self) -> None:
        """Between two commands: no finished run was touched, and no epoch but the one under way is lost."""
        for run in self.runs():
            name = run.path.name
            stat = (run.path / "run.json").stat() if undamaged(run) else None
            found = (stat.st_ino, stat.st_mtime_ns) if stat else None
            known = self.finished.get(name)
            self.retrained += known is not None and known != found
            if found:
                self.finished[name] = found
                self.spoilt.discard(name)
            elif name not in self.spoilt and run.history.exists():
                saved = torch.load(run.last, weights_only=True)["epoch"] if run.last.exists() else 0
                self.lost[len(run.epochs()) - saved] += 1


def undamaged(run: RunFolder) -> bool:
    """Whether a run is finished, with files that can be trusted."""
    try:
        record = run.record()
    except UnreadableError:
        return False
    if record is None:
        return False
    identity = Identity(run.path.name.rpartition("-")[2], record.seed, canonical_json(record.recipe))
    return read_run(run, identity).record is not None


def kill_worker(number: signal.Signals) -> Callable[[Chaos, subprocess.Popen[str]], bool]:
    def do(chaos: Chaos, process: subprocess.Popen[str]) -> bool:
        workers = workers_of(process.pid)
        if workers:
            worker = chaos.random.choice(workers)
            os.kill(worker, number)
            if number == signal.SIGSTOP:
                chaos.stopped.append(worker)
        return bool(workers)

    return do


def signal_command(*numbers: signal.Signals) -> Callable[[Chaos, subprocess.Popen[str]], bool]:
    def do(chaos: Chaos, process: subprocess.Popen[str]) -> bool:
        for number in numbers:
            os.kill(process.pid, number)
            time.sleep(0.2)
        process.wait(timeout=120)
        _continue(chaos.stopped)
        process.communicate(timeout=60)
        return True

    return do


def _continue(workers: list[int]) -> None:
    """A worker that a fault has stopped cannot notice that its command is gone, and would keep its output open."""
    for worker in workers:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGCONT)


def damage(chaos: Chaos, _: subprocess.Popen[str]) -> bool:
    """Cut off, empty or garble a file of a run that no process is training."""
    names = ("run.json", "epochs.jsonl", "last.pt", "best.pt")
    files = [path for run in chaos.runs() for name in names if (path := run.path / name).exists()]
    path = chaos.random.choice(files)
    content = path.read_bytes()
    middle = len(content) // 2
    spoilt = chaos.random.choice(
        [b"", content[:middle], content[:middle] + bytes(255 - byte for byte in content[middle:][:64])]
    )
    path.unlink()  # a checkpoint may be one file under two names
    path.write_bytes(spoilt)
    chaos.spoilt.add(path.parent.name)
    if path.name in ("run.json", "epochs.jsonl") or len(spoilt) != len(content):
        chaos.finished.pop(path.parent.name, None)
    return True


def second_command(chaos: Chaos, _: subprocess.Popen[str]) -> bool:
    other = start(chaos.folder, STUDY, *CHAOS)
    time.sleep(chaos.random.uniform(3, 5))
    other.kill()
    other.communicate(timeout=60)
    return True


WHILE_RUNNING = {
    "worker killed": kill_worker(signal.SIGKILL),
    "worker's segmentation fault": kill_worker(signal.SIGSEGV),
    "worker stopped (hangs)": kill_worker(signal.SIGSTOP),
    "second command, then killed": second_command,
}
WEIGHTS = (6, 4, 1, 1)
ENDS = {
    "command killed": signal_command(signal.SIGKILL),
    "SIGINT": signal_command(signal.SIGINT),
    "SIGINT twice": signal_command(signal.SIGINT, signal.SIGINT),
    "SIGTERM": signal_command(signal.SIGTERM),
    "hang-up": signal_command(signal.SIGHUP),
}


@pytest.mark.slow
def test_a_study_under_fifty_faults_ends_as_a_quiet_one(tmp_path: Path) -> None:
    quiet, folder = tmp_path / "quiet", tmp_path / "chaos"
    for each in (quiet, folder):
        each.mkdir()
    subprocess.run([*ABLATE, "run", STUDY, *OPTIONS], cwd=quiet, check=True, capture_output=True, timeout=300)
    chaos = Chaos(folder, random.Random(7))
    commands = 0
    while chaos.faults.total() < FAULTS:
        commands += 1
        assert commands < 80, f"too few faults in {commands} commands: {chaos.faults}"
        live(chaos)
        chaos.look()
        if chaos.random.random() < 0.5 and chaos.runs():
            damage(chaos, None)  # type: ignore[arg-type]
            chaos.faults["file damaged"] += 1
            chaos.look()
    last = subprocess.run([*ABLATE, "run", STUDY, *CHAOS], cwd=folder, capture_output=True, text=True, timeout=600)
    assert last.returncode == 0, last.stdout + last.stderr
    chaos.look()
    print(f"{chaos.faults.total()} faults in {commands} commands: {dict(chaos.faults)}")
    print(f"finished runs trained again: {chaos.retrained}; epochs lost at a stop -> times: {dict(chaos.lost)}")
    assert chaos.retrained == 0
    assert max(chaos.lost) <= 1
    found = results(folder, "smoke")
    assert len(found.runs) == len(results(quiet, "smoke").runs)
    same(results(quiet, "smoke"), found)


def live(chaos: Chaos) -> None:
    """One command: some faults while it trains, then its end."""
    process = start(chaos.folder, STUDY, *CHAOS)
    time.sleep(chaos.random.uniform(2.5, 3.5))
    for _ in range(chaos.random.randint(1, 5)):
        time.sleep(chaos.random.uniform(0.1, 0.6))
        if process.poll() is not None:
            break
        (name,) = chaos.random.choices(list(WHILE_RUNNING), WEIGHTS)
        if WHILE_RUNNING[name](chaos, process):
            chaos.faults[name] += 1
    name = chaos.random.choice(list(ENDS))
    if process.poll() is None:
        ENDS[name](chaos, process)
        chaos.faults[name] += 1
    else:
        output = process.communicate()[0]
        assert "Traceback" not in output, output
