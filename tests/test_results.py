"""The tables of a study: one row for each run, with the values of its files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ablation.results.runs import EPOCH_COLUMNS, RUN_COLUMNS, Results, load_results
from ablation.storage.record import EpochRow
from ablation.storage.store import RunFolder
from ablation.storage.test_set_log import Outcome, append_evaluation, make_evaluation, write_outcome

from .stored import ARMS, Stored, amend, amend_epochs, explore, write_study

FATES = {
    ("dropout=0", 0): "diverged",
    ("dropout=0", 1): "crashed",
    ("dropout=0.5", 0): "interrupted",
    ("dropout=0.5", 1): "missing",
}


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return write_study(tmp_path / "results", ARMS[:2], [0, 1], fates=FATES)  # type: ignore[arg-type]


def folder_of(stored: Stored, variant: str = "baseline", seed: int = 0) -> RunFolder:
    return stored.store.run(stored.manifest.run_folder(variant, seed))


def rows_of(results: Results) -> dict[tuple[str, int], dict[str, object]]:
    return {(row["variant"], row["seed"]): row for row in results.runs.to_dict("records")}


def test_every_run_has_a_row_with_its_state(stored: Stored) -> None:
    results = load_results(stored.store, stored.manifest)
    assert tuple(results.runs) == RUN_COLUMNS
    assert tuple(results.epochs) == EPOCH_COLUMNS
    found = {run: (row["status"], row["epochs"]) for run, row in rows_of(results).items()}
    assert found == {
        ("baseline", 0): ("finished", 6),
        ("baseline", 1): ("finished", 6),
        ("dropout=0", 0): ("diverged", 3),
        ("dropout=0", 1): ("crashed", 3),
        ("dropout=0.5", 0): ("interrupted", 3),
        ("dropout=0.5", 1): ("missing", 0),
    }
    assert results.records.keys() == {("baseline", 0), ("baseline", 1), ("dropout=0", 0)}
    assert {run: own.message[:26] for run, own in results.failures.items()} == {
        ("dropout=0", 1): "RuntimeError: out of memor"
    }
    assert not results.complete
    assert (results.test_evaluations, results.tested, results.notices) == ((), frozenset(), ())


def test_finished_and_diverged_runs_complete_a_study(tmp_path: Path) -> None:
    stored = write_study(tmp_path, ARMS[:1], [0], fates={("dropout=0", 0): "diverged"})
    assert load_results(stored.store, stored.manifest).complete


def test_a_row_has_the_values_of_the_record_and_of_the_selected_epoch(stored: Stored) -> None:
    folder = folder_of(stored)
    record, history = folder.record(), folder.epochs()
    assert record is not None
    assert record.selected_epoch
    selected = history[record.selected_epoch - 1]
    row = rows_of(load_results(stored.store, stored.manifest))["baseline", 0]
    for name in ("selected_epoch", "best_epoch", "parameters", "macs", "train_images", "val_images", "train_seconds"):
        assert row[name] == getattr(record, name)
    assert (row["resumed"], row["weights_sha256"], row["folder"]) == (0, record.weights_sha256, folder.path.name)
    assert (row["device"], row["threads"]) == ("cpu", 1)
    for name in ("val_accuracy", "val_loss", "train_accuracy", "train_loss"):
        assert row[name] == record.metrics[name] == selected.metrics[name]
    assert math.isnan(row["test_accuracy"])  # type: ignore[arg-type]
    assert math.isnan(row["test_loss"])  # type: ignore[arg-type]


def test_a_diverged_run_has_no_metrics(stored: Stored) -> None:
    row = rows_of(load_results(stored.store, stored.manifest))["dropout=0", 0]
    assert all(math.isnan(row[name]) for name in ("val_accuracy", "val_loss", "train_loss", "selected_epoch"))  # type: ignore[arg-type]
    assert row["parameters"] == 61_706


def test_memory_is_the_largest_and_speed_the_mean_over_time(stored: Stored) -> None:
    def timed(row: EpochRow, last: int) -> EpochRow:
        own = {"seconds": 3.0, "images_per_second": 100.0, "peak_memory_mb": 50.0}
        first = {"seconds": 1.0, "images_per_second": 500.0, "peak_memory_mb": 70.0}
        return replace(row, **(first if row.epoch == 1 else own))

    amend_epochs(stored, "baseline", timed)
    row = rows_of(load_results(stored.store, stored.manifest))["baseline", 0]
    assert row["peak_memory_mb"] == 70.0
    assert row["images_per_second"] == pytest.approx((500 + 5 * 300) / 16)


def test_no_time_is_no_speed(stored: Stored) -> None:
    amend_epochs(stored, "baseline", lambda row, last: replace(row, seconds=0.0))
    row = rows_of(load_results(stored.store, stored.manifest))["baseline", 0]
    assert row["images_per_second"] is None or math.isnan(row["images_per_second"])  # type: ignore[arg-type]


def test_the_epochs_of_all_runs_are_in_one_table(stored: Stored) -> None:
    results = load_results(stored.store, stored.manifest)
    assert len(results.epochs) == 6 + 6 + 3 + 3 + 3
    own = results.epochs[(results.epochs.variant == "dropout=0.5") & (results.epochs.seed == 0)]
    history = folder_of(stored, "dropout=0.5").epochs()
    rows = [{**vars(row), **row.metrics} for row in history]
    for name in EPOCH_COLUMNS[2:]:
        assert own[name].tolist() == [row[name] for row in rows]
    assert results.epochs.seed.dtype.kind == "i"


def test_a_study_without_any_epoch_has_an_empty_table(tmp_path: Path) -> None:
    stored = write_study(tmp_path, [], [0], everywhere="missing")
    results = load_results(stored.store, stored.manifest)
    assert tuple(results.epochs) == EPOCH_COLUMNS
    assert len(results.epochs) == 0
    assert rows_of(results)["baseline", 0]["status"] == "missing"


def test_a_damaged_run_has_a_reason_and_no_values(stored: Stored) -> None:
    folder_of(stored).history.write_text("{}\n")
    results = load_results(stored.store, stored.manifest)
    row = rows_of(results)["baseline", 0]
    assert (row["status"], row["epochs"]) == ("damaged", 0)
    assert np.isnan(row["val_accuracy"])  # type: ignore[call-overload]
    failure = results.failures["baseline", 0]
    assert "epochs.jsonl has changed" in failure.message
    assert (failure.details, failure.attempts) == ("", 0)
    assert not ((results.epochs.variant == "baseline") & (results.epochs.seed == 0)).any()


def test_test_accuracies_are_those_of_the_evaluated_runs(stored: Stored) -> None:
    folder = folder_of(stored)
    record = folder.record()
    assert record is not None
    append_evaluation(
        stored.store, stored.manifest.folder, make_evaluation([folder.path.name], "print", 40, "ablate test")
    )
    outcome = Outcome(
        0.91, 0.3, 40, "print", "2026-01-01T00:00:00+00:00", "", stored.manifest.folder, record.weights_sha256 or ""
    )
    write_outcome(folder, outcome)
    results = load_results(stored.store, stored.manifest)
    row = rows_of(results)["baseline", 0]
    assert (row["test_accuracy"], row["test_loss"]) == (0.91, 0.3)
    assert results.tested == {folder.path.name}
    assert [own["command"] for own in results.test_evaluations][:1] == ["ablate test"]
    assert results.runs.test_accuracy.notna().sum() == 1


def test_amended_records_are_read(stored: Stored) -> None:
    amend(stored, "baseline", 0, resumed=3, environment={"device": "NVIDIA H100", "threads": 2})
    row = rows_of(load_results(stored.store, explore(stored, "dropout=0").manifest))["baseline", 0]
    assert (row["resumed"], row["device"], row["threads"]) == (3, "NVIDIA H100", 2)
