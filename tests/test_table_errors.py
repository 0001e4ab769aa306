"""Tables that cannot be read: one error, located, with what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ablation.cli.main import main
from tests.tables import table, write

Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """The error of a table that is refused, with nothing written."""
    monkeypatch.chdir(tmp_path)

    def call(table: str | bytes, *arguments: str, epochs: str = "", base: str = "base") -> str:
        write(tmp_path / "runs.csv", table)
        if epochs:
            write(tmp_path / "epochs.csv", epochs)
            arguments = (*arguments, "--epochs", "epochs.csv")
        assert main(["report", "--from", "runs.csv", "--baseline", base, *arguments]) == 1
        assert not (tmp_path / "reports").exists()
        printed = capsys.readouterr()
        assert not printed.out
        return printed.err

    return call


REFUSED = {
    "an unknown name": (
        table("score"), (),
        ["whether more or less of 'score' is better", "--direction higher or --direction lower"],
    ),
    "an acceleration": (table("acceleration"), (), ["'acceleration'", "--direction"]),
    "both in one name": (table("accuracy_error"), (), ["'accuracy_error'", "--direction"]),
    "a turned direction": (table("neg_mse"), (), ["'neg_mse'", "--direction"]),
    "one typo": (
        table() + "b,0,95.1\nb,1,0.9\n", (),
        ["runs.csv:10:5: accuracy is 95.1 among fractions of 1", "--unit"],
    ),
    "just above one": (
        table() + "b,0,1.0000001\nb,1,0.9\n", (),
        ["runs.csv:10:5: accuracy is 1.0000001 among fractions"],
    ),
    "one fraction": (table(values=(90, 93)) + "b,0,0.9\n", (), ["runs.csv:10:5: accuracy is 0.9 among percentages"]),
    "above a hundred": (table() + "b,0,120\n", (), ["runs.csv:10:5: accuracy is 120;", "--unit raw"]),
    "negative": (table() + "b,0,-0.1\n", (), ["runs.csv:10:5: accuracy is -0.1;"]),
    "no fraction": (table(values=(90, 93)), ("--unit", "share"), ["accuracy is 90", "must be between 0 and 1"]),
    "no percentage": (table(values=(90, 193)), ("--unit", "percent"), ["accuracy is 193", "must be between 0 and 100"]),
    "signs of some": (
        table() + "b,0,90%\n", (),
        ["runs.csv:10:5: accuracy has a per cent sign here, but not elsewhere"],
    ),
    "signs and a share": (
        table(form=lambda v: f"{v}%"), ("--unit", "share"),
        ["per cent signs", "leave out --unit share"],
    ),
    "a decimal comma": (
        'variant,seed,accuracy\nbase,0,"0,95"\nbase,1,0.9\n', (),
        ["runs.csv:2:8: accuracy is '0,95'", "write 0.95"],
    ),
    "bare decimal commas": (
        "variant,seed,accuracy\nbase,0,0,95\n", (),
        ["runs.csv:2:1: 4 cells in this row, 3 in the header", "semicolons"],
    ),
    "commas and points": (
        "variant;seed;loss\nbase;0;1,5\nbase;1;1.234\n", (),
        ["runs.csv:3:8: loss has decimal commas, and a decimal point here"],
    ),
    "thousands": (
        'variant,seed,loss\nbase,0,"1,234.5"\nbase,1,2\n', (),
        ["runs.csv:2:8:", "without marks for thousands"],
    ),
    "a word among numbers": (table() + "b,0,good\n", (), ["runs.csv:10:5: accuracy is 'good'; it must be a number"]),
    "an empty column": (
        "variant,seed,accuracy\nbase,0,\na,0,\n", ("--metric", "accuracy"),
        ["runs.csv:1:14: the column 'accuracy' has no value"],
    ),
    "no numbers": ("variant,seed,note\nbase,0,x\na,0,y\n", (), ["no column of runs.csv holds numbers", "it has: note"]),
    "a huge number": (table("loss") + "b,0,1e308\n", (), ["runs.csv:10:5: loss is 1e+308; at most 1e+100"]),
    "a number beyond floats": (table("loss") + "b,0,1e999\n", (), ["runs.csv:10:5: loss is beyond"]),
    "a huge cell": (table() + f"b,0,{'9' * 140_000}\n", (), ["runs.csv:10:1: a cell has more than 131,072 characters"]),
    "an open quote": (table() + 'b,0,"0.9\n', (), ["runs.csv:10:1: this is not valid CSV"]),
    "a newline in a name": (table(names=("base", "a\nb")), (), ["runs.csv:6:1: the name 'a\\nb' has a line break"]),
    "a name of 201": (table(names=("base", "x" * 201)), (), ["runs.csv:6:1: a name of 201 characters; at most 200"]),
    "no name": (table() + ",7,0.9\n", (), ["runs.csv:10:1: variant is ''"]),
    "no whole seed": (table() + "b,one,0.9\n", (), ["runs.csv:10:3: seed is 'one'; it must be a whole number"]),
    "a run twice": (
        table() + "a,0,0.9\n", (),
        ["runs.csv:10:1: a second row of variant a, seed 0", "the first is in line 6"],
    ),
    "no seed column": (
        "variant,accuracy\nbase,0.9\n", (),
        ["the table has no column 'seed'", "the columns are: variant, accuracy"],
    ),
    "another spelling": ("Variant,seed,accuracy\nbase,0,0.9\n", (), ["rename 'Variant' to 'variant'"]),
    "two columns of a name": ("variant,seed,acc,acc\nbase,0,0.9,0.9\n", (), ["runs.csv:1:18: a second column 'acc'"]),
    "no rows": ("variant,seed,accuracy\n", (), ["the table has no rows"]),
    "nothing": ("", (), ["the table is empty", "variant, seed, and a metric"]),
    "a workbook": (b"PK\x03\x04 and so on", (), ["runs.csv is a workbook", "save it as CSV"]),
    "Latin-1": ("variant,seed,accuracy\nä,0,0.9\n".encode("latin-1"), (), ["runs.csv is not UTF-8 text (byte 22)"]),
    "UTF-16 without a mark": (table().encode("utf-16-le"), (), ["NUL bytes", "save it as CSV in UTF-8"]),
    "another baseline": (table(names=("bass", "a")), (), ["no variant 'base'", "did you mean 'bass'?"]),
    "another metric": (table(), ("--metric", "acuracy"), ["no column 'acuracy'", "did you mean 'accuracy'?"]),
    "a part of a count": (
        table().replace("accuracy", "threads"), ("--direction", "higher"),
        ["threads is 0.9", "rename the column"],
    ),
    "too many runs": (
        "variant,seed,accuracy\n" + "".join(f"{'base' if i == 0 else i},{i},0.9\n" for i in range(1100)), (),
        ["1,100 variants and 1,100 different seeds"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "arguments", "says"), REFUSED.values(), ids=REFUSED)
def test_a_table_that_cannot_be_read_is_one_located_error(
    text: str | bytes, arguments: tuple[str, ...], says: list[str], refused: Refused
) -> None:
    printed = refused(text, *arguments)
    assert [words for words in says if words not in printed] == []
    assert printed.count("error: ") == 1
    assert "Traceback" not in printed


def test_of_very_many_faults_the_first_are_listed(refused: Refused) -> None:
    printed = refused(table() + "".join(f"x,{seed},bad\n" for seed in range(8)) + "y,z,1\n" * 300)
    assert printed.count("it must be") == 20
    assert "and 288 more" in printed


@pytest.mark.parametrize(
    ("epochs", "says"),
    [
        (
            "variant,seed,epoch,loss\nbase,9,1,0.5\n",
            "epochs.csv:2:1: variant 'base', seed 9, is not in the table of runs"),
        (
            "variant,seed,epoch,loss\nbose,0,1,0.5\n",
            "epochs.csv:2:1: variant 'bose', seed 0, is not in the table of runs"),
        ("variant,seed,step,loss\nbase,0,1,0.5\n", "epochs.csv:1:1: the table has no column 'epoch'"),
        (
            "variant,seed,epoch,loss\nbase,0,1,0.5\nbase,0,1,0.4\n",
            "epochs.csv:3:1: a second row of variant base, seed 0, epoch 1"),
        ("variant,seed,epoch,loss\nbase,0,1,low\nbase,0,2,0.3\nbase,0,3,0.2\n", "epochs.csv:2:10: loss is 'low'"),
        ("variant,seed,epoch\nbase,0,1\n", "the table has no metric"),
    ],
)  # fmt: skip
def test_epochs_that_do_not_fit_the_runs_are_one_located_error(epochs: str, says: str, refused: Refused) -> None:
    assert says in refused(table(), epochs=epochs)
