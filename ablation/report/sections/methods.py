"""The methods paragraphs of a report, made from what was really done."""

from __future__ import annotations

from collections.abc import Iterator

import ablation.report.captions as captions
from ablation._util.formatting import ABSENT, plural
from ablation.analysis import Analysis, Measure
from ablation.report.blocks import Block, Paragraph, Text, cite, join
from ablation.report.context import Context, Section
from ablation.stats.pooling import SCREEN_ALPHA
from ablation.storage.audit_file import Audit


def _methods(context: Context) -> Iterator[Block]:
    """How differences were measured, tested and selected; nothing for a study without variants or results."""
    analysis = context.analysis
    if not analysis.variants or not any(effect.n for effect in analysis.effects):
        return
    audited = audited_sentence(context.results.audit)
    parts = (_core(analysis), tuple(_contrasts(analysis)), tuple(_selected(analysis)), (audited,) if audited else ())
    for sentences in parts:
        if sentences:
            yield Paragraph(join(sentences, " "))


def statistics(analysis: Analysis) -> tuple[Text, ...]:
    """All of it, sentence by sentence; nothing for a study without variants or results."""
    if not analysis.variants or not any(effect.n for effect in analysis.effects):
        return ()
    return (*_core(analysis), *_contrasts(analysis), *_selected(analysis))


def _core(analysis: Analysis) -> tuple[Text, ...]:
    return (_one_seed(analysis),) if analysis.design.networks else tuple(own for own in _comparison(analysis) if own)


def _one_seed(analysis: Analysis) -> Text:
    if all(effect.networks_p is None for effect in analysis.variants):
        return (
            f"The primary metric is {captions.metric(analysis)}; {analysis.measure.metric.direction} is better. "
            "One seed: what another seed would give is unknown, so nothing is tested and there is no verdict about a "
            "recipe."
        )
    return (
        "One seed: each variant's network was compared with the baseline's network on the same validation images by "
        "the exact test of McNemar (1947)",
        cite("mcnemar1947"),
        ", two-sided, adjusted by Holm (1979)",
        cite("holm1979"),
        f" over the {len(analysis.variants)} "
        f"comparisons at alpha = {analysis.alpha:g}. It applies to these trained networks only: what another seed "
        f"would give is unknown, so there is no verdict about a recipe.",
    )


def _comparison(analysis: Analysis) -> Iterator[Text]:
    """The family of comparisons with the baseline."""
    design, measure = analysis.design, analysis.measure
    used = {effect.method for effect in analysis.variants}
    yield f"The primary metric is {captions.metric(analysis)}; {measure.metric.direction} is better."
    if any(effect.method for effect in analysis.variants):
        family = (
            f"Every variant is paired with the baseline by seed, and the {design.k} comparisons are one family"
            if design.k > 1
            else "The variant is paired with the baseline by seed; this is the only comparison"
        )
        yield (
            f"{family}: intervals are simultaneous at "
            f"{100 * (1 - analysis.alpha):g} %, p-values adjusted for the family, verdicts taken from these at alpha = "
            f"{analysis.alpha:g}. No other metric carries a verdict."
        )
    if analysis.looks > 1:
        yield (
            f"Seeds were added after results had been seen: over {analysis.looks} looks the family-wise error is at "
            f"most {analysis.family_wise_bound:g} (union bound)."
        )
    if any(effect.clipped for effect in analysis.variants):
        yield f"Intervals are cut at the range of the metric, \u00b1{measure.size(measure.farthest)}."
    same = [effect.variant for effect in analysis.variants if effect.identical]
    if same:
        yield f"Not tested, and not in the family: {_listing(same)} (identical weights)."
    if "blocked Dunnett" in used:
        residual = measure.size(design.residual_sd) if design.residual_sd else ABSENT
        yield (
            "Method: guarded blocked Dunnett test (two-sided, Dunnett 1955",
            cite("dunnett1955"),
            f", seeds as blocks), k = {design.k}, "
            f"n = {plural(design.n, 'seed')}, error pooled over variants and seeds on {design.df} degrees of "
            f"freedom (residual SD of one run {residual}), critical value {design.critical_value or 0.0:.3f}; no "
            f"variant's standard error is taken below that of its own differences (the guard).",
        )
    yield _screening(analysis)
    yield from _fallbacks(analysis)
    yield from _power(analysis)


def _screening(analysis: Analysis) -> Text:
    test = (
        "Spreads over seeds were screened by Cochran's C test (1941",
        cite("cochran1941"),
        f", upper, alpha {SCREEN_ALPHA:g})",
    )
    if analysis.design.n < 2:
        return ""
    out = [effect.variant for effect in analysis.variants if effect.screened]
    if analysis.design.baseline_screened:
        out.insert(0, analysis.baseline.variant)
    if not out:
        return (*test, ": none was an outlier.")
    return (*test, f", which excluded {_listing(out)} from the pool.")


def _fallbacks(analysis: Analysis) -> Iterator[Text]:
    share = [effect.variant for effect in analysis.variants if effect.method == "paired t, Bonferroni"]
    if share:
        yield f"{_listing(share)}: own paired t test at a Bonferroni share of alpha."
    if any(effect.method == "paired t, Holm" for effect in analysis.variants):
        yield ("All variants fall back to paired t tests with Holm's adjustment (1979)", cite("holm1979"), ".")
    untested: dict[str, list[str]] = {}
    for effect in analysis.variants:
        if effect.reason:
            untested.setdefault(effect.reason, []).append(effect.variant)
    for reason, names in untested.items():
        yield f"Not tested: {_listing(names)} ({reason})."
    failed = [effect.variant for effect in analysis.effects if effect.failed]
    if failed:
        yield (
            f"Runs that diverged or ended at chance stay out of the pool, and {_listing(failed)} cannot be more than "
            f"unstable; means of the survivors are conditional."
        )


def _power(analysis: Analysis) -> Iterator[Text]:
    design = analysis.design
    if design.detectable_sds is not None:
        text = (
            f"As planned ({plural(design.seeds, 'seed')}, {plural(design.comparisons, 'comparison')}) the "
            f"design detects {design.detectable_sds:.1f} residual SDs with 80 % power"
        )
        yield text + (f", here {analysis.measure.size(design.detectable)}." if design.detectable else ".")
    if any(effect.paired_p is not None for effect in analysis.variants):
        yield "Paired t: the same comparison on the variant's own variance, Holm-adjusted, as a check of sensitivity."
    if any(effect.flips_agree is not None for effect in analysis.variants):
        yield "Sign flips: the max-T permutation test over all sign patterns of the seeds, as a second check."


def _contrasts(analysis: Analysis) -> Iterator[Text]:
    if analysis.interactions:
        yield (
            "Interactions are contrasts within each seed (both changes, minus each alone, plus the baseline) on the "
            "pooled error, a family of their own adjusted by Holm."
        )
    if analysis.trends:
        yield (
            "Trends are linear and quadratic contrasts over the levels of a sweep on the pooled error, all sweeps one "
            "family adjusted by Holm; Page's test (1963)",
            cite("page1963"),
            " is reported separately, outside that family.",
        )
    if analysis.data_curve:
        yield (
            "The data curve is a bounded least-squares fit of a power law with a floor; its intervals come from the "
            "spread of the seeds (t), and it is extrapolated no farther than twice the data."
        )


def _selected(analysis: Analysis) -> Iterator[Text]:
    """How epoch and winner are chosen, and what that adds to a score."""
    own, measure = analysis.selection, analysis.measure
    if own.epochs is not None:
        yield (
            f"Each run reports its best epoch on the same validation images that it is evaluated on: the best of "
            f"{own.of_epochs} overstates its accuracy by {_about(own.epochs, measure, 'up to ')}, in the baseline as "
            f"in the variants."
        )
    if own.winner is not None:
        yield (
            f"The best of the {own.of_variants} means is optimistic by {_about(own.winner, measure)}: expect the "
            f"winner to be that much worse in a new study."
        )


def audited_sentence(audit: Audit | None) -> str:
    """What an audit of the code saw; empty where there was none, or where the warnings say it."""
    if audit is None or not audit.runs or any(check.level != "ok" for check in audit.of("reproducible")):
        return ""
    seen = [own for own in audit.checks if own.level == "ok" and own.code in ("reproducible", "seed", "option")]
    runs = plural(audit.runs, "short run" if audit.smoke else "run")
    found = "; ".join(own.message for own in seen)
    return f"The code was audited in {runs} on {audit.time[:10]}: {found}." if seen else ""


def _about(size: float, measure: Measure, most: str = "") -> str:
    """A size; one that rounds to zero is given as less than the last decimal shown."""
    least = 10.0**-measure.digits
    if size * measure.scale < least / 2:
        return f"less than {measure.size(least / measure.scale)}"
    return f"{most}about {measure.size(size)}"


def _listing(names: list[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


METHODS = Section("methods", "Methods", 130, _methods)
