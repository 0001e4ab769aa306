"""The sections of the short paper: methods in one paragraph, one table, one figure, and the limits of the study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

import ablation.report.captions as captions
import ablation.report.claims as claims
import ablation.report.figure_blocks as figure_blocks
from ablation._util import formatting
from ablation._util.formatting import count, plural
from ablation.registry import optimizers, schedules
from ablation.report.bibliography import DATA_SETS
from ablation.report.blocks import Block, Figure, Paragraph, Span, Text, cite, join, plain, ref
from ablation.report.context import Context, Section
from ablation.report.ranking import ranked
from ablation.report.sections.effects import beside_the_table, variants_table
from ablation.report.sections.methods import statistics


def _methods(context: Context) -> Iterator[Block]:
    sentences = [*_trained(context), *statistics(context.analysis)]
    if sentences:
        yield Paragraph(join(sentences, " "))


def _trained(context: Context) -> Iterator[Text]:
    """What was trained on what, as far as the records say."""
    recipe, task = context.study.baseline.recipe, context.study.task
    if not recipe or not context.analysis.facts.done:
        return
    if task:
        yield f"The baseline is trained by {captions.trainer(task)} with {formatting.value(recipe)}."
    else:
        yield _baseline(context)
    changes = [own for own in context.analysis.variants if own.kind != "control"]
    single = all(len(own.changes) == 1 for own in context.study.variants[1:] if own.changes)
    what = "one declared change" if single else "the change that the table names"
    if len(changes) == 1:
        yield f"The variant differs from it by {what}."
    elif changes:
        yield f"Each of the {len(changes)} variants differs from it by {what}; all use the same seeds."


def _baseline(context: Context) -> Text:
    """The network, the data and the training of the baseline of an image classifier."""
    setup, recipe = context.analysis.setup, context.study.baseline.recipe
    data, base = str(recipe["data"]["name"]), context.analysis.baseline
    source = (cite(DATA_SETS[data]),) if data in DATA_SETS else ()
    size = f" ({count(base.parameters)} parameters)" if base.parameters else ""
    split = (
        f" ({setup.train_images:,} training and {setup.val_images:,} validation images)" if setup.train_images else ""
    )
    batches = formatting.value(recipe["train"]["batch_size"])
    return (
        f"The baseline is {recipe['model']['name']}{size}, trained on {data}",
        *source,
        f"{split} for {setup.budget} with batches of {batches}, {_part(optimizers.KINDS, recipe['optimizer'])}, "
        f"and the schedule {_part(schedules.KINDS, recipe['schedule'])}.",
    )


def _part(kinds: Mapping[str, type[BaseModel]], part: Mapping[str, Any]) -> str:
    """A component with the options that are not those of everyone."""
    fields = kinds[part["name"]].model_fields if part["name"] in kinds else {}
    kept = {key: own for key, own in part.items() if key not in fields or own != fields[key].default}
    return formatting.value(kept)


def _results(context: Context) -> Iterator[Block]:
    analysis = context.analysis
    table, effects = variants_table(analysis), ranked(analysis)
    shown = [plain(own.heading) for own in table.columns if not own.plot]
    figure = figure_blocks.paper_forest(figure_blocks.largest(effects), analysis)
    of_each = "difference from the baseline" if analysis.design.networks else "verdict"
    sentences: list[Text] = [
        (ref("table-variants"), f" has every variant with its {of_each}", *_and_figure(figure), ".")
    ]
    notes = beside_the_table(analysis)
    yield Paragraph(join([*sentences, notes] if notes else sentences, " "))
    yield replace(table.only(*shown), pictures=(), caption=captions.paper_table(analysis))
    if figure:
        yield figure
    contrasts = (*claims.interactions(analysis), *claims.trends(analysis))
    if contrasts:
        yield Paragraph(" ".join(contrasts))


def _and_figure(figure: Figure | None) -> tuple[str | Span, ...]:
    return (", ", ref("figure-forest"), " the difference of each of its seeds from the baseline") if figure else ()


def _limitations(context: Context) -> Iterator[Block]:
    parts = [*limits(context)]
    if parts:
        yield Paragraph(f"{captions.first_up('; '.join(parts))}.")


def limits(context: Context) -> Iterator[str]:
    """What the records show to be narrow about the study."""
    analysis = context.analysis
    recipes = [own.recipe for own in context.study.variants] if context.study.of_images else []
    if not analysis.facts.done:
        return
    if recipes:
        models = {str(recipe["model"]["name"]) for recipe in recipes}
        own = {str(recipe["data"]["name"]) for recipe in recipes}
        yield f"the results are for {_listed('the model', models)} and {_listed('the data set', own)} only"
    yield f"{'they' if recipes else 'the results'} rest on {plural(len(analysis.facts.seeds), 'seed')}"
    if analysis.design.detectable:
        size = analysis.measure.size(analysis.design.detectable)
        yield f"a true difference of {size} would be found in 80 % of such studies, a smaller one less often"
    if any(own.n for own in analysis.effects) and analysis.setup.select == "best":
        yield "each run reports the best epoch on the images that it is evaluated on"
    if "by" in context.study.task and any(own.selected_epoch for own in context.results.records.values()):
        yield "each run reports its best row by the metric that it is compared on"
    if recipes and not analysis.facts.test_evaluations:
        yield "no test set was used"
    if analysis.facts.open:
        yield f"{analysis.facts.open:,} of {plural(analysis.facts.runs, 'run')} have no result"
    if analysis.warnings:
        yield f"the checks of the study gave {plural(len(analysis.warnings), 'warning')}"


def _listed(what: str, names: set[str]) -> str:
    return f"{what}{'s' if len(names) > 1 else ''} {', '.join(sorted(names))}"


METHODS = Section("paper_methods", "Methods", 16, _methods, optional=True)
RESULTS = Section("paper_results", "Results", 18, _results, optional=True)
LIMITATIONS = Section("limitations", "Limitations", 124, _limitations, optional=True)
