"""What a program is told of a study: one word for each variant, read off its simultaneous interval alone.

Every word is true whenever the interval holds the true difference, so that no more can go wrong with all of them
together than with the intervals: at most alpha, whatever is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ablation._util.formatting import plural
from ablation.analysis.measure import Measure
from ablation.analysis.types import Effect

Outcome = Literal["better", "not_worse", "equivalent", "undecided", "worse"]
SCHEMA_VERSION = 1
"""Of the JSON line; raised when a key changes its meaning."""
_DECIDES: tuple[Outcome, ...] = ("worse", "undecided", "equivalent", "not_worse", "better")
"""The outcome that decides where variants differ comes first."""


@dataclass(frozen=True)
class Margins:
    """The differences that do not matter, in the unit of the metric as stored; None for none.

    With `not_worse_by` a variant passes that is worse by less than that; `equivalent` holds in both directions.
    """

    equivalent: float | None = None
    not_worse_by: float | None = None

    @property
    def chosen(self) -> float | None:
        """The one that counts."""
        return self.equivalent if self.not_worse_by is None else self.not_worse_by


@dataclass(frozen=True)
class JudgedVariant:
    """The outcome for one variant and why, with what it rests on: see `Effect`. None where nothing was tested."""

    variant: str
    verdict: Outcome
    reason: str
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    seeds: int = 0


@dataclass(frozen=True)
class Judgement:
    """What a use of `ablate verdict` comes to. Metrics are in their own unit, shares as fractions of 1.

    The worst of `variants` decides. `use`, the number of the use in the ledger, and `level`, at which it was judged,
    are None where the results were not looked at. `seeds_reused` counts the seeds that earlier uses rested on too.
    """

    study: str
    metric: str
    direction: str
    unit: str
    margin: float | None
    alpha: float
    ledger: str
    variants: tuple[JudgedVariant, ...]
    use: int | None = None
    uses: int | None = None
    level: float | None = None
    seeds_reused: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def deciding(self) -> JudgedVariant:
        """The first variant with the outcome that decides."""
        return min(self.variants, key=lambda own: _DECIDES.index(own.verdict))

    @property
    def verdict(self) -> Outcome:
        return self.deciding.verdict

    def to_json(self) -> dict[str, Any]:
        """Plain values: first those of the variant that decides, last each variant."""
        own = asdict(self)
        own |= {"variants": [asdict(each) for each in self.variants], "warnings": list(self.warnings)}
        return {"schema_version": SCHEMA_VERSION, **asdict(self.deciding), **own}


def outcome(worst: float, best: float, margins: Margins) -> Outcome:
    """What the interval [worst, best] of an improvement shows."""
    if worst > 0:
        return "better"
    if margins.not_worse_by is not None and worst > -margins.not_worse_by:
        return "not_worse"
    if best < 0:
        return "worse"
    if margins.not_worse_by is None and margins.equivalent is not None and max(-worst, best) < margins.equivalent:
        return "equivalent"
    return "undecided"


def judge_effects(effects: Sequence[Effect], measure: Measure, margins: Margins) -> tuple[JudgedVariant, ...]:
    """The outcome for each variant but the controls; `effects` have their verdicts, the baseline first."""
    doubt = _doubt(effects)
    variants = [own for own in effects[1:] if own.kind != "control"]
    if doubt:
        return tuple(_judged(own, "undecided", doubt) for own in variants)
    return tuple(_judge(own, measure, margins) for own in variants)


def _doubt(effects: Sequence[Effect]) -> str:
    """Why no variant can be judged; empty where they can."""
    baseline = effects[0]
    if baseline.failed:
        return f"{baseline.failed} of {plural(baseline.ended, 'run')} of the baseline diverged or ended at chance"
    if any(own.kind == "control" and own.verdict in ("better", "worse") for own in effects[1:]):
        return "the A/A control, the baseline against itself under other seeds, differs"
    return ""


def _judge(own: Effect, measure: Measure, margins: Margins) -> JudgedVariant:
    if own.verdict == "identical" and own.pairs > 1:
        return _judged(own, "equivalent" if margins.not_worse_by is None else "not_worse", own.words)
    if own.verdict in ("identical", "unstable", "no_claim") or own.low is None or own.high is None:
        return _judged(own, "undecided", own.words)
    worst, best = sorted((measure.sign * own.low, measure.sign * own.high))
    found = outcome(worst, best, margins)
    return _judged(own, found, _reason(own, found, measure, margins))


def _judged(own: Effect, found: Outcome, reason: str) -> JudgedVariant:
    return JudgedVariant(own.variant, found, reason, own.difference, own.low, own.high, own.p, own.pairs)


def _reason(own: Effect, found: Outcome, measure: Measure, margins: Margins) -> str:
    """The words of the report where they say the same, and else the interval."""
    if found in ("better", "worse", "equivalent") and own.verdict == found:
        return own.words
    if found == "undecided" and own.verdict == "not_detected" and margins.not_worse_by is None:
        return own.words
    measured = f"{measure.difference(own.difference)} {measure.interval(own.low, own.high)}{measure.unit}"
    if margins.not_worse_by is None:
        return f"the interval decides: {measured}"
    allowed = measure.size(margins.not_worse_by)
    return f"{'not worse' if found == 'not_worse' else 'not shown to be not worse'} by {allowed}: {measured}"
