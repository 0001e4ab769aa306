"""The catalogue of warnings: for each code what the mistake is called, and what the reader can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ablation.analysis.types import StudyWarning


@dataclass(frozen=True)
class Entry:
    """A kind of warning: its title in the report, and what to do about it."""

    title: str
    hint: str


CATALOGUE = {
    "baseline_missing_runs": Entry(
        "Runs of the baseline are missing",
        "Run the study again to train them: without the baseline a seed cannot be compared at all.",
    ),
    "missing_runs": Entry(
        "Variants without all the seeds of the baseline",
        "Run the study again: the same command trains what is missing. Until then these rows are based on fewer seeds.",
    ),
    "few_seeds": Entry(
        "Too few seeds",
        "Give the study at least three seeds; those that are trained already are kept.",
    ),
    "diverged": Entry(
        "Diverged runs",
        "Lower the learning rate, warm up longer or set train.clip_norm; or report the share of runs that diverge.",
    ),
    "at_chance": Entry(
        "Runs at chance level",
        "Look at their loss curves. They count as diverged; a lower learning rate, another initialisation or a longer "
        "warm-up often helps.",
    ),
    "at_ceiling": Entry(
        "At the ceiling",
        "There is little left to gain, so that changes look alike. Use a harder task, less data or a larger "
        "validation set.",
    ),
    "undertrained": Entry(
        "Undertrained",
        "Train for more epochs. Until the loss has levelled off, a difference may only be one of speed.",
    ),
    "no_effect": Entry(
        "A change without any effect",
        "Check that the option reaches the code that it is meant to change; a dropout on a layer that is not there, "
        "for example, does nothing.",
    ),
    "metrics_from": Entry(
        "Metrics from different places",
        "Have every run write its metrics in the same way: two places may hold different quantities under one name.",
    ),
    "unequal_budget": Entry(
        "Unequal budget",
        "The difference mixes the change with more or less training. Give all variants the same steps, or say so.",
    ),
    "unequal_size": Entry(
        "Unequal size",
        "The difference mixes the change with a larger or smaller network. Match the size by model.width, or say so.",
    ),
    "unequal_time": Entry(
        "Unequal training time",
        "The runs had equal epochs but not equal time: at equal time the comparison may come out differently.",
    ),
    "undeclared_change": Entry(
        "More changed than was declared",
        "The difference cannot be put down to the declared change. Train these runs again from one study file.",
    ),
    "runs_left_out": Entry(
        "Runs that were left out, or did not finish",
        "Check that none was left out for its result. Run again what is missing, and say what was excluded.",
    ),
    "unequal_spread": Entry(
        "Unequal spread",
        "With five seeds or fewer a pooled error can claim too much here. Trust the paired t column, or add seeds.",
    ),
    "baseline_spread": Entry(
        "The baseline is unstable",
        "Give the study more seeds: the error of the baseline enters every comparison.",
    ),
    "control_differs": Entry(
        "The A/A control differs from the baseline",
        "The same recipe under other seeds should show no difference: give the study more seeds before you trust any "
        "verdict.",
    ),
    "code_changed": Entry(
        "Software changed in the middle of the study",
        "Train all runs with one version: delete the run folders of the others and run the study again.",
    ),
    "hardware_changed": Entry(
        "Runs differ in platform, processor, device or threads",
        "Runs are the same to the bit only on the same kind of device with as many threads. Train each seed of all "
        "variants on one machine.",
    ),
    "data_changed": Entry(
        "Several versions of the data",
        "Find out which one is meant, and train the runs of the other again.",
    ),
    "exploratory": Entry(
        "Variants added after results were seen",
        "Read their verdicts as suggestions: confirm them in a new study, or under new seeds.",
    ),
    "added_seeds": Entry(
        "Seeds added after results were seen",
        "Declare all seeds before the first run, or confirm the verdicts in a new study under new seeds.",
    ),
    "test_evaluated_again": Entry(
        "The test set was evaluated more than once",
        "Report the first evaluation. What was chosen after it has used the test set: only new test images can "
        "evaluate it.",
    ),
    "test_overlap": Entry(
        "Test images that are training images",
        "Take them out of test/ and evaluate again, or leave them out of your count: accuracy on them measures memory.",
    ),
    "trained_after_test": Entry(
        "Runs were trained after the test set was evaluated",
        "Their test accuracy may be biased: leave it out, or say so where you report it.",
    ),
    "changed_files": Entry(
        "Stored test results were changed or removed",
        "Restore the files from a copy. What is missing here counts as not evaluated; the record of who used the test "
        "set is kept as far as any file still has it.",
    ),
    "not_reproducible": Entry(
        "One seed does not give the same metrics twice",
        "Pairs by seed are weaker than they look. Draw all that is random from the seed, or give the study more seeds.",
    ),
    "audit_fault": Entry(
        "Faults that the audit found",
        "Fix them, run the audit again, and train the runs with the corrected code.",
    ),
    "unstable_evaluation": Entry(
        "Evaluation is not deterministic",
        "The network is probably not in eval mode: dropout or batch statistics are at work while it is measured. Call "
        "model.eval() before measuring.",
    ),
    "augmented_validation": Entry(
        "Validation images were changed",
        "Augmentation belongs to the training images only: measure on the images as they are.",
    ),
    "leaked_normalisation": Entry(
        "Normalisation has seen more than the training images",
        "Compute mean and deviation on the training split alone.",
    ),
    "mixed_settings": Entry(
        "Runs were continued on other hardware or software",
        "Such a run cannot be reproduced to the bit. Where that matters, delete its folder and train it again.",
    ),
    "memory_nearly_full": Entry(
        "The memory of a GPU was nearly full",
        "Training the run again may give other last bits. Use fewer workers on each GPU (--per-device).",
    ),
    "duplicate_images": Entry(
        "The same image in training and validation",
        "Remove the duplicates before splitting: accuracy on them measures memory.",
    ),
}
OTHER_CODE: Mapping[str, str] = {
    "diverged": "Lower the learning rate, warm up longer or clip gradients; or report the share of runs that diverge.",
}
"""What to do instead where a function or a command trained the runs."""
ELSEWHERE: Mapping[str, str] = {
    "baseline_missing_runs": "Add them to the table: without the baseline a seed cannot be compared at all.",
    "missing_runs": "Add them to the table. Until then these rows are based on fewer seeds.",
    "few_seeds": "Train each variant under at least three seeds.",
    "diverged": "Find out why; or report the share of runs that diverge.",
    "undeclared_change": "The difference cannot be put down to the declared change. Run these again with equal "
    "settings, or declare what differs by --vary; --ignore names parameters that cannot matter.",
    "unequal_size": "The difference mixes the change with a larger or smaller network. Match the sizes, or say so.",
    "baseline_spread": "Train more seeds: the error of the baseline enters every comparison.",
}
"""What to do instead where the runs are from elsewhere."""
_OTHER = Entry("Other findings of the self-checks", "Look into this before relying on the result.")


def entry(code: str) -> Entry:
    """The entry of a code; a general one for a code that the catalogue does not know."""
    return CATALOGUE.get(code, _OTHER)


def warn(code: str, variant: str | None, message: str) -> StudyWarning:
    """A warning with the hint of its kind."""
    return StudyWarning(code, variant, message, entry(code).hint)
