"""What an experiment tracker holds of a run, and values of parameters that can be compared."""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ablation._util.formatting import plural
from ablation._util.nested import leaves
from ablation._util.sanitize import read_file
from ablation.errors import UserError
from ablation.results.foreign.event_files import Series

Status = Literal["finished", "diverged", "crashed", "interrupted"]
UNSET = "unset"
"""The value of a parameter in a run that did not log it."""
COMMIT = 12
"""Characters of a commit that are shown and compared."""
_MOST_BYTES = 2**26
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,15}\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_SAME = {"True": "true", "False": "false", "None": "none", "null": "none", "~": "none", "": "none"}


@dataclass(frozen=True)
class Declared:
    """What the user says of the runs of an experiment."""

    vary: tuple[str, ...]
    """The parameters whose values make the variants."""
    seed: str
    metric: str
    experiment: str | None = None
    baseline: Mapping[str, str] | None = None
    """Values of varied parameters in canonical form; None: the one that the runs show."""
    ignore: frozenset[str] = frozenset()
    """Parameters that may differ between runs that are compared."""


@dataclass(frozen=True)
class LoggedRun:
    """A run as its tool shows it."""

    name: str
    """Its ID or folder."""
    parameters: Mapping[str, str]
    """Name -> value in canonical form (`canonical`); names inside of others are joined by points."""
    series: Series
    status: Status = "finished"


@dataclass(frozen=True)
class LoggedRuns:
    """The runs of one experiment, the earliest first."""

    title: str
    runs: tuple[LoggedRun, ...]
    notes: tuple[str, ...] = ()
    """What was left out, or assumed, in one line each."""


def label(name: str, identity: str) -> str:
    """How messages call a run that has a name and an ID: both, since only the ID is unique."""
    return f"{name} ({identity[:8]})" if name and name != identity else identity


def canonical(value: object) -> str:
    """One text for each value, however a tool writes it: `0.10`, `1e-1` and 0.1 are the same, and so are True and true.

    >>> [canonical(own) for own in ("1e-3", 0.001, 1.0, "1", True, "None", [1, "a"])]
    ['0.001', '0.001', '1', '1', 'true', 'none', '[1, "a"]']
    """
    if value is None or isinstance(value, bool):
        return _SAME[str(value)]
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    text = " ".join(str(value).split())
    if not isinstance(value, int | float) and not _NUMBER.fullmatch(text):
        return _SAME.get(text, text)
    own = float(value) if isinstance(value, int | float) else float(text)
    if isinstance(value, int) and abs(value) >= 2**53:
        return str(value)
    return str(int(own)) if math.isfinite(own) and own == int(own) and abs(own) < 2**53 else repr(own)


def parameters(values: Mapping[str, Any]) -> dict[str, str]:
    """Nested parameters as flat ones in canonical form."""
    return {name: canonical(value) for name, value in leaves(values)}


def read_config(path: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file. Objects that YAML describes for Python are read as what they are made of.

    Raises UserError for a file that is neither, with the line.
    """
    text = read_file(path, _MOST_BYTES).decode("utf-8", "replace")
    found = _json(path, text) if path.suffix == ".json" else _yaml(path, text)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UserError(f"{path} holds no names and values", "it must be a mapping such as {lr: 0.1}")
    return {str(name): value for name, value in found.items()}


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}", "correct it, or take it out of the folder") from None


def _yaml(path: Path, text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Unknown tags are ignored: nothing is built or imported."""

    def plain(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        return loader.construct_sequence(node, True) if isinstance(node, yaml.SequenceNode) else str(node.value)

    Loader.add_multi_constructor("", plain)
    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f"{path}:{line + 1}" if line is not None else str(path)
        raise UserError(f"{where}: this is not YAML", "correct it, or take it out of the folder") from None


@contextmanager
def database(path: Path, tables: tuple[str, ...], tool: str) -> Iterator[sqlite3.Connection]:
    """A SQLite file, opened for reading alone. Raises UserError where it is none, or lacks tables of the tool."""
    if not path.is_file():
        raise UserError(f"no file at {path}", f"name the SQLite file of {tool}")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            held = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            lacking = [name for name in tables if name not in held]
            if lacking:
                raise UserError(f"{path} has no table {lacking[0]!r}", f"name the SQLite file of {tool}")
            yield connection
    except sqlite3.Error as error:
        raise UserError(f"{path} cannot be read: {error}", f"name the SQLite file of {tool}") from None


def columns(connection: sqlite3.Connection, table: str) -> set[str]:
    """The names of the columns of a table."""
    return {str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}


def chosen(names: Mapping[str, int], wanted: str | None, what: str, path: Path) -> str:
    """The experiment that is wanted, or the only one that has runs. `names` says how many runs each has.

    Raises UserError where there is no such experiment, or the choice is open.
    """
    listing = ", ".join(f"{name} ({plural(count, 'run')})" for name, count in sorted(names.items()))
    if wanted is not None and wanted not in names:
        raise UserError(f"{path} has no {what} {wanted!r}", f"it has: {listing or 'none'}")
    if wanted is None and len(names) != 1:
        if not names:
            raise UserError(f"{path} has no runs", "is it the right file?")
        raise UserError(f"{path} has {len(names)} {what}s with runs", f"choose one by --experiment: {listing}")
    return wanted if wanted is not None else next(iter(names))
