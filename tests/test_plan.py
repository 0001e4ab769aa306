"""Runs, and the hashes that name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablation.load import load_study
from ablation.plan import Plan, slug
from ablation.runner.study import plan_study

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
        (tmp_path / "images" / "train" / name / "1.png").write_bytes(b"first")
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
            (tmp_path / place / "train" / name / "1.png").write_bytes(name.encode())
        text = TINY.replace("{name: digits,", f"{{name: image_folder, path: {tmp_path}/{place},")
        found.append(keys(plan(tmp_path, text)))
    assert found[0] == found[1]


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
