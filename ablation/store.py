"""Run folders and study folders on disk. Every replaced file is written beside its place and moved there."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from ablation.errors import StorageError, UnreadableError, UserError
from ablation.record import SCHEMA_VERSION, EpochRow, RunRecord

AGAIN = "`ablate run` sets it aside and trains the run again"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn whatever the system has against writing `path` into a StorageError."""
    try:
        yield
    except OSError as error:
        hint = "what is trained is kept; make room or mend the folder, and the same command goes on"
        raise StorageError(f"{path} cannot be written: {error.strerror or error}", hint) from error


def replace(path: Path, write: Callable[[IO[bytes]], object], *, durable: bool = False) -> None:
    """Write a file so that `path` holds either its old or its whole new content; `durable` also survives power loss.

    Its folder is there already: one that has vanished is not made again. Raises StorageError.
    """
    with writing(path):
        _replace(path, write, durable)


def _replace(path: Path, write: Callable[[IO[bytes]], object], durable: bool) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def replace_text(path: Path, text: str) -> None:
    """`replace` for a text file in UTF-8."""
    replace(path, lambda file: file.write(text.encode()))


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """`replace` for a value as indented JSON."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    replace(path, lambda file: file.write(text.encode()), durable=durable)


def read_json(path: Path) -> Any:
    """The object in a JSON file of ours.

    Raises UnreadableError where it is cut off or garbled, and UserError where its schema version is not the one known
    here.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnreadableError(f"{path} cannot be read: {error}", AGAIN) from error
    if not isinstance(value, dict):
        raise UnreadableError(f"{path} cannot be read: it holds no object", AGAIN)
    version = value.get("schema_version")
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        hint = "update ablation-lab to read it" if newer else "train again, or read it with the version that wrote it"
        raise UserError(f"{path} has schema version {version}; this version reads {SCHEMA_VERSION}", hint)
    return value


def set_aside(path: Path) -> Path:
    """Move a file that cannot be trusted to `<name>.unreadable`, `<name>.unreadable-2`, ...; nothing is deleted."""
    names = (f"{path.name}.unreadable{f'-{count}' if count > 1 else ''}" for count in itertools.count(1))
    place = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    path.rename(place)
    return place


@dataclass(frozen=True)
class Failure:
    """Why a run came to no end, with its traceback where there is one, and how often that happened."""

    message: str
    details: str
    attempts: int


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

    def open(self, configuration: dict[str, Any]) -> None:
        """Make the folder and note what is to be trained in it. Raises StorageError."""
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        if not self.started:
            write_json(self.path / "config.json", {"schema_version": SCHEMA_VERSION, **configuration})

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
            raise UnreadableError(f"{self.history} lacks epoch {number}", AGAIN)
        return rows[0]

    def _rows(self, lines: list[bytes]) -> list[EpochRow]:
        try:
            return [EpochRow.from_json(row) for row in json.loads(b"[%s]" % b",".join(lines))]  # faster than by line
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UnreadableError(f"{self.history} cannot be read: {error}", AGAIN) from error

    def keep_epochs(self, count: int) -> None:
        """Forget the rows after epoch `count`: they will be trained again, to the same values."""
        rows = [json.dumps(row.to_json(), allow_nan=False) + "\n" for row in self.epochs() if row.epoch <= count]
        replace_text(self.history, "".join(rows))

    def finish(self, record: RunRecord) -> None:
        """Declare the run finished. Nothing in the folder changes afterwards."""
        self.failure_file.unlink(missing_ok=True)
        write_json(self.path / "run.json", record.to_json(), durable=True)

    def record(self) -> RunRecord | None:
        """The record of a finished run, or None. Raises UnreadableError where it cannot be trusted."""
        return RunRecord.from_json(read_json(self.path / "run.json")) if self.finished else None

    def trouble(self, key: str) -> str | None:
        """Why a finished run cannot be trusted: its record or its epochs are cut off, garbled, or those of another."""
        try:
            record, epochs = self.record(), [row.epoch for row in self.epochs()]
        except UnreadableError as error:
            return error.message
        if record is None or (record.key == key and epochs == list(range(1, record.epochs + 1))):
            return None
        what = "record is that of another run" if record.key != key else f"epochs are not 1 to {record.epochs}"
        return f"{self.path}: its {what}"

    def start_over(self) -> None:
        """Set the record, the epochs and the checkpoints aside."""
        for path in (self.path / "run.json", self.history, self.last, self.best):
            if path.exists():
                set_aside(path)

    def selected(self, record: RunRecord) -> EpochRow | None:
        """The row of the epoch that is reported of a finished run; a diverged one has none."""
        return next((row for row in self.epochs() if row.epoch == record.selected_epoch), None)

    @property
    def failure_file(self) -> Path:
        return self.path / "failure.json"

    def fail(self, message: str, details: str) -> None:
        """Note that the run crashed, once more; it stays unfinished."""
        before = self.failure()
        self.path.mkdir(parents=True, exist_ok=True)
        failure = Failure(message, details, before.attempts + 1 if before else 1)
        write_json(self.failure_file, {"schema_version": SCHEMA_VERSION, **asdict(failure)})

    def failure(self) -> Failure | None:
        """What the last crash said, or None where there was none since."""
        if not self.failure_file.exists():
            return None
        try:
            values = read_json(self.failure_file)
            return Failure(values["message"], values["details"], values["attempts"])
        except (UnreadableError, KeyError):
            return Failure(f"{self.failure_file} cannot be read", "", 1)


@dataclass(frozen=True)
class Store:
    """The results folder: `runs/`, named by content, `studies/`, which say which runs are theirs, and `data/`."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    def run(self, folder: str) -> RunFolder:
        """The run folder of that name. Raises UserError for what is no name but leads elsewhere."""
        if folder in ("", ".", "..") or not set(folder).isdisjoint("/\\\0"):
            raise UserError(
                f"{folder!r} is no run folder of {self.root}/", "the study.json is damaged: run the study again"
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

    def studies(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Every study on disk, the one run last first."""
        files = list((self.root / "studies").glob("*/study.json"))
        for path in sorted(files, key=lambda p: (-p.stat().st_mtime_ns, p)):
            yield path, read_json(path)
