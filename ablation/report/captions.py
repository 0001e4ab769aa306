"""The sentences of a report: what was run, what state it is in, and what each figure shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import ablation.report.figures as figures
import ablation.report.intervals as intervals
from ablation._util.formatting import plural
from ablation.analysis import Analysis, Effect, Facts, Measure, TestSet
from ablation.report.figures import Curves
from ablation.storage.manifest import Manifest

_MOST_LISTED = 12
_EPOCHS = {
    "best": "the epoch with the highest validation accuracy of its run (the earliest on ties)",
    "last": "the last epoch of its run",
    "mixed": "the best or the last epoch of its run, as train.select of each variant says",
}


def summary(analysis: Analysis, manifest: Manifest) -> str:
    """What was run and what state it is in, in one sentence."""
    base = baseline(analysis, manifest)
    seeds = plural(len(manifest.seeds), "seed")
    changes = [effect for effect in analysis.variants if effect.kind != "control"]
    number = plural(len(changes), "variant")
    if not manifest.baseline.recipe:
        what = f"{number} against the baseline under {seeds}"
    elif not analysis.variants:
        what = f"The baseline alone{base} is trained under {seeds}"
    elif not changes:
        what = f"The baseline{base} against itself (A/A control), under {seeds}"
    else:
        controls = len(analysis.variants) - len(changes)
        controlled = f", and {plural(controls, 'A/A control')}" if controls else ""
        what = f"{number}, {_how(changes)}{base}{controlled}, under {seeds}"
    return f"{what}: {state(analysis.facts) if manifest.baseline.recipe else found(analysis.facts)}."


def _how(changes: Sequence[Effect]) -> str:
    """In how much the variants differ from the baseline."""
    combined = sum(effect.kind == "combine" for effect in changes)
    if not combined:
        return "one change away from the baseline" if len(changes) == 1 else "each one change away from the baseline"
    several = "several changes together, against the baseline"
    return f"with {several}" if len(changes) == 1 else f"{combined} with {several}"


def baseline(analysis: Analysis, manifest: Manifest) -> str:
    """The baseline in brackets, where its recipe is known."""
    recipe = manifest.baseline.recipe
    if not recipe:
        return ""
    if manifest.task:
        return f" ({trainer(manifest.task)})"
    return f" ({recipe['model']['name']} on {recipe['data']['name']}, {analysis.setup.budget})"


def trainer(task: Mapping[str, Any]) -> str:
    """The function that trains the runs, or the command up to its first option: `python train.py`."""
    words = str(task[task["kind"]]).split()
    options = (number for number, word in enumerate(words) if word.startswith(("--", "{")))
    return " ".join(words[: next(options, len(words))])


def first_up(text: str) -> str:
    """A text with a capital at its start."""
    return text[:1].upper() + text[1:]


def state(facts: Facts) -> str:
    """How far the study is."""
    lost = f", {facts.diverged} of them diverged" if facts.diverged else ""
    if not facts.done:
        return f"none of the {plural(facts.runs, 'run')} has finished yet"
    if not facts.open:
        return f"all {plural(facts.runs, 'run')} done{lost}" if lost else f"all {plural(facts.runs, 'run')} finished"
    return f"{facts.done:,} of {plural(facts.runs, 'run')} done so far{lost}"


def found(facts: Facts) -> str:
    """What a table from elsewhere has."""
    counts = ((facts.diverged, "diverged"), (facts.crashed, "crashed"))
    lost = "".join(f", {number:,} {what}" for number, what in counts if number)
    rest = facts.interrupted + facts.missing
    return (
        f"{facts.finished:,} of {plural(facts.runs, 'run')} have a value{lost}"
        if rest or lost
        else (f"{plural(facts.runs, 'run')}")
    )


def not_in_table(facts: Facts) -> str:
    """What is missing in a table from elsewhere."""
    counts = ((facts.missing, "without a value"), (facts.interrupted, "interrupted"), (facts.crashed, "crashed"))
    listing = ", ".join(f"{number:,} {what}" for number, what in counts if number)
    return f"Of {plural(facts.runs, 'run')}: {listing}. The results below are based on the other {facts.done:,}."


def still_open(facts: Facts) -> str:
    """What is missing of an unfinished study."""
    counts = (
        (facts.missing, "not started"),
        (facts.interrupted, "interrupted"),
        (facts.crashed, "crashed"),
        (facts.damaged, "damaged"),
    )
    listing = ", ".join(f"{number:,} {what}" for number, what in counts if number)
    rest = (
        "Nothing has been measured yet."
        if not facts.done
        else f"The results below are based on the {facts.done:,} that are done."
    )
    return f"{facts.open:,} of {plural(facts.runs, 'run')} still to do: {listing}. {rest}"


def not_started(analysis: Analysis) -> str:
    """The runs that have not begun, variant by variant where they are few."""
    waiting: dict[str, list[str]] = {}
    for run in analysis.problem_runs:
        if run.status == "missing":
            waiting.setdefault(run.variant, []).append(str(run.seed))
    if not waiting:
        return ""
    number = plural(analysis.facts.missing, "run")
    what = "Not started yet" if analysis.setup.recipe else "Without a value"
    if len(waiting) > _MOST_LISTED or analysis.facts.missing == analysis.facts.runs:
        return f"{what}: {number}; the table of variants says how many of each."
    each = "; ".join(f"{name} (seed {', '.join(numbers)})" for name, numbers in waiting.items())
    return f"{what}: {number}: {each}."


def seeds(numbers: Sequence[int]) -> str:
    """The seeds, as a range where they are one."""
    if len(numbers) > 3 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}\u2013{numbers[-1]}"
    return ", ".join(map(str, numbers)) if len(numbers) <= 12 else f"{numbers[0]}, {numbers[1]}, \u2026, {numbers[-1]}"


def metric(analysis: Analysis) -> str:
    """Which metric a run reports, and of which epoch."""
    epoch = _EPOCHS.get(analysis.setup.select)
    return f"{analysis.measure.name} at {epoch}" if epoch else analysis.measure.name


def images(analysis: Analysis) -> str:
    """How many images the metric is measured on, where that is known."""
    part = analysis.metric.partition("_")[0]
    if part == "val" and analysis.setup.val_images:
        return f" on {plural(analysis.setup.val_images, 'validation image')}"
    if part == "test" and analysis.test:
        return f" on {plural(analysis.test.images, 'test image')}"
    return ""


def table(analysis: Analysis) -> str:
    """Caption of the table of variants."""
    measure = analysis.measure
    unit = ", %" if measure.share else ""
    spread = "one seed" if analysis.design.networks else "mean \u00b1 SD over seeds"
    text = f"{first_up(measure.name)}{images(analysis)}{unit}: {spread}."
    points = " in points" if measure.share else ""
    if analysis.design.networks:
        text += f" Difference{points} under the same seed."
    elif any(effect.pairs for effect in analysis.variants):
        text += f" Difference{points}, paired by seed: dots are seeds, the bar is their mean"
        text += f", {_lines(analysis)}." if _tested(analysis) else "."
    return text


def paper_table(analysis: Analysis) -> str:
    """Caption of the table of the short paper, which has no plots."""
    measure = analysis.measure
    unit = ", %" if measure.share else ""
    seeds = plural(len(analysis.facts.seeds), "seed")
    spread = "one seed" if analysis.design.networks else f"mean \u00b1 SD over {seeds}"
    points = " in points" if measure.share else ""
    text = f"{first_up(measure.name)}{images(analysis)}{unit}: {spread}."
    if not analysis.variants:
        return text
    text += f" Difference{points} from the baseline"
    if analysis.design.networks:
        return f"{text} under the same seed."
    return f"{text}, paired by seed" + (f", with {_plain_lines(analysis)}." if _tested(analysis) else ".")


def paper_forest(analysis: Analysis) -> str:
    """Caption of the figure of the short paper."""
    unit = ", percentage points" if analysis.measure.share else ""
    one = analysis.design.networks
    marks = "dots are seeds" if one else "dots are seeds, bars their means"
    marks += f", lines {_plain_lines(analysis)}" if _tested(analysis) and not one else ""
    return f"Differences from the baseline in {analysis.measure.name}{unit}: {marks}. Zero is the baseline."


def _tested(analysis: Analysis) -> bool:
    return any(own.low is not None for own in analysis.variants)


def _plain_lines(analysis: Analysis) -> str:
    return _lines(analysis).removeprefix("lines are ")


def beside_the_table(analysis: Analysis, plotted: Sequence[Effect], outside: int) -> str:
    """What else a reader of the table of variants must know.

    `plotted` are the variants whose interval is drawn, of which `outside` lie beyond the axis.
    """
    notes = []
    if any(effect.failed for effect in analysis.effects):
        notes.append("Runs that diverged or ended at chance have no value: means here and below are over the others.")
    if any(effect.pairs < effect.n for effect in analysis.variants):
        notes.append("A number in brackets counts the pairs of a difference, where they are fewer than n.")
    if outside:
        notes.append("An arrow marks a difference beyond the axis.")
    if any(effect.verdict == "unstable" and effect.low is not None for effect in plotted):
        notes.append("The interval of an unstable variant is dashed.")
    if any(effect.pairs > figures.MOST_DOTS for effect in plotted):
        notes.append(f"Of more than {figures.MOST_DOTS} seeds, {figures.MOST_DOTS} are drawn, evenly by rank.")
    if len(plotted) < len(analysis.variants):
        notes.append(f"Intervals are drawn of the {len(plotted)} variants with the largest differences.")
    return " ".join(notes)


def _lines(analysis: Analysis) -> str:
    """What the lines of the interval plots are; the methods name the variants with another one."""
    caption = intervals.interval_caption(analysis).removesuffix(".").partition(";")[0]
    return f"lines are {caption}" if caption.startswith("simultaneous") else caption[:1].lower() + caption[1:]


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
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return (
        f"For {shown} the paired t test disagrees with the verdict, which pools the error over all variants; paired t "
        "uses the variant's own variance alone, with fewer degrees of freedom."
    )


def verdict_cell(effect: Effect) -> tuple[str, str]:
    """The verdict for the table, where the difference and its interval are beside it, and what else is said of it."""
    return effect.said.head, effect.said.note


def state_of(effect: Effect, trained_here: bool = True) -> str:
    """What a reader must know of the n of a variant, or nothing where all its seeds finished."""
    planned = len(effect.runs)
    parts = []
    if effect.failed:
        what = "finished" if not effect.at_chance else "were above chance"
        parts.append(f"conditional: mean of the {effect.n} of {planned} that {what}" if effect.n else _failed(effect))
    if effect.crashed:
        parts.append(f"{effect.crashed} crashed")
    if effect.unfinished:
        what = "not finished yet" if trained_here else "without a value"
        parts.append(what if effect.unfinished == planned else f"{effect.unfinished} {what}")
    return "; ".join(parts)


def _failed(effect: Effect) -> str:
    planned = len(effect.runs)
    counts = ((effect.diverged, "diverged"), (effect.at_chance, "at chance"))
    return ", ".join(f"{number} of {planned} {what}" for number, what in counts if number)


def difference_curves(analysis: Analysis) -> str:
    """Caption of the curves of the difference."""
    over = "" if analysis.design.networks else ": mean and range over seeds"
    return (
        f"{first_up(analysis.measure.name)} of each variant minus that of the baseline under the same seed{over}. "
        "The line at zero is the baseline."
    )


def loss(cut: bool) -> str:
    """Caption of the loss curves; `cut` where some values lie above the scale."""
    text = f"Mean cross-entropy of each variant (blue) and of the baseline (grey). {_MARKS}"
    return text + (" Higher values are off the scale." if cut else "")


def accuracy() -> str:
    """Caption of the accuracy curves."""
    return f"Accuracy of each variant (blue) and of the baseline (grey). {_MARKS} Dots: the epochs reported."


_MARKS = (
    "Solid: validation, mean and range over seeds; dashed: training. Red: single runs that diverged (cross), ended at "
    "chance or are unfinished (dot)."
)


def learning_rate(shown: int, of: int) -> str:
    """Caption of the learning rates, of which there are `of` distinct ones."""
    if of == 1:
        return "The learning rate at each epoch, the same in every run that finished."
    text = "Each distinct learning-rate schedule (blue) and that of the baseline (grey), each on its own scale."
    return text + (f" Shown: the first {shown} of {of}; epochs.csv has all." if shown < of else "")


def left_out(shown: int, of: int) -> str:
    """Which variants the curves show where they cannot show all."""
    return f" Shown: the {shown - 1} of {of - 1} variants that differ most; epochs.csv has all."


def sweep(analysis: Analysis) -> str:
    """Caption of the sweeps."""
    seeds_used = sorted({analysis.effect(variant).n for sweep in analysis.sweeps for _, variant in sweep.levels} - {0})
    n = f"{seeds_used[0]} to {seeds_used[-1]}" if len(seeds_used) > 1 else "".join(map(str, seeds_used)) or "0"
    law = " Dashed: the fitted data curve." if analysis.data_curve else ""
    return (
        f"{first_up(analysis.measure.name)} against each swept hyperparameter. Rings: seeds (n = {n}); filled: their "
        f"mean; grey: the baseline; cross: no run finished without diverging.{law}"
    )


def held_out(found: TestSet, measure: Measure) -> str:
    """Caption of the table of the test set."""
    when = f"once, on {found.times[0][:10]}" if len(found.times) == 1 else f"{len(found.times)} times"
    one = all(own.n <= 1 for own in found.rows)
    spread = "one seed" if one else "mean \u00b1 SD over seeds, difference paired by seed"
    text = f"Test accuracy on {plural(found.images, 'test image')}, evaluated {when}, in %: {spread}."
    if measure.column == "test_accuracy":
        return text
    return f"{text} The verdicts are based on {measure.name}."


def cost(analysis: Analysis) -> str:
    """Caption of the table of time and memory."""
    if not analysis.setup.recipe:
        return "Means over the finished seeds, as given in the tables."
    if not analysis.setup.image:
        return (
            f"Means over the finished seeds on {', '.join(analysis.facts.devices)}. Compare times only of runs trained "
            "side by side."
        )
    return (
        f"Means over the finished seeds on {', '.join(analysis.facts.devices)}. Seconds per epoch and images per "
        "second are of training alone. Compare times only of runs trained side by side."
    )


def describe_curve(chart: figures.Chart, own: Curves, digits: int) -> str:
    """The curve of a panel in words, for a reader who does not see it."""
    known = [(x, y) for x, y in zip(own.x, chart.scale * own.mean[chart.line], strict=True) if math.isfinite(y)]
    if not known:
        return f"No finished run of {own.variant} yet." if not len(own.x) else f"No {chart.line} of {own.variant}."
    names = {figures.LOSS: "Validation loss", figures.ACCURACY: "Validation accuracy", figures.RATE: "Learning rate"}
    name = names.get(chart, chart.line) + (" in per cent" if chart.kind == "share" else "")
    (start, first), (end, last) = known[0], known[-1]
    if chart.kind == "difference":
        what = f"{chart.axis} of {own.variant} from the baseline"
        return f"{first_up(what)}: {first:+.3g} at {start:.0f}, {last:+.3g} at {end:.0f}."
    shape = f".{digits}f" if chart.kind == "share" else ".3g"
    return f"{name} of {own.variant}: {first:{shape}} at {start:.0f}, {last:{shape}} at {end:.0f}."


def _span(effect: Effect, measure: Measure) -> str:
    if effect.low is None or effect.high is None:
        return ""
    return f" (interval {measure.difference(effect.low)} to {measure.difference(effect.high)})"


def describe_forest(effects: Sequence[Effect], measure: Measure) -> str:
    """The rows of a forest plot in words."""
    return "; ".join(
        f"{effect.variant}: {measure.difference(effect.difference)}{measure.unit} over "
        f"{plural(effect.pairs, 'seed')}{_span(effect, measure)}, {figures.verdict_label(effect)}"
        if effect.pairs
        else f"{effect.variant}: no difference measured"
        for effect in effects
    )
