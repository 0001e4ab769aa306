"""Stored results that were damaged or changed: no figure of theirs is reported, and every command says why."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ablation.analysis import Predicted, describe, to_json
from ablation.cli.status_table import print_status
from ablation.errors import UserError
from ablation.registry.metrics import OF_EPOCHS
from ablation.results.predictions import read_predictions
from ablation.results.runs import Results, load_results
from ablation.storage.manifest import Manifest, read_manifest, read_studies
from ablation.storage.record import EpochRow
from ablation.storage.sealed import seal as sealed
from ablation.storage.store import RunFolder, Store, write_record
from ablation.storage.stored_run import read_run
from ablation.storage.test_set_log import Outcome, append_evaluation, make_evaluation, openings_file, write_outcome
from tests.stored import metrics

from .conftest import ROOT, TINY, Ablate
from .damage import damage
from .predicted import one_in_ten, write_predictions
from .stored import Stored, StoredVariant, write_study

ARM = StoredVariant("dropout=0.5", {"model.dropout": 0.5}, 0.93)
CONTROL = StoredVariant("a/a control", {}, kind="control")
TIME = "2026-04-01T10:00:00+00:00"


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    """A small study with predictions and weights, evaluated on the test set."""
    return make(tmp_path / "results")


def make(root: Path, *, test: bool = True) -> Stored:
    study = write_study(root, [ARM, CONTROL], [0, 1], name="small")
    folders = {name: study.store.run(name) for _, _, name, _ in study.manifest.runs()}
    for folder in folders.values():
        folder.best.write_bytes(folder.path.name.encode())
        folder.last.write_bytes(folder.path.name.encode() * 2)
    write_predictions(study, one_in_ten, images=60)
    if test:
        write_predictions(study, one_in_ten, images=60, file="test.npz")
        for name, folder in folders.items():
            record = folder.record()
            assert record is not None
            weights = record.weights_sha256 or ""
            accuracy = (90 + len(name) % 7) / 100
            write_outcome(folder, Outcome(accuracy, 0.4, 60, "test-v1", TIME, "", "small", weights))
        append_evaluation(
            study.store, "small", {**make_evaluation([*folders], "test-v1", 60, "ablate test"), "time": TIME}
        )
    return study


def folder_of(stored: Stored, variant: str = "baseline", seed: int = 0) -> RunFolder:
    return stored.store.run(stored.manifest.run_folder(variant, seed))


def edit(path: Path, change: Callable[[Any], object], *, seal: bool = False) -> None:
    """Change the JSON in a file; `seal` it as a forger would, or leave the digest that it had."""
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(sealed(values) if seal else values), encoding="utf-8")


def edit_epoch(folder: RunFolder, number: int, **values: Any) -> None:
    lines = folder.history.read_text(encoding="utf-8").splitlines()
    own = json.loads(lines[number - 1])
    own["metrics"] |= {name: values.pop(name) for name in OF_EPOCHS if name in values}
    lines[number - 1] = json.dumps(own | values)
    folder.history.write_text("\n".join(lines) + "\n", encoding="utf-8")


def without_digests(stored: Stored) -> None:
    """The study as an earlier version would have stored it."""
    for path in [*stored.store.root.rglob("run.json"), *stored.store.root.rglob("study.json")]:
        values = json.loads(path.read_text(encoding="utf-8"))
        for key in ("sha256", "files"):
            values.pop(key, None)
        path.write_text(json.dumps(values), encoding="utf-8")


def reason(stored: Stored, variant: str = "baseline", seed: int = 0) -> str:
    """Why a run is damaged, as the report says it; status says the same."""
    results = load_results(stored.store, stored.manifest)
    row = results.runs.set_index(["variant", "seed"]).loc[(variant, seed)]
    assert row.status == "damaged"
    assert np.isnan(row.val_accuracy)
    message = results.failures[variant, seed].message
    name, identity = next((n, i) for a, s, n, i in stored.manifest.runs() if (a.name, s) == (variant, seed))
    assert read_run(stored.store.run(name), identity, every_epoch=False).reason == message
    return message


# A finished run


def test_a_finished_run_keeps_the_digest_of_each_of_its_files(trained: Path) -> None:
    for folder in (trained / "results" / "runs").iterdir():
        record = RunFolder(folder).record()
        assert record is not None
        assert set(record.files) == {"config.json", "epochs.jsonl", "predictions.npz", "best.pt", "last.pt"}
        for name, stamp in record.files.items():
            assert (folder / name).stat().st_size == stamp.bytes


@pytest.mark.parametrize("digests", [True, False], ids=["digests", "earlier"])
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"val_accuracy": 7.5}, "val_accuracy"),
        ({"val_accuracy": "0.9"}, "val_accuracy"),
        ({"val_loss": -1.0}, "val_loss"),
        ({"train_loss": None}, "a loss that is not finite in epochs [2]"),
        ({"epoch": 3}, "its epochs are not 1 to 6"),
        ({"epoch": [2]}, "epoch"),
        ({"step": 1}, "the steps of its epochs decrease"),
        ({"val_accuracy": 1.0}, "its best validation accuracy is in epoch 2"),
    ],
)
def test_an_epoch_that_was_changed_is_no_result(
    values: dict[str, Any], said: str, digests: bool, stored: Stored
) -> None:
    if not digests:
        without_digests(stored)
    edit_epoch(folder_of(stored), 2, **values)
    assert ("epochs.jsonl has changed since the run ended" if digests else said) in reason(stored)


def test_a_figure_that_was_changed_to_another_one_is_noticed_by_its_digest(stored: Stored) -> None:
    edit_epoch(folder_of(stored), 6, train_accuracy=0.5)
    assert "epochs.jsonl has changed since the run ended" in reason(stored)


def test_a_line_that_was_deleted_is_noticed_without_digests(stored: Stored) -> None:
    without_digests(stored)
    path = folder_of(stored).history
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert "its epochs are not 1 to 6" in reason(stored)


@pytest.mark.parametrize("digests", [True, False], ids=["digests", "earlier"])
@pytest.mark.parametrize(
    "change",
    [
        {"selected_epoch": 2},
        {"selected_epoch": "6"},
        {"best_epoch": 1},
        {"status": "diverged"},
        {"status": "good"},
        {"started": "yesterday"},
        {"finished": "0001-01-01T00:00:00+14:00"},
        {"train_images": 0},
        {"macs": -1},
        {"macs": 1e400},
        {"image": [1, 8]},
        {"classes": []},
        {"environment": None},
        {"environment": {"threads": 0}},
        {"recipe": {}},
        {"seed": 5},
        {"key": "0123456789abcdef"},
        {"checks": [1]},
        {"resumed": True},
    ],
    ids=str,
)
def test_a_record_that_was_changed_is_no_result(change: dict[str, Any], digests: bool, stored: Stored) -> None:
    if not digests:
        without_digests(stored)
    edit(folder_of(stored).path / "run.json", lambda values: values.update(change))
    said = reason(stored)
    assert str(folder_of(stored).path.name) in said or "run.json" in said
    assert "Error" not in said


def test_swapped_run_folders_are_no_results(stored: Stored, tmp_path: Path) -> None:
    first, second = folder_of(stored).path, folder_of(stored, "dropout=0.5").path
    first.rename(tmp_path / "between")
    second.rename(first)
    (tmp_path / "between").rename(second)
    assert "its record is that of another run" in reason(stored)
    assert "its record is that of another run" in reason(stored, "dropout=0.5")
    assert load_results(stored.store, stored.manifest).runs.status.tolist().count("finished") == 4


@pytest.mark.parametrize("digests", [True, False], ids=["digests", "earlier"])
def test_swapped_entries_of_a_study_are_noticed(digests: bool, stored: Stored) -> None:
    def swap(values: Any, first: tuple[str, str], second: tuple[str, str]) -> None:
        folders = values["folders"]
        one, two = folders[first[0]][first[1]], folders[second[0]][second[1]]
        folders[first[0]][first[1]], folders[second[0]][second[1]] = two, one

    path = stored.store.study_file("small")
    whole = path.read_text()
    for other in (("dropout=0.5", "0"), ("baseline", "1"), ("a/a control", "0")):
        path.write_text(whole)
        edit(path, lambda values, other=other: swap(values, ("baseline", "0"), other), seal=digests)
        if not digests:
            without_digests(stored)
        results = load_results(stored.store, read_manifest(path))
        assert results.runs.status.tolist().count("damaged") == 2
        message = results.failures["baseline", 0].message
        assert "not that of the study" in message or "the study expects seed 0" in message


def test_predictions_that_are_not_those_of_the_run_are_noticed(stored: Stored) -> None:
    shutil.copy(folder_of(stored, seed=1).predictions, folder_of(stored).predictions)
    edit(folder_of(stored, "dropout=0.5").path / "config.json", lambda values: values.update(seed=9))
    folder_of(stored, "dropout=0.5", 1).predictions.unlink()
    assert load_results(stored.store, stored.manifest).failures.keys() == {("dropout=0.5", 1)}  # the same bytes
    with folder_of(stored).predictions.open("ab") as file:
        file.write(b"x")
    assert "predictions.npz has changed" in reason(stored)


def test_weights_count_by_their_size_and_may_be_deleted_to_make_room(stored: Stored) -> None:
    folder_of(stored).best.unlink()
    assert load_results(stored.store, stored.manifest).complete
    folder_of(stored, seed=1).best.write_bytes(b"torn")
    assert "best.pt has changed since the run ended: it has 4 bytes, not" in reason(stored, seed=1)


@pytest.mark.slow
def test_status_and_report_show_a_damaged_run_and_the_next_run_trains_it_again(
    trained: Path, ablate: Ablate, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    name = read_manifest(tmp_path / "results/studies/tiny/study.json").run_folder("baseline", 0)
    folder = RunFolder(tmp_path / "results" / "runs" / name)
    whole = folder.history.read_text()
    edit_epoch(folder, 3, val_accuracy=0.95)
    damaged = folder.history.read_text()
    status = ablate("status").stdout
    assert "5 finished" in status
    assert "baseline · seed 0 is damaged" in status
    assert "epochs.jsonl has changed since the run ended" in status
    assert "6 runs, 5 finished" in ablate("plan", "tiny.yaml").stdout
    refused = ablate("test", "tiny")
    assert refused.returncode == 1
    assert "1 of 6 runs of 'tiny' is not finished; 1 of them damaged" in refused.stderr
    assert ablate("report").returncode == 0
    page = (tmp_path / "reports" / "tiny" / "report.md").read_text(encoding="utf-8")
    assert "epochs.jsonl has changed" in page.replace("\\", "")
    again = ablate("run", "tiny.yaml")
    assert again.returncode == 0, again.stdout + again.stderr
    (line,) = [line for line in again.stdout.splitlines() if "has changed since the run ended" in line]
    assert "set aside, the run is trained again" in line
    assert folder.history.with_name("epochs.jsonl.unreadable").read_text() == damaged
    kept = [
        [json.loads(line)["metrics"]["val_accuracy"] for line in text.splitlines()]
        for text in (whole, folder.history.read_text())
    ]
    assert kept[0] == kept[1]
    assert "6 finished" in ablate("status").stdout


# Results of an earlier version


@pytest.mark.slow
def test_results_of_an_earlier_version_are_read_and_not_trained_again(ablate: Ablate, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "earlier", tmp_path / "results")
    shutil.move(tmp_path / "results" / "earlier.yaml", tmp_path / "earlier.yaml")
    before = {path: path.read_bytes() for path in tmp_path.glob("results/runs/*/*")}
    assert "6 finished" in ablate("status").stdout
    assert ablate("report").returncode == 0
    result = ablate("run", "earlier.yaml")
    assert result.returncode == 0, result.stderr
    assert "nothing left to train" in result.stdout
    assert {path: path.read_bytes() for path in tmp_path.glob("results/runs/*/*")} == before
    refused = ablate("test", "earlier")
    assert "'earlier' was evaluated on the test set on 2026" in refused.stderr


# study.json


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values["folders"]["baseline"].update({"0": "../../.."}),
        lambda values: values["folders"].pop("baseline"),
        lambda values: values.update(seeds="0"),
        lambda values: values.update(variants=[]),
        lambda values: values["analysis"].update(alpha="x"),
        lambda values: values["arms"][1].update(name="baseline"),
        lambda values: values.update(name="another"),
    ],
)
def test_a_damaged_study_json_is_refused_with_a_hint_that_works(
    change: Callable[[Any], object], stored: Stored, ablate: Ablate
) -> None:
    path = stored.store.study_file("small")
    edit(path, change, seal=True)
    with pytest.raises(UserError) as caught:
        read_manifest(path)
    assert str(path) in caught.value.message
    assert caught.value.hint == "run the study again: the damaged file is set aside and written again"


@pytest.mark.slow
def test_a_study_json_that_leads_elsewhere_is_set_aside_by_the_next_run(
    trained: Path, ablate: Ablate, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "results" / "studies" / "tiny" / "study.json"
    edit(path, lambda values: values["folders"]["baseline"].update({"0": "../../.."}), seal=True)
    assert ablate("status").returncode == 1
    result = ablate("run", "tiny.yaml")
    assert result.returncode == 0, result.stderr
    assert "set aside as study.json.unreadable and written again" in result.stdout
    assert "nothing left to train" in result.stdout
    assert "6 finished" in ablate("status").stdout


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["garbled", "newer"])
def test_the_study_json_of_another_study_is_skipped_with_a_notice(
    fault: str, stored: Stored, tmp_path: Path, ablate: Ablate
) -> None:
    other = tmp_path / "results" / "studies" / "other" / "study.json"
    other.parent.mkdir()
    other.write_text("{" if fault == "garbled" else '{"schema_version": 99}')
    for command in (("status",), ("status", "small")):
        result = ablate(*command)
        assert result.returncode == 0, result.stderr
        assert "6 finished" in result.stdout
        assert result.stderr.count("notice: skipped:") == 1
    refused = ablate("status", "other")
    assert refused.returncode == 1
    hint = "run the study again" if fault == "garbled" else "update ablation-lab"
    assert hint in refused.stderr


# The record of the test set


def log(stored: Stored) -> Any:
    results = load_results(stored.store, stored.manifest)
    assert results.test_evaluations
    return results


def test_a_last_line_without_its_end_is_read(stored: Stored) -> None:
    path = openings_file(stored.store, "small")
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    results = log(stored)
    assert (len(results.test_evaluations), results.notices) == (1, ())
    append_evaluation(stored.store, "small", make_evaluation([], "test-v1", 60, "second"))
    assert [own["command"] for own in log(stored).test_evaluations] == ["ablate test", "second"]


@pytest.mark.parametrize("how", ["deleted", "emptied", "torn"])
def test_the_record_of_an_evaluation_is_restored_from_the_runs(how: str, stored: Stored) -> None:
    path = openings_file(stored.store, "small")
    content = path.read_bytes()
    path.unlink()
    if how != "deleted":
        path.write_bytes(content[: len(content) // 2] if how == "torn" else b"")
    results = log(stored)
    (restored,) = results.test_evaluations
    assert restored["time"] == TIME
    assert len(restored["runs"]) == 6
    assert results.runs.test_accuracy.notna().all()
    assert any("lacks the evaluation on the test set" in notice for notice in results.notices)
    assert any("was cut off" in notice for notice in results.notices) == (how == "torn")


def test_an_evaluation_of_another_study_is_not_taken_for_one_of_this(stored: Stored) -> None:
    path = openings_file(stored.store, "small")
    other = path.parent.parent / "other"
    other.mkdir()
    path.rename(other / "openings.jsonl")
    for outcome in stored.store.root.rglob("test.json"):
        edit(outcome, lambda values: values.update(study=""), seal=True)
    assert load_results(stored.store, stored.manifest).test_evaluations == ()


@pytest.mark.parametrize("what", ["removed", "changed", "no digest"])
def test_a_record_that_was_removed_or_changed_between_others_is_refused(what: str, stored: Stored) -> None:
    append_evaluation(stored.store, "small", make_evaluation(["run"], "test-v1", 60, "second"))
    append_evaluation(stored.store, "small", make_evaluation(["run"], "test-v1", 60, "third"))
    path = openings_file(stored.store, "small")
    lines = path.read_text().splitlines(keepends=True)
    if what == "removed":
        del lines[1]
    else:
        values = json.loads(lines[1]) | {"user": "somebody else"}
        if what == "no digest":
            del values["sha256"]
        lines[1] = json.dumps(values) + "\n"
    path.write_text("".join(lines))
    with pytest.raises(UserError, match=r"line [23] of .*openings.jsonl") as caught:
        load_results(stored.store, stored.manifest)
    assert "restore the file from a copy" in str(caught.value)


@pytest.mark.parametrize("name", ["test.json", "test.npz"])
def test_test_results_that_were_swapped_or_changed_are_left_out(name: str, stored: Stored) -> None:
    first, second = folder_of(stored).path / name, folder_of(stored, "dropout=0.5").path / name
    one, two = first.read_bytes(), second.read_bytes() + (b"x" if name == "test.npz" else b"")
    first.write_bytes(two)
    second.write_bytes(one)
    results = log(stored)
    runs = results.runs.set_index(["variant", "seed"])
    assert runs.status.eq("finished").all()
    assert np.isnan(runs.test_accuracy["baseline", 0])
    assert any("is left out" in notice for notice in results.notices)


@pytest.mark.slow
def test_deleting_the_record_does_not_allow_a_second_evaluation(ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("seeds: [0, 1]", "seeds: [0]"))
    assert ablate("run", "tiny.yaml").returncode == 0
    assert ablate("test", "tiny").returncode == 0
    path = tmp_path / "results" / "studies" / "tiny" / "openings.jsonl"
    time = json.loads(path.read_text())["time"]
    path.unlink()
    refused = ablate("test", "tiny")
    assert refused.returncode == 1
    assert f"'tiny' was evaluated on the test set on {time} by unknown on unknown" in refused.stderr
    assert f"openings.jsonl lacks the evaluation on the test set of {time}" in refused.stderr
    assert ablate("test", "tiny", "--again").returncode == 0
    assert json.loads(path.read_text().splitlines()[0])["time"] == time


@pytest.mark.slow
def test_test_images_that_changed_between_two_evaluations_are_refused(ablate: Ablate, tmp_path: Path) -> None:
    from .test_openings import FOLDER, write_images

    write_images(tmp_path, "train", ("cat", "dog"), 8)
    write_images(tmp_path, "test", ("cat", "dog"), 3)
    (tmp_path / "folder.yaml").write_text(FOLDER)
    assert ablate("run", "folder.yaml").returncode == 0
    assert ablate("test", "folder").returncode == 0
    path = tmp_path / "results" / "studies" / "folder" / "openings.jsonl"
    before = path.read_bytes()
    shutil.copy(tmp_path / "images" / "train" / "cat" / "5.png", tmp_path / "images" / "test" / "cat" / "1.png")
    refused = ablate("test", "folder", "--again")
    assert refused.returncode == 1
    assert "the test images of 'folder' have changed since it was evaluated on them" in refused.stderr
    assert path.read_bytes() == before


@pytest.mark.slow
def test_weights_that_changed_are_set_aside_by_the_evaluation_and_trained_again(
    trained: Path, ablate: Ablate, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    folder = RunFolder(next((tmp_path / "results" / "runs").iterdir()))
    content = bytearray(folder.best.read_bytes())
    content[len(content) // 2] ^= 1
    folder.best.unlink()
    folder.best.write_bytes(content)
    refused = ablate("test", "tiny")
    assert refused.returncode == 2
    assert "best.pt has changed since the run ended" in refused.stdout
    assert "nothing was recorded" in refused.stdout
    assert "best.pt was damaged and set aside" in ablate("status").stdout
    assert ablate("run", "tiny.yaml").returncode == 0
    assert ablate("test", "tiny").returncode == 0


# Files


def test_files_respect_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_record(tmp_path / "file.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "file.json").stat().st_mode & 0o777 == 0o600


def test_json_with_what_json_has_not_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    row = EpochRow(1, 10, 0.1, metrics(0.5, 0.8, 0.5, 0.75), 1.5, 0.2, 1000.0, 50.0)
    folder.append(row)
    folder.history.write_text(folder.history.read_text().replace("0.75", "NaN"))
    with pytest.raises(UserError, match=r"line 1 of .*epochs.jsonl cannot be read"):
        folder.epochs()


# One value at a time


@dataclass(frozen=True)
class Said:
    """What a report says of each run and of the study, as plain values."""

    runs: Mapping[tuple[str, int], dict[str, Any]]
    epochs: Mapping[tuple[str, int], str]
    claims: str
    results: Results


def report(stored: Stored, manifest: Manifest) -> Said:
    """The figures of a report, without drawing any."""
    results = load_results(stored.store, manifest)
    arrays = {
        run: read_predictions(stored.store.run(manifest.run_folder(*run)), "validation", "index", "label", "predicted")
        for run in results.records
    }
    known = {run: Predicted(*own) for run, own in arrays.items() if own}
    claims = to_json(describe(results, known), manifest.name)
    runs = {(str(r["variant"]), int(r["seed"])): r for r in results.runs.to_dict("records")}
    epochs = {run: repr(rows.to_dict("list")) for run, rows in results.epochs.groupby(["variant", "seed"])}
    return Said(runs, epochs, json.dumps(claims), results)


def same(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two rows hold the same values; a column is of whole numbers or not by what else is in it."""
    return first.keys() == second.keys() and all(
        own == second[key] or (pd.isna(own) and pd.isna(second[key])) for key, own in first.items()
    )


def check_located(error: UserError, store: Store) -> None:
    """An error names the file, and says what to do."""
    assert str(store.root) in error.message
    assert error.hint


def judge(stored: Stored, whole: Said) -> str:
    """What the commands make of a damaged folder. Any exception but a located UserError fails the test."""
    try:
        studies, faults = read_studies(stored.store)
        if faults:
            (fault,) = faults.values()
            raise fault
        (manifest,) = studies
        print_status(manifest, stored.store)
        now = report(stored, manifest)
    except UserError as error:
        check_located(error, stored.store)
        return "refused"
    table = now.results.runs.set_index(["variant", "seed"])
    damaged = {run for run, status in table.status.items() if status == "damaged"}
    for run, values in now.runs.items():
        if run in damaged:
            assert np.isnan(table.val_accuracy[run])
            assert run not in now.epochs
        elif now.results.notices and np.isnan(table.test_accuracy[run]):
            gone = dict.fromkeys(("test_accuracy", "test_loss"), math.nan)
            assert same(values, whole.runs[run] | gone)
        else:
            assert same(values, whole.runs[run])
            assert now.epochs[run] == whole.epochs[run]
    if damaged:
        return "damaged"
    if now.results.notices:
        return "noticed"
    assert now.claims == whole.claims
    return "identical"


def try_damage(root: Path, count: int, seed: int) -> Counter[str]:
    """Damage a folder `count` times, each time from a whole one; how often the commands came to what."""
    stored = make(root / "results")
    whole, chance, outcomes = report(stored, stored.manifest), random.Random(seed), Counter[str]()
    shutil.copytree(root / "results", root / "whole")
    for number in range(count):
        what = damage(root / "results", chance)
        try:
            outcomes[judge(stored, whole)] += 1
        except Exception as error:
            raise AssertionError(f"damage {number} of seed {seed}: {what}") from error
        _restore(root / "whole", root / "results")
    return outcomes


def _restore(whole: Path, damaged: Path) -> None:
    for path in whole.rglob("*"):
        twin = damaged / path.relative_to(whole)
        if path.is_file() and (not twin.exists() or twin.read_bytes() != path.read_bytes()):
            twin.write_bytes(path.read_bytes())


def flip(path: Path, place: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= bit
    path.write_bytes(content)


REGRESSIONS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "predictions that cannot be decompressed": ("runs/*-s1000000-*/predictions.npz", lambda path: flip(path, 157, 16)),
    "a recipe without its rule of selection": (
        "studies/*/study.json",
        lambda path: edit(path, lambda values: values["arms"][0]["recipe"]["train"].pop("select")),
    ),
    "a budget of nothing": (
        "studies/*/study.json",
        lambda path: edit(path, lambda values: values["arms"][0]["recipe"]["train"].update(epochs=None)),
    ),
}
"""What once ended in a traceback, in results without digests: the file, and what was done to it."""


@pytest.mark.parametrize("what", REGRESSIONS)
def test_what_once_ended_in_a_traceback_does_not(what: str, tmp_path: Path) -> None:
    store = Store(shutil.copytree(ROOT / "tests" / "earlier", tmp_path / "results"))
    pattern, do = REGRESSIONS[what]
    (path,) = store.root.glob(pattern)
    do(path)
    studies, faults = read_studies(store)
    for manifest in studies:
        print_status(manifest, store)
        report(Stored(store, manifest), manifest)
    for fault in faults.values():
        check_located(fault, store)


@pytest.mark.slow
def test_hundreds_of_damaged_values_change_no_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = try_damage(tmp_path, 200, seed=1)
    with capsys.disabled():
        print(dict(outcomes))
    assert outcomes.total() == 200
    assert min(outcomes[kind] for kind in ("damaged", "refused", "noticed", "identical")) >= 5


@pytest.mark.slow
def test_damaged_values_of_an_earlier_version_give_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without digests a figure that was changed to a possible one cannot be told; whatever cannot be read is said."""
    shutil.copytree(ROOT / "tests" / "earlier", tmp_path / "whole")
    chance, store = random.Random(2), Store(tmp_path / "results")
    for number in range(150):
        shutil.rmtree(store.root, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", store.root)
        what = damage(store.root, chance)
        try:
            for manifest in read_studies(store)[0]:
                print_status(manifest, store)
                report(Stored(store, manifest), manifest)
        except UserError as error:
            check_located(error, store)
        except Exception as error:
            raise AssertionError(f"damage {number}: {what}") from error
