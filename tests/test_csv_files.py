"""CSV files as text: what is read of them, and where their faults are."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablation.errors import FileError, UserError
from ablation.results import csv_files
from ablation.results.csv_files import Numbers, TextTable, disarmed, number_hint, numbers, read_table, rearmed

KEYS = ("variant", "seed")


def read(folder: Path, text: str | bytes) -> TextTable:
    path = folder / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path, KEYS)


def faults(folder: Path, text: str | bytes) -> list[tuple[int, int, str, str | None]]:
    with pytest.raises(FileError) as caught:
        read(folder, text)
    return [(own.line, own.column, own.message, own.hint) for own in caught.value.problems]


def column(folder: Path, cells: str, delimiter: str = ",") -> tuple[TextTable, Numbers]:
    rows = [f"a{delimiter}{n}{delimiter}{cell}" for n, cell in enumerate(cells.split("|"))]
    table = read(folder, "\n".join([f"variant{delimiter}seed{delimiter}x", *rows]))
    return table, numbers(table, "x")


@pytest.mark.parametrize("text", ["=1+1", "+a", "-", "@x", "\tx", "\rx", "'=x", "''-x"])
def test_what_a_spreadsheet_would_run_is_disarmed(text: str) -> None:
    assert disarmed(text) == f"'{text}"
    assert rearmed(disarmed(text)) == text


@pytest.mark.parametrize("text", ["a", "", "a=1", "'a", "1", " =x"])
def test_other_text_stays(text: str) -> None:
    assert (disarmed(text), rearmed(text)) == (text, text)


def test_cells_have_no_white_space_and_blank_rows_and_unnamed_columns_are_left_out(tmp_path: Path) -> None:
    table = read(tmp_path, "variant, seed ,,x\n a ,1,note, 2 \n\n,,,\n  , , ,\nb,2,,3,,\n")
    assert table.columns == {"variant": ["a", "b"], "seed": ["1", "2"], "x": ["2", "3"]}
    assert (table.places, table.lines, table.header_line, table.delimiter) == (
        {"variant": 0, "seed": 1, "x": 3}, [2, 6], 1, ",",
    )  # fmt: skip


def test_a_cell_with_line_breaks_counts_its_lines(tmp_path: Path) -> None:
    table = read(tmp_path, '\n\nvariant,seed,x\n"a\nb",1,2\nc,1,2\n')
    assert (table.header_line, table.lines) == (1, [4, 6]) or (table.header_line, table.lines) == (3, [4, 6])
    assert table.columns["variant"] == ["a\nb", "c"]


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [
        ("variant;seed;a,b", ";"), ("variant\tseed\ta", "\t"), ("variant,seed,a;b;c;d;e", ","),
        ('"variant";"seed";"a,b,c,d"', ";"), ("variant,seed;x", ","),
    ],
)  # fmt: skip
def test_the_separator_is_the_one_that_shows_the_keys(header: str, delimiter: str) -> None:
    assert csv_files._delimiter(header, KEYS) == delimiter


@pytest.mark.parametrize("mark", ["sep=|", "SEP=|", "sep=|  "])
def test_the_mark_of_a_spreadsheet_says_the_separator(mark: str, tmp_path: Path) -> None:
    table = read(tmp_path, f"{mark}\nvariant|seed|x\na|1|2\n")
    assert (table.delimiter, table.header_line, table.lines) == ("|", 2, [3])
    ((line, place, message, hint),) = faults(tmp_path, f"{mark}\nvariant|seed|x\na|1\n")
    assert (line, place, message, hint) == (3, 1, "2 cells in this row, 3 in the header", "separate the cells by '|'")


def test_an_empty_table(tmp_path: Path) -> None:
    hint = "write a row of column names: variant, seed, and a metric"
    for text in ("", "\n\n", "sep=;\n", "sep=;"):
        assert faults(tmp_path, text) == [(1, 1, "the table is empty", hint)]
    assert faults(tmp_path, "variant,seed,x\n,,\n") == [(1, 1, "the table has no rows", "write a row for each run")]


def test_faults_of_the_header(tmp_path: Path) -> None:
    assert faults(tmp_path, "varaint,seed,x,seed\n") == [
        (1, 1, "the table has no column 'variant'", "rename 'varaint' to 'variant'"),
        (1, 16, "a second column 'seed'", "rename one of them"),
    ]
    assert faults(tmp_path, "seed,zzzzzz\n") == [
        (1, 1, "the table has no column 'variant'", "the columns are: seed, zzzzzz")
    ]
    assert faults(tmp_path, ",,\n")[0][3] == "the columns are: none"
    assert faults(tmp_path, "variant,seed,,\na,1,,\n") == [
        (1, 1, "the table has no metric", "add a column such as val_accuracy")
    ]


def test_rows_of_another_length(tmp_path: Path) -> None:
    wide = "quote cells with commas; for decimal commas, separate columns by semicolons"
    assert faults(tmp_path, "variant,seed,x\na,1\nb,1,2,3\nc,1,2\n") == [
        (2, 1, "2 cells in this row, 3 in the header", "separate the cells by commas"),
        (3, 1, "4 cells in this row, 3 in the header", wide),
    ]
    assert faults(tmp_path, "variant;seed;x\nb;1;2;3\n")[0][3] == "separate the cells by semicolons"
    assert faults(tmp_path, "variant\tseed\tx\nb\t1\n")[0][3] == "separate the cells by tabs"
    assert read(tmp_path, "variant,seed,x,,\na,1,2\nb,1,2,,\n").columns["x"] == ["2", "2"]


def test_text_that_is_no_csv(tmp_path: Path) -> None:
    quotes = 'close every quotation mark, and write "" for one inside a quoted cell'
    ((line, place, message, hint),) = faults(tmp_path, 'variant,seed,x\na,1,2\nb,1,"2\n')
    assert (line, place, hint) == (3, 1, quotes)
    assert message.startswith("this is not valid CSV: ")
    ((line, _, message, hint),) = faults(tmp_path, f'variant,seed,x\na,1,2\n"{"y" * 140_000}",1,2\n')
    assert (line, message, hint) == (3, "a cell has more than 131,072 characters", "is a quotation mark missing?")


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (b"PK\x03\x04x", "is a workbook, not text", "save it as CSV (UTF-8)"),
        (b"\xd0\xcf\x11\xe0x", "is a workbook, not text", "save it as CSV (UTF-8)"),
        (b"variant\xff,", "is not UTF-8 text (byte 7)", "save it as CSV in UTF-8"),
        (b"\xff\xfea", "is not UTF-16 text (byte 2)", "save it as CSV in UTF-8"),
        ("variant".encode("utf-16-le"), "has NUL bytes", "save it as CSV in UTF-8"),
    ],
)
def test_a_file_that_is_no_text(content: bytes, message: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, content)
    assert caught.value.message.startswith(f"{tmp_path / 't.csv'} {message}")
    assert caught.value.hint == hint


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_every_encoding_with_a_mark_is_read(encoding: str, tmp_path: Path) -> None:
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    table = read(tmp_path, mark + "variant,seed,x\nGröße,1,2\n".encode(encoding))
    assert table.columns["variant"] == ["Größe"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no table at .*runs.csv") as caught:
        read_table(tmp_path / "runs.csv", KEYS)
    assert caught.value.hint == "write a CSV file with the columns variant, seed and a metric"
    (tmp_path / "run.csv").touch()
    with pytest.raises(UserError) as caught:
        read_table(tmp_path / "runs.csv", KEYS)
    assert caught.value.hint == f"did you mean {tmp_path / 'run.csv'}?"
    with pytest.raises(UserError, match="is not a file") as caught:
        read_table(tmp_path, KEYS)
    assert caught.value.hint == "name a CSV file"


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert csv_files.MOST_BYTES == 1_073_741_824
    text = "variant,seed,x\na,1,2\n"
    monkeypatch.setattr(csv_files, "MOST_BYTES", len(text))
    read(tmp_path, text)
    with pytest.raises(UserError, match="is larger than 1 GiB"):
        read(tmp_path, text + "\n")


def test_twenty_faults_are_shown(tmp_path: Path) -> None:
    with pytest.raises(FileError) as caught:
        read(tmp_path, "variant,seed,x\n" + "a,1\n" * 25)
    assert len(caught.value.problems) == 25
    assert str(caught.value).count("2 cells in this row") == 20
    assert str(caught.value).endswith("and 5 more")
    with pytest.raises(FileError) as caught:
        read(tmp_path, "variant,seed," + "x," * 25 + "\n")
    assert str(caught.value).endswith("and 4 more")
    table = read(tmp_path, "variant,seed,x\na,1,2\n")
    assert str(table.error([table.problem(0, "x", str(n)) for n in range(22)])).endswith("and 2 more")


@pytest.mark.parametrize(
    ("line", "delimiter", "place", "position"),
    [
        ("a,b,c", ",", 0, 1), ("a,b,c", ",", 2, 5), ('"a,b",c', ",", 1, 7), ('"a""b,",c', ",", 1, 9),
        ("a,b,", ",", 2, 5), ("a,b", ",", 2, 1), ("a;b", ";", 1, 3), ("", ",", 0, 1), ("a,", ",", 1, 3),
    ],
)  # fmt: skip
def test_where_a_cell_begins(line: str, delimiter: str, place: int, position: int) -> None:
    assert csv_files._position(line, delimiter, place) == position


def test_a_fault_of_a_column_is_in_the_header(tmp_path: Path) -> None:
    table = read(tmp_path, "sep=,\nvariant,seed,x\naa,1,2\nb,1,2\n")
    found = [table.problem(None, "x", "m", "h"), table.problem(0, "x", "m"), table.problem(1, "seed", "m")]
    assert [(own.line, own.column, own.hint) for own in found] == [(2, 14, "h"), (3, 6, None), (4, 3, None)]


def test_numbers_of_every_form(tmp_path: Path) -> None:
    _, found = column(tmp_path, "1|-2.5|+.5|1e3|1E-2|3.|nan|-inf|Infinity|NaN||50%|7 %|x|%")
    values = found.values
    assert values[:6] == [1, -2.5, 0.5, 1000, 0.01, 3]
    assert [str(value) for value in values[6:10]] == ["nan", "-inf", "inf", "nan"]
    assert values[10:] == [None, 50, 7, None, None]
    assert found.per_cent == [False] * 11 + [True, True, False, True]
    assert (found.unread, found.pointed, found.meant, found.found) == ([13, 14], [], 12, 12)


@pytest.mark.parametrize(
    "cell", ["1_000", "0x1f", "1e", "e5", ".", "+", "--1", "1 2", "1.2.3", "\u0661", "1,5", "inff"]
)
def test_what_is_no_number(cell: str, tmp_path: Path) -> None:
    quoted = f'"{cell}"'
    _, found = column(tmp_path, quoted)
    assert (found.values, found.unread) == ([None], [0])


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_decimal_commas(delimiter: str, tmp_path: Path) -> None:
    _, found = column(tmp_path, "1,5|-,25|2,5e-1|12,5%|3|1.5|2,5 %", delimiter)
    assert found.values == [1.5, -0.25, 0.25, 12.5, 3, 1.5, 2.5]
    assert found.pointed == [5]
    assert found.per_cent == [False, False, False, True, False, False, True]
    _, found = column(tmp_path, "1.5|2.5", delimiter)
    assert found.pointed == []


def test_what_was_meant_to_be_a_number_counts_as_meant(tmp_path: Path) -> None:
    _, found = column(tmp_path, '"1,5"|"1,234.5"|1\'000|word|2|')
    assert (found.meant, found.unread, found.found) == (4, [0, 1, 2, 3], 1)


@pytest.mark.parametrize(
    ("cell", "delimiter", "hint"),
    [
        ("0,95", ",", "for a decimal comma write 0.95, or separate the columns by semicolons"),
        ("1,234,567", ",", "write numbers without marks for thousands"),
        ("1.234.567", ";", "write numbers without marks for thousands"),
        ("1 000", ",", "write numbers without marks for thousands"),
        ("0,95", ";", None), ("word", ",", None), ("1000", ",", None),
    ],
)  # fmt: skip
def test_hints_for_numbers(cell: str, delimiter: str, hint: str | None, tmp_path: Path) -> None:
    table = read(tmp_path, f"variant{delimiter}seed{delimiter}x\na{delimiter}1{delimiter}2\n")
    assert number_hint(table, cell) == hint
