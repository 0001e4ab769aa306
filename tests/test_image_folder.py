"""Image folders and archives as people have them: what is read follows rules, and nothing is dropped in silence."""

from __future__ import annotations

import os
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ablation.data import sources
from ablation.data.image_folder import AGAIN, BROKEN, HIDDEN, LOOSE, OTHER, SPECIAL, Listing, list_images
from ablation.errors import UserError
from ablation.registry.datasets import ImageFolder, Synthetic
from ablation.storage.record import RunRecord
from ablation.storage.store import read_json
from tests.conftest import Ablate
from tests.hostile import picture

STUDY = """\
study: folder
baseline:
  data: {name: image_folder, path: images, size: 8, validation: 0.25}
  model: {name: lenet5, hidden: [8]}
  optimizer: {name: sgd, lr: 0.01}
  train: {epochs: 1, batch_size: 16}
seeds: [0]
"""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with the classes cat and dog, six images each."""
    root = tmp_path / "images"
    for label, name in enumerate(("cat", "dog")):
        (root / "train" / name).mkdir(parents=True)
        for number in range(6):
            (root / "train" / name / f"{number}.png").write_bytes(picture(label, number))
    return root


def names(listing: Listing) -> list[str]:
    return [image.name for image in listing.images]


def zipped(folder: Path, path: Path, inside: str = "", slash: str = "/") -> Path:
    """Everything in a folder as a zip file, below the folders `inside`."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            name = f"{inside}{file.relative_to(folder).as_posix()}"
            if file.is_file():
                info = zipfile.ZipInfo("x")
                info.filename = name.replace("/", slash)
                archive.writestr(info, file.read_bytes(), zipfile.ZIP_DEFLATED)
    return path


def test_a_class_that_is_a_link_is_read(images: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    for number in range(3):
        (tmp_path / "elsewhere" / "deep" / f"{number}.png").write_bytes(picture(2, number))
    (images / "train" / "fox").symlink_to(tmp_path / "elsewhere")
    (images / "train" / "cat" / "linked.png").symlink_to(tmp_path / "elsewhere" / "deep" / "0.png")
    found = list_images(images, "train")
    assert found.classes == ["cat", "dog", "fox"]
    assert "train/fox/deep/2.png" in names(found)
    assert "train/cat/linked.png" in names(found)
    assert not found.skipped


def test_links_in_a_circle_are_read_once(images: Path) -> None:
    cat = images / "train" / "cat"
    (cat / "up").symlink_to(images)
    (cat / "again").symlink_to(cat)
    for number in range(6):  # each links to all: 720 ways through them
        (cat / f"d{number}").mkdir()
        (cat / f"d{number}" / "x.png").write_bytes(picture(0, 20 + number))
        for other in range(6):
            (cat / f"d{number}" / f"to{other}").symlink_to(cat / f"d{other}")
    found = list_images(images, "train")
    assert len(found.images) == 18
    assert "train/cat/again" in found.skipped[AGAIN]
    assert "train/cat/up" in found.skipped[AGAIN]


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.JPG", "a.PNG", "a.Jpeg", "a.pgm", "a.dib", "a.b.TIFF"])
def test_an_image_may_have_any_usual_ending(name: str, images: Path) -> None:
    (images / "train" / "cat" / name).write_bytes(picture(0, 9))
    assert f"train/cat/{name}" in names(list_images(images, "train"))


SKIPPED: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "checkpoints of notebooks": (HIDDEN, "train/.ipynb_checkpoints", lambda p: (p.mkdir(), _image(p / "x.png"))),
    "such inside a class": (HIDDEN, "train/cat/.ipynb_checkpoints", lambda p: (p.mkdir(), _image(p / "x.png"))),
    "a resource fork": (HIDDEN, "train/cat/._0.png", lambda p: p.write_bytes(b"\0\5\x16\7")),
    "the folder of macOS": (HIDDEN, "train/__MACOSX", lambda p: (p.mkdir(), _image(p / "x.png"))),
    "thumbnails of Windows": (HIDDEN, "train/cat/Thumbs.db", lambda p: p.write_bytes(b"x")),
    "settings of Windows": (HIDDEN, "train/desktop.ini", lambda p: p.write_bytes(b"x")),
    "notes": (OTHER, "train/cat/notes.txt", lambda p: p.write_bytes(b"x")),
    "a format that is not read": (OTHER, "train/dog/photo.HEIC", lambda p: p.write_bytes(b"x")),
    "a name without an ending": (OTHER, "train/dog/png", lambda p: _image(p)),
    "an image outside of the classes": (LOOSE, "train/loose.png", lambda p: _image(p)),
    "a broken link": (BROKEN, "train/cat/gone.png", lambda p: p.symlink_to("/no/such/file.png")),
    "a link to itself": (BROKEN, "train/cat/self.png", lambda p: p.symlink_to(p)),
    "a broken link in the place of a class": (BROKEN, "train/gone", lambda p: p.symlink_to("/no/such/folder")),
    "a pipe": (SPECIAL, "train/cat/pipe.png", lambda p: os.mkfifo(p)),
}


def _image(path: Path) -> None:
    path.write_bytes(picture(1, 50))


@pytest.mark.parametrize("what", SKIPPED)
def test_what_is_skipped_is_counted_by_its_reason(what: str, images: Path) -> None:
    before = ImageFolder(name="image_folder", path=str(images)).fingerprint()
    reason, name, make = SKIPPED[what]
    make(images / name)
    found = list_images(images, "train")
    assert found.skipped == {reason: (name,)}
    assert len(found.images) == 12
    assert found.classes == ["cat", "dog"]
    assert ImageFolder(name="image_folder", path=str(images)).fingerprint() == before


def test_an_empty_class_is_refused_by_name(images: Path) -> None:
    (images / "train" / "empty").mkdir()
    (images / "train" / "wrong").mkdir()
    (images / "train" / "wrong" / "a.heic").write_bytes(b"x")
    with pytest.raises(UserError) as caught:
        list_images(images, "train")
    assert "2 class folders without an image: train/empty, train/wrong" in caught.value.message
    (images / "train" / "empty").rmdir()
    with pytest.raises(UserError) as caught:
        list_images(images, "train")
    assert "train/wrong; skipped there: train/wrong/a.heic (not images)" in caught.value.message
    assert ".jpg" in str(caught.value.hint)


def test_an_empty_class_of_an_archive_is_refused_by_name(images: Path, tmp_path: Path) -> None:
    path = zipped(images, tmp_path / "images.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train/empty/", b"")
    with pytest.raises(UserError, match="1 class folder without an image: train/empty"):
        list_images(path, "train")


def test_a_class_of_one_image_cannot_be_split_and_is_named(images: Path) -> None:
    for part in ("train", "test"):
        (images / part / "fox").mkdir(parents=True)
        (images / part / "fox" / "only.png").write_bytes(picture(2, 0))
    with pytest.raises(UserError) as caught:
        list_images(images, "train")
    assert "1 of 3 classes" in caught.value.message
    assert "have a single training image: train/fox/only.png" in caught.value.message
    (images / "test" / "cat").mkdir()
    (images / "test" / "cat" / "only.png").write_bytes(picture(0, 70))
    assert list_images(images, "test").classes == ["cat", "fox"]  # nothing is split there


def test_a_synthetic_class_of_one_image_is_named(tmp_path: Path) -> None:
    data = Synthetic(name="synthetic", shape=(1, 8, 8), classes=15, samples=20)
    with pytest.raises(UserError, match=r"each class needs two training images.*'class 5' has 1"):
        sources.prepare(data, "x", tmp_path, lambda *_: None)


def test_a_file_of_twenty_gigabytes_is_refused_before_it_is_read(images: Path) -> None:
    path = images / "train" / "cat" / "huge.png"
    with path.open("wb") as file:
        file.truncate(20 * 2**30)  # sparse
    with pytest.raises(UserError, match=r"cat/huge\.png has 21,474,836,480 bytes; the limit for an image is"):
        list_images(images, "train")
    path.rename(path.with_name("huge.bin"))
    assert list_images(images, "train").skipped == {OTHER: ("train/cat/huge.bin",)}


def test_a_pipe_in_the_place_of_the_data_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(UserError, match="is neither a folder nor a zip file"):
        list_images(tmp_path / "pipe.zip", "train")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(images: Path) -> None:
    (images / "train" / "cat").chmod(0)
    try:
        with pytest.raises(UserError, match="train/cat cannot be read: Permission denied"):
            list_images(images, "train")
    finally:
        (images / "train" / "cat").chmod(0o755)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (".", "did you mean data.path: images"),
        ("images/train", "data.path names the folder that holds train/: images"),
        ("no_such", "data.path names the folder that holds train/"),
        ("packed", "did you mean data.path: packed.zip"),
    ],
)
def test_the_wrong_level_of_a_folder_gets_the_right_path(
    given: str, hint: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zipped(images, tmp_path / "packed.zip")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        list_images(Path(given), "train")
    assert hint in str(caught.value.hint)


def test_a_folder_two_levels_down_is_found_for_the_hint(images: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    images.rename(tmp_path / "data" / "deep" / "images")
    with pytest.raises(UserError) as caught:
        list_images(tmp_path / "data", "train")
    assert caught.value.hint == f"did you mean data.path: {tmp_path}/data/deep/images"


def test_images_directly_in_train_are_named_where_there_are_no_classes(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for number in range(3):
        _image(tmp_path / "train" / f"{number}.png")
    with pytest.raises(UserError, match="fewer than two classes below train/; 3 images are directly in train/"):
        list_images(tmp_path, "train")


ARCHIVES: dict[str, Callable[[Path, Path], Path]] = {
    "plain": lambda folder, path: zipped(folder, path),
    "one folder around": lambda folder, path: zipped(folder, path, "photos/"),
    "three folders around": lambda folder, path: zipped(folder, path, "a/b/c/"),
    "from Windows": lambda folder, path: zipped(folder, path, "photos/", "\\"),
    "from macOS": lambda folder, path: _from_macos(folder, path),
    "with a file beside": lambda folder, path: _with(zipped(folder, path, "photos/"), "README.md"),
    "with a dot in front": lambda folder, path: zipped(folder, path, "./photos/"),
}


def _with(path: Path, *more: str) -> Path:
    with zipfile.ZipFile(path, "a") as archive:
        for name in more:
            archive.writestr(name, b"\0\5\x16\7")
    return path


def _from_macos(folder: Path, path: Path) -> Path:
    files = [file.relative_to(folder).as_posix() for file in folder.rglob("*.png")]
    forks = [f"__MACOSX/top/{name.rpartition('/')[0]}/._{name.rpartition('/')[2]}" for name in files]
    return _with(zipped(folder, path, "top/"), "top/.DS_Store", "__MACOSX/._top", *forks)


@pytest.mark.parametrize("what", ARCHIVES)
def test_an_archive_of_any_making_is_the_folder(what: str, images: Path, tmp_path: Path) -> None:
    path = ARCHIVES[what](images, tmp_path / "images.zip")
    prints = [ImageFolder(name="image_folder", path=str(each)).fingerprint() for each in (images, path)]
    assert prints[0] == prints[1]
    assert names(list_images(path, "train")) == names(list_images(images, "train"))


def test_an_archive_of_two_data_sets_is_refused(images: Path, tmp_path: Path) -> None:
    path = zipped(images, tmp_path / "images.zip", "a/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b/train/cat/0.png", picture(0, 0))
    with pytest.raises(UserError, match="holds several data sets: a/train/, b/train/"):
        list_images(path, "train")


def test_backslashes_lead_nowhere_either(images: Path, tmp_path: Path) -> None:
    path = zipped(images, tmp_path / "images.zip", slash="\\")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("..\\..\\train\\cat\\9.png", b"x")
    with pytest.raises(UserError, match="leads outside of it"):
        list_images(path, "train")


def test_names_that_become_the_same_are_refused(images: Path, tmp_path: Path) -> None:
    path = zipped(images, tmp_path / "images.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("train\\cat\\0.png", b"x")
    with pytest.raises(UserError, match=r"'train.*0\.png' occurs twice"):
        list_images(path, "train")


def test_a_member_that_grows_beyond_all_images_is_refused(images: Path, tmp_path: Path) -> None:
    path = zipped(images, tmp_path / "images.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("train/cat/bomb.bmp", bytes(20 * 2**20))
    with pytest.raises(UserError, match=r"'train/cat/bomb.bmp' unpacks from [\d,]+ to 20,971,520 bytes"):
        list_images(path, "train")


def test_members_that_share_their_bytes_are_refused(images: Path, tmp_path: Path) -> None:
    """Two hundred entries of the directory for one member: each looks harmless."""
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(zipped(images, path), "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/cat/000.bmp", bytes(15 * 2**20))
    content = path.read_bytes()
    end = content.rindex(b"PK\5\6")
    first = content.rindex(b"PK\1\2")
    entry = content[first:end]
    copies = b"".join(entry.replace(b"000.bmp", b"%03d.bmp" % number) for number in range(1, 200))
    count, _, size, start, _ = struct.unpack("<HHIIH", content[end + 8 :])
    tail = content[end : end + 8] + struct.pack("<HHIIH", count + 199, count + 199, size + len(copies), start, 0)
    path.write_bytes(content[:end] + copies + tail)
    with pytest.raises(UserError, match=r"images\.zip is refused: its [\d,]+ bytes unpack to 3,1[\d,]+"):
        list_images(path, "train")


def run(ablate: Ablate, *arguments: str) -> subprocess.CompletedProcess[str]:
    return ablate("run", "folder.yaml", "--device", "cpu", *arguments)


@pytest.mark.slow
def test_the_command_and_the_report_say_what_was_read_and_skipped(images: Path, tmp_path: Path, ablate: Ablate) -> None:
    (tmp_path / "folder.yaml").write_text(STUDY)
    (images / "train" / "cat" / "notes.txt").write_text("x")
    (images / "train" / "loose.png").write_bytes(picture(0, 30))
    (images / "train" / "cat" / "gone.jpg").symlink_to("/no/such/file.jpg")
    answer = run(ablate)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "read 12 PNG files of 8 × 8 pixels; 6 images in each of 2 classes" in answer.stdout
    skipped = (
        "3 (1 broken links: train/cat/gone.jpg; 1 images outside of any class folder: train/loose.png; "
        "1 not images: train/cat/notes.txt)"
    )
    assert f"skipped {skipped}" in answer.stdout
    (path,) = (tmp_path / "results" / "runs").glob("*/run.json")
    record = RunRecord.from_json(read_json(path))
    assert record.data_summary is not None
    assert record.data_summary.formats == {"PNG": 12}
    assert record.data_summary.per_class == (6, 6)
    assert (record.train_per_class, record.val_per_class) == ((4, 4), (2, 2))
    assert ablate("report").returncode == 0
    (markdown,) = (tmp_path / "reports").glob("*/report.md")
    text = markdown.read_text()
    assert "Files read" in text
    assert "Files skipped" in text
    assert "train/cat/notes.txt" in text
    assert "Pixels converted" not in text


@pytest.mark.slow
def test_a_record_from_before_there_was_a_summary_is_read(images: Path, tmp_path: Path, ablate: Ablate) -> None:
    (tmp_path / "folder.yaml").write_text(STUDY)
    assert run(ablate).returncode == 0
    (path,) = (tmp_path / "results" / "runs").glob("*/run.json")
    values = read_json(path)
    for name in ("data_summary", "train_per_class", "val_per_class"):
        del values[name]
    record = RunRecord.from_json(values)
    assert (record.data_summary, record.train_per_class) == (None, ())
