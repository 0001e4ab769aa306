"""Sample images of a report: which are shown, with which labels, and what is said when they are gone."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablation.report import write_report
from ablation.report.sections.gallery import MOST_MISTAKES, SAMPLES
from tests.predicted import DIGITS, Predict, finished_runs, one_in_ten, right, write_images, write_predictions
from tests.stored import Stored, StoredVariant, seal, write_study
from tests.test_report import HOSTILE, Element, Page, section, sections

ARM = StoredVariant("constant", {"schedule": {"name": "constant"}})


def study(root: Path, predict: Predict = one_in_ten, **options: object) -> Stored:
    stored = write_study(root / "results", [ARM], seeds=[0, 1])
    write_predictions(stored, predict, **options)  # type: ignore[arg-type]
    return stored


def write(stored: Stored, root: Path) -> Element:
    return Page(write_report(stored.store, stored.manifest, root / "report").html).root


def pictures(group: Element) -> list[np.ndarray]:
    """The pixels of the images of a page."""
    found = []
    for element in group.all("img"):
        head, _, data = (element.attributes["src"] or "").partition(",")
        assert head == "data:image/png;base64"
        found.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))))
    return found


def labels(group: Element) -> list[tuple[str, str]]:
    """(true label above, predicted label below) of each image."""
    return [(item.all("bdi")[0].text, item.all("span")[0].words) for item in group.all("li")]


def all_wrong(variant: str, seed: int, label: np.ndarray) -> np.ndarray:
    return (label + 1) % 10


def test_the_worst_mistakes_come_first_with_true_and_predicted_labels(tmp_path: Path) -> None:
    stored = study(tmp_path)
    folder = write_images(stored)
    mistakes, samples = section(write(stored, tmp_path), "mistakes").all("figure")
    images = np.load(folder / "images.npy")
    assert labels(mistakes) == [("3", "4 98 %"), ("3", "4 63 %")]
    assert np.array_equal(pictures(mistakes), images[[2 * 3, 2 * 103], ..., 0])
    assert mistakes.all("figcaption")[0].words.endswith(
        "All 2 mistakes on 200 validation images (baseline, seed 0), highest confidence first. True class above, "
        "predicted class and its probability below."
    )
    assert len(labels(samples)) == SAMPLES
    assert np.array_equal(pictures(samples)[0], images[0, ..., 0])


def test_of_many_mistakes_the_worst_are_shown(tmp_path: Path) -> None:
    stored = study(tmp_path, all_wrong)
    write_images(stored)
    mistakes = section(write(stored, tmp_path), "mistakes").all("figure")[0]
    assert len(labels(mistakes)) == MOST_MISTAKES
    assert labels(mistakes)[0] == ("0", "1 99 %")
    assert f"The {MOST_MISTAKES} worst of 200 mistakes" in mistakes.words


def test_a_network_without_mistakes_shows_samples_only(tmp_path: Path) -> None:
    stored = study(tmp_path, right)
    write_images(stored)
    found = section(write(stored, tmp_path), "mistakes")
    assert [h.words for h in found.all("h3")] == ["Samples"]
    assert not found.all("li", class_="wrong")


def test_colour_images_are_shown_in_colour_and_large_ones_made_smaller(tmp_path: Path) -> None:
    stored = study(tmp_path, images=20)
    folder = write_images(stored, 20, (32, 32, 3))
    found = pictures(section(write(stored, tmp_path), "mistakes"))
    assert np.array_equal(found[0], np.load(folder / "images.npy")[6])
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    write_images(stored, 20, (300, 300, 3))
    assert {p.shape for p in pictures(section(write(stored, tmp_path), "mistakes"))} == {(96, 96, 3)}


@pytest.mark.parametrize("broken", ["gone", "torn", "other images"])
def test_without_the_decoded_images_the_section_says_so(tmp_path: Path, broken: str) -> None:
    stored = study(tmp_path)
    folder = write_images(stored)
    if broken == "gone":
        for file in folder.iterdir():
            file.unlink()
    elif broken == "torn":
        (folder / "images.npy").write_bytes(b"\x93NUMPY")
    else:
        np.save(folder / "labels.npy", np.zeros(400, dtype=np.int64))
    found = section(write(stored, tmp_path), "mistakes")
    assert not found.all("img")
    assert f"not in data/{folder.name} any more" in found.all("p", class_="none")[0].words
    assert "any more" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


def test_without_predictions_of_the_baseline_there_is_no_such_section(tmp_path: Path) -> None:
    stored = study(tmp_path)
    write_images(stored)
    folder = finished_runs(stored)["baseline", 0]
    folder.predictions.unlink()
    seal(folder)
    assert "mistakes" not in sections(write(stored, tmp_path))


def test_markdown_has_the_same_images_as_pictures_beside_it(tmp_path: Path) -> None:
    stored = study(tmp_path)
    write_images(stored)
    written = write_report(stored.store, stored.manifest, tmp_path / "report")
    text = written.markdown.read_text(encoding="utf-8")
    assert "](figures/mistakes-1.png)" in text
    assert "](figures/mistakes-2.png)" in text
    assert {path.name for path in written.figures} >= {"mistakes-1.png", "mistakes-2.png"}
    first = written.html.read_bytes()
    write_report(stored.store, stored.manifest, tmp_path / "report")
    assert written.html.read_bytes() == first


def test_pictures_of_an_earlier_report_go_with_their_section(tmp_path: Path) -> None:
    stored = study(tmp_path)
    folder = write_images(stored)
    write(stored, tmp_path)
    (folder / "images.npy").unlink()
    write(stored, tmp_path)
    assert not list((tmp_path / "report" / "figures").glob("mistakes-*.png"))


def test_hostile_class_names_stay_text(tmp_path: Path) -> None:
    names = ['"><script>', '" onerror="x', "$\\frac{a}{b}$", HOSTILE, "![x](y)", *DIGITS[5:]]
    stored = study(tmp_path, all_wrong, classes=names)
    write_images(stored)
    root = write(stored, tmp_path)
    found = section(root, "mistakes")
    assert len(root.all("script")) == 1, "ours"
    assert {name for e in found.all("img") for name in e.attributes} == {"src", "alt"}
    assert labels(found)[0][0] == names[0]
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "![x](y)" not in text
