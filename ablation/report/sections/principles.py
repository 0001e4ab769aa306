"""The principles of the techniques that a study varies, for a lab report."""

from __future__ import annotations

from collections.abc import Iterator

from ablation._util.language import current, tr, tr_noop
from ablation.report.blocks import Block, Formula, Heading, Paragraph, Text, join
from ablation.report.context import Context, Section
from ablation.report.principles import Used, marked, used


def _principles(context: Context) -> Iterator[Block]:
    for own in used(context.study):
        yield Heading(tr(own[0].title))
        yield from _one(own)


def _one(own: Used) -> Iterator[Block]:
    principle, kinds = own
    yield Paragraph(marked(principle.text))
    yield from map(Formula, principle.formula.splitlines())
    rest: list[Text] = [marked(principle.after)] if principle.after else []
    rest += [marked(principle.kinds[kind]) for kind in kinds]
    if rest:
        yield Paragraph(join(rest, current().space))
    formulas = (principle.formulas[kind] for kind in kinds if kind in principle.formulas)
    lines = dict.fromkeys(line for formula in formulas for line in formula.splitlines())
    yield from map(Formula, lines)


PRINCIPLES = Section("principles", tr_noop("Principles"), 15, _principles, optional=True)
