"""What a few runs of a function or a command show of its code: functions of the metrics that they reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from ablation._util.formatting import plural
from ablation.registry.catalog import nearest
from ablation.registry.metric_names import guess, of_machine, words
from ablation.storage.audit_file import Check, Level

Series = Mapping[str, tuple[float | None, ...]]
"""Metric -> its values in one run in the order of its rows, the result of the run last; None for NaN."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SMALL = 0.1
"""Of the difference between two seeds: what one seed may differ from itself before its pairs count as broken."""
_SUMMARY = _words("best final last max min mean avg average epoch overall total ema")
"""Words that do not make another metric: `best_val_accuracy` may be `val_accuracy`."""


def compared(series: Series, declared: Sequence[str]) -> dict[str, tuple[float | None, ...]]:
    """What must repeat: declared metrics and all that are losses or scores by their names, but for timings."""
    return {
        name: values
        for name, values in series.items()
        if not of_machine(name) and (name in declared or guess(name).minimized or guess(name).unit == "share")
    }


def same(first: Series, second: Series, declared: Sequence[str]) -> bool:
    """Whether two runs reported the same to the last bit."""
    return compared(first, declared) == compared(second, declared)


def declared_metrics(first: Series, declared: Sequence[str]) -> Iterator[Check]:
    """Whether the baseline reports what the study declares."""
    lacking = [name for name in declared if name not in first]
    for name in lacking:
        reported = f"reported are {', '.join(first)}" if first else "nothing is reported"
        close = nearest(name, first)
        hint = f"did you mean {close}?" if close else "log it, or take it out of metrics"
        yield Check("metrics", "fault", f"{name} is declared and not reported; {reported}", hint)
    if not lacking:
        what = "the declared metric is" if len(declared) == 1 else f"all {len(declared)} declared metrics are"
        yield Check("metrics", "ok", f"{what} reported")


def reproducible(
    first: Series, again: Sequence[Series], other: Series | None, declared: Sequence[str], seed: int
) -> Check:
    """Whether one seed gave the same each time; `other` is a run under another seed, the measure of a difference."""
    apart = [own for own in again if not same(first, own, declared)]
    if not apart:
        return Check("reproducible", "ok", f"seed {seed} gives the same metrics twice")
    one, theirs = compared(first, declared), compared(other, declared) if other else {}
    found: dict[str, tuple[str, float]] = {}
    for two in (compared(own, declared) for own in apart):
        for name in {**one, **two}:
            if one.get(name) != two.get(name):
                size = _difference(name, one.get(name, ()), two.get(name, ()), theirs.get(name, ()))
                found[name] = max(size, found.get(name, size), key=lambda own: own[1])
    sizes = "; ".join(text for text, _ in [found[name] for name in sorted(found, key=_first(declared))][:3])
    if all(share < SMALL for _, share in found.values()):
        message = f"seed {seed} does not give quite the same metrics twice: {sizes}"
        return Check("reproducible", "warning", message, "pairs by seed are a little weaker; the report says so")
    hint = "draw all that is random from the seed: shuffling, data workers, augmentation, dropout, initial weights"
    return Check("reproducible", "fault", f"seed {seed} does not give the same metrics twice: {sizes}", hint)


def _first(declared: Sequence[str]) -> Callable[[str], int]:
    """The order in which metrics are named: those that the study declares first."""
    return lambda name: declared.index(name) if name in declared else len(declared)


def _difference(
    name: str, mine: Sequence[float | None], again: Sequence[float | None], theirs: Sequence[float | None]
) -> tuple[str, float]:
    """By how much a metric differs between two runs of one seed, in words and as a share of that of two seeds."""
    if not mine or not again or len(mine) != len(again):
        return f"{name} has {plural(len(mine), 'value')}, then {len(again)}", 1.0
    gap = _largest(mine, again)
    spread = _largest(mine, theirs) if len(theirs) == len(mine) else None
    if gap is None:
        return f"{name} is not a number once", 1.0
    if spread is None:
        return f"{name} differs by {gap:.3g}", 1.0
    return f"{name} differs by {gap:.3g} (two seeds: by {spread:.3g})", gap / spread if spread else 1.0


def _largest(first: Sequence[float | None], second: Sequence[float | None]) -> float | None:
    """The largest difference over the rows of two runs; None where only one of them is a number."""
    pairs = list(zip(first, second, strict=True))
    if any((a is None) != (b is None) for a, b in pairs):
        return None
    return max((abs(a - b) for a, b in pairs if a is not None and b is not None), default=None)


def seed_used(runs: Mapping[int, Series], declared: Sequence[str], *, repeats: bool) -> Check:
    """Whether seeds give different metrics; `runs` has one for each seed, all of the baseline."""
    seeds = list(runs)
    differ = any(not same(runs[seeds[0]], runs[seed], declared) for seed in seeds[1:])
    if differ and not repeats:
        return Check("seed", "skipped", "whether the seed is used cannot be seen: one seed already gives two results")
    if differ:
        return Check("seed", "ok", f"seeds {_listing(seeds)} give different metrics")
    hint = "use it wherever something is random; where nothing is, one seed says all"
    return Check("seed", "fault", f"seeds {_listing(seeds)} give the same metrics: the seed is ignored", hint)


def options_used(
    pairs: Mapping[str, Sequence[tuple[Series, Series]]], declared: Sequence[str], smoke: str, *, repeats: bool
) -> Iterator[Check]:
    """Whether each variant changes something. `pairs` has its runs, each with the baseline of the same seed first.

    `smoke` says what cut the runs, where something did: an option may then act later only.
    """
    inert = [name for name, own in pairs.items() if all(same(*pair, declared) for pair in own)]
    for name in inert:
        message = f"{name} gives the metrics of the baseline: what it changes has no effect"
        hint = "does the option reach the code that it is meant to change?"
        if smoke:
            message, hint = (
                f"{message} in runs cut to {smoke}",
                f"{hint} It may act later only: --full tries whole runs",
            )
        yield Check("option", "warning" if smoke else "fault", message, hint)
    if pairs and not repeats and len(inert) < len(pairs):
        yield Check("option", "skipped", "whether options act cannot be seen: one seed already gives two results")
    elif pairs and not inert:
        what = "the variant changes" if len(pairs) == 1 else f"each of {len(pairs)} variants changes"
        yield Check("option", "ok", f"{what} the metrics")


def metrics_vary(runs: Sequence[Series], declared: Sequence[str], smoke: str) -> Iterator[Check]:
    """Metrics that are the same number in every row of every run."""
    found = []
    for name in declared:
        own = [run[name] for run in runs if name in run]
        values = {value for series in own for value in series}
        if len(own) > 1 and len(values) == 1:
            found.append(name)
            level: Level = "fault" if name == declared[0] and not smoke else "warning"
            shown = next(iter(values))
            what = f"{name} is {'not a number' if shown is None else f'{shown:.6g}'} in every run"
            hint = "is it measured after training, on the right data?" + (
                " Or are the runs too short?" if smoke else ""
            )
            yield Check("constant", level, what, hint)
    if not found and len(runs) > 1:
        yield Check("constant", "ok", "no declared metric is constant" if len(declared) > 1 else "the metric varies")


def metrics_differ(runs: Sequence[Series], declared: Sequence[str]) -> Iterator[Check]:
    """A declared metric that has the values of another one in every run: mostly that of another split."""
    names = dict.fromkeys(name for run in runs for name in run if not of_machine(name))
    found = False
    for one, two in combinations([*(n for n in declared if n in names), *(n for n in names if n not in declared)], 2):
        if one not in declared or not _equal(one, two, runs) or set(words(one)) ^ set(words(two)) <= _SUMMARY:
            continue
        found = True
        parts = guess(one).part, guess(two).part
        level: Level = "fault" if all(parts) and parts[0] != parts[1] else "warning"
        hint = "one of them is measured on the wrong data, or logged under two names"
        yield Check("split", level, f"{one} is the same as {two} in every run", hint)
    if not found and len(runs) > 1 and len(names) > 1:
        yield Check("split", "ok", "no two metrics are the same")


def _equal(one: str, two: str, runs: Sequence[Series]) -> bool:
    """Whether two metrics agree wherever either is reported, and are more than one number."""
    both = [(run.get(one), run.get(two)) for run in runs if one in run or two in run]
    values = {value for series, _ in both for value in series or ()}
    return len(both) > 1 and len(values) > 1 and all(first == second for first, second in both)


def _listing(seeds: Sequence[int]) -> str:
    return f"{', '.join(map(str, seeds[:-1]))} and {seeds[-1]}"
