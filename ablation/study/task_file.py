"""The study file of a function or a command, and what can be said of it before any of its code runs."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from ablation.registry.options import Section
from ablation.study.schema import AnalysisOptions, CommonStudyFile, Futility, Spending
from ablation.study.tasks import ChosenTask, CommandTask, Hyperparameters, MetricTable, TaskRecipe, paths


class TaskAnalysis(Section):
    """What the claims rest on: `metric` is one that the study declares, the first by default.

    `margin` is in the unit in which the metric is declared: 1 is one point of a metric in per cent.
    `spending` and `futility` say how a study with looks stops.
    """

    metric: str | None = None
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    spending: Spending | None = None
    futility: Futility | None = None


class TaskStudyFile(CommonStudyFile):
    """The whole study file of a function or a command, as written."""

    task: ChosenTask
    hyperparameters: Hyperparameters = Field(alias="baseline")
    metrics: MetricTable
    analysis_options: TaskAnalysis = Field(TaskAnalysis(), alias="analysis")

    @property
    def baseline(self) -> TaskRecipe:
        """The recipe of the baseline."""
        return TaskRecipe(self.task, self.hyperparameters, self.metrics, self.primary)

    @property
    def primary(self) -> str:
        """The primary metric."""
        return self.analysis_options.metric or next(iter(self.metrics))

    @cached_property
    def known_paths(self) -> tuple[str, ...]:
        """Every path that can be varied."""
        return tuple(paths(self.hyperparameters))

    @property
    def analysis(self) -> AnalysisOptions:
        """The analysis with its primary metric and the direction of that filled in."""
        own, name = self.analysis_options, self.primary
        return AnalysisOptions.model_construct(
            metric=name,
            direction=self.metrics[name].direction,
            margin=None if own.margin is None else self.metrics[name].read(own.margin),
            alpha=own.alpha,
            spending=own.spending,
            futility=own.futility,
        )

    @model_validator(mode="after")
    def _known_names(self) -> TaskStudyFile:
        metric = self.analysis_options.metric
        if metric is not None and metric not in self.metrics:
            hint = f"metrics has {', '.join(self.metrics)}"
            context = {"metric": metric, "hint": hint, "place": ("analysis", "metric")}
            raise PydanticCustomError("metric", "there is no metric {metric}", context)
        seed = self.task.seed.lstrip("-") if isinstance(self.task, CommandTask) else None
        if seed in self.hyperparameters:
            hint = "remove it: seeds says under which seeds each variant is trained"
            context = {"name": seed, "hint": hint, "place": ("baseline", seed)}
            raise PydanticCustomError("seed", "{name} is the seed of the command", context)
        for key in self.task.smoke:
            if key not in self.known_paths:
                context = {
                    "key": key,
                    "hint": "smoke overrides options of the baseline",
                    "place": ("task", "smoke", key),
                }
                raise PydanticCustomError("smoke", "the baseline has no option {key}", context)
        return self


def fields() -> dict[str, Any]:
    """The keys of the file -> their fields."""
    return {field.alias or name: field for name, field in TaskStudyFile.model_fields.items()}
