"""study.json: what is recorded of a study, and what of it is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablation._util.hashing import slug
from ablation.errors import UnreadableError, UserError
from ablation.planning.plan import Plan, make_plan, source_key
from ablation.storage.manifest import REWRITE, Manifest, StoredVariant, make_manifest, read_manifest, read_studies
from ablation.storage.store import Store, write_record
from ablation.study.schema import Study, Variant

from .stored import ARMS, BASELINE, FINGERPRINT, Stored, changed, write_study


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return write_study(tmp_path / "results", ARMS[:1], [0, 1], everywhere="missing")


def plan_of(names: tuple[str, ...], seeds: tuple[int, ...]) -> Plan:
    declared = [Variant("baseline", {}, changed(BASELINE, {}), "baseline")]
    chosen = [own for own in ARMS if own.name in names]
    declared += [Variant(own.name, own.changes, changed(BASELINE, own.changes), "vary") for own in chosen]
    study = Study("my study", "T", "Q", tuple(declared), seeds, "study: x\n", ("a=1",), True)
    return make_plan(study, {source_key(variant.recipe.data): FINGERPRINT for variant in declared})


def test_the_seed_that_a_run_is_trained_under() -> None:
    assert StoredVariant("a", "vary", {}, {}).trained_seed(3) == 3
    assert StoredVariant("a", "control", {}, {}).trained_seed(3) == 1_000_003
    assert StoredVariant("a", "control", {}, {}, seed_offset=0).trained_seed(3) == 3
    assert StoredVariant("a", "vary", {}, {}, seed_offset=10).trained_seed(3) == 13


def test_a_first_manifest_has_nothing_exploratory() -> None:
    plan = plan_of(("dropout=0",), (0, 1))
    found = make_manifest(plan, "ablate run x", file="../x.yaml")
    assert (found.name, found.folder, found.title, found.question) == ("my study", slug("my study"), "T", "Q")
    assert (found.command, found.file, found.source, found.overrides, found.smoke) == (
        "ablate run x", "../x.yaml", "study: x\n", ("a=1",), True,
    )  # fmt: skip
    assert [(variant.name, variant.kind, variant.exploratory) for variant in found.variants] == [
        ("baseline", "baseline", False), ("dropout=0", "vary", False),
    ]  # fmt: skip
    assert found.baseline == found.variants[0]
    assert (found.seeds, found.added_seeds, found.looks) == ((0, 1), (), 1)
    assert {(run.variant, run.seed): run.folder for run in plan.runs} == {
        (variant.name, seed): found.run_folder(variant.name, seed) for variant in found.variants for seed in found.seeds
    }
    assert list(found.fingerprints.values()) == [FINGERPRINT]


def test_what_is_added_after_a_look_is_marked() -> None:
    seen = make_manifest(plan_of(("dropout=0",), (0, 1)), "")
    more = plan_of(("dropout=0", "norm=batch"), (0, 1, 2))
    later = make_manifest(more, "", seen, judged=True)
    assert {variant.name: variant.exploratory for variant in later.variants} == {
        "baseline": False, "dropout=0": False, "norm=batch": True,
    }  # fmt: skip
    assert (later.added_seeds, later.looks) == ((2,), 2)
    again = make_manifest(more, "", later, judged=True)
    assert {variant.name: variant.exploratory for variant in again.variants}["norm=batch"]
    assert (again.added_seeds, again.looks) == ((2,), 2)
    last = make_manifest(plan_of(("dropout=0",), (0, 1, 2, 5)), "", again, judged=True)
    assert (last.added_seeds, last.looks) == ((2, 5), 3)


def test_what_is_taken_out_after_a_look_is_marked_until_it_is_back() -> None:
    whole = plan_of(("dropout=0", "norm=batch"), (0, 1, 2))
    seen = make_manifest(whole, "")
    less = make_manifest(plan_of(("dropout=0",), (0, 2)), "", seen, judged=True)
    assert (less.dropped_seeds, less.dropped_variants, less.added_seeds, less.looks) == ((1,), ("norm=batch",), (), 1)
    again = make_manifest(plan_of(("dropout=0",), (0,)), "", less, judged=True)
    assert (again.dropped_seeds, again.dropped_variants) == ((1, 2), ("norm=batch",))
    back = make_manifest(whole, "", again, judged=True)
    assert (back.dropped_seeds, back.dropped_variants, back.added_seeds, back.looks) == ((), (), (), 1)
    assert not any(variant.exploratory for variant in back.variants)
    before = make_manifest(plan_of(("dropout=0",), (0,)), "", seen, judged=False)
    assert (before.dropped_seeds, before.dropped_variants) == ((), ())


def test_what_was_added_after_a_look_stays_marked_when_it_is_taken_out_and_put_back() -> None:
    seen = make_manifest(plan_of(("dropout=0",), (0, 1)), "")
    more = plan_of(("dropout=0", "norm=batch"), (0, 1, 2))
    later = make_manifest(more, "", seen, judged=True)
    without = make_manifest(plan_of(("dropout=0",), (0, 1)), "", later, judged=True)
    assert (without.added_seeds, without.looks, without.dropped_variants) == ((2,), 2, ())
    back = make_manifest(more, "", without, judged=True)
    assert (back.added_seeds, back.dropped_seeds, back.looks) == ((2,), (), 2)
    assert [variant.exploratory for variant in back.variants] == [False, False, True]


def test_seeds_that_are_added_before_there_was_a_verdict_are_not_marked() -> None:
    seen = make_manifest(plan_of(("dropout=0",), (0,)), "")
    later = make_manifest(plan_of(("dropout=0", "norm=batch"), (0, 1)), "", seen)
    assert (later.added_seeds, later.looks) == ((), 1)
    assert {variant.name: variant.exploratory for variant in later.variants}["norm=batch"]


def test_a_manifest_comes_back_as_it_was(stored: Stored) -> None:
    path = stored.store.study_file(stored.manifest.folder)
    assert json.dumps(read_manifest(path).to_json()) == json.dumps(stored.manifest.to_json())
    assert read_manifest(path) == Manifest.from_json(json.loads(path.read_text()))


def test_every_run_has_its_key_seed_and_recipe(tmp_path: Path) -> None:
    from .stored import StoredVariant as Stub

    stored = write_study(tmp_path, [Stub("a/a", {}, kind="control")], [0, 4], everywhere="missing")
    found = list(stored.manifest.runs())
    assert [(variant.name, seed, identity.seed) for variant, seed, _, identity in found] == [
        ("baseline", 0, 0), ("baseline", 4, 4), ("a/a", 0, 1000), ("a/a", 4, 1004),
    ]  # fmt: skip
    for variant, seed, folder, identity in found:
        assert folder == stored.manifest.run_folder(variant.name, seed)
        assert folder.endswith(f"-{identity.key}")
        assert len(identity.key) == 16
        assert json.loads(identity.recipe) == json.loads(json.dumps(variant.recipe))


def put(*path: str | int, value: Any) -> Callable[[Any], None]:
    def change(values: Any) -> None:
        for key in path[:-1]:
            values = values[key]
        values[path[-1]] = value

    return change


LISTED = "is damaged: its variants or its seeds are missing, or are listed twice"
DAMAGED: dict[str, tuple[Callable[[Any], object], str]] = {
    "no seeds": (put("seeds", value=[]), LISTED),
    "no variants": (put("arms", value=[]), LISTED),
    "a seed twice": (put("seeds", value=[0, 0]), LISTED),
    "a variant twice": (lambda values: values["arms"].append(values["arms"][0]), LISTED),
    "a seed without a folder": (put("seeds", value=[0, 1, 2]), "it has no folder for 'baseline', seed 2"),
    "a variant without folders": (lambda v: v["folders"].pop("dropout=0"), "it has no folder for 'dropout=0', seed 0"),
    "a folder elsewhere": (put("folders", "dropout=0", "1", value="../x"), "'../x' is not the name of a run folder"),
    "both budgets": (put("arms", 1, "recipe", "train", "steps", value=9), "the budget of 'dropout=0' is not epochs or"),
    "no budget": (put("arms", 0, "recipe", "train", "epochs", value=None), "the budget of 'baseline' is not epochs or"),
    "no batch": (put("arms", 0, "recipe", "train", "batch_size", value=0), "the recipe of 'baseline' in "),
    "a negative alpha": (put("analysis", "alpha", value=0), "alpha: "),
    "half": (put("analysis", "alpha", value=0.5), "alpha: "),
    "no margin": (put("analysis", "margin", value=0), "margin: "),
    "no direction": (put("analysis", "direction", value="up"), "direction: "),
    "no looks": (put("looks", value=0), "looks: "),
    "another study": (put("name", value="other"), "is that of another study, 'other'"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_study_json_that_cannot_be_is_refused(what: str, stored: Stored) -> None:
    change, message = DAMAGED[what]
    path = stored.store.study_file(stored.manifest.folder)
    values = json.loads(path.read_text())
    change(values)
    write_record(path, values)
    with pytest.raises(UnreadableError) as caught:
        read_manifest(path)
    assert str(path) in caught.value.message
    assert message in caught.value.message
    assert caught.value.hint == REWRITE


@pytest.mark.parametrize("change", [put("analysis", "alpha", value=0.49), put("analysis", "margin", value=0.001)])
def test_settings_at_their_limits_are_read(change: Callable[[Any], object], stored: Stored) -> None:
    path = stored.store.study_file(stored.manifest.folder)
    values = json.loads(path.read_text())
    change(values)
    write_record(path, values)
    assert read_manifest(path).name == "dropout study"


def test_the_study_that_was_run_last_is_the_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert read_studies(store) == ([], {})
    paths = []
    for place, name in enumerate(("b", "a", "c")):
        stored = write_study(tmp_path, [], [0], name=name, everywhere="missing")
        paths.append(store.study_file(stored.manifest.folder))
        os.utime(paths[-1], (place, min(place, 1)))
    bad = tmp_path / "studies" / "bad" / "study.json"
    bad.parent.mkdir()
    write_record(bad, {"name": "bad"})
    bad.with_name("study.json").write_text('{"schema_version": 9}')
    studies, faults = read_studies(store)
    assert [study.name for study in studies] == ["a", "c", "b"]
    assert list(faults) == [bad]
    assert isinstance(faults[bad], UserError)
    assert replace(studies[0], name="x").folder == "x"


def test_what_an_earlier_version_did_not_store_has_its_default(stored: Stored) -> None:
    path = stored.store.study_file(stored.manifest.folder)
    values = json.loads(path.read_text())
    for key in (
        "looks",
        "added_seeds",
        "dropped_seeds",
        "dropped_variants",
        "file",
        "grids",
        "design",
        "components",
        "fingerprints",
    ):
        del values[key]
    for variant in values["arms"]:
        for key in ("exploratory", "components", "seed_offset"):
            del variant[key]
    write_record(path, values)
    found = read_manifest(path)
    assert (found.looks, found.added_seeds, found.file, found.grids, found.design) == (1, (), "", {}, ())
    assert [(variant.exploratory, variant.components, variant.seed_offset) for variant in found.variants] == [
        (False, {}, None)
    ] * 2
