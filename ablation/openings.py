"""The openings of a study's test set: who looked at it, when, and at which runs. Nothing is ever taken out again."""

from __future__ import annotations

import getpass
import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ablation.errors import UserError
from ablation.record import SCHEMA_VERSION
from ablation.store import RunFolder, Store, read_json, replace


def openings_file(store: Store, folder: str) -> Path:
    """Where the openings of the study in `folder` are kept: one a line."""
    return store.study_file(folder).with_name("openings.jsonl")


def read_openings(store: Store, folder: str) -> list[dict[str, Any]]:
    """All openings of a study, the first one first; a last line that a crash tore is left out.

    Each has time (UTC, ISO 8601), user, host, runs (names of run folders), fingerprint (of the test images), images
    (how many) and command. Raises UserError for a line that is no opening of this version.
    """
    return [_opening(line, openings_file(store, folder), n) for n, line in enumerate(_lines(store, folder), start=1)]


def _lines(store: Store, folder: str) -> list[bytes]:
    path = openings_file(store, folder)
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def _opening(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        opening = json.loads(line)
        version = opening["schema_version"]
    except (ValueError, TypeError, KeyError):
        hint = "restore the line from a copy: it says who has seen the test set"
        raise UserError(f"line {number} of {path} is not an opening of a test set", hint) from None
    if version != SCHEMA_VERSION:
        message = f"line {number} of {path} has schema version {version}; this version reads {SCHEMA_VERSION}"
        raise UserError(message, "read it with the version that wrote it")
    return dict(opening)


def append_opening(store: Store, folder: str, opening: Mapping[str, Any]) -> None:
    """Add an opening; the file is replaced as a whole, so that the others are kept whatever happens."""
    line = json.dumps({"schema_version": SCHEMA_VERSION, **opening}, ensure_ascii=False, allow_nan=False)
    text = b"".join(each + b"\n" for each in (*_lines(store, folder), line.encode()))
    openings_file(store, folder).parent.mkdir(parents=True, exist_ok=True)
    replace(openings_file(store, folder), lambda file: file.write(text), durable=True)


def make_opening(runs: Sequence[str], fingerprint: str, images: int, command: str) -> dict[str, Any]:
    """An opening, here and now: the run folders, and the fingerprint and number of the images that they are shown."""
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
    """Where a run keeps what came of it on the test part; the predictions lie beside it in test.npz."""
    return folder.path / "test.json"


def read_outcome(folder: RunFolder) -> dict[str, Any] | None:
    """What came of a run on the test part: accuracy, loss (None where infinite), images, fingerprint, time; or None."""
    path = outcome_file(folder)
    return dict(read_json(path)) if path.exists() else None
