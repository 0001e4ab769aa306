"""The sections of the short paper: methods in one paragraph, one table, one figure, and the limits of the study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

import ablation._util.counted as counted
import ablation.report.captions as captions
import ablation.report.claims as claims
import ablation.report.components as components
import ablation.report.figure_blocks as figure_blocks
from ablation._util import formatting
from ablation._util.formatting import count
from ablation._util.language import clauses, commas, current, sentences, tr, tr_noop, trn
from ablation.registry import optimizers, schedules
from ablation.report.bibliography import DATA_SETS
from ablation.report.blocks import Block, Paragraph, Text, cite, join, plain, ref, tr_text
from ablation.report.context import Context, Section
from ablation.report.ranking import ranked
from ablation.report.sections.effects import beside_the_table, variants_table
from ablation.report.sections.methods import statistics


def _methods(context: Context) -> Iterator[Block]:
    found = [*_trained(context), *statistics(context.analysis)]
    if found:
        yield Paragraph(join(found, current().space))


def _trained(context: Context) -> Iterator[Text]:
    """What was trained on what, as far as the records say."""
    recipe, task = context.study.baseline.recipe, context.study.task
    if not recipe or not context.analysis.facts.done:
        return
    if task:
        yield tr(
            "The baseline is trained by {trainer} with {options}.",
            trainer=captions.trainer(task),
            options=formatting.value(recipe),
        )
    else:
        yield _baseline(context)
    changes = [own for own in context.analysis.variants if own.kind != "control"]
    if changes:
        yield _changes(context, len(changes))


def _changes(context: Context, number: int) -> str:
    """In how much the variants differ from the baseline."""
    single = all(len(own.changes) == 1 for own in context.study.variants[1:] if own.changes)
    if number == 1 and single:
        return tr("The variant differs from it by one declared change.")
    if number == 1:
        return tr("The variant differs from it by the change that the table names.")
    if single:
        return tr(
            "Each of the {number} variants differs from it by one declared change; all use the same seeds.",
            number=number,
        )
    return tr(
        "Each of the {number} variants differs from it by the change that the table names; all use the same seeds.",
        number=number,
    )


def _baseline(context: Context) -> Text:
    """The network, the data and the training of the baseline of an image classifier."""
    setup, recipe = context.analysis.setup, context.study.baseline.recipe
    data, parameters = str(recipe["data"]["name"]), context.analysis.baseline.parameters
    split = (
        tr(
            " ({training:,} training and {validation:,} validation images)",
            training=setup.train_images,
            validation=setup.val_images,
        )
        if setup.train_images
        else ""
    )
    return tr_text(
        "The baseline is {model}{size}, trained on {data}{source}{split} for {budget} with batches of {batches}, "
        "{optimizer}, and the schedule {schedule}.",
        model=str(recipe["model"]["name"]),
        size=tr(" ({number} parameters)", number=count(parameters)) if parameters else "",
        data=data,
        source=cite(DATA_SETS[data]) if data in DATA_SETS else "",
        split=split,
        budget=setup.budget,
        batches=formatting.value(recipe["train"]["batch_size"]),
        optimizer=_part(optimizers.KINDS, recipe["optimizer"]),
        schedule=_part(schedules.KINDS, recipe["schedule"]),
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
    notes = beside_the_table(analysis)
    shows = _shows(networks=analysis.design.networks, figure=figure is not None)
    yield Paragraph(join([shows, notes] if notes else [shows], current().space))
    yield replace(table.only(*shown), pictures=(), caption=captions.paper_table(analysis))
    if figure:
        yield figure
    contrasts = (*claims.interactions(analysis), *components.sentences(analysis), *claims.trends(analysis))
    if contrasts:
        yield Paragraph(sentences(contrasts))


def _shows(*, networks: bool, figure: bool) -> Text:
    """What table and figure show."""
    parts = {"table": ref("table-variants"), "figure": ref("figure-forest")}
    if networks and figure:
        return tr_text(
            "{table} has every variant with its difference from the baseline, {figure} the difference of each of its "
            "seeds from the baseline.",
            **parts,
        )
    if figure:
        return tr_text(
            "{table} has every variant with its verdict, {figure} the difference of each of its seeds from the "
            "baseline.",
            **parts,
        )
    if networks:
        return tr_text("{table} has every variant with its difference from the baseline.", **parts)
    return tr_text("{table} has every variant with its verdict.", **parts)


def _limitations(context: Context) -> Iterator[Block]:
    parts = [*limits(context)]
    if parts:
        yield Paragraph(tr("{clause}.", clause=captions.first_up(clauses(parts))))


def limits(context: Context) -> Iterator[str]:
    """What the records show to be narrow about the study."""
    analysis = context.analysis
    recipes = [own.recipe for own in context.study.variants] if context.study.of_images else []
    if not analysis.facts.done:
        return
    seeds = counted.seeds(len(analysis.facts.seeds))
    if recipes:
        yield _only(recipes)
        yield tr("they rest on {seeds}", seeds=seeds)
    else:
        yield tr("the results rest on {seeds}", seeds=seeds)
    if analysis.design.detectable:
        yield tr(
            "a true difference of {size} would be found in 80 % of such studies, a smaller one less often",
            size=analysis.measure.size(analysis.design.detectable),
        )
    if any(own.n for own in analysis.effects) and analysis.setup.select == "best":
        yield tr("each run reports the best epoch on the images that it is evaluated on")
    if "by" in context.study.task and any(own.selected_epoch for own in context.results.records.values()):
        yield tr("each run reports its best row by the metric that it is compared on")
    if recipes and not analysis.facts.test_evaluations:
        yield tr("no test set was used")
    if analysis.facts.open:
        runs = counted.runs(analysis.facts.runs)
        yield tr("{open:,} of {runs} have no result", open=analysis.facts.open, runs=runs)
    if analysis.warnings:
        yield trn(
            "the checks of the study gave {n:,} warning",
            "the checks of the study gave {n:,} warnings",
            len(analysis.warnings),
        )


def _only(recipes: list[Mapping[str, Any]]) -> str:
    """The networks and the data sets that the results are for."""
    models, data = (sorted({str(recipe[part]["name"]) for recipe in recipes}) for part in ("model", "data"))
    return tr(
        "the results are for {models} and {data} only",
        models=trn("the model {names}", "the models {names}", len(models), names=commas(models)),
        data=trn("the data set {names}", "the data sets {names}", len(data), names=commas(data)),
    )


METHODS = Section("paper_methods", tr_noop("Methods"), 16, _methods, optional=True)
RESULTS = Section("paper_results", tr_noop("Results"), 18, _results, optional=True)
LIMITATIONS = Section("limitations", tr_noop("Limitations"), 124, _limitations, optional=True)
