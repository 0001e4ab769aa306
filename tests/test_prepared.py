"""Decoded images on disk that are not what was written: noticed, set aside and decoded again, never trained on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ablation.data import arrays, sources
from ablation.errors import StorageError
from ablation.registry.datasets import Digits
from tests.conftest import TINY, Ablate

DIGITS = Digits(name="digits")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    return sources.prepare(DIGITS, DIGITS.fingerprint(), cache, lambda *_: None)


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """Prepared digits that may be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / whole.name))


def prepare_again(folder: Path) -> tuple[sources.ImageSet, list[str]]:
    lines: list[str] = []
    found = sources.prepare(DIGITS, DIGITS.fingerprint(), folder.parent, lambda *_: None, notice=lines.append)
    assert found == folder
    return sources.load(found), lines


def _zero_pixels(folder: Path) -> None:
    images = np.load(folder / "images.npy", mmap_mode="r+")
    images[100:110] = 0
    images.flush()


def _secretly(folder: Path) -> None:
    stat = (folder / "images.npy").stat()
    _zero_pixels(folder)
    os.utime(folder / "images.npy", ns=(stat.st_atime_ns, stat.st_mtime_ns))


def _change(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:  # type: ignore[type-arg]
    def damage(folder: Path) -> None:
        np.save(folder / name, change(np.load(folder / name)))

    return damage


def _in_meta(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        meta = json.loads((folder / "meta.json").read_text())
        change(meta)
        (folder / "meta.json").write_text(json.dumps(meta))

    return damage


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "pixels that are zero": (_zero_pixels, "images.npy is not what was written"),
    "pixels that are zero, with the old time": (_secretly, "images.npy is not what was written"),
    "labels cut": (_change("labels.npy", lambda v: v[:-7]), r"labels.npy has [\d,]+ bytes instead of"),
    "labels in reverse": (_change("labels.npy", lambda v: v[::-1].copy()), "labels.npy is not what was written"),
    "sums of other images": (_change("sums.npy", lambda v: v + 1), "sums.npy is not what was written"),
    "twins of other images": (_change("twins.npy", lambda v: v * 0), "twins.npy is not what was written"),
    "a file that is cut": (lambda f: os.truncate(f / "images.npy", 5000), "images.npy has 5,000 bytes instead of"),
    "a file that is gone": (lambda f: (f / "twins.npy").unlink(), "No such file"),
    "no meta data": (lambda f: (f / "meta.json").unlink(), "meta.json cannot be read"),
    "torn meta data": (lambda f: os.truncate(f / "meta.json", 40), "meta.json cannot be read"),
    "meta data of another kind": (lambda f: (f / "meta.json").write_text("[]"), "meta.json cannot be read"),
    "classes in another order": (_in_meta(lambda m: m["classes"].reverse()), "meta.json is not what was written"),  # type: ignore[attr-defined]
    "names of other images": (lambda f: (f / "names.json").write_text("[1]"), "names.json has 3 bytes instead of 2"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_set_aside_in_one_line_and_the_images_decoded_again(what: str, whole: Path, folder: Path) -> None:
    damage, fault = DAMAGE[what]
    damage(folder)
    with pytest.raises(arrays.DamagedError, match=fault):
        sources.load(folder)
    images, lines = prepare_again(folder)
    assert torch.equal(images.images, sources.load(whole).images)
    assert torch.equal(images.labels, sources.load(whole).labels)
    assert len(lines) == 1
    assert lines[0].startswith(f"{folder.name} was damaged (")
    assert lines[0].endswith(f"): set aside as {folder.name}.unreadable and decoded again")
    assert folder.with_name(f"{folder.name}.unreadable").is_dir()


def test_a_sound_folder_is_left_alone(folder: Path) -> None:
    stamp = (folder / "images.npy").stat()
    _, lines = prepare_again(folder)
    assert lines == []
    assert (folder / "images.npy").stat().st_ino == stamp.st_ino
    assert len(list(folder.parent.iterdir())) == 1


def test_digests_are_computed_once_for_each_change_of_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []

    def counted(path: Path) -> str:
        computed.append(path.name)
        return digest(path)

    digest = arrays.file_sha256
    monkeypatch.setattr(arrays, "file_sha256", counted)
    sources.load(folder)  # a copy: other inodes
    assert len(computed) == 5
    sources.load(folder)
    assert len(computed) == 5
    (folder / "labels.npy").touch()
    sources.load(folder)
    sources.load(folder)
    assert len(computed) == 10
    (folder / "verified.json").write_text("damaged")
    sources.load(folder)
    assert len(computed) == 15


@pytest.mark.parametrize("changed", [False, True])
def test_a_folder_of_an_earlier_version_is_compared_with_its_source(changed: bool, whole: Path, folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({"classes": meta["classes"]}))
    for name in ("names.json", "verified.json"):
        (folder / name).unlink()
    if changed:
        _zero_pixels(folder)
    images, lines = prepare_again(folder)
    assert torch.equal(images.images, sources.load(whole).images)
    assert bool(lines) == changed
    assert folder.with_name(f"{folder.name}.unreadable").exists() == changed
    assert "sha256" in (folder / "meta.json").read_text()


def test_a_full_disk_is_an_error_about_storage(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the place of the folder")
    with pytest.raises(StorageError, match="cache cannot be written"):
        sources.prepare(DIGITS, DIGITS.fingerprint(), tmp_path / "cache", lambda *_: None)


@pytest.mark.slow
def test_the_command_trains_on_what_was_decoded_and_not_on_what_it_became(tmp_path: Path, ablate: Ablate) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    only = ("--only", "baseline", "--seeds", "0", "--device", "cpu")
    assert ablate("run", "tiny.yaml", *only).returncode == 0
    (run,) = (tmp_path / "results" / "runs").iterdir()
    weights = json.loads((run / "run.json").read_text())["weights_sha256"]
    (data,) = (tmp_path / "results" / "data").iterdir()
    _zero_pixels(data)
    _change("labels.npy", lambda labels: labels[::-1].copy())(data)
    shutil.rmtree(run)
    answer = ablate("run", "tiny.yaml", *only)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stdout.count("was damaged (") == 1
    assert json.loads((run / "run.json").read_text())["weights_sha256"] == weights
