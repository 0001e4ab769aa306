"""The words that the data support, for each variant and for the study as a whole (the protocol's table)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ablation._util.formatting import ABSENT, plural
from ablation.analysis.measure import Measure
from ablation.analysis.types import Design, Effect, Verdict
from ablation.stats import Reason

_NETWORKS = "Single seed: no claim about the recipe."
CHECKED_SEEDS = 10
_MOST_NAMED = 6


def with_verdicts(
    effects: Sequence[Effect], measure: Measure, alpha: float, margin: float | None, networks: bool
) -> tuple[Effect, ...]:
    """The effects, the baseline first, each variant with its verdict and the verdict in words."""
    judged = []
    for own in effects[1:]:
        verdict = judge(own, measure, alpha, margin)
        judged.append(replace(own, verdict=verdict, words=phrase(own, verdict, measure, alpha, margin, networks)))
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


def phrase(own: Effect, verdict: Verdict, measure: Measure, alpha: float, margin: float | None, networks: bool) -> str:
    """The verdict in words."""
    if verdict == "unstable":
        return f"unstable: {', '.join(_failures(own, measure))}"
    if verdict == "identical":
        return f"identical: the same trained weights as the baseline{' under every seed' if own.pairs > 1 else ''}"
    if verdict == "no_claim":
        return _single(own, alpha) if networks else f"no claim: {own.reason or 'no run to compare'}"
    if verdict in ("better", "worse"):
        text = _changed(own, verdict, measure)
        return text + (f", yet within the margin of {measure.size(margin or 0.0)}" if _inside(own, margin) else "")
    text = _bounded(own, verdict, measure, margin)
    return f"tentatively, {text}" if own.pairs == 2 else text + _checked(own)


def _changed(own: Effect, verdict: Verdict, measure: Measure) -> str:
    hedge = "tentatively " if own.pairs == 2 else ""
    size = measure.size(_moved(own)).removesuffix(measure.unit)
    interval = _sizes(own.low, own.high, _moved(own), measure)
    return f"{hedge}{verdict} by {size}{interval}{measure.unit}{_checked(own)}"


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


def _bounded(own: Effect, verdict: Verdict, measure: Measure, margin: float | None) -> str:
    if verdict == "equivalent":
        return f"equivalent: within the declared margin of {measure.size(margin or 0.0)}"
    largest = max(abs(own.low or 0.0), abs(own.high or 0.0))
    return f"no clear effect: at most {measure.size(largest)} either way"


def _checked(own: Effect) -> str:
    if own.flips_agree is None or own.pairs < CHECKED_SEEDS:
        return ""
    return "; the sign-flip check agrees" if own.flips_agree else "; the sign-flip check does not agree"


def _failures(own: Effect, measure: Measure) -> Iterator[str]:
    """Why a variant is unstable, in a few words each."""
    if own.diverged:
        yield f"{own.diverged}/{len(own.runs)} diverged"
    if own.at_chance:
        yield f"{own.at_chance}/{len(own.runs)} at chance"
    if own.screened:
        spread = f" (SD {measure.size(own.sd)})" if own.sd is not None else ""
        yield f"its spread over seeds{spread} is an outlier"


def _single(own: Effect, alpha: float) -> str:
    """One seed: what can be said of the two networks that were trained, and nothing of their recipes."""
    if own.networks_p is None:
        return _NETWORKS
    shown = f"McNemar p {p_value(own.networks_p)}"
    how = "differ" if own.networks_p <= alpha else "do not detectably differ"
    return f"{_NETWORKS} These two trained networks {how} ({shown})."


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
        parts.append(f"the largest measured difference is that of {_named(largest, measure)}")
    start = f"So far, on {measure.name}" if unfinished else f"On {measure.name}"
    sentence = f"{start}, {'; '.join(parts)}." if parts else ""
    one_seed = "A single seed allows no claim about any recipe." if design.networks else ""
    return " ".join(text for text in (one_seed, sentence, _control(effects)) if text)


def _judged(changes: Sequence[Effect], measure: Measure, design: Design) -> Iterator[str]:
    """What was found, what was not, and what could have been found."""
    matter = _with(changes, "better", "worse")
    hedge = "tentatively " if design.seeds == 2 or (matter and all(own.pairs == 2 for own in matter)) else ""
    makes = "makes" if len(matter) == 1 else "make"
    of = f"of {plural(len(changes), 'change')}"
    if matter:
        yield f"{len(matter)} {of} {hedge}{makes} a difference: {_listed(matter, measure)}"
    else:
        yield f"none {of} is shown to make a difference"
    unclear, power = len(_with(changes, "not_detected")), ""
    if design.detectable:
        power = f" (a true difference of {measure.size(design.detectable)} would be found in 80 % of such studies)"
    if unclear:
        yield f"{unclear} {'shows' if unclear == 1 else 'show'} no clear effect{power}"
    if equal := len(_with(changes, "equivalent")):
        yield f"{equal} {_is(equal)} equivalent to the baseline within the declared margin"
    yield from _unclaimed(_with(changes, "no_claim"))


def _excluded(changes: Sequence[Effect], measure: Measure) -> Iterator[str]:
    """Variants that are not judged like the others, all by name: identical ones, and unstable or failed ones."""
    if same := _with(changes, "identical"):
        yield f"{len(same)} {_is(len(same))} identical to the baseline: {_listed(same, measure)}"
    if unstable := _with(changes, "unstable"):
        yield f"{len(unstable)} {_is(len(unstable))} unstable: {_listed(unstable, measure)}"


def _with(changes: Sequence[Effect], *verdicts: Verdict) -> list[Effect]:
    return [own for own in changes if own.verdict in verdicts]


def _listed(found: Sequence[Effect], measure: Measure) -> str:
    """The variants with their sizes, the largest difference first."""
    shown = sorted(found, key=lambda own: -abs(_moved(own)))
    names = [_named(own, measure) for own in shown[:_MOST_NAMED]]
    return ", ".join(names) + (f" and {len(shown) - _MOST_NAMED} more" if len(shown) > _MOST_NAMED else "")


def _named(own: Effect, measure: Measure) -> str:
    """A variant with what there is to say of it, as `dropout=0.5 (better by 2.1 points)`."""
    if own.verdict in ("better", "worse"):
        said = f"{own.verdict} by {measure.size(_moved(own))}"
    elif own.verdict == "unstable":
        said = ", ".join([*_failures(own, measure), *_size_of_survivors(own, measure)])
    else:
        said = f"{measure.difference(own.difference)}{measure.unit}"
    notes = [] if own.verdict == "identical" else [said]
    notes += ["exploratory"] if own.exploratory else []
    return f"{own.variant} ({', '.join(notes)})" if notes else own.variant


def _size_of_survivors(own: Effect, measure: Measure) -> Iterator[str]:
    if own.difference is not None:
        rest = " in the others" if own.failed else ""
        yield f"{measure.difference(own.difference)}{measure.unit}{rest}"


def _unclaimed(changes: Sequence[Effect]) -> Iterator[str]:
    """How many have no claim: because nothing varies, or because there is too little."""
    still = [own for own in changes if own.reason == Reason.NO_VARIATION]
    few = len(changes) - len(still)
    if still:
        why = "the values do not vary over seeds" if any(own.difference for own in still) else "all values are equal"
        yield f"{len(still)} cannot be compared, since {why}"
    if few:
        yield f"{few} {'has' if few == 1 else 'have'} too few runs for a claim"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _networks(changes: Sequence[Effect], alpha: float) -> Iterator[str]:
    """How many of the trained networks of a single seed differ from the baseline's."""
    known = [own.networks_p for own in changes if own.networks_p is not None]
    differ = sum(p <= alpha for p in known)
    if known:
        verb = "differ" if differ > 1 else "differs"
        of = plural(len(known), "trained network")
        yield f"{differ or 'none'} of {of} {verb} detectably from the baseline's"


def _control(effects: Sequence[Effect]) -> str:
    """Whether the baseline against itself under other seeds shows no difference."""
    controls = [own for own in effects[1:] if own.kind == "control" and own.method]
    if not controls:
        return ""
    name = "The A/A control, the baseline against itself under other seeds,"
    if _with(controls, "better", "worse"):
        return f"{name} differs: do not trust these verdicts."
    if _with(controls, "unstable"):
        return f"{name} is unstable."
    return f"{name} shows no difference, as it should."
