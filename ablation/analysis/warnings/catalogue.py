"""The catalogue of warnings: for each code what the mistake is called, and what the reader can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ablation._util.language import tr, tr_noop
from ablation.analysis.types import StudyWarning


@dataclass(frozen=True)
class Entry:
    """A kind of warning: its title in the report, and what to do about it."""

    title: str
    hint: str


CATALOGUE = {
    "baseline_missing_runs": Entry(
        tr_noop("Runs of the baseline are missing"),
        tr_noop("Run the study again to train them: without the baseline a seed cannot be compared at all."),
    ),
    "missing_runs": Entry(
        tr_noop("Variants without all the seeds of the baseline"),
        tr_noop(
            "Run the study again: the same command trains what is missing. Until then these rows are based on fewer "
            "seeds."
        ),
    ),
    "few_seeds": Entry(
        tr_noop("Too few seeds"),
        tr_noop("Give the study at least three seeds; those that are trained already are kept."),
    ),
    "diverged": Entry(
        tr_noop("Diverged runs"),
        tr_noop(
            "Lower the learning rate, warm up longer or set train.clip_norm; or report the share of runs that diverge."
        ),
    ),
    "at_chance": Entry(
        tr_noop("Runs at chance level"),
        tr_noop(
            "Look at their loss curves. They count as diverged; a lower learning rate, another initialisation or a "
            "longer warm-up often helps."
        ),
    ),
    "at_ceiling": Entry(
        tr_noop("At the ceiling"),
        tr_noop(
            "There is little left to gain, so that changes look alike. Use a harder task, less data or a larger "
            "validation set."
        ),
    ),
    "undertrained": Entry(
        tr_noop("Undertrained"),
        tr_noop("Train for more epochs. Until the loss has levelled off, a difference may only be one of speed."),
    ),
    "no_effect": Entry(
        tr_noop("A change without any effect"),
        tr_noop(
            "Check that the option reaches the code that it is meant to change; a dropout on a layer that is not "
            "there, for example, does nothing."
        ),
    ),
    "metrics_from": Entry(
        tr_noop("Metrics from different places"),
        tr_noop(
            "Have every run write its metrics in the same way: two places may hold different quantities under one name."
        ),
    ),
    "unequal_budget": Entry(
        tr_noop("Unequal budget"),
        tr_noop(
            "The difference mixes the change with more or less training. Give all variants the same steps, or say so."
        ),
    ),
    "unequal_size": Entry(
        tr_noop("Unequal size"),
        tr_noop(
            "The difference mixes the change with a larger or smaller network. Match the size by model.width, or say "
            "so."
        ),
    ),
    "unequal_time": Entry(
        tr_noop("Unequal training time"),
        tr_noop("The runs had equal epochs but not equal time: at equal time the comparison may come out differently."),
    ),
    "undeclared_change": Entry(
        tr_noop("More changed than was declared"),
        tr_noop(
            "The difference cannot be put down to the declared change. Train these runs again from one study file."
        ),
    ),
    "runs_left_out": Entry(
        tr_noop("Runs that were left out, or did not finish"),
        tr_noop("Check that none was left out for its result. Run again what is missing, and say what was excluded."),
    ),
    "unequal_spread": Entry(
        tr_noop("Unequal spread"),
        tr_noop("The intervals allow for it, and are wider for it. More seeds make them narrower."),
    ),
    "baseline_spread": Entry(
        tr_noop("The baseline is unstable"),
        tr_noop("Give the study more seeds: the error of the baseline enters every comparison."),
    ),
    "control_differs": Entry(
        tr_noop("The A/A control differs from the baseline"),
        tr_noop(
            "The same recipe under other seeds should show no difference: give the study more seeds before you trust "
            "any verdict."
        ),
    ),
    "code_changed": Entry(
        tr_noop("Software changed in the middle of the study"),
        tr_noop("Train all runs with one version: delete the run folders of the others and run the study again."),
    ),
    "hardware_changed": Entry(
        tr_noop("Runs differ in platform, processor, device or threads"),
        tr_noop(
            "Runs are the same to the bit only on the same kind of device with as many threads. Train each seed of all "
            "variants on one machine."
        ),
    ),
    "data_changed": Entry(
        tr_noop("Several versions of the data"),
        tr_noop("Find out which one is meant, and train the runs of the other again."),
    ),
    "exploratory": Entry(
        tr_noop("Variants added after results were seen"),
        tr_noop("Read their verdicts as suggestions: confirm them in a new study, or under new seeds."),
    ),
    "added_seeds": Entry(
        tr_noop("Seeds added after results were seen"),
        tr_noop("Declare all seeds before the first run, or confirm the verdicts in a new study under new seeds."),
    ),
    "dropped": Entry(
        tr_noop("Seeds or variants dropped after results were seen"),
        tr_noop(
            "Put them back into the study: their runs are kept. A choice by results makes the verdicts unreliable."
        ),
    ),
    "changed_looks": Entry(
        tr_noop("Looks changed after results were seen"),
        tr_noop("Declare the looks before the first run, or confirm the verdicts in a new study under new seeds."),
    ),
    "test_evaluated_again": Entry(
        tr_noop("The test set was evaluated more than once"),
        tr_noop(
            "Report the first evaluation. What was chosen after it has used the test set: only new test images can "
            "evaluate it."
        ),
    ),
    "test_overlap": Entry(
        tr_noop("Test images that are training images"),
        tr_noop(
            "Take them out of test/ and evaluate again, or leave them out of your count: accuracy on them measures "
            "memory."
        ),
    ),
    "trained_after_test": Entry(
        tr_noop("Runs were trained after the test set was evaluated"),
        tr_noop("Their test accuracy may be biased: leave it out, or say so where you report it."),
    ),
    "changed_files": Entry(
        tr_noop("Stored test results were changed or removed"),
        tr_noop(
            "Restore the files from a copy. What is missing here counts as not evaluated; the record of who used the "
            "test set is kept as far as any file still has it."
        ),
    ),
    "not_reproducible": Entry(
        tr_noop("One seed does not give the same metrics twice"),
        tr_noop(
            "Pairs by seed are weaker than they look. Draw all that is random from the seed, or give the study more "
            "seeds."
        ),
    ),
    "audit_fault": Entry(
        tr_noop("Faults that the audit found"),
        tr_noop("Fix them, run the audit again, and train the runs with the corrected code."),
    ),
    "unstable_evaluation": Entry(
        tr_noop("Evaluation is not deterministic"),
        tr_noop(
            "The network is probably not in eval mode: dropout or batch statistics are at work while it is measured. "
            "Call model.eval() before measuring."
        ),
    ),
    "augmented_validation": Entry(
        tr_noop("Validation images were changed"),
        tr_noop("Augmentation belongs to the training images only: measure on the images as they are."),
    ),
    "leaked_normalisation": Entry(
        tr_noop("Normalisation has seen more than the training images"),
        tr_noop("Compute mean and deviation on the training split alone."),
    ),
    "mixed_settings": Entry(
        tr_noop("Runs were continued on other hardware or software"),
        tr_noop(
            "Such a run cannot be reproduced to the bit. Where that matters, delete its folder and train it again."
        ),
    ),
    "memory_nearly_full": Entry(
        tr_noop("The memory of a GPU was nearly full"),
        tr_noop("Training the run again may give other last bits. Use fewer workers on each GPU (--per-device)."),
    ),
    "duplicate_images": Entry(
        tr_noop("The same image in training and validation"),
        tr_noop("Remove the duplicates before splitting: accuracy on them measures memory."),
    ),
}
OTHER_CODE: Mapping[str, str] = {
    "diverged": tr_noop(
        "Lower the learning rate, warm up longer or clip gradients; or report the share of runs that diverge."
    ),
}
"""What to do instead where a function or a command trained the runs."""
ELSEWHERE: Mapping[str, str] = {
    "baseline_missing_runs": tr_noop("Add them to the table: without the baseline a seed cannot be compared at all."),
    "missing_runs": tr_noop("Add them to the table. Until then these rows are based on fewer seeds."),
    "few_seeds": tr_noop("Train each variant under at least three seeds."),
    "diverged": tr_noop("Find out why; or report the share of runs that diverge."),
    "undeclared_change": tr_noop(
        "The difference cannot be put down to the declared change. Run these again with equal settings, or declare "
        "what differs by --vary; --ignore names parameters that cannot matter."
    ),
    "unequal_size": tr_noop(
        "The difference mixes the change with a larger or smaller network. Match the sizes, or say so."
    ),
    "baseline_spread": tr_noop("Train more seeds: the error of the baseline enters every comparison."),
}
"""What to do instead where the runs are from elsewhere."""
_OTHER = Entry(tr_noop("Other findings of the self-checks"), tr_noop("Look into this before relying on the result."))


def entry(code: str) -> Entry:
    """The entry of a code in the current language; a general one for a code that the catalogue does not know."""
    found = CATALOGUE.get(code, _OTHER)
    return Entry(tr(found.title), tr(found.hint))


def warn(code: str, variant: str | None, message: str) -> StudyWarning:
    """A warning with the hint of its kind."""
    return StudyWarning(code, variant, message, entry(code).hint)
