"""The catalogue of mistakes: each one is made in a stored study, and the report must say so and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablation.analysis import Predicted, StudyWarning, describe
from ablation.analysis.warnings import CATALOGUE
from ablation.report import write_report
from ablation.results.predictions import read_predictions
from ablation.results.runs import Results, load_results
from ablation.storage.audit_file import Audit, Check, write_audit
from ablation.storage.record import EpochRow
from ablation.storage.test_set_log import Outcome, write_outcome
from tests.stored import (
    ARMS,
    BASELINE,
    Fate,
    Stored,
    StoredVariant,
    amend,
    amend_epochs,
    explore,
    with_metrics,
    write_predictions,
    write_study,
)


def predictions(stored: Stored, results: Results) -> dict[tuple[str, int], Predicted]:
    found = {}
    for run in results.records:
        folder = stored.store.run(stored.manifest.run_folder(*run))
        arrays = read_predictions(folder, "validation", "index", "label", "predicted")
        if arrays is not None:
            found[run] = Predicted(*arrays)
    return found


def warned(stored: Stored) -> list[StudyWarning]:
    results = load_results(stored.store, stored.manifest)
    return list(describe(results, predictions(stored, results)).warnings)


def the(code: str, stored: Stored) -> StudyWarning:
    (found,) = [own for own in warned(stored) if own.code == code]
    return found


def seen(stored: Stored, folder: Path, caution: StudyWarning) -> None:
    """The warning stands in both forms of the report, with what to do; a mark stands in the row of its variant."""
    written = write_report(stored.store, stored.manifest, folder / "report")
    html, text = written.html.read_text(encoding="utf-8"), written.markdown.read_text(encoding="utf-8")
    assert f'id="warning-{caution.code}"' in html
    assert CATALOGUE[caution.code].title in text
    assert caution.hint.split(",")[0].split("'")[0] in text.replace("\\", "")
    assert caution.message in written.analysis.read_text(encoding="utf-8").replace('\\"', '"')


def test_a_study_without_mistakes_has_no_warnings_and_says_what_was_checked(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    assert warned(stored) == []
    text = write_report(stored.store, stored.manifest, tmp_path / "report").html.read_text(encoding="utf-8")
    assert "None of the checks found anything" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fate", "why"),
    [("missing", "has not started"), ("interrupted", "was interrupted"), ("crashed", "crashed")],
)
def test_a_variant_without_all_seeds(tmp_path: Path, fate: Fate, why: str) -> None:
    stored = write_study(tmp_path, fates={("constant", 2): fate})
    found = the("missing_runs", stored)
    assert (found.variant, found.message) == ("constant", f"constant lacks 1 of 3 seeds: seed 2 {why}")
    seen(stored, tmp_path, found)


def test_a_baseline_without_all_seeds(tmp_path: Path) -> None:
    found = the("baseline_missing_runs", write_study(tmp_path, fates={("baseline", 1): "missing"}))
    assert found.message == "baseline lacks 1 of 3 seeds: seed 1 has not started"


@pytest.mark.parametrize(
    ("seeds", "words"),
    [(1, "one seed: nothing can be said about any recipe"), (2, "two seeds: every verdict is tentative")],
)
def test_too_few_seeds(tmp_path: Path, seeds: int, words: str) -> None:
    stored = write_study(tmp_path, seeds=range(seeds))
    assert the("few_seeds", stored).message == words
    seen(stored, tmp_path, the("few_seeds", stored))


def test_diverged_runs(tmp_path: Path) -> None:
    stored = write_study(tmp_path, fates={("dropout=0", 0): "diverged", ("dropout=0", 2): "diverged"})
    found = the("diverged", stored)
    assert found.message == "dropout=0: 2/3 diverged (seed 0, 2)"
    seen(stored, tmp_path, found)


def test_runs_at_chance(tmp_path: Path) -> None:
    stored = write_study(tmp_path, exact={"constant": [0.1, 0.9, 0.11]})
    found = the("at_chance", stored)
    assert found.message == "constant: 2/3 at chance (seed 0, 2): no better than guessing"
    seen(stored, tmp_path, found)


@pytest.mark.slow
def test_an_accuracy_at_the_ceiling(tmp_path: Path) -> None:
    stored = write_study(tmp_path, exact={"norm=batch": [0.997, 0.997, 0.997]})
    found = the("at_ceiling", stored)
    assert found.message == "norm=batch reaches 99.7 % validation accuracy: 1.1 errors a run on average"
    seen(stored, tmp_path, found)


@pytest.mark.slow
def test_an_undertrained_variant(tmp_path: Path) -> None:
    stored = write_study(tmp_path, exact={"constant": [0.85, 0.86, 0.87]})
    amend_epochs(stored, "constant", lambda row, of: with_metrics(row, val_loss=1.0 - 0.1 * row.epoch))
    amend(stored, "constant", best_epoch=6, selected_epoch=6)
    found = the("undertrained", stored)
    assert found.message == (
        "constant: in 3 of 3 runs the last epoch was the best and the validation loss was still falling"
    )
    seen(stored, tmp_path, found)


def test_a_last_epoch_that_is_the_best_but_whose_loss_has_levelled_off_is_no_sign(tmp_path: Path) -> None:
    stored = write_study(tmp_path, exact={"constant": [0.85, 0.86, 0.87]})
    amend_epochs(stored, "constant", lambda row, of: with_metrics(row, val_loss=0.5 - 1e-4 * row.epoch))
    amend(stored, "constant", best_epoch=6, selected_epoch=6)
    assert "undertrained" not in {own.code for own in warned(stored)}


@pytest.mark.slow
def test_a_change_that_leaves_the_weights_as_they_were(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    for seed in range(3):
        amend(stored, "baseline", seed, weights_sha256=f"{seed}" * 64)
        amend(stored, "dropout=0", seed, weights_sha256=f"{seed}" * 64)
    found = the("no_effect", stored)
    assert found.message == "dropout=0 has the same weights as the baseline in all 3 seeds"
    seen(stored, tmp_path, found)


def test_a_change_that_leaves_every_prediction_as_it_was(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    for variant in ("baseline", "dropout=0", "constant"):
        write_predictions(stored, variant, [0, 0, 1, 2])
    write_predictions(stored, "constant", [0, 1, 1, 2], seed=1)
    found = the("no_effect", stored)
    assert (
        found.message == "dropout=0 has the same prediction for every validation image as the baseline in all 3 seeds"
    )


def steps(factor: int) -> Any:
    def change(row: EpochRow, of: int) -> EpochRow:
        return replace(row, step=factor * row.step)

    return change


@pytest.mark.slow
def test_an_unequal_budget(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    amend_epochs(stored, "dropout=0", steps(2))
    found = the("unequal_budget", stored)
    assert found.message == "dropout=0: 2.0 times the steps (1,200 against 600)"
    seen(stored, tmp_path, found)
    assert "also 2.0 times the steps" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_budget_that_is_the_declared_change_comes_with_it_and_is_no_alarm(tmp_path: Path) -> None:
    variants = [*ARMS, StoredVariant("tenth", {"data.fraction": 0.1}), StoredVariant("short", {"train.epochs": 3})]
    stored = write_study(tmp_path, variants)
    assert warned(stored) == []
    text = write_report(stored.store, stored.manifest, tmp_path / "report").markdown.read_text(encoding="utf-8")
    assert "comes with 90 % fewer images seen" in text
    assert "comes with 50 % fewer epochs, 50 % fewer steps, 50 % fewer images seen" in text


@pytest.mark.slow
def test_an_unequal_size(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    amend(stored, "norm=batch", parameters=80_000, macs=416_520)
    found = the("unequal_size", stored)
    assert found.message == "norm=batch: 30 % more parameters (80.0 k against 61.7 k)"
    seen(stored, tmp_path, found)


@pytest.mark.slow
def test_a_size_that_is_the_declared_change_comes_with_it(tmp_path: Path) -> None:
    stored = write_study(tmp_path, [*ARMS, StoredVariant("wide", {"model.width": 2.0})])
    amend(stored, "wide", parameters=240_000, macs=1_600_000)
    assert warned(stored) == []
    text = write_report(stored.store, stored.manifest, tmp_path / "report").markdown.read_text(encoding="utf-8")
    assert "comes with 3.9 times the parameters, 3.8 times the MACs" in text


@pytest.mark.slow
def test_an_unequal_time_at_equal_size(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    amend_epochs(stored, "constant", lambda row, of: replace(row, seconds=3 * row.seconds))
    for variant in ("baseline", "constant"):
        amend(stored, variant, host="lab-1")
    found = the("unequal_time", stored)
    assert "times the time per epoch (" in found.message
    assert found.message.endswith(" in 3 pairs of runs trained side by side)")
    seen(stored, tmp_path, found)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"host": "lab-2"},
        {"started": "2026-03-02T09:00:00+00:00", "finished": "2026-03-02T10:00:00+00:00"},
        {"started": "2026-03-01T09:30:00+00:00", "finished": "2026-03-01T09:30:05+00:00"},
        {"resumed": 1},
        {"host": ""},
    ],
)
def test_times_are_not_compared_between_runs_that_were_not_trained_side_by_side(
    tmp_path: Path, elsewhere: dict[str, Any]
) -> None:
    stored = write_study(tmp_path)
    amend_epochs(stored, "constant", lambda row, of: replace(row, seconds=3 * row.seconds))
    amend(stored, "baseline", host="lab-1")
    amend(stored, "constant", **{"host": "lab-1", **elsewhere})
    assert "unequal_time" not in {own.code for own in describe(load_results(stored.store, stored.manifest)).warnings}


@pytest.mark.slow
def test_more_changed_than_was_declared(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    first, *others = stored.manifest.variants
    sneaky = {**others[0].recipe, "train": {**others[0].recipe["train"], "batch_size": 32}}
    variants = (first, replace(others[0], recipe=sneaky), *others[1:])
    stored = Stored(stored.store, replace(stored.manifest, variants=variants))
    found = the("undeclared_change", stored)
    assert found.message == "dropout=0 also differs from the baseline in train.batch_size"
    seen(stored, tmp_path, found)


def test_what_an_import_found_is_a_warning_of_its_kind(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    results = load_results(stored.store, stored.manifest)
    findings = (("runs_left_out", None, "failed: dropout=0, seed 1 (ab12)"),)
    (found,) = describe(replace(results, findings=findings)).warnings
    assert (found.code, found.message) == ("runs_left_out", "failed: dropout=0, seed 1 (ab12)")
    assert found.hint == CATALOGUE["runs_left_out"].hint


def spreads(baseline: float, variant: float) -> dict[str, list[float]]:
    shape = {0: (-1.0, 0.2, 0.8), 1: (0.7, -1.0, 0.3), 2: (0.1, 0.9, -1.0), 3: (-0.4, -0.6, 1.0), 4: (1.0, -0.5, -0.5)}
    sizes = {"baseline": baseline, "dropout=0": variant, "dropout=0.5": 0.002, "norm=batch": 0.002, "constant": 0.002}
    return {name: [0.8 + size * x for x in shape[place]] for place, (name, size) in enumerate(sizes.items())}


@pytest.mark.slow
def test_unequal_spread_among_few_seeds(tmp_path: Path) -> None:
    stored = write_study(tmp_path, exact=spreads(0.002, 0.0072))
    found = the("unequal_spread", stored)
    assert found.variant == "dropout=0"
    assert found.message == "unequal spread: dropout=0 has SD 0.6 points over 3 seeds, the others 0.2 points"
    seen(stored, tmp_path, found)


def test_unequal_spread_names_its_variant_beside_one_that_is_identical_to_the_baseline(tmp_path: Path) -> None:
    wide = spreads(0.002, 0.0072)
    wide["dropout=0"], wide["dropout=0.5"] = wide["baseline"], wide["dropout=0"]
    stored = write_study(tmp_path, exact=wide)
    for variant in ("baseline", "dropout=0"):
        for seed in range(3):
            amend(stored, variant, seed, weights_sha256=f"{seed}" * 64)
    found = the("unequal_spread", stored)
    assert found.message == "unequal spread: dropout=0.5 has SD 0.6 points over 3 seeds, the others 0.2 points"


@pytest.mark.slow
def test_a_baseline_whose_spread_is_an_outlier(tmp_path: Path) -> None:
    stored = write_study(tmp_path, exact=spreads(0.05, 0.002))
    found = the("baseline_spread", stored)
    assert found.message.startswith("the baseline's spread over seeds (SD ")
    seen(stored, tmp_path, found)
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "All variants fall back to paired t tests with Holm's adjustment" in text
    assert f"and the {len(stored.manifest.variants) - 1} comparisons are one family" in text
    assert "the only comparison" not in text


@pytest.mark.slow
def test_code_that_changed_in_the_middle(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    amend(stored, "constant", environment={"torch": "2.10.0", "python": "3.12.1"})
    found = the("code_changed", stored)
    assert found.message == (
        "Python 3.11.7, 3.12.1; PyTorch 2.10.0, 2.9.1; 3 of 12 pairs of a variant with the baseline mix them"
    )
    seen(stored, tmp_path, found)


def test_another_cudnn_is_a_change_of_code_but_not_one_that_was_not_recorded(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    amend(stored, "constant", environment={"cudnn": "9.10.2", "driver": "580.65"})
    assert "code_changed" not in [caution.code for caution in warned(stored)]
    amend(stored, "constant", 2, environment={"cudnn": "9.11.0", "driver": "580.65"})
    found = the("code_changed", stored)
    assert found.message.startswith("cuDNN 9.10.2, 9.11.0; ")


@pytest.mark.slow
def test_runs_from_several_machines_that_no_comparison_mixes(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    for variant in stored.manifest.variants:
        amend(stored, variant.name, 2, environment={"device": "cuda", "threads": 4})
    found = the("hardware_changed", stored)
    assert found.message == (
        "device cpu, cuda; threads 1, 4; the runs of each seed agree, so that no comparison mixes them"
    )
    seen(stored, tmp_path, found)


@pytest.mark.slow
def test_several_fingerprints_of_one_data_set(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    amend(stored, "constant", 1, data_fingerprint="ab" * 32)
    found = the("data_changed", stored)
    assert found.message == "digits was 2 different sets of images (fingerprints 5f0c5f0c5f0c, abababababab)"
    seen(stored, tmp_path, found)


@pytest.mark.slow
def test_a_variant_added_after_results_were_seen(tmp_path: Path) -> None:
    stored = explore(write_study(tmp_path), "norm=batch")
    found = the("exploratory", stored)
    assert found.message == "norm=batch was added after results were seen"
    seen(stored, tmp_path, found)
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert 'href="#warning-exploratory">exploratory</a>' in text


def opened(*times: str) -> tuple[Mapping[str, Any], ...]:
    return tuple({"time": time, "user": "me", "host": "here", "runs": [], "images": 360} for time in times)


def openings(stored: Stored, *times: str) -> dict[str, str]:
    results = replace(load_results(stored.store, stored.manifest), test_evaluations=opened(*times))
    return {own.code: own.message for own in describe(results).warnings}


def test_a_test_set_opened_again(tmp_path: Path) -> None:
    found = openings(write_study(tmp_path), "2026-04-02T10:00:00+00:00", "2026-04-01T10:00:00+00:00")
    assert found == {"test_evaluated_again": "the test set was evaluated 2 times (2026-04-01, 2026-04-02)"}


def test_runs_trained_after_the_test_set_was_opened(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    amend(stored, "constant", started="2026-04-03T10:00:00+00:00")
    found = openings(stored, "2026-04-02T10:00:00+00:00")
    assert found == {
        "trained_after_test": "3 runs (constant) began after the first evaluation on the test set (2026-04-02)"
    }


def test_a_test_set_that_is_shut_or_opened_once_at_the_end_is_no_mistake(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    assert openings(stored) == {}
    assert openings(stored, "2026-04-02T10:00:00+00:00") == {}


def test_a_record_of_the_test_set_that_was_removed(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    folder = stored.store.run(stored.manifest.run_folder("constant", 1))
    write_outcome(folder, Outcome(0.9, 0.5, 100, "test-v1", "2026-04-02T10:00:00+00:00", study=stored.manifest.folder))
    found = the("changed_files", stored)
    assert "lacks the evaluation on the test set of 2026-04-02T10:00:00+00:00; it is restored" in found.message
    seen(stored, tmp_path, found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "unstable_evaluation",
        "augmented_validation",
        "leaked_normalisation",
        "duplicate_images",
        "mixed_settings",
        "memory_nearly_full",
    ],
)
def test_what_a_run_noticed_about_itself(tmp_path: Path, code: str) -> None:
    stored = write_study(tmp_path)
    amend(stored, "constant", 1, checks={code: "this was seen"})
    found = the(code, stored)
    assert (found.variant, found.message) == ("constant", "constant: this was seen (1 of 3 runs)")
    seen(stored, tmp_path, found)


@pytest.mark.slow
def test_metrics_of_one_command_that_come_from_two_places(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    for seed in (0, 1):
        amend(stored, "constant", seed, checks={"metrics_from": "metrics.csv"})
    assert warned(stored) == []
    amend(stored, "baseline", 1, checks={"metrics_from": "standard output"})
    found = the("metrics_from", stored)
    assert found.message == "metrics were read from metrics.csv (2 runs), standard output (1 run)"
    seen(stored, tmp_path, found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "check"), [("not_reproducible", "reproducible"), ("audit_fault", "seed")], ids=["not reproducible", "seed"]
)
def test_what_an_audit_of_the_same_code_found(tmp_path: Path, code: str, check: str) -> None:
    stored = write_study(tmp_path)
    first = stored.manifest.run_folder(stored.manifest.baseline.name, 0)
    audit = Audit("2026-04-01T10:00:00+00:00", first, True, 5, (Check(check, "fault", "this was seen"),))
    write_audit(stored.store, stored.manifest.folder, audit)
    found = the(code, stored)
    assert (found.variant, found.message) == (None, "this was seen")
    seen(stored, tmp_path, found)
    write_audit(stored.store, stored.manifest.folder, replace(audit, run=f"{first}-of-other-code"))
    assert warned(stored) == []


def test_what_every_run_noticed_is_told_once(tmp_path: Path) -> None:
    stored = write_study(tmp_path)
    for variant in stored.manifest.variants:
        amend(stored, variant.name, checks={"duplicate_images": "7 of 360 validation images are also trained on"})
    found = the("duplicate_images", stored)
    assert found.variant is None
    assert found.message == "7 of 360 validation images are also trained on (15 of 15 runs)"


def test_every_warning_has_a_title_something_to_do_and_a_test() -> None:
    pages = ("test_warnings.py", "test_verdicts.py", "test_duplicates.py", "test_sequential.py")
    own = "".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in pages)
    documented = Path(__file__).parent.parent.joinpath("docs", "analysis.md").read_text(encoding="utf-8")
    for code, entry in CATALOGUE.items():
        assert entry.title
        assert entry.hint.endswith(".")
        assert f'"{code}"' in own, code
        assert f"`{code}`" in documented, code


def test_a_budget_in_steps_counts_images_by_the_batch(tmp_path: Path) -> None:
    recipe = BASELINE | {"train": {"steps": 1500, "eval_every": 300, "batch_size": 64}}
    stored = write_study(tmp_path, [*ARMS, StoredVariant("batch", {"train.batch_size": 32})], baseline=recipe)
    effect = describe(load_results(stored.store, stored.manifest)).effect("batch")
    (images,) = effect.confounds
    assert (images.quantity, images.own, images.baseline) == ("images seen", 48_000, 96_000)
    assert images.declared
