"""Run folders and study folders on disk. Every replaced file is written beside its place and moved there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import replace as with_fields
from pathlib import Path
from typing import Any

from ablation._util.files import replace_text, set_aside, write_json, writing
from ablation._util.strict_json import parse
from ablation.errors import UnreadableError, UserError
from ablation.storage import earlier
from ablation.storage.locks import is_locked
from ablation.storage.record import Count, EpochRow, RunRecord, impossible
from ablation.storage.sealed import RETRAIN, seal, stamp, typed, typed_lines, verify
from ablation.versions import SCHEMA_VERSION

READ_VERSIONS = (1, SCHEMA_VERSION)
STAMPED = ("config.json", "epochs.jsonl", "predictions.npz", "best.pt", "last.pt")
"""The files of a finished run whose size and SHA-256 its record keeps."""
MOST_ATTEMPTS = 3
"""Commands that try a run; after as many failures it takes `--retry failed`."""


def write_record(path: Path, values: Mapping[str, Any], *, durable: bool = False) -> None:
    """`write_json` for an object that is read again: it gets the SHA-256 of its own content, and a schema version."""
    write_json(path, seal({"schema_version": SCHEMA_VERSION, **values}), durable=durable)


def read_json(path: Path, hint: str = RETRAIN, versions: Sequence[int] = READ_VERSIONS) -> dict[str, Any]:
    """The object in a JSON file of ours.

    Raises UnreadableError where it is cut off, garbled, or not what was written, and UserError where its schema version
    is none of `versions`.
    """
    value = parse(path.read_bytes(), str(path), hint)
    check_version(value, str(path), versions)  # first: another version may have other digests
    verify(value, str(path), hint)
    return value


def check_version(value: Mapping[str, Any], what: str, versions: Sequence[int]) -> None:
    """Raise UserError for an object of a schema version not in `versions`, and UnreadableError for one without."""
    version = value.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise UnreadableError(f"{what} cannot be read: it has no schema version", RETRAIN)
    if version not in versions:
        newer = version > versions[-1]
        hint = "update ablation-lab to read it" if newer else "train again, or read it with the version that wrote it"
        raise UserError(f"{what} has schema version {version!r}; this version reads {versions[-1]}", hint)


@dataclass(frozen=True)
class Failure:
    """Why a run came to no end, with its traceback where there is one, and how often that happened."""

    message: str
    details: str
    attempts: Count

    @property
    def given_up(self) -> bool:
        """Whether the run failed too often to be tried again unasked: nothing waits for it any more."""
        return self.attempts >= MOST_ATTEMPTS


def is_folder_name(name: str) -> bool:
    """Whether it names something in a folder, and does not lead elsewhere."""
    return name not in ("", ".", "..") and len(name.encode()) < 256 and set(name).isdisjoint("/\\\0")


def share(path: Path, twin: Path) -> None:
    """Let `twin` be the very file at `path`, where the file system can; elsewhere it stays a file of its own."""
    temporary = twin.with_name(f".{twin.name}.link")
    temporary.unlink(missing_ok=True)
    try:
        temporary.hardlink_to(path)
    except OSError:
        return
    temporary.replace(twin)


@dataclass(frozen=True)
class RunFolder:
    """One run on disk. `run.json` is moved into place last: where it is, the run is finished."""

    path: Path

    @property
    def last(self) -> Path:
        return self.path / "last.pt"

    @property
    def best(self) -> Path:
        return self.path / "best.pt"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.npz"

    @property
    def finished(self) -> bool:
        return (self.path / "run.json").exists()

    @property
    def started(self) -> bool:
        return (self.path / "config.json").exists()

    @property
    def locked(self) -> bool:
        """Whether a process holds its lock, since it trains there."""
        return is_locked(self.path / "lock")

    def open(self, configuration: dict[str, Any]) -> None:
        """Make the folder and note what is to be trained in it. Raises StorageError."""
        path = self.path / "config.json"
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        if path.exists():
            try:
                if read_json(path).get("key") == configuration.get("key"):
                    return
            except UnreadableError:
                pass  # as one of another run, it is set aside
            set_aside(path)
        write_record(path, configuration)

    @property
    def history(self) -> Path:
        return self.path / "epochs.jsonl"

    def append(self, row: EpochRow) -> None:
        """Add an epoch: one line, written in one call. Raises StorageError."""
        with writing(self.history), open(self.history, "ab", buffering=0) as file:
            file.write((json.dumps(row.to_json(), allow_nan=False) + "\n").encode())

    def epochs(self) -> list[EpochRow]:
        """All whole epochs; a last line that a crash tore is left out. Raises UnreadableError for any other line."""
        return self._rows(self.epoch_lines())

    def epoch_lines(self) -> list[bytes]:
        """What `epochs` reads, before it is parsed: a line for each whole epoch, in order from the first."""
        return self.history.read_bytes().split(b"\n")[:-1] if self.history.exists() else []

    def epoch(self, number: int) -> EpochRow:
        """One epoch, from 1, without parsing the others. Raises UnreadableError where it is not there."""
        rows = self._rows(self.epoch_lines()[number - 1 : number])
        if not rows:
            raise UnreadableError(f"{self.history} lacks epoch {number}", RETRAIN)
        return rows[0]

    def _rows(self, lines: list[bytes]) -> list[EpochRow]:
        rows = typed_lines(EpochRow, [earlier.epoch(line) for line in lines], str(self.history))
        for number, row in enumerate(rows, start=1):
            if not row.reported and (fault := impossible(row.metrics)):
                raise UnreadableError(f"line {number} of {self.history} cannot be read: {fault}", RETRAIN)
        return rows

    def keep_epochs(self, count: int) -> None:
        """Forget the rows after epoch `count`: they will be trained again, to the same values."""
        rows = [json.dumps(row.to_json(), allow_nan=False) + "\n" for row in self.epochs() if row.epoch <= count]
        replace_text(self.history, "".join(rows))

    def finish(self, record: RunRecord) -> RunRecord:
        """Declare the run finished; the record, which is returned, gets the stamps of the files of the folder.

        None of them changes afterwards.
        """
        self.failure_file.unlink(missing_ok=True)
        files = {name: stamp(self.path / name) for name in STAMPED if (self.path / name).exists()}
        record = with_fields(record, files=files)
        write_record(self.path / "run.json", record.to_json(), durable=True)
        return record

    def record(self) -> RunRecord | None:
        """The record of a finished run, or None. Raises UnreadableError where it cannot be trusted."""
        path = self.path / "run.json"
        if not path.exists():
            return None
        return RunRecord.from_json(earlier.record(read_json(path), self.epoch), str(path))

    def start_over(self) -> None:
        """Set the record, the epochs, the predictions and the checkpoints aside."""
        for path in (self.path / "run.json", self.history, self.predictions, self.last, self.best):
            if path.exists():
                set_aside(path)

    @property
    def failure_file(self) -> Path:
        return self.path / "failure.json"

    def fail(self, message: str, details: str) -> None:
        """Note that the run crashed, once more; it stays unfinished."""
        before = self.failure()
        self.path.mkdir(parents=True, exist_ok=True)
        failure = Failure(message, details, before.attempts + 1 if before else 1)
        write_record(self.failure_file, asdict(failure))

    def failure(self) -> Failure | None:
        """What the last crash said, or None where there was none since."""
        if not self.failure_file.exists():
            return None
        try:
            return typed(Failure, read_json(self.failure_file), str(self.failure_file))
        except UnreadableError as error:
            return Failure(error.message, "", 1)


@dataclass(frozen=True)
class Store:
    """The results folder: `runs/`, named by content, `studies/`, which say which runs are theirs, `data/`, `logs/`."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def run(self, folder: str) -> RunFolder:
        """The run folder of that name. Raises UserError for what is no name but leads elsewhere."""
        if not is_folder_name(folder):
            raise UserError(
                f"{folder!r} is not the name of a run folder", "the study.json is damaged: run the study again"
            )
        return RunFolder(self.root / "runs" / folder)

    def finished(self, folders: Iterable[str]) -> set[str]:
        """Those of the run folders that hold a finished run.

        `runs/` is listed once, since most folders of a large plan are not there yet.
        """
        root = self.root / "runs"
        there = {path.name for path in root.iterdir()} if root.exists() else set()
        return {name for name in folders if name in there and self.run(name).finished}

    def study_file(self, folder: str) -> Path:
        return self.root / "studies" / folder / "study.json"
