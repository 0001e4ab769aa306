"""The words that each number of seeds allows, as the protocol's table has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablation.analysis import Analysis
from ablation.report import write_report
from ablation.results.runs import load_results
from tests.stored import Fate, Stored, StoredVariant, amend, write_predictions, write_study

NOISE = [0.004, -0.003, 0.002, -0.004, 0.001, 0.003, -0.002, 0.0, 0.002, -0.001]
ARMS = ("up", "down", "same", "alike", "other")
SHIFTS = {"up": 0.05, "down": -0.05, "same": 0.001, "alike": -0.001, "other": 0.0}


def exact(shifts: Mapping[str, float], seeds: int) -> dict[str, list[float]]:
    """Accuracies around 0.8 that share the effect of a seed, with a little noise that differs between variants."""
    rows = {}
    for place, (name, shift) in enumerate({"baseline": 0.0, **shifts}.items()):
        noise = [NOISE[(seed * (place + 2) + 3 * place) % 10] for seed in range(seeds)]
        rows[name] = [0.8 + shift + 0.01 * (seed % 3) + noise[seed] for seed in range(seeds)]
    return rows


def store(folder: Path, seeds: int, shifts: Mapping[str, float] = SHIFTS, **options: Any) -> Stored:
    variants = [StoredVariant(name, {"model.dropout": 0.3 + place / 20}) for place, name in enumerate(shifts)]
    variants = options.pop("variants", variants)
    rows = options.pop("exact", None) or exact(shifts, seeds)
    return write_study(folder / "results", variants, range(seeds), exact=rows, **options)


def reported(stored: Stored, folder: Path) -> dict[str, Any]:
    """analysis.json, as anybody's program reads it."""
    written = write_report(stored.store, stored.manifest, folder / "report")
    values: dict[str, Any] = json.loads(written.analysis.read_text(encoding="utf-8"))
    return values


def analysed(folder: Path, seeds: int, shifts: Mapping[str, float] = SHIFTS, **options: Any) -> dict[str, Any]:
    return claims(store(folder, seeds, shifts, **options))


def claims(stored: Stored) -> dict[str, Any]:
    from ablation.analysis import describe, to_json

    return to_json(describe(load_results(stored.store, stored.manifest)), "study")


def words(found: Mapping[str, Any]) -> dict[str, str]:
    return {effect["variant"]: effect["words"] for effect in found["effects"]}


def verdicts(found: Mapping[str, Any]) -> dict[str, str]:
    return {effect["variant"]: effect["verdict"] for effect in found["effects"]}


@pytest.mark.parametrize("seeds", [3, 5, 9])
def test_three_seeds_or_more_say_better_or_worse_by_how_much(tmp_path: Path, seeds: int) -> None:
    found = analysed(tmp_path, seeds)
    assert verdicts(found) == {"up": "better", "down": "worse"} | dict.fromkeys(ARMS[2:], "not_detected")
    said = words(found)
    up = found["effects"][0]
    low, high = 100 * up["low"], 100 * up["high"]
    assert said["up"] == f"better by {100 * up['difference']:.1f} [{low:.1f}, {high:.1f}] points"
    assert said["down"].startswith("worse by 5.")
    assert "−" not in said["down"]
    assert found["method"] == "guarded blocked Dunnett"
    assert "tentatively" not in found["verdict"]


def test_what_is_not_detected_is_bounded_by_the_larger_end_of_its_interval(tmp_path: Path) -> None:
    same = analysed(tmp_path, 3)["effects"][2]
    assert same["low"] < 0 < same["high"]
    largest = 100 * max(-same["low"], same["high"])
    assert same["words"] == f"no clear effect: at most {largest:.1f} points either way"


def test_two_seeds_speak_tentatively(tmp_path: Path) -> None:
    found = analysed(tmp_path, 2, SHIFTS | {"up": 0.12})
    assert words(found)["up"].startswith("tentatively better by 11.")
    assert "2 of 5 changes tentatively make a difference: up (better by 11." in found["verdict"]


def test_two_seeds_with_few_variants_make_no_claim(tmp_path: Path) -> None:
    found = analysed(tmp_path, 2, {"up": 0.12, "same": 0.0})
    assert set(verdicts(found).values()) == {"no_claim"}
    assert words(found)["up"] == "no claim: two seeds and fewer than four residual degrees of freedom"
    assert found["effects"][0]["p"] is None
    assert found["detectable"] is None
    size = 100 * found["effects"][0]["difference"]
    assert found["verdict"] == (
        "On validation accuracy, none of 2 changes is shown to make a difference; 2 have too few runs for a claim; "
        f"the largest measured difference is that of up (+{size:.1f} points)."
    )


def test_ten_seeds_say_whether_the_sign_flips_agree(tmp_path: Path) -> None:
    found = analysed(tmp_path, 10)
    assert words(found)["up"].endswith("points; the sign-flip check agrees")
    assert found["effects"][0]["flips_agree"] is True
    assert found["effects"][0]["sign_flip_p"] <= 0.05


def networks(folder: Path, wrong: int) -> dict[str, Any]:
    stored = store(folder, 1, {"up": 0.05, "same": 0.0})
    write_predictions(stored, "baseline", [0] * 300 + [1] * 60)
    write_predictions(stored, "up", [0] * 360)
    write_predictions(stored, "same", [1] * wrong + [0] * (300 - wrong) + [1] * (60 - wrong) + [0] * wrong)
    return reported(stored, folder)


@pytest.mark.slow
def test_one_seed_speaks_of_two_trained_networks_and_never_of_recipes(tmp_path: Path) -> None:
    found = networks(tmp_path, 5)
    assert words(found) == {
        "up": "Single seed: no claim about the recipe. These two trained networks differ (McNemar p < 0.001).",
        "same": "Single seed: no claim about the recipe. "
        "These two trained networks do not detectably differ (McNemar p = 1.00).",
    }
    assert set(verdicts(found).values()) == {"no_claim"}
    size = 100 * found["effects"][0]["difference"]
    assert found["verdict"] == (
        "A single seed allows no claim about any recipe. On validation accuracy, 1 of 2 trained networks differs "
        f"detectably from the baseline's; the largest measured difference is that of up (+{size:.1f} points)."
    )
    assert found["method"] == "exact McNemar test of two trained networks, Holm"
    assert all(effect["low"] is None and effect["p"] is None for effect in found["effects"])
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "applies to these trained networks only" in text


def test_one_seed_without_predictions_makes_no_claim_at_all(tmp_path: Path) -> None:
    found = analysed(tmp_path, 1)
    assert set(words(found).values()) == {"Single seed: no claim about the recipe."}
    assert found["verdict"].startswith("A single seed allows no claim about any recipe. On validation accuracy, the la")


def test_equivalence_needs_a_declared_margin(tmp_path: Path) -> None:
    assert verdicts(analysed(tmp_path / "without", 5))["same"] == "not_detected"
    found = analysed(tmp_path / "with", 5, analysis={"margin": 0.02})
    assert verdicts(found)["same"] == "equivalent"
    assert words(found)["same"] == "equivalent: within the declared margin of 2.0 points"
    assert "3 are equivalent to the baseline within the declared margin" in found["verdict"]
    assert found["margin"] == 0.02


def test_an_interval_that_leaves_the_margin_is_not_equivalent(tmp_path: Path) -> None:
    assert verdicts(analysed(tmp_path, 5, analysis={"margin": 0.002}))["same"] == "not_detected"


def test_a_detected_difference_within_the_margin_is_still_detected_and_says_so(tmp_path: Path) -> None:
    found = analysed(tmp_path, 5, analysis={"margin": 0.2})
    assert verdicts(found)["up"] == "better"
    assert words(found)["up"].endswith("points, yet within the margin of 20.0 points")


@pytest.mark.slow
def test_a_diverged_run_makes_its_variant_unstable_and_the_mean_conditional(tmp_path: Path) -> None:
    fates: dict[tuple[str, int], Fate] = {("up", 0): "diverged", ("up", 2): "diverged"}
    found = analysed(tmp_path, 3, fates=fates)
    assert (verdicts(found)["up"], words(found)["up"]) == ("unstable", "unstable: 2/3 diverged")
    assert found["effects"][0]["n"] == 1
    assert verdicts(found)["down"] == "worse"
    only = 100 * found["effects"][0]["difference"]
    assert f"1 is unstable: up (2/3 diverged, +{only:.1f} points in the others)" in found["verdict"]
    written = tmp_path / "again"
    reported(store(written, 3, fates=fates), written)
    assert "conditional: mean of the 1 of 3 that did not diverge" in (written / "report" / "report.md").read_text()


def test_runs_that_diverged_are_counted_among_those_that_ended(tmp_path: Path) -> None:
    found = reported(store(tmp_path, 4, fates={("up", 0): "diverged", ("up", 3): "missing"}), tmp_path)
    assert words(found)["up"] == "unstable: 1/3 diverged"
    text = (tmp_path / "report" / "report.md").read_text()
    assert "(conditional: mean of the 2 of 3 that did not diverge; 1 not finished yet)" in text
    assert "up: 1/3 diverged (seed 0)" in text


def test_a_run_at_chance_counts_as_diverged(tmp_path: Path) -> None:
    rows = exact(SHIFTS, 3) | {"up": [0.1, 0.85, 0.86]}
    found = analysed(tmp_path, 3, exact=rows)
    assert words(found)["up"] == "unstable: 1/3 at chance"
    assert found["effects"][0]["mean"] == pytest.approx(0.855)


def test_a_variant_with_an_outlying_spread_is_unstable(tmp_path: Path) -> None:
    rows = exact(SHIFTS, 5) | {"up": [0.5, 0.95, 0.6, 0.9, 0.7]}
    found = analysed(tmp_path, 5, exact=rows)
    assert verdicts(found)["up"] == "unstable"
    assert words(found)["up"].startswith("unstable: its spread over seeds (SD ")
    assert found["effects"][0]["method"] == "paired t, Bonferroni"


def test_a_crash_is_no_result_and_no_verdict(tmp_path: Path) -> None:
    found = analysed(tmp_path, 3, fates={("up", 0): "crashed"})
    assert verdicts(found)["up"] == "no_claim"
    assert words(found)["up"] == "no claim: an incomplete variant with fewer than three common seeds"
    assert found["verdict"].startswith("So far, on validation accuracy, ")


def test_where_lower_is_better_a_fall_is_an_improvement(tmp_path: Path) -> None:
    found = analysed(tmp_path, 3, analysis={"direction": "lower"})
    assert (verdicts(found)["up"], verdicts(found)["down"]) == ("worse", "better")


@pytest.mark.slow
def test_another_metric_has_its_own_unit(tmp_path: Path) -> None:
    stored = store(tmp_path, 3, analysis={"metric": "val_loss", "direction": "lower"})
    found = reported(stored, tmp_path)
    assert found["metric"] == "val_loss"
    assert not any("points" in said for said in words(found).values())
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "Validation loss" in page
    assert "Validation loss on " in page
    assert "Difference, paired by seed" in page


def test_alpha_is_the_study_s_own(tmp_path: Path) -> None:
    strict = analysed(tmp_path, 3, analysis={"alpha": 1e-12})
    assert strict["alpha"] == 1e-12
    assert set(verdicts(strict).values()) == {"not_detected"}


def test_the_verdict_of_the_study_names_what_matters_and_how_small_an_effect_it_could_see(tmp_path: Path) -> None:
    found = analysed(tmp_path, 3)
    up, down = (100 * found["effects"][place]["difference"] for place in (0, 1))
    assert found["verdict"] == (
        f"On validation accuracy, 2 of 5 changes make a difference: down (worse by {-down:.1f} points), up (better by "
        f"{up:.1f} points); 3 show no clear effect (a true difference of {100 * found['detectable']:.1f} points would "
        "be found in 80 % of such studies)."
    )


def test_without_any_effect_nothing_is_said_to_matter(tmp_path: Path) -> None:
    found = analysed(tmp_path, 3, {"same": 0.0, "alike": 0.001, "other": -0.001})
    assert found["verdict"].startswith(
        "On validation accuracy, none of 3 changes is shown to make a difference; 3 show no clear effect (a true "
    )
    assert "the largest measured difference is that of " in found["verdict"]


def test_the_largest_difference_is_named_even_if_no_clear_effect(tmp_path: Path) -> None:
    rows = exact({"same": 0.0, "alike": 0.02, "other": -0.001}, 3)
    rows["alike"] = [0.9, 0.8, 0.86]
    found = analysed(tmp_path, 3, {"same": 0.0, "alike": 0.02, "other": -0.001}, exact=rows)
    assert verdicts(found)["alike"] in ("not_detected", "unstable")
    assert "alike (" in found["verdict"]


def test_a_variant_at_chance_is_named_with_how_many_of_its_runs_are(tmp_path: Path) -> None:
    for seeds in (1, 3):
        rows = exact(SHIFTS, seeds) | {"up": [0.1] * seeds}
        found = analysed(tmp_path / str(seeds), seeds, exact=rows)
        assert f"1 is unstable: up ({seeds}/{seeds} at chance)" in found["verdict"]


def same_weights(stored: Stored, variant: str) -> None:
    for seed in stored.manifest.seeds:
        record = stored.store.run(stored.manifest.run_folder("baseline", seed)).record()
        assert record is not None
        amend(stored, variant, seed, weights_sha256=record.weights_sha256)


@pytest.mark.slow
def test_identical_weights_are_called_identical_and_are_not_tested(tmp_path: Path) -> None:
    rows = exact(SHIFTS, 3)
    stored = store(tmp_path, 3, exact=rows | {"same": rows["baseline"]})
    same_weights(stored, "same")
    found = reported(stored, tmp_path)
    same = found["effects"][2]
    assert (same["verdict"], same["difference"], same["low"], same["high"], same["p"]) == (
        "identical",
        0,
        None,
        None,
        None,
    )
    assert same["words"] == "identical: the same trained weights as the baseline under every seed"
    assert "1 is identical to the baseline: same" in found["verdict"]
    assert (found["design"]["comparisons"], found["design"]["k"]) == (4, 4)
    without = claims(store(tmp_path / "without", 3, {name: shift for name, shift in SHIFTS.items() if name != "same"}))
    assert without["design"]["k"] == 4
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "Not tested, and not in the family: same (identical weights)." in page


def test_an_interval_never_leaves_the_range_of_an_accuracy(tmp_path: Path) -> None:
    rows = exact(SHIFTS, 3) | {"up": [0.99, 0.12, 0.95]}
    found = analysed(tmp_path, 3, {"up": 0.0}, exact=rows, val_images=3600)
    (up,) = found["effects"]
    assert up["clipped"]
    assert up["low"] == -1.0
    assert up["high"] <= 1.0


def test_a_loss_has_no_range_to_cut_an_interval_at(tmp_path: Path) -> None:
    rows = exact(SHIFTS, 3) | {"up": [0.99, 0.12, 0.95]}
    measured = {"metric": "val_loss", "direction": "lower"}
    found = analysed(tmp_path, 3, {"up": 0.0}, exact=rows, analysis=measured)
    assert not found["effects"][0]["clipped"]


@pytest.mark.slow
def test_two_p_values_that_disagree_are_explained_in_one_sentence(tmp_path: Path) -> None:
    rows = exact(SHIFTS, 3) | {"up": [0.850, 0.889, 0.885]}
    found = reported(store(tmp_path, 3, exact=rows), tmp_path)
    up = found["effects"][0]
    assert up["p"] <= 0.05 < up["paired_p"]
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "For up the paired t test disagrees with the verdict, which pools the error over all variants" in page
    assert "All p-values: *Table 2*." in page


@pytest.mark.slow
def test_seeds_and_variants_dropped_after_a_look_are_marked(tmp_path: Path) -> None:
    stored = store(tmp_path, 5)
    stored = Stored(stored.store, replace(stored.manifest, dropped_seeds=(7,), dropped_variants=("gone",)))
    found = reported(stored, tmp_path)
    messages = [own["message"] for own in found["warnings"] if own["code"] == "dropped"]
    assert [text.partition(" dropped after")[0] for text in messages] == ["seed 7 was", "gone:"]
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "Seeds or variants dropped after results were seen" in page
    assert all(text in page for text in messages)


@pytest.mark.slow
def test_seeds_added_after_a_look_are_marked_and_the_bound_of_the_error_is_stated(tmp_path: Path) -> None:
    stored = store(tmp_path, 5)
    stored = Stored(stored.store, replace(stored.manifest, added_seeds=(3, 4), looks=2))
    found = reported(stored, tmp_path)
    assert (found["looks"], found["family_wise_bound"]) == (2, 0.1)
    (warning,) = [own for own in found["warnings"] if own["code"] == "added_seeds"]
    assert warning["message"] == (
        "seeds 3, 4 were added after results had been seen: with 2 looks at 0.05 each, the family-wise error is at "
        "most 0.1, not 0.05"
    )
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "2 seeds added later" in page
    assert "over 2 looks the family-wise error is at most 0.1 (union bound)" in page


def test_what_can_be_detected_is_that_of_the_design_in_the_unit_of_the_residual(tmp_path: Path) -> None:
    design = analysed(tmp_path, 5)["design"]
    assert (design["n"], design["k"], design["df"]) == (5, 5, 20)
    assert design["detectable_sds"] == pytest.approx(2.93, abs=0.05)
    assert design["detectable"] == pytest.approx(design["detectable_sds"] * design["residual_sd"])


def control(folder: Path, shift: float) -> dict[str, Any]:
    variants = [
        *(StoredVariant(name, {"model.dropout": 0.3 + n / 20}) for n, name in enumerate(ARMS)),
        StoredVariant("a/a", {}, kind="control"),
    ]
    rows = exact({**SHIFTS, "a/a": shift}, 3)
    return analysed(folder, 3, variants=variants, exact=rows)


def test_a_silent_control_is_told_and_is_no_change(tmp_path: Path) -> None:
    found = control(tmp_path, 0.0)
    assert "2 of 5 changes make a difference" in found["verdict"]
    assert found["verdict"].endswith(
        "the baseline against itself under other seeds, shows no difference, as it should."
    )


def test_a_control_that_differs_takes_the_verdicts_back(tmp_path: Path) -> None:
    found = control(tmp_path, 0.05)
    assert found["verdict"].endswith("differs: do not trust these verdicts.")
    assert "control_differs" in {warning["code"] for warning in found["warnings"]}


PAIR = [
    StoredVariant("a", {"model.dropout": 0.5}),
    StoredVariant("b", {"model.norm": "batch"}),
    StoredVariant("c", {"optimizer.lr": 0.1}),
    StoredVariant("a+b", {"model.dropout": 0.5, "model.norm": "batch"}, kind="combine"),
    StoredVariant("a+b+c", {"model.dropout": 0.5, "model.norm": "batch", "optimizer.lr": 0.1}, kind="combine"),
    StoredVariant("a+d", {"model.dropout": 0.5, "model.width": 2.0}, kind="combine"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("together", "detected"), [(0.12, True), (0.06, False)])
def test_two_changes_that_also_stand_alone_are_tested_for_interaction(
    tmp_path: Path, together: float, detected: bool
) -> None:
    shifts = {"a": 0.03, "b": 0.03, "c": 0.0, "a+b": together, "a+b+c": 0.06, "a+d": 0.0}
    stored = store(tmp_path, 3, shifts, variants=PAIR)
    found = reported(stored, tmp_path)
    (own,) = found["interactions"]
    assert (own["variant"], own["parts"], own["detected"]) == ("a+b", ["a", "b"], detected)
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    said = "a and b interact: together they gain more than" if detected else "that does not show that they add up"
    assert said in page


def sweep(folder: Path, accuracies: Sequence[float]) -> tuple[dict[str, Any], str]:
    levels = (0.0, 0.3, 0.4, 0.5)
    variants = [StoredVariant(f"d{level}", {"model.dropout": level}) for level in levels]
    shifts = {variant.name: accuracy - 0.8 for variant, accuracy in zip(variants, accuracies, strict=True)}
    found = reported(store(folder, 4, shifts, variants=variants), folder)
    return found, (folder / "report" / "report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_sweep_that_falls_says_by_how_much_over_its_range(tmp_path: Path) -> None:
    found, text = sweep(tmp_path, [0.86, 0.77, 0.74, 0.71])
    (trend,) = found["trends"]
    assert trend["levels"] == [0.0, 0.2, 0.3, 0.4, 0.5]
    assert trend["rise"]["estimate"] == pytest.approx(-0.15, abs=0.02)
    assert trend["rise"]["p"] < 0.001
    assert trend["page_p"] < 0.01
    assert "Dropout, from 0 to 0.5: validation accuracy falls (−1" in text
    assert "no curvature detected" in text


@pytest.mark.slow
def test_a_sweep_with_a_top_in_the_middle_is_curved(tmp_path: Path) -> None:
    found, text = sweep(tmp_path, [0.70, 0.80, 0.76, 0.70])
    assert found["trends"][0]["bow"]["estimate"] > 0.05
    assert "curved: halfway it is" in text


@pytest.mark.slow
def test_four_fractions_and_three_seeds_give_a_data_curve(tmp_path: Path) -> None:
    fractions = (0.1, 0.2, 0.4, 0.7)
    variants = [StoredVariant(f"f{f}", {"data.fraction": f}) for f in fractions]
    rows = {f"f{f}": [1 - (0.05 * f**-0.6 + 0.1) + x for x in (0.001, 0.0, -0.001)] for f in fractions}
    rows["baseline"] = [0.85 + x for x in (0.001, 0.0, -0.001)]
    found = reported(store(tmp_path, 3, {}, variants=variants, exact=rows), tmp_path)
    curve = found["data_curve"]
    assert curve["b"][0] == pytest.approx(0.6, abs=0.1)
    assert curve["c"][0] == pytest.approx(0.1, abs=0.02)
    assert curve["double"][1] < 1 - 0.85
    assert curve["miss"] < 0.005
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "exponent b = 0.6" in text
    assert "Twice the data would be expected to bring it to" in text


@pytest.mark.slow
def test_a_flat_data_curve_predicts_with_an_interval(tmp_path: Path) -> None:
    rows = {
        "f0.1": [0.85, 0.84, 0.86], "f0.2": [0.849, 0.851, 0.85], "f0.4": [0.848, 0.847, 0.85],
        "f0.7": [0.85, 0.852, 0.848], "baseline": [0.849, 0.85, 0.851],
    }  # fmt: skip
    variants = [StoredVariant(f"f{f}", {"data.fraction": f}) for f in (0.1, 0.2, 0.4, 0.7)]
    found = reported(store(tmp_path, 3, {}, variants=variants, exact=rows), tmp_path)
    value, low, high = found["data_curve"]["double"]
    assert value == pytest.approx(0.15, abs=0.001)
    assert 0.1 < low < value < high < 0.2


@pytest.mark.slow
def test_too_few_fractions_give_none_and_say_so(tmp_path: Path) -> None:
    variants = [StoredVariant("f0.1", {"data.fraction": 0.1}), StoredVariant("f0.5", {"data.fraction": 0.5})]
    found = reported(store(tmp_path, 3, {"f0.1": -0.1, "f0.5": -0.05}, variants=variants), tmp_path)
    assert found["data_curve"] is None
    assert "at least four fractions" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_optimism_of_choosing_is_printed(tmp_path: Path) -> None:
    found = reported(write_study(tmp_path / "results"), tmp_path)
    assert found["selection"]["of_epochs"] == 6
    assert 0 < found["selection"]["epochs"] < 0.02
    assert found["selection"]["of_variants"] == 5
    assert found["selection"]["winner"] >= 0
    assert "the best of 6 overstates its accuracy by up to about" in (tmp_path / "report" / "report.md").read_text()


@pytest.mark.slow
def test_analysis_json_holds_the_documented_keys_and_is_the_same_on_every_run(tmp_path: Path) -> None:
    stored = store(tmp_path, 3, fates={("same", 0): "diverged", ("other", 1): "missing"})
    first = write_report(stored.store, stored.manifest, tmp_path / "one").analysis.read_bytes()
    second = write_report(stored.store, stored.manifest, tmp_path / "two").analysis.read_bytes()
    assert first == second
    assert b"NaN" not in first
    found = json.loads(first)
    documented = Path(__file__).parent.parent.joinpath("docs", "analysis.md").read_text(encoding="utf-8")
    assert found["schema_version"] == 1
    for key in [*found, *found["effects"][0], *found["design"], *found["warnings"][0], *found["selection"]]:
        assert f"`{key}`" in documented, key


def test_an_unbegun_study_has_an_analysis(tmp_path: Path) -> None:
    found = analysed(tmp_path, 3, everywhere="missing")
    assert found["verdict"] == ""
    assert set(verdicts(found).values()) == {"no_claim"}


def test_the_analysis_is_a_frozen_value(tmp_path: Path) -> None:
    from ablation.analysis import describe

    stored = store(tmp_path, 3)
    analysis: Analysis = describe(load_results(stored.store, stored.manifest))
    with pytest.raises(AttributeError):
        analysis.headline = "all is better"  # type: ignore[misc]
