"""Runs, and the hashes that name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablation._util.hashing import slug
from ablation.execution.study import plan_study
from ablation.planning.plan import Plan
from ablation.study.load import load_study

from .conftest import TINY


def plan(tmp_path: Path, text: str = TINY) -> Plan:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return plan_study(load_study(path))


def keys(plan: Plan) -> dict[tuple[str, int], str]:
    return {(run.variant, run.seed): run.key for run in plan.runs}


def test_runs_go_seed_by_seed_with_the_baseline_first(tmp_path: Path) -> None:
    order = [(run.variant, run.seed) for run in plan(tmp_path).runs]
    assert order == [(v, s) for s in (0, 1) for v in ("baseline", "dropout=0", "norm=none")]


def test_every_run_has_a_key_of_its_own(tmp_path: Path) -> None:
    assert len(set(keys(plan(tmp_path)).values())) == 6


def test_a_key_does_not_depend_on_how_the_study_is_written(tmp_path: Path) -> None:
    other = (
        TINY.replace("study: tiny", "study: other")
        .replace("lr: 0.05", "lr: 5.0e-2")
        .replace("{name: lenet5, ", "{pool: max, kernel_size: 5, name: lenet5, ")
    )
    assert keys(plan(tmp_path)) == keys(plan(tmp_path, other))


@pytest.mark.parametrize("change", [("lr: 0.05", "lr: 0.06"), ("epochs: 3", "epochs: 4"), ("limit: 200", "limit: 201")])
def test_a_key_changes_with_the_recipe(change: tuple[str, str], tmp_path: Path) -> None:
    before, after = keys(plan(tmp_path)), keys(plan(tmp_path, TINY.replace(*change)))
    assert not set(before.values()) & set(after.values())


def test_a_key_changes_with_the_images_of_a_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "images" / "train" / name).mkdir(parents=True)
        for number in (1, 2):
            (tmp_path / "images" / "train" / name / f"{number}.png").write_bytes(b"first")
    text = TINY.replace("{name: digits,", f"{{name: image_folder, path: {tmp_path}/images,")
    before = keys(plan(tmp_path, text))
    (tmp_path / "images" / "train" / "a" / "1.png").write_bytes(b"second")
    after = keys(plan(tmp_path, text))
    assert not set(before.values()) & set(after.values())


def test_a_key_does_not_depend_on_where_the_images_lie(tmp_path: Path) -> None:
    found = []
    for place in ("here", "there"):
        for name in ("a", "b"):
            (tmp_path / place / "train" / name).mkdir(parents=True)
            for number in (1, 2):
                (tmp_path / place / "train" / name / f"{number}.png").write_bytes(name.encode())
        text = TINY.replace("{name: digits,", f"{{name: image_folder, path: {tmp_path}/{place},")
        found.append(keys(plan(tmp_path, text)))
    assert found[0] == found[1]


DIGITS = """\
baseline:
  data: {{name: digits, validation: 0.2, limit: 150}}
  model: {{name: lenet5, norm: batch, hidden: [16]}}
  optimizer: {{name: sgd, lr: 0.1, momentum: 0.9}}
  train: {{{}}}
seeds: [0]
"""
PHOTOS = """\
baseline:
  data: {{name: synthetic, shape: [3, 32, 32]}}
  model: {{name: "{}", init: {}}}
  optimizer: {{name: sgd}}
  train: {{epochs: 1}}
seeds: [3]
"""
WHOLE_THEN_FROZEN = "stages: [{epochs: 2}, {epochs: 1, freeze: features}]"
STORED = {
    DIGITS.format("epochs: 3"): "a876964598822530",
    DIGITS.format("epochs: 3, clip_norm: 1"): "4cd44a365f756c5b",
    DIGITS.format(WHOLE_THEN_FROZEN): "db9da12cb6a96fca",
    DIGITS.format("clip_norm: 1, stages: [{epochs: 2, freeze: features}, {epochs: 1}]"): "a7561dfcd03ffc4d",
    PHOTOS.format("lenet5", "kaiming"): "37298632dc480579",
    PHOTOS.format("vgg16", "xavier"): "161926b72ba5e37d",
    PHOTOS.format("resnet18", "default"): "f5f29edc489025bd",
    PHOTOS.format("torchvision:resnet18", "xavier"): "c5b92b7eb5466ae9",
}
"""Studies, and the keys under which version 0.1.0 has stored their runs."""


@pytest.mark.parametrize("text", STORED)
def test_a_run_that_trains_as_before_keeps_the_key_that_it_is_stored_under(text: str, tmp_path: Path) -> None:
    (run,) = plan(tmp_path, text).runs
    assert run.key == STORED[text]
    assert run.earlier == ()


def test_a_run_whose_weights_a_correction_changes_has_a_new_key_and_knows_its_old_folder(tmp_path: Path) -> None:
    (run,) = plan(tmp_path, DIGITS.format(f"clip_norm: 1, {WHOLE_THEN_FROZEN}")).runs
    assert run.earlier == ("lenet5-digits-s0-fac4d8ff588f8b8c",)
    assert run.key != "fac4d8ff588f8b8c"
    assert run.folder == f"lenet5-digits-s0-{run.key}"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b", "<script>", "naïve ☃", "x" * 300, "", ".", "con\nline", "-"]
)
def test_a_slug_is_one_safe_file_name(name: str) -> None:
    safe = slug(name)
    assert 0 < len(safe) <= 100
    assert Path(safe).name == safe
    assert safe.isascii()
    assert not safe.startswith((".", "-"))


def test_different_names_have_different_slugs() -> None:
    names = ["a b", "a-b", "a/b", "a?b", "A b", "x" * 300, "x" * 301]
    assert len({slug(name) for name in names}) == len(names)
