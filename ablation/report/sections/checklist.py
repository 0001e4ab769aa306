"""What the records answer of the reproducibility checklists of NeurIPS and of the ACL; the rest is for the authors."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import ablation.report.captions as captions
from ablation._util.formatting import count, duration, plural
from ablation.report.bibliography import DATA_SETS, REFERENCES
from ablation.report.blocks import Block, Cell, Column, Paragraph, Row, Table
from ablation.report.context import Context, Section
from ablation.report.sections.paper import limits
from ablation.report.sections.setup import hardware, software
from ablation.storage.record import Environment

NOT_RECORDED = "not recorded"


def _checklist(context: Context) -> Iterator[Block]:
    rows = tuple(Row((Cell(item), Cell(numbers), Cell(answer))) for item, numbers, answer in _answers(context))
    yield Paragraph(
        "Answers to the items that such a study can answer from its records. Numbers are those of the NeurIPS paper "
        "checklist and of the ACL responsible NLP checklist; the other items are for the authors."
    )
    columns = (Column("Item"), Column("NeurIPS / ACL"), Column("Answer"))
    yield Table("Table of the checklist", columns, rows, "What the records say.", key="checklist", css="checklist")


def _answers(context: Context) -> Iterator[tuple[str, str, str]]:
    """The item, its numbers, and its answer."""
    yield "Claims match the results", "1 / \u2013", _claims(context)
    yield "Limitations", "2 / A1", "see the section on limitations" if any(limits(context)) else NOT_RECORDED
    yield "Data set and splits", "6 / B6", _data(context) or NOT_RECORDED
    yield "Data set: source", "12 / B1", _source(context) or NOT_RECORDED
    yield "Data set: licence", "12 / B2", NOT_RECORDED
    yield "Reproduction", "4 / \u2013", _reproduce(context) or NOT_RECORDED
    yield "Open access to data and code", "5 / \u2013", NOT_RECORDED
    yield "Hyperparameters", "6 / C2", _hyperparameters(context) or NOT_RECORDED
    yield "How hyperparameters were chosen", "6 / C2", NOT_RECORDED
    yield "Model size", "\u2013 / C1", _size(context) or NOT_RECORDED
    yield "Statistical significance", "7 / C3", _significance(context)
    yield "Number of runs", "7 / C3", _runs(context)
    yield "Hardware", "8 / C1", _environments(context, hardware) or NOT_RECORDED
    yield "Compute time", "8 / C1", _time(context) or NOT_RECORDED
    yield "Software versions", "4 / C4", _environments(context, software) or NOT_RECORDED
    yield "Selection and test set", "6 / C2", _selection(context) or NOT_RECORDED


def _claims(context: Context) -> str:
    analysis = context.analysis
    if analysis.design.networks:
        return "one seed: no claim about any recipe is made"
    if not any(own.method for own in analysis.variants):
        return "nothing was tested, and no claim is made"
    return (
        f"verdicts on variants have a family-wise error of at most {analysis.family_wise_bound:g}; trends and "
        "interactions are families of their own"
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
    test = f", {context.analysis.test.images:,} test images" if context.analysis.test else ""
    split = f"{setup.train_images:,} training images, {setup.val_images:,} validation images{test}"
    return f"{recipe['data']['name']}: {split}; {plural(len(setup.classes), 'class', 'classes')}"


def _reproduce(context: Context) -> str:
    study = context.study
    if not study.baseline.recipe:
        return f"the report is written by: {study.command}" if study.command else ""
    code = ", with the code that it names" if study.task else ""
    return f"one command, {study.command}, trains every run{code}; seeds and recipes are in the study file"


def _hyperparameters(context: Context) -> str:
    number = len(context.analysis.setup.recipe)
    if not number:
        return ""
    if context.study.task:
        return f"{plural(number, 'hyperparameter')} in the study file; others are set in the code"
    return f"all {number} hyperparameters of the baseline are recorded, and the change of each variant"


def _size(context: Context) -> str:
    sizes = sorted({own.parameters for own in context.analysis.effects if own.parameters})
    if not sizes:
        return ""
    return f"{count(sizes[0])} parameters" if len(sizes) == 1 else f"{count(sizes[0])} to {count(sizes[-1])} parameters"


def _significance(context: Context) -> str:
    analysis = context.analysis
    if analysis.design.networks:
        return "one seed: no intervals"
    if not any(own.method for own in analysis.variants):
        return "mean and SD over seeds; no test was possible"
    return f"mean, SD over seeds, and simultaneous {100 * (1 - analysis.alpha):g} % intervals; {analysis.method}"


def _runs(context: Context) -> str:
    facts = context.analysis.facts
    done = f"{facts.done:,} of {plural(facts.runs, 'run')} done" if facts.open else plural(facts.runs, "run")
    failed = f", {facts.diverged:,} of them diverged" if facts.diverged else ""
    return f"{done}{failed}; seed{'s' * (len(facts.seeds) > 1)} {captions.seeds(facts.seeds)}"


def _environments(context: Context, say: Callable[[Environment], str]) -> str:
    return "; ".join(dict.fromkeys(say(own) for own, _ in context.analysis.setup.environments))


def _time(context: Context) -> str:
    facts = context.analysis.facts
    if not facts.seconds:
        return ""
    counted = f"the {plural(facts.done, 'run')} that finished or diverged"
    return f"{duration(facts.seconds)} of training in {counted}; others and preliminary experiments are not counted"


def _selection(context: Context) -> str:
    analysis = context.analysis
    if not context.study.of_images:
        return ""
    times = analysis.facts.test_evaluations
    often = "once" if times == 1 else f"{times} times"
    used = f"the test set was evaluated {often}" if times else "the test set was not used"
    return f"{captions.metric(analysis)}; {used}"


CHECKLIST = Section("checklist", "Reproducibility checklist", 126, _checklist, optional=True)
