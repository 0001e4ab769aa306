"""The methods paragraphs of a report, made from what was really done."""

from __future__ import annotations

import re
from collections.abc import Iterator

import ablation._util.counted as counted
import ablation.report.captions as captions
import ablation.report.looks as looks
from ablation._util.formatting import ABSENT
from ablation._util.language import clauses, current, listing, sentences, shortened, tr, tr_noop, trn
from ablation.analysis import Analysis, Factorial, Measure
from ablation.report.blocks import Block, Paragraph, Text, cite, join, tr_text
from ablation.report.context import Context, Section
from ablation.stats.blocked import own_factor
from ablation.stats.pooling import SCREEN_ALPHA
from ablation.storage.audit_file import Audit

_SEEN = (
    tr_noop("seed {seed} gives the same metrics twice"),
    tr_noop("seeds {seeds} give different metrics"),
    tr_noop("the variant changes the metrics"),
    tr_noop("each of {number} variants changes the metrics"),
)
"""What an audit notes of code without a fault, as it is stored."""


def _methods(context: Context) -> Iterator[Block]:
    """How differences were measured, tested and selected; nothing for a study without variants or results."""
    analysis = context.analysis
    if not analysis.variants or not any(effect.n for effect in analysis.effects):
        return
    audited = audited_sentence(context.results.audit)
    parts = (_core(analysis), tuple(_contrasts(analysis)), tuple(_selected(analysis)), (audited,) if audited else ())
    for part in parts:
        if part:
            yield Paragraph(join(part, current().space))


def statistics(analysis: Analysis) -> tuple[Text, ...]:
    """All of it, sentence by sentence; nothing for a study without variants or results."""
    if not analysis.variants or not any(effect.n for effect in analysis.effects):
        return ()
    return (*_core(analysis), *_contrasts(analysis), *_selected(analysis))


def _core(analysis: Analysis) -> tuple[Text, ...]:
    return (_one_seed(analysis),) if analysis.design.networks else tuple(own for own in _comparison(analysis) if own)


def _metric(analysis: Analysis) -> str:
    if analysis.measure.higher:
        return tr("The primary metric is {metric}; higher is better.", metric=captions.metric(analysis))
    return tr("The primary metric is {metric}; lower is better.", metric=captions.metric(analysis))


def _one_seed(analysis: Analysis) -> Text:
    if all(effect.networks_p is None for effect in analysis.variants):
        untested = tr(
            "One seed: what another seed would give is unknown, so nothing is tested and there is no verdict about a "
            "recipe."
        )
        return sentences([_metric(analysis), untested])
    return tr_text(
        "One seed: each variant's network was compared with the baseline's network on the same validation images by "
        "the exact test of McNemar (1947){mcnemar}, two-sided, adjusted by Holm (1979){holm} over the {comparisons} "
        "at alpha = {alpha}. It applies to these trained networks only: what another seed would give is "
        "unknown, so there is no verdict about a recipe.",
        mcnemar=cite("mcnemar1947"),
        holm=cite("holm1979"),
        comparisons=counted.comparisons(len(analysis.variants)),
        alpha=format(analysis.alpha, "g"),
    )


def _comparison(analysis: Analysis) -> Iterator[Text]:
    """The family of comparisons with the baseline."""
    measure = analysis.measure
    yield _metric(analysis)
    if any(effect.method for effect in analysis.variants):
        yield _family(analysis)
    if analysis.sequential:
        yield from looks.rules(analysis, analysis.sequential)
    if analysis.looks > 1 and not analysis.facts.added_seeds:
        yield tr(
            "The looks or their rules were changed after results had been seen: judged {number} times, the study has a "
            "family-wise error of at most {bound:g} (union bound).",
            number=analysis.looks,
            bound=analysis.family_wise_bound,
        )
    elif analysis.looks > 1:
        yield tr(
            "Seeds were added after results had been seen: over {looks} looks the family-wise error is at most "
            "{bound:g} (union bound).",
            looks=analysis.looks,
            bound=analysis.family_wise_bound,
        )
    if analysis.follow_up:
        yield tr(
            "This study follows up {study} on seeds of its own, on which alone its verdicts rest. Over it and the "
            "studies before it the family-wise error is at most {bound:g} ({spent:g} before it, union bound).",
            study=analysis.follow_up.of,
            bound=analysis.bound_with_earlier,
            spent=analysis.follow_up.spent,
        )
    if any(effect.clipped for effect in analysis.variants):
        yield tr("Intervals are cut at the range of the metric, \u00b1{size}.", size=measure.size(measure.farthest))
    same = [effect.variant for effect in analysis.variants if effect.identical]
    if same:
        yield tr("Not tested, and not in the family: {variants} (identical weights).", variants=shortened(same))
    if any(effect.method == "blocked Dunnett" for effect in analysis.variants):
        yield _dunnett(analysis)
        if analysis.sequential:
            yield tr("These numbers are those of the last complete look.")
    yield _screening(analysis)
    yield from _fallbacks(analysis)
    yield from _power(analysis)


def _family(analysis: Analysis) -> str:
    k = analysis.design.k or sum(effect.method is not None for effect in analysis.variants)  # 0 without a pool
    family = (
        tr("Every variant is paired with the baseline by seed, and the {number} comparisons are one family", number=k)
        if k > 1
        else tr("The variant is paired with the baseline by seed; this is the only comparison")
    )
    return tr(
        "{family}: intervals are simultaneous at {level:g} %, p-values adjusted for the family, verdicts taken from "
        "these at alpha = {alpha:g}. No other metric carries a verdict.",
        family=family,
        level=100 * (1 - analysis.alpha),
        alpha=analysis.alpha,
    )


def _dunnett(analysis: Analysis) -> Text:
    design = analysis.design
    return tr_text(
        "Method: guarded blocked Dunnett test (two-sided, Dunnett 1955{dunnett}, seeds as blocks), k = {k}, n = "
        "{seeds}, error pooled over variants and seeds on {df} degrees of freedom (residual SD of one run {residual}), "
        "critical value {critical}. Two guards against unequal spreads: no standard error is below that of the "
        "variant's own differences, and no interval is narrower than the t interval ({own_df} degrees of freedom, "
        "level 1 \u2212 alpha/{factor}) from the spread of the less stable of the two, variant or baseline.",
        dunnett=cite("dunnett1955"),
        k=str(design.k),
        seeds=counted.seeds(design.n),
        df=str(design.df),
        residual=analysis.measure.size(design.residual_sd) if design.residual_sd else ABSENT,
        critical=format(design.critical_value or 0.0, ".3f"),
        own_df=str(design.n - 1),
        factor=format(own_factor(design.n, design.k), "g"),
    )


def _screening(analysis: Analysis) -> Text:
    if analysis.design.n < 2:
        return ""
    out = [effect.variant for effect in analysis.variants if effect.screened]
    if analysis.design.baseline_screened:
        out.insert(0, analysis.baseline.variant)
    cochran, alpha = cite("cochran1941"), f"{SCREEN_ALPHA:g}"
    if not out:
        return tr_text(
            "Spreads over seeds were screened by Cochran's C test (1941{cochran}, upper, alpha {alpha}): none was an "
            "outlier.",
            cochran=cochran,
            alpha=alpha,
        )
    return tr_text(
        "Spreads over seeds were screened by Cochran's C test (1941{cochran}, upper, alpha {alpha}), which excluded "
        "{variants} from the pool.",
        cochran=cochran,
        alpha=alpha,
        variants=shortened(out),
    )


def _fallbacks(analysis: Analysis) -> Iterator[Text]:
    share = [effect.variant for effect in analysis.variants if effect.method == "paired t, Bonferroni"]
    if share:
        yield tr("{variants}: own paired t test at a Bonferroni share of alpha.", variants=shortened(share))
    if any(effect.method == "paired t, Holm" for effect in analysis.variants):
        yield tr_text(
            "All variants fall back to paired t tests with Holm's adjustment (1979){holm}.", holm=cite("holm1979")
        )
    untested: dict[str, list[str]] = {}
    for effect in analysis.variants:
        if effect.reason:
            untested.setdefault(effect.reason, []).append(effect.variant)
    for reason, names in untested.items():
        yield tr("Not tested: {variants} ({reason}).", variants=shortened(names), reason=tr(reason))
    failed = [effect.variant for effect in analysis.effects if effect.failed]
    if failed:
        yield tr(
            "Runs that diverged or ended at chance stay out of the pool, and {variants} cannot be more than unstable; "
            "means of the survivors are conditional.",
            variants=shortened(failed),
        )


def _power(analysis: Analysis) -> Iterator[Text]:
    design = analysis.design
    if design.detectable_sds is not None:
        seeds = counted.seeds(design.seeds)
        comparisons = counted.comparisons(design.comparisons)
        detects = tr(
            "As planned ({seeds}, {comparisons}) the design detects {sds:.1f} residual SDs with 80 % power",
            seeds=seeds,
            comparisons=comparisons,
            sds=design.detectable_sds,
        )
        yield (
            tr("{detects}, here {size}.", detects=detects, size=analysis.measure.size(design.detectable))
            if design.detectable
            else tr("{clause}.", clause=detects)
        )
    if any(effect.paired_p is not None for effect in analysis.variants):
        yield tr(
            "Paired t: the same comparison on the variant's own variance, Holm-adjusted, as a check of sensitivity."
        )
    if any(effect.flips_agree is not None for effect in analysis.variants):
        yield tr("Sign flips: the max-T permutation test over all sign patterns of the seeds, as a second check.")


def _contrasts(analysis: Analysis) -> Iterator[Text]:
    if analysis.interactions:
        yield tr(
            "Interactions are contrasts within each seed (both changes, minus each alone, plus the baseline) on the "
            "pooled error, a family of their own adjusted by Holm."
        )
    if analysis.factorial and analysis.factorial.effects:
        yield _factorial(analysis, analysis.factorial)
    if analysis.trends:
        yield tr_text(
            "Trends are linear and quadratic contrasts over the levels of a sweep on the pooled error, all sweeps one "
            "family adjusted by Holm; Page's test (1963){page} is reported separately, outside that family.",
            page=cite("page1963"),
        )
    if analysis.data_curve:
        yield tr(
            "The data curve is a bounded least-squares fit of a power law with a floor; its intervals come from the "
            "spread of the seeds (t), and it is extrapolated no farther than twice the data."
        )
    if analysis.sequential and (analysis.interactions or analysis.trends or analysis.data_curve):
        yield tr(
            "These use the seeds that their variants have in common; their levels are divided by the {number} planned "
            "looks, and their p-values multiplied by it.",
            number=len(analysis.sequential.looks),
        )


def _factorial(analysis: Analysis, found: Factorial) -> Text:
    return tr_text(
        "The {combinations} combinations of the components are compared within each seed. Their main effects and "
        "interactions are {effects} orthogonal contrasts on the pooled error, with the guard, a family of their own "
        "adjusted by \u0160id\u00e1k (1967){sidak}; Shapley values (1953){shapley}, the total and the shares of it "
        "(Fieller 1954{fieller}) are another family of {values}. Each has its own error rate, alpha = {alpha}; no "
        "verdict on a variant rests on them.",
        combinations=str(len(found.cells)),
        effects=str(len(found.effects)),
        sidak=cite("sidak1967"),
        shapley=cite("shapley1953"),
        fieller=cite("fieller1954"),
        values=str(2 * len(found.components) + 1),
        alpha=format(analysis.alpha, "g"),
    )


def _selected(analysis: Analysis) -> Iterator[Text]:
    """How epoch and winner are chosen, and what that adds to a score."""
    own, measure = analysis.selection, analysis.measure
    if own.epochs is not None:
        yield tr(
            "Each run reports its best epoch on the same validation images that it is evaluated on: the best of "
            "{epochs} overstates its accuracy by {size}, in the baseline as in the variants.",
            epochs=own.of_epochs,
            size=_about(own.epochs, measure, most=True),
        )
    if own.winner is not None:
        yield tr(
            "The best of the {number} means is optimistic by {size}: expect the winner to be that much worse in a new "
            "study.",
            number=own.of_variants,
            size=_about(own.winner, measure),
        )


def audited_sentence(audit: Audit | None) -> str:
    """What an audit of the code saw; empty where there was none, or where the warnings say it."""
    if audit is None or not audit.runs or any(check.level != "ok" for check in audit.of("reproducible")):
        return ""
    seen = [own for own in audit.checks if own.level == "ok" and own.code in ("reproducible", "seed", "option")]
    if not seen:
        return ""
    runs = trn("{n:,} short run", "{n:,} short runs", audit.runs) if audit.smoke else counted.runs(audit.runs)
    found = clauses([_seen(own.message) for own in seen])
    return tr("The code was audited in {runs} on {date}: {found}.", runs=runs, date=audit.time[:10], found=found)


def _seen(message: str) -> str:
    """What an audit noted, in the current language."""
    for known in _SEEN:
        found = re.fullmatch(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(known)), message)
        if found:
            values = {name: listing(re.split(", | and ", value)) for name, value in found.groupdict().items()}
            return tr(known, **values)
    return message


def _about(size: float, measure: Measure, *, most: bool = False) -> str:
    """A size; one that rounds to zero is given as less than the last decimal shown."""
    least = 10.0**-measure.digits
    if size * measure.scale < least / 2:
        return tr("less than {size}", size=measure.size(least / measure.scale))
    if most:
        return tr("up to about {size}", size=measure.size(size))
    return tr("about {size}", size=measure.size(size))


METHODS = Section("methods", tr_noop("Methods"), 130, _methods)
