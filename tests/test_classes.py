"""Accuracy by class and confusions: counted by hand, and as a reader sees them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablation.analysis.classification.classes import Labelled, change, count_classes, extremes, frequent_confusions
from ablation.report import write_report
from ablation.storage.test_set_log import Outcome, append_evaluation, make_evaluation, write_outcome
from tests.predicted import DIGITS, finished_runs, one_in_ten, right, write_predictions
from tests.stored import ARMS, Stored, StoredVariant, write_study
from tests.test_report import HOSTILE, Element, Page, section, sections

ARM = StoredVariant("constant", {"schedule": {"name": "constant"}})
HUNDRED = tuple(f"class {n}" for n in range(100))


def labelled(variant: str, seed: int, label: list[int], predicted: list[int]) -> Labelled:
    return Labelled(variant, seed, np.array(label), np.array(predicted))


def write(stored: Stored, root: Path) -> Element:
    return Page(write_report(stored.store, stored.manifest, root / "report").html).root


def rows(table: Element) -> dict[str, list[str]]:
    found = [row for body in table.all("tbody") for row in body.all("tr")]
    return {row.all("bdi")[0].text: [cell.words for cell in row.all("td")] for row in found}


def study(root: Path, *args: Any, **options: Any) -> Stored:
    return write_study(root / "results", *args, **options)


def test_accuracy_by_class_is_the_mean_over_seeds_and_its_change_that_of_shared_seeds() -> None:
    runs = [
        labelled("baseline", 0, [0, 0, 1, 1], [0, 1, 1, 1]),
        labelled("baseline", 1, [0, 0, 1, 1], [0, 0, 1, 0]),
        labelled("v", 1, [0, 0, 1, 1], [1, 0, 1, 1]),
        labelled("v", 2, [0, 0, 1, 1], [1, 1, 0, 0]),
    ]
    counts = count_classes(runs, 2, ["baseline"])
    assert counts["baseline"].accuracy == pytest.approx([0.75, 0.75])
    assert counts["v"].accuracy == pytest.approx([0.25, 0.5])
    assert change(counts["v"], counts["baseline"]) == pytest.approx([-0.5, 0.5])
    assert counts["baseline"].confusion is not None
    assert counts["baseline"].confusion.tolist() == [[3, 1], [1, 3]]
    assert counts["v"].confusion is None


def test_a_class_without_images_has_no_accuracy_and_leaves_the_others_alone() -> None:
    runs = [labelled("a", 0, [0, 0], [0, 2]), labelled("b", 0, [0, 0], [0, 0]), labelled("b", 7, [1], [1])]
    counts = count_classes(runs, 3, ["a"])
    assert counts["a"].accuracy == pytest.approx([0.5, np.nan, np.nan], nan_ok=True)
    assert counts["b"].accuracy == pytest.approx([1.0, 1.0, np.nan], nan_ok=True)
    assert change(counts["b"], counts["a"]) == pytest.approx([0.5, np.nan, np.nan], nan_ok=True)


def test_without_a_shared_seed_there_is_no_change() -> None:
    counts = count_classes([labelled("a", 0, [0], [0]), labelled("b", 1, [0], [0])], 1, [])
    assert change(counts["b"], counts["a"]) is None


def test_the_classes_farthest_from_zero_come_first_and_those_at_zero_not_at_all() -> None:
    assert extremes(np.array([0.1, -0.3, 1e-9, 0.2, np.nan, -0.1]), 10) == ((3, 0), (1, 5))
    assert extremes(np.array([0.1, -0.3, 0.0, 0.2, np.nan, -0.1]), 1) == ((3,), (1,))


def test_the_most_frequent_confusions_are_listed_with_their_share_of_the_true_class() -> None:
    found = frequent_confusions(np.array([[5, 3, 2], [0, 9, 0], [3, 0, 1]]), 2)
    assert [(c.true, c.predicted, c.count, c.share) for c in found] == [(0, 1, 3, 0.3), (2, 0, 3, 0.75)]


def test_few_classes_stand_in_a_table_with_the_change_of_each(tmp_path: Path) -> None:
    stored = study(tmp_path, [ARM])
    write_predictions(stored, one_in_ten)
    found = section(write(stored, tmp_path), "classes")
    heat, matrix = found.all("table")[:2]
    assert [cell.words for cell in heat.all("thead")[0].all("th")] == ["Variant", *DIGITS]
    assert rows(heat)["baseline"] == ["100"] * 3 + ["90"] + ["100"] * 6
    assert rows(heat)["constant"] == ["0.0"] * 3 + ["−10.0"] + ["0.0"] * 6
    assert rows(matrix)["3"] == ["0", "0", "0", "54", "6", "0", "0", "0", "0", "0"]
    assert rows(matrix)["4"][4] == "60"
    text = found.all("p", class_="caption")[0].words
    assert "on the validation images, mean over 3 seeds" in text
    assert "One image is 5.0 points." in text


def test_the_shade_of_a_change_has_the_colour_of_its_sign(tmp_path: Path) -> None:
    stored = study(tmp_path, [ARM])
    write_predictions(stored, lambda v, s, label: label if v == "constant" else one_in_ten(v, s, label))
    (heat, *_) = section(write(stored, tmp_path), "classes").all("table")
    shaded = [cell for cell in heat.all("td") if "style" in cell.attributes]
    assert [(cell.words, cell.attributes["class"]) for cell in shaded] == [("+10.0", "num above")]


def test_confusions_of_the_highest_and_the_lowest_variant_can_be_opened(tmp_path: Path) -> None:
    stored = study(tmp_path)
    write_predictions(stored, one_in_ten)
    found = section(write(stored, tmp_path), "classes")
    assert [line.words for line in found.all("summary")[1:]] == [
        "Confusions of norm=batch, the highest mean accuracy of the variants",
        "Confusions of dropout=0, the lowest mean accuracy of the variants",
    ]
    assert len(found.all("table")) == 4


def test_of_a_hundred_classes_the_ten_that_move_most_are_named(tmp_path: Path) -> None:
    def predict(variant: str, seed: int, label: np.ndarray) -> np.ndarray:
        wrong = label < 15 if variant == "constant" else (label >= 50) & (label < 62)
        return np.where(wrong, 99, label)

    stored = study(tmp_path, [ARM])
    write_predictions(stored, predict, 500, HUNDRED)
    found = section(write(stored, tmp_path), "classes")
    names, listing = found.all("table")[:2]
    up, down = rows(names)["constant"]
    assert up.count("+100.0") == down.count("−100.0") == 10
    assert up.startswith("class 61 +100.0, class 60 +100.0")
    assert down.startswith("class 0 −100.0")
    assert rows(listing)["class 50"] == ["class 99", "15", "100"]
    assert "classes.csv has all" in found.all("p", class_="caption")[0].words
    with (tmp_path / "report" / "classes.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 2 * 3 * 100
    assert table[50] == {
        "part": "validation",
        "variant": "baseline",
        "seed": "0",
        "class": "class 50",
        "images": "5",
        "correct": "0",
    }


@pytest.mark.slow
def test_an_opened_test_set_is_shown_beside_the_validation_images_and_named(tmp_path: Path) -> None:
    stored = study(tmp_path, [ARM])
    write_predictions(stored, right)
    write_predictions(stored, one_in_ten, file="test.npz")
    unopened = section(write(stored, tmp_path), "classes").all("h3")
    assert "On the test images" not in [heading.words for heading in unopened]
    folders = finished_runs(stored).values()
    runs = [folder.path.name for folder in folders]
    for folder in folders:
        write_outcome(folder, Outcome(0.9, 0.5, 100, "test-v1", "2026-04-01T10:00:00+00:00"))
    append_evaluation(stored.store, stored.manifest.folder, make_evaluation(runs, "test-v1", 100, "ablate test"))
    found = section(write(stored, tmp_path), "classes")
    assert [h.words for h in found.all("h3")] == ["On the validation images", "On the test images"]
    captions = [p.words for p in found.all("p", class_="caption")]
    assert "Accuracy of each class on the validation images" in captions[0]
    assert any("Accuracy of each class on the test images" in text for text in captions)
    assert rows(found.all("table")[0])["baseline"][3] == "100"


def test_runs_without_predictions_or_with_broken_ones_are_left_out(tmp_path: Path) -> None:
    stored = study(tmp_path, [ARM], fates={("constant", 1): "diverged"})
    write_predictions(stored, one_in_ten)
    folders = finished_runs(stored)
    folders["baseline", 0].predictions.unlink()
    folders["baseline", 1].predictions.write_bytes(b"PK\x03\x04torn")
    found = section(write(stored, tmp_path), "classes")
    assert "mean over 1 seed:" in found.all("p", class_="caption")[0].words
    assert rows(found.all("table")[0])["constant"][3] == "−10.0"


@pytest.mark.slow
def test_a_study_without_predictions_has_no_such_section_and_no_table_of_classes(tmp_path: Path) -> None:
    stored = study(tmp_path, ARMS)
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "classes.csv").write_text("of an earlier report")
    assert "classes" not in sections(write(stored, tmp_path))
    assert not (folder / "classes.csv").exists()


def test_hostile_class_names_stay_text(tmp_path: Path) -> None:
    stored = study(tmp_path, [ARM])
    names = [HOSTILE, '" onload="x', "</td><td>", "é" * 300, *DIGITS[4:]]
    write_predictions(stored, one_in_ten, classes=names)
    root = write(stored, tmp_path)
    assert [e.tag for e in root.walk() if e.tag in ("script", "img")] == ["script"], "ours"
    assert not [e for e in root.walk() for name in e.attributes if name.startswith("on")]
    (heat, *_) = section(root, "classes").all("table")
    shown = [cell.text for cell in heat.all("thead")[0].all("bdi")]
    assert shown == [HOSTILE.replace("\u202e", "\ufffd"), *names[1:]]
    lines = (tmp_path / "report" / "report.md").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "<script" in line or "<td" in line]
