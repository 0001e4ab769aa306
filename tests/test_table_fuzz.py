"""Thousands of changed tables: the same values however they are written, or one error with the line of each fault."""

from __future__ import annotations

import csv
import io
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ablation._util.sanitize import clean
from ablation.errors import FileError, UserError
from ablation.results.csv_files import MOST_PROBLEMS, disarmed
from ablation.results.runs import Results
from ablation.results.tables import STATES, read_results

NAMES = (
    *("base", "a", "dropout=0.5", "+aug, flip", "=1+1", 'say "x"', "Größe", "x;y", "-", "'", "5", "a\u0301"),
    "\U0001f600",
)
METRICS = ("accuracy", "val_loss", "test_f1", "rmse", "top1_err", "val_acc")
HOSTILE = (
    *("", " ", "nan", "NaN", "inf", "-inf", "null", "None", "n/a", "-", "0", "-0.0", "1e400", "1e-400", "1e101"),
    *("9" * 20, "9" * 5000, "1_000", "1,5", "1.5", "1.234.567", "1 000", "50%", "%", "50 %", "\u0661", "\u00bd"),
    *("true", "x" * 201, "a\nb", '"', '""', "'", "''=1", "=cmd|' /C calc'!A0", "@x", "\t", "\x00", "\x1b[2J"),
    *("variant", "seed", "base", "finished", "crashed", "1.0", "-3", "1.5", "2e3", "\ufeff", "\u2028", "\x85"),
    *("\x0b", "\r", "0x1F", "1e", ".", "+", "\u202e", "\ud83d"),
)
SECONDS = 2.0


@dataclass(frozen=True)
class Table:
    """Rows of text with the header first, and how they are written."""

    rows: tuple[tuple[str, ...], ...]
    delimiter: str = ","
    end: str = "\n"
    quoting: int = csv.QUOTE_MINIMAL
    encoding: str = "utf-8"
    marked: bool = False
    suffix: str = ""

    def encode(self) -> bytes:
        stream = io.StringIO()
        csv.writer(stream, delimiter=self.delimiter, lineterminator=self.end, quoting=self.quoting).writerows(self.rows)  # type: ignore[arg-type]
        text = (
            (f"sep={self.delimiter}\n" if self.marked else "")
            + stream.getvalue()
            + self.suffix.replace(",", self.delimiter)
        )
        return text.encode(self.encoding, "surrogatepass")


def valid(draw: random.Random) -> Table:
    names = ("base", *draw.sample(NAMES[1:], draw.randint(0, 3)))
    metrics = draw.sample(METRICS, draw.randint(1, 2))
    rows = [("variant", "seed", *metrics)]
    for name in names:
        for seed in range(draw.randint(1, 3)):
            cells = [
                draw.choice(("", "nan")) if draw.random() < 0.05 else f"{draw.uniform(0.01, 0.99):.6g}" for _ in metrics
            ]
            rows.append((disarmed(name), str(seed), *cells))
    if all(not row[2] for row in rows):
        rows[1] = (*rows[1][:2], "0.5", *rows[1][3:])
    rows[1] = (*rows[1][:2], *("0.5" for _ in metrics))
    return Table(tuple(rows))


def _columns_moved(draw: random.Random, table: Table) -> Table:
    order = [*range(len(table.rows[0]))]
    first = min(place for place, name in enumerate(table.rows[0]) if name in METRICS)
    others = [place for place in order if place != first]
    draw.shuffle(others)  # the first metric stays the first: it is the primary one
    order = [*[place for place in others if table.rows[0][place] not in METRICS], first]
    order += [place for place in others if table.rows[0][place] in METRICS]
    return replace(table, rows=tuple(tuple(row[place] for place in order) for row in table.rows))


def _rows_moved(draw: random.Random, table: Table) -> Table:
    """The rows of each variant in another order; that of the variants decides the order of the report."""
    first = {row: place for place, row in reversed([*enumerate(r[table.rows[0].index("variant")] for r in table.rows)])}
    column = table.rows[0].index("variant")
    body = sorted(table.rows[1:], key=lambda row: (first[row[column]], draw.random()))
    return replace(table, rows=(table.rows[0], *body))


def _column_added(draw: random.Random, table: Table) -> Table:
    name, cell = draw.choice((("note", "text"), ("", ""), ("host", "node=7"), ("comment", "'=x")))
    return replace(table, rows=(*((*row, cell if n else name) for n, row in enumerate(table.rows)),))


def _cells(change: Callable[[str], str], columns: Sequence[str] = ()) -> Callable[[random.Random, Table], Table]:
    def apply(draw: random.Random, table: Table) -> Table:
        places = [place for place, name in enumerate(table.rows[0]) if name in columns]
        body = [[change(c) if c and n in places else c for n, c in enumerate(row)] for row in table.rows[1:]]
        return replace(table, rows=(table.rows[0], *map(tuple, body)))

    return apply


def _decimal_commas(draw: random.Random, table: Table) -> Table:
    changed = _cells(lambda cell: cell.replace(".", ","), METRICS)(draw, table)
    return replace(changed, delimiter=draw.choice((";", "\t")))


SAME: tuple[Callable[[random.Random, Table], Table], ...] = (
    lambda draw, table: replace(table, delimiter=draw.choice((",", ";", "\t"))),
    lambda draw, table: replace(table, end=draw.choice(("\r\n", "\r", "\n\n", "\r\n\r\n"))),
    lambda draw, table: replace(table, quoting=csv.QUOTE_ALL),
    lambda draw, table: replace(table, encoding=draw.choice(("utf-8-sig", "utf-16"))),
    lambda draw, table: replace(table, marked=True),
    lambda draw, table: replace(table, suffix=draw.choice(("\n\n", ",,\n", " \n", '""\n'))),
    _columns_moved,
    _rows_moved,
    _column_added,
    _cells(lambda cell: f" {cell}  ", (*METRICS, "seed", "variant")),
    _cells(lambda cell: f"+{cell}" if cell[0].isdigit() else cell, ("seed",)),
    _cells(lambda cell: f"{cell}.0" if cell.isdigit() else cell, ("seed",)),
    _cells(lambda cell: f"{float(cell)!r}e0" if cell[-1].isdigit() else cell, METRICS),
    _cells(lambda cell: cell.upper().removeprefix("0"), METRICS),
)  # fmt: skip
"""Other ways to write the same table."""


def damaged(draw: random.Random, table: Table) -> bytes:
    """A table with hostile cells, a changed shape, or damaged bytes."""
    rows = [list(row) for row in table.rows]
    for _ in range(draw.choice((1, 1, 2, 5))):
        row = draw.choice(rows)
        kind = draw.randrange(9)
        if kind < 4 and row:
            row[draw.randrange(len(row))] = draw.choice(HOSTILE)
        elif kind == 4 and row:
            del row[draw.randrange(len(row))]
        elif kind == 5:
            row.insert(draw.randint(0, len(row)), draw.choice(HOSTILE))
        elif kind == 6:
            rows.insert(draw.randint(0, len(rows)), [*row])
        elif kind == 7 and len(rows) > 1:
            rows.remove(row)
        elif row:
            place = draw.randrange(len(row))
            row[place] += draw.choice(HOSTILE)
    content = replace(table, rows=tuple(map(tuple, rows))).encode()
    return _damaged_bytes(draw, bytearray(content)) if draw.random() < 0.3 else content


def _damaged_bytes(draw: random.Random, content: bytearray) -> bytes:
    for _ in range(draw.choice((1, 1, 3))):
        place = draw.randrange(len(content) + 1)
        kind = draw.randrange(4)
        if kind == 0 and place < len(content):
            content[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del content[place : place + draw.randint(1, 20)]
        elif kind == 2:
            content[place:place] = draw.choice(HOSTILE).encode("utf-8", "surrogatepass")
        else:
            content[place:place] = draw.choice(
                (b"\xff", b"\xfe\xff", b"PK\x03\x04", b"\xef\xbb\xbf", b"\0", b'"', b"\r")
            )
    return bytes(content)


def read(path: Path, content: bytes) -> Results:
    path.write_bytes(content)
    return read_results(path, "base", direction="higher")


def check_results(results: Results) -> None:
    """A row for each variant and seed, with a status and numbers that the analysis can use."""
    runs = results.runs
    names = [variant.name for variant in results.manifest.variants]
    assert names[0] == "base"
    assert list(zip(runs.variant, runs.seed, strict=True)) == [(n, s) for n in names for s in results.manifest.seeds]
    metric = results.manifest.analysis["metric"]
    assert set(runs.status) <= set(STATES)
    for status, value in zip(runs.status, runs[metric], strict=True):
        assert math.isfinite(value) if status == "finished" else status in STATES
        assert not math.isfinite(value) or abs(value) <= (1 if results.metrics[metric].share else 1e100)
    for name in names:
        clean(name).encode()


def check_error(error: UserError, path: Path, damaged: bytes) -> None:
    """It names the file, says what to do, and shows at most so many places, each of them in the file."""
    assert path.read_bytes() == damaged, f"a table that is not damaged is refused: {error}"
    assert str(path) in error.message
    if isinstance(error, FileError):
        assert error.problems
        assert str(error).count(f"{path}:") <= MOST_PROBLEMS + 1
        for problem in error.problems:
            assert 1 <= problem.line <= len(error.source)
            assert 1 <= problem.column <= len(error.source[problem.line - 1]) + 1
            assert problem.message
    clean(str(error)).encode()


def fuzz(folder: Path, count: int, seed: int) -> Counter[str]:
    """Read `count` tables; how many were the same, damaged and read, and refused."""
    outcomes, draw, began = Counter[str](), random.Random(seed), time.process_time()
    path = folder / "runs.csv"
    while outcomes.total() < count:
        table = valid(draw)
        whole = read(path, table.encode())
        check_results(whole)
        for _ in range(6):
            same = table
            for change in draw.sample(SAME, draw.randint(1, 3)):
                same = change(draw, same)
            if draw.random() < 0.1:
                same = _decimal_commas(draw, same)
            bad, start = damaged(draw, same), time.process_time()
            try:
                now = read(path, same.encode())
                assert now.manifest == whole.manifest
                assert now.runs.equals(whole.runs[list(now.runs)])
                outcomes["same"] += 1
                check_results(read(path, bad))
                outcomes["read"] += 1
            except UserError as error:
                check_error(error, path, bad)
                outcomes["refused"] += 1
            except Exception as error:
                raise AssertionError(f"table of seed {seed}: {path.read_bytes()!r}") from error
            assert time.process_time() - start < SECONDS
    print(f"{outcomes.total():,} tables, {dict(outcomes)}, {time.process_time() - began:.0f} s of CPU")
    return outcomes


def test_a_changed_table_is_read_with_the_same_values_or_is_refused_with_its_faults(tmp_path: Path) -> None:
    outcomes = fuzz(tmp_path, 200, seed=0)
    assert min(outcomes["same"], outcomes["read"], outcomes["refused"]) >= 10


@pytest.mark.slow
def test_thousands_of_changed_tables(tmp_path: Path) -> None:
    outcomes = fuzz(tmp_path, 2000, seed=1)
    assert min(outcomes["same"], outcomes["read"], outcomes["refused"]) >= 80
