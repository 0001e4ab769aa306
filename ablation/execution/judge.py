"""A stored study, judged for a program: at its share of the error that a ledger of such uses may spend in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

import ablation.stats as stats
from ablation._util.formatting import plural
from ablation._util.hashing import canonical_json, sha256
from ablation.analysis import Analysis, describe
from ablation.analysis.judgement import JudgedVariant, Judgement, Margins, judge_effects
from ablation.analysis.measure import Measure, measured, primary_measure
from ablation.errors import UserError
from ablation.registry.catalog import suggestion
from ablation.results.runs import Results
from ablation.storage.manifest import Manifest, StoredVariant
from ablation.storage.verdict_ledger import Use, append_use, find_use, make_folder, next_number, read_uses, references

LOCK_PATIENCE = 120.0
"""Seconds to wait for other commands that use the same ledger; each needs about one."""
_OTHER_LEDGER = "use another ledger (--ledger FILE), which has an alpha of its own"


@dataclass(frozen=True)
class Question:
    """What is asked: of one variant or, with None, of all; the use is recorded in `ledger`.

    `not_worse_by` is in points where the metric is a share, else in its own unit. `uses` declares how many uses share
    the alpha of a new ledger equally; None for any number.
    """

    ledger: Path
    variant: str | None = None
    not_worse_by: float | None = None
    uses: int | None = None
    command: str = ""


@dataclass(frozen=True)
class _Case:
    """A question about results that can be answered: the variants that it is about, and the margins that count."""

    results: Results
    question: Question
    variants: tuple[str, ...]
    measure: Measure
    margins: Margins

    @property
    def manifest(self) -> Manifest:
        return self.results.manifest

    @property
    def alpha(self) -> float:
        """That of the study, which all uses of the ledger share."""
        return float(self.manifest.analysis["alpha"])

    @property
    def direction(self) -> str:
        return "higher" if self.measure.higher else "lower"

    def judgement(self, variants: tuple[JudgedVariant, ...]) -> Judgement:
        """The answer, as far as no use of the ledger is in it."""
        return Judgement(
            study=self.manifest.name,
            metric=self.measure.column,
            direction=self.direction,
            unit=self.measure.metric.unit,
            margin=self.margins.chosen,
            alpha=self.alpha,
            ledger=str(self.question.ledger),
            variants=variants,
        )


def judge_study(results: Results, question: Question) -> Judgement:
    """Judge the results of a stored study, and record the use. The same results again are the same use.

    Unfinished runs, a smoke run and a single seed are undecided and no use. Raises UserError for a variant that cannot
    be judged, for a ledger that is damaged, spent or was started with other settings, and where a margin would count
    from a baseline that is not the reference of the ledger.
    """
    measure = primary_measure(results)
    names, margins = _asked(results.manifest, question.variant), _margins(measure, results.manifest, question)
    case = _Case(results, question, names, measure, margins)
    if reason := _too_early(results):
        return case.judgement(tuple(JudgedVariant(name, "undecided", reason) for name in names))
    make_folder(question.ledger)
    try:
        with FileLock(question.ledger.with_name(f"{question.ledger.name}.lock"), timeout=LOCK_PATIENCE):
            return _judge(case)
    except Timeout:
        raise UserError(f"other commands are using {question.ledger}", "wait until they have ended") from None


def _asked(manifest: Manifest, variant: str | None) -> tuple[str, ...]:
    """The variants that are asked about. Raises UserError where there is none."""
    names = tuple(own.name for own in manifest.variants[1:] if own.kind != "control")
    if not names:
        raise UserError(f"the study {manifest.name!r} has no variant", "there is nothing to compare with its baseline")
    if variant is None:
        return names
    if variant not in names:
        raise UserError(f"{manifest.name!r} has no variant {variant!r} to judge", suggestion(variant, names))
    return (variant,)


def _margins(measure: Measure, manifest: Manifest, question: Question) -> Margins:
    if question.not_worse_by is None:
        return Margins(equivalent=manifest.analysis["margin"])
    margin = question.not_worse_by / measure.scale
    if not 0 < margin < measure.farthest:
        between = "above 0 and below 100, in points" if measure.share else "a finite number above 0"
        raise UserError(f"not worse by {question.not_worse_by:g}: the margin is not {between}")
    return Margins(not_worse_by=margin)


def _too_early(results: Results) -> str:
    """Why there is nothing to judge, whatever the runs have come to; empty where there is."""
    manifest, done = results.manifest, results.runs["status"].isin(["finished", "diverged"])
    if manifest.smoke:
        return "a smoke run: its numbers are meaningless"
    if not results.complete:
        return f"{int((~done).sum()):,} of {plural(len(done), 'run')} not finished"
    if len(manifest.seeds) == 1:
        return "a single seed allows no claim about the recipe"
    return ""


def _judge(case: _Case) -> Judgement:
    """The answer, while nobody else writes to the ledger."""
    path, digest = case.question.ledger, _digest(case)
    uses = read_uses(path)
    _check_settings(uses, case)
    if case.margins.chosen is not None:
        _check_reference(uses, case)
    known = find_use(uses, digest)
    use = known or _new_use(uses, digest, case)
    analysis = _analyze(case, use.level)
    judged = judge_effects(analysis.effects, case.measure, case.margins)
    if not known:
        recipes = {own.name: _recipe(case.manifest, own) for own in case.manifest.variants}
        better = {own.variant: recipes[own.variant] for own in judged if own.verdict == "better"}
        append_use(path, replace(use, better=better))
    before = {seed for own in uses if own.results != digest for seed in own.seeds}
    others = {own.variant for own in judged if own.variant not in case.variants}
    return replace(
        case.judgement(tuple(own for own in judged if own.variant not in others)),
        use=use.use,
        uses=use.uses,
        level=use.level,
        seeds_reused=len(before & set(case.manifest.seeds)),
        warnings=tuple(sorted({own.code for own in analysis.warnings if own.variant not in others})),
    )


def _analyze(case: _Case, level: float) -> Analysis:
    """The analysis that the report makes, at another level and with the margin that is asked about."""
    settings = {**case.manifest.analysis, "alpha": level, "margin": case.margins.equivalent}
    return describe(replace(case.results, manifest=replace(case.manifest, analysis=settings)))


def _check_settings(uses: Sequence[Use], case: _Case) -> None:
    """Raise UserError where a ledger was started with another alpha, or for another number of uses."""
    if not uses:
        return
    first, path, wanted = uses[0], case.question.ledger, case.question.uses
    if first.alpha != case.alpha:
        what = f"{path} was started with alpha {first.alpha:g}, and {case.manifest.name!r} has {case.alpha:g}"
        raise UserError(what, _OTHER_LEDGER)
    if wanted is not None and wanted != first.uses:
        number = "any number of uses" if first.uses is None else plural(first.uses, "use")
        raise UserError(f"{path} was started for {number}, not for {wanted:,}", f"leave out --uses, or {_OTHER_LEDGER}")


def _check_reference(uses: Sequence[Use], case: _Case) -> None:
    """Raise UserError where a margin would count from a baseline that may be worse than an earlier one."""
    allowed = references(uses, case.measure.column, case.direction)
    if allowed and _recipe(case.manifest, case.manifest.baseline) not in allowed:
        raise UserError(
            f"the baseline of {case.manifest.name!r} is not the reference of {case.question.ledger}: with a margin "
            "from a baseline that moves, the quality can fall by the margin at each use",
            "keep the baseline of the first use until a variant is judged better than it; for unrelated studies "
            f"{_OTHER_LEDGER}",
        )


def _new_use(uses: Sequence[Use], digest: str, case: _Case) -> Use:
    """The next use of a ledger. Raises UserError where all that were declared are spent."""
    manifest, declared = case.manifest, uses[0].uses if uses else case.question.uses
    number = next_number(uses, manifest.name, manifest.looks)
    if declared is not None and number > declared:
        raise UserError(f"all of the {plural(declared, 'use')} of {case.question.ledger} are spent", _OTHER_LEDGER)
    return Use(
        use=number,
        uses=declared,
        alpha=case.alpha,
        level=stats.level_of_use(case.alpha, number, declared),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        study=manifest.name,
        look=manifest.looks,
        results=digest,
        metric=case.measure.column,
        direction=case.direction,
        seeds=manifest.seeds,
        baseline=_recipe(manifest, manifest.baseline),
        better={},
        command=case.question.command,
    )


def _recipe(manifest: Manifest, variant: StoredVariant) -> str:
    """The digest of what a variant trains, by which it is known again as the baseline of another study."""
    return sha256(canonical_json([manifest.task, variant.recipe]).encode())


def _digest(case: _Case) -> str:
    """The digest of all that a verdict rests on: the runs of each variant, and what they came to."""
    values = measured(case.results, case.measure)
    rows = case.results.runs[["variant", "seed", "status", "folder"]].to_dict("records")
    runs = [[*row.values(), values.get((str(row["variant"]), int(row["seed"])))] for row in rows]
    content = [case.measure.column, case.direction, case.manifest.baseline.name, runs]
    return sha256(canonical_json(content).encode())
