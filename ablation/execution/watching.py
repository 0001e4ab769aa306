"""The state of a study while other processes train it, read from its results folder again and again.

Nothing is written, and what is shown of a metric is its course in single runs: no mean, no difference, no verdict.
Whether results could be seen when seeds or variants were added is recorded by `ablate run`, whoever looked at them.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal

from ablation.execution.looks import follow
from ablation.registry.metrics import EXTRAS, METRICS, SELECTION
from ablation.storage.manifest import Manifest, StoredVariant, read_manifest
from ablation.storage.record import EpochRow
from ablation.storage.store import RunFolder, Store
from ablation.storage.stored_run import Identity, StoredRun, read_run

RunState = Literal["finished", "diverged", "running", "interrupted", "waiting", "crashed", "damaged"]
ENDED: tuple[RunState, ...] = ("finished", "diverged")
FAULTY: tuple[RunState, ...] = ("crashed", "damaged")
FRESH_SECONDS = 10.0
"""A run whose files are younger is being trained; of others, whoever trains them holds their lock."""
_LOSSES = ("train_loss", "loss", "train/loss")


@dataclass(frozen=True)
class RunView:
    """One run as it is now.

    `epochs` are done of `planned` ones, 0 where only its worker knows how many. `metric` and `loss` have the primary
    metric and the training loss after each epoch, NaN where they were not finite; `speed` is in images/s. `seconds` is
    the time that it has been trained, `reason` why it failed.
    """

    variant: str
    seed: int
    state: RunState
    epochs: int = 0
    planned: int = 0
    metric: tuple[float, ...] = ()
    loss: tuple[float, ...] = ()
    speed: float = math.nan
    seconds: float = 0.0
    reason: str = ""

    @property
    def share(self) -> float | None:
        """How much of it is done, from 0 to 1; None where that is not known."""
        return min(1.0, self.epochs / self.planned) if self.planned else None


@dataclass(frozen=True)
class Snapshot:
    """A study as it is now: every run that it needs, in the order of the study file.

    `look` says at which look a sequential study is, empty for others. `seconds_left` is None where nothing is known.
    """

    study: str
    title: str
    smoke: bool
    metric: str
    share: bool
    """Whether the metric is a fraction of 1."""
    of_images: bool
    runs: tuple[RunView, ...]
    look: str
    seconds_left: float | None

    @property
    def counts(self) -> Mapping[RunState, int]:
        return Counter(run.state for run in self.runs)

    @property
    def ended(self) -> int:
        return sum(self.counts[state] for state in ENDED)

    @property
    def complete(self) -> bool:
        return self.ended == len(self.runs)

    def of(self, *states: RunState) -> list[RunView]:
        """The runs in these states."""
        return [run for run in self.runs if run.state in states]


@dataclass
class Watcher:
    """Looks at a study. What did not change since the last look is not read again."""

    store: Store
    manifest: Manifest
    _seen: dict[str, tuple[object, StoredRun]] = field(default_factory=dict)
    _stamp: object = None
    _followed: tuple[object, str, frozenset[tuple[str, int]]] | None = None

    def look(self) -> Snapshot:
        """The study as it is now. Raises UserError where its study.json cannot be read."""
        self._renew()
        primary = str(self.manifest.analysis["metric"])
        stored = [(own, seed, self._stored(folder, it)) for own, seed, folder, it in self.manifest.runs()]
        look, needed = self._needed(stored)
        now = time.time()
        runs = tuple(
            self._view(own, seed, found, primary, now)
            for own, seed, found in stored
            if needed is None or (own.name, seed) in needed
        )
        declared = self.manifest.declared.get(primary)
        of_epochs = _of_epochs(primary)
        return Snapshot(
            study=self.manifest.name,
            title=self.manifest.title,
            smoke=self.manifest.smoke,
            metric=METRICS[of_epochs].label if self.manifest.of_images else primary,
            share=METRICS[of_epochs].share if self.manifest.of_images else bool(declared and declared.unit == "share"),
            of_images=self.manifest.of_images,
            runs=runs,
            look=look,
            seconds_left=seconds_left(runs),
        )

    def _renew(self) -> None:
        """Read the study.json again where a command has written it since."""
        path = self.store.study_file(self.manifest.folder)
        stamp = _stamp(path)
        if self._stamp not in (None, stamp):
            self.manifest = read_manifest(path)
        self._stamp = stamp

    def _stored(self, name: str, identity: Identity) -> StoredRun:
        folder = self.store.run(name)
        stamp = tuple(_stamp(folder.path / own) for own in ("run.json", "epochs.jsonl", "failure.json"))
        before = self._seen.get(name)
        if before and before[0] == stamp:
            return before[1]
        found = read_run(folder, identity, every_epoch=False)
        self._seen[name] = (stamp, found)
        return found

    def _needed(
        self, stored: Sequence[tuple[StoredVariant, int, StoredRun]]
    ) -> tuple[str, frozenset[tuple[str, int]] | None]:
        """Of a sequential study, the look that is under way, and the runs that it and those before it need."""
        if self.manifest.sequential is None:
            return "", None
        state = (self._stamp, tuple(found.state in ENDED for _, _, found in stored))
        if self._followed is None or self._followed[0] != state:
            followed = follow(self.store, self.manifest)
            assert followed
            looks = self.manifest.sequential.looks
            number = min(len(followed.found.looks) + 1, len(looks))
            name = f"look {number} of {len(looks)} ({looks[number - 1]} seeds)"
            self._followed = (state, name, frozenset(followed.needed))
        return self._followed[1], self._followed[2]

    def _view(self, own: StoredVariant, seed: int, found: StoredRun, primary: str, now: float) -> RunView:
        record = found.record
        state = _state(found, now)
        if record:
            return RunView(own.name, seed, state, record.epochs, record.epochs, seconds=record.train_seconds)
        rows = found.epochs
        name = primary if self.manifest.task else _of_epochs(primary)
        loss = next((key for key in _LOSSES if rows and key in rows[-1].metrics), "")
        spent = sum(row.seconds + row.eval_seconds for row in rows)
        return RunView(
            variant=own.name,
            seed=seed,
            state=state,
            epochs=len(rows),
            planned=_planned(self.manifest, own),
            metric=_course(rows, name),
            loss=_course(rows, loss),
            speed=rows[-1].images_per_second if rows else math.nan,
            seconds=spent + (_since(found.folder, now) if state == "running" else 0.0),
            reason=found.reason or (_brief(found.failure.message) if found.failure else ""),
        )


def seconds_left(runs: Sequence[RunView]) -> float | None:
    """Seconds to the end, if as many runs as now are trained at a time.

    A run takes what finished runs of its variant took on average; before there is one, what runs of its variant under
    way will take at their pace, or else what all of these take. None where no run is trained, or nothing is known yet.
    """
    running = [run for run in runs if run.state == "running"]
    known: dict[str, list[float]] = {}
    for run in runs:
        if run.state == "finished":
            known.setdefault(run.variant, []).append(run.seconds)
    for run in running:
        if run.variant not in known and run.share and run.epochs:
            known[run.variant] = [run.seconds / run.share]
    values = list(chain.from_iterable(known.values()))
    if not running or not values:
        return None
    mean = sum(values) / len(values)
    expected = {variant: sum(own) / len(own) for variant, own in known.items()}
    left = [max(0.0, expected.get(run.variant, mean) - run.seconds) for run in running]
    left += [expected.get(run.variant, mean) for run in runs if run.state in ("waiting", "interrupted")]
    return max(sum(left) / len(running), max(left))


def _brief(message: str) -> str:
    """What a run died of, without the traceback that the message of a function has: `ablate status` shows it."""
    return message.partition("; Traceback (most recent call last)")[0]


def _of_epochs(primary: str) -> str:
    """The metric that the epochs of an image classifier have: others are computed after training."""
    return SELECTION if primary in EXTRAS or primary not in METRICS or primary.startswith("test_") else primary


def _state(found: StoredRun, now: float) -> RunState:
    if found.state in ENDED or found.state == "damaged":
        return found.state
    fresh = found.state != "crashed" and _since(found.folder, now) < FRESH_SECONDS
    if found.folder.started and (fresh or found.folder.locked):
        return "running"
    return "waiting" if found.state == "missing" else found.state


def _since(folder: RunFolder, now: float) -> float:
    """Seconds since something was written of the progress of a run; without end where nothing was."""
    times = [own.mtime for path in (folder.history, folder.path / "config.json") if (own := _stamp(path))]
    return max(0.0, now - max(times)) if times else math.inf


@dataclass(frozen=True)
class _Stamp:
    mtime: float
    size: int
    inode: int


def _stamp(path: Path) -> _Stamp | None:
    """What changes when a file does; None where it is not there."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return None
    return _Stamp(info.st_mtime_ns / 1e9, info.st_size, info.st_ino)


def _course(rows: Sequence[EpochRow], name: str) -> tuple[float, ...]:
    return tuple(row.metrics.get(name, math.nan) for row in rows) if name else ()


def _planned(manifest: Manifest, variant: StoredVariant) -> int:
    """The epochs that a run will have; 0 where only its worker knows."""
    train, options = manifest.train_of(variant), variant.options
    held = train.get("hold") == "steps" and float(options.get("data.fraction", 1)) < 1
    return 0 if held else int(train.get("epochs") or 0)
