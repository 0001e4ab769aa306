"""The training dynamics: figures computed by hand, and the tables that a reader sees."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ablation.analysis.learning import LONG_AFTER, first_reached, fluctuation, learning, milestones, target
from ablation.report import write_report
from ablation.results.runs import load_results
from ablation.storage.record import EpochRow
from tests.predicted import finished_runs
from tests.stored import BASELINE, Stored, StoredVariant, with_metrics, write_study
from tests.test_report import HOSTILE, Element, Page, section, sections

ARM = StoredVariant("constant", {"schedule": {"name": "constant"}})
STEPS = {**BASELINE, "train": {"steps": 600, "eval_every": 100, "batch_size": 64}}


def with_courses(root: Path, courses: dict[tuple[str, int], list[float]], **columns: list[float]) -> Stored:
    """A study of two variants whose runs have these validation accuracies, and share the other columns."""
    seeds = sorted({seed for _, seed in courses})
    stored = write_study(root / "results", [ARM], seeds)
    for run, folder in finished_runs(stored).items():
        record, row = folder.record(), folder.epochs()[0]
        assert record is not None
        rows = [row_at(row, n, value, columns) for n, value in enumerate(courses[run])]
        (folder.path / "epochs.jsonl").write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows))
        best = int(np.argmax(courses[run])) + 1
        best_metrics = rows[best - 1].metrics
        folder.finish(replace(record, epochs=len(rows), best_epoch=best, selected_epoch=best, metrics=best_metrics))
    return stored


def row_at(row: EpochRow, n: int, accuracy: float, columns: dict[str, list[float]]) -> EpochRow:
    own = replace(row, epoch=n + 1, step=100 * (n + 1))
    return with_metrics(own, val_accuracy=accuracy, **{k: v[n] for k, v in columns.items()})


def learned(root: Path) -> Element:
    return section(root_of(root), "learning")


def root_of(root: Path) -> Element:
    return Page(root / "report" / "report.html").root


def table(found: Element, number: int) -> dict[str, list[str]]:
    rows = [row for body in found.all("table")[number].all("tbody") for row in body.all("tr")]
    return {row.all("bdi")[0].text: [cell.words for cell in row.all("td")] for row in rows}


def heads(found: Element, number: int) -> list[str]:
    return [cell.words for cell in found.all("table")[number].all("thead")[0].all("th")]


@pytest.mark.parametrize(
    ("last", "chosen"),
    [
        (1, (1,)),
        (2, (1, 2)),
        (3, (1, 2, 3)),
        (8, (3, 5, 8)),
        (10, (3, 7, 10)),
        (20, (7, 13, 20)),
        (30, (10, 20, 30)),
        (60, (20, 40, 60)),
        (100, (30, 70, 100)),
        (500, (150, 350, 500)),
    ],
)
def test_milestones_are_thirds_in_round_numbers(last: int, chosen: tuple[int, ...]) -> None:
    assert milestones(last) == chosen


@pytest.mark.parametrize(
    ("top", "goal"), [(0.882, 0.85), (0.80, 0.80), (0.7999, 0.75), (0.993, 0.99), (0.031, 0.03), (0.004, None)]
)
def test_the_target_is_the_highest_round_accuracy_that_the_baseline_reaches(top: float, goal: float | None) -> None:
    assert target(np.array([top / 2, top, top / 3])) == goal


def test_the_fluctuation_is_the_mean_absolute_change_over_the_second_half() -> None:
    assert fluctuation(np.array([9.0, 5.0, 1.0, 2.0, 1.5, 3.5])) == pytest.approx((1.0 + 0.5 + 2.0) / 3)
    assert fluctuation(np.array([2.0, 1.0, 1.25])) == pytest.approx((1.0 + 0.25) / 2)
    assert fluctuation(np.array([2.0, 1.0])) is None


def test_a_target_is_reached_at_the_first_epoch_that_holds_it() -> None:
    assert first_reached(np.array([0.1, 0.8, 0.7, 0.9]), 0.8) == 1
    assert first_reached(np.array([0.1, 0.2]), 0.8) is None


def test_the_tables_say_where_training_was_at_chosen_epochs_and_when_the_target_was_reached(tmp_path: Path) -> None:
    slow, fast = [0.2, 0.4, 0.6, 0.7, 0.8, 0.81], [0.5, 0.8, 0.7, 0.8, 0.8, 0.8]
    late = [0.2, 0.5, 0.7, 0.8, 0.8, 0.82]
    courses = {("baseline", 0): slow, ("baseline", 1): late, ("constant", 0): fast, ("constant", 1): slow}
    stored = with_courses(tmp_path, courses, val_loss=[3.0, 2.0, 1.0, 1.5, 1.0, 2.0])
    write_report(stored.store, stored.manifest, tmp_path / "report")
    found = learned(tmp_path)
    assert heads(found, 0) == [
        "Variant",
        "Epoch 2",
        "Epoch 4",
        "Epoch 6",
        "Epochs to 80 %",
        "Epoch-to-epoch change of validation loss",
    ]
    assert table(found, 0) == {
        "baseline": ["45.0", "75.0", "81.5", "4.5 (4–5)", "0.67"],
        "constant": ["60.0", "75.0", "80.5", "3.5 (2–5)", "0.67"],
    }
    assert found.all("p")[0].words == (
        "Validation accuracy first reaches 80 % after 4.5 epochs in the baseline and after 3.5 in constant."
    )


def test_seeds_that_do_not_reach_the_target_are_counted(tmp_path: Path) -> None:
    up, down = [0.3, 0.6, 0.8, 0.8], [0.3, 0.3, 0.3, 0.3]
    courses = {("baseline", seed): up for seed in range(3)} | {("constant", 0): up}
    courses |= {("constant", seed): down for seed in (1, 2)}
    stored = with_courses(tmp_path, courses)
    write_report(stored.store, stored.manifest, tmp_path / "report")
    found = learned(tmp_path)
    assert table(found, 0)["constant"][3] == "only in 1 of 3 seeds at epoch 3"
    assert not any("first reaches" in p.words for p in found.all("p", class_="")[:1])
    markdown = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "| only in 1 of 3 seeds (at epoch 3) |" in markdown


def test_a_target_that_no_seed_reaches_is_said_to_be_missed_by_all(tmp_path: Path) -> None:
    courses = {("baseline", 0): [0.3, 0.6, 0.8], ("constant", 0): [0.2, 0.2, 0.2]}
    stored = with_courses(tmp_path, courses)
    write_report(stored.store, stored.manifest, tmp_path / "report")
    assert table(learned(tmp_path), 0)["constant"][3] == "not reached"


def test_means_leave_out_the_same_failed_runs_in_every_table(tmp_path: Path) -> None:
    """A run at chance has no value in the table of variants, so it has none in the tables of training either."""
    courses = {("baseline", seed): [0.3, 0.6, 0.8] for seed in range(3)} | {("constant", 0): [0.3, 0.5, 0.5]}
    courses |= {("constant", seed): [0.1, 0.1, 0.1] for seed in (1, 2)}
    stored = with_courses(tmp_path, courses)
    write_report(stored.store, stored.manifest, tmp_path / "report")
    found = learned(tmp_path)
    assert table(found, 1)["constant"][1] == "50.0"
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "| 50.0 |" in next(line for line in text.splitlines() if line.startswith("| **constant**"))
    assert "Runs that diverged or ended at chance have no value" in text


def test_the_gap_and_the_epochs_after_the_best_one_are_named(tmp_path: Path) -> None:
    peaked, rising = [0.4, 0.6, 0.5, 0.5, 0.5, 0.45], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    courses = {("baseline", 0): peaked, ("baseline", 1): rising, ("constant", 0): rising, ("constant", 1): rising}
    stored = with_courses(tmp_path, courses, train_accuracy=[0.5, 0.7, 0.8, 0.9, 0.95, 0.99])
    write_report(stored.store, stored.manifest, tmp_path / "report")
    found = learned(tmp_path)
    assert table(found, 1) == {
        "baseline": ["84.5", "60.0", "+24.5", "4 (2–6)", "2 (33 %)", "−7.5"],
        "constant": ["99.0", "60.0", "+39.0", "6", "0", "0.0"],
    }
    sentences = [p.words for p in found.all("p") if "a third" in p.words]
    assert sentences == [
        "Training went on for more than a third of its epochs after the best one in baseline (1 of 2 seeds)."
    ]


def test_training_that_ended_soon_after_the_best_epoch_gets_no_sentence(tmp_path: Path) -> None:
    stored = with_courses(tmp_path, {("baseline", 0): [0.1, 0.2, 0.4, 0.3], ("constant", 0): [0.1, 0.2, 0.3, 0.4]})
    found = learning(load_results(stored.store, stored.manifest))
    assert found is not None
    assert found.baseline.share == 0.25 < LONG_AFTER
    assert found.baseline.late == 0


def test_runs_that_stopped_early_count_only_at_the_epochs_they_reached(tmp_path: Path) -> None:
    long, short = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.1, 0.9, 0.8]
    courses = {("baseline", 0): long, ("baseline", 1): short, ("constant", 0): short, ("constant", 1): short}
    stored = with_courses(tmp_path, courses)
    write_report(stored.store, stored.manifest, tmp_path / "report")
    found = table(learned(tmp_path), 0)
    assert found["baseline"][1:3] == ["40.0 1 of 2 seeds", "60.0 1 of 2 seeds"]
    assert found["constant"][:3] == ["90.0", "–", "–"]


def test_a_budget_in_steps_is_told_in_steps(tmp_path: Path) -> None:
    stored = write_study(tmp_path / "results", [ARM], baseline=STEPS)
    write_report(stored.store, stored.manifest, tmp_path / "report")
    first = heads(learned(tmp_path), 0)
    assert first[1:4] == ["Step 200", "Step 400", "Step 600"]
    assert first[4].startswith("Steps to ")
    assert heads(learned(tmp_path), 1)[4:6] == ["Best evaluation", "After it"]


def test_a_study_without_a_finished_run_has_no_such_section(tmp_path: Path) -> None:
    stored = write_study(tmp_path / "results", [ARM], everywhere="interrupted")
    write_report(stored.store, stored.manifest, tmp_path / "report")
    assert "learning" not in sections(root_of(tmp_path))


def test_variants_without_a_finished_run_keep_an_empty_row(tmp_path: Path) -> None:
    fates = {("baseline", 0): "diverged", ("baseline", 1): "missing", ("baseline", 2): "crashed"}
    stored = write_study(tmp_path / "results", [ARM], fates=fates)
    write_report(stored.store, stored.manifest, tmp_path / "report")
    assert set(table(learned(tmp_path), 0)["baseline"]) == {"–"}
    assert "–" not in table(learned(tmp_path), 0)["constant"][:3]


def test_a_hostile_variant_stays_text(tmp_path: Path) -> None:
    stored = write_study(tmp_path / "results", [StoredVariant(HOSTILE, {"model.dropout": 0.5}, 0.95)])
    write_report(stored.store, stored.manifest, tmp_path / "report")
    found = learned(tmp_path)
    assert not [e for e in found.walk() if e.tag in ("script", "img")]
    assert HOSTILE.replace("\u202e", "\ufffd") in table(found, 0)


def test_a_variant_of_which_some_runs_diverged_says_how_many_seeds_it_rests_on(tmp_path: Path) -> None:
    stored = write_study(tmp_path / "results", [ARM], fates={("constant", 1): "diverged"})
    write_report(stored.store, stored.manifest, tmp_path / "report")
    rows = learned(tmp_path).all("table")[0].all("tbody")[0].all("tr")
    assert [row.all("th")[0].words for row in rows] == ["baseline", "constant 2 of 3 seeds"]
    assert "| **constant** (2 of 3 seeds) |" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
