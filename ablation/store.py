"""Run folders and study folders on disk. Every replaced file is written beside its place and moved there."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ablation.errors import UserError
from ablation.record import SCHEMA_VERSION, EpochRow, RunRecord


def replace(path: Path, write: Callable[[IO[bytes]], object], *, durable: bool = False) -> None:
    """Write a file so that `path` holds either its old or its whole new content; `durable` also survives power loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
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
    """The value of a JSON file of ours. Raises UserError where its schema version is not the one known here."""
    value = json.loads(path.read_text(encoding="utf-8"))
    version = value.get("schema_version")
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        hint = "update ablation-lab to read it" if newer else "train again, or read it with the version that wrote it"
        raise UserError(f"{path} has schema version {version}; this version reads {SCHEMA_VERSION}", hint)
    return value


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
        """Make the folder and note what is to be trained in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not self.started:
            write_json(self.path / "config.json", {"schema_version": SCHEMA_VERSION, **configuration})

    def append(self, row: EpochRow) -> None:
        """Add an epoch: one line, written in one call."""
        with open(self.path / "epochs.jsonl", "ab") as file:
            file.write((json.dumps(row.to_json(), allow_nan=False) + "\n").encode())

    def epochs(self) -> list[EpochRow]:
        """All whole epochs; a last line that a crash tore is left out."""
        path = self.path / "epochs.jsonl"
        if not path.exists():
            return []
        lines = path.read_bytes().split(b"\n")[:-1]
        return [EpochRow.from_json(json.loads(line)) for line in lines]

    def keep_epochs(self, count: int) -> None:
        """Forget the rows after epoch `count`: they will be trained again, to the same values."""
        rows = [json.dumps(row.to_json(), allow_nan=False) + "\n" for row in self.epochs() if row.epoch <= count]
        replace_text(self.path / "epochs.jsonl", "".join(rows))

    def finish(self, record: RunRecord) -> None:
        """Declare the run finished. Nothing in the folder changes afterwards."""
        self.failure_file.unlink(missing_ok=True)
        write_json(self.path / "run.json", record.to_json(), durable=True)

    def record(self) -> RunRecord | None:
        """The record of a finished run, or None."""
        return RunRecord.from_json(read_json(self.path / "run.json")) if self.finished else None

    @property
    def failure_file(self) -> Path:
        return self.path / "failure.json"

    def fail(self, message: str, details: str) -> None:
        """Note that the run crashed; it stays unfinished and is tried again by the next `ablate run`."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.failure_file, {"schema_version": SCHEMA_VERSION, "message": message, "details": details})

    def failure(self) -> str | None:
        """What the last crash said, or None where there was none since."""
        return str(read_json(self.failure_file)["message"]) if self.failure_file.exists() else None


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

    def study_file(self, folder: str) -> Path:
        return self.root / "studies" / folder / "study.json"

    def studies(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Every study on disk, the one run last first."""
        files = list((self.root / "studies").glob("*/study.json"))
        for path in sorted(files, key=lambda p: (-p.stat().st_mtime_ns, p)):
            yield path, read_json(path)
