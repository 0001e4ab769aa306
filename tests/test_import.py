"""`ablate import`: from logged runs to variants, seeds, what differs undeclared, and the report."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from ablation.cli.main import main
from ablation.errors import UserError
from ablation.library import read_results
from ablation.results.foreign.csv_runs import read_csv
from ablation.results.foreign.event_files import Point
from ablation.results.foreign.imported import MOST_ROWS, Source, Tables, write_tables
from ablation.results.foreign.logged import Declared, LoggedRun, LoggedRuns, Status, canonical
from ablation.results.foreign.matching import Matched, match

from .logged_runs import table
from .test_imports import loaded

DECLARED = Declared(vary=("lr", "dropout"), seed="seed", metric="acc")


def run(
    name: str, values: Mapping[str, object], acc: float | None = 0.9, *, status: Status = "finished", last: int = 3
) -> LoggedRun:
    points = [] if acc is None else [Point(step, acc) for step in range(1, last + 1)]
    own = {key: canonical(value) for key, value in values.items()}
    return LoggedRun(name, own, {"acc": points} if points else {}, status)


def grid(*extra: LoggedRun, **other: object) -> LoggedRuns:
    """A baseline, two changes of it and three seeds."""
    combinations = ((0.1, 0.0), (0.01, 0.0), (0.1, 0.5))
    runs = [
        run(f"r{index}{seed}", {"lr": lr, "dropout": dropout, "seed": seed} | other)
        for index, (lr, dropout) in enumerate(combinations)
        for seed in range(3)
    ]
    return LoggedRuns("study", (*extra, *runs))


def messages(matched: Matched) -> list[tuple[str, str | None, str]]:
    return [(own.code, own.variant, own.message) for own in matched.findings]


def fault(logged: LoggedRuns, declared: Declared = DECLARED) -> tuple[str, str | None]:
    with pytest.raises(UserError) as caught:
        match(logged, declared)
    return caught.value.message, caught.value.hint


def test_variants_are_named_by_what_differs_from_the_baseline_from_which_each_differs_in_one_parameter() -> None:
    both = run("both", {"lr": 0.01, "dropout": 0.25, "seed": 0})
    declared = replace(DECLARED, baseline={"lr": "0.1", "dropout": "0"})
    found = match(grid(both), declared)
    assert list(found.variants) == ["baseline", "lr=0.01", "dropout=0.5", "lr=0.01, dropout=0.25"]
    found = match(grid(), DECLARED)
    assert list(found.variants) == ["baseline", "lr=0.01", "dropout=0.5"]
    assert found.variants["baseline"] == ("0.1", "0")
    assert {own.name for (variant, _), own in found.runs.items() if variant == "dropout=0.5"} == {"r20", "r21", "r22"}
    assert found.notes[0] == "the baseline is lr=0.1, dropout=0: each of the others differs from it in one parameter"


def test_an_unclear_baseline_is_an_error_that_lists_the_combinations() -> None:
    message, hint = fault(grid(), Declared(("lr",), "seed", "acc"))
    assert message == "which combination is the baseline is not clear"
    assert hint == 'choose it by --baseline; there are "lr=0.01" (3 seeds), "lr=0.1" (3 seeds)'
    chosen = Declared(("lr", "dropout"), "seed", "acc", baseline={"dropout": "0.5"})
    assert match(grid(), chosen).variants["baseline"] == ("0.1", "0.5")
    message, hint = fault(grid(), Declared(("lr", "dropout"), "seed", "acc", baseline={"lr": "1"}))
    assert message == "no run has the values of --baseline lr=1"
    assert '"lr=0.1,dropout=0.5" (3 seeds)' in str(hint)


def test_the_combination_with_by_far_the_most_runs_is_the_baseline() -> None:
    runs = [run(f"a{seed}", {"lr": 0.1, "seed": seed}) for seed in range(6)]
    runs += [run(f"b{seed}", {"lr": 0.2, "seed": seed}) for seed in range(3)]
    found = match(LoggedRuns("s", tuple(runs)), Declared(("lr",), "seed", "acc"))
    assert found.notes[0] == "the baseline is lr=0.1: it has by far the most runs"


@pytest.mark.parametrize(
    ("declared", "message", "hint"),
    [
        (Declared(("dropuot",), "seed", "acc"), "--vary dropuot: no run has this parameter", "did you mean 'dropout'?"),
        (Declared(("lr",), "sed", "acc"), "--seed sed: no run has this parameter", "did you mean 'seed'?"),
        (Declared(("lr",), "seed", "acx"), "--metric acx: no run has this metric", "did you mean 'acc'?"),
        (Declared(("seed",), "seed", "acc"), "seed is both varied and the seed", "leave it out of --vary"),
        (Declared(("amp",), "seed", "acc"), "all runs have amp=true", "name by --vary what differs"),
        (Declared(("lr",), "name", "acc"), "name is 'x' in run r00", "a whole number"),
    ],
)
def test_a_name_that_does_not_fit_the_runs_is_one_error(declared: Declared, message: str, hint: str) -> None:
    found = fault(grid(amp=True, name="x"), declared)
    assert found[0] == message
    assert hint in str(found[1])


def test_what_differs_from_the_baseline_undeclared_is_listed_for_each_variant() -> None:
    runs = [
        run(f"{lr}{seed}", {"lr": lr, "seed": seed, "batch": 128 - 64 * (lr == 2 and seed < 2), "out": f"o{lr}{seed}"})
        for lr in (1, 2, 3)
        for seed in range(3)
    ]  # fmt: skip
    runs[8] = run("late", {"lr": 3, "seed": 2, "batch": 128, "out": "o32", "warmup": 5})
    declared = Declared(("lr",), "seed", "acc", baseline={"lr": "1"})
    found = match(LoggedRuns("s", tuple(runs)), declared)
    assert messages(found) == [
        ("undeclared_change", "lr=2", "lr=2 also differs from the baseline in batch (64 against 128) in 2 of 3 pairs"),
        (
            "undeclared_change",
            "lr=3",
            "lr=3 also differs from the baseline in warmup (5 against unset) in 1 of 3 pairs",
        ),
    ]
    assert "not compared, as every run has its own: out" in found.notes
    ignored = Declared(("lr",), "seed", "acc", baseline={"lr": "1"}, ignore=frozenset(("batch", "warmup")))
    assert messages(match(LoggedRuns("s", tuple(runs)), ignored)) == []


def test_of_several_runs_of_a_seed_the_latest_that_finished_counts_and_all_are_named() -> None:
    extra = {"lr": 0.1, "dropout": 0.5, "seed": 0}
    failed, other = run("old", extra, 0.1, status="crashed"), run("redo", extra | {"wd": 1}, 0.2)
    found = match(LoggedRuns("s", (failed, *grid().runs, other, run("dead", extra, None, status="crashed"))), DECLARED)
    assert found.runs["dropout=0.5", 0].name == "redo"
    assert (
        "runs_left_out",
        "dropout=0.5",
        "dropout=0.5, seed 0: 4 runs; redo, the latest that finished, counts; left out: old, r20, dead; "
        "they differ in wd: does --vary lack it?",
    ) in messages(found)


def test_of_several_runs_one_that_diverged_is_not_said_to_have_finished() -> None:
    extra = {"lr": 0.1, "dropout": 0.5, "seed": 3}
    lost, dead = run("lost", extra, status="diverged"), run("dead", extra, None, status="crashed")
    found = match(LoggedRuns("s", (*grid().runs, lost, dead)), DECLARED)
    message = "dropout=0.5, seed 3: 2 runs; lost, the latest that finished or diverged, counts; left out: dead"
    assert ("runs_left_out", "dropout=0.5", message) in messages(found)


def test_failed_and_missing_runs_seeds_and_other_numbers_of_steps_are_each_said_in_a_line() -> None:
    runs = [own for own in grid().runs if own.name not in ("r11", "r22")]
    runs += [
        run("short", {"lr": 0.01, "dropout": 0, "seed": 1}, last=2),
        run("dead", {"lr": 0.1, "dropout": 0.5, "seed": 2}, status="interrupted"),
        run("stray", {"lr": 0.1, "dropout": 0}),
        run("more", {"lr": 0.1, "dropout": 0, "seed": 7}, None),
    ]
    found = match(LoggedRuns("s", tuple(runs)), DECLARED)
    assert messages(found) == [
        ("runs_left_out", None, "unfinished: dropout=0.5, seed 2 (dead)"),
        ("runs_left_out", None, "left out, as they have no seed: stray"),
    ]
    assert list(found.notes[1:]) == [
        "lr=0.01 has no run of seed 7",
        "dropout=0.5 has no run of seed 7",
        "no value of acc: baseline, seed 7",
        "the last step of acc is 3, but 2 in lr=0.01, seed 1",
    ]


def written(folder: Path, logged: LoggedRuns, declared: Declared = DECLARED) -> Tables:
    return write_tables(match(logged, declared), declared, Source("mlflow", Path("m.db"), "e", "ablate import"), folder)


def rows(path: Path | None) -> list[dict[str, str]]:
    assert path
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tables_have_the_last_value_of_each_run_and_its_values_by_step(tmp_path: Path) -> None:
    logged = grid()
    series = {
        "acc": [Point(10, 0.5), Point(20, 0.6)], "loss": [Point(5, 3.0), Point(10, 2.0), Point(15, 1e300)],
        "fast": [Point(0, 1.0), Point(500, 2.0)], "variant": [Point(1, 8.0)], "epoch": [Point(10, 1.0)],
    }  # fmt: skip
    own = LoggedRun("=r", logged.runs[0].parameters, series)
    made = written(tmp_path / "out", LoggedRuns("s", (own, *logged.runs[1:])))
    first = rows(made.runs)[0]
    assert first == {
        "variant": "baseline", "seed": "0", "acc": "0.6", "loss": "inf", "fast": "2.0", "variant_logged": "8.0",
        "status": "finished", "run": "'=r",
    }  # fmt: skip
    assert [tuple(row.values()) for row in rows(made.epochs)[:2]] == [
        ("baseline", "0", "1", "10", "0.5", "2.0", "8.0"),
        ("baseline", "0", "2", "20", "0.6", "inf", ""),
    ]
    assert list(rows(made.epochs)[0]) == ["variant", "seed", "epoch", "step", "acc", "loss", "variant_logged"]
    assert "without a curve, as their steps are not those of acc: fast" in made.notes
    results = read_results(made.runs, "baseline", epochs=made.epochs, metric="acc")
    assert results.runs["acc"].tolist()[:3] == [0.6, 0.9, 0.9]


def test_long_histories_are_thinned_and_keep_their_last_value(tmp_path: Path) -> None:
    logged = grid()
    own = run("long", {"lr": 0.1, "dropout": 0, "seed": 0}, last=5000)
    made = written(tmp_path, LoggedRuns("s", (own, *logged.runs[1:])))
    steps = [int(row["step"]) for row in rows(made.epochs) if (row["variant"], row["seed"]) == ("baseline", "0")]
    assert (steps[0], steps[-1]) == (1, 5000)
    assert MOST_ROWS / 2 < len(steps) <= MOST_ROWS
    assert f"epochs.csv has at most {MOST_ROWS:,} of up to 5,000 values of acc of each run" in made.notes


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    written(out, grid())
    written(out, grid())
    with pytest.raises(UserError, match="holds another import: mlflow"):
        write_tables(match(grid(), DECLARED), DECLARED, Source("csv", Path("t.csv"), "e", ""), out)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").touch()
    with pytest.raises(UserError, match="is not empty, and holds no import"):
        written(tmp_path / "own", grid())
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["notes.txt"]


ARGUMENTS = ["--vary", "lr,dropout", "--seed", "seed", "--metric", "val_acc"]


def test_the_command_prints_what_it_found_and_writes_tables_and_report(
    logged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["import", "mlflow", str(logged / "mlflow.db"), *ARGUMENTS]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("regularisation: 10 runs, 3 variants, seeds 0, 1, 2\n")
    assert "the baseline is lr=0.1, dropout=0: each of the others differs from it in one parameter" in printed
    undeclared = "lr=0.01 also differs from the baseline in data.batch_size (64 against 128)"
    assert f"warning: {undeclared}\n" in printed
    assert (
        "warning: dropout=0.5 also differs from the baseline in git.commit (bbbbbbbbbbbb against aaaaaaaaaaaa)"
        in printed
    )
    (double,) = (line for line in printed.splitlines() if "dropout=0.5, seed 0: 2 runs; lr0.1-d0.5-s0 (" in line)
    assert "the latest, counts; left out: failed-lr0.1-d0.5-s0 (" in double
    assert "differ in" not in double
    folder = Path("imported/regularisation")
    assert printed.splitlines()[-4:] == [
        str(folder / name) for name in ("runs.csv", "epochs.csv", "report/report.html", "report/report.md")
    ]
    page = (folder / "report" / "report.md").read_text().replace("\\", "")
    assert undeclared in page
    assert f"ablate import mlflow {logged / 'mlflow.db'}" in page
    claims = json.loads((folder / "report" / "analysis.json").read_text())
    assert {own["code"] for own in claims["warnings"]} >= {"undeclared_change", "runs_left_out"}
    # the warnings belong to the table: a report that is made of it later has them too, until the table is changed
    assert main(["report", "--from", str(folder / "runs.csv"), "--baseline", "baseline", "--out", "later"]) == 0
    assert undeclared in Path("later/runs/report.md").read_text().replace("\\", "")
    with (folder / "runs.csv").open("a") as file:
        file.write("lr=1,0,0.5,0.5,finished,x\n")
    assert main(["report", "--from", str(folder / "runs.csv"), "--baseline", "baseline", "--out", "last"]) == 0
    assert "also differs" not in Path("last/runs/report.md").read_text()


def test_the_values_of_a_table_are_those_of_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = table(tmp_path)
    assert main(["import", "csv", path.name, *ARGUMENTS, "--baseline", "lr=1e-1,dropout=0.0", "--out", "mine"]) == 0
    printed = capsys.readouterr().out
    assert "columns read as metrics: val_acc, train_loss; as parameters: lr, dropout, seed, batch_size" in printed
    assert not Path("mine/epochs.csv").exists()
    effects = json.loads(Path("mine/report/analysis.json").read_text())["effects"]
    found = {own["variant"]: (round(own["mean"], 9), round(own["difference"], 9)) for own in effects}
    assert found == {"lr=0.01": (0.776, -0.05), "dropout=0.5": (0.854, 0.028)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mlfow", "x"], "unknown"),
        (["csv", "export.csv", "--vary", "lr,lr"], "'lr,lr' is not a list of different names"),
        (["csv", "export.csv", "--vary", "lr", "--baseline", "0.1"], "'0.1' are no names and values"),
        (["csv", "export.csv", "--vary", "lt"], "the table has no column 'lt'"),
        (["csv", "export.csv", "--vary", "lr", "--experiment", "x"], "--experiment is for a store"),
    ],
)
def test_a_wrong_import_is_one_error_and_writes_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    table(tmp_path)
    assert main(["import", *arguments, "--seed", "seed", "--metric", "val_acc"]) == 1
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["export.csv"]


def test_values_that_are_long_or_have_line_breaks_make_names_of_variants_that_a_table_can_hold(tmp_path: Path) -> None:
    layers = ("a\nb", "x" * 300 + "1", "x" * 300 + "2")
    runs = [run(f"{n}{seed}", {"net": net, "seed": seed}) for n, net in enumerate(layers) for seed in range(3)]
    declared = Declared(("net",), "seed", "acc", baseline={"net": "a b"})
    made = written(tmp_path, LoggedRuns("s", tuple(runs)), declared)
    results = read_results(made.runs, "baseline", metric="acc")
    names = [own.name for own in results.manifest.variants]
    assert names[0] == "baseline"
    assert [name[:57] for name in names[1:]] == [f"net={'x' * 50}..."] * 2
    assert len(set(names)) == 3


@pytest.mark.slow
def test_the_command_loads_no_torch(tmp_path: Path) -> None:
    table(tmp_path)
    assert not loaded(["import", "csv", "export.csv", *ARGUMENTS], tmp_path) & {"torch", "torchvision"}


def test_a_metric_whose_name_does_not_say_which_way_is_better_is_asked_about_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = table(tmp_path)
    path.write_text(path.read_text().replace("val_acc", "score"))
    arguments = ["import", "csv", path.name, "--vary", "lr,dropout", "--seed", "seed", "--metric", "score"]
    assert main(arguments) == 1
    assert "add --direction higher or --direction lower" in capsys.readouterr().err
    assert [own.name for own in tmp_path.iterdir()] == ["export.csv"]
    assert main([*arguments, "--direction", "lower"]) == 0
    assert json.loads(Path("imported/export/report/analysis.json").read_text())["direction"] == "lower"


def test_a_diverged_row_of_a_table_is_a_diverged_run(tmp_path: Path) -> None:
    rows = ["lr,seed,val_acc,status"]
    rows += [f"{lr},{seed},{0.5 + lr},finished" for lr in (0.1, 0.2) for seed in (0, 1)]
    rows[-1] = "0.2,1,,diverged"
    (tmp_path / "runs.csv").write_text("\n".join(rows) + "\n")
    declared = Declared(("lr",), "seed", "val_acc", baseline={"lr": "0.1"})
    found = match(read_csv(tmp_path / "runs.csv", declared), declared)
    assert [run.status for run in found.runs.values()] == ["finished", "finished", "finished", "diverged"]
