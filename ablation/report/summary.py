"""The result of a study as labelled lines: which variants are better, worse or unstable, which show no clear effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ablation._util.formatting import plural
from ablation.analysis import Analysis, Effect
from ablation.report.blocks import Summary, SummaryLine
from ablation.report.ranking import ranked
from ablation.stats import Reason

_MOST_NAMED = 6
_LABELS = {
    "better": "Better",
    "worse": "Worse",
    "unstable": "Unstable or failed",
    "equivalent": "Equivalent",
    "identical": "Identical",
    "not_detected": "No clear effect",
    "no_claim": "No claim",
}


def summary(analysis: Analysis) -> Summary | None:
    """None for a study of one seed, which allows no verdict, and before there is any result."""
    changes = [own for own in ranked(analysis) if own.kind != "control"]
    if analysis.design.networks or not any(own.n or own.failed for own in analysis.effects) or not changes:
        return None
    found = {verdict: [own for own in changes if own.verdict == verdict] for verdict in _LABELS}
    lines = [_line(verdict, own, analysis) for verdict, own in found.items() if own]
    if not (found["better"] or found["worse"]):
        lines.insert(0, SummaryLine("Better or worse", "", (), f"none shown ({plural(len(changes), 'change')})"))
    so_far = ", so far" if analysis.facts.open and analysis.setup.recipe else ""
    title = f"{analysis.measure.name[:1].upper()}{analysis.measure.name[1:]}, difference from the baseline{so_far}"
    return Summary(title, (*lines, *_control(analysis)))


def _line(verdict: str, found: Sequence[Effect], analysis: Analysis) -> SummaryLine:
    largest = sorted(found, key=lambda own: -abs(own.difference or 0.0))
    hedged = any(own.pairs != 2 for own in found) and verdict in ("better", "worse")
    named = tuple((own.variant, _said(own, analysis, hedged=hedged)) for own in largest[:_MOST_NAMED])
    more = f"and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    tentative = " (tentative)" if verdict in ("better", "worse") and all(own.pairs == 2 for own in found) else ""
    note = _note(verdict, analysis)
    return SummaryLine(_LABELS[verdict] + tentative, verdict, named, "; ".join(filter(None, (more, note))))


def _said(own: Effect, analysis: Analysis, *, hedged: bool) -> str:
    """What is said of a variant beside its name; `hedged` where a verdict on two pairs needs to say so itself."""
    measure = analysis.measure
    size = f"{measure.difference(own.difference)}{measure.unit}" if own.difference is not None else ""
    if own.verdict == "unstable":
        rest = " in the others" if own.failed and size else ""
        size = ", ".join(filter(None, (own.words.removeprefix("unstable: "), size + rest)))
    if own.verdict in ("identical", "no_claim"):
        size = ""
    tentative = "tentative" if hedged and own.pairs == 2 else ""
    return ", ".join(filter(None, (size, tentative, "exploratory" if own.exploratory else "")))


def _note(verdict: str, analysis: Analysis) -> str:
    measure = analysis.measure
    if verdict == "not_detected" and analysis.design.detectable:
        return f"80 % power to find {measure.size(analysis.design.detectable)}"
    if verdict == "equivalent" and analysis.margin is not None:
        return f"within the margin of {measure.size(analysis.margin)}"
    if verdict == "identical":
        return "same trained weights as the baseline"
    if verdict == "no_claim":
        unclaimed = [own for own in analysis.variants if own.verdict == verdict]
        return ", ".join(dict.fromkeys(map(_reason, unclaimed)))
    return ""


def _reason(own: Effect) -> str:
    if own.reason == Reason.NO_VARIATION and not own.difference:
        return "all values are equal"
    return own.reason or "no run to compare"


def _control(analysis: Analysis) -> Iterator[SummaryLine]:
    controls = [own for own in analysis.variants if own.kind == "control" and own.method]
    if not controls:
        return
    verdicts = {own.verdict for own in controls}
    if verdicts & {"better", "worse"}:
        yield SummaryLine("A/A control", "unstable", (), "differs from the baseline: do not trust these verdicts")
    elif "unstable" in verdicts:
        yield SummaryLine("A/A control", "unstable", (), "unstable")
    else:
        yield SummaryLine("A/A control", "", (), "no difference, as it should be")
