"""Which stored runs can be trusted, and the reason where one cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablation.errors import UnreadableError, UserError
from ablation.storage.record import EpochRow, RunRecord
from ablation.storage.sealed import seal as sealed
from ablation.storage.store import RunFolder
from ablation.storage.stored_run import (
    Identity,
    StoredRun,
    check_weights,
    finished_runs,
    inconsistency,
    read_run,
    set_damage_aside,
)
from tests.stored import with_metrics

from .stored import ARMS, BASELINE, Stored, write_study


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return write_study(tmp_path / "results", ARMS[:1], [0], fates={("dropout=0", 0): "diverged"})


def run_of(stored: Stored, variant: str = "baseline", **options: Any) -> StoredRun:
    folder, identity = parts(stored, variant)
    return read_run(folder, identity, **options)


def parts(stored: Stored, variant: str = "baseline") -> tuple[RunFolder, Identity]:
    name, identity = next((n, i) for own, _, n, i in stored.manifest.runs() if own.name == variant)
    return stored.store.run(name), identity


def record_of(stored: Stored, variant: str = "baseline") -> tuple[RunRecord, list[EpochRow]]:
    folder = parts(stored, variant)[0]
    record = folder.record()
    assert record is not None
    return record, folder.epochs()


def rewrite(folder: RunFolder, **values: Any) -> None:
    """Change the record without a trace."""
    path = folder.path / "run.json"
    own = json.loads(path.read_text()) | values
    path.write_text(json.dumps(sealed(own)))


def test_a_finished_run_has_its_record_epochs_and_selected_epoch(stored: Stored) -> None:
    record, rows = record_of(stored)
    run = run_of(stored)
    assert (run.state, run.record, run.failure, run.reason) == ("finished", record, None, "")
    assert list(run.epochs) == rows
    assert record.metrics == rows[(record.selected_epoch or 0) - 1].metrics


def test_a_diverged_run_has_no_selected_epoch(stored: Stored) -> None:
    run = run_of(stored, "dropout=0")
    assert (run.state, len(run.epochs)) == ("diverged", 3)
    assert run.record is not None
    assert (run.record.selected_epoch, run.record.metrics) == (None, {})


def test_epochs_are_parsed_only_where_they_are_asked_for_or_no_digest_vouches_for_them(stored: Stored) -> None:
    folder, _ = parts(stored)
    assert run_of(stored).known_epochs is not None
    lazy = run_of(stored, every_epoch=False)
    assert lazy.known_epochs is None
    assert len(lazy.epochs) == 6
    rewrite(folder, files={})
    assert run_of(stored, every_epoch=False).known_epochs is not None
    rewrite(folder, files={}, best_epoch=1)
    assert "its best epoch is recorded as 1" in run_of(stored, every_epoch=False).reason


def test_a_damaged_run_has_no_epochs_and_no_record(stored: Stored) -> None:
    folder, _ = parts(stored)
    folder.history.write_text("{}\n")
    run = run_of(stored)
    assert (run.state, run.record, run.epochs) == ("damaged", None, ())
    assert run.reason == f"{folder.path}: epochs.jsonl has changed since the run ended: its SHA-256 does not match"
    assert set_damage_aside(run) == f"{run.reason}; set aside, the run is trained again"
    assert run_of(stored).state == "missing"
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "config.json",
        "epochs.jsonl.unreadable",
        "run.json.unreadable",
    ]


def test_nothing_is_set_aside_of_a_run_that_is_not_damaged(stored: Stored) -> None:
    assert set_damage_aside(run_of(stored)) == ""
    assert run_of(stored).state == "finished"


def test_what_there_is_of_an_unfinished_run(stored: Stored) -> None:
    folder, _ = parts(stored)
    (folder.path / "run.json").unlink()
    run = run_of(stored)
    assert (run.state, len(run.epochs), run.failure) == ("interrupted", 6, None)
    folder.fail("out of memory", "Traceback")
    run = run_of(stored)
    assert run.state == "crashed"
    assert run.failure
    assert run.failure.message == "out of memory"
    folder.history.unlink()
    assert run_of(stored).state == "crashed"
    folder.failure_file.unlink()
    assert run_of(stored).state == "missing"


@pytest.mark.parametrize("kept", [slice(1, None), slice(None, None, 2), slice(None, None, -1)])
def test_epochs_of_an_unfinished_run_that_are_not_numbered_from_one_are_damage(kept: slice, stored: Stored) -> None:
    folder, _ = parts(stored)
    (folder.path / "run.json").unlink()
    lines = folder.history.read_text().splitlines(keepends=True)
    folder.history.write_text("".join(lines[kept]))
    run = run_of(stored)
    assert run.state == "damaged"
    assert run.reason == f"the epochs in {folder.history} are not numbered from 1"


def test_a_record_must_be_that_of_the_key_the_seed_and_the_recipe(stored: Stored) -> None:
    folder, identity = parts(stored)
    wrong = {
        "another run, ": replace(identity, key="0" * 16),
        "of seed 0, and the study expects seed 7": replace(identity, seed=7),
        "the recipe in its record is not that of the study": replace(identity, recipe="{}"),
    }
    for message, other in wrong.items():
        assert message in read_run(folder, other).reason


@pytest.mark.parametrize("name", ["epochs.jsonl", "predictions.npz"])
def test_a_file_that_figures_come_from_must_be_there(name: str, stored: Stored) -> None:
    folder, _ = parts(stored)
    (folder.path / name).write_bytes((folder.path / name).read_bytes() if name == "epochs.jsonl" else b"p")
    folder.finish(record_of(stored)[0])
    (folder.path / name).unlink()
    assert run_of(stored).reason == f"{folder.path}: {name} is missing"


@pytest.mark.parametrize("name", ["best.pt", "last.pt"])
def test_weights_are_damaged_by_their_size_or_where_they_were_set_aside(name: str, stored: Stored) -> None:
    folder, _ = parts(stored)
    path = folder.path / name
    path.write_bytes(b"w" * 2000)
    folder.finish(record_of(stored)[0])
    assert run_of(stored).state == "finished"
    path.write_bytes(b"x" * 2000)
    assert run_of(stored).state == "finished"  # whoever loads them checks their digest
    path.write_bytes(b"x" * 1999)
    assert f"{name} has changed since the run ended: it has 1,999 bytes, not 2,000" in run_of(stored).reason
    path.unlink()
    assert run_of(stored).state == "finished"
    (folder.path / f"{name}.unreadable-2").touch()
    assert run_of(stored).reason == f"{folder.path}: {name} was damaged and set aside"
    path.write_bytes(b"w" * 2000)
    assert run_of(stored).state == "finished"


FAULTS: dict[str, tuple[Callable[[RunRecord, list[EpochRow]], tuple[RunRecord, list[EpochRow]]], str]] = {
    "one epoch less": (lambda record, rows: (record, rows[:-1]), "its epochs are not 1 to 6"),
    "one epoch more": (lambda record, rows: (record, [*rows, replace(rows[-1], epoch=7)]), "its epochs are not 1 to 6"),
    "decreasing steps": (
        lambda record, rows: (record, [*rows[:2], replace(rows[2], step=1), *rows[3:]]),
        "the steps of its epochs decrease",
    ),
    "equal steps": (lambda record, rows: (record, [replace(row, step=7) for row in rows]), ""),
    "a training loss": (
        lambda record, rows: (record, [*rows[:-1], with_metrics(rows[-1], train_loss=float("nan"))]),
        "it is recorded as finished, with a loss that is not finite in epochs [6]",
    ),
    "a validation loss": (
        lambda record, rows: (record, [with_metrics(rows[0], val_loss=float("inf")), *rows[1:]]),
        "it is recorded as finished, with a loss that is not finite in epochs [1]",
    ),
    "finite losses": (
        lambda record, rows: (replace(record, status="diverged"), rows),
        "it is recorded as diverged, with a loss that is not finite in epochs none",
    ),
    "a selected epoch": (
        lambda record, rows: (replace(record, selected_epoch=1), rows),
        "epoch 1 is recorded as selected, and the rule selects epoch",
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_cannot_be_true_together(what: str, stored: Stored) -> None:
    change, message = FAULTS[what]
    found = inconsistency(*change(*record_of(stored)))
    assert found.startswith(message)
    assert bool(found) is bool(message)


def test_a_diverged_run_with_a_selected_epoch_is_inconsistent(stored: Stored) -> None:
    record, rows = record_of(stored, "dropout=0")
    assert inconsistency(record, rows) == ""
    assert "an epoch is selected" in inconsistency(replace(record, selected_epoch=1), rows)
    early = [with_metrics(rows[0], train_loss=float("nan")), *rows[1:]]
    assert "in epochs [1, 3]" in inconsistency(record, early)


def test_the_first_of_equal_epochs_is_the_best_and_the_last_one_can_be_the_rule(tmp_path: Path) -> None:
    baseline = BASELINE | {"train": {"epochs": 3, "select": "last"}}
    stored = write_study(tmp_path, [], [0], baseline=baseline)
    record, rows = record_of(stored)
    rows = [with_metrics(row, val_accuracy=accuracy) for row, accuracy in zip(rows, (0.5, 0.8, 0.8), strict=True)]
    record = replace(record, metrics=rows[2].metrics)
    assert inconsistency(replace(record, best_epoch=2, selected_epoch=3), rows) == ""
    other = replace(record, best_epoch=2, selected_epoch=3, metrics=rows[0].metrics)
    assert "its metrics are not those of epoch 3" in inconsistency(other, rows)
    assert "best validation accuracy is in epoch 2" in inconsistency(replace(record, best_epoch=3), rows)
    assert "the rule selects epoch 3" in inconsistency(replace(record, best_epoch=2, selected_epoch=2), rows)


def test_only_trusted_runs_count_as_finished(tmp_path: Path) -> None:
    from ablation.planning.plan import make_plan, source_key
    from ablation.study.schema import Study, Variant

    from .stored import FINGERPRINT, changed

    fates = {("dropout=0.5", 0): "diverged", ("norm=batch", 0): "crashed", ("constant", 0): "missing"}
    stored = write_study(tmp_path, ARMS, [0], fates=fates)  # type: ignore[arg-type]
    first = changed(BASELINE, {})
    variants = [Variant("baseline", {}, first, "baseline")]
    variants += [Variant(variant.name, variant.changes, changed(BASELINE, variant.changes), "vary") for variant in ARMS]
    study = Study("x", "", "", tuple(variants), (0,), "", (), False)
    plan = make_plan(study, {source_key(variant.recipe.data): FINGERPRINT for variant in variants})
    keys = {run.variant: run.key for run in plan.runs}
    assert set(finished_runs(plan.runs, stored.store)) == {
        keys[name] for name in ("baseline", "dropout=0", "dropout=0.5")
    }
    parts(stored)[0].history.write_text("{}\n")
    assert set(finished_runs(plan.runs, stored.store)) == {keys[name] for name in ("dropout=0", "dropout=0.5")}
    rewrite(parts(stored, "dropout=0")[0], schema_version=9)
    with pytest.raises(UserError, match="schema version 9"):
        finished_runs(plan.runs, stored.store)


def test_weights_are_loaded_only_where_they_are_those_of_the_run(stored: Stored) -> None:
    folder, _ = parts(stored)
    with pytest.raises(UnreadableError, match=r"best.pt is missing") as caught:
        check_weights(folder, record_of(stored)[0], "best.pt")
    assert caught.value.hint == f"to evaluate it, delete {folder.path} and run the study again"
    folder.best.write_bytes(b"w")
    check_weights(folder, record_of(stored)[0], "best.pt")  # a record of an earlier version has no digest
    record = folder.finish(record_of(stored)[0])
    check_weights(folder, record, "best.pt")
    assert folder.best.exists()
    folder.best.write_bytes(b"x")
    with pytest.raises(UnreadableError, match=r"best.pt has changed since the run ended; set aside"):
        check_weights(folder, record, "best.pt")
    assert (folder.path / "best.pt.unreadable").read_bytes() == b"x"
    assert not folder.best.exists()


def test_a_run_that_finishes_forgets_an_earlier_failure(stored: Stored) -> None:
    folder, _ = parts(stored)
    folder.fail("out of memory", "")
    folder.finish(record_of(stored)[0])
    assert folder.failure() is None
    assert run_of(stored).state == "finished"


def test_a_run_of_schema_1_is_read_with_the_metrics_of_its_selected_epoch(stored: Stored) -> None:
    record, rows = record_of(stored)
    folder = parts(stored)[0]
    lines = [row.to_json() for row in rows]
    folder.history.write_text("".join(json.dumps(own | own.pop("metrics")) + "\n" for own in lines))
    rewrite(folder, files={}, schema_version=1, metrics=None)
    values = json.loads((folder.path / "run.json").read_text())
    del values["metrics"]
    (folder.path / "run.json").write_text(json.dumps(sealed(values)))
    run = run_of(stored)
    assert (run.state, run.reason, list(run.epochs)) == ("finished", "", rows)
    assert run.record == replace(record, files={})
    folder.history.write_text("{}\n")
    assert run_of(stored).state == "damaged"
