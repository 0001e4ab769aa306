"""Every file of a study against the digests that were stored with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ablation.errors import UnreadableError
from ablation.storage.audit_file import read_audit
from ablation.storage.manifest import Manifest
from ablation.storage.metric_values import read_values
from ablation.storage.record import RunRecord
from ablation.storage.sealed import stamp
from ablation.storage.store import RunFolder, Store
from ablation.storage.stored_run import StoredRun, read_run
from ablation.storage.test_set_log import read_log


@dataclass(frozen=True)
class CheckedFiles:
    """Its `runs` by their folders, how many of their files have a digest, and what is wrong with files of the study.

    `unstamped` are the finished runs of earlier versions, which stored no digests.
    """

    runs: Mapping[str, StoredRun]
    files: int
    faults: tuple[str, ...]
    unstamped: tuple[str, ...]


def check_files(store: Store, manifest: Manifest) -> CheckedFiles:
    """Read every file of a study, and change none. Raises UserError for files of another schema version."""
    runs = {name: read_run(store.run(name), identity) for _, _, name, identity in manifest.runs()}
    records = {name: run.record for name, run in runs.items() if run.record}
    faults = [run.reason for run in runs.values() if run.state == "damaged"]
    for name, record in records.items():
        faults += _changed(store.run(name), record)
    faults += read_log(store, manifest, records).notices
    try:
        read_audit(store, manifest)
    except UnreadableError as error:
        faults.append(error.message)
    files = sum((store.run(name).path / own).exists() for name, record in records.items() for own in record.files)
    return CheckedFiles(runs, files, tuple(faults), tuple(name for name, record in records.items() if not record.files))


def _changed(folder: RunFolder, record: RunRecord) -> Iterator[str]:
    """What of a run that can be read is not what was written; weights that were deleted to make room are no fault."""
    for name, known in record.files.items():
        path = folder.path / name
        if path.exists() and stamp(path) != known:
            yield f"{path} has changed since the run ended: its SHA-256 does not match"
    try:
        read_values(folder, record)
    except UnreadableError as error:
        yield error.message
