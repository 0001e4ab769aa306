"""Stores that the real libraries wrote, read back run by run and value by value."""

from __future__ import annotations

import math
import shutil
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from ablation.cli.import_ import _TOOLS
from ablation.errors import UserError
from ablation.results.foreign.logged import Declared, LoggedRun, LoggedRuns
from ablation.results.foreign.stores import TOOLS, read_store

from .conftest import ROOT
from .logged_runs import RUNS, WRITERS, Run, flat

DECLARED = Declared(vary=("lr", "dropout"), seed="seed", metric="val_acc")
PLACES = {
    "mlflow_database": ("mlflow", "mlflow.db"),
    "mlflow_folder": ("mlflow", "mlruns"),
    "tensorboard_hparams": ("tensorboard", "runs"),
    "tensorboard_folders": ("tensorboard", "named"),
    "wandb_offline": ("wandb", "wandb"),
    "trackio_file": ("trackio", "trackio/regularisation.db"),
    "hydra_multirun": ("hydra", "multirun"),
    "table": ("csv", "export.csv"),
}
"""Writer -> the tool that reads its store, and where it is."""


def key(run: LoggedRun) -> tuple[float, float, int, str]:
    own = run.parameters
    return float(own["lr"]), float(own["dropout"]), int(own["seed"]), run.status


def expected(run: Run) -> tuple[float, float, int, str]:
    return run.lr, run.dropout, run.seed, "crashed" if run.failed else "finished"


def single(value: float) -> float:
    """As TensorBoard holds a number: in four bytes."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def check(writer: str, logged: LoggedRuns) -> None:
    known = [
        run
        for run in RUNS
        if not run.failed or writer in ("mlflow_database", "mlflow_folder", "wandb_offline", "table")
    ]
    assert sorted(map(key, logged.runs)) == sorted(map(expected, known))
    for run in known:
        (own,) = (own for own in logged.runs if key(own) == expected(run))
        values = [single(value) for value in run.values] if writer.startswith("tensorboard") else run.values
        if writer == "table":
            assert own.series["val_acc"] == [(0, values[-1])]
        else:
            assert own.series["val_acc"] == list(enumerate(values))
        batch = {own.parameters.get("data.batch_size"), own.parameters.get("batch_size")} - {None}
        if writer not in ("tensorboard_folders", "hydra_multirun"):
            assert batch == {str(flat(run.parameters)["data.batch_size"])}


@pytest.mark.parametrize("writer", PLACES)
def test_every_run_and_value_of_a_store_is_read(writer: str, logged: Path, tmp_path: Path) -> None:
    tool, place = PLACES[writer]
    path = WRITERS[writer](tmp_path) if writer == "table" else logged / place
    check(writer, read_store(tool, path, DECLARED))


@pytest.mark.slow
@pytest.mark.parametrize(
    "writer", [writer for writer in PLACES if writer not in ("wandb_offline", "trackio_file", "table")]
)
def test_a_store_that_the_installed_library_writes_is_read(writer: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.logged_runs", writer, str(tmp_path)]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    tool, place = PLACES[writer]
    check(writer, read_store(tool, tmp_path / place, DECLARED))


def test_both_stores_of_mlflow_are_the_same_runs_and_hold_what_is_not_finite(logged: Path) -> None:
    database, folder = (read_store("mlflow", logged / name, DECLARED) for name in ("mlflow.db", "mlruns"))
    assert database.title == folder.title == "regularisation"
    assert database.notes == folder.notes == ("left out: 1 deleted run",)
    for logged in (database, folder):
        first = logged.runs[0]
        assert first.status == "crashed"
        assert math.isnan(first.series["train_loss"][0].value)
        assert first.parameters["amp"] == "true"


def test_a_store_with_several_experiments_asks_for_one(logged: Path, tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(logged / "mlflow.db", path)
    with sqlite3.connect(path) as connection:
        (other,) = connection.execute("SELECT experiment_id FROM experiments WHERE name = 'Default'").fetchone()
        connection.execute("UPDATE runs SET experiment_id = ? WHERE status = 'FAILED'", (other,))
    connection.close()
    with pytest.raises(UserError) as caught:
        read_store("mlflow", path, DECLARED)
    assert "has 2 experiments with runs" in caught.value.message
    assert "Default (1 run), regularisation (9 runs)" in str(caught.value.hint)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("what", ["nothing", "empty", "another file"])
def test_a_path_that_holds_no_store_is_one_error_with_a_hint(tool: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "store"
    if what == "empty":
        path.mkdir()
    elif what == "another file":
        path.write_bytes(b"\x00\x01 nothing of the kind")
    with pytest.raises(UserError) as caught:
        read_store(tool, path, DECLARED)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_log_of_wandb_that_was_cut_off_is_an_unfinished_run_and_a_damaged_one_an_error(
    logged: Path, tmp_path: Path
) -> None:
    shutil.copytree(logged / "wandb", tmp_path / "wandb")
    read = read_store("wandb", tmp_path, DECLARED).runs
    (log,) = (tmp_path / "wandb").glob(f"*/run-{read[1].name.partition('(')[2][:-1]}.wandb")
    whole = log.read_bytes()
    log.write_bytes(whole[:-10])
    runs = read_store("wandb", tmp_path, DECLARED).runs
    assert [run.status for run in runs] == ["crashed", "interrupted", *["finished"] * 8]
    place = len(whole) // 2
    log.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(UserError, match=r"the record at byte [0-9,]+ is damaged"):
        read_store("wandb", tmp_path, DECLARED)


def test_an_export_of_wandb_is_read_like_any_table(tmp_path: Path) -> None:
    path = WRITERS["table"](tmp_path)
    assert read_store("wandb", path, DECLARED) == read_store("csv", path, DECLARED)


def test_a_run_folder_of_wandb_without_its_log_is_read_from_its_summary(tmp_path: Path) -> None:
    files = tmp_path / "wandb" / "run-20261127_120000-ab12" / "files"
    files.mkdir(parents=True)
    config = "_wandb:\n  value: {t: 1}\nlr:\n  desc: null\n  value: 0.1\ndropout:\n  value: 0\nseed:\n  value: 3\n"
    (files / "config.yaml").write_text(config)
    (files / "wandb-summary.json").write_text('{"val_acc": 0.75, "_step": 9, "_runtime": 3, "train": {"loss": "NaN"}}')
    (run,) = read_store("wandb", tmp_path, DECLARED).runs
    assert run.parameters == {"lr": "0.1", "dropout": "0", "seed": "3"}
    assert run.series["val_acc"] == [(9, 0.75)]
    assert math.isnan(run.series["train.loss"][0].value)
    (files / "wandb-summary.json").unlink()
    with pytest.raises(UserError, match="has neither a log"):
        read_store("wandb", tmp_path, DECLARED)


def test_of_a_run_of_hydra_no_file_is_read_after_the_one_with_the_metric(tmp_path: Path) -> None:
    folder = tmp_path / "multirun" / "0"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text("lr: 0.1\ndropout: 0\nseed: 0\n")
    (folder / "metrics.jsonl").write_text('{"step": 1, "val_acc": 0.75}\n')
    (folder / "metrics.csv").write_text("step,val_loss\n1\n2,0.5\n")
    with (folder / "train.log").open("wb") as file:
        file.truncate(2**26 + 1)
    (run,) = read_store("hydra", tmp_path / "multirun", DECLARED).runs
    assert run.series == {"val_acc": [(1, 0.75)]}
    (folder / "metrics.jsonl").unlink()
    with pytest.raises(UserError, match="1 cell in this row, 2 in the header"):
        read_store("hydra", tmp_path / "multirun", DECLARED)


def test_parameters_beside_event_files_are_read_and_folders_by_part_of_the_data_are_one_run(
    tmp_path: Path,
) -> None:
    from torch.utils.tensorboard import SummaryWriter

    for part in ("train", "validation"):
        with SummaryWriter(tmp_path / "logs" / "run1" / part) as writer:
            writer.add_scalar("epoch_loss", 0.5, 1)
    hparams = "lr: 1e-3\nseed: 2\nnet: !!python/object:my.Net {width: 8}\nshape: !!python/tuple [1, 2]\nempty:\n"
    (tmp_path / "logs" / "run1" / "hparams.yaml").write_text(hparams)
    (run,) = read_store("tensorboard", tmp_path / "logs", DECLARED).runs
    assert run.name == "run1"
    assert run.parameters == {"lr": "0.001", "seed": "2", "net.width": "8", "shape": "[1, 2]", "empty": "none"}
    assert run.series == {"train/epoch_loss": [(1, 0.5)], "validation/epoch_loss": [(1, 0.5)]}
    with SummaryWriter(tmp_path / "logs" / "run1") as writer:
        writer.add_hparams({"net/width": 8, "lr": 0.001, "decay": 0.5}, {}, run_name="h")
    (run,) = read_store("tensorboard", tmp_path / "logs", DECLARED).runs
    assert (run.parameters["decay"], run.parameters["lr"], run.parameters.get("net/width")) == ("0.5", "0.001", None)
    (tmp_path / "logs" / "run1" / "hparams.yaml").write_text("lr: 1\n  seed: [\n")
    with pytest.raises(UserError, match=r"hparams\.yaml:2: this is not YAML"):
        read_store("tensorboard", tmp_path / "logs", DECLARED)


def test_the_command_offers_every_tool_that_there_is_a_reader_for() -> None:
    assert _TOOLS == TOOLS
