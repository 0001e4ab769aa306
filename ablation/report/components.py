"""What a factorial shows of its components, in sentences: their effects, their interactions, their shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ablation._util.formatting import MINUS
from ablation._util.language import commas, shortened, tr, tr_noop
from ablation.analysis import Analysis, Factorial, FactorialEffect, Measure
from ablation.analysis.verdicts import p_value


def sentences(analysis: Analysis) -> Iterator[str]:
    """Everything that is said of a factorial; nothing for another design, or before there is a result."""
    found = analysis.factorial
    if not found or not analysis.facts.done:
        return
    if not found.effects:
        yield tr("The effects of the components are not tested: {reason}.", reason=found.reason)
        return
    if len(found.seeds) == 2:
        yield tr("Two seeds: what follows is tentative.")
    yield from _main_effects(found.of(1), analysis.measure)
    yield from _interactions(found, analysis.measure)
    yield from _higher(found, analysis.measure)
    yield _shares(found, analysis.measure)


def joined(own: FactorialEffect) -> str:
    """The components of an effect, as `norm × dropout`."""
    return " \u00d7 ".join(own.components)


def without_and_with(found: Factorial, own: FactorialEffect) -> tuple[float, float]:
    """The effect of the first of two components where the second is off, and where it is on."""
    main = next(one.estimate for one in found.of(1) if one.components == own.components[:1])
    return main - own.estimate / 2, main + own.estimate / 2


def verdict(own: FactorialEffect, measure: Measure) -> str:
    """What an interaction is called."""
    if not own.detected:
        return tr("none shown")
    if len(own.components) > 2:
        return tr("interact")
    return tr("reinforce each other") if own.estimate * measure.sign > 0 else tr("interfere with each other")


def _main_effects(effects: Sequence[FactorialEffect], measure: Measure) -> Iterator[str]:
    clear, unclear = _parted(effects)
    if clear:
        named = [tr("{variant} ({notes})", variant=joined(own), notes=_sized(own, measure)) for own in clear]
        yield tr(
            "Averaged over the other components, {metric} changes with {components}.",
            metric=measure.name,
            components=commas(named),
        )
    if unclear:
        yield tr(
            "No main effect of {components} is shown: at most {size} either way.",
            components=commas([joined(own) for own in unclear]),
            size=measure.size(_largest(unclear)),
        )


def _interactions(found: Factorial, measure: Measure) -> Iterator[str]:
    clear, unclear = _parted(found.of(2))
    for own in clear:
        without, beside = without_and_with(found, own)
        first, second = own.components
        values = {
            "first": first,
            "second": second,
            "metric": measure.name,
            "beside": measure.difference(beside),
            "without": measure.difference(without) + measure.unit,
            "figures": _figures(own, measure),
        }
        if own.estimate * measure.sign > 0:
            yield tr(
                "{first} and {second} reinforce each other: {first} changes {metric} by {beside} with {second} and by "
                "{without} without it (interaction {figures}).",
                **values,
            )
        else:
            yield tr(
                "{first} and {second} interfere with each other: {first} changes {metric} by {beside} with {second} "
                "and by {without} without it (interaction {figures}).",
                **values,
            )
    if unclear:
        yield tr(
            "No interaction of {pairs} is shown: at most {size} either way; that does not show that they add up.",
            pairs=shortened([joined(own) for own in unclear]),
            size=measure.size(_largest(unclear)),
        )


def _higher(found: Factorial, measure: Measure) -> Iterator[str]:
    """Interactions of three components and more."""
    clear, unclear = _parted([own for own in found.effects if len(own.components) > 2])
    for own in clear:
        yield tr(
            "{components} interact: how two of them interact depends on the others (interaction {figures}).",
            components=joined(own),
            figures=_figures(own, measure),
        )
    if unclear:
        text = (
            tr_noop("No other interaction of three or more components is shown: at most {size} either way.")
            if clear
            else tr_noop("No interaction of three or more components is shown: at most {size} either way.")
        )
        yield tr(text, size=measure.size(_largest(unclear)))


def _shares(found: Factorial, measure: Measure) -> str:
    """How the difference between everything on and nothing on is shared out."""
    estimate, low, high = found.total or (0.0, 0.0, 0.0)
    values = {
        "metric": measure.name,
        "total": f"{measure.difference(estimate)}{measure.unit} {measure.interval(low, high)}",
    }
    if any(own.share is None for own in found.values):
        return tr(
            "From nothing on to everything on, {metric} changes by {total}, which is not clearly different from 0: its "
            "components have no shares.",
            **values,
        )
    shares = [f"{own.component} {share(own.share)}" for own in found.values if own.share]
    return tr(
        "From nothing on to everything on, {metric} changes by {total}; the Shapley shares are {shares}.",
        shares=commas(shares),
        **values,
    )


def share(own: tuple[float, float, float]) -> str:
    """As `60 % [45, 78]`."""
    value, low, high = (f"{round(100 * end)}".replace("-", MINUS) for end in own)
    return tr("{value} % [{low}, {high}]", value=value, low=low, high=high)


def _parted(effects: Sequence[FactorialEffect]) -> tuple[list[FactorialEffect], list[FactorialEffect]]:
    """Those that are detected, and the others."""
    return [own for own in effects if own.detected], [own for own in effects if not own.detected]


def _largest(effects: Sequence[FactorialEffect]) -> float:
    """The end of their intervals that is farthest from 0."""
    return max(max(-own.low, own.high) for own in effects)


def _sized(own: FactorialEffect, measure: Measure) -> str:
    return f"{measure.difference(own.estimate)} {measure.interval(own.low, own.high)}{measure.unit}"


def _figures(own: FactorialEffect, measure: Measure) -> str:
    return tr(
        "{difference} {interval}, p {p}",
        difference=measure.difference(own.estimate) + measure.unit,
        interval=measure.interval(own.low, own.high),
        p=p_value(own.p),
    )
