"""The question of a study, and the list of sources that its report cites."""

from __future__ import annotations

from collections.abc import Iterator

from ablation._util.language import tr_noop
from ablation.report.blocks import Block, Paragraph, References
from ablation.report.context import Context, Section


def _question(context: Context) -> Iterator[Block]:
    if context.study.question:
        yield Paragraph(context.study.question, "question")


def _references(context: Context) -> Iterator[Block]:
    yield References()


QUESTION = Section("question", tr_noop("Question"), 12, _question, optional=True)
REFERENCES = Section("references", tr_noop("References"), 128, _references, optional=True)
