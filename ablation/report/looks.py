"""The looks of a sequential study in words: where each variant stopped, and how far the study is."""

from __future__ import annotations

from collections.abc import Iterator

import ablation._util.counted as counted
from ablation._util.language import commas, current, listing, sentences, tr, trn
from ablation.analysis import Analysis, Effect
from ablation.analysis.look_types import Sequential
from ablation.report.blocks import Text, cite, tr_text
from ablation.stats.sequential import FUTILE


def stopped(effect: Effect, analysis: Analysis) -> str:
    """At which look a variant was decided, as `decided at look 2 (5 seeds)`; empty before its first look."""
    own = analysis.sequential.variants.get(effect.variant) if analysis.sequential else None
    if own is None or not own.look:
        return ""
    at = {"look": own.look, "seeds": counted.seeds(own.seeds)}
    if own.goes_on:
        return tr("goes on after look {look} ({seeds})", **at)
    if own.decision == "futile":
        return tr("stopped for futility at look {look} ({seeds})", **at)
    if own.decision == "unstable":
        return tr("stopped at look {look} ({seeds})", **at)
    if own.decision is None:
        return tr("not decided at its last look, {look} ({seeds})", **at)
    return tr("decided at look {look} ({seeds})", **at)


def progress(analysis: Analysis, own: Sequential) -> str:
    """How many looks are complete, what they decided, and how many runs that took."""
    variants = counted.variants(len(own.variants))
    if not own.done:
        return tr("The first look, at {seeds}, is not complete yet: nothing is decided.", seeds=_seeds(own.looks[:1]))
    values = {"at": _seeds(own.looks[: own.done]), "decided": own.decided, "variants": variants}
    if own.next_look:
        looks = trn(
            "{n} of {planned} looks is complete, at {at}: {decided} of {variants} are decided, and {left} go on to the "
            "look at {next} seeds.",
            "{n} of {planned} looks are complete, at {at}: {decided} of {variants} are decided, and {left} go on to "
            "the look at {next} seeds.",
            own.done,
            planned=len(own.looks),
            left=own.going_on,
            next=own.next_look,
            **values,
        )
    else:
        looks = trn(
            "{n} of {planned} looks was needed, at {at}: {decided} of {variants} are decided.",
            "{n} of {planned} looks were needed, at {at}: {decided} of {variants} are decided.",
            own.done,
            planned=len(own.looks),
            **values,
        )
    most = counted.runs((len(own.variants) + 1) * own.looks[-1])
    return sentences([looks, tr("That takes {number:,} of at most {runs}.", number=analysis.facts.runs, runs=most)])


def _seeds(looks: tuple[int, ...]) -> str:
    """As `3, 5 and 8 seeds`."""
    return tr("{numbers} seeds", numbers=listing([str(seeds) for seeds in looks]))


def table_caption(analysis: Analysis) -> str:
    """Caption of the table of looks."""
    what = tr(
        "Each variant at its last look: its mean difference over n seeds with the repeated confidence interval, "
        "{level:g} % for all looks and variants together; and the difference adjusted for the bias of stopping.",
        level=100 * (1 - analysis.alpha),
    )
    return sentences([what, tr("Differences in points.") if analysis.measure.share else ""])


def figure_caption(analysis: Analysis, shown: int, of: int) -> str:
    """Caption of the paths over the looks; `shown` variants of so many."""
    lines = tr(
        "Difference from the baseline at each look, with the interval of the last one, each variant on its own "
        "scale. Dashed: the boundaries beyond which it is detected; those that are not seen are off the scale."
    )
    margin = tr("Dotted: the margin.") if analysis.margin is not None else ""
    some = tr("Shown: the {shown} of {number} variants with the largest differences.", shown=shown, number=of)
    return sentences([lines, margin, some if shown < of else ""])


def describe_path(effect: Effect, analysis: Analysis, own: Sequential) -> str:
    """The path of a variant over the looks in words."""
    measure = analysis.measure
    points = [
        tr(
            "{difference} at {seeds} (boundary {size})",
            difference=measure.difference(point.difference),
            seeds=counted.seeds(point.seeds),
            size=measure.size(point.boundary),
        )
        for point in own.variants[effect.variant].path
    ]
    return f"{effect.variant}{current().colon}{commas(points)}"


def rules(analysis: Analysis, own: Sequential) -> Iterator[Text]:
    """How the study was stopped, sentence by sentence, for the methods."""
    levels = listing(
        [
            tr("{seeds} ({level:.2g} %)", seeds=seeds, level=100 * level)
            for seeds, level in zip(own.looks, own.levels, strict=True)
        ]
    )
    spending = {"obrien_fleming": tr("O'Brien and Fleming"), "pocock": tr("Pocock")}[own.spending]
    yield tr_text(
        "The study is sequential: the looks at {levels} seeds were declared beforehand, each with its part of the "
        "family-wise error of {alpha} %, by the spending function of the type of {spending} (Lan and DeMets "
        "1983{lan}).",
        levels=levels,
        alpha=format(100 * analysis.alpha, "g"),
        spending=spending,
        lan=cite("lan1983"),
    )
    yield tr_text(
        "Each look tests the whole family of {comparisons}, decided variants included, so that the family-wise error "
        "over all looks is at most the sum of the parts (union bound), whatever was stopped on the way. Intervals are "
        "repeated confidence intervals (Jennison and Turnbull 1989{jennison}) at the level of their look, p-values "
        "are divided by the share of alpha that it has, and the pooled error is that of the variants still under way.",
        comparisons=counted.comparisons(len(own.variants)),
        jennison=cite("jennison1989"),
    )
    yield _ends(analysis, own)


def _ends(analysis: Analysis, own: Sequential) -> str:
    """What ends the training of a variant."""
    ends = [tr("its difference is detected")]
    if analysis.margin is not None:
        ends.append(tr("its interval is inside the margin of {margin}", margin=analysis.measure.size(analysis.margin)))
    if own.futility == "conditional_power":
        ends.append(
            tr(
                "the last look would detect, with a probability below {power:g} %, the difference that it is planned "
                "to detect with 80 %",
                power=100 * FUTILE,
            )
        )
    return tr("A variant is trained no further once {ends}, or once a run of it fails.", ends=commas(ends))
