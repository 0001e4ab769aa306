"""Tables as CSV files: read as spreadsheets and programs of every country write them, and written so that none runs
a cell as a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablation.errors import FileError, Problem, UserError
from ablation.registry.catalog import nearest

MOST_BYTES = 2**30
MOST_PROBLEMS = 20
"""Faults of a table that are shown."""
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_MARKED = re.compile(r"'+[=+\-@\t\r]")
_EXCEL_HINT = re.compile(r"sep=(.)\s*", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\r|\n")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?\s*%?")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:[.,' ][0-9]{3})+(?:[.,][0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)


def disarmed(text: str) -> str:
    """A text cell that a spreadsheet shows as text: an apostrophe before what it would run as a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def rearmed(cell: str) -> str:
    """The inverse of `disarmed`."""
    return cell[1:] if _MARKED.match(cell) else cell


@dataclass(frozen=True)
class TextTable:
    """A CSV file as text: its named columns, all of one length, and the line on which each row begins.

    Cells have no white space around them. Columns without a name and rows without a value are left out.
    """

    path: Path
    source: tuple[str, ...]
    delimiter: str
    header_line: int
    places: dict[str, int]
    """Name of a column -> its place in a row."""
    columns: dict[str, list[str]]
    lines: list[int]

    def problem(self, row: int | None, column: str, message: str, hint: str | None = None) -> Problem:
        """A fault of a cell, or with no row of the head of a column."""
        line = self.header_line if row is None else self.lines[row]
        return Problem(line, _position(self.source[line - 1], self.delimiter, self.places[column]), message, hint)

    def error(self, problems: Sequence[Problem]) -> FileError:
        return FileError(str(self.path), problems, self.source, MOST_PROBLEMS)


def read_table(path: Path, keys: Sequence[str]) -> TextTable:
    """Read a table that has the columns `keys`.

    UTF-8, or UTF-16 with a byte order mark; separated by commas, semicolons or tabs, whichever the header shows. Raises
    UserError where there is no such file or no such text, FileError with every fault of the table.
    """
    text = _text(path, keys)
    source = tuple(_LINE_END.split(text))
    marked = _EXCEL_HINT.fullmatch(source[0])
    first = 1 if marked else 0
    delimiter = marked[1] if marked else _delimiter(source[0], keys)
    records = list(_records(path, text, source, delimiter))[first:]
    if not records:
        problem = Problem(1, 1, "the table is empty", f"write a row of column names: {', '.join(keys)}, and a metric")
        raise FileError(str(path), [problem], source)
    (header_line, header), body = records[0], records[1:]
    names = [rearmed(name.strip()) for name in header]
    problems = _header_problems(header_line, names, keys, source, delimiter)
    if problems:
        raise FileError(str(path), problems, source, MOST_PROBLEMS)
    rows = [(line, [rearmed(cell.strip()) for cell in row]) for line, row in body if any(map(str.strip, row))]
    problems = [_ragged(line, row, names, delimiter) for line, row in rows if not _fits(row, names)]
    if not rows:
        problems = [Problem(header_line, 1, "the table has no rows", "write a row for each run")]
    if problems:
        raise FileError(str(path), problems, source, MOST_PROBLEMS)
    places = {name: place for place, name in enumerate(names) if name}
    columns = {name: [row[place] if place < len(row) else "" for _, row in rows] for name, place in places.items()}
    return TextTable(path, source, delimiter, header_line, places, columns, [line for line, _ in rows])


def _text(path: Path, keys: Sequence[str]) -> str:
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a file", "name a CSV file")
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} is larger than 1 GiB", "leave out what the report does not need")
        data = path.read_bytes()
    except FileNotFoundError:
        nearby = [str(other) for other in sorted(path.parent.glob("*.csv"))]
        close = nearest(str(path), nearby)
        hint = (
            f"did you mean {close}?" if close else f"write a CSV file with the columns {', '.join(keys)} and a metric"
        )
        raise UserError(f"no table at {path}", hint) from None
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise UserError(f"{path} is a workbook, not text", "save it as CSV (UTF-8)")
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        message = f"{path} is not {encoding.removesuffix('-sig').upper()} text (byte {error.start})"
        raise UserError(message, "save it as CSV in UTF-8") from None
    if "\0" in text:
        raise UserError(f"{path} has NUL bytes: it is not text, or UTF-16 without a mark", "save it as CSV in UTF-8")
    return text


def _delimiter(header: str, keys: Sequence[str]) -> str:
    """What separates the columns: what lays all keys bare in the header, else what occurs in it most often."""

    def laid_bare(delimiter: str) -> tuple[int, int]:
        cells = [cell.strip() for cell in next(csv.reader([header], delimiter=delimiter), [])]
        return sum(key in cells for key in keys), len(cells)

    return max(_DELIMITERS, key=laid_bare)


def _records(path: Path, text: str, source: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line on which it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        if "field limit" in str(error):
            what = f"a cell has more than {csv.field_size_limit():,} characters"
            raise FileError(str(path), [Problem(line, 1, what, "is a quotation mark missing?")], source) from None
        what = f"this is not valid CSV: {error}"
        hint = 'close every quotation mark, and write "" for one inside a quoted cell'
        raise FileError(str(path), [Problem(line, 1, what, hint)], source) from None


def _header_problems(
    line: int, names: Sequence[str], keys: Sequence[str], source: Sequence[str], delimiter: str
) -> list[Problem]:
    problems = []
    listing = ", ".join(name for name in names if name) or "none"
    for key in keys:
        if key not in names:
            close = nearest(key, [name for name in names if name not in keys])
            hint = f"rename {close!r} to {key!r}" if close else f"the columns are: {listing}"
            problems.append(Problem(line, 1, f"the table has no column {key!r}", hint))
    for place, name in enumerate(names):
        if name and names.index(name) < place:
            column = _position(source[line - 1], delimiter, place)
            problems.append(Problem(line, column, f"a second column {name!r}", "rename one of them"))
    if not problems and not any(name and name not in keys for name in names):
        problems.append(Problem(line, 1, "the table has no metric", "add a column such as val_accuracy"))
    return problems


def _fits(row: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a row has a cell for each column; empty ones beyond the last name do not count."""
    named = max(place for place, name in enumerate(names) if name) + 1
    return len(row) >= named and not any(row[len(names) :])


def _ragged(line: int, row: Sequence[str], names: Sequence[str], delimiter: str) -> Problem:
    message = f"{len(row)} cells in this row, {len(names)} in the header"
    if delimiter == "," and len(row) > len(names):
        return Problem(line, 1, message, "quote cells with commas; for decimal commas, separate columns by semicolons")
    return Problem(line, 1, message, f"separate the cells by {_DELIMITERS.get(delimiter, repr(delimiter))}")


def _position(text: str, delimiter: str, place: int) -> int:
    """The column, from 1, at which cell number `place` of a line begins."""
    quoted = False
    for position, character in enumerate(text):
        if place == 0:
            return position + 1
        if character == '"':
            quoted = not quoted
        elif character == delimiter and not quoted:
            place -= 1
    return len(text) + 1 if place == 0 else 1


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: None for an empty cell, NaN or infinite where it says so; `per_cent` marks cells with %."""

    values: list[float | None]
    per_cent: list[bool]
    unread: list[int]
    """Rows whose cell is no number."""
    pointed: list[int]
    """Rows with a decimal point in a column that has decimal commas too."""

    meant: int
    """How many cells are numbers, or were meant to be."""

    @property
    def found(self) -> int:
        return sum(value is not None for value in self.values)


def numbers(table: TextTable, name: str) -> Numbers:
    """The cells of a column as numbers. Where semicolons or tabs separate columns, a decimal comma is one."""
    values: list[float | None] = []
    per_cent: list[bool] = []
    unread: list[int] = []
    pointed: list[int] = []
    commas = False
    for row, cell in enumerate(table.columns[name]):
        per_cent.append(cell.endswith("%"))
        text = cell.removesuffix("%").rstrip()
        if table.delimiter != "," and _DECIMAL_COMMA.fullmatch(text):
            text, commas = text.replace(",", "."), True
        elif "." in text:
            pointed.append(row)
        if _NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text):
            values.append(float(text))
        else:
            values.append(None)
            if cell:
                unread.append(row)
    cells = [table.columns[name][row] for row in unread]
    meant = len(values) - values.count(None) + sum(number_hint(table, cell) is not None for cell in cells)
    return Numbers(values, per_cent, unread, pointed if commas else [], meant)


def number_hint(table: TextTable, cell: str) -> str | None:
    """How to write a cell that is meant to be a number; None for any other text."""
    if table.delimiter == "," and _DECIMAL_COMMA.fullmatch(cell):
        return f"for a decimal comma write {cell.replace(',', '.')}, or separate the columns by semicolons"
    return "write numbers without marks for thousands" if _THOUSANDS.fullmatch(cell) else None
