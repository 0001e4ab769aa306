"""The abstract: what was compared and what came out, in sentences that the verdicts allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

import ablation._util.counted as counted
import ablation.report.captions as captions
import ablation.report.looks as looks
from ablation._util.formatting import accuracy_digits, percent
from ablation._util.language import commas, current, sentences, tr, tr_noop, trn
from ablation.analysis import Analysis, Effect
from ablation.report.blocks import Block, Paragraph, Text, join, name, tr_text
from ablation.report.context import Context, Section
from ablation.report.ranking import ranked

_MOST_NAMED = 6
_CHANGED = {
    ("better", False): tr_noop("{variant} is better than the baseline by {size}"),
    ("better", True): tr_noop("{variant} is tentatively better than the baseline by {size}"),
    ("worse", False): tr_noop("{variant} is worse than the baseline by {size}"),
    ("worse", True): tr_noop("{variant} is tentatively worse than the baseline by {size}"),
}
_MORE = {"better": tr_noop("and {n} more are better"), "worse": tr_noop("and {n} more are worse")}


def _abstract(context: Context) -> Iterator[Block]:
    if context.analysis.facts.done and context.analysis.variants:
        yield Paragraph(join([_compared(context), *results(context)], current().space), "abstract")


def _compared(context: Context) -> str:
    """What was trained, and how much of it is done."""
    analysis, of = context.analysis, captions.baseline(context.analysis, context.study)
    changes = sum(own.kind != "control" for own in analysis.variants)
    seeds = counted.seeds(len(analysis.facts.seeds))
    if changes:
        text = tr(
            "This study compares {variants} with a baseline{baseline} under {seeds}.",
            variants=counted.variants(changes),
            baseline=of,
            seeds=seeds,
        )
    else:
        text = tr(
            "This study compares a baseline{baseline} with itself under other seeds (A/A control), {seeds} each.",
            baseline=of,
            seeds=seeds,
        )
    looked = looks.progress(analysis, analysis.sequential) if analysis.sequential else ""
    return sentences([text, looked, _done(context)])


def _done(context: Context) -> str:
    """How much of an unfinished study is done."""
    facts = context.analysis.facts
    if not facts.open:
        return ""
    runs = counted.runs(facts.runs)
    if context.recipe:
        return tr("So far {done:,} of {runs} are done.", done=facts.done, runs=runs)
    return tr("{done:,} of {runs} have a result.", done=facts.done, runs=runs)


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
            runs = counted.runs(len(base.runs))
            yield tr("All {runs} of the baseline failed, so that nothing can be compared.", runs=runs)
        return
    mean = tr("{value} %", value=measure.value(base.mean)) if measure.share else measure.value(base.mean)
    values = {"metric": measure.name, "mean": mean, "seeds": counted.seeds(base.n)}
    if base.n > 1 and base.sd is not None:
        text = tr_noop("The {metric} of the baseline is {mean} (mean over {seeds}, SD {sd}).")
        yield tr(text, **values, sd=measure.value(base.sd))
    elif base.n > 1:
        yield tr("The {metric} of the baseline is {mean} (mean over {seeds}).", **values)
    else:
        yield tr("The {metric} of the baseline is {mean}.", **values)


def _judged(analysis: Analysis) -> Iterator[Text]:
    """The verdicts on the changes, then that on the control."""
    changes = [own for own in ranked(analysis) if own.kind != "control"]
    found = {verdict: [own for own in changes if own.verdict == verdict] for verdict in _SENTENCES}
    if changes and not found["better"] and not found["worse"]:
        yield tr("No change is shown to make a difference.")
    for verdict, own in found.items():
        if own:
            yield _SENTENCES[verdict](own, analysis)
    if any(own.low is not None for own in (*found["better"], *found["worse"])):
        yield tr("Intervals are simultaneous at {level:g} %.", level=100 * (1 - analysis.alpha))
    yield from _control(analysis)


def _changed(found: Sequence[Effect], analysis: Analysis) -> Text:
    """The variants that are better, or those that are worse, with their sizes."""
    verdict = str(found[0].verdict)
    largest = sorted(found, key=lambda own: -abs(own.difference or 0.0))
    parts: list[Text] = []
    for own in largest[:_MOST_NAMED]:
        message = tr_noop("{variant} by {size}") if parts else _CHANGED[verdict, own.pairs == 2]
        parts.append(_noted(tr_text(message, variant=name(own.variant), size=own.verdict_text.size), own))
    if len(found) > _MOST_NAMED:
        parts.append(tr(_MORE[verdict], n=len(found) - _MOST_NAMED))
    return tr_text("{clauses}.", clauses=reduce(_then, parts))


def _noted(text: Text, own: Effect) -> Text:
    """A text with what else is to be said of a better or worse variant, in brackets."""
    notes = [tr("within the margin")] if own.verdict_text.within else []
    notes += [tr("exploratory")] if own.exploratory else []
    return tr_text("{text} ({notes})", text=text, notes=commas(notes)) if notes else text


def _then(first: Text, second: Text) -> Text:
    return tr_text("{first}, {second}", first=first, second=second)


def _unclear(found: Sequence[Effect], analysis: Analysis) -> Text:
    size = analysis.design.detectable
    if not size:
        return trn("{n:,} variant shows no clear effect.", "{n:,} variants show no clear effect.", len(found))
    return trn(
        "{n:,} variant shows no clear effect; a true difference of {size} would be found in 80 % of such studies.",
        "{n:,} variants show no clear effect; a true difference of {size} would be found in 80 % of such studies.",
        len(found),
        size=analysis.measure.size(size),
    )


def _equivalent(found: Sequence[Effect], analysis: Analysis) -> Text:
    return trn(
        "{n:,} variant is equivalent to the baseline within a margin of {margin}.",
        "{n:,} variants are equivalent to the baseline within a margin of {margin}.",
        len(found),
        margin=analysis.measure.size(analysis.margin or 0.0),
    )


def _unstable(found: Sequence[Effect], analysis: Analysis) -> Text:
    parts = [
        tr_text("{variant} ({notes})", variant=name(own.variant), notes=own.verdict_text.note)
        for own in found[:_MOST_NAMED]
    ]
    parts += [tr("and {n} more", n=len(found) - _MOST_NAMED)] if len(found) > _MOST_NAMED else []
    return tr_text("Unstable: {variants}.", variants=join(parts, current().comma))


def _identical(found: Sequence[Effect], analysis: Analysis) -> Text:
    return trn(
        "{n:,} variant is identical to the baseline, with the same trained weights.",
        "{n:,} variants are identical to the baseline, with the same trained weights.",
        len(found),
    )


def _unclaimed(found: Sequence[Effect], analysis: Analysis) -> Text:
    return trn("No claim is possible about {n:,} variant.", "No claim is possible about {n:,} variants.", len(found))


_SENTENCES = {
    "better": _changed,
    "worse": _changed,
    "unstable": _unstable,
    "equivalent": _equivalent,
    "identical": _identical,
    "not_detected": _unclear,
    "no_claim": _unclaimed,
}


def _control(analysis: Analysis) -> Iterator[Text]:
    verdicts = {own.verdict for own in analysis.variants if own.kind == "control" and own.method}
    if verdicts & {"better", "worse"}:
        yield tr("The A/A control differs from the baseline, so that these verdicts cannot be trusted.")
    elif verdicts and "unstable" not in verdicts:
        yield tr("The A/A control shows no difference, as it should.")


def _test_set(context: Context) -> Iterator[Text]:
    found = context.analysis.test
    if found is None:
        if context.study.of_images and not context.analysis.facts.test_evaluations:
            yield tr("The test set was not used.")
        return
    first = found.rows[0]
    if first.mean is None:
        return
    values = {
        "images": counted.test_images(found.images),
        "evaluated": trn("evaluated once", "evaluated {n} times", len(found.times)),
        "variant": first.variant,
        "accuracy": percent(first.mean, accuracy_digits(found.images)),
    }
    if len(context.analysis.facts.seeds) > 1:
        yield tr("On {images}, {evaluated}, the mean accuracy of {variant} is {accuracy} %.", **values)
    else:
        yield tr("On {images}, {evaluated}, the accuracy of {variant} is {accuracy} %.", **values)


ABSTRACT = Section("abstract", tr_noop("Abstract"), 10, _abstract, optional=True)
