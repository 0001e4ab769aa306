"""Warnings about how a study was conducted, and the order in which warnings come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import ablation.stats as stats
from ablation.analysis.types import Confound, SeedResult, StudyWarning
from ablation.analysis.warnings import conduct, find_warnings
from ablation.analysis.warnings.catalogue import CATALOGUE, ELSEWHERE, entry
from ablation.results.runs import Results
from ablation.storage.audit_file import Audit, Check
from ablation.storage.manifest import Manifest, StoredVariant
from tests.analysis.made import ACCURACY, effect, history, manifest, record, results, run, variant

RECIPE = {"data": {"name": "digits"}}
STUDY = manifest([StoredVariant("b", "baseline", {}, RECIPE), variant("x"), variant("y")])
DAY = "2026-04-{:02}T10:00:00+00:00".format


def with_records(records: dict[tuple[str, int], dict[str, Any]], study: Manifest = STUDY, **fields: Any) -> Results:
    return results(study, [run("b", 0)], records={key: record(**own) for key, own in records.items()}, **fields)


def messages(found: Any) -> list[str]:
    return [own.message for own in found]


@pytest.mark.parametrize(
    ("seeds", "found"),
    [
        (1, ["one seed: nothing can be said about any recipe"]),
        (2, ["two seeds: every verdict is tentative"]),
        (3, []),
        (4, []),
    ],
)
def test_a_comparison_needs_three_seeds(seeds: int, found: list[str]) -> None:
    assert messages(conduct.seeds(manifest([variant("b"), variant("x")], range(seeds)))) == found
    assert messages(conduct.seeds(manifest([variant("b")], range(seeds)))) == []


@pytest.mark.parametrize(
    ("added", "looks", "alpha", "found"),
    [
        ((3,), 2, 0.05, "seed 3 was added after results had been seen: with 2 looks at 0.05 each, the family-wise "
         "error is at most 0.1, not 0.05"),
        ((3, 4), 3, 0.4, "seeds 3, 4 were added after results had been seen: with 3 looks at 0.4 each, the family-wise "
         "error is at most 1, not 0.4"),
    ],
)  # fmt: skip
def test_seeds_added_after_a_look_raise_the_error(added: tuple[int, ...], looks: int, alpha: float, found: str) -> None:
    analysis = {**STUDY.analysis, "alpha": alpha}
    study = manifest([variant("b"), variant("x")], analysis=analysis, added_seeds=added, looks=looks)
    assert messages(conduct.added_seeds(study)) == [found]
    assert messages(conduct.added_seeds(manifest([variant("b")], added_seeds=added, looks=1))) == []


def test_what_was_dropped_after_a_look_is_said() -> None:
    variants = [variant("b"), variant("x")]
    assert messages(conduct.dropped(manifest(variants))) == []
    assert messages(conduct.dropped(manifest(variants, dropped_seeds=(3, 4), dropped_variants=("y",)))) == [
        "seeds 3, 4 were dropped after results had been seen: the family-wise error of 0.05 holds for the seeds as "
        "declared, not for a choice of them",
        "y: dropped after results had been seen; p-values and intervals no longer account for every comparison that "
        "was made",
    ]


def test_looks_that_were_changed_after_a_look_raise_the_error() -> None:
    study = manifest([variant("b"), variant("x")], looks=2)
    (warning,) = conduct.added_seeds(study)
    assert warning.code == "changed_looks"
    assert "judged 2 times at 0.05 each, the study has a family-wise error of at most 0.1, not 0.05" in warning.message


def test_environments_that_differ_are_listed_with_the_pairs_that_mix_them() -> None:
    runs: dict[tuple[str, int], dict[str, Any]] = {(name, seed): {} for name in "bxy" for seed in (0, 1)}
    assert list(conduct.environments(with_records(runs))) == []
    runs["x", 1] = {"environment": {"torch": "2.10", "device": "cuda", "threads": 4}}
    runs["y", 2] = {}
    found = list(conduct.environments(with_records(runs)))
    assert [own.code for own in found] == ["code_changed", "hardware_changed"]
    mixed = "; 1 of 4 pairs of a variant with the baseline mix them"
    assert messages(found) == [f"PyTorch 2.10, 2.9{mixed}", f"device cpu, cuda; threads 1, 4{mixed}"]
    only = {key: {"environment": {"python": f"3.{12 + key[1]}"}} for key in runs if key != ("y", 2)}
    assert messages(conduct.environments(with_records(only))) == [
        "Python 3.12, 3.13; the runs of each seed agree, so that no comparison mixes them"
    ]


def test_a_data_set_with_several_fingerprints_is_named_however_it_was_changed() -> None:
    digits, other = {"data": {"name": "digits", "fraction": 0.5, "augment": []}}, {"data": {"name": "other"}}
    runs = {
        ("b", 0): {"data_fingerprint": "b" * 64},
        ("x", 0): {"data_fingerprint": "a" * 64, "recipe": digits},
        ("y", 0): {"data_fingerprint": "c" * 64, "recipe": other},
        ("y", 1): {"data_fingerprint": "c" * 64, "recipe": other},
    }
    (found,) = conduct.data(with_records(runs))
    assert found.message == f"digits was 2 different sets of images (fingerprints {'a' * 12}, {'b' * 12})"
    assert (found.code, found.variant) == ("data_changed", None)


def test_variants_added_later_are_exploratory_and_the_baseline_never_is() -> None:
    effects = [effect("b", exploratory=True), effect("x"), effect("y", exploratory=True)]
    assert messages(conduct.exploratory(effects)) == ["y was added after results were seen"]


@pytest.mark.parametrize(
    ("kind", "verdict", "warned"),
    [
        ("control", "better", True), ("control", "worse", True), ("control", "not_detected", False),
        ("vary", "better", False),
    ],
)  # fmt: skip
def test_a_control_that_comes_out_different_is_warned_of(kind: str, verdict: Any, warned: bool) -> None:
    own = effect("a/a", kind=kind, verdict=verdict, words="better by 2.0 points")
    expected = ["a/a, the baseline under other seeds, comes out better by 2.0 points"] if warned else []
    assert messages(conduct.control([effect("b", kind="control", verdict="worse"), own])) == expected


def evaluated(*days: int, **fields: Any) -> tuple[dict[str, Any], ...]:
    return tuple({"time": DAY(day), "images": 10 * day} | fields for day in days)


@pytest.mark.parametrize(
    ("days", "when"),
    [
        ((), None), ((2,), None), ((3, 2), "2026-04-02, 2026-04-03"),
        ((1, 2, 3, 4, 5, 6), "2026-04-01, 2026-04-02, 2026-04-03, 2026-04-04, 2026-04-05, 2026-04-06"),
        ((1, 2, 3, 4, 5, 6, 7), "2026-04-01, 2026-04-02, 2026-04-03, 2026-04-04, 2026-04-05, 2026-04-06, \u2026"),
    ],
)  # fmt: skip
def test_a_test_set_is_evaluated_once(days: tuple[int, ...], when: str | None) -> None:
    expected = [] if when is None else [f"the test set was evaluated {len(days)} times ({when})"]
    assert messages(conduct.test_set(with_records({}, test_evaluations=evaluated(*days)))) == expected


def test_runs_that_began_after_the_first_evaluation_are_counted_with_their_variants() -> None:
    late, early = {"started": DAY(3)}, {"started": DAY(2)}
    runs = {("b", 0): early, ("x", 0): late, ("x", 1): late, ("y", 0): late}
    found = messages(conduct.test_set(with_records(runs, test_evaluations=evaluated(4, 2))))
    assert found[1:] == ["3 runs (x, y) began after the first evaluation on the test set (2026-04-02)"]
    assert messages(conduct.test_set(with_records({("b", 0): early}, test_evaluations=evaluated(2)))) == []


def test_the_overlap_of_the_test_set_is_that_of_the_last_evaluation() -> None:
    shared = {"copies": 3, "near": 0, "examples": {"copies": [("test/a", "train/a")], "near": []}}
    opened = (*evaluated(5, overlap=[shared]), *evaluated(4))
    assert messages(conduct.test_set(with_records({}, test_evaluations=opened)))[1:] == [
        "3 of 50 test images are also training images (test/a = train/a, ...)"
    ]


def test_notices_of_the_stored_files_are_passed_on() -> None:
    found = list(conduct.stored_files(with_records({}, notices=("one", "two"))))
    assert [(own.code, own.message) for own in found] == [("changed_files", "one"), ("changed_files", "two")]


def test_what_runs_noticed_is_said_once_for_each_variant_or_once_for_all() -> None:
    hit = {"checks": {"duplicate_images": "7 images"}}
    runs: dict[tuple[str, int], dict[str, Any]] = {(name, seed): {} for name in "bxy" for seed in (0, 1)}
    runs |= {("x", 0): hit, ("y", 0): hit, ("y", 1): {"checks": {"duplicate_images": "8 images"}}}
    found = list(conduct.self_checks(with_records(runs)))
    assert [(own.variant, own.message) for own in found] == [
        ("x", "x: 7 images (1 of 2 runs)"),
        ("y", "y: 7 images (2 of 2 runs)"),
    ]
    (every,) = conduct.self_checks(with_records(runs | {("b", 1): hit}))
    assert (every.variant, every.message) == (None, "7 images (4 of 6 runs)")
    (alone,) = conduct.self_checks(with_records({("b", 0): hit, ("b", 1): {}}))
    assert (alone.variant, alone.message) == ("b", "b: 7 images (1 of 2 runs)")
    other = {"checks": {"leaked_normalisation": "seen", "duplicate_images": "7 images"}}
    found = list(conduct.self_checks(with_records({("b", 0): {}, ("x", 0): other, ("y", 0): {}})))
    assert [(own.code, own.message) for own in found] == [
        ("leaked_normalisation", "x: seen (1 of 1 run)"),
        ("duplicate_images", "x: 7 images (1 of 1 run)"),
    ]


def everything(recipe: dict[str, Any]) -> tuple[StudyWarning, ...]:
    """A study of two seeds with nearly every mistake."""
    variants = [
        StoredVariant("b", "baseline", {}, recipe),
        StoredVariant("x", "vary", {}, {"train": {"epochs": 9}}),
        variant("a/a", "control"),
    ]
    study = manifest(variants, range(2), added_seeds=(1,), looks=2)
    checks, weights = {"duplicate_images": "seen", "unheard_of": "seen"}, {"weights_sha256": "0" * 64}
    records = {
        ("b", 0): record(data_fingerprint="0" * 64, checks=checks, **weights),
        ("x", 0): record(environment={"torch": "2.10", "device": "cuda"}, **weights),
    }
    rows = [run("b", 0, 0.997, val_images=360, best_epoch=6), run("x", 0, 0.9, best_epoch=6)]
    opened = evaluated(1, 2)
    epochs = [history(name, 0, val_loss=[1.0, 0.9, 0.8, 0.7, 0.6, 0.5]) for name in "bx"]
    done = SeedResult(0, "finished", 0.997, 0.997, 0.0, 6, 6)
    idle = SeedResult(1, "finished", 0.1, None, None, 6, 6, chance=True)
    lost = SeedResult(1, "missing", None, None, None, 0, None)
    effects = [
        effect("b", sd=0.2, runs=(done, lost)),
        effect("x", runs=(done, idle), at_chance=1, diverged=1, exploratory=True),
        effect("a/a", kind="control", verdict="better", runs=(done, lost)),
    ]
    confounds = tuple(Confound(what, 2.0, 1.0, False) for what in ("steps", "MACs"))
    effects[1] = replace(effects[1], confounds=confounds)
    y = np.array([[0.1, 0.9], [0.5, 0.501], [0.5, 0.502], [0.5, 0.503], [0.5, 0.5005]])
    found = replace(stats.compare(y), baseline_screened=True)
    audited = tuple(Check(code, "fault", "seen") for code in ("reproducible", "seed"))
    audit = Audit("2026-04-01T10:00:00+00:00", "b-s0", False, 5, audited)
    seen = (("runs_left_out", None, "failed: x"), ("undeclared_change", "x", "x also differs"))
    own = results(study, rows, epochs, records, test_evaluations=opened, notices=("one",), findings=seen, audit=audit)
    return find_warnings(own, effects, ACCURACY, y, found, {})


def test_warnings_come_in_the_order_of_the_catalogue_and_unknown_ones_last() -> None:
    codes = [own.code for own in everything(RECIPE)]
    known = [code for code in CATALOGUE for own in codes if own == code]
    assert codes == [*known, "unheard_of"]
    assert set(CATALOGUE) - set(codes) == {
        "unequal_time", "unequal_spread", "test_overlap", "trained_after_test", "unstable_evaluation",
        "augmented_validation", "leaked_normalisation", "memory_nearly_full", "mixed_settings", "metrics_from",
        "changed_looks", "dropped",
    }  # fmt: skip


def test_each_warning_has_its_hint_and_one_that_fits_where_the_runs_are_from_elsewhere() -> None:
    for own in everything(RECIPE):
        assert own.hint == entry(own.code).hint
    elsewhere = everything({})
    assert {own.code for own in elsewhere} >= set(ELSEWHERE)
    for own in elsewhere:
        assert own.hint == ELSEWHERE.get(own.code, entry(own.code).hint)


def test_without_a_comparison_no_spread_is_judged() -> None:
    study = manifest([StoredVariant("b", "baseline", {}, RECIPE)])
    assert find_warnings(results(study, [run("b", 0)]), [effect("b")], ACCURACY, np.zeros((1, 3)), None, {}) == ()
