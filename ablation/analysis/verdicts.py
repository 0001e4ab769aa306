"""The words that the data support, for each variant and for the study as a whole (the protocol's table)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import ablation._util.counted as counted
from ablation._util.formatting import ABSENT
from ablation._util.language import clauses, commas, current, sentences, shortened, tr, tr_noop, trn
from ablation.analysis.measure import Measure
from ablation.analysis.types import Design, Effect, Verdict, VerdictText
from ablation.stats import Reason

CHECKED_SEEDS = 10
_MOST_NAMED = 6
_CHANGED: Mapping[str, str] = {
    tr_noop("better"): tr_noop("better by {size}"),
    tr_noop("worse"): tr_noop("worse by {size}"),
    tr_noop("tentatively better"): tr_noop("tentatively better by {size}"),
    tr_noop("tentatively worse"): tr_noop("tentatively worse by {size}"),
}


def with_verdicts(
    effects: Sequence[Effect], measure: Measure, alpha: float, margin: float | None, networks: bool
) -> tuple[Effect, ...]:
    """The effects, the baseline first, each variant with its verdict and the verdict in words."""
    judged = []
    for own in effects[1:]:
        verdict = judge(own, measure, alpha, margin)
        words, text = phrase(own, verdict, measure, alpha, margin, networks)
        judged.append(replace(own, verdict=verdict, words=words, verdict_text=text))
    return (effects[0], *judged)


def judge(own: Effect, measure: Measure, alpha: float, margin: float | None) -> Verdict:
    """The verdict on one variant: from its adjusted p, never from the interval, but for equivalence."""
    if own.failed or own.screened:
        return "unstable"
    if own.identical:
        return "identical"
    if own.method is None or own.p is None or own.difference is None:
        return "no_claim"
    if own.p <= alpha:
        return "better" if own.difference * measure.sign > 0 else "worse"
    return "equivalent" if _inside(own, margin) else "not_detected"


def _inside(own: Effect, margin: float | None) -> bool:
    if margin is None or own.low is None or own.high is None:
        return False
    return max(-own.low, own.high) < margin


def phrase(
    own: Effect, verdict: Verdict, measure: Measure, alpha: float, margin: float | None, networks: bool
) -> tuple[str, VerdictText]:
    """The verdict in words, as a whole and in parts."""
    if verdict in ("better", "worse"):
        return _changed(own, verdict, measure, margin)
    if verdict == "not_detected":
        return _unclear(own, measure)
    if verdict == "no_claim" and networks:
        words = _single(own, alpha)
        return words, VerdictText(words)
    head, note = _explained(own, verdict, measure, margin)
    return f"{head}{current().colon}{note}", VerdictText(head, note=note)


def _changed(own: Effect, verdict: Verdict, measure: Measure, margin: float | None) -> tuple[str, VerdictText]:
    head = f"tentatively {verdict}" if own.pairs == 2 else verdict
    interval = _sizes(own.low, own.high, _moved(own), measure)
    size = f"{measure.size(_moved(own)).removesuffix(measure.unit)}{interval}{measure.unit}"
    check, inside = _checked(own), _inside(own, margin)
    words = clauses([tr(_CHANGED[head], size=size), check])
    if inside:
        words = _within_margin(words, measure, margin)
        check = _within_margin(check, measure, margin) if check else ""
    called = tr("{verdict}, within the margin", verdict=tr(head)) if inside else tr(head)
    return words, VerdictText(called, size, check, inside)


def _within_margin(text: str, measure: Measure, margin: float | None) -> str:
    return tr("{verdict}, yet within the margin of {margin}", verdict=text, margin=measure.size(margin or 0.0))


def _moved(own: Effect) -> float:
    """The measured difference; 0 where there is none."""
    return own.difference or 0.0


def _sizes(low: float | None, high: float | None, difference: float, measure: Measure) -> str:
    """The interval of the size of a change, as ` [0.4, 2.0]`, positive in the direction of the change."""
    if low is None or high is None:
        return ""
    ends = sorted((low, high) if difference > 0 else (-low, -high))
    shown = measure.interval(*ends).replace("+", "")
    return f" {shown}"


def _unclear(own: Effect, measure: Measure) -> tuple[str, VerdictText]:
    size = measure.size(max(abs(own.low or 0.0), abs(own.high or 0.0)))
    words = _hedged(tr("no clear effect: at most {size} either way", size=size), own)
    check = _checked(own)
    return clauses([words, check]), VerdictText(_hedged(tr("no clear effect"), own), note=check)


def _hedged(text: str, own: Effect) -> str:
    return tr("tentatively, {verdict}", verdict=text) if own.pairs == 2 else text


def _explained(own: Effect, verdict: Verdict, measure: Measure, margin: float | None) -> tuple[str, str]:
    """What the verdict is called, and what explains it."""
    if verdict == "equivalent":
        within = tr("within the declared margin of {margin}", margin=measure.size(margin or 0.0))
        return _hedged(tr("equivalent"), own), clauses([within, _checked(own)])
    if verdict == "unstable":
        return tr("unstable"), commas([*_failures(own, measure)])
    if verdict == "identical" and own.pairs > 1:
        return tr("identical"), tr("the same trained weights as the baseline under every seed")
    if verdict == "identical":
        return tr("identical"), tr("the same trained weights as the baseline")
    return tr("no claim"), untested(own)


def untested(own: Effect) -> str:
    """Why a variant was not tested."""
    return tr(own.reason) if own.reason else tr("no run to compare")


def _checked(own: Effect) -> str:
    if own.flips_agree is None or own.pairs < CHECKED_SEEDS:
        return ""
    return tr("the sign-flip check agrees") if own.flips_agree else tr("the sign-flip check does not agree")


def _failures(own: Effect, measure: Measure) -> Iterator[str]:
    """Why a variant is unstable, in a few words each."""
    if own.diverged:
        yield tr("{n}/{runs} diverged", n=own.diverged, runs=own.ended)
    if own.at_chance:
        yield tr("{n}/{runs} at chance", n=own.at_chance, runs=own.ended)
    if own.screened and own.sd is not None:
        yield tr("its spread over seeds (SD {sd}) is an outlier", sd=measure.size(own.sd))
    elif own.screened:
        yield tr("its spread over seeds is an outlier")


def _single(own: Effect, alpha: float) -> str:
    """One seed: what can be said of the two networks that were trained, and nothing of their recipes."""
    nothing = tr("Single seed: no claim about the recipe.")
    if own.networks_p is None:
        return nothing
    p = p_value(own.networks_p)
    if own.networks_p <= alpha:
        return sentences([nothing, tr("These two trained networks differ (McNemar p {p}).", p=p)])
    return sentences([nothing, tr("These two trained networks do not detectably differ (McNemar p {p}).", p=p)])


def p_value(p: float | None) -> str:
    """As `= 0.03`, `< 0.001`."""
    if p is None:
        return ABSENT
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def headline(effects: Sequence[Effect], measure: Measure, design: Design, alpha: float, unfinished: bool) -> str:
    """The verdict of the whole study in a sentence or two; the largest measured difference is always named."""
    changes = [own for own in effects[1:] if own.kind != "control"]
    if not changes or not any(own.n or own.failed for own in effects):
        return ""
    judged = _networks(changes, alpha) if design.networks else _judged(changes, measure, design)
    parts = [*judged, *_excluded(changes, measure)]
    largest = max(changes, key=lambda own: abs(_moved(own)))
    if largest.difference and largest.verdict in ("not_detected", "equivalent", "no_claim"):
        parts.append(tr("the largest measured difference is that of {variant}", variant=_named(largest, measure)))
    start = tr_noop("So far, on {metric}, {findings}.") if unfinished else tr_noop("On {metric}, {findings}.")
    sentence = tr(start, metric=measure.name, findings=clauses(parts)) if parts else ""
    one_seed = tr("A single seed allows no claim about any recipe.") if design.networks else ""
    return sentences([one_seed, sentence, _control(effects)])


def _judged(changes: Sequence[Effect], measure: Measure, design: Design) -> Iterator[str]:
    """What was found, what was not, and what could have been found."""
    yield _with_effect(changes, measure, design)
    if unclear := len(_with(changes, "not_detected")):
        yield _without_effect(unclear, measure, design)
    if equal := len(_with(changes, "equivalent")):
        yield trn(
            "{n} is equivalent to the baseline within the declared margin",
            "{n} are equivalent to the baseline within the declared margin",
            equal,
        )
    yield from _unclaimed(_with(changes, "no_claim"))


def _with_effect(changes: Sequence[Effect], measure: Measure, design: Design) -> str:
    """The changes that make a difference."""
    matter = _with(changes, "better", "worse")
    values = {"changes": counted.changes(len(changes)), "variants": _listed(matter, measure)}
    if not matter:
        return tr("none of {changes} is shown to make a difference", **values)
    if design.seeds == 2 or all(own.pairs == 2 for own in matter):
        return trn(
            "{n} of {changes} tentatively makes a difference: {variants}",
            "{n} of {changes} tentatively make a difference: {variants}",
            len(matter),
            **values,
        )
    return trn(
        "{n} of {changes} makes a difference: {variants}",
        "{n} of {changes} make a difference: {variants}",
        len(matter),
        **values,
    )


def _without_effect(unclear: int, measure: Measure, design: Design) -> str:
    """How many changes show no clear effect, and what effect would have been clear."""
    if not design.detectable:
        return trn("{n} shows no clear effect", "{n} show no clear effect", unclear)
    return trn(
        "{n} shows no clear effect (a true difference of {size} would be found in 80 % of such studies)",
        "{n} show no clear effect (a true difference of {size} would be found in 80 % of such studies)",
        unclear,
        size=measure.size(design.detectable),
    )


def _excluded(changes: Sequence[Effect], measure: Measure) -> Iterator[str]:
    """Variants that are not judged like the others, all by name: identical ones, and unstable or failed ones."""
    if same := _with(changes, "identical"):
        yield trn(
            "{n} is identical to the baseline: {variants}",
            "{n} are identical to the baseline: {variants}",
            len(same),
            variants=_listed(same, measure),
        )
    if unstable := _with(changes, "unstable"):
        shown = _listed(unstable, measure)
        yield trn("{n} is unstable: {variants}", "{n} are unstable: {variants}", len(unstable), variants=shown)


def _with(changes: Sequence[Effect], *verdicts: Verdict) -> list[Effect]:
    return [own for own in changes if own.verdict in verdicts]


def _listed(found: Sequence[Effect], measure: Measure) -> str:
    """The variants with their sizes, the largest difference first."""
    shown = sorted(found, key=lambda own: -abs(_moved(own)))
    return shortened([_named(own, measure) for own in shown], _MOST_NAMED)


def _named(own: Effect, measure: Measure) -> str:
    """A variant with what there is to say of it, as `dropout=0.5 (better by 2.1 points)`."""
    if own.verdict in ("better", "worse"):
        notes = [tr(_CHANGED[own.verdict], size=measure.size(_moved(own)))]
    elif own.verdict == "unstable":
        notes = [*_failures(own, measure), *_size_of_survivors(own, measure)]
    elif own.verdict == "identical":
        notes = []
    else:
        notes = [f"{measure.difference(own.difference)}{measure.unit}"]
    notes += [tr("exploratory")] if own.exploratory else []
    return tr("{variant} ({notes})", variant=own.variant, notes=commas(notes)) if notes else own.variant


def _size_of_survivors(own: Effect, measure: Measure) -> Iterator[str]:
    if own.difference is not None:
        size = f"{measure.difference(own.difference)}{measure.unit}"
        yield tr("{difference} in the others", difference=size) if own.failed else size


def _unclaimed(changes: Sequence[Effect]) -> Iterator[str]:
    """How many have no claim: because nothing varies, or because there is too little."""
    still = [own for own in changes if own.reason == Reason.NO_VARIATION]
    few = len(changes) - len(still)
    if still and any(own.difference for own in still):
        yield tr("{n} cannot be compared, since the values do not vary over seeds", n=len(still))
    elif still:
        yield tr("{n} cannot be compared, since all values are equal", n=len(still))
    if few:
        yield trn("{n} has too few runs for a claim", "{n} have too few runs for a claim", few)


def _networks(changes: Sequence[Effect], alpha: float) -> Iterator[str]:
    """How many of the trained networks of a single seed differ from the baseline's."""
    known = [own.networks_p for own in changes if own.networks_p is not None]
    differ = sum(p <= alpha for p in known)
    networks = trn("{n:,} trained network", "{n:,} trained networks", len(known))
    if differ:
        yield trn(
            "{n} of {networks} differs detectably from the baseline's",
            "{n} of {networks} differ detectably from the baseline's",
            differ,
            networks=networks,
        )
    elif known:
        yield tr("none of {networks} differs detectably from the baseline's", networks=networks)


def _control(effects: Sequence[Effect]) -> str:
    """Whether the baseline against itself under other seeds shows no difference."""
    controls = [own for own in effects[1:] if own.kind == "control" and own.method]
    if not controls:
        return ""
    if _with(controls, "better", "worse"):
        return tr(
            "The A/A control, the baseline against itself under other seeds, differs: do not trust these verdicts."
        )
    if _with(controls, "unstable"):
        return tr("The A/A control, the baseline against itself under other seeds, is unstable.")
    return tr("The A/A control, the baseline against itself under other seeds, shows no difference, as it should.")
