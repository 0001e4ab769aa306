"""What can be claimed, as the report words it: warnings by kind, notes in the rows, sentences on trends and pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ablation.report.captions as captions
from ablation._util import formatting
from ablation.analysis import Analysis, Confound, DataCurve, Effect, Interaction, TrendTest
from ablation.analysis.measure import Measure
from ablation.analysis.verdicts import p_value
from ablation.analysis.warnings import entry
from ablation.analysis.warnings.fairness import in_words
from ablation.report.blocks import Finding

_MARKS = {
    "no_effect": "without effect",
    "undertrained": "undertrained",
    "at_ceiling": "at the ceiling",
    "unequal_budget": "unequal budget",
    "unequal_size": "unequal size",
    "unequal_time": "unequal time",
    "undeclared_change": "undeclared change",
    "unequal_spread": "unequal spread",
    "baseline_spread": "unstable",
    "control_differs": "control differs",
    "exploratory": "exploratory",
    "unstable_evaluation": "evaluation not deterministic",
    "augmented_validation": "validation images changed",
    "leaked_normalisation": "normalisation leaked",
    "duplicate_images": "duplicate images",
    "mixed_settings": "mixed settings",
}
"""The warnings that are shown in the row of their variant; missing and diverged runs are described there anyway."""


def findings(analysis: Analysis) -> tuple[Finding, ...]:
    """The warnings by kind."""
    found: dict[str, list[str]] = {}
    hints: dict[str, str] = {}
    for own in analysis.warnings:
        found.setdefault(own.code, []).append(own.message)
        hints.setdefault(own.code, own.hint)
    return tuple(Finding(code, entry(code).title, tuple(messages), hints[code]) for code, messages in found.items())


def all_clear(analysis: Analysis) -> str:
    """What was checked, for a study without any warning."""
    if not analysis.setup.recipe:
        return (
            "Checked for missing and diverged runs and unequal spread: none found. Nothing else is known about these "
            "runs."
        )
    if not analysis.setup.image:
        return (
            "Checked for missing and diverged runs, unequal time of runs trained side by side, unequal spread over "
            "seeds, changes of code and machines, and variants and seeds added later: none found."
        )
    return (
        "None of the checks found anything: budget, size and time of every variant, missing and diverged runs, chance "
        "and ceiling, training that was too short, changes without effect, spread over seeds, code and machines, data, "
        "variants and seeds added later, and use of the test set."
    )


def marks(analysis: Analysis, variant: str) -> tuple[tuple[str, str], ...]:
    """The warnings of one variant in a word or two, each with its code."""
    codes = dict.fromkeys(own.code for own in analysis.warnings if own.variant == variant)
    return tuple((code, _MARKS[code]) for code in codes if code in _MARKS)


def beside(effect: Effect) -> str:
    """What comes with the change, and what else differs, in short: budget and size, or else the time."""
    calm = [own for own in effect.confounds if own.declared]
    other = [own for own in effect.confounds if not own.declared]
    parts = [f"{word} {_short(found)}" for word, found in (("comes with", calm), ("also", other)) if found]
    return "; ".join(parts)


def _short(found: Sequence[Confound]) -> str:
    telling = [own for own in found if own.quantity != "time"] or found
    return ", ".join(in_words(own, amounts=False) for own in telling)


def interactions(analysis: Analysis) -> Iterator[str]:
    """A sentence on each pair of changes."""
    for own in analysis.interactions:
        yield _interaction(own, analysis.measure)


def _interaction(own: Interaction, measure: Measure) -> str:
    names = f"{own.parts[0]} and {own.parts[1]}"
    if own.p is None:
        return f"Interaction of {names}: too few runs for a test."
    figures = (
        f"{measure.difference(own.estimate)}{measure.unit} {measure.interval(own.low, own.high)}, p {p_value(own.p)}"
    )
    if own.detected:
        more = "more" if own.estimate * measure.sign > 0 else "less"
        return f"{names} interact: together they gain {more} than the sum of their separate effects ({figures})."
    return f"No interaction of {names} detected ({figures}); that does not show that they add up."


def trends(analysis: Analysis) -> Iterator[str]:
    """A sentence on each numeric sweep, and on the data curve."""
    for own in analysis.trends:
        yield _trend(own, analysis)
    if analysis.data_curve:
        yield _curve(analysis.data_curve, analysis.measure, analysis.alpha)
    elif any(sweep.path == "data.fraction" for sweep in analysis.sweeps):
        yield "Data fraction: a curve needs at least four fractions with three seeds each, without diverged runs."


def _trend(own: TrendTest, analysis: Analysis) -> str:
    measure, alpha = analysis.measure, analysis.alpha
    span = f"from {formatting.value(own.levels[0])} to {formatting.value(own.levels[-1])}"
    if own.rise is None:
        return f"{captions.first_up(own.name)}, {span}: too few runs for a trend."
    rise, low, high, p = own.rise
    shown = f"{measure.difference(rise)}{measure.unit} {measure.interval(low, high)} over the range, p {p_value(p)}"
    found = f"{measure.name} {'rises' if rise > 0 else 'falls'}" if p <= alpha else "no linear trend detected"
    text = f"{captions.first_up(own.name)}, {span}: {found} ({shown}); {_bow(own, analysis)}"
    if own.page_p is not None:
        text += f". Page's rank test: p {p_value(own.page_p)}"
    if own.left_out:
        text += f". Left out as unstable: {', '.join(formatting.value(level) for level in own.left_out)}"
    return text + "."


def _bow(own: TrendTest, analysis: Analysis) -> str:
    if own.bow is None:
        return "no test of curvature"
    bow, low, high, p = own.bow
    measure = analysis.measure
    if p > analysis.alpha:
        return f"no curvature detected (p {p_value(p)})"
    where = "above" if bow > 0 else "below"
    interval = measure.interval(low, high)
    return f"curved: halfway it is {measure.size(bow)} {where} the straight line {interval} (p {p_value(p)})"


def _curve(law: DataCurve, measure: Measure, alpha: float) -> str:
    """The power law in words; what sits on a bound of the fit is named."""
    unit = " %" if measure.share else ""
    level = f"{100 * (1 - alpha):g} %"

    def amount(value: tuple[float, float, float]) -> str:
        own = [max(0.0, x) for x in value]
        return f"{measure.value(own[0])}{unit} [{measure.value(own[1])}, {measure.value(own[2])}]"

    floor = (
        "the floor c is at the bound of the fit: these data do not determine it"
        if "c" in law.on_bound
        else f"floor c = {amount(law.c)}"
    )
    exponent = "is at its bound" if "b" in law.on_bound else f"= {law.b[0]:.2f} [{law.b[1]:.2f}, {law.b[2]:.2f}]"
    miss = f"The curve misses the mean error by up to {measure.size(law.miss)} (at {formatting.value(law.miss_at)})"
    double = f"{miss}. Twice the data would be expected to bring it to {amount(law.double)}; not extrapolated further"
    of = "error" if measure.share else measure.name
    return (
        f"Data fraction: {of} = a f^\u2212b + c, fitted to {len(law.fractions)} fractions and {law.n} seeds, with "
        f"{level} intervals: exponent b {exponent}, {floor}. {double}."
    )
