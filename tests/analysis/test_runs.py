"""Warnings about single variants, at their limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ablation.analysis.classification.ceiling import ceilings
from ablation.analysis.classification.networks import Predicted
from ablation.analysis.types import SeedResult
from ablation.analysis.warnings.runs import _rises, states, undertrained, without_effect
from ablation.results.runs import Results
from tests.analysis.made import effect, history, manifest, record, results, run, variant


def accuracies(*found: float | None) -> tuple[SeedResult, ...]:
    return tuple(SeedResult(seed, "finished", own, own, None, 6, 6) for seed, own in enumerate(found))


@pytest.mark.parametrize(
    ("accuracy", "images", "warned"),
    [(0.995, 10_000, True), (0.9949, 10_000, False), (0.9801, 250, True), (0.98, 250, False), (0.9, 40, True)],
)
def test_the_ceiling_is_half_a_per_cent_of_error_or_fewer_than_five_errors(
    accuracy: float, images: int, warned: bool
) -> None:
    runs = pd.DataFrame({"variant": ["a"], "val_images": [images]})
    results = Results(manifest([variant("a", "baseline")]), runs, pd.DataFrame(), {}, {})
    own = effect("a", runs=accuracies(accuracy, None, accuracy))
    assert bool(list(ceilings(results, [own]))) is warned
    assert list(ceilings(results, [effect("a", runs=accuracies(None))])) == []


@pytest.mark.parametrize(
    ("loss", "best", "rises"),
    [
        ([1.0, 0.9, 0.8], 3, True), ([1.0, 0.9, 0.8], 2, False), ([1.0, 0.9], 2, False),
        ([1.0, 0.5, 0.496], 3, False), ([1.0, 0.5, 0.494], 3, True), ([1.0, 0.4, 0.6], 3, False),
        ([0.9] * 17 + [0.8, 0.792, 0.785], 20, True), ([0.9] * 17 + [0.79, 0.80, 0.789], 20, False),
    ],
)  # fmt: skip
def test_a_run_was_cut_short_where_its_last_loss_is_the_lowest_by_one_per_cent(
    loss: list[float], best: int, rises: bool
) -> None:
    """Against a tenth of the run ago: one epoch of three to nineteen, two of twenty."""
    history = pd.DataFrame({"epoch": np.arange(1, len(loss) + 1), "val_loss": loss})
    assert _rises(history.sample(frac=1, random_state=0), best) is rises


def test_missing_runs_are_counted_and_the_first_six_named() -> None:
    runs = tuple(SeedResult(seed, "missing", None, None, None, 0, None) for seed in range(8))
    done = SeedResult(8, "finished", 0.9, 0.9, None, 6, 6)
    found = [own.message for own in states([effect("b", runs=(done,)), effect("a", runs=(*runs, done))], True)]
    (message,) = found
    assert message.startswith("a lacks 8 of 9 seeds: seed 0 has not started; ")
    assert message.endswith("seed 5 has not started and 2 more")
    six = effect("a", runs=(*runs[:6], done))
    assert [own.message[-24:] for own in states([effect("b", runs=(done,)), six], True)] == ["; seed 5 has not started"]


def test_failed_runs_are_counted_with_their_seeds() -> None:
    lost = SeedResult(3, "diverged", None, None, None, 2, None)
    idle = SeedResult(5, "finished", 0.1, None, None, 6, 6, chance=True)
    own = effect("a", runs=(lost, idle), diverged=1, at_chance=1)
    found = {caution.code: caution.message for caution in states([own], True)}
    assert found["diverged"] == "a: 1/2 diverged (seed 3)"
    assert found["at_chance"].startswith("a: 1/2 at chance (seed 5)")


@pytest.mark.parametrize(
    ("status", "here", "elsewhere"),
    [
        ("missing", "has not started", "has no value"), ("interrupted", "was interrupted", "was interrupted"),
        ("damaged", "has damaged files", "has damaged files"), ("crashed", "crashed", "crashed"),
    ],
)  # fmt: skip
def test_a_missing_run_has_a_reason_and_the_baseline_a_warning_of_its_kind(
    status: str, here: str, elsewhere: str
) -> None:
    own = SeedResult(4, status, None, None, None, 0, None)
    effects = [effect("b", runs=(own,)), effect("x", runs=(own, SeedResult(5, "diverged", None, None, None, 0, None)))]
    for trained_here, why in [(True, here), (False, elsewhere)]:
        found = [(caution.code, caution.variant, caution.message) for caution in states(effects, trained_here)]
        assert found == [
            ("baseline_missing_runs", "b", f"b lacks 1 of 1 seed: seed 4 {why}"),
            ("missing_runs", "x", f"x lacks 1 of 2 seeds: seed 4 {why}"),
        ]


def test_a_ceiling_is_said_with_the_errors_of_a_run() -> None:
    study = manifest([variant("a"), variant("b")])
    own = results(study, [run("a", 0, val_images=100), run("a", 1, val_images=200), run("b", 0, val_images=None)])
    effects = [effect("b", runs=accuracies(0.999)), effect("a", runs=accuracies(0.98, 0.981)), effect("c")]
    assert [(found.variant, found.message) for found in ceilings(own, effects)] == [
        ("a", "a reaches 98.0 % validation accuracy: 3.9 errors a run on average"),
    ]  # fmt: skip


FALLING, FLAT = [1.0, 0.9, 0.8, 0.7], [1.0, 0.9, 0.8, 0.8]


@pytest.mark.parametrize(
    ("losses", "best", "found"),
    [
        ([FALLING, FALLING, FLAT], 4, "a: in 2 of 3 runs the last epoch was the best"),
        ([FALLING, FLAT], 4, None), ([FALLING], 4, "a: in 1 of 1 run the last epoch was the best"),
        ([FALLING], 3, None), ([FALLING], None, None), ([], 4, None),
    ],
)  # fmt: skip
def test_a_variant_is_undertrained_where_most_of_its_runs_were_cut_short(
    losses: list[list[float]], best: int | None, found: str | None
) -> None:
    rows = [run("a", seed, best_epoch=best) for seed in range(len(losses))] + [run("b", 0, best_epoch=4)]
    rows += [run("a", 9, status="diverged", best_epoch=4), run("a", 8, best_epoch=4)]
    epochs = [history("a", seed, val_loss=own) for seed, own in enumerate(losses)]
    epochs += [history("a", 9, val_loss=FLAT), history("b", 0, val_loss=FLAT)]
    own = list(undertrained(results(manifest([variant("b"), variant("a")]), rows, epochs), [effect("b"), effect("a")]))
    expected = [] if found is None else [f"{found} and the validation loss was still falling"]
    assert [caution.message for caution in own] == expected


def test_a_loss_that_is_not_a_number_is_no_sign() -> None:
    assert not _rises(history("a", 0, val_loss=[1.0, 0.9, float("nan")]), 3)
    assert _rises(history("a", 0, val_loss=[float("nan"), 0.9, 0.8]), 3)


def predicted(*classes: int, shift: int = 0) -> Predicted:
    return Predicted(np.arange(len(classes)) + shift, np.zeros(len(classes)), np.array(classes))


def no_effect(
    weights: dict[tuple[str, int], str],
    predictions: dict[tuple[str, int], Predicted],
    seeds: int = 2,
    kind: str = "vary",
) -> list[str]:
    records = {key: record(weights_sha256=own) for key, own in weights.items()}
    own = results(manifest([variant("b"), variant("x", kind)]), [], records=records)
    effects = [effect("b"), effect("x", dict.fromkeys(range(seeds), 0.0) | {7: None}, kind=kind)]
    return [caution.message for caution in without_effect(own, effects, predictions)]


def test_a_change_has_no_effect_where_weights_or_predictions_are_those_of_the_baseline_under_every_seed() -> None:
    same = {("b", 0): "0", ("x", 0): "0", ("b", 1): "1", ("x", 1): "1"}
    told = "x has the same weights as the baseline"
    assert no_effect(same, {}) == [f"{told} in all 2 seeds"]
    assert no_effect(same, {}, seeds=1) == [f"{told} under seed 0"]
    assert no_effect(same, {}, seeds=0) == []
    assert no_effect(same, {}, kind="control") == []
    assert no_effect({**same, ("x", 1): "2"}, {}) == []
    alike = {("b", 0): predicted(0, 1), ("x", 0): predicted(0, 1), ("b", 1): predicted(1, 1), ("x", 1): predicted(1, 1)}
    told = "x has the same prediction for every validation image as the baseline in all 2 seeds"
    assert no_effect({}, alike) == [told]
    assert no_effect({}, {**alike, ("x", 1): predicted(1, 0)}) == []
    assert no_effect({}, {**alike, ("x", 1): predicted(1, 1, shift=1)}) == []
    for lost in alike:
        assert no_effect({}, {key: own for key, own in alike.items() if key != lost}) == []
