"""What is read of a table of runs and of epochs, value by value."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ablation.errors import FileError, UserError
from ablation.results import tables
from ablation.results.runs import EPOCH_COLUMNS, RUN_COLUMNS, Results
from ablation.results.tables import read_results
from ablation.storage.manifest import StoredVariant


def read(folder: Path, text: str, baseline: str = "base", epochs: str = "", **options: Any) -> Results:
    (folder / "runs.csv").write_text(text)
    if epochs:
        (folder / "epochs.csv").write_text(epochs)
        options["epochs"] = folder / "epochs.csv"
    return read_results(folder / "runs.csv", baseline, **options)


def rows(results: Results, *columns: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in results.runs[[*columns]].itertuples(index=False)]


def units(results: Results) -> dict[str, str]:
    return {name: metric.unit for name, metric in results.metrics.items()}


def faults(folder: Path, text: str, **options: Any) -> list[tuple[int, int, str, str | None]]:
    with pytest.raises(FileError) as caught:
        read(folder, text, **options)
    return [(own.line, own.column, own.message, own.hint) for own in caught.value.problems]


def test_a_row_for_each_variant_and_seed_with_the_baseline_first(tmp_path: Path) -> None:
    results = read(tmp_path, "variant,seed,acc\nb,3,0.5\na,3,0.4\nbase,1,0.3\nb,1,0.25\n")
    assert rows(results, "variant", "seed", "status") == [
        ("base", 1, "finished"), ("base", 3, "missing"), ("b", 1, "finished"), ("b", 3, "finished"),
        ("a", 1, "missing"), ("a", 3, "finished"),
    ]  # fmt: skip
    assert results.runs.acc.fillna(-1).tolist() == [0.3, -1, 0.25, 0.5, -1, 0.4]
    assert set(RUN_COLUMNS) <= set(results.runs)
    assert set(results.runs.folder) == {""}
    assert results.runs.val_loss.isna().all()
    assert (tuple(results.epochs), len(results.epochs)) == (EPOCH_COLUMNS, 0)
    assert (results.records, results.failures, results.test_evaluations) == ({}, {}, ())


def test_what_the_manifest_says_of_a_table(tmp_path: Path) -> None:
    text = "variant,seed,acc,rmse\nbase,2,90,1\na,1,80,2\n"
    found = read(tmp_path, text, title="T", alpha=0.1, command="ablate report").manifest
    assert (found.name, found.title, found.question, found.command) == ("T", "T", "", "ablate report")
    assert found.variants == (StoredVariant("base", "baseline", {}, {}), StoredVariant("a", "vary", {}, {}))
    assert (found.seeds, found.folders, found.overrides, found.smoke, found.source) == ((1, 2), {}, (), False, "")
    assert found.analysis == {
        "metric": "acc", "metric_stated": True, "direction": "higher", "margin": None, "alpha": 0.1,
    }  # fmt: skip
    assert read(tmp_path, text).manifest.name == "runs"
    assert read(tmp_path, text, metric="rmse").manifest.analysis["direction"] == "lower"
    assert read(tmp_path, text, direction="lower").manifest.analysis["direction"] == "lower"


def test_gaps_and_values_that_are_not_finite(tmp_path: Path) -> None:
    results = read(tmp_path, "variant,seed,loss\nbase,0,1\nbase,1,\nbase,2,nan\nbase,3,-inf\n")
    assert [own for (own,) in rows(results, "status")] == ["finished", "missing", "diverged", "diverged"]
    assert results.runs.loss.isna().tolist() == [False, True, True, True]


def test_a_column_of_states_is_believed_where_it_holds_nothing_else(tmp_path: Path) -> None:
    text = "variant,seed,loss,status\nbase,0,1,finished\nbase,1,2,Crashed\nbase,2,3,\nbase,3,,finished\n"
    text += "base,4,nan,missing\n"
    known = ["finished", "crashed", "finished", "missing", "missing"]
    assert [own for (own,) in rows(read(tmp_path, text), "status")] == known
    strange = text.replace("Crashed", "ok")
    assert [own for (own,) in rows(read(tmp_path, strange), "status")] == [
        "finished", "finished", "finished", "missing", "diverged",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "cells", "unit", "kept"),
    [
        ("acc", ("90", "100"), "percent", (0.9, 1.0)),
        ("acc", ("0.9", "1"), "share", (0.9, 1.0)),
        ("acc", ("0", "0"), "share", (0, 0)),
        ("acc", ("0", "50"), "percent", (0, 0.5)),
        ("acc", ("1.5", "50"), "percent", (0.015, 0.5)),
        ("acc", ("0.9%", "90%"), "percent", (0.009, 0.9)),
        ("psnr", ("90", "30"), "raw", (90, 30)),
        ("err", ("90%", "3%"), "percent", (0.9, 0.03)),
    ],
)
def test_the_unit_of_the_primary_metric(
    name: str, cells: tuple[str, str], unit: str, kept: tuple[float, float], tmp_path: Path
) -> None:
    results = read(tmp_path, f"variant,seed,{name}\nbase,0,{cells[0]}\nbase,1,{cells[1]}\n")
    assert units(results)[name] == ("raw" if unit == "raw" else "share")
    assert tuple(results.runs[name]) == pytest.approx(kept)


@pytest.mark.parametrize(
    ("unit", "cells", "kept"),
    [
        ("percent", ("0.5", "1"), (0.005, 0.01)), ("share", ("0", "1"), (0, 1)), ("raw", ("150", "-2"), (150, -2)),
        ("percent", ("0", "100"), (0, 1)),
    ],
)  # fmt: skip
def test_a_stated_unit_is_taken(unit: str, cells: tuple[str, str], kept: tuple[float, float], tmp_path: Path) -> None:
    results = read(tmp_path, f"variant,seed,acc\nbase,0,{cells[0]}\nbase,1,{cells[1]}\n", unit=unit)
    assert tuple(results.runs.acc) == pytest.approx(kept)
    assert units(results)["acc"] == ("raw" if unit == "raw" else "share")


def test_values_that_do_not_fit_the_stated_unit(tmp_path: Path) -> None:
    text = "variant,seed,acc\nbase,0,1.5\nbase,1,-0.5\nbase,2,nan\nbase,3,0.5\n"
    hint = "correct it, or leave values as they are by --unit raw"
    assert faults(tmp_path, text, unit="share") == [
        (2, 8, "acc is 1.5; as a fraction it must be between 0 and 1", hint),
        (3, 8, "acc is -0.5; as a fraction it must be between 0 and 1", hint),
    ]
    assert faults(tmp_path, text.replace("1.5", "100.5"), unit="percent") == [
        (2, 8, "acc is 100.5; as a percentage it must be between 0 and 100", hint),
        (3, 8, "acc is -0.5; as a percentage it must be between 0 and 100", hint),
    ]


def test_shares_that_are_neither_all_fractions_nor_all_percentages(tmp_path: Path) -> None:
    hint = "correct it; or say what all values are by --unit percent, or --unit raw to leave them as they are"
    text = "variant,seed,acc\nbase,0,0.5\nbase,1,90\nbase,2,0\nbase,3,1\n"
    assert faults(tmp_path, text) == [(3, 8, "acc is 90 among fractions of 1", hint)]
    most = text.replace("3,1\n", "3,80\n")
    assert faults(tmp_path, most) == [(2, 8, "acc is 0.5 among percentages", hint)]
    tie = "variant,seed,acc\nbase,0,0.5\nbase,1,90\n"
    assert faults(tmp_path, tie) == [(3, 8, "acc is 90 among fractions of 1", hint)]
    outside = "variant,seed,acc\nbase,0,0.5\nbase,1,90\nbase,2,101\nbase,3,-1\n"
    where = "it must be between 0 and 1, or between 0 and 100 in per cent"
    raw = "correct it, or leave values as they are by --unit raw"
    assert faults(tmp_path, outside) == [(4, 8, f"acc is 101; {where}", raw), (5, 8, f"acc is -1; {where}", raw)]


def test_per_cent_signs_of_some(tmp_path: Path) -> None:
    hint = "write all values in the same way"
    text = "variant,seed,acc\nbase,0,90%\nbase,1,0.9\nbase,2,0.8\nbase,3,nan\n"
    assert faults(tmp_path, text) == [(2, 8, "acc has a per cent sign here, but not elsewhere", hint)]
    text = "variant,seed,acc\nbase,0,90%\nbase,1,0.9\nbase,2,80%\n"
    assert faults(tmp_path, text) == [(3, 8, "acc has no per cent sign here", hint)]
    tie = "variant,seed,acc\nbase,0,90%\nbase,1,0.9\n"
    assert faults(tmp_path, tie) == [(2, 8, "acc has a per cent sign here, but not elsewhere", hint)]
    with pytest.raises(UserError, match="have per cent signs") as caught:
        read(tmp_path, "variant,seed,acc\nbase,0,90%\n", unit="share")
    assert caught.value.hint == "leave out --unit share"


@pytest.mark.parametrize(
    ("cells", "unit"),
    [(("0.5", "1"), "share"), (("0.5", "90"), "share"), (("0.5", "1.5"), "share"),
     (("-1", "90"), "raw"), (("1", "101"), "raw"),
     (("nan", "nan"), "raw"), (("0", "100"), "share"), (("0", ""), "share")],
)  # fmt: skip
def test_the_unit_of_other_columns_is_the_one_that_fits(cells: tuple[str, str], unit: str, tmp_path: Path) -> None:
    results = read(tmp_path, f"variant,seed,loss,f1\nbase,0,1,{cells[0]}\nbase,1,1,{cells[1]}\n")
    assert units(results) == {"loss": "raw", "f1": unit}
    if unit == "share":
        divisor = 100 if float(cells[1] or 0) > 1 else 1
        assert results.runs.f1[0] == pytest.approx(float(cells[0]) / divisor)
    assert units(read(tmp_path, "variant,seed,loss,psnr\nbase,0,1,0.5\n"))["psnr"] == "raw"


def test_the_keys_of_a_row(tmp_path: Path) -> None:
    long = "y" * 200
    results = read(tmp_path, f"variant,seed,loss\nbase,-1,1\n{long},+2.0,1\n{long},10000000000000000.000,1\n")
    assert results.manifest.seeds == (-1, 2, 10**16)
    assert [own.name for own in results.manifest.variants] == ["base", long]
    text = f'variant,seed,loss\nbase,1.5,1\n,2,1\n{long}y,3,1\n"a\nb",4,1\nb,,1\n"c",{"9" * 19},1\nd,{"9" * 70},1\n'
    assert [(line, message) for line, _, message, _ in faults(tmp_path, text)] == [
        (2, "seed is '1.5'; it must be a whole number"),
        (3, "variant is ''; it must be the name of a variant"),
        (4, "a name of 201 characters; at most 200"),
        (5, "the name 'a\\nb' has a line break"),
        (7, "seed is ''; it must be a whole number"),
        (8, f"seed is '{'9' * 19}'; it must be a whole number"),
        (9, f"seed is '{'9' * 57}...'; it must be a whole number"),
    ]
    exact = faults(tmp_path, f"variant,seed,loss\nd,{'x' * 60},1\n")
    assert exact[0][2] == f"seed is '{'x' * 60}'; it must be a whole number"


def test_a_run_that_is_there_twice(tmp_path: Path) -> None:
    text = "variant,seed,loss\nbase,1,1\nb,1,2\nbase,1.0,3\nbase,1,4\n"
    hint = "keep one of them; the first is in line 2"
    assert faults(tmp_path, text) == [
        (4, 1, "a second row of variant base, seed 1", hint), (5, 1, "a second row of variant base, seed 1", hint),
    ]  # fmt: skip


def test_the_primary_metric_is_the_first_column_of_numbers_that_is_one(tmp_path: Path) -> None:
    text = "note,variant,epochs,seed,train_seconds,loss,acc\nx,base,3,0,1.5,1,0.5\nx,base,3,1,1.5,1,0.5\n"
    assert read(tmp_path, text).manifest.analysis["metric"] == "loss"
    assert read(tmp_path, text, metric="acc").manifest.analysis["metric"] == "acc"
    only = "variant,seed,train_seconds\nbase,0,2\n"
    assert read(tmp_path, only).manifest.analysis["metric"] == "train_seconds"
    with pytest.raises(UserError, match="has no column 'los'") as caught:
        read(tmp_path, text, metric="los")
    assert "loss" in str(caught.value.hint)
    with pytest.raises(UserError, match=r"no column of .* holds numbers") as caught:
        read(tmp_path, "variant,seed,a,b\nbase,0,x,y\n")
    assert caught.value.hint == "it has: a, b"
    (fault,) = faults(tmp_path, "variant,seed,b,loss\nbase,0,1,\nbase,1,2,\n", metric="loss")
    assert fault == (1, 16, "the column 'loss' has no value", "write a number for each run")
    with pytest.raises(UserError, match="has no variant 'bas'") as caught:
        read(tmp_path, text, baseline="bas")
    assert "base" in str(caught.value.hint)
    with pytest.raises(UserError, match="more or less of 'score' is better"):
        read(tmp_path, "variant,seed,score\nbase,0,1\n")


def test_a_column_is_one_of_numbers_if_most_of_its_cells_are(tmp_path: Path) -> None:
    half = "variant,seed,loss,x\nbase,0,1,1\nbase,1,1,word\nbase,2,1,\n"
    assert "x" not in units(read(tmp_path, half))
    assert [own[:3] for own in faults(tmp_path, half, metric="x", direction="lower")] == [
        (3, 10, "x is 'word'; it must be a number, or empty where it is missing")
    ]
    most = half.replace("2,1,\n", "2,1,3\n")
    assert [own[:2] for own in faults(tmp_path, most)] == [(3, 10)]
    assert units(read(tmp_path, "variant,seed,loss,x\nbase,0,1,\n")) == {"loss": "raw"}


def test_numbers_out_of_bounds(tmp_path: Path) -> None:
    text = (
        "variant,seed,loss,epochs,macs\nbase,0,1e100,3,-1\nbase,1,-1e101,3.5,0\nbase,2,1e400,0,nan\nbase,3,-inf,2,7\n"
    )
    count = "write a whole number, or rename the column"
    assert faults(tmp_path, text) == [
        (2, 16, "macs is -1; the report reads this column as a count", count),
        (3, 8, "loss is -1e+101; at most 1e+100", "use a larger unit"),
        (3, 15, "epochs is 3.5; the report reads this column as a count", count),
        (4, 8, "loss is beyond what a computer counts to", "use a larger unit"),
    ]


def test_decimal_points_among_commas(tmp_path: Path) -> None:
    assert faults(tmp_path, "variant;seed;loss\nbase;0;1,5\nbase;1;1.5\n") == [
        (3, 8, "loss has decimal commas, and a decimal point here", "write all numbers in the same way")
    ]


def test_more_runs_than_a_table_can_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tables.MOST_RUNS == 1_000_000
    monkeypatch.setattr(tables, "MOST_RUNS", 4)
    assert len(read(tmp_path, "variant,seed,loss\nbase,0,1\na,1,1\n").runs) == 4
    with pytest.raises(UserError, match="2 variants and 3 different seeds"):
        read(tmp_path, "variant,seed,loss\nbase,0,1\na,1,1\na,2,1\n")


RUNS = "variant,seed,acc\nbase,0,90\na,0,80\n"


def test_epochs_are_sorted_by_number_and_scaled_as_the_runs(tmp_path: Path) -> None:
    epochs = "variant,seed,epoch,acc,f1,val_loss,note\na,0,2,0.8,50,1,x\nbase,0,1,0.5,60,,x\na,0,1,0.7,nan,3,x\n"
    results = read(tmp_path, RUNS, epochs=epochs)
    found = results.epochs
    assert list(zip(found.variant, found.seed, found.epoch, strict=True)) == [("base", 0, 1), ("a", 0, 1), ("a", 0, 2)]
    assert list(found.index) == [0, 1, 2]
    assert found.acc.tolist() == pytest.approx([0.005, 0.007, 0.008])
    assert found.f1.fillna(-1).tolist() == pytest.approx([0.6, -1, 0.5])
    assert found.val_loss.fillna(-1).tolist() == [-1, 3, 1]
    assert "note" not in found
    assert set(EPOCH_COLUMNS) <= set(found)
    assert all(math.isnan(own) for own in found.train_loss)
    assert units(results) == {"acc": "share", "f1": "share", "val_loss": "raw"}


def test_epochs_of_runs_that_are_not_in_the_table(tmp_path: Path) -> None:
    epochs = "variant,seed,epoch,loss\nbase,0,1,1\nb,0,1,1\nb,0,2,1\na,7,1,1\n"
    hint = "add it there, or leave it out here"
    assert faults(tmp_path, RUNS, epochs=epochs) == [
        (3, 1, "variant 'b', seed 0, is not in the table of runs", hint),
        (5, 1, "variant 'a', seed 7, is not in the table of runs", hint),
    ]
    wrong = "variant,seed,epoch,loss\nbase,0,x,1\nb,0,1,1\n"
    assert [own[2] for own in faults(tmp_path, RUNS, epochs=wrong)] == ["epoch is 'x'; it must be a whole number"]
    twice = "variant,seed,epoch,loss\nbase,0,1,1\nbase,0,1,2\n"
    assert [own[2] for own in faults(tmp_path, RUNS, epochs=twice)] == ["a second row of variant base, seed 0, epoch 1"]
