"""The sentences of a report: what the baseline and the metric are, and what each table and figure shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import ablation._util.counted as counted
import ablation.report.figures as figures
import ablation.report.intervals as intervals
from ablation._util.language import clauses, commas, sentences, shortened, tr, tr_noop
from ablation.analysis import Analysis, Effect, Measure, TestSet
from ablation.report.figures import Curves
from ablation.storage.manifest import Manifest

_AT_EPOCH = {
    "best": tr_noop("{metric} at the epoch with the highest validation accuracy of its run (the earliest on ties)"),
    "last": tr_noop("{metric} at the last epoch of its run"),
    "mixed": tr_noop("{metric} at the best or the last epoch of its run, as train.select of each variant says"),
}


def baseline(analysis: Analysis, manifest: Manifest) -> str:
    """The baseline in brackets, where its recipe is known."""
    recipe = manifest.baseline.recipe
    if not recipe:
        return ""
    if manifest.task:
        return tr(" ({trainer})", trainer=trainer(manifest.task))
    model, data = recipe["model"]["name"], recipe["data"]["name"]
    return tr(" ({model} on {data}, {budget})", model=model, data=data, budget=analysis.setup.budget)


def trainer(task: Mapping[str, Any]) -> str:
    """The function that trains the runs, or the command up to its first option: `python train.py`."""
    words = str(task[task["kind"]]).split()
    options = (number for number, word in enumerate(words) if word.startswith(("--", "{")))
    return " ".join(words[: next(options, len(words))])


def first_up(text: str) -> str:
    """A text with a capital at its start."""
    return text[:1].upper() + text[1:]


def seeds(numbers: Sequence[int]) -> str:
    """The seeds, as a range where they are one."""
    shown = [str(number) for number in numbers]
    if len(shown) > 3 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"{shown[0]}\u2013{shown[-1]}"
    return commas(shown if len(shown) <= 12 else [*shown[:2], "\u2026", shown[-1]])


def metric(analysis: Analysis) -> str:
    """Which metric a run reports, and of which epoch."""
    message = _AT_EPOCH.get(analysis.setup.select)
    return tr(message, metric=analysis.measure.name) if message else analysis.measure.name


def _images(analysis: Analysis) -> str:
    """How many images the metric is measured on, where that is known."""
    part = analysis.metric.partition("_")[0]
    if part == "val" and analysis.setup.val_images:
        return counted.validation_images(analysis.setup.val_images)
    return _test_images(analysis.test) if part == "test" and analysis.test else ""


def _test_images(test: TestSet) -> str:
    return counted.test_images(test.images)


def _quantity(analysis: Analysis) -> str:
    """The primary metric with its images and unit, as the start of a caption."""
    name, images = analysis.measure.name, _images(analysis)
    if images and analysis.measure.share:
        return first_up(tr("{metric} on {images}, %", metric=name, images=images))
    if images:
        return first_up(tr("{metric} on {images}", metric=name, images=images))
    return first_up(tr("{metric}, %", metric=name) if analysis.measure.share else name)


def _difference(analysis: Analysis) -> str:
    return tr("Difference in points") if analysis.measure.share else tr("Difference")


def table(analysis: Analysis) -> str:
    """Caption of the table of variants."""
    spread = tr("one seed") if analysis.design.networks else tr("mean \u00b1 SD over seeds")
    text = tr("{quantity}: {spread}.", quantity=_quantity(analysis), spread=spread)
    if analysis.design.networks:
        return sentences([text, tr("{difference} under the same seed.", difference=_difference(analysis))])
    if not any(effect.pairs for effect in analysis.variants):
        return text
    if not _tested(analysis):
        more = tr(
            "{difference}, paired by seed: dots are seeds, the bar is their mean.", difference=_difference(analysis)
        )
        return sentences([text, more])
    more = tr(
        "{difference}, paired by seed: dots are seeds, the bar is their mean, lines are {intervals}.",
        difference=_difference(analysis),
        intervals=intervals.family_intervals(analysis),
    )
    return sentences([text, more])


def paper_table(analysis: Analysis) -> str:
    """Caption of the table of the short paper, which has no plots."""
    over = tr("mean \u00b1 SD over {seeds}", seeds=counted.seeds(len(analysis.facts.seeds)))
    spread = tr("one seed") if analysis.design.networks else over
    text = tr("{quantity}: {spread}.", quantity=_quantity(analysis), spread=spread)
    if not analysis.variants:
        return text
    difference = _difference(analysis)
    if analysis.design.networks:
        more = tr("{difference} from the baseline under the same seed.", difference=difference)
    elif _tested(analysis):
        more = tr(
            "{difference} from the baseline, paired by seed, with {intervals}.",
            difference=difference,
            intervals=intervals.family_intervals(analysis),
        )
    else:
        more = tr("{difference} from the baseline, paired by seed.", difference=difference)
    return sentences([text, more])


def paper_forest(analysis: Analysis) -> str:
    """Caption of the figure of the short paper."""
    name = analysis.measure.name
    quantity = (
        tr("Differences from the baseline in {metric}, percentage points", metric=name)
        if analysis.measure.share
        else tr("Differences from the baseline in {metric}", metric=name)
    )
    if analysis.design.networks:
        marks = tr("dots are seeds")
    elif _tested(analysis):
        lines = intervals.family_intervals(analysis)
        marks = tr("dots are seeds, bars their means, lines {intervals}", intervals=lines)
    else:
        marks = tr("dots are seeds, bars their means")
    return tr("{quantity}: {marks}. Zero is the baseline.", quantity=quantity, marks=marks)


def _tested(analysis: Analysis) -> bool:
    return any(own.low is not None for own in analysis.variants)


def beside_the_table(analysis: Analysis, plotted: Sequence[Effect], outside: bool) -> str:
    """What else a reader of the table of variants must know.

    `plotted` are the variants whose interval is drawn; `outside`: one of them goes beyond the axis.
    """
    notes = []
    if any(effect.failed for effect in analysis.effects):
        notes.append(
            tr("Runs that diverged or ended at chance have no value: means here and below are over the others.")
        )
    if any(effect.pairs < effect.n for effect in analysis.variants):
        notes.append(tr("A number in brackets counts the pairs of a difference, where they are fewer than n."))
    if outside:
        notes.append(tr("An arrow marks a difference or an interval that goes beyond the axis."))
    if any(effect.verdict == "unstable" and effect.low is not None for effect in plotted):
        notes.append(tr("The interval of an unstable variant is dashed."))
    if any(effect.pairs > figures.MOST_DOTS for effect in plotted):
        notes.append(tr("Of more than {most} seeds, {most} are drawn, evenly by rank.", most=figures.MOST_DOTS))
    if len(plotted) < len(analysis.variants):
        notes.append(
            tr("Intervals are drawn of the {number} variants with the largest differences.", number=len(plotted))
        )
    return sentences(notes)


def disagreeing(analysis: Analysis) -> str:
    """The variants with p-values on opposite sides of alpha, pooled and on their own variance, and why these differ."""
    alpha = analysis.alpha
    pooled = [own for own in analysis.variants if own.method == "blocked Dunnett" and own.verdict != "unstable"]
    names = [
        own.variant
        for own in pooled
        if own.p is not None and own.paired_p is not None and (own.p <= alpha) != (own.paired_p <= alpha)
    ]
    if not names:
        return ""
    return tr(
        "For {variants} the paired t test disagrees with the verdict, which pools the error over all variants; paired "
        "t uses the variant's own variance alone, with fewer degrees of freedom.",
        variants=shortened(names, 4),
    )


def verdict_cell(effect: Effect) -> tuple[str, str]:
    """The verdict for the table, where the difference and its interval are beside it, and what else is said of it."""
    return effect.verdict_text.head, effect.verdict_text.note


def difference_curves(analysis: Analysis) -> str:
    """Caption of the curves of the difference."""
    name = first_up(analysis.measure.name)
    what = (
        tr("{metric} of each variant minus that of the baseline under the same seed.", metric=name)
        if analysis.design.networks
        else tr(
            "{metric} of each variant minus that of the baseline under the same seed: mean and range over seeds.",
            metric=name,
        )
    )
    return sentences([what, tr("Zero is the baseline.")])


def loss(cut: bool) -> str:
    """Caption of the loss curves; `cut` where some values lie above the scale."""
    what = tr("Mean cross-entropy of each variant (blue) and of the baseline (grey).")
    return sentences([what, tr(_MARKS), tr("Higher values are off the scale.") if cut else ""])


def accuracy() -> str:
    """Caption of the accuracy curves."""
    what = tr("Accuracy of each variant (blue) and of the baseline (grey).")
    return sentences([what, tr(_MARKS), tr("Dots: the epochs reported.")])


_MARKS = tr_noop(
    "Solid: validation, mean and range over seeds; dashed: training. Red: single runs that diverged (cross), ended at "
    "chance or are unfinished (dot)."
)


def learning_rate(shown: int, of: int) -> str:
    """Caption of the learning rates, of which there are `of` distinct ones."""
    if of == 1:
        return tr("The learning rate at each epoch, the same in every run that finished.")
    what = tr("Each distinct learning-rate schedule (blue) and that of the baseline (grey), each on its own scale.")
    first = tr("Shown: the first {shown} of {number}; epochs.csv has all.", shown=shown, number=of)
    return sentences([what, first if shown < of else ""])


def left_out(shown: int, of: int) -> str:
    """Which variants the curves show where they cannot show all; the sentence follows others."""
    return tr(
        " Shown: the {shown} of {number} variants that differ most; epochs.csv has all.", shown=shown - 1, number=of - 1
    )


def sweep(analysis: Analysis) -> str:
    """Caption of the sweeps."""
    used = sorted({analysis.effect(variant).n for sweep in analysis.sweeps for _, variant in sweep.levels} - {0})
    n = tr("{low} to {high}", low=used[0], high=used[-1]) if len(used) > 1 else str(used[0] if used else 0)
    what = tr(
        "{metric} against each swept hyperparameter. Rings: seeds (n = {n}); filled: their mean; grey: the baseline; "
        "cross: no run finished without diverging.",
        metric=first_up(analysis.measure.name),
        n=n,
    )
    return sentences([what, tr("Dashed: the fitted data curve.") if analysis.data_curve else ""])


def held_out(found: TestSet, measure: Measure) -> str:
    """Caption of the table of the test set."""
    images, times = _test_images(found), found.times
    spread = (
        tr("one seed")
        if all(own.n <= 1 for own in found.rows)
        else tr("mean \u00b1 SD over seeds, difference paired by seed")
    )
    text = (
        tr(
            "Test accuracy on {images}, evaluated once, on {date}, in %: {spread}.",
            images=images,
            date=times[0][:10],
            spread=spread,
        )
        if len(times) == 1
        else tr(
            "Test accuracy on {images}, evaluated {number} times, in %: {spread}.",
            images=images,
            number=len(times),
            spread=spread,
        )
    )
    if measure.column == "test_accuracy":
        return text
    return sentences([text, tr("The verdicts are based on {metric}.", metric=measure.name)])


def cost(analysis: Analysis) -> str:
    """Caption of the table of time and memory."""
    if not analysis.setup.recipe:
        return tr("Means over the finished seeds, as given in the tables.")
    training = tr("Seconds per epoch and images per second are of training alone.")
    return sentences(
        [
            tr("Means over the finished seeds on {devices}.", devices=commas(analysis.facts.devices)),
            training if analysis.setup.image else "",
            tr("Compare times only of runs trained side by side."),
        ]
    )


_CURVES = {
    figures.LOSS: tr_noop("Validation loss"),
    figures.ACCURACY: tr_noop("Validation accuracy"),
    figures.RATE: tr_noop("Learning rate"),
}


def describe_curve(chart: figures.Chart, own: Curves, digits: int) -> str:
    """The curve of a panel in words, for a reader who does not see it."""
    known = [(x, y) for x, y in zip(own.x, chart.scale * own.mean[chart.line], strict=True) if math.isfinite(y)]
    if not known and not len(own.x):
        return tr("No finished run of {variant} yet.", variant=own.variant)
    if not known:
        return tr("No {quantity} of {variant}.", quantity=chart.line, variant=own.variant)
    shape = {"difference": "+.3g", "share": f".{digits}f"}.get(chart.kind, ".3g")
    (start, first), (end, last) = known[0], known[-1]
    places = {"start": f"{start:.0f}", "first": f"{first:{shape}}", "end": f"{end:.0f}", "last": f"{last:{shape}}"}
    if chart.kind == "difference":
        return tr(
            "{difference} of {variant} from the baseline: {first} at {start}, {last} at {end}.",
            difference=first_up(tr(chart.axis)),
            variant=own.variant,
            **places,
        )
    name = tr(_CURVES[chart]) if chart in _CURVES else chart.line
    return tr(
        "{quantity} of {variant}: {first} at {start}, {last} at {end}.",
        quantity=tr("{quantity} in per cent", quantity=name) if chart.kind == "share" else name,
        variant=own.variant,
        **places,
    )


def describe_forest(effects: Sequence[Effect], measure: Measure) -> str:
    """The rows of a forest plot in words."""
    return clauses([_row(effect, measure) for effect in effects])


def _row(effect: Effect, measure: Measure) -> str:
    if not effect.pairs:
        return tr("{variant}: no difference measured", variant=effect.variant)
    said = {
        "variant": effect.variant,
        "difference": measure.difference(effect.difference) + measure.unit,
        "seeds": counted.seeds(effect.pairs),
        "verdict": figures.verdict_label(effect),
    }
    if effect.low is None or effect.high is None:
        return tr("{variant}: {difference} over {seeds}, {verdict}", **said)
    low, high = measure.difference(effect.low), measure.difference(effect.high)
    return tr("{variant}: {difference} over {seeds} (interval {low} to {high}), {verdict}", low=low, high=high, **said)
