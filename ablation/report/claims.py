"""What can be claimed, as the report words it: warnings by kind, notes in the rows, sentences on trends and pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ablation.report.captions as captions
from ablation._util import formatting
from ablation._util.language import clauses, commas, sentences, tr, tr_noop
from ablation.analysis import Analysis, Confound, DataCurve, Effect, Interaction, TrendTest
from ablation.analysis.measure import Measure
from ablation.analysis.verdicts import p_value
from ablation.analysis.warnings import entry
from ablation.analysis.warnings.fairness import in_words
from ablation.report.blocks import Finding

_MARKS = {
    "no_effect": tr_noop("without effect"),
    "undertrained": tr_noop("undertrained"),
    "at_ceiling": tr_noop("at the ceiling"),
    "unequal_budget": tr_noop("unequal budget"),
    "unequal_size": tr_noop("unequal size"),
    "unequal_time": tr_noop("unequal time"),
    "undeclared_change": tr_noop("undeclared change"),
    "unequal_spread": tr_noop("unequal spread"),
    "baseline_spread": tr_noop("unstable"),
    "control_differs": tr_noop("control differs"),
    "exploratory": tr_noop("exploratory"),
    "unstable_evaluation": tr_noop("evaluation not deterministic"),
    "augmented_validation": tr_noop("validation images changed"),
    "leaked_normalisation": tr_noop("normalisation leaked"),
    "duplicate_images": tr_noop("duplicate images"),
    "mixed_settings": tr_noop("mixed settings"),
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
        return tr(
            "Checked for missing and diverged runs and unequal spread: none found. Nothing else is known about these "
            "runs."
        )
    if not analysis.setup.image:
        return tr(
            "Checked for missing and diverged runs, unequal time of runs trained side by side, unequal spread over "
            "seeds, changes of code and machines, and variants and seeds added or dropped later: none found."
        )
    return tr(
        "None of the checks found anything: budget, size and time of every variant, missing and diverged runs, chance "
        "and ceiling, training that was too short, changes without effect, spread over seeds, code and machines, data, "
        "variants and seeds added or dropped later, and use of the test set."
    )


def marks(analysis: Analysis, variant: str) -> tuple[tuple[str, str], ...]:
    """The warnings of one variant in a word or two, each with its code."""
    codes = dict.fromkeys(own.code for own in analysis.warnings if own.variant == variant)
    return tuple((code, tr(_MARKS[code])) for code in codes if code in _MARKS)


def beside(effect: Effect) -> str:
    """What comes with the change, and what else differs, in short: budget and size, or else the time."""
    calm = _short([own for own in effect.confounds if own.declared])
    other = _short([own for own in effect.confounds if not own.declared])
    return clauses([tr("comes with {what}", what=calm) if calm else "", tr("also {what}", what=other) if other else ""])


def _short(found: Sequence[Confound]) -> str:
    telling = [own for own in found if own.quantity != "time"] or found
    return commas([in_words(own, amounts=False) for own in telling])


def interactions(analysis: Analysis) -> Iterator[str]:
    """A sentence on each pair of changes."""
    for own in analysis.interactions:
        yield _interaction(own, analysis.measure)


def _interaction(own: Interaction, measure: Measure) -> str:
    first, second = own.parts
    if own.p is None:
        return tr("Interaction of {first} and {second}: too few runs for a test.", first=first, second=second)
    found = tr(
        "{difference} {interval}, p {p}",
        difference=measure.difference(own.estimate) + measure.unit,
        interval=measure.interval(own.low, own.high),
        p=p_value(own.p),
    )
    values = {"first": first, "second": second, "figures": found}
    if not own.detected:
        return tr(
            "No interaction of {first} and {second} detected ({figures}); that does not show that they add up.",
            **values,
        )
    if own.estimate * measure.sign > 0:
        return tr(
            "{first} and {second} interact: together they gain more than the sum of their separate effects "
            "({figures}).",
            **values,
        )
    return tr(
        "{first} and {second} interact: together they gain less than the sum of their separate effects ({figures}).",
        **values,
    )


def trends(analysis: Analysis) -> Iterator[str]:
    """A sentence on each numeric sweep, and on the data curve."""
    for own in analysis.trends:
        yield _trend(own, analysis)
    if analysis.data_curve:
        yield _curve(analysis.data_curve, analysis.measure, analysis.alpha)
    elif any(sweep.path == "data.fraction" for sweep in analysis.sweeps):
        yield tr("Data fraction: a curve needs at least four fractions with three seeds each, without diverged runs.")


def _trend(own: TrendTest, analysis: Analysis) -> str:
    measure, levels = analysis.measure, [formatting.value(level) for level in own.levels]
    span = {"option": captions.first_up(own.name), "low": levels[0], "high": levels[-1]}
    if own.rise is None:
        return tr("{option}, from {low} to {high}: too few runs for a trend.", **span)
    rise, low, high, p = own.rise
    shown = tr(
        "{difference} {interval} over the range, p {p}",
        difference=measure.difference(rise) + measure.unit,
        interval=measure.interval(low, high),
        p=p_value(p),
    )
    values = span | {"metric": measure.name, "figures": shown, "bow": _bow(own, analysis)}
    if p <= analysis.alpha and rise > 0:
        line = tr("{option}, from {low} to {high}: {metric} rises ({figures}); {bow}.", **values)
    elif p <= analysis.alpha:
        line = tr("{option}, from {low} to {high}: {metric} falls ({figures}); {bow}.", **values)
    else:
        line = tr("{option}, from {low} to {high}: no linear trend detected ({figures}); {bow}.", **values)
    ranks = tr("Page's rank test: p {p}.", p=p_value(own.page_p)) if own.page_p is not None else ""
    out = commas([formatting.value(level) for level in own.left_out])
    return sentences([line, ranks, tr("Left out as unstable: {levels}.", levels=out) if out else ""])


def _bow(own: TrendTest, analysis: Analysis) -> str:
    if own.bow is None:
        return tr("no test of curvature")
    bow, low, high, p = own.bow
    measure = analysis.measure
    if p > analysis.alpha:
        return tr("no curvature detected (p {p})", p=p_value(p))
    values = {"size": measure.size(bow), "interval": measure.interval(low, high), "p": p_value(p)}
    if bow > 0:
        return tr("curved: halfway it is {size} above the straight line {interval} (p {p})", **values)
    return tr("curved: halfway it is {size} below the straight line {interval} (p {p})", **values)


def _curve(law: DataCurve, measure: Measure, alpha: float) -> str:
    """The power law in words; what sits on a bound of the fit is named."""
    floor = (
        tr("the floor c is at the bound of the fit: these data do not determine it")
        if "c" in law.on_bound
        else tr("floor c = {amount}", amount=_amount(law.c, measure))
    )
    b, low, high = law.b
    exponent = (
        tr("exponent b is at its bound")
        if "b" in law.on_bound
        else tr("exponent b = {b:.2f} [{low:.2f}, {high:.2f}]", b=b, low=low, high=high)
    )
    fit = tr(
        "Data fraction: {quantity} = a f^\u2212b + c, fitted to {fractions} fractions and {seeds} seeds, with "
        "{level:g} % intervals: {exponent}, {floor}.",
        quantity=tr("error") if measure.share else measure.name,
        fractions=len(law.fractions),
        seeds=law.n,
        level=100 * (1 - alpha),
        exponent=exponent,
        floor=floor,
    )
    miss = tr(
        "The curve misses the mean error by up to {size} (at {fraction}).",
        size=measure.size(law.miss),
        fraction=formatting.value(law.miss_at),
    )
    double = tr(
        "Twice the data would be expected to bring it to {amount}; not extrapolated further.",
        amount=_amount(law.double, measure),
    )
    return sentences([fit, miss, double])


def _amount(value: tuple[float, float, float], measure: Measure) -> str:
    """An error with its interval, none of them below zero."""
    own, low, high = (measure.value(max(0.0, x)) for x in value)
    if measure.share:
        return tr("{value} % [{low}, {high}]", value=own, low=low, high=high)
    return f"{own} [{low}, {high}]"
