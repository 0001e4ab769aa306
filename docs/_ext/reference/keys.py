"""The keys of study files, from their schema."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from pydantic import BaseModel

from ablation.study.designs import Component
from ablation.study.follow_up import FollowUp
from ablation.study.networks import Init, Model
from ablation.study.report_options import ReportOptions
from ablation.study.schema import AnalysisOptions, Recipe, StudyFile, Train
from ablation.study.seeds import Looks
from ablation.study.stages import Stage
from ablation.study.task_file import TaskAnalysis, TaskStudyFile
from ablation.study.tasks import CommandTask, FunctionTask, MetricOptions

from .values import key_table

WHOLE: dict[str, type[BaseModel]] = {
    "A study of image classifiers": StudyFile,
    "A study of a function or a command": TaskStudyFile,
}
PARTS: tuple[type[BaseModel], ...] = (
    *(Recipe, Model, Init, Train, Stage, Component, Looks, FollowUp, ReportOptions),
    *(AnalysisOptions, TaskAnalysis, FunctionTask, CommandTask, MetricOptions),
)


def lines() -> Iterator[str]:
    """The whole file of both kinds, and the mappings that are in it."""
    for heading, kind in WHOLE.items():
        yield from ("", f"## {heading}")
        yield from key_table(kind.model_json_schema())
    yield from ("", "## Mappings")
    for kind in PARTS:
        yield from ("", f"### {kind.__name__}", "", inspect.getdoc(kind) or "")
        yield from key_table(kind.model_json_schema())
