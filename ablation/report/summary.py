"""The result of a study as labelled lines: which variants are better, worse or unstable, which show no clear effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ablation._util.counted as counted
from ablation._util.language import clauses, commas, tr, tr_noop
from ablation.analysis import Analysis, Effect
from ablation.analysis.verdicts import untested
from ablation.report.blocks import Summary, SummaryLine
from ablation.report.ranking import ranked
from ablation.stats import Reason

_MOST_NAMED = 6
_LABELS = {
    "better": tr_noop("Better"),
    "worse": tr_noop("Worse"),
    "unstable": tr_noop("Unstable or failed"),
    "equivalent": tr_noop("Equivalent"),
    "identical": tr_noop("Identical"),
    "not_detected": tr_noop("No clear effect"),
    "no_claim": tr_noop("No claim"),
}
_TENTATIVE = {"better": tr_noop("Better (tentative)"), "worse": tr_noop("Worse (tentative)")}


def summary(analysis: Analysis) -> Summary | None:
    """None for a study of one seed, which allows no verdict, and before there is any result."""
    changes = [own for own in ranked(analysis) if own.kind != "control"]
    if analysis.design.networks or not any(own.n or own.failed for own in analysis.effects) or not changes:
        return None
    found = {verdict: [own for own in changes if own.verdict == verdict] for verdict in _LABELS}
    lines = [_line(verdict, own, analysis) for verdict, own in found.items() if own]
    if not (found["better"] or found["worse"]):
        note = tr("none shown ({changes})", changes=counted.changes(len(changes)))
        lines.insert(0, SummaryLine(tr("Better or worse"), "", (), note))
    return Summary(_title(analysis), (*lines, *_control(analysis)))


def _title(analysis: Analysis) -> str:
    metric = f"{analysis.measure.name[:1].upper()}{analysis.measure.name[1:]}"
    if analysis.facts.open and analysis.setup.recipe:
        return tr("{metric}, difference from the baseline, so far", metric=metric)
    return tr("{metric}, difference from the baseline", metric=metric)


def _line(verdict: str, found: Sequence[Effect], analysis: Analysis) -> SummaryLine:
    largest = sorted(found, key=lambda own: -abs(own.difference or 0.0))
    hedged = any(own.pairs != 2 for own in found) and verdict in _TENTATIVE
    named = tuple((own.variant, _said(own, analysis, hedged=hedged)) for own in largest[:_MOST_NAMED])
    more = tr("and {n} more", n=len(found) - _MOST_NAMED) if len(found) > _MOST_NAMED else ""
    tentative = verdict in _TENTATIVE and all(own.pairs == 2 for own in found)
    label = tr(_TENTATIVE[verdict] if tentative else _LABELS[verdict])
    return SummaryLine(label, verdict, named, clauses([more, _note(verdict, analysis)]))


def _said(own: Effect, analysis: Analysis, *, hedged: bool) -> str:
    """What is said of a variant beside its name; `hedged` where a verdict on two pairs needs to say so itself."""
    said = [] if own.verdict in ("identical", "no_claim") else [*_sizes(own, analysis)]
    said += [tr("tentative")] if hedged and own.pairs == 2 else []
    said += [tr("exploratory")] if own.exploratory else []
    return commas(said)


def _sizes(own: Effect, analysis: Analysis) -> Iterator[str]:
    """The difference of a variant; first, of an unstable one, why it is unstable."""
    unstable = own.verdict == "unstable"
    if unstable and own.verdict_text.note:
        yield own.verdict_text.note
    if own.difference is not None:
        size = f"{analysis.measure.difference(own.difference)}{analysis.measure.unit}"
        yield tr("{difference} in the others", difference=size) if unstable and own.failed else size


def _note(verdict: str, analysis: Analysis) -> str:
    measure = analysis.measure
    if verdict == "not_detected" and analysis.design.detectable:
        return tr("80 % power to find {size}", size=measure.size(analysis.design.detectable))
    if verdict == "equivalent" and analysis.margin is not None:
        return tr("within the margin of {margin}", margin=measure.size(analysis.margin))
    if verdict == "identical":
        return tr("same trained weights as the baseline")
    if verdict == "no_claim":
        unclaimed = [own for own in analysis.variants if own.verdict == verdict]
        return commas(list(dict.fromkeys(map(_reason, unclaimed))))
    return ""


def _reason(own: Effect) -> str:
    if own.reason == Reason.NO_VARIATION and not own.difference:
        return tr("all values are equal")
    return untested(own)


def _control(analysis: Analysis) -> Iterator[SummaryLine]:
    controls = [own for own in analysis.variants if own.kind == "control" and own.method]
    if not controls:
        return
    verdicts = {own.verdict for own in controls}
    if verdicts & {"better", "worse"}:
        note = tr("differs from the baseline: do not trust these verdicts")
        yield SummaryLine(tr("A/A control"), "unstable", (), note)
    elif "unstable" in verdicts:
        yield SummaryLine(tr("A/A control"), "unstable", (), tr("unstable"))
    else:
        yield SummaryLine(tr("A/A control"), "", (), tr("no difference, as it should be"))
