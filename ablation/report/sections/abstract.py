"""The abstract: what was compared and what came out, in sentences that the verdicts allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ablation.report.captions as captions
from ablation._util.formatting import accuracy_digits, percent, plural
from ablation.analysis import Analysis, Effect
from ablation.report.blocks import Block, Paragraph, Text, join, name
from ablation.report.context import Context, Section
from ablation.report.ranking import ranked

_MOST_NAMED = 6


def _abstract(context: Context) -> Iterator[Block]:
    if context.analysis.facts.done and context.analysis.variants:
        yield Paragraph(join([_compared(context), *results(context)], " "), "abstract")


def _compared(context: Context) -> str:
    """What was trained, and how much of it is done."""
    analysis, of = context.analysis, captions.baseline(context.analysis, context.study)
    seeds, changes = plural(len(analysis.facts.seeds), "seed"), sum(own.kind != "control" for own in analysis.variants)
    text = f"This study compares {plural(changes, 'variant')} with a baseline{of} under {seeds}."
    if not changes:
        text = f"This study compares a baseline{of} with itself under other seeds (A/A control), {seeds} each."
    if analysis.facts.open:
        done = f"{analysis.facts.done:,} of {plural(analysis.facts.runs, 'run')}"
        text += f" So far {done} are done." if context.recipe else f" {done} have a result."
    return text


def results(context: Context) -> Iterator[Text]:
    """What was found, sentence by sentence."""
    analysis = context.analysis
    if analysis.design.networks:
        yield analysis.headline
    else:
        yield from _level(analysis)
        yield from _judged(analysis)
    yield from _test_set(context)


def _level(analysis: Analysis) -> Iterator[Text]:
    """Where the baseline is."""
    base, measure = analysis.baseline, analysis.measure
    if base.mean is None:
        if base.failed and base.failed == len(base.runs):
            yield f"All {plural(len(base.runs), 'run')} of the baseline failed, so that nothing can be compared."
        return
    unit = " %" if measure.share else ""
    spread = f", SD {measure.value(base.sd)}" if base.sd is not None else ""
    over = f" (mean over {plural(base.n, 'seed')}{spread})" if base.n > 1 else ""
    yield f"The {measure.name} of the baseline is {measure.value(base.mean)}{unit}{over}."


def _judged(analysis: Analysis) -> Iterator[Text]:
    """The verdicts on the changes, then that on the control."""
    changes = [own for own in ranked(analysis) if own.kind != "control"]
    found = {verdict: [own for own in changes if own.verdict == verdict] for verdict in _SENTENCES}
    if changes and not found["better"] and not found["worse"]:
        yield "No change is shown to make a difference."
    for verdict, own in found.items():
        if own:
            yield from _SENTENCES[verdict](own, analysis)
    if any(own.low is not None for own in (*found["better"], *found["worse"])):
        yield f"Intervals are simultaneous at {100 * (1 - analysis.alpha):g} %."
    yield from _control(analysis)


def _changed(found: Sequence[Effect], analysis: Analysis) -> Iterator[Text]:
    """The variants that are better, or those that are worse, with their sizes."""
    largest = sorted(found, key=lambda own: -abs(own.difference or 0.0))
    parts: list[Text] = []
    for own in largest[:_MOST_NAMED]:
        said, within, _ = own.words.partition(";")[0].partition(", yet")
        hedge, _, size = said.partition(" by ")
        is_it = f" is {hedge} than the baseline by {size}" if not parts else f" by {size}"
        notes = ["within the margin"] * bool(within) + ["exploratory"] * own.exploratory
        parts.append((name(own.variant), is_it + (f" ({', '.join(notes)})" if notes else "")))
    if len(found) > _MOST_NAMED:
        parts.append(f"and {len(found) - _MOST_NAMED} more are {found[0].verdict}")
    yield (*join(parts, ", "), ".")


def _unclear(found: Sequence[Effect], analysis: Analysis) -> Iterator[Text]:
    shows = f"{plural(len(found), 'variant')} {'shows' if len(found) == 1 else 'show'} no clear effect"
    size = analysis.design.detectable
    power = (
        f"; a true difference of {analysis.measure.size(size)} would be found in 80 % of such studies" if size else ""
    )
    yield f"{shows}{power}."


def _equivalent(found: Sequence[Effect], analysis: Analysis) -> Iterator[Text]:
    margin = analysis.measure.size(analysis.margin or 0.0)
    yield f"{plural(len(found), 'variant')} {_is(found)} equivalent to the baseline within a margin of {margin}."


def _unstable(found: Sequence[Effect], analysis: Analysis) -> Iterator[Text]:
    parts = [(name(own.variant), f" ({own.words.removeprefix('unstable: ')})") for own in found[:_MOST_NAMED]]
    more = [f"and {len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    yield ("Unstable: ", *join([*parts, *more], ", "), ".")


def _identical(found: Sequence[Effect], analysis: Analysis) -> Iterator[Text]:
    yield f"{plural(len(found), 'variant')} {_is(found)} identical to the baseline, with the same trained weights."


def _unclaimed(found: Sequence[Effect], analysis: Analysis) -> Iterator[Text]:
    yield f"No claim is possible about {plural(len(found), 'variant')}."


_SENTENCES = {
    "better": _changed,
    "worse": _changed,
    "unstable": _unstable,
    "equivalent": _equivalent,
    "identical": _identical,
    "not_detected": _unclear,
    "no_claim": _unclaimed,
}


def _is(found: Sequence[Effect]) -> str:
    return "is" if len(found) == 1 else "are"


def _control(analysis: Analysis) -> Iterator[Text]:
    verdicts = {own.verdict for own in analysis.variants if own.kind == "control" and own.method}
    if verdicts & {"better", "worse"}:
        yield "The A/A control differs from the baseline, so that these verdicts cannot be trusted."
    elif verdicts and "unstable" not in verdicts:
        yield "The A/A control shows no difference, as it should."


def _test_set(context: Context) -> Iterator[Text]:
    found = context.analysis.test
    if found is None:
        if context.study.of_images and not context.analysis.facts.test_evaluations:
            yield "The test set was not used."
        return
    times = "once" if len(found.times) == 1 else f"{len(found.times)} times"
    first = found.rows[0]
    if first.mean is not None:
        accuracy = percent(first.mean, accuracy_digits(found.images))
        on = f"On {plural(found.images, 'test image')}, evaluated {times}"
        mean = "mean accuracy" if len(context.analysis.facts.seeds) > 1 else "accuracy"
        yield f"{on}, the {mean} of {first.variant} is {accuracy} %."


ABSTRACT = Section("abstract", "Abstract", 10, _abstract, optional=True)
