"""Logged runs -> variants and seeds: which run is compared with which, and what else differs between them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ablation._util.formatting import plural
from ablation._util.hashing import sha256
from ablation.errors import UserError
from ablation.registry.catalog import suggestion
from ablation.results.foreign.logged import UNSET, Declared, LoggedRun, LoggedRuns

BASELINE = "baseline"
_MOST_LISTED = 12
_LONGEST = 50
_SEED = re.compile(r"[+-]?[0-9]{1,18}")

Combination = tuple[str, ...]
"""A value for each varied parameter, in the order of `Declared.vary`."""


@dataclass(frozen=True)
class Finding:
    """Something that a reader of the report has to know: the code of its warning, the variant that it is about."""

    code: str
    variant: str | None
    message: str


@dataclass(frozen=True)
class Matched:
    """Runs by variant and seed; the baseline is the first variant."""

    variants: Mapping[str, Combination]
    runs: Mapping[tuple[str, int], LoggedRun]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What was assumed or left out and threatens no comparison, in one line each."""

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({seed for _, seed in self.runs}))


def match(logged: LoggedRuns, declared: Declared) -> Matched:
    """Name the variants relative to the baseline, and find one run for each variant and seed.

    Raises UserError for a parameter or metric that no run has, for a seed that is no whole number, and where the
    baseline is not declared and cannot be inferred; the hint lists what there is.
    """
    _check_names(logged.runs, declared)
    seeded, unseeded = _seeds(logged.runs, declared.seed)
    combinations: dict[Combination, dict[int, list[LoggedRun]]] = {}
    for run, seed in seeded:
        own = tuple(run.parameters.get(name, UNSET) for name in declared.vary)
        combinations.setdefault(own, {}).setdefault(seed, []).append(run)
    if len(combinations) < 2:
        values = _in_words(declared.vary, next(iter(combinations)))
        raise UserError(f"all runs have {values}", "name by --vary what differs between the runs that you compare")
    base, why = _baseline(combinations, declared)
    parameters = list(dict.fromkeys(name for run, _ in seeded for name in run.parameters))
    parameters = [own for own in parameters if own not in (*declared.vary, declared.seed, *declared.ignore)]
    identifiers = _identifiers(parameters, [run for run, _ in seeded])
    compared = [name for name in parameters if name not in identifiers]
    names = _names(combinations, base, declared.vary)
    doubles: list[Finding] = []
    runs: dict[tuple[str, int], LoggedRun] = {}
    for combination, name in names.items():
        for seed, several in sorted(combinations[combination].items()):
            runs[name, seed] = _one_of(several, declared.metric)
            doubles += _doubles(name, seed, several, (declared.metric, compared))
    found = Matched({name: own for own, name in names.items()}, runs, (), ())
    findings = (*undeclared(found, compared), *doubles, *_states(found), *unseeded)
    own_values = [f"not compared, as every run has its own: {_listed(identifiers)}"] if identifiers else []
    base_words = f"the baseline is {_in_words(declared.vary, base)}{why}"
    notes = (base_words, *logged.notes, *own_values, *_notes(found, declared.metric), *_between_seeds(found, compared))
    return Matched(found.variants, runs, findings, notes)


def _check_names(runs: Sequence[LoggedRun], declared: Declared) -> None:
    """Raise UserError for a name that no run has."""
    if not runs:
        raise UserError("there are no runs", "is it the right experiment?")
    parameters = list(dict.fromkeys(name for run in runs for name in run.parameters))
    metrics = list(dict.fromkeys(name for run in runs for name in run.series))
    for option, name in (*(("--vary", own) for own in declared.vary), ("--seed", declared.seed)):
        if name not in parameters:
            raise UserError(f"{option} {name}: no run has this parameter", _known(name, parameters))
    if declared.metric not in metrics:
        raise UserError(f"--metric {declared.metric}: no run has this metric", _known(declared.metric, metrics))
    if declared.seed in declared.vary:
        raise UserError(f"{declared.seed} is both varied and the seed", "leave it out of --vary")


def _known(name: str, known: Sequence[str]) -> str:
    return suggestion(name, known) if known else "the runs have logged none"


def _seeds(runs: Iterable[LoggedRun], name: str) -> tuple[list[tuple[LoggedRun, int]], list[Finding]]:
    """The runs with their seeds, and what is said of those that have none."""
    seeded, without = [], []
    for run in runs:
        value = run.parameters.get(name, UNSET)
        if value in (UNSET, "none"):
            without.append(run.name)
        elif _SEED.fullmatch(value):
            seeded.append((run, int(value)))
        else:
            raise UserError(f"{name} is {value!r} in run {run.name}", "--seed names a parameter that is a whole number")
    if not seeded:
        raise UserError(f"no run has a value of {name!r}", "--seed names the parameter that holds the random seed")
    message = f"left out, as they have no {name}: {_listed(without)}"
    return seeded, [Finding("runs_left_out", None, message)] if without else []


def _listed(names: Sequence[str], separator: str = ", ") -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return separator.join(names[:_MOST_LISTED]) + more


def _in_words(names: Sequence[str], values: Combination) -> str:
    return ", ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))


def _baseline(combinations: Mapping[Combination, Mapping[int, object]], declared: Declared) -> tuple[Combination, str]:
    """The combination that the others are compared with, and how it was found."""
    if declared.baseline is not None:
        strange = [name for name in declared.baseline if name not in declared.vary]
        if strange:
            raise UserError(f"--baseline {strange[0]}: it is not varied", suggestion(strange[0], declared.vary))
        wanted = [declared.baseline.get(name) for name in declared.vary]
        fitting = [own for own in combinations if all(w in (None, v) for w, v in zip(wanted, own, strict=True))]
        if len(fitting) == 1:
            return fitting[0], ""
        what = "no run has" if not fitting else "several combinations have"
        text = ",".join(f"{name}={value}" for name, value in declared.baseline.items())
        raise UserError(f"{what} the values of --baseline {text}", _choices(combinations, declared.vary))
    centres = [own for own in combinations if all(_distance(own, other) < 2 for other in combinations)]
    if len(centres) == 1:
        return centres[0], ": each of the others differs from it in one parameter"
    sizes = sorted(((len(seeds), own) for own, seeds in combinations.items()), reverse=True)
    if sizes[0][0] >= 2 * sizes[1][0]:
        return sizes[0][1], ": it has by far the most runs"
    raise UserError("which combination is the baseline is not clear", _choices(combinations, declared.vary))


def _distance(first: Combination, second: Combination) -> int:
    return sum(a != b for a, b in zip(first, second, strict=True))


def _choices(combinations: Mapping[Combination, Mapping[int, object]], names: Sequence[str]) -> str:
    each = [
        f'"{_in_words(names, own).replace(", ", ",")}" ({plural(len(seeds), "seed")})'
        for own, seeds in sorted(combinations.items(), key=lambda own: [_sortable(value) for value in own[0]])
    ]
    return f"choose it by --baseline; there are {_listed(each)}"


def _sortable(value: str) -> tuple[int, float, str]:
    """Numbers in their order, then text."""
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value


def _names(combinations: Iterable[Combination], base: Combination, vary: Sequence[str]) -> dict[Combination, str]:
    """Each combination, the baseline first, with its name: what differs from the baseline, as `lr=0.01`."""

    def place(own: Combination) -> tuple[object, ...]:
        changed = [index for index, (a, b) in enumerate(zip(own, base, strict=True)) if a != b]
        return len(changed), changed, [_sortable(own[index]) for index in changed]

    names = {}
    for own in sorted(combinations, key=place):
        pairs = zip(vary, own, base, strict=True)
        names[own] = ", ".join(f"{name}={_brief(value)}" for name, value, at in pairs if value != at) or BASELINE
    return names


def _brief(value: str) -> str:
    """A value in a name: a long one is cut, with a hash that keeps different ones apart."""
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}...{sha256(value.encode())[:6]}"


def _one_of(several: Sequence[LoggedRun], metric: str) -> LoggedRun:
    """The run that counts: the latest that diverged, or finished with a value of the metric, or else the latest."""
    ended = [run for run in several if run.status == "diverged" or (run.status == "finished" and metric in run.series)]
    return (ended or several)[-1]


def _doubles(
    variant: str, seed: int, several: Sequence[LoggedRun], names: tuple[str, Sequence[str]]
) -> Iterator[Finding]:
    """What is said of several runs of one variant and seed. `names`: the metric, and the parameters to compare."""
    if len(several) == 1:
        return
    metric, compared = names
    chosen = _one_of(several, metric)
    differing = [name for name in compared if len({run.parameters.get(name, UNSET) for run in several}) > 1]
    how = f"; they differ in {_listed(differing)}: does --vary lack it?" if differing else ""
    which = _listed([run.name for run in several if run is not chosen])
    ended = "finished" if chosen.status == "finished" else "finished or diverged"
    rank = "the latest" if chosen is several[-1] else f"the latest that {ended}"
    message = f"{variant}, seed {seed}: {len(several)} runs; {chosen.name}, {rank}, counts; left out: {which}{how}"
    yield Finding("runs_left_out", variant, message)


def undeclared(matched: Matched, compared: Sequence[str]) -> Iterator[Finding]:
    """For each variant those of the `compared` parameters in which its runs differ from the baseline's of one seed."""
    for variant in list(matched.variants)[1:]:
        pairs = [
            (matched.runs[variant, seed], matched.runs[BASELINE, seed])
            for seed in matched.seeds
            if (variant, seed) in matched.runs and (BASELINE, seed) in matched.runs
        ]
        found = [text for name in compared if (text := _difference(name, pairs))]
        if found:
            yield Finding(
                "undeclared_change", variant, f"{variant} also differs from the baseline in {'; '.join(found)}"
            )


def _difference(name: str, pairs: Sequence[tuple[LoggedRun, LoggedRun]]) -> str:
    """In how many pairs a parameter differs, and how; empty where it never does."""
    values = [(own.parameters.get(name, UNSET), base.parameters.get(name, UNSET)) for own, base in pairs]
    unlike = Counter(pair for pair in values if pair[0] != pair[1])
    if not unlike:
        return ""
    ((own, base), _), count = unlike.most_common(1)[0], sum(unlike.values())
    where = "" if count == len(pairs) else f" in {count} of {plural(len(pairs), 'pair')}"
    like = "" if len(unlike) == 1 else ", for example"
    return f"{name} ({_short(own)} against {_short(base)}{like}){where}"


def _short(value: str) -> str:
    return value if len(value) <= 40 else f"{value[:37]}..."


def _identifiers(parameters: Iterable[str], runs: Sequence[LoggedRun]) -> list[str]:
    """Parameters of text that have another value in every run, such as the name of its folder: they identify it."""
    found = []
    for name in parameters:
        values = {run.parameters.get(name, UNSET) for run in runs}
        if len(values) == len(runs) > 2 and not any(_sortable(value)[0] == 0 for value in values):
            found.append(name)
    return found


def _states(matched: Matched) -> Iterator[Finding]:
    """Runs that did not finish: the report counts them as missing, with the state that their tool gives."""
    for state in ("crashed", "interrupted"):
        names = [f"{v}, seed {s} ({run.name})" for (v, s), run in matched.runs.items() if run.status == state]
        if names:
            text = "failed" if state == "crashed" else "unfinished"
            yield Finding("runs_left_out", None, f"{text}: {_listed(names, '; ')}")


def _notes(matched: Matched, metric: str) -> Iterator[str]:
    for variant in matched.variants:
        lacking = [seed for seed in matched.seeds if (variant, seed) not in matched.runs]
        if lacking:
            yield f"{variant} has no run of seed {_listed(list(map(str, lacking)))}"
    without = [
        f"{v}, seed {s}"
        for (v, s), run in matched.runs.items()
        if metric not in run.series and run.status != "diverged"
    ]
    if without:
        yield f"no value of {metric}: {_listed(without, '; ')}"
    yield from _steps(matched, metric)


def _between_seeds(matched: Matched, compared: Sequence[str]) -> Iterator[str]:
    """Parameters that differ between the runs of the baseline, which are meant to differ in the seed alone."""
    base = {seed: run for (variant, seed), run in matched.runs.items() if variant == BASELINE}
    for name in compared:
        values = {run.parameters.get(name, UNSET) for run in base.values()}
        if len(values) > 1 and not _is_seed(name, base):
            yield f"{name} differs between the seeds of the baseline: {_listed([_short(v) for v in sorted(values)])}"


def _is_seed(name: str, base: Mapping[int, LoggedRun]) -> bool:
    """Whether a parameter is the seed under another name."""
    return "seed" in name.lower() or all(run.parameters.get(name) == str(seed) for seed, run in base.items())


def _steps(matched: Matched, metric: str) -> Iterator[str]:
    """Finished runs whose last step is not that of most others."""
    last = {
        run: max(point.step for point in own.series[metric])
        for run, own in matched.runs.items()
        if own.status == "finished" and own.series.get(metric)
    }
    if len(set(last.values())) < 2:
        return
    usual = Counter(last.values()).most_common(1)[0][0]
    others = [f"{step:,} in {variant}, seed {seed}" for (variant, seed), step in last.items() if step != usual]
    yield f"the last step of {metric} is {usual:,}, but {_listed(others, '; ')}"
