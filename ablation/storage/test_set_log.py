"""The record of the evaluations on a study's test set: who evaluated which runs, and when. Nothing is ever taken out.

It is kept twice, in openings.jsonl and in the test.json of each run: an evaluation that the one has lost is restored
from the other.
"""

from __future__ import annotations

import getpass
import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ablation._util.formatting import plural
from ablation.errors import UnreadableError, UserError
from ablation.storage import chain
from ablation.storage.manifest import Manifest
from ablation.storage.record import Fraction, Loss, Number, RunRecord, TimeStamp
from ablation.storage.sealed import FileStamp, stamp, typed
from ablation.storage.store import RunFolder, Store, read_json, write_record
from ablation.versions import TEST_LOG_VERSION

_RESTORE = (
    "restore the file from a copy; without one, move it away: then each run's test.json says when it was evaluated"
)


@dataclass(frozen=True)
class _Evaluation:
    """The types of a line of openings.jsonl."""

    time: TimeStamp
    user: str
    host: str
    runs: tuple[str, ...]
    fingerprint: str
    images: Number
    command: str


@dataclass(frozen=True)
class Outcome:
    """test.json: what came of a run on the test part. `loss` is NaN where it was not finite.

    What identifies the run, and the stamps of the files beside it, are empty in a file from before they were
    kept.
    """

    accuracy: Fraction
    loss: Loss
    images: Number
    fingerprint: str
    time: TimeStamp
    run: str = ""
    study: str = ""
    weights_sha256: str = ""
    files: Mapping[str, FileStamp] = field(default_factory=dict)


@dataclass(frozen=True)
class TestSetLog:
    """The evaluations of a study on its test set, the first one first, and what is wrong with their record.

    `outcomes` holds, by run folder, what came of the runs that the study has evaluated.
    """

    evaluations: tuple[Mapping[str, Any], ...]
    outcomes: Mapping[str, Outcome]
    restored: tuple[Mapping[str, Any], ...] = ()
    """Those of the evaluations that openings.jsonl lacks."""
    notices: tuple[str, ...] = ()

    @property
    def fingerprints(self) -> dict[str, set[str]]:
        """Run folder -> the fingerprints of the test images that it was evaluated on."""
        found: dict[str, set[str]] = {}
        for own in self.evaluations:
            for name in own["runs"]:
                found.setdefault(name, set()).update(own["fingerprint"].split(" + "))
        return found


def openings_file(store: Store, folder: str) -> Path:
    """Where the evaluations of the study in `folder` are recorded: one a line."""
    return store.study_file(folder).with_name("openings.jsonl")


def read_evaluations(store: Store, folder: str) -> list[dict[str, Any]]:
    """The evaluations that openings.jsonl holds, the first one first; a last line that a crash tore is left out.

    Each has time (UTC, ISO 8601), user, host, runs (names of run folders), fingerprint (of the test images), images
    (how many) and command. Raises UserError for a line that is no evaluation of this version, or does not follow the
    one before.
    """
    path = openings_file(store, folder)
    lines = chain.read_lines(path)[0]
    return [_evaluation(line, lines[:n], f"line {n + 1} of {path}") for n, line in enumerate(lines)]


def _evaluation(line: bytes, before: Sequence[bytes], what: str) -> dict[str, Any]:
    try:
        values = chain.parse_line(line, what, _RESTORE, TEST_LOG_VERSION)
        typed(_Evaluation, values, what, _RESTORE)
    except UnreadableError as error:
        raise UserError(f"{error.message}; it is not a record of an evaluation on the test set", error.hint) from None
    chain.check_order(values, before, what, _RESTORE)
    return values


def append_evaluation(store: Store, folder: str, *evaluations: Mapping[str, Any]) -> None:
    """Add evaluations; the file is replaced as a whole, so that the others are kept whatever happens."""
    path = openings_file(store, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    chain.append(path, TEST_LOG_VERSION, *evaluations)


def make_evaluation(runs: Sequence[str], fingerprint: str, images: int, command: str) -> dict[str, Any]:
    """An evaluation, here and now: the run folders, and the fingerprint and number of the images."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "user": _user(),
        "host": platform.node() or "unknown host",
        "runs": list(runs),
        "fingerprint": fingerprint,
        "images": images,
        "command": command,
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run under a number that has no name
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown user"


def outcome_file(folder: RunFolder) -> Path:
    """Where a run keeps what came of it on the test part; the predictions are beside it in test.npz."""
    return folder.path / "test.json"


def write_outcome(folder: RunFolder, outcome: Outcome) -> None:
    """Keep what came of a run on the test part, with the stamp of its predictions, which are there already."""
    path = folder.path / "test.npz"
    files = {path.name: asdict(stamp(path))} if path.exists() else {}
    loss = outcome.loss if math.isfinite(outcome.loss) else None
    known = {"run": folder.path.name, "loss": loss, "files": files}
    write_record(outcome_file(folder), {"schema_version": TEST_LOG_VERSION, **asdict(outcome), **known})


def read_outcome(folder: RunFolder) -> Outcome | None:
    """What came of a run on the test part, or None. Raises UnreadableError where it cannot be trusted."""
    path = outcome_file(folder)
    hint = "ablate test --again evaluates the run again"
    if not path.exists():
        return None
    return typed(Outcome, read_json(path, hint, (TEST_LOG_VERSION,)), str(path), hint)


def read_log(store: Store, manifest: Manifest, records: Mapping[str, RunRecord | None]) -> TestSetLog:
    """The evaluations of a study and their outcomes; `records` are those of its undamaged runs, by folder.

    An evaluation of which only a test.json is left is restored, and a notice says so. Raises UserError for an
    openings.jsonl that was changed.
    """
    recorded = read_evaluations(store, manifest.folder)
    notices = []
    if chain.read_lines(openings_file(store, manifest.folder))[1]:
        notices.append(f"the last line of {openings_file(store, manifest.folder)} was cut off, and is left out")
    outcomes: dict[str, Outcome] = {}
    for name in dict.fromkeys(folder for _, _, folder, _ in manifest.runs()):
        try:
            if outcome := read_outcome(store.run(name)):
                outcomes[name] = outcome
        except UnreadableError as error:
            notices.append(error.message)
    restored = tuple(_restored(store, manifest, recorded, outcomes))
    for own in restored:
        notices.append(
            f"{openings_file(store, manifest.folder)} lacks the evaluation on the test set of {own['time']}; it is "
            f"restored from the test.json of {plural(len(own['runs']), 'run')}"
        )
    log = TestSetLog((*recorded, *restored), {})
    seen, valid = log.fingerprints, {}
    for name, outcome in outcomes.items():
        record = records.get(name)
        if name in seen and record is not None:
            if fault := _fault(store.run(name), outcome, record, seen[name]):
                notices.append(f"{outcome_file(store.run(name))} is left out: {fault}")
            else:
                valid[name] = outcome
    for name in sorted(name for name in seen if records.get(name) is not None and name not in outcomes):
        path = outcome_file(store.run(name))
        if not path.exists():
            notices.append(f"{path} is missing, and with it what came of the evaluation on the test set")
    return TestSetLog(log.evaluations, valid, restored, tuple(notices))


def _fault(folder: RunFolder, outcome: Outcome, record: RunRecord, fingerprints: set[str]) -> str:
    """Why an outcome is not that of this run on these test images; empty where it is."""
    if outcome.run not in ("", folder.path.name):
        return f"it is that of another run, {outcome.run}"
    if outcome.weights_sha256 not in ("", record.weights_sha256):
        return "the run was trained again since, to other weights"
    if outcome.fingerprint not in fingerprints:
        return "another study evaluated the run on other test images"
    for name, known in outcome.files.items():
        path = folder.path / name
        if not path.exists() or stamp(path) != known:
            return f"{name} beside it is missing or has changed"
    return ""


def _restored(
    store: Store, manifest: Manifest, recorded: Sequence[Mapping[str, Any]], outcomes: Mapping[str, Outcome]
) -> Iterator[dict[str, Any]]:
    """The evaluations of this study that are on record in no openings.jsonl, by the time in each test.json."""
    known = {(own["time"], name) for own in recorded for name in own["runs"]}
    lost: dict[str, dict[str, Outcome]] = {}
    for name, own in outcomes.items():
        if (own.time, name) not in known and own.study in ("", manifest.folder):
            lost.setdefault(own.time, {})[name] = own
    elsewhere = _recorded_elsewhere(store, manifest.folder) if lost else set()
    for time in sorted(lost):
        runs = {name: own for name, own in lost[time].items() if own.study or (time, name) not in elsewhere}
        images = {own.fingerprint: own.images for own in runs.values()}
        if runs:
            command = "restored from test.json"
            evaluation = make_evaluation(sorted(runs), " + ".join(images), sum(images.values()), command)
            yield {**evaluation, "time": time, "user": "unknown", "host": "unknown"}


def _recorded_elsewhere(store: Store, folder: str) -> set[tuple[str, str]]:
    """(time, run folder) of what other studies have evaluated, as far as their records can be read."""
    found: set[tuple[str, str]] = set()
    for path in (store.root / "studies").glob("*/openings.jsonl"):
        if path.parent.name != folder:
            with suppress(UserError):
                found |= {
                    (own["time"], name) for own in read_evaluations(store, path.parent.name) for name in own["runs"]
                }
    return found
