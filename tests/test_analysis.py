"""What an analysis says of a stored study."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest

from ablation._util import formatting
from ablation.analysis import Analysis, describe
from ablation.results.runs import Results, load_results
from tests.stored import ARMS, BASELINE, StoredVariant, write_study


def study(folder: Path, *args: Any, **options: Any) -> tuple[Results, Analysis]:
    stored = write_study(folder, *args, **options)
    results = load_results(stored.store, stored.manifest)
    return results, describe(results)


def accuracies(results: Results, variant: str) -> dict[int, float]:
    rows = results.runs[results.runs["variant"] == variant].dropna(subset=["val_accuracy"])
    return dict(zip(rows["seed"], rows["val_accuracy"], strict=True))


def test_the_metric_is_the_validation_accuracy_at_the_selected_epoch(tmp_path: Path) -> None:
    results, analysis = study(tmp_path)
    epochs = results.epochs.set_index(["variant", "seed", "epoch"])["val_accuracy"]
    for effect in analysis.effects:
        for run in effect.runs:
            assert run.accuracy == epochs[effect.variant, run.seed, run.selected_epoch]


def test_mean_and_standard_deviation_are_over_seeds_with_one_degree_of_freedom_less(tmp_path: Path) -> None:
    results, analysis = study(tmp_path, seeds=range(4))
    for effect in analysis.effects:
        values = list(accuracies(results, effect.variant).values())
        mean = sum(values) / 4
        assert effect.n == 4
        assert effect.mean == pytest.approx(mean)
        assert effect.sd == pytest.approx((sum((v - mean) ** 2 for v in values) / 3) ** 0.5)


def test_the_difference_is_the_mean_of_the_differences_within_each_seed(tmp_path: Path) -> None:
    results, analysis = study(tmp_path)
    base = accuracies(results, "baseline")
    for effect in analysis.variants:
        own = accuracies(results, effect.variant)
        assert effect.differences == pytest.approx({seed: own[seed] - base[seed] for seed in base})
        assert effect.difference == pytest.approx(statistics.fmean(effect.differences.values()))
        assert effect.pairs == 3


def test_only_seeds_that_both_finished_are_paired(tmp_path: Path) -> None:
    fates = {("baseline", 0): "missing", ("dropout=0.5", 2): "interrupted"}
    results, analysis = study(tmp_path, fates=fates)
    effect = analysis.effect("dropout=0.5")
    base, own = accuracies(results, "baseline"), accuracies(results, "dropout=0.5")
    assert (effect.n, effect.pairs) == (2, 1)
    assert effect.differences == {1: own[1] - base[1]}
    assert effect.mean == pytest.approx((own[0] + own[1]) / 2)


def test_the_baseline_has_no_difference_from_itself(tmp_path: Path) -> None:
    _, analysis = study(tmp_path)
    assert analysis.baseline.difference is None
    assert analysis.baseline.differences == {}
    assert analysis.baseline.change == ""


def test_one_seed_has_no_standard_deviation(tmp_path: Path) -> None:
    _, analysis = study(tmp_path, seeds=[7])
    assert all(effect.sd is None and effect.mean is not None for effect in analysis.effects)


def test_diverged_runs_stay_out_of_the_mean_and_make_it_conditional(tmp_path: Path) -> None:
    results, analysis = study(tmp_path, fates={("dropout=0", 1): "diverged"})
    effect = analysis.effect("dropout=0")
    assert (effect.n, effect.diverged, effect.unfinished) == (2, 1, 0)
    assert effect.conditional
    assert effect.mean == pytest.approx(statistics.fmean(accuracies(results, "dropout=0").values()))
    assert not analysis.effect("dropout=0.5").conditional


def test_a_variant_that_always_diverged_has_a_size_and_no_metric(tmp_path: Path) -> None:
    _, analysis = study(tmp_path, fates={("dropout=0", seed): "diverged" for seed in range(3)})
    effect = analysis.effect("dropout=0")
    assert (effect.n, effect.mean, effect.sd, effect.difference) == (0, None, None, None)
    assert effect.parameters == 61_706
    assert not effect.conditional


def test_facts_count_every_run_once(tmp_path: Path) -> None:
    fates = {
        ("dropout=0", 0): "diverged",
        ("dropout=0", 1): "crashed",
        ("constant", 1): "interrupted",
        ("constant", 2): "missing",
    }
    _, analysis = study(tmp_path, fates=fates)
    facts = analysis.facts
    assert (facts.variants, facts.runs, facts.finished) == (4, 15, 11)
    assert (facts.diverged, facts.crashed, facts.interrupted, facts.missing) == (1, 1, 1, 1)
    assert (facts.done, facts.open) == (12, 3)
    assert facts.devices == ("cpu",)


def test_training_time_is_that_of_all_runs_that_are_done(tmp_path: Path) -> None:
    results, analysis = study(tmp_path, fates={("dropout=0", 0): "diverged", ("constant", 2): "missing"})
    assert analysis.facts.seconds == pytest.approx(sum(r.train_seconds for r in results.records.values()))


def test_every_run_without_a_result_says_why(tmp_path: Path) -> None:
    fates = {
        ("dropout=0", 0): "diverged",
        ("dropout=0", 1): "crashed",
        ("constant", 1): "interrupted",
        ("constant", 2): "missing",
    }
    _, analysis = study(tmp_path, fates=fates)
    found = {(run.variant, run.seed): (run.status, run.epoch, run.reason) for run in analysis.problem_runs}
    assert found == {
        ("dropout=0", 0): ("diverged", 3, "the loss became infinite or not a number in epoch 3"),
        ("dropout=0", 1): ("crashed", 3, "RuntimeError: out of memory while allocating 2 GiB"),
        ("constant", 1): ("interrupted", 3, "stopped after epoch 3"),
        ("constant", 2): ("missing", 0, "not started yet"),
    }


def test_a_study_that_has_not_begun_is_described(tmp_path: Path) -> None:
    _, analysis = study(tmp_path, everywhere="missing")
    assert analysis.facts.done == 0
    assert all(effect.mean is None and effect.parameters is None for effect in analysis.effects)
    assert analysis.setup.environments == ()
    assert analysis.setup.budget == "6 epochs"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"model.dropout": 0.5}, "dropout 0.2 → 0.5"),
        ({"model.name": "resnet9"}, "model lenet5 → resnet9"),
        ({"optimizer.lr": 1e-5}, "learning rate 0.05 → 1e-5"),
        ({"optimizer.weight_decay": 0.0}, "weight decay 0.0005 → 0"),
        ({"optimizer.nesterov": True}, "nesterov off → on"),
        ({"data.augment": ["crop", "flip"]}, "augmentation none → crop (padding 4), flip (probability 0.5)"),
        ({"schedule": {"name": "constant"}}, "schedule cosine (min lr 0) → constant"),
        (
            {"schedule": {"name": "step", "step_size": 2, "gamma": 0.1}},
            "schedule cosine (min lr 0) → step (step size 2, gamma 0.1)",
        ),
        ({"model.norm": "batch", "model.dropout": 0.3}, "normalisation none → batch; dropout 0.2 → 0.3"),
        ({"model.kernel_size": 3}, "kernel size 5 → 3"),
        ({"train.clip_norm": 1.0}, "clip norm none → 1"),
    ],
)
def test_a_change_is_read_from_the_recipes(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    _, analysis = study(tmp_path, [StoredVariant("variant", changes)], seeds=[0], everywhere="missing")
    assert analysis.effect("variant").change == text


def test_a_sweep_is_a_numeric_option_with_three_levels(tmp_path: Path) -> None:
    variants = [
        *ARMS,
        StoredVariant("wd", {"optimizer.weight_decay": 0.0}),
        StoredVariant("both", {"model.dropout": 0.9, "optimizer.weight_decay": 0.1}, kind="combine"),
        StoredVariant("last", {"train.select": "last"}),
    ]
    _, analysis = study(tmp_path, variants, everywhere="missing")
    assert [(s.path, s.levels) for s in analysis.sweeps] == [
        ("model.dropout", ((0.0, "dropout=0"), (0.2, "baseline"), (0.5, "dropout=0.5")))
    ]
    assert analysis.setup.select == "mixed"


def test_split_sizes_are_those_of_the_baseline(tmp_path: Path) -> None:
    variants = [StoredVariant("tenth", {"data.fraction": 0.1})]
    _, analysis = study(tmp_path, variants, fates={("baseline", 0): "missing"})
    assert analysis.setup.train_images == 1437
    assert analysis.effect("tenth").train_images == 144


def test_a_budget_in_steps_is_named_as_such(tmp_path: Path) -> None:
    recipe = BASELINE | {"train": {"steps": 1500, "eval_every": 300}}
    _, analysis = study(tmp_path, baseline=recipe)
    assert analysis.setup.budget == "1,500 steps"


@pytest.mark.parametrize(
    ("images", "text"), [(None, "91.2"), (60, "91"), (360, "91.2"), (5000, "91.2"), (10_000, "91.23")]
)
def test_an_accuracy_has_no_more_digits_than_its_images_support(images: int | None, text: str) -> None:
    assert formatting.percent(0.91234, formatting.accuracy_digits(images)) == text


@pytest.mark.parametrize(
    ("difference", "text"), [(0.0123, "+1.2"), (-0.0123, "−1.2"), (-0.0004, "0.0"), (0.0, "0.0"), (None, "–")]
)
def test_points_carry_their_sign_unless_they_round_to_zero(difference: float | None, text: str) -> None:
    assert formatting.points(difference, 1) == text


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (formatting.count(9_999), "9,999"),
        (formatting.count(61_706), "61.7 k"),
        (formatting.count(14_728_266), "14.7 M"),
        (formatting.count(313_000_000), "313 M"),
        (formatting.duration(4.24), "4.2 s"),
        (formatting.duration(59.7), "1 min"),
        (formatting.duration(200), "3 min 20 s"),
        (formatting.duration(3600 * 30 + 59), "30 h 1 min"),
        (formatting.memory(472), "472 MiB"),
        (formatting.memory(2048), "2.00 GiB"),
        (formatting.value(5e-4), "0.0005"),
        (formatting.value([1, None, False]), "1, none, off"),
        (formatting.plural(1, "run"), "1 run"),
    ],
)
def test_numbers_are_written_for_readers(call: str, text: str) -> None:
    assert call == text
