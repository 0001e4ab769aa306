"""What the records answer of the reproducibility checklists of NeurIPS and of the ACL; the rest is for the authors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import ablation._util.counted as counted
import ablation.report.captions as captions
from ablation._util.formatting import count, duration
from ablation._util.language import clauses, commas, tr, tr_noop, trn
from ablation.report.bibliography import DATA_SETS, REFERENCES
from ablation.report.blocks import Block, Cell, Column, Paragraph, Row, Table
from ablation.report.context import Context, Section
from ablation.report.sections.paper import limits
from ablation.report.sections.setup import hardware, software
from ablation.storage.record import Environment


def _checklist(context: Context) -> Iterator[Block]:
    unknown = tr("not recorded")
    rows = tuple(
        Row((Cell(item), Cell(numbers), Cell(answer or unknown))) for item, numbers, answer in _answers(context)
    )
    yield Paragraph(
        tr(
            "Answers to the items that such a study can answer from its records. Numbers are those of the NeurIPS "
            "paper checklist and of the ACL responsible NLP checklist; the other items are for the authors."
        )
    )
    columns = (Column(tr("Item")), Column("NeurIPS / ACL"), Column(tr("Answer")))
    caption = tr("What the records say.")
    yield Table(tr("Table of the checklist"), columns, rows, caption, key="checklist", css="checklist")


def _answers(context: Context) -> Iterator[tuple[str, str, str]]:
    """The item, its numbers, and its answer, which is empty where nobody recorded it."""
    yield tr("Claims match the results"), "1 / \u2013", _claims(context)
    yield tr("Limitations"), "2 / A1", tr("see the section on limitations") if any(limits(context)) else ""
    yield tr("Data set and splits"), "6 / B6", _data(context)
    yield tr("Data set: source"), "12 / B1", _source(context)
    yield tr("Data set: licence"), "12 / B2", ""
    yield tr("Reproduction"), "4 / \u2013", _reproduce(context)
    yield tr("Open access to data and code"), "5 / \u2013", ""
    yield tr("Hyperparameters"), "6 / C2", _hyperparameters(context)
    yield tr("How hyperparameters were chosen"), "6 / C2", ""
    yield tr("Model size"), "\u2013 / C1", _size(context)
    yield tr("Statistical significance"), "7 / C3", _significance(context)
    yield tr("Number of runs"), "7 / C3", _runs(context)
    yield tr("Hardware"), "8 / C1", _environments(context, hardware)
    yield tr("Compute time"), "8 / C1", _time(context)
    yield tr("Software versions"), "4 / C4", _environments(context, software)
    yield tr("Selection and test set"), "6 / C2", _selection(context)


def _claims(context: Context) -> str:
    analysis = context.analysis
    if analysis.design.networks:
        return tr("one seed: no claim about any recipe is made")
    if not any(own.method for own in analysis.variants):
        return tr("nothing was tested, and no claim is made")
    return tr(
        "verdicts on variants have a family-wise error of at most {bound:g}; trends and interactions are families of "
        "their own",
        bound=analysis.family_wise_bound,
    )


def _source(context: Context) -> str:
    name = str(context.study.baseline.recipe["data"]["name"]) if context.study.of_images else ""
    return REFERENCES[DATA_SETS[name]].text if name in DATA_SETS else ""


def _data(context: Context) -> str:
    setup, recipe = context.analysis.setup, context.study.baseline.recipe
    if not context.study.of_images:
        return ""
    if not setup.train_images:
        return str(recipe["data"]["name"])
    images = [
        tr("{number:,} training images", number=setup.train_images),
        tr("{number:,} validation images", number=setup.val_images),
    ]
    if context.analysis.test:
        images.append(tr("{number:,} test images", number=context.analysis.test.images))
    classes = trn("{n:,} class", "{n:,} classes", len(setup.classes))
    return tr("{data}: {images}; {classes}", data=recipe["data"]["name"], images=commas(images), classes=classes)


def _reproduce(context: Context) -> str:
    study = context.study
    if not study.baseline.recipe:
        return tr("the report is written by: {command}", command=study.command) if study.command else ""
    if study.task:
        return tr(
            "one command, {command}, trains every run, with the code that it names; seeds and recipes are in the study "
            "file",
            command=study.command,
        )
    return tr(
        "one command, {command}, trains every run; seeds and recipes are in the study file", command=study.command
    )


def _hyperparameters(context: Context) -> str:
    number = len(context.analysis.setup.recipe)
    if not number:
        return ""
    if context.study.task:
        return trn(
            "{n:,} hyperparameter in the study file; others are set in the code",
            "{n:,} hyperparameters in the study file; others are set in the code",
            number,
        )
    return tr(
        "all {number} hyperparameters of the baseline are recorded, and the change of each variant", number=number
    )


def _size(context: Context) -> str:
    sizes = sorted({own.parameters for own in context.analysis.effects if own.parameters})
    if not sizes:
        return ""
    if len(sizes) == 1:
        return tr("{number} parameters", number=count(sizes[0]))
    return tr("{smallest} to {largest} parameters", smallest=count(sizes[0]), largest=count(sizes[-1]))


def _significance(context: Context) -> str:
    analysis = context.analysis
    if analysis.design.networks:
        return tr("one seed: no intervals")
    if not any(own.method for own in analysis.variants):
        return tr("mean and SD over seeds; no test was possible")
    return tr(
        "mean, SD over seeds, and simultaneous {level:g} % intervals; {method}",
        level=100 * (1 - analysis.alpha),
        method=tr(analysis.method),
    )


def _runs(context: Context) -> str:
    facts = context.analysis.facts
    runs = counted.runs(facts.runs)
    if facts.open:
        runs = tr("{done:,} of {runs} done", done=facts.done, runs=runs)
    if facts.diverged:
        runs = tr("{runs}, {diverged:,} of them diverged", runs=runs, diverged=facts.diverged)
    seeds = trn("seed {seeds}", "seeds {seeds}", len(facts.seeds), seeds=captions.seeds(facts.seeds))
    return clauses([runs, seeds])


def _environments(context: Context, say: Callable[[Environment], str]) -> str:
    return clauses(list(dict.fromkeys(say(own) for own, _ in context.analysis.setup.environments)))


def _time(context: Context) -> str:
    facts = context.analysis.facts
    if not facts.seconds:
        return ""
    return trn(
        "{time} of training in the {n:,} run that finished or diverged; others and preliminary experiments are not "
        "counted",
        "{time} of training in the {n:,} runs that finished or diverged; others and preliminary experiments are not "
        "counted",
        facts.done,
        time=duration(facts.seconds),
    )


def _selection(context: Context) -> str:
    analysis = context.analysis
    if not context.study.of_images:
        return ""
    times = analysis.facts.test_evaluations
    if not times:
        used = tr("the test set was not used")
    elif times == 1:
        used = tr("the test set was evaluated once")
    else:
        used = tr("the test set was evaluated {number} times", number=times)
    return clauses([captions.metric(analysis), used])


CHECKLIST = Section("checklist", tr_noop("Reproducibility checklist"), 126, _checklist, optional=True)
