"""Whose report a folder holds, so that none is written over that of another study or table."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablation.errors import UserError

_ANALYSIS = "analysis.json"


@dataclass(frozen=True)
class TableSource:
    """The tables that a report is made of."""

    runs: Path
    epochs: Path | None = None

    def identity(self, out: Path) -> dict[str, str]:
        """As analysis.json keeps it: the place of the table of runs as seen from the report, and its SHA-256."""
        place = os.path.relpath(self.runs.resolve(), out.resolve())
        return {"path": Path(place).as_posix(), "sha256": hashlib.sha256(self.runs.read_bytes()).hexdigest()}


def check_folder(out: Path, study: str, table: TableSource | None) -> None:
    """Raises UserError where `out` holds the report of something else, or the tables that the report is made of.

    A table is the same where its place or its content is. Reports of earlier versions do not name their table: they are
    left alone too.
    """
    files = [path for path in (table.runs, table.epochs) if path] if table else []
    for path in files:
        if path.resolve() in ((out / "runs.csv").resolve(), (out / "epochs.csv").resolve()):
            raise UserError(f"the report would be written over {path}", "write it elsewhere: --out DIR or --title TEXT")
    held = _held(out)
    if held is None:
        return
    theirs = held.get("table")
    if table is None:
        other = f"the table {_name(out, theirs)}" if theirs else f"the study {held.get('study')!r}"
        if theirs or held.get("study", study) != study:
            raise UserError(f"{out} holds the report of {other}", "write this one elsewhere: --out DIR")
        return
    own = table.identity(out)
    if isinstance(theirs, dict) and (theirs.get("path") == own["path"] or theirs.get("sha256") == own["sha256"]):
        return
    other = f"another table, {_name(out, theirs)}" if theirs else f"{held.get('study', 'something else')!r}"
    raise UserError(
        f"{out} holds the report of {other}",
        "name this one by --title TEXT, write it elsewhere by --out DIR, or remove that folder",
    )


def _held(out: Path) -> dict[str, Any] | None:
    """What the report in a folder says of itself; None where there is no report."""
    try:
        found = json.loads((out / _ANALYSIS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _name(out: Path, table: Any) -> str:
    """The place of a table as seen from the working folder."""
    path = str(table.get("path")) if isinstance(table, dict) else "of unknown place"
    return os.path.relpath(out.resolve() / path)
