"""The record of evaluations on the test set: what is read, restored, and left out with a notice."""

from __future__ import annotations

import getpass
import json
import math
import os
import platform
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ablation._util.hashing import sha256
from ablation.errors import UnreadableError, UserError
from ablation.storage import test_set_log
from ablation.storage.sealed import seal, stamp
from ablation.storage.store import RunFolder, Store
from ablation.storage.test_set_log import (
    Outcome,
    append_evaluation,
    make_evaluation,
    openings_file,
    outcome_file,
    read_evaluations,
    read_log,
    read_outcome,
    write_outcome,
)

from .stored import ARMS, Stored, write_study

TIME = "2026-04-01T10:00:00+00:00"
LATER = "2026-05-01T10:00:00+00:00"


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """Two runs that were evaluated on the same day."""
    study = write_study(tmp_path / "results", ARMS[:1], [0], name="small")
    for folder in folders(study):
        evaluate(study, folder)
    evaluation = make_evaluation([folder.path.name for folder in folders(study)], "print", 60, "ablate test")
    append_evaluation(study.store, "small", evaluation | {"time": TIME})
    return study


def folders(stored: Stored) -> list[RunFolder]:
    return [stored.store.run(name) for _, _, name, _ in stored.manifest.runs()]


def evaluate(stored: Stored, folder: RunFolder, **changes: object) -> None:
    (folder.path / "test.npz").write_bytes(b"predictions")
    record = folder.record()
    assert record is not None
    outcome = Outcome(0.9, 0.4, 60, "print", TIME, "", "small", record.weights_sha256 or "")
    write_outcome(folder, replace(outcome, **changes))  # type: ignore[arg-type]


def log(stored: Stored) -> test_set_log.TestSetLog:
    return read_log(stored.store, stored.manifest, {own.path.name: own.record() for own in folders(stored)})


def rewrite(folder: RunFolder, **values: object) -> None:
    path = outcome_file(folder)
    path.write_text(json.dumps(seal(json.loads(path.read_text()) | values)))


def test_an_evaluation_says_who_did_what_and_when() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    found = make_evaluation(["a", "b"], "print", 60, "ablate test x")
    assert before <= datetime.fromisoformat(found.pop("time")) <= datetime.now(UTC)
    assert found == {
        "user": getpass.getuser(), "host": platform.node() or "unknown host", "runs": ["a", "b"],
        "fingerprint": "print", "images": 60, "command": "ablate test x",
    }  # fmt: skip


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 987_654)
    assert make_evaluation([], "", 1, "")["user"] == "user 987654"


def test_each_line_has_the_digest_of_the_one_before(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert read_evaluations(store, "s") == []
    append_evaluation(store, "s", *(make_evaluation(["r"], "p", 1, name) for name in ("one", "zwei: ü")))
    append_evaluation(store, "s", make_evaluation(["r"], "p", 1, "three"))
    lines = openings_file(store, "s").read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line)["previous"] for line in lines] == ["", *(sha256(line) for line in lines[:2])]
    assert [own["command"] for own in read_evaluations(store, "s")] == ["one", "zwei: ü", "three"]
    assert "ü".encode() in lines[1]


def test_a_whole_last_line_without_its_end_counts_and_a_torn_one_does_not(stored: Stored) -> None:
    path = openings_file(stored.store, "small")
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert log(stored).notices == ()
    path.write_bytes(path.read_bytes() + b'\n{"schema')
    found = log(stored)
    assert found.notices == (f"the last line of {path} was cut off, and is left out",)
    assert len(found.evaluations) == 1


def test_a_line_that_was_changed_removed_or_is_of_no_evaluation(tmp_path: Path) -> None:
    store = Store(tmp_path)
    append_evaluation(store, "s", *(make_evaluation(["r"], "p", 1, name) for name in ("one", "two", "three")))
    path = openings_file(store, "s")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])
    with pytest.raises(UserError, match=r"line 2 of .* does not follow the line before it") as caught:
        read_evaluations(store, "s")
    assert str(caught.value.hint).startswith("restore the file from a copy")
    path.write_text("".join(lines[1:]))
    with pytest.raises(UserError, match=r"line 1 of .* does not follow"):
        read_evaluations(store, "s")
    path.write_text(lines[0] + lines[1].replace("two", "six") + lines[2])
    with pytest.raises(UserError, match=r"line 2 of .* has changed .*; it is not a record of an evaluation"):
        read_evaluations(store, "s")
    path.write_text(json.dumps(seal({"schema_version": 1, "runs": []})) + "\n")
    with pytest.raises(UserError, match=r"line 1 of .* cannot be read: .*; it is not a record"):
        read_evaluations(store, "s")


def test_an_outcome_comes_back_with_the_stamp_of_its_predictions(stored: Stored) -> None:
    folder = folders(stored)[0]
    found = read_outcome(folder)
    assert found is not None
    assert (found.accuracy, found.loss, found.images, found.run, found.study) == (
        0.9,
        0.4,
        60,
        folder.path.name,
        "small",
    )
    assert dict(found.files) == {"test.npz": stamp(folder.path / "test.npz")}
    (folder.path / "test.npz").unlink()
    write_outcome(folder, replace(found, loss=math.inf))
    again = read_outcome(folder)
    assert again is not None
    assert math.isnan(again.loss)
    assert dict(again.files) == {}
    outcome_file(folder).unlink()
    assert read_outcome(folder) is None


@pytest.mark.parametrize(
    ("name", "value"), [("accuracy", 1.1), ("loss", -1), ("images", 0), ("time", "now"), ("files", {"a": 1})]
)
def test_an_outcome_outside_of_its_range_is_refused_and_noticed(name: str, value: object, stored: Stored) -> None:
    folder = folders(stored)[0]
    rewrite(folder, **{name: value})
    with pytest.raises(UnreadableError, match=name) as caught:
        read_outcome(folder)
    assert caught.value.hint == "ablate test --again evaluates the run again"
    found = log(stored)
    assert found.notices == (caught.value.message,)
    assert found.outcomes.keys() == {folders(stored)[1].path.name}


def test_a_whole_log(stored: Stored) -> None:
    found = log(stored)
    names = {own.path.name for own in folders(stored)}
    assert (found.outcomes.keys(), found.restored, found.notices) == (names, (), ())
    assert found.fingerprints == {name: {"print"} for name in names}
    several = test_set_log.TestSetLog(
        ({"runs": ["a"], "fingerprint": "x + y"}, {"runs": ["a", "b"], "fingerprint": "z"}), {}
    )
    assert several.fingerprints == {"a": {"x", "y", "z"}, "b": {"z"}}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"run": "another"}, "it is that of another run, another"),
        ({"weights_sha256": "0" * 64}, "the run was trained again since, to other weights"),
        ({"fingerprint": "other"}, "another study evaluated the run on other test images"),
        ({"run": ""}, ""), ({"weights_sha256": ""}, ""), ({"files": {}}, ""),
    ],
)  # fmt: skip
def test_an_outcome_that_is_not_that_of_the_run_is_left_out(
    changes: dict[str, object], fault: str, stored: Stored
) -> None:
    folder = folders(stored)[0]
    rewrite(folder, **changes)
    found = log(stored)
    assert found.notices == ((f"{outcome_file(folder)} is left out: {fault}",) if fault else ())
    assert (folder.path.name in found.outcomes) == (not fault)


@pytest.mark.parametrize("how", ["missing", "changed"])
def test_test_predictions_that_are_not_those_of_the_outcome(how: str, stored: Stored) -> None:
    folder = folders(stored)[0]
    path = folder.path / "test.npz"
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(b"other")
    fault = "test.npz beside it is missing or has changed"
    assert log(stored).notices == (f"{outcome_file(folder)} is left out: {fault}",)


def test_an_outcome_that_was_deleted_is_noticed_of_the_runs_that_have_a_record(stored: Stored) -> None:
    for folder in folders(stored):
        outcome_file(folder).unlink()
    missing = sorted(str(outcome_file(folder)) for folder in folders(stored))
    end = " is missing, and with it what came of the evaluation on the test set"
    assert log(stored).notices == tuple(path + end for path in missing)
    assert log(stored).outcomes == {}
    assert read_log(stored.store, stored.manifest, {}).notices == ()


def test_an_outcome_of_a_run_without_a_record_is_left_out(stored: Stored) -> None:
    found = read_log(stored.store, stored.manifest, {})
    assert (found.outcomes, found.notices, len(found.evaluations)) == ({}, (), 1)


def test_a_lost_evaluation_is_restored_from_its_outcomes(stored: Stored) -> None:
    path = openings_file(stored.store, "small")
    path.unlink()
    first, second = folders(stored)
    evaluate(stored, second, time=LATER, images=70)
    found = log(stored)
    assert [(own["time"], own["runs"]) for own in found.restored] == [
        (TIME, [first.path.name]), (LATER, [second.path.name]),
    ]  # fmt: skip
    own = found.restored[1]
    assert (own["user"], own["host"], own["fingerprint"], own["images"], own["command"]) == (
        "unknown", "unknown", "print", 70, "restored from test.json",
    )  # fmt: skip
    assert found.evaluations == found.restored
    assert len(found.outcomes) == 2
    assert found.notices[0] == (
        f"{path} lacks the evaluation on the test set of {TIME}; it is restored from the test.json of 1 run"
    )


def test_the_images_of_a_restored_evaluation_are_those_of_each_data_set(stored: Stored) -> None:
    openings_file(stored.store, "small").unlink()
    evaluate(stored, folders(stored)[1], fingerprint="other", images=40)
    (own,) = log(stored).restored
    assert own["images"] == 100
    assert sorted(own["fingerprint"].split(" + ")) == ["other", "print"]
    assert own["runs"] == sorted(folder.path.name for folder in folders(stored))
    assert "of 2 runs" in log(stored).notices[0]


def test_an_evaluation_of_another_study_is_not_restored(stored: Stored) -> None:
    openings_file(stored.store, "small").unlink()
    evaluate(stored, folders(stored)[1], study="other")
    (own,) = log(stored).restored
    assert own["runs"] == [folders(stored)[0].path.name]


def test_an_outcome_of_an_earlier_version_is_restored_unless_another_study_has_it_on_record(stored: Stored) -> None:
    """Such an outcome does not say which study it is of."""
    path = openings_file(stored.store, "small")
    for folder in folders(stored):
        rewrite(folder, study="")
    elsewhere = path.parent.with_name("other") / "openings.jsonl"
    elsewhere.parent.mkdir()
    path.rename(elsewhere)
    assert log(stored).restored == ()
    elsewhere.write_text("[]\n")
    (own,) = log(stored).restored
    assert len(own["runs"]) == 2
    elsewhere.unlink()
    assert len(log(stored).restored) == 1
