"""The words that the data support, for each variant and for the study as a whole (the protocol's table)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ablation import words
from ablation.analysis.measure import Measure
from ablation.analysis.types import Design, Effect, Verdict

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
    if own.method is None or own.p is None or own.difference is None:
        return "no_claim"
    if own.p <= alpha:
        return "better" if own.difference * measure.sign > 0 else "worse"
    return "equivalent" if _inside(own, margin) else "not_detected"


def _inside(own: Effect, margin: float | None) -> bool:
    return (
        margin is not None
        and None not in (own.low, own.high)
        and -margin < (own.low or 0.0) <= (own.high or 0.0) < margin
    )


def phrase(own: Effect, verdict: Verdict, measure: Measure, alpha: float, margin: float | None, networks: bool) -> str:
    """The verdict in words."""
    if verdict == "unstable":
        return _unstable(own, measure)
    if verdict == "no_claim":
        return _single(own, alpha) if networks else f"no claim: {own.reason or 'no run to compare'}"
    if verdict in ("better", "worse"):
        text = _changed(own, verdict, measure)
        return text + (f", yet within the margin of {measure.size(margin or 0.0)}" if _inside(own, margin) else "")
    text = _bounded(own, verdict, measure, margin)
    return f"tentatively, {text}" if own.pairs == 2 else text + _checked(own)


def _changed(own: Effect, verdict: Verdict, measure: Measure) -> str:
    hedge = "tentatively " if own.pairs == 2 else ""
    low, high = own.low, own.high
    size = measure.size(own.difference or 0.0).removesuffix(measure.unit)
    interval = _sizes(low, high, own.difference or 0.0, measure)
    return f"{hedge}{verdict} by {size}{interval}{measure.unit}{_checked(own)}"


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
    return f"no difference larger than {measure.size(largest)} detected"


def _checked(own: Effect) -> str:
    if own.flips_agree is None or own.pairs < CHECKED_SEEDS:
        return ""
    return "; the sign-flip check agrees" if own.flips_agree else "; the sign-flip check does not agree"


def _unstable(own: Effect, measure: Measure) -> str:
    parts = []
    if own.diverged:
        parts.append(f"{own.diverged}/{len(own.runs)} diverged")
    if own.at_chance:
        parts.append(f"{own.at_chance}/{len(own.runs)} at chance")
    if own.screened:
        spread = f" (SD {measure.size(own.sd)})" if own.sd is not None else ""
        parts.append(f"its spread over seeds{spread} is an outlier")
    return "unstable: " + ", ".join(parts)


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
        return words.ABSENT
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"


def headline(effects: Sequence[Effect], measure: Measure, design: Design, alpha: float, unfinished: bool) -> str:
    """The verdict of the whole study in a sentence or two."""
    changes = [own for own in effects[1:] if own.kind != "control"]
    if not changes or not any(own.n or own.failed for own in effects):
        return ""
    if design.networks:
        return _one_seed(changes, alpha)
    matter = [own for own in changes if own.verdict in ("better", "worse")]
    hedge = " tentatively" if design.seeds == 2 and matter else ""
    text = f"{len(matter) or 'None'} of {words.plural(len(changes), 'change')}{hedge} {_matters(matter)}"
    rest = [part for part in _rest(changes, measure, design) if part]
    sentence = "; ".join([text, *rest]) + "."
    sentence = f"So far: {sentence[0].lower()}{sentence[1:]}" if unfinished else sentence
    return sentence + _control(effects, measure)


def _matters(matter: Sequence[Effect]) -> str:
    if not matter:
        return "is shown to matter"
    shown = sorted(matter, key=lambda own: -abs(own.difference or 0.0))
    names = [_named(own) for own in shown[:_MOST_NAMED]]
    more = f" and {len(shown) - _MOST_NAMED} more" if len(shown) > _MOST_NAMED else ""
    return f"{'matters' if len(matter) == 1 else 'matter'}: {', '.join(names)}{more}"


def _named(own: Effect) -> str:
    return f"{own.variant} ({own.verdict}{', exploratory' if own.exploratory else ''})"


def _rest(changes: Sequence[Effect], measure: Measure, design: Design) -> list[str]:
    def some(verdict: Verdict, tell: Callable[[int], str]) -> str:
        number = sum(own.verdict == verdict for own in changes)
        return f"{number} {tell(number)}" if number else ""

    floor = f" below {measure.size(design.detectable)}" if design.detectable else ""
    return [
        some("not_detected", lambda n: f"{_is(n)} not detectable{floor}"),
        some("equivalent", lambda n: f"{_is(n)} equivalent to the baseline within the declared margin"),
        some("unstable", lambda n: f"{_is(n)} unstable"),
        some("no_claim", lambda n: f"{'has' if n == 1 else 'have'} too few runs for a claim"),
    ]


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _one_seed(changes: Sequence[Effect], alpha: float) -> str:
    known = [own.networks_p for own in changes if own.networks_p is not None]
    text = "Single seed: no claim about any recipe."
    if not known:
        return text
    differ = sum(p <= alpha for p in known)
    pairs = words.plural(len(known), "trained network")
    verb = "differs" if differ == 1 else "differ"
    return f"{text} Of {pairs}, {differ or 'none'} detectably {verb} from the baseline's."


def _control(effects: Sequence[Effect], measure: Measure) -> str:
    """Whether the baseline against itself under other seeds stayed silent."""
    controls = [own for own in effects[1:] if own.kind == "control" and own.method]
    if not controls:
        return ""
    loud = [own for own in controls if own.verdict in ("better", "worse")]
    if loud:
        return " The A/A control, the baseline against itself under other seeds, differs: do not trust these verdicts."
    if any(own.verdict == "unstable" for own in controls):
        return " The A/A control, the baseline against itself under other seeds, is unstable."
    return " The A/A control, the baseline against itself under other seeds, stayed silent."
