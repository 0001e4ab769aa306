"""What was run and what state it is in, as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import ablation._util.counted as counted
from ablation._util.language import clauses, commas, sentences, tr, tr_noop, trn
from ablation.analysis import Analysis, Effect, Facts
from ablation.report.captions import baseline
from ablation.storage.manifest import Manifest

_MOST_LISTED = 12


def summary(analysis: Analysis, manifest: Manifest) -> str:
    """What was run and what state it is in, in one sentence."""
    done = state(analysis.facts) if manifest.baseline.recipe else found(analysis.facts)
    return tr("{what}: {state}.", what=_compared(analysis, manifest), state=done)


def _compared(analysis: Analysis, manifest: Manifest) -> str:
    """The variants, the baseline and the number of seeds."""
    base, seeds = baseline(analysis, manifest), counted.seeds(len(manifest.seeds))
    changes = [effect for effect in analysis.variants if effect.kind != "control"]
    if not manifest.baseline.recipe:
        variants = counted.variants(len(changes))
        return tr("{variants} against the baseline under {seeds}", variants=variants, seeds=seeds)
    if not analysis.variants:
        return tr("The baseline alone{baseline} is trained under {seeds}", baseline=base, seeds=seeds)
    if not changes:
        return tr("The baseline{baseline} against itself (A/A control), under {seeds}", baseline=base, seeds=seeds)
    variants, controls = _changed(changes, base), len(analysis.variants) - len(changes)
    if not controls:
        return tr("{variants}, under {seeds}", variants=variants, seeds=seeds)
    control = trn("{n:,} A/A control", "{n:,} A/A controls", controls)
    return tr("{variants}, and {controls}, under {seeds}", variants=variants, controls=control, seeds=seeds)


def _changed(changes: Sequence[Effect], base: str) -> str:
    """How many variants there are, and in how much they differ from the baseline."""
    number, combined = len(changes), sum(effect.kind == "combine" for effect in changes)
    if number == 1 and combined:
        return tr("1 variant, with several changes together, against the baseline{baseline}", baseline=base)
    if number == 1:
        return tr("1 variant, one change away from the baseline{baseline}", baseline=base)
    if not combined:
        return tr("{number:,} variants, each one change away from the baseline{baseline}", number=number, baseline=base)
    return tr(
        "{number:,} variants, {combined} with several changes together, against the baseline{baseline}",
        number=number,
        combined=combined,
        baseline=base,
    )


def _counted(counts: Iterable[tuple[int, str]]) -> str:
    """The numbers that are not zero, each in its message."""
    return commas([tr(message, number=number) for number, message in counts if number])


def state(facts: Facts) -> str:
    """How far the study is."""
    runs, done, diverged = counted.runs(facts.runs), facts.done, facts.diverged
    if not done:
        return tr("none of the {runs} has finished yet", runs=runs)
    if not facts.open and diverged:
        return tr("all {runs} done, {diverged} of them diverged", runs=runs, diverged=diverged)
    if not facts.open:
        return tr("all {runs} finished", runs=runs)
    if diverged:
        return tr(
            "{done:,} of {runs} done so far, {diverged} of them diverged", done=done, runs=runs, diverged=diverged
        )
    return tr("{done:,} of {runs} done so far", done=done, runs=runs)


def found(facts: Facts) -> str:
    """What a table from elsewhere has."""
    runs, finished = counted.runs(facts.runs), facts.finished
    lost = _counted([(facts.diverged, tr_noop("{number:,} diverged")), (facts.crashed, tr_noop("{number:,} crashed"))])
    if lost:
        return tr("{finished:,} of {runs} have a value, {lost}", finished=finished, runs=runs, lost=lost)
    if facts.interrupted + facts.missing:
        return tr("{finished:,} of {runs} have a value", finished=finished, runs=runs)
    return runs


def not_in_table(facts: Facts) -> str:
    """What is missing in a table from elsewhere."""
    counts = (
        (facts.missing, tr_noop("{number:,} without a value")),
        (facts.interrupted, tr_noop("{number:,} interrupted")),
        (facts.crashed, tr_noop("{number:,} crashed")),
    )
    return tr(
        "Of {runs}: {counts}. The results below are based on the other {done:,}.",
        runs=counted.runs(facts.runs),
        counts=_counted(counts),
        done=facts.done,
    )


def still_open(facts: Facts) -> str:
    """What is missing of an unfinished study."""
    counts = (
        (facts.missing, tr_noop("{number:,} not started")),
        (facts.interrupted, tr_noop("{number:,} interrupted")),
        (facts.crashed, tr_noop("{number:,} crashed")),
        (facts.damaged, tr_noop("{number:,} damaged")),
    )
    todo = tr(
        "{open:,} of {runs} still to do: {counts}.",
        open=facts.open,
        runs=counted.runs(facts.runs),
        counts=_counted(counts),
    )
    if not facts.done:
        return sentences([todo, tr("Nothing has been measured yet.")])
    return sentences([todo, tr("The results below are based on the {done:,} that are done.", done=facts.done)])


def not_started(analysis: Analysis) -> str:
    """The runs that have not begun, variant by variant where they are few."""
    waiting: dict[str, list[str]] = {}
    for run in analysis.problem_runs:
        if run.status == "missing":
            waiting.setdefault(run.variant, []).append(str(run.seed))
    if not waiting:
        return ""
    runs = counted.runs(analysis.facts.missing)
    what = tr("Not started yet") if analysis.setup.recipe else tr("Without a value")
    if len(waiting) > _MOST_LISTED or analysis.facts.missing == analysis.facts.runs:
        return tr("{what}: {runs}; the table of variants says how many of each.", what=what, runs=runs)
    each = [
        tr("{variant} (seed {seeds})", variant=variant, seeds=commas(numbers)) for variant, numbers in waiting.items()
    ]
    return tr("{what}: {runs}: {each}.", what=what, runs=runs, each=clauses(each))


def state_of(effect: Effect, trained_here: bool = True) -> str:
    """What a reader must know of the n of a variant, or nothing where all its seeds finished."""
    parts = [_survivors(effect) if effect.n else _failed(effect)] if effect.failed else []
    if effect.crashed:
        parts.append(tr("{number} crashed", number=effect.crashed))
    if effect.unfinished:
        parts.append(_unfinished(effect, trained_here))
    return clauses(parts)


def _survivors(effect: Effect) -> str:
    n, ended = effect.n, effect.ended
    if effect.at_chance:
        return tr("conditional: mean of the {n} of {ended} that were above chance", n=n, ended=ended)
    return tr("conditional: mean of the {n} of {ended} that did not diverge", n=n, ended=ended)


def _failed(effect: Effect) -> str:
    counts = (
        (effect.diverged, tr_noop("{number} of {ended} diverged")),
        (effect.at_chance, tr_noop("{number} of {ended} at chance")),
    )
    return commas([tr(message, number=number, ended=effect.ended) for number, message in counts if number])


def _unfinished(effect: Effect, trained_here: bool) -> str:
    number = effect.unfinished
    if number == len(effect.runs):
        return tr("not finished yet") if trained_here else tr("without a value")
    if trained_here:
        return tr("{number} not finished yet", number=number)
    return tr("{number} without a value", number=number)
