"""audit.json: what `ablate audit` saw of the code of a study."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ablation._util.files import writing
from ablation.storage.manifest import Manifest
from ablation.storage.record import Count, TimeStamp
from ablation.storage.sealed import typed
from ablation.storage.store import Store, read_json, write_record

Level = Literal["ok", "warning", "fault", "skipped"]
AGAIN = "run ablate audit again: it writes a new one"


@dataclass(frozen=True)
class Check:
    """One check: what it is about, how it ended, what was seen, and what to do about it."""

    code: str
    level: Level
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Audit:
    """What an audit saw in `runs` short runs (`smoke`) or whole ones.

    `run` is the run folder of the baseline under the first seed: its name has the hash of code and hyperparameters.
    """

    time: TimeStamp
    run: str
    smoke: bool
    runs: Count
    checks: tuple[Check, ...]
    command: str = ""

    def of(self, code: str) -> tuple[Check, ...]:
        """The checks of one kind."""
        return tuple(check for check in self.checks if check.code == code)

    @property
    def faults(self) -> tuple[Check, ...]:
        """The checks that found a fault."""
        return tuple(check for check in self.checks if check.level == "fault")


def audit_file(store: Store, folder: str) -> Path:
    """Where the audit of the study in `folder` is kept."""
    return store.study_file(folder).with_name("audit.json")


def write_audit(store: Store, folder: str, audit: Audit) -> None:
    """Keep an audit in the place of an earlier one. Raises StorageError."""
    path = audit_file(store, folder)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_record(path, asdict(audit))


def read_audit(store: Store, manifest: Manifest) -> Audit | None:
    """The audit of a study; None where there is none of the code and the baseline that it was run with.

    Raises UnreadableError for a damaged file.
    """
    path = audit_file(store, manifest.folder)
    if not path.exists():
        return None
    audit = typed(Audit, read_json(path, AGAIN), str(path), AGAIN)
    return audit if audit.run in manifest.folders[manifest.baseline.name].values() else None
